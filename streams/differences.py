"""Differences: the counts that `freshet export` gives, and what is known of customers, held against a recount of the topic."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from recsys.customers.message import Visitor
from recsys.events import ANONYMOUS
from streams.joinings import Joinings
from streams.recount import Pair, Recount
from streams.refused import Refused

EXAMPLES = 10
"""Differences that are told in words."""

BASKETS, TOGETHER, AFTER = "baskets", "bought with", "and, bought after it,"


class Difference(NamedTuple):
    """A count in Redis that is not the recount's: of an item's interactions or baskets, or of its pair with another."""

    item_id: str
    other: str | None
    counted: int | None
    """None: the item has no row."""
    recounted: int
    said: str = "and"
    """What stands between the two items; of an item alone, what was counted if not interactions."""

    def __str__(self) -> str:
        if self.other is not None:
            return f"{self.item_id} {self.said} {self.other}: {self.counted}, recounted {self.recounted}"
        if self.said == BASKETS:
            return f"{self.item_id}: {self.counted} baskets, recounted {self.recounted}"
        there = "not there" if self.counted is None else f"{self.counted} interactions"
        return f"{self.item_id}: {there}, recounted {self.recounted}{' interactions' * (self.counted is None)}"


def differences(recount: Recount, exported: Iterable[dict[str, Any]]) -> Iterator[Difference]:
    """Holds rows as `freshet export` gives them against a recount.

    A row with fewer neighbours than the limit was never cut, and must be equal. One that may have been cut may lack
    pairs, and may have begun some of them again: there no count may be above the recount's.
    """
    viewed, together = partners(recount.pairs), partners(recount.together)
    after: dict[str, dict[str, int]] = defaultdict(dict)
    for (a, b), count in recount.after.items():
        after[a][b] = count
    missing = set(recount.interactions)
    for row in exported:
        item = row["item_id"]
        missing.discard(item)
        if row["interactions"] != recount.interactions[item]:
            yield Difference(item, None, row["interactions"], recount.interactions[item])
        if row.get("baskets", 0) != recount.baskets[item]:
            yield Difference(item, None, row.get("baskets", 0), recount.baskets[item], BASKETS)
        limit = recount.rules.neighbours
        yield from row_differences(item, row["neighbours"], viewed[item], limit)
        yield from row_differences(item, row.get("bought_together", []), together[item], limit, TOGETHER)
        yield from row_differences(item, row.get("bought_after", []), after[item], limit, AFTER)
    for item in sorted(missing):
        yield Difference(item, None, None, recount.interactions[item])


def partners(pairs: Mapping[Pair, int]) -> dict[str, dict[str, int]]:
    """By item, the counts of its pairs by the other one."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (a, b), count in pairs.items():
        found[a][b] = found[b][a] = count
    return found


def row_differences(
    item: str, row: Sequence[dict[str, Any]], expected: Mapping[str, int], limit: int, said: str = "and"
) -> Iterator[Difference]:
    """Of one row, which was cut if it has as many neighbours as the limit."""
    counts = {neighbour["item_id"]: neighbour["count"] for neighbour in row if neighbour["count"]}
    cut = len(row) >= limit
    for other in sorted(counts.keys() if cut else counts.keys() | expected.keys()):
        here, there = counts.get(other, 0), expected.get(other, 0)
        if here > there or (here < there and not cut):
            yield Difference(item, other, here, there, said)


class Told(Struct):
    """What of a Customer is counted again."""

    events: dict[str, int]
    spent: dict[str, Decimal] = {}
    refunded: dict[str, Decimal] = {}
    visitors: list[Visitor] = []
    joined: str | None = None


NOBODY_REFUSES = Refused(set(), set(), set())


class Recommended(Struct):
    """What of a Recommendation says by what it is."""

    strategy: str


def customer_differences(
    recount: Recount, published: Mapping[str, bytes | None], refused: Refused = NOBODY_REFUSES
) -> Iterator[str]:
    """Holds what Redis says of customers, by user, against a recount: a line for each who is not told right.

    Of who refuses to be analysed nothing must be told; of who once did, nothing from before: not more than there was.
    """
    ever, joinings = refused.analyse | refused.once, recount.joinings
    # Whether such a visitor joined depends on when the visitor's home heard that the customer refuses.
    unsure = {visitor for visitor, customer in joinings.identified.values() if customer in ever}
    for (partition, offset), (visitor, customer) in sorted(joinings.identifies.items() ^ joinings.identified.items()):
        if customer not in ever:
            yield f"{customer}: the record at {partition}/{offset} and what the home of visitor {visitor} was told do not agree"
    yield from letter_differences(joinings, ever, unsure)
    for user in sorted(recount.forgotten - recount.customers.keys()):
        if published.get(user) is not None:
            yield f"{user}: was forgotten, and the customer is told"
    for user in sorted(recount.customers):
        deeds, value = recount.deeds(user), published.get(user)
        if user in refused.analyse:
            if value is not None:
                yield f"{user}: refuses to be analysed, and the customer is told"
            continue
        if user in refused.once:
            told = msgspec.json.decode(value or b'{"events":{}}', type=Told)
            # Up to which event a visitor joined depends on when it was heard: no more than all that the visitor ever did.
            there_was = Counter(recount.customers[user])
            for joined in told.visitors:
                there_was += Counter(recount.customers.get(ANONYMOUS + joined.anonymous_id, {}))
            if Counter(told.events) - there_was:
                yield f"{user}: the customer, anew, has {told.events}, recounted {dict(there_was)}"
            continue
        if value is None:
            yield f"{user}: has {deeds.events.total()} events, and nothing is known of the customer"
            continue
        told = msgspec.json.decode(value, type=Told)
        if unsure & {user.partition(ANONYMOUS)[2], *(visitor.anonymous_id for visitor in told.visitors)}:
            continue
        if told.events != deeds.events:
            yield f"{user}: the customer has {told.events}, recounted {dict(deeds.events)}"
        paid = {(how, currency): amount for how in ("spent", "refunded") for currency, amount in getattr(told, how).items()}
        if paid != deeds.paid:
            yield f"{user}: the customer paid {in_words(paid)}, recounted {in_words(deeds.paid)}"
        yield from join_differences(joinings, user, told)


def letter_differences(joinings: Joinings, ever: Set[str], unsure: Set[str]) -> Iterator[str]:
    """Holds what homes were told of visitors who joined, or part, against what they were to be told."""
    due = {place: customer for place, (customer, _) in joinings.as_joined.items()}
    for (partition, offset), customer in sorted(due.items() ^ joinings.answered.items()):
        if customer not in ever:
            yield f"{customer}: the message at {partition}/{offset} and what the customer's home was told do not agree"
    for farewell in sorted(joinings.farewells ^ joinings.heard_farewells):
        if farewell.customer not in ever and farewell.visitor not in unsure:
            (partition, offset), what, visitor, customer = farewell
            yield f"{customer}: {what} ({partition}/{offset}) and what was told of visitor {visitor} do not agree"


def join_differences(joinings: Joinings, user: str, told: Told) -> Iterator[str]:
    """Holds who joined a customer, or whom a visitor joined, against a recount."""
    visitors, joined = {visitor.anonymous_id for visitor in told.visitors}, set(joinings.joined(user))
    if visitors != joined:
        yield f"{user}: the visitors {sorted(visitors)} joined, recounted {sorted(joined)}"
    customer = joinings.customer_of.get(user.removeprefix(ANONYMOUS)) if user.startswith(ANONYMOUS) else None
    if told.joined != customer:
        yield f"{user}: the visitor joined {told.joined}, recounted {customer}"


def refusal_differences(
    refused: Refused,
    kept: Mapping[str, bytes | None],
    recommended: Mapping[str, bytes | None],
    told: Mapping[str, bytes | None],
) -> Iterator[str]:
    """A line for each who refuses and is recommended something personal, by what Redis has (`kept`) or by the newest record of
    each user on the topic (`recommended`), or is told as a customer, by that topic (`told`)."""
    for user in sorted(refused.personalise):
        for where, newest in (("in Redis", kept), ("on the topic", recommended)):
            value = newest.get(user)
            if value is not None and (said := msgspec.json.decode(value, type=Recommended).strategy) != "opted_out":
                yield f"{user}: refuses a personal recommendation, and the newest {where} is {said}"
    for user in sorted(refused.analyse):
        if told.get(user) is not None:
            yield f"{user}: refuses to be analysed, and the newest record of the customer on the topic is not empty"


def forgotten_differences(
    recount: Recount, recommended: Mapping[str, bytes | None], told: Mapping[str, bytes | None]
) -> Iterator[str]:
    """A line for each who was forgotten and did nothing since, and to whom something is recommended, by what Redis has, or who
    is told as a customer, by the newest record on the topic."""
    for user in sorted(recount.forgotten - recount.last.keys()):
        if recommended.get(user) is not None and not any(deeds.events for deeds in recount.joinings.joined(user).values()):
            yield f"{user}: was forgotten, and something is recommended"
    for user in sorted(recount.forgotten - recount.customers.keys()):
        if told.get(user) is not None:
            yield f"{user}: was forgotten, and the newest record of the customer on the topic is not empty"


def in_words(paid: Mapping[tuple[str, str], Decimal]) -> str:
    """
    >>> in_words({("spent", "EUR"): Decimal("1.50")})
    '1.50 EUR spent'
    """
    return ", ".join(f"{amount} {currency} {how}" for (how, currency), amount in sorted(paid.items())) or "nothing"


class Comparison(Struct, frozen=True):
    """What came of holding the counts in Redis against a recount."""

    interactions: int
    items: int
    pairs: int
    differences: int
    examples: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.differences


def compare(recount: Recount, exported: Iterable[dict[str, Any]]) -> Comparison:
    """The differences of exported rows from a recount, summed up."""
    found = list(differences(recount, exported))
    return Comparison(
        interactions=recount.interactions.total(),
        items=len(recount.interactions),
        pairs=len(recount.pairs),
        differences=len(found),
        examples=tuple(map(str, found[:EXAMPLES])),
    )

"""Moves between segments: on each day those that a recount of the log finds, whatever the batches, and also of who does
nothing."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import numpy as np
from customers_oracle import EPOCH, lines, moment, quantity
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import Parsed, Record, recount
from strategies import NOW_MS, encoded
from test_laws import KEYS, RULES, SIZES, count_all, counted, cut

from recsys.customers import account, rfm, spread
from recsys.customers.rfm import Rfm
from recsys.customers.trade import MOST_DAYS, Trade, Traded, add
from recsys.ledger.moves import NONE_YET, Trades, moves, table, together
from recsys.rules import Rules
from recsys.store import MemoryStore

DAY_MS = 86_400_000
Told = dict[date, Counter[tuple[str, str]]]


def told(values: Mapping[str, bytes], last: int = 1_000) -> Told:
    """What the accounts in a state tell, by date."""
    trades = Trades()
    for key, value in values.items():
        if "}:account:" in key:
            trades.add(account.unpack(value).trade)
    return {date.fromordinal(EPOCH.toordinal() + day): moved for day, moved in moves(trades, last).items()}


def worth(event: Parsed) -> Decimal:
    """What was ordered less what was given back."""
    priced = [Decimal(str(line["price"])) * quantity(line) for line in lines(event) if line.get("price") is not None]
    value = event.fields.get("value")
    found = sum(priced, Decimal(0)) if priced else Decimal(str(value or 0))
    return found if event.kind == "purchase" else -found


def expected(events: Sequence[Parsed]) -> Told:
    """The same, counted once more: every customer on every day, from all events up to its end."""
    trading = [event for event in events if event.kind in ("purchase", "refund")]
    found: Told = {}
    before: dict[str, str] = {}
    for day in sorted({moment(event).date() for event in trading}):
        theirs: dict[str, list[Parsed]] = defaultdict(list)
        for event in trading:
            if moment(event).date() <= day:
                theirs[event.user].append(event)
        now = segments_of({user: each for user, each in theirs.items() if any(e.kind == "purchase" for e in each)})
        found[day] = Counter(
            (before.get(user, NONE_YET), segment) for user, segment in now.items() if before.get(user, NONE_YET) != segment
        )
        before = now
    return found


def segments_of(theirs: Mapping[str, Sequence[Parsed]]) -> dict[str, str]:
    """Segments by the fifths of these customers."""
    if not theirs:
        return {}
    orders = {user: [event for event in events if event.kind == "purchase"] for user, events in theirs.items()}
    last = np.array([max(moment(event).date() for event in each).toordinal() for each in orders.values()])
    number = np.array([spread.bucket_of_number(len(each)) for each in orders.values()])
    paid = np.array([spread.bucket_of_amount(float(sum(map(worth, events)))) for events in theirs.values()])
    fifths = [np.quantile(values, (0.2, 0.4, 0.6, 0.8)) for values in (-last, number, paid)]
    scores = [np.searchsorted(edges, values) for edges, values in zip(fifths, (-last, number, paid), strict=True)]
    return {user: rfm.segment(Rfm(5 - int(r), 1 + int(f), 1 + int(m))) for user, r, f, m in zip(theirs, *scores, strict=True)}


SHOPPING = st.lists(
    st.tuples(
        st.integers(0, 9), st.integers(0, 12), st.sampled_from(["order", "order", "order", "refund"]), st.integers(0, 30)
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=15, phases=[Phase.generate])
@given(SHOPPING, SIZES)
def test_moves_are_what_a_recount_finds_of_all_customers_on_every_day(
    shopping: list[tuple[int, int, str, int]], sizes: list[int]
) -> None:
    log = [order(offset, f"c{who}", day, kind, price) for offset, (who, day, kind, price) in enumerate(shopping)]
    store = MemoryStore()
    asyncio.run(count_all(store, cut(log, 0, sizes, 1)))
    found = told(store.values)
    assert found == expected(recount(log, 1, history=RULES.history, window=RULES.window).events)
    # What came to a segment and what left it is who is there.
    there: Counter[str] = Counter()
    for moved in found.values():
        for (source, target), count in moved.items():
            there[source] -= count
            there[target] += count
    buyers = {f"c{who}" for who, _, kind, _ in shopping if kind == "order"}
    assert there[NONE_YET] == -len(buyers)
    assert all(count >= 0 for segment, count in there.items() if segment != NONE_YET)
    assert list(found) == sorted(found)
    some = told(store.values, last=2)
    assert some == dict(list(found.items())[-2:])


def order(offset: int, user: str, day: int, kind: str = "order", price: float = 5) -> Record:
    event = {
        "event_type": kind, "user_id": user, "item_id": "a", "price": price, "currency": "EUR",
        "event_time": NOW_MS - (30 - day) * DAY_MS,
    }  # fmt: skip
    return Record(0, offset, NOW_MS, None, encoded(event))


def test_who_does_nothing_moves_as_others_order() -> None:
    log = [order(0, "quiet", 0), *(order(n, f"c{n}", n) for n in range(1, 6))]
    found = told(counted(log, 1).values)
    assert [day.toordinal() - EPOCH.toordinal() for day in found] == [NOW_MS // DAY_MS - 30 + n for n in range(6)]
    assert all(moved[NONE_YET, "new"] == 1 for moved in found.values())
    left = [move for moved in found.values() for move in moved if move[0] == "new"]
    assert left, "whoever was new stays new although others are newer"


def test_amounts_are_compared_in_the_shops_currency() -> None:
    dear = order(0, "a", 0, price=100)
    cheap = dear._replace(offset=1, value=(dear.value or b"").replace(b'"a"', b'"b"', 1).replace(b"EUR", b"USD"))
    rated = counted([dear, cheap], 1, Rules(rates=(("EUR", 1.0), ("USD", 0.01))))
    paid = [account.unpack(rated.values[KEYS.account(0, user)]).trade for user in ("a", "b")]
    assert [[traded.net for traded in trade.values()] for trade in paid] == [[100_000_000], [1_000_000]]


def test_of_more_days_than_are_kept_the_oldest_are_one() -> None:
    trade: Trade = {}
    for day in range(MOST_DAYS + 5, -1, -1):
        add(trade, day, Traded(1, day))
    assert len(trade) == MOST_DAYS
    assert trade[6] == Traded(7, sum(range(7)))
    assert min(trade) == 6


def test_moves_are_told_by_day_and_together() -> None:
    found = table({20_000: {("new", "loyal"): 1, ("lost", "new"): 2}, 20_001: {("new", "loyal"): 3}})
    assert found.rows == [
        ["2024-10-04", "lost", "new", 2], ["2024-10-04", "new", "loyal", 1], ["2024-10-05", "new", "loyal", 3],
    ]  # fmt: skip
    assert together(found).rows == [["new → loyal", 4], ["lost → new", 2]]

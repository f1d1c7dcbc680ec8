"""What a store holds of purchases, held against the recount: baskets and held items, tables, sales."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product

import pytest
import returning_oracle
from oracle import Bought, Recount, home_partition
from returning_oracle import DAY, faded

from recsys import marks
from recsys.hashing import hash_id
from recsys.keys import Keys
from recsys.returning import purchases, repurchase, sales
from recsys.returning.purchases import HALF_LIFE_60_MS, HALF_LIFE_200_MS, fade

HALF_LIVES = {"n": ("times", 90), "nr": ("times", 14), "nq": ("times", 4), "m": ("to_new", 90)}


def recounted(truth: Recount, partition: int, gap_ms: float) -> returning_oracle.Recount:
    """The purchases of a partition's users; everybody and everything by its hash."""
    return taken((event for event in truth.bought if event.partition == partition), gap_ms)


def taken(bought: Iterable[Bought], gap_ms: float) -> returning_oracle.Recount:
    """What these events come to."""
    found = returning_oracle.Recount(gap_ms)
    for event in bought:
        if event.forget:
            found.customers.pop(hash_id(event.user), None)
            continue
        items = [hash_id(item) for item in event.items]
        session = hash_id(event.session_id) if event.session_id else 0
        found.take(returning_oracle.Bought(hash_id(event.user), items, event.time_ms, session, event.refund))
    return found


def assert_purchases_are(
    truth: Recount, values: Mapping[str, bytes | None], keys: Keys, partitions: int, gap_ms: float = returning_oracle.GAP
) -> None:
    """Everything that is counted of purchases is as it is recounted."""
    now = max((event.time_ms for event in truth.bought), default=0) + DAY
    recounts = [recounted(truth, partition, gap_ms) for partition in range(partitions)]
    for user in {event.user for event in truth.bought}:
        home = home_partition(user.removeprefix("anon:"), partitions)
        assert_holds(recounts[home].customers[hash_id(user)], values.get(keys.bought(home, user)), now)
    for partition, found in enumerate(recounts):
        mark = marks.user_mark(values.get(keys.user_mark(partition)))
        assert mark.bought == sum(len(sold.times) for sold in found.sold.values())
        assert mark.bought_again == sum(sold.observed for sold in found.sold.values())
        table = repurchase.unpack([mark.repurchase])
        for k, g in product(range(repurchase.STEPS), repeat=2):
            assert table.exposures[0, k, g] == found.exposures[k, g]
            assert table.purchases[0, k, g] == found.purchases[k, g]
    _check_sales(recounts, values, now)


def assert_holds(customer: returning_oracle.Customer, value: bytes | None, now: int) -> None:
    """That packed purchases are those of a recounted customer."""
    bought = purchases.unpack([value])
    held = list(customer.held)
    assert bought.baskets[0] == customer.baskets
    assert bought.item[0, : bought.held[0]].tolist() == held
    for h, item in enumerate(held):
        expected = customer.held[item]
        assert (bought.k[0, h], bought.basket[0, h], bought.time[0, h]) == (expected.k, expected.basket, max(expected.times))
        since = customer.baskets - expected.basket
        assert bought.fb[0, h] * 0.9**since == pytest.approx(expected.fb(customer.baskets), rel=1e-5)
        for column, half_life, days in ((bought.f60, HALF_LIFE_60_MS, 60), (bought.f200, HALF_LIFE_200_MS, 200)):
            worth = column[0, h] * fade(bought.time[0, h], now, half_life)
            assert worth == pytest.approx(faded(expected.times, now, days), rel=1e-5)


def _check_sales(recounts: list[returning_oracle.Recount], values: Mapping[str, bytes | None], now: int) -> None:
    expected: dict[int, returning_oracle.Sold] = defaultdict(returning_oracle.Sold)
    for recount in recounts:
        for item, sold in recount.sold.items():
            expected[item].times += sold.times
            expected[item].to_new += sold.to_new
            expected[item].observed += sold.observed
            expected[item].expected += sold.expected
    stored = {int(key.rpartition(":")[2], 16): value for key, value in values.items() if "}:sales:" in key}
    assert stored.keys() == expected.keys()
    for item, value in stored.items():
        found, truth = sales.unpack([value]), expected[item]
        assert found.observed[0] == truth.observed
        assert found.expected[0] == pytest.approx(truth.expected)
        assert (found.first[0], found.landmark[0]) == (min(truth.times), max(truth.times))
        for name, (times, days) in HALF_LIVES.items():
            worth = getattr(found, name)[0] * fade(found.landmark[0], now, days * float(DAY))
            assert worth == pytest.approx(sum(2.0 ** (-(now - t) / (days * DAY)) for t in getattr(truth, times)), rel=1e-9)

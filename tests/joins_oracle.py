"""Joins in what is stored, held against the recount: who asked, who decided, and what each customer was told of whom."""

from collections.abc import Mapping

from customers_oracle import expected, found_in
from oracle import Joined, Recount, home_partition
from purchase_counts import assert_holds, taken
from returning_oracle import DAY, Customer, together

from recsys import histories, joined_purchases
from recsys.customers import account
from recsys.customers.account import Joins, Part
from recsys.hashing import hash_id
from recsys.keys import Keys
from recsys.marks import user_mark
from recsys.returning import purchases
from recsys.returning.purchases import Purchases
from recsys.rules import Rules


def assert_joined(
    truth: Recount, values: Mapping[str, bytes | None], keys: Keys, partitions: int, rules: Rules | None = None
) -> None:
    """That everybody asked and was told as they should, and that accounts have these parts and no others."""
    rules = rules or Rules()
    assert truth.identified == truth.identifies
    assert truth.heard == truth.told
    assert truth.heard_farewell == truth.said_farewell
    marks = [user_mark(values.get(keys.user_mark(partition))) for partition in range(partitions)]
    assert sum(mark.refused for mark in marks) == truth.refused
    kept: dict[str, Joins] = {}
    for key, value in values.items():
        if ":account:" in key and (found := account.unpack(value).joins) is not None:
            kept[key.partition(":account:")[2]] = found
    assert {user: each.customer for user, each in kept.items() if each.customer} == {
        f"anon:{visitor}": customer for visitor, customer in truth.customer_of.items()
    }
    assert {user: each.asked for user, each in kept.items() if each.asked} == {u: a for u, a in truth.asked.items() if a}
    parts = {(user, visitor): part for user, each in kept.items() for visitor, part in each.parts.items()}
    joined = {(customer, visitor): each for customer, theirs in truth.joined.items() for visitor, each in theirs.items()}
    assert set(parts) == set(joined)
    for name, each in joined.items():
        assert_part(parts[name], each, rules)
    assert_together(truth, values, keys, partitions, rules.session_gap_ms)


def assert_together(truth: Recount, values: Mapping[str, bytes | None], keys: Keys, partitions: int, gap_ms: float) -> None:
    """That a customer and all who joined bought, as one, what they did by the recount."""
    now = max((event.time_ms for event in truth.bought), default=0) + DAY
    for user in [customer for customer, theirs in truth.joined.items() if theirs]:
        home = home_partition(user, partitions)
        kept = account.unpack(values.get(keys.account(home, user)))
        found = purchases.unpack([values.get(keys.bought(home, user))])
        joined_purchases.join(found, joined_purchases.of_visitors({0: kept}))
        own = taken((each for each in truth.bought if each.user == user), gap_ms).customers[hash_id(user)]
        others = [
            taken(joined.bought, gap_ms).customers[hash_id(f"anon:{visitor}")] for visitor, joined in truth.joined[user].items()
        ]
        assert_as_one(together([own, *others]), found, 0, now)


def assert_as_one(customer: Customer, found: Purchases, user: int, now: int) -> None:
    """That somebody's purchases are those of a recounted customer; of one basket the order is not looked at."""
    held, items = int(found.held[user]), found.item[user].tolist()
    baskets = found.basket[user, :held].tolist()
    assert baskets == sorted(baskets)
    order = sorted(range(held), key=lambda h: (baskets[h], items[h]))
    ordered = Purchases._make(column[[user]].copy() for column in found)
    for name in ("item", "k", "fb", "f60", "f200", "time", "basket"):
        getattr(ordered, name)[0, :held] = getattr(ordered, name)[0, order]
    expected = Customer(dict(sorted(customer.held.items(), key=lambda each: (each[1].basket, each[0]))), customer.baskets)
    assert_holds(expected, purchases.pack(ordered, 0), now)


def assert_part(part: Part, joined: Joined, rules: Rules) -> None:
    """That a part is what the visitor had done."""
    bought = taken(joined.bought, rules.session_gap_ms).customers
    [customer] = bought.values() or [Customer()]
    assert_holds(customer, part.purchases, max((each.time_ms for each in joined.bought), default=0) + DAY)
    assert found_in(account.unpack(part.account)) == expected(joined.events, rules.session_gap_ms)
    past = histories.unpack([part.history or None], rules.history)
    assert past.item[0, : past.length[0]].tolist() == [hash_id(entry.item) for entry in joined.history]
    assert past.time[0, : past.length[0]].tolist() == [entry.time_ms for entry in joined.history]

"""Joins in what is stored, held against the recount: who asked, who decided, and what each customer was told of whom."""

from collections.abc import Mapping

from customers_oracle import expected, found_in
from oracle import Joined, Recount

from recsys import histories
from recsys.customers import account
from recsys.customers.account import Joins, Part
from recsys.hashing import hash_id
from recsys.keys import Keys
from recsys.marks import user_mark
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


def assert_part(part: Part, joined: Joined, rules: Rules) -> None:
    """That a part is what the visitor had done."""
    assert found_in(account.unpack(part.account)) == expected(joined.events, rules.session_gap_ms)
    past = histories.unpack([part.history or None], rules.history)
    assert past.item[0, : past.length[0]].tolist() == [hash_id(entry.item) for entry in joined.history]
    assert past.time[0, : past.length[0]].tolist() == [entry.time_ms for entry in joined.history]

"""The recount: small cases counted by hand, and a whole shop counted twice."""

import json
from collections import Counter
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

import msgspec
import oracle
import pytest

from recsys.rules import Rules
from streams.demo.mishaps import sendings
from streams.differences import compare, customer_differences, refusal_differences
from streams.records import Record
from streams.recount import Recount, home
from streams.refused import Refused, refused
from streams.shop.catalogue import build_catalogue
from streams.shop.shoppers import crowd
from streams.shop.traffic import events

NOW_MS = 1_800_000_000_000


def recount(*given: dict[str, Any], rules: Rules | None = None) -> Recount:
    """The recount of events of one user on a topic of one partition."""
    result = Recount(rules or Rules(), partitions=1)
    for offset, event in enumerate(given):
        result.take(Record(0, offset, NOW_MS, json.dumps({"event_type": "click", "user_id": "u"} | event).encode()))
    return result


def clicks(items: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"item_id": item} | fields for item in items]


def test_every_interaction_counts_for_its_item_and_once_a_session_for_a_pair() -> None:
    result = recount(*clicks("abab"))
    assert result.interactions == {"a": 2, "b": 2}
    assert result.pairs == {("a", "b"): 1}


def test_a_pair_counts_again_in_another_session() -> None:
    result = recount(*clicks("ab", session_id="1"), *clicks("ba", session_id="2"))
    assert result.pairs == {("a", "b"): 2}


def test_session_ids_outrank_the_gap_and_a_missing_one_does_not() -> None:
    first = {"item_id": "a", "session_id": "1", "event_time": NOW_MS - 3_600_000}
    assert recount(first, {"item_id": "b", "session_id": "1"}).pairs == {("a", "b"): 1}
    assert not recount(first, {"item_id": "b"}).pairs


@pytest.mark.parametrize(("minutes", "pairs"), [(30, 1), (31, 0), (-31, 0), (-30, 1)])
def test_half_an_hour_without_an_event_ends_a_session_in_either_direction(minutes: int, pairs: int) -> None:
    before = NOW_MS - 3_600_000
    given = [{"item_id": "a", "event_time": before}, {"item_id": "b", "event_time": before + minutes * 60_000}]
    assert recount(*given).pairs.total() == pairs


def test_only_the_window_of_distinct_items_is_paired() -> None:
    assert set(recount(*clicks("abbbc"), rules=Rules(window=2)).pairs) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert set(recount(*clicks("abc"), rules=Rules(window=1)).pairs) == {("a", "b"), ("b", "c")}


def test_a_session_reaches_no_further_than_the_history() -> None:
    assert recount(*clicks("abca"), rules=Rules(history=2)).pairs == {("a", "b"): 2, ("b", "c"): 1, ("a", "c"): 2}


def test_the_same_event_id_counts_once_while_it_is_in_the_history() -> None:
    twice = [{"item_id": "a", "event_id": "1"}, {"item_id": "b", "event_id": "2"}, {"item_id": "a", "event_id": "1"}]
    assert recount(*twice).interactions == {"a": 1, "b": 1}
    assert recount(*twice).repeats == 1
    assert recount(*twice, rules=Rules(history=1)).interactions == {"a": 2, "b": 1}


def test_the_items_of_a_basket_count_one_after_the_other() -> None:
    basket = {"event_type": "purchase", "event_id": "1", "items": [{"item_id": item} for item in "aba"]}
    result = recount({"item_id": "z"}, basket, basket)
    assert result.interactions == {"z": 1, "a": 2, "b": 1}
    assert result.pairs == {("a", "z"): 1, ("b", "z"): 1, ("a", "b"): 1}


@pytest.mark.parametrize("kind", ["refund", "impression", "remove_from_cart", "search"])
def test_what_is_no_interaction_is_not_counted(kind: str) -> None:
    result = recount({"item_id": "a"}, {"event_type": kind, "item_id": "b"}, {"item_id": "c"})
    assert result.interactions == {"a": 1, "c": 1}
    assert result.pairs == {("a", "c"): 1}


def test_users_do_not_mix_and_an_anonymous_one_is_somebody_else() -> None:
    result = recount({"item_id": "a"}, {"item_id": "b", "user_id": None, "anonymous_id": "u"}, {"item_id": "c"})
    assert result.pairs == {("a", "c"): 1}


def test_bad_records_are_set_aside() -> None:
    result = recount({"item_id": "a"}, {"item_id": ""}, {"event_type": "stare", "item_id": "a"})
    result.take(Record(0, 9, NOW_MS, None))
    assert [record.offset for record in result.rejected] == [1, 2, 9]
    assert result.interactions == {"a": 1}


def test_a_record_counts_at_home_and_a_forwarded_one_once() -> None:
    there = home("u", 4)
    elsewhere = (there + 1) % 4
    value = b'{"event_type": "click", "user_id": "u", "item_id": "a"}'
    headers = [("forwarded", oracle.sealed(value, elsewhere, 7, NOW_MS, 4, there))]
    result = Recount(Rules(), partitions=4)
    result.take(Record(elsewhere, 7, NOW_MS, value))
    assert not result.interactions
    result.take(Record(there, 0, NOW_MS + 50, value, headers))
    result.take(Record(there, 1, NOW_MS + 60, value, headers))
    assert result.interactions == {"a": 1}
    assert (result.elsewhere, result.repeats) == (1, 1)


def test_a_users_last_interaction_is_known_with_the_records_that_followed_it() -> None:
    first, second = {"item_id": "a", "event_id": "1"}, {"item_id": "b", "event_id": "2"}
    refund = {"event_type": "refund", "item_id": "a", "event_id": "3"}
    assert recount(first, refund, second, first).last["u"] == (0, 2, ["2", "1"], [NOW_MS, NOW_MS])
    assert recount(first, second, refund).last["u"] == (0, 1, ["2", "3"], [NOW_MS, NOW_MS])
    assert not recount(refund).last


def purchases(items: str, **fields: Any) -> list[dict[str, Any]]:
    return [click | {"event_type": "purchase"} for click in clicks(items, **fields)]


def test_what_is_bought_in_a_session_is_one_basket_and_each_item_of_it_counts_once() -> None:
    result = recount(*purchases("aba"), {"event_type": "refund", "item_id": "a"}, *purchases("ac"))
    assert result.baskets == {"a": 1, "b": 1, "c": 1}
    assert result.together == {("a", "b"): 1, ("a", "c"): 1, ("b", "c"): 1}
    assert not result.after


def test_what_is_bought_counts_after_what_was_met_otherwise_in_the_session() -> None:
    result = recount(*clicks("xyx"), *purchases("yz"), *clicks("z"))
    assert result.after == {("x", "y"): 1, ("x", "z"): 1, ("y", "z"): 1}
    assert not recount(*clicks("x"), *purchases("y"), rules=Rules(baskets=False)).after


def row(item: str, interactions: int, **counts: int) -> dict[str, Any]:
    neighbours = [{"item_id": other, "count": count, "weight": 1.0} for other, count in counts.items()]
    return {"item_id": item, "interactions": interactions, "neighbours": neighbours}


def test_equal_counts_compare_as_equal() -> None:
    found = compare(recount(*clicks("ab")), [row("a", 1, b=1), row("b", 1, a=1, b=0)])
    assert found.equal
    assert (found.interactions, found.items, found.pairs, found.differences) == (2, 2, 1, 0)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row("a", 1, b=1)], "b: not there, recounted 1 interactions"),
        ([row("a", 2, b=1), row("b", 1, a=1)], "a: 2 interactions, recounted 1"),
        ([row("a", 1, b=1), row("b", 1)], "b and a: 0, recounted 1"),
        ([row("a", 1, b=2), row("b", 1, a=1)], "a and b: 2, recounted 1"),
        ([row("a", 1, b=1, c=1), row("b", 1, a=1)], "a and c: 1, recounted 0"),
        ([row("a", 1, b=1), row("b", 1, a=1), row("c", 1)], "c: 1 interactions, recounted 0"),
    ],
)
def test_every_kind_of_difference_is_found_and_told(rows: list[dict[str, Any]], told: str) -> None:
    found = compare(recount(*clicks("ab")), rows)
    assert not found.equal
    assert found.examples == (told,)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"baskets": 2}, "b: 2 baskets, recounted 1"),
        ({"bought_together": []}, "b bought with c: 0, recounted 1"),
        ({"bought_after": [{"item_id": "c", "count": 1, "weight": 1.0}]}, "b and, bought after it, c: 1, recounted 0"),
    ],
)
def test_every_difference_of_baskets_is_found_and_told(wrong: dict[str, Any], told: str) -> None:
    def with_count(*items: str) -> list[dict[str, Any]]:
        return [{"item_id": item, "count": 1, "weight": 1.0} for item in items]

    a = row("a", 1, b=1, c=1) | {"bought_after": with_count("b", "c")}
    b = row("b", 1, a=1, c=1) | {"baskets": 1, "bought_together": with_count("c")}
    c = row("c", 1, a=1, b=1) | {"baskets": 1, "bought_together": with_count("b")}
    truth = recount(*clicks("a"), *purchases("bc"))
    assert compare(truth, [a, b, c]).equal
    assert compare(truth, [a, b | wrong, c]).examples == (told,)


def test_a_row_that_was_cut_may_lack_counts_and_never_has_more() -> None:
    counted = recount(*clicks("abc"), rules=Rules(neighbours=1))
    assert compare(counted, [row("a", 1, b=1), row("b", 1, a=1), row("c", 1, a=1)]).equal
    assert not compare(counted, [row("a", 1, b=2), row("b", 1, a=1), row("c", 1, a=1)]).equal


def test_a_whole_shop_with_its_mishaps_is_counted_as_the_oracle_counts_it() -> None:
    rng, partitions = Random(3), 4
    catalogue = build_catalogue(rng, 60)
    shop = events(rng, catalogue, crowd(rng, 40, catalogue), rate=2.0, start_ms=NOW_MS - 3_600_000)
    ends = [0] * partitions
    records: list[Record] = []
    for due, event in islice(shop, 3_000):
        if rng.random() < 0.1:
            del event["session_id"]
        value = msgspec.json.encode(event)
        user = str(event.get("user_id", event.get("anonymous_id"))).encode()
        for sending in sendings(rng, value, user):
            partition = home(sending.key.decode(), partitions)
            records.append(Record(partition, ends[partition], NOW_MS - 3_600_000 + round(due * 1000), sending.value))
            ends[partition] += 1
            if sending.mishap == "wrong key":  # and what a worker makes of it
                there, origin = home(user.decode(), partitions), records[-1]
                if there != partition:
                    header = oracle.sealed(sending.value, partition, origin.offset, origin.timestamp, partitions, there)
                    again = origin._replace(partition=there, offset=ends[there], headers=[("forwarded", header)])
                    records.append(again)
                    ends[there] += 1
    result = Recount(Rules(history=20), partitions)
    for record in records:
        result.take(record)
    told = oracle.recount(
        [oracle.Record(r.partition, r.offset, r.timestamp, None, r.value, tuple(r.headers)) for r in records],
        partitions,
        history=20,
    )
    assert result.pairs.total() > 3_000
    assert result.interactions == told.interactions
    assert result.pairs == told.pairs
    assert (result.baskets, result.together, result.after) == (told.baskets, told.together, told.after)
    assert min(result.together.total(), result.after.total()) > 50
    assert (len(result.rejected), result.elsewhere) == (len(told.rejected), len(told.forwarded))
    assert result.repeats == len(told.repeated) > 0


def test_a_customer_has_every_event_that_is_no_repeat_and_what_was_paid() -> None:
    bought = {
        "event_type": "order",
        "event_id": "e1",
        "currency": "EUR",
        "items": [{"item_id": "a", "price": 0.1, "quantity": 3}],
    }
    looked = {"event_type": "impression", "item_id": "a"}
    back = {"event_type": "refund", "item_id": "a", "value": 0.3, "currency": "EUR"}
    result = recount(looked, bought, bought, looked | {"event_id": "e1"}, back, {"event_type": "order", "item_id": "b"})
    assert result.customers == {"u": {"impression": 1, "purchase": 2, "refund": 1}}
    assert result.paid == {"u": {("spent", "EUR"): Decimal("0.3"), ("refunded", "EUR"): Decimal("0.3")}}
    right = b'{"events":{"impression":1,"purchase":2,"refund":1},"spent":{"EUR":0.3},"refunded":{"EUR":0.30}}'
    assert not list(customer_differences(result, {"u": right}))
    assert list(customer_differences(result, {})) == ["u: has 4 events, and nothing is known of the customer"]
    wrong = right.replace(b'"purchase":2', b'"purchase":3').replace(b"0.30", b"0.31")
    events, paid = customer_differences(result, {"u": wrong})
    assert events.startswith("u: the customer has {'impression': 1, 'purchase': 3, 'refund': 1}, recounted {'impression': 1, ")
    assert paid == "u: the customer paid 0.31 EUR refunded, 0.3 EUR spent, recounted 0.300000 EUR refunded, 0.300000 EUR spent"


def test_whoever_refuses_must_not_be_told_and_whoever_did_once_has_no_more_than_there_was() -> None:
    def said(offset: int, value: bytes | None, user: bytes = b"u", partition: int = 0) -> Record:
        return Record(partition, offset, 0, value, key=user)

    no, yes = b'{"consent": {"analyse": false, "personalise": false}}', b'{"consent": {"analyse": true}}'
    assert refused([said(0, no), said(1, b'{"consent": {"analyse": 1}}')]) == Refused({"u"}, {"u"}, {"u"})
    assert refused([said(0, no), said(1, yes)]) == refused([said(0, no), said(1, None)]) == Refused(set(), set(), {"u"})
    assert refused([said(0, no), said(0, yes, partition=1)]).analyse == {"u"}

    result = recount({"event_type": "impression", "item_id": "a"}, {"event_type": "order", "item_id": "b"})
    now, once = refused([said(0, no)]), refused([said(0, no), said(1, yes)])
    whole, part = b'{"events":{"impression":1,"purchase":1}}', b'{"events":{"purchase":1}}'
    assert not list(customer_differences(result, {"u": None}, now))
    assert list(customer_differences(result, {"u": whole}, now)) == ["u: refuses to be analysed, and the customer is told"]
    assert not list(customer_differences(result, {"u": part}, once)) + list(customer_differences(result, {}, once))
    assert list(customer_differences(result, {"u": part.replace(b"1", b"2")}, once))
    assert list(customer_differences(result, {"u": part}))
    # Of a visitor who joined, what was done up to whichever event that was.
    result.customers["anon:v"] = Counter(browse=1)
    visitors = b'"visitors":[{"anonymous_id":"v","first_seen":"","last_seen":"","events":1}]}'
    joined, more = (b'{"events":{"purchase":1,"browse":%d},%s' % (browsed, visitors) for browsed in (1, 2))
    visitor = {"anon:v": b'{"events":{"browse":1}}'}
    assert not list(customer_differences(result, {"u": joined} | visitor, once))
    assert len(list(customer_differences(result, {"u": more} | visitor, once))) == 1
    stranger, personal = {"u": b'{"strategy":"opted_out"}'}, {"u": b'{"strategy":"cold_start"}'}
    assert not list(refusal_differences(now, stranger, stranger, {"u": None}))
    assert [line.split(", and ")[1] for line in refusal_differences(now, personal, personal, {"u": whole})] == [
        "the newest in Redis is cold_start",
        "the newest on the topic is cold_start",
        "the newest record of the customer on the topic is not empty",
    ]

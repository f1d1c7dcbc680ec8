"""What a policy makes of events: filled by what came before and marked, left out, refused, or left alone to the byte."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from recsys.events import InvalidEvent, decode
from recsys.preprocessing import BadPolicy, Cleaner, read_policy
from recsys.readers import Record, Refused
from streams.cli import main
from streams.cli.reading import opened
from streams.topics import EVENTS

NOW_MS = 1_700_000_000_000


def order(item: object = "mug", **fields: object) -> dict[str, object]:
    return {"event_type": "order", "user_id": "u", "item_id": item, "event_time": NOW_MS} | fields


def judged(events: list[dict[str, Any]]) -> list[Record | Refused]:
    found: list[Record | Refused] = []
    for line, event in enumerate(events, 1):
        value = json.dumps(event).encode()
        try:
            found.append(Record(value, decode(value, NOW_MS), line))
        except InvalidEvent as error:
            found.append(Refused(value, str(error), line, value.decode()))
    return found


def cleaned(policy: str, *events: dict[str, Any]) -> list[dict[str, Any] | str]:
    """What becomes of each event: its JSON, or the reason why it is refused."""
    cleaner = Cleaner(read_policy(policy))
    done = [cleaner.clean(each, NOW_MS) for each in judged(list(events))]
    return [json.loads(each.value) if isinstance(each, Record) else each.reason for each in done]


def prices(found: list[dict[str, Any] | str]) -> list[object]:
    return [each if isinstance(each, str) else each.get("price") for each in found]


BY_MEAN = '[price]\nmissing = "fill"\ninvalid = "fill"\nby = "mean"\nmost = 1000'


def test_a_price_is_filled_with_the_mean_of_its_item_so_far_and_marked() -> None:
    given: list[dict[str, Any]] = [
        {},
        {"price": 2},
        {"price": 3},
        {},
        {"price": 1e9},
        {"item": "other"},
        {"price": -1},
        {"price": 4},
    ]
    found = cleaned(BY_MEAN, *[order(**fields) for fields in given])
    assert prices(found) == [None, 2, 3, 2.5, 2.5, None, 2.5, 4]
    assert ["filled" in each for each in found] == [False, False, False, True, True, False, True, False]
    assert isinstance(found[3], dict)
    assert found[3] == order(price=2.5, filled=["price"])


def test_the_mode_is_the_value_that_was_there_most_often_the_least_of_several() -> None:
    by_mode = '[currency]\nmissing = "fill"\nby = "mode"\n[price]\nmissing = "fill"\nby = "mode"'
    given = [("EUR", 5), ("USD", 5), ("USD", 3), ("EUR", 3)]
    seen = [order(currency=currency, price=price) for currency, price in given]
    found = cleaned(by_mode, *seen, order(), order(price=5), order())
    assert [(each["currency"], each["price"]) for each in found[4:] if isinstance(each, dict)] == [
        ("EUR", 3), ("EUR", 5), ("EUR", 5),
    ]  # fmt: skip


def test_each_line_of_a_basket_is_filled_by_its_own_item() -> None:
    basket = {"event_type": "order", "user_id": "u", "event_time": NOW_MS}
    first = basket | {"items": [{"item_id": "a", "price": 1}, {"item_id": 7, "price": 9}]}
    second = basket | {"items": [{"item_id": "7"}, {"item_id": "new"}, {"item_id": "a", "price": "x"}]}
    [_, found] = cleaned(BY_MEAN, first, second)
    assert found == second | {
        "items": [{"item_id": "7", "price": 9.0}, {"item_id": "new"}, {"item_id": "a", "price": 1.0}],
        "filled": ["items[0].price", "items[2].price"],
    }


def test_what_is_invalid_is_left_out_or_the_event_refused_and_without_a_rule_it_is_as_ever() -> None:
    wrong = order(price=-1)
    assert cleaned('[price]\ninvalid = "leave out"', wrong) == [order()]
    assert cleaned('[price]\ninvalid = "reject"', wrong) == ["price: invalid, and the policy rejects that"]
    assert cleaned('[price]\nmissing = "reject"', order(), order(price=1)) == [
        "price: missing, and the policy rejects that", order(price=1),
    ]  # fmt: skip
    assert cleaned('[price]\ninvalid = "keep"', wrong) == ["price: expected a number of at least 0"]
    [one] = cleaned('[quantity]\nmissing = "fill"\nvalue = 1', order(price=1))
    assert one == order(price=1, quantity=1.0, filled=["quantity"])


def test_a_view_lacks_no_price_and_other_faults_are_still_refused() -> None:
    view = order() | {"event_type": "view"}
    late = order(price=-1, event_time="yesterday")
    found = cleaned('[price]\nmissing = "fill"\ninvalid = "fill"\nvalue = 1', view, late)
    assert found[0] == view
    assert str(found[1]).startswith("event_time: 'yesterday'")


def test_what_was_refused_or_filled_teaches_nothing() -> None:
    found = cleaned(BY_MEAN, order(price=2), order(price=8, event_time="no"), order(), order(), order(price=4), order())
    assert prices(found)[2:] == [2.0, 2.0, 4, 3.0]


EVENTS_OF_TWO = st.lists(
    st.builds(
        lambda item, fields: order(item, **fields),
        st.sampled_from(["a", "b"]),
        st.dictionaries(st.sampled_from(["price", "currency", "source"]), st.sampled_from([1, 2.5, -1, "EUR", None, [], True])),
    ),
    max_size=12,
)
POLICY = BY_MEAN + '\n[currency]\nmissing = "fill"\ninvalid = "leave out"\nby = "mode"\n[source]\ninvalid = "reject"'


@given(EVENTS_OF_TWO, st.integers(0, 12))
def test_what_comes_later_changes_nothing_and_what_is_right_stays_to_the_byte(events: list[dict[str, Any]], cut: int) -> None:
    whole, begun = Cleaner(read_policy(POLICY)), Cleaner(read_policy(POLICY))
    given = judged(events)
    found = [whole.clean(each, NOW_MS) for each in given]
    assert [begun.clean(each, NOW_MS) for each in given[:cut]] == found[:cut]
    for before, after in zip(given, found, strict=True):
        if isinstance(after, Record):
            assert decode(after.value, NOW_MS) == after.event
            told = json.loads(before.value or b"")
            if isinstance(before, Record) and told.get("price") is not None and told.get("currency") is not None:
                assert after is before
    assert whole.rejected.total() == sum("policy" in each.reason for each in found if isinstance(each, Refused))
    marks = [json.loads(each.value).get("filled", []) for each in found if isinstance(each, Record)]
    assert whole.filled.total() == sum(map(len, marks))


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("price = 1", "price: expected an object, got a whole number"),
        ("[price", "not TOML"),
        ('[user_id]\nmissing = "fill"', "user_id: no such field: price, quantity"),
        ('[price]\nmissing = "leave out"', "price: missing is 'leave out', none of keep, reject, fill"),
        ('[price]\nmost = "x"', "price: most: expected a number, got a text"),
        (
            '[price]\nmising = "fill"',
            "price: object contains unknown field `mising`: missing, invalid, by, value, least, most are allowed",
        ),
        ('[price]\nmissing = "fill"', "price: a value to fill it with is wanted, and there is no `value`"),
        (
            '[price]\nmissing = "fill"\nvalue = "x"',
            "price: a value to fill it with is wanted, and `value` is 'x', which is none",
        ),
        (
            '[price]\nmissing = "fill"\nvalue = 5\nmost = 4',
            "price: a value to fill it with is wanted, and `value` is 5.0, which is none",
        ),
        ('[currency]\nmissing = "fill"\nby = "mean"', "currency: mean, least and most are for numbers"),
        ('[quantity]\nmissing = "fill"\nby = "interpolation"', "quantity: interpolation is for prices"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy: str, reason: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        read_policy(policy)
    assert str(refused.value).startswith(reason)


BY_INTERPOLATION = '[price]\nmissing = "fill"\ninvalid = "fill"\nby = "interpolation"\nmost = 1000'
PRICED = st.tuples(
    st.sampled_from(["a", "b"]), st.integers(0, 40), st.sampled_from([None, None, 1, 2.5, 9.99, 7, -1, 1e9]),
    st.sampled_from(["EUR", "USD"]),
)  # fmt: skip


@given(st.lists(PRICED, max_size=40))
def test_interpolation_is_that_of_numpy_and_pandas_between_the_known_prices_and_carried_at_the_ends(
    priced: list[tuple[str, int, float | None, str]],
) -> None:
    events = [
        order(item, currency=currency, event_time=NOW_MS + (at - 40) * 60_000) | ({} if price is None else {"price": price})
        for item, at, price, currency in priced
    ]
    cleaner, given = Cleaner(read_policy(BY_INTERPOLATION)), judged(events)
    assert cleaner.looks_ahead
    for each in given:
        cleaner.look(each)
    found = [cleaner.clean(each, NOW_MS) for each in given]
    table = pandas.DataFrame(priced, columns=["item", "at", "price", "currency"])
    good = table[table.price.between(0, 1000)].groupby(["item", "currency", "at"]).price.mean()
    filled = 0
    for after, (item, at, price, currency) in zip(found, priced, strict=True):
        assert isinstance(after, Record)
        told = json.loads(after.value)
        if price is not None and 0 <= price <= 1000:
            assert told["price"] == price
            assert "filled" not in told
            continue
        if not len(good[good.index.isin([(item, currency, at) for at in range(41)])]):
            assert "price" not in told
            continue
        filled += 1
        known = good.loc[item, currency]
        assert told["price"] == pytest.approx(np.interp(at, known.index, known.to_numpy()))
        whole = known.reindex(sorted({*known.index, at})).interpolate(method="index", limit_direction="both")
        assert told["price"] == pytest.approx(whole[at])
        assert told["filled"] == ["price"]
    assert cleaner.filled.total() == filled


def test_lines_of_baskets_are_interpolated_by_their_items_and_an_event_without_a_good_time_is_as_it_was() -> None:
    def at(minute: int, **fields: object) -> dict[str, object]:
        return {"event_type": "order", "user_id": "u", "event_time": NOW_MS + minute * 60_000} | fields

    events: list[dict[str, Any]] = [
        at(0, items=[{"item_id": "a", "price": 1}, {"item_id": 7, "price": 9}]),
        at(5, items=[{"item_id": "a"}, {"item_id": "7", "price": -1}]),
        at(10, items=[{"item_id": "a", "price": 3}, {"item_id": "7", "price": 5}]),
        at(5, item_id="a", price=-1) | {"event_time": "yesterday"},
    ]
    cleaner, given = Cleaner(read_policy(BY_INTERPOLATION)), judged(events)
    for each in given:
        cleaner.look(each)
    _, found, _, wrong = [cleaner.clean(each, NOW_MS) for each in given]
    assert isinstance(found, Record)
    assert json.loads(found.value)["items"] == [{"item_id": "a", "price": 2.0}, {"item_id": "7", "price": 7.0}]
    assert isinstance(wrong, Refused)
    assert wrong.reason.startswith("event_time")


def test_a_file_is_looked_through_before_it_is_put_right_and_its_quality_is_told(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    file, policy = tmp_path / "events.jsonl", tmp_path / "policy.toml"
    events = [order(price=2, event_time=NOW_MS), order(event_time=NOW_MS + 1000), order(price=4, event_time=NOW_MS + 2000)]
    file.write_text("\n".join(map(json.dumps, [events[1], events[0], events[2]])))
    policy.write_text(BY_INTERPOLATION)
    command = ["quality", str(file), "--format", "jsonl", "--clean", str(policy)]
    told = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert told["cleaned"] == {"filled": {"price": 1}, "left_out": {}, "rejected": {}}
    assert next(each for each in told["numbers"] if each["name"] == "price")["median"] == 3.0
    assert "filled by the policy" in CliRunner().invoke(main, command).stdout
    assert "cleaned" not in json.loads(CliRunner().invoke(main, [*command[:4], "--json"]).stdout)
    said = CliRunner().invoke(main, ["replay", *command[1:], "--json"], env=variables)
    assert json.loads(said.stdout)["cleaned"]["filled"] == {"price": 1}
    piped = CliRunner().invoke(main, ["quality", "-", *command[2:]], input=file.read_text())
    assert (piped.exit_code, "can be read once" in piped.stderr) == (1, True)


def test_a_file_is_replayed_as_the_policy_wants_it(variables: Mapping[str, str], tmp_path: Path) -> None:
    file, policy = tmp_path / "events.jsonl", tmp_path / "policy.toml"
    file.write_text("\n".join(map(json.dumps, [order(price=2), order(), order(price=-1), order(user_id="")])))
    policy.write_text(BY_MEAN)
    command = ["replay", str(file), "--format", "jsonl", "--clean", str(policy)]
    said = json.loads(CliRunner().invoke(main, [*command, "--json"], env=variables).stdout)
    assert (said["topic"].endswith(EVENTS), said["events"], said["bad"]["lines"]) == (True, 3, 1)
    assert said["cleaned"] == {"filled": {"price": 2}, "left_out": {}, "rejected": {}}
    assert "2 × price filled" in CliRunner().invoke(main, command, env=variables).stdout
    with opened(file, "jsonl", Cleaner(read_policy(BY_MEAN)).clean) as reader:
        assert [record.event.lines[0].price for record in reader] == [2.0, 2.0, 2.0]
    policy.write_text("[price")
    refused = CliRunner().invoke(main, command, env=variables)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
    assert "policy.toml: not TOML" in refused.stderr

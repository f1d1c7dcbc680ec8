"""An event is taken or rejected exactly as the contract's event table says."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import Bad, parse
from strategies import BAD, NOW_MS, BadInput, click, encoded, events, raw, without

from recsys.events import Event, InvalidEvent, Kind, Line, decode
from recsys.record import with_given


def taken(event: dict[str, Any] | bytes, recorded_ms: int = NOW_MS) -> Event:
    return decode(event if isinstance(event, bytes) else encoded(event), recorded_ms)


def reason(value: bytes | None, recorded_ms: int = NOW_MS) -> str:
    with pytest.raises(InvalidEvent) as caught:
        decode(value, recorded_ms)
    return str(caught.value)


def agree(value: bytes | None, recorded_ms: int = NOW_MS) -> bool:
    """That the decoder and the oracle say the same of a record; whether they take it."""
    try:
        expected = parse(value, recorded_ms)
    except Bad:
        with pytest.raises(InvalidEvent):
            decode(value, recorded_ms)
        return False
    event = decode(value, recorded_ms)
    assert event.kind.name.lower() == expected.kind
    assert event.user_id == expected.user
    assert event.home_id == expected.home_id
    assert [line.item_id for line in event.lines] == expected.items
    assert event.time_ms == expected.time_ms
    assert event.event_id == expected.event_id
    assert event.session_id == expected.session_id
    return True


# Types


@pytest.mark.parametrize("kind", list(Kind))
def test_every_type_is_known_by_its_name(kind: Kind) -> None:
    assert taken(click(event_type=kind.name.lower(), rating=3, anonymous_id="v")).kind is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("view", Kind.BROWSE),
        ("page_view", Kind.BROWSE),
        ("product_view", Kind.BROWSE),
        ("detail-page-view", Kind.BROWSE),
        ("transaction", Kind.PURCHASE),
        ("order", Kind.PURCHASE),
        ("addtocart", Kind.ADD_TO_CART),
        ("cart", Kind.ADD_TO_CART),
    ],
)
def test_other_common_names_are_accepted(name: str, kind: Kind) -> None:
    assert taken(click(event_type=name)).kind is kind


@pytest.mark.parametrize(
    "name", ["Add_To_Cart", "ADD-TO-CART", "add to cart", "AddToCart", " add__to--cart ", "add_to_cart" + " " * 200]
)
def test_case_dashes_underscores_and_spaces_of_a_type_do_not_matter(name: str) -> None:
    assert taken(click(event_type=name)).kind is Kind.ADD_TO_CART


@pytest.mark.parametrize("name", ["views", "add.to.cart", "add\tto cart", "purchase!", "クリック"])
def test_an_unknown_type_is_rejected_by_its_name(name: str) -> None:
    assert reason(encoded(click(event_type=name))).startswith("event_type: unknown type ")


def test_the_kinds_that_count_for_items_are_those_of_the_contract() -> None:
    counting = {kind.name for kind in Kind if kind.is_interaction}
    assert counting == {"BROWSE", "CLICK", "ADD_TO_CART", "WISHLIST", "PURCHASE", "RATING"}


# Ids


@pytest.mark.parametrize("name", ["user_id", "item_id", "anonymous_id"])
@pytest.mark.parametrize("character", ["x", "é", "漢", "😀", " ", "\0"])
def test_an_id_has_at_most_128_characters_however_many_bytes_these_are(name: str, character: str) -> None:
    assert taken(click(**{name: character})).lines
    assert taken(click(**{name: character * 128})).lines
    assert reason(encoded(click(**{name: character * 129}))).startswith(f"{name}: ")


@pytest.mark.parametrize("number", [0, 7, -7, 2**63, 2**64, -(2**64), 10**127])
def test_integer_ids_are_their_decimal_text(number: int) -> None:
    event = taken(click(user_id=number, item_id=number))
    assert event == taken(click(user_id=str(number), item_id=str(number)))
    assert event.user_id == str(number)


def test_a_visitor_is_a_user_of_its_own_at_home_where_the_bare_id_is() -> None:
    event = taken(without("user_id", anonymous_id="v1"))
    assert (event.user_id, event.home_id) == ("anon:v1", "v1")


def test_a_visitor_who_is_called_like_a_visitor_is_taken_as_it_is() -> None:
    event = taken(without("user_id", anonymous_id="anon:v1"))
    assert (event.user_id, event.home_id) == ("anon:anon:v1", "anon:v1")


def test_a_known_user_goes_before_the_visitor() -> None:
    event = taken(click(user_id="u1", anonymous_id="v1"))
    assert (event.user_id, event.home_id) == ("u1", "u1")


# Items


def test_a_basket_is_taken_in_its_order_with_repeats() -> None:
    lines = [{"item_id": "b", "quantity": 2, "price": 1.5}, {"item_id": 7, "price": None}, {"item_id": "b", "extra": 1}]
    event = taken(without("item_id", items=lines))
    assert event.lines == (Line("b", 2.0, 1.5), Line("7"), Line("b"))


def test_a_basket_has_at_most_500_items() -> None:
    lines = [{"item_id": n} for n in range(501)]
    assert len(taken(without("item_id", items=lines[:500])).lines) == 500
    assert reason(encoded(without("item_id", items=lines))).startswith("items: ")


def test_one_item_carries_the_events_quantity_and_price() -> None:
    assert taken(click(event_type="purchase", quantity=3, price=2.5)).lines == (Line("a", 3.0, 2.5),)


def test_a_search_needs_no_item_and_counts_none() -> None:
    assert taken(without("item_id", event_type="search", query="x" * 512)).lines == ()
    assert taken(click(event_type="search")).lines == ()


# Times


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        (1_764_000_000, 1_764_000_000_000),
        (1_764_000_000.123, 1_764_000_000_123),
        (1_764_000_000_000, 1_764_000_000_000),
        (1_763_999_999_999.75, 1_764_000_000_000),
        (1_763_999_999_999.25, 1_763_999_999_999),
        ("2025-11-24T16:00:00Z", 1_764_000_000_000),
        ("2025-11-24t16:00:00z", 1_764_000_000_000),
        ("2025-11-24 16:00:00Z", 1_764_000_000_000),
        ("2025-11-24T16:00:00-00:00", 1_764_000_000_000),
        ("2025-11-24T17:30:00+01:30", 1_764_000_000_000),
        ("2025-11-23T16:01:00-23:59", 1_764_000_000_000),
        ("2025-11-24T16:00:00.1Z", 1_764_000_000_100),
        ("2025-11-24T16:00:00.123456Z", 1_764_000_000_123),
        ("2025-11-24T16:00:00.123456789Z", 1_764_000_000_123),
        (788_918_400, 788_918_400_000),
        (788_918_400_000, 788_918_400_000),
        ("1995-01-01T00:00:00Z", 788_918_400_000),
        (None, NOW_MS),
    ],
)
def test_event_times_come_in_seconds_milliseconds_and_rfc_3339(given_time: object, expected: int) -> None:
    assert taken(click(event_time=given_time)).time_ms == expected


def test_the_records_timestamp_is_the_time_where_none_is_given() -> None:
    assert taken(click(), recorded_ms=1_700_000_000_123).time_ms == 1_700_000_000_123


@pytest.mark.parametrize("recorded_ms", [-1, 0, 788_918_399_999])
def test_a_record_without_any_usable_time_is_rejected(recorded_ms: int) -> None:
    assert reason(encoded(click()), recorded_ms).startswith("event_time: ")


def test_ten_minutes_ahead_is_taken_and_a_millisecond_more_is_not() -> None:
    assert taken(click(event_time=NOW_MS + 600_000)).time_ms == NOW_MS + 600_000
    assert reason(encoded(click(event_time=NOW_MS + 600_001))).startswith("event_time: more than 10 minutes ahead")


def test_however_late_an_event_is_it_is_taken() -> None:
    assert taken(click(event_time="1999-12-31T23:59:59+14:00")).time_ms < NOW_MS


# The other fields


def test_every_field_of_the_table_is_carried() -> None:
    event = taken(
        click(
            event_type="rating",
            rating=4.5,
            event_id="e1",
            session_id="s1",
            value=9,
            currency="EUR",
            query="q",
            source="ios",
            recommendation_id="r1",
            position=3,
            properties={"any": ["thing", None]},
            unknown=1,
        )
    )
    assert event == Event(
        kind=Kind.RATING,
        user_id="u1",
        lines=(Line("a"),),
        time_ms=NOW_MS,
        event_id="e1",
        session_id="s1",
        currency="EUR",
        value=9.0,
        rating=4.5,
        query="q",
        source="ios",
        recommendation_id="r1",
        position=3,
    )


OPTIONAL = [
    "anonymous_id", "items", "event_time", "event_id", "session_id", "quantity", "price", "value", "currency", "rating",
    "query", "source", "recommendation_id", "position", "properties",
]  # fmt: skip


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_is_as_if_the_field_were_missing(name: str) -> None:
    assert taken(click(**{name: None})) == taken(click())


@pytest.mark.parametrize("number", ["0", "-0.0", "1e308", "1" * 308, "0.1"])
def test_amounts_are_numbers_from_zero_on(number: str) -> None:
    assert taken(raw("value", number)).value == float(number)


@pytest.mark.parametrize("number", [1, 1.0, 5])
def test_a_rating_is_between_1_and_5(number: float) -> None:
    assert taken(click(event_type="rating", rating=number)).rating == number


def test_of_a_name_that_stands_twice_the_last_counts() -> None:
    assert taken(raw("user_id", '"u2"')).user_id == "u2"


def test_a_record_of_64_kib_is_taken() -> None:
    value = raw("properties", '""')
    value = raw("properties", '"' + "x" * (65_536 - len(value)) + '"')
    assert len(value) == 65_536
    assert taken(value).user_id == "u1"


@pytest.mark.parametrize("properties", ["1e999", "1" * 5_000, "[" * 100 + "]" * 100, r'"\ud83d\ude00\u0000"', "{}"])
def test_what_stands_in_properties_does_not_matter_while_it_is_json(properties: str) -> None:
    assert taken(raw("properties", properties)) == taken(click())


# Bad input


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: ascii(bad.what)[1:41])
def test_bad_input_is_rejected_with_a_reason_that_names_the_field(bad: BadInput) -> None:
    said = reason(bad.value)
    assert bad.field is None or bad.field in said.partition(": ")[0] or f"`{bad.field}`" in said
    assert said.isprintable()
    assert 0 < len(said) <= 250
    assert len(said.encode()) <= 1_000


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: ascii(bad.what)[1:41])
def test_bad_input_is_bad_to_the_oracle_too(bad: BadInput) -> None:
    assert not agree(bad.value)


def test_a_strangers_text_in_a_reason_is_short_and_escaped() -> None:
    said = reason(encoded(click(event_type="\x1b[31m\n" + "x" * 999)))
    assert said.startswith(r"event_type: unknown type '\x1b[31m\nxx")
    assert len(reason(encoded(click(event_time="\u202e" * 999)))) < 400


# Against the oracle


@given(events())
def test_good_events_are_taken_as_the_oracle_takes_them(event: dict[str, Any]) -> None:
    assert agree(encoded(event))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([10**11, 10**11 - 1, 10**400, 1, 5, NOW_MS]),
    st.text(max_size=4),
    st.text("é", min_size=127, max_size=129),
    st.characters(categories=["Cs"]),
    st.sampled_from(["anon:x", "EUR", "click", "search", "2025-11-24T16:00:00Z"]),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
NAMES = ["event_type", "user_id", "item_id", *OPTIONAL, "unknown"]
CHANGES = st.dictionaries(st.sampled_from(NAMES), ANYTHING, min_size=1, max_size=3)


@settings(max_examples=400)
@given(events(), CHANGES)
@example(click(), {"event_time": 10**400})
@example(click(), {"event_time": -(10**400)})
def test_of_any_changed_event_they_say_the_same(event: dict[str, Any], changes: dict[str, Any]) -> None:
    agree(json.dumps(event | changes).encode("utf-8", "surrogatepass"))
    agree(json.dumps(event | changes, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(ANYTHING | st.binary())
def test_of_anything_at_all_they_say_the_same(content: object) -> None:
    agree(content if isinstance(content, bytes) else json.dumps(content).encode())


@given(events(), st.data())
def test_of_damaged_bytes_they_say_the_same(event: dict[str, Any], data: st.DataObject) -> None:
    value = bytearray(encoded(event))
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] = data.draw(st.integers(0, 255))
    agree(bytes(value[: data.draw(st.integers(at, len(value)))]))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"price": "9,50"}, "price: expected a number, got a text; it is '9,50'"),
        ({"price": -1}, "price: expected a number of at least 0; it is -1"),
        ({"user_id": True}, "user_id: expected a whole number or a text, got true or false; it is true"),
        ({"items": "mug", "item_id": None}, "items: expected a list, got a text; it is 'mug'"),
        ({"items": [{"item_id": "a"}, {"item_id": "b", "price": "4"}], "item_id": None},
         "items[1].price: expected a number, got a text; it is '4'"),
        ({"user_id": "x" * 129}, f"user_id: expected a text of at most 128 characters; it is '{'x' * 40}...'"),
        ({"session_id": {"a": 1}}, "session_id: expected a text, got an object"),
        ({"items": [{"item_id": "a"}] * 501, "item_id": None}, "items: expected a list of at most 500; it has 501"),
        ({"event_time": 123}, "event_time: before 1995; it is 123"),
        ({"event_time": "2099-01-01T00:00:00Z"},
         "event_time: more than 10 minutes ahead of the record's timestamp; it is '2099-01-01T00:00:00Z'"),
        ({"event_type": "buy"},
         "event_type: unknown type 'buy'; known are browse, click, add_to_cart, wishlist, purchase, rating, impression, "
         "remove_from_cart, refund, search, identify, forget"),
        ({"user_id": "anon:x"}, "user_id: may not begin with 'anon:': give anonymous_id; it is 'anon:x'"),
        ({"item_id": 10**130}, f"item_id: longer than 128 characters; it is '1{'0' * 39}...'"),
    ],
)  # fmt: skip
def test_what_is_set_aside_says_what_was_wanted_and_what_was_given(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        taken(click(**fields))
    assert with_given(refused.value) == said
    assert str(refused.value) == said.partition(";")[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\xef\xbb\xbf{}", "not JSON: a byte order mark stands before it"),
        ("{}".encode("utf-16"), "not UTF-8: byte 0 cannot be decoded, it is UTF-16"),
    ],
)
def test_what_a_spreadsheet_makes_of_a_text_is_named(value: bytes, said: str) -> None:
    with pytest.raises(InvalidEvent, match=said):
        decode(value, NOW_MS)

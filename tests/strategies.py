"""Hypothesis strategies: streams of event records as producers send them, well and badly behaved ones."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from oracle import Record, home_partition, sealed

NOW_MS = 1_764_000_000_000
"""The time about which the generated streams happen."""

USERS = ["u1", "u1", "u1", "u2", "ü3", 5, 10**20]
VISITORS = ["v1", "u1", "anon:v2"]
ITEMS = [*["a", "b", "c", "d", "é", "7", 7, 8] * 2, *"klmnopq"]
COUNTED = [
    "browse", "view", "page_view", "Product View", "detail-page-view",
    "click", "CLICK", "add_to_cart", "addtocart", "cart", "wishlist", "purchase", "transaction", "Order",
]  # fmt: skip
UNCOUNTED = ["impression", "remove_from_cart", "refund", "search", "identify", "forget"]


@dataclass(frozen=True)
class BadInput:
    """A record's value that goes to `rejected`."""

    what: str
    value: bytes | None
    field: str | None
    """What the reason names, where it is one field's fault."""


def encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def click(**fields: Any) -> dict[str, Any]:
    return {"event_type": "click", "user_id": "u1", "item_id": "a"} | fields


def raw(name: str, text: str, **fields: Any) -> bytes:
    """A click with one more field, its value written as it stands, JSON or not."""
    return encoded(click(**fields))[:-1] + f', "{name}": {text}}}'.encode()


def bad(field: str, what: str, event: dict[str, Any]) -> BadInput:
    return BadInput(f"{field}: {what}", encoded(event), field)


def without(name: str, **fields: Any) -> dict[str, Any]:
    return {k: v for k, v in click(**fields).items() if k != name}


DEEP = "[" * 20_000
NO_TEXT: list[Any] = [7, 1.5, True, [], {}]
NO_AMOUNT: list[Any] = ["1", True, [], {}, -1, -0.001, 10**400]
NO_ID: list[Any] = [1.5, 1e3, True, [], {}]
NO_BASKET: list[Any] = ["a", 1, True, {}, ["a"], [None]]
NO_LINE: list[Any] = [{}, {"item_id": None}, {"item_id": ""}, {"item_id": "x" * 129}, {"item_id": 10**128}]
NO_CURRENCY: list[Any] = ["", "eur", "EURO", "EU", "EUR\n", "ÉUR", 978]
NO_RATING: list[Any] = [None, 0, 0.99, 5.01, 6, "5", True]
NO_POSITION: list[Any] = ["1", 1.5, True, []]
NO_TIME: list[Any] = [
    *("", "yesterday", "1764000000", "2025-11-24", "2025-11-24T16:00:00", "2025-11-24T16:00:00.5", "2025-11-24T16:00Z"),
    *("2025-11-24T16:00:00+0100", "2025-11-24T16:00:00+01", "2025-11-24T16:00:00Z ", "2025-02-29T16:00:00Z"),
    *("2025-11-24T25:00:00Z", "1994-12-31T23:59:59.999Z", "1995-01-01T00:00:00+00:01", "0001-01-01T00:00:00+23:59"),
    *("2999-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"),
    *(0, -1, -1.5, 788_918_399, 788_918_399_999, 99_999_999_999, 100_000_000_000, 1e17, 1e308, 10**400, -(10**400)),
    *(True, [], {}),
]

BAD = [
    BadInput("a null record", None, None),
    BadInput("an empty record", b"", None),
    BadInput("white space alone", b" \n", None),
    BadInput("bytes that are not UTF-8", b'{"event_type": "click", "user_id": "\xff", "item_id": "a"}', None),
    BadInput("UTF-16", json.dumps(click()).encode("utf-16"), None),
    BadInput("a byte order mark", b"\xef\xbb\xbf" + encoded(click()), None),
    BadInput("half an object", encoded(click())[:-1], None),
    BadInput("two objects", encoded(click()) * 2, None),
    BadInput("a trailing comma", encoded(click())[:-1] + b",}", None),
    BadInput("an array", b"[]", None),
    BadInput("an event in an array", b"[" + encoded(click()) + b"]", None),
    BadInput("a string", b'"click"', None),
    BadInput("a number", b"17", None),
    BadInput("a JSON null", b"null", None),
    BadInput("arrays nested too deep", DEEP.encode(), None),
    BadInput("64 KiB and a byte", raw("properties", '"' + "x" * (65_537 - len(raw("properties", '""'))) + '"'), None),
    BadInput("properties nested too deep", raw("properties", DEEP + "]" * len(DEEP)), "properties"),
    BadInput("objects nested too deep", raw("properties", '{"a":' * 5_000 + "1" + "}" * 5_000), "properties"),
    BadInput("nesting too deep that never ends", raw("properties", DEEP), "properties"),
    *(
        BadInput(f"{name}: {text}", raw(name, text), name)
        for name in ("value", "rating", "user_id", "event_time", "properties", "position")
        for text in ("NaN", "Infinity", "-Infinity", '{"a": [NaN]}')
        if name == "properties" or not text.startswith("{")
    ),
    *(
        BadInput(f"{name}: a lone surrogate", raw(name, surrogate), name)
        for name in ("user_id", "item_id", "event_type", "event_id", "query", "properties")
        for surrogate in (r'"\ud800"', r'"\udc00x"', r'"\ud83d\ud83d"')
    ),
    BadInput("a lone surrogate in a name", raw("properties", r'{"\udfff": 1}'), "properties"),
    bad("event_type", "missing", without("event_type")),
    bad("event_type", "null", click(event_type=None)),
    bad("event_type", "empty", click(event_type="")),
    bad("event_type", "unknown", click(event_type="hover")),
    bad("event_type", "unknown and long", click(event_type="é\n" * 5_000)),
    *(bad("event_type", repr(content), click(event_type=content)) for content in NO_TEXT),
    bad("user_id", "missing", without("user_id")),
    bad("user_id", "null", click(user_id=None)),
    bad("user_id", "empty", click(user_id="")),
    bad("user_id", "empty beside anonymous_id", click(user_id="", anonymous_id="v1")),
    bad("user_id", "129 characters", click(user_id="é" * 129)),
    bad("user_id", "an integer of 129 digits", click(user_id=10**128)),
    BadInput("user_id: an integer of 5000 digits", raw("user_id", "1" * 5_000), "user_id"),
    bad("user_id", "anon:", click(user_id="anon:u1")),
    *(bad("user_id", repr(content), click(user_id=content)) for content in NO_ID),
    bad("anonymous_id", "empty", without("user_id", anonymous_id="")),
    bad("anonymous_id", "129 characters", without("user_id", anonymous_id="v" * 129)),
    *(bad("anonymous_id", repr(content), without("user_id", anonymous_id=content)) for content in NO_TEXT),
    bad("item_id", "missing", without("item_id")),
    bad("item_id", "null", click(item_id=None)),
    bad("item_id", "empty", click(item_id="")),
    bad("item_id", "129 characters", click(item_id="😀" * 129)),
    bad("item_id", "an integer of 129 digits", click(item_id=-(10**127))),
    bad("item_id", "129 digits beside items", click(item_id=10**128, items=[{"item_id": "b"}])),
    bad("item_id", "a search's of 129 digits", click(event_type="search", item_id=10**128)),
    *(bad("item_id", repr(content), click(item_id=content)) for content in NO_ID),
    bad("items", "empty", without("item_id", items=[])),
    bad("items", "beside item_id", click(items=[{"item_id": "b"}])),
    bad("items", "beside a search's item_id", click(event_type="search", items=[{"item_id": "b"}])),
    bad("items", "501", without("item_id", items=[{"item_id": n} for n in range(501)])),
    *(bad("items", repr(content), without("item_id", items=content)) for content in NO_BASKET),
    *(bad("item_id", f"{line!r} in a basket", without("item_id", items=[{"item_id": "b"}, line])) for line in NO_LINE),
    *(
        bad(name, f"{str(content)[:9]} in a basket", without("item_id", items=[{"item_id": "b", name: content}]))
        for name in ("quantity", "price")
        for content in NO_AMOUNT
    ),
    *(
        bad(name, str(content)[:9], click(event_type="purchase", **{name: content}))
        for name in ("quantity", "price", "value")
        for content in NO_AMOUNT
    ),
    BadInput("price: 1e999", raw("price", "1e999"), "price"),
    *(bad("currency", repr(content), click(currency=content)) for content in NO_CURRENCY),
    bad("user_id", "missing to identify", without("user_id", event_type="identify", anonymous_id="v1")),
    bad("anonymous_id", "missing to identify", click(event_type="identify")),
    bad("rating", "missing", click(event_type="rating")),
    *(bad("rating", repr(content), click(event_type="rating", rating=content)) for content in NO_RATING),
    bad("query", "513 characters", click(event_type="search", query="é" * 513)),
    bad("query", "a number", click(event_type="search", query=5)),
    bad("event_id", "empty", click(event_id="")),
    bad("session_id", "empty", click(session_id="")),
    bad("recommendation_id", "empty", click(recommendation_id="")),
    *(
        bad(name, repr(content), click(**{name: content}))
        for name in ("event_id", "session_id", "source", "recommendation_id")
        for content in NO_TEXT
    ),
    *(bad("position", repr(content), click(position=content)) for content in NO_POSITION),
    *(bad("event_time", repr(content)[:40], click(event_time=content)) for content in NO_TIME),
    BadInput("event_time: 5000 digits", raw("event_time", "1" * 5_000), "event_time"),
]


def times(now_ms: int) -> st.SearchStrategy[Any]:
    """An `event_time` within some hours of now, in every form and often late; None where it is left out."""
    offsets = st.one_of(
        st.integers(-5, 5).map(lambda n: n * 60_000),
        st.sampled_from([-1_800_001, -1_800_000, -1_799_999, -7_200_000, 600_000]),
    )
    forms = st.sampled_from(["none", "ms", "fraction", "seconds", "zulu", "offset"])
    return st.tuples(offsets, forms).map(lambda pair: written(now_ms + pair[0], pair[1]))


def written(time_ms: int, form: str) -> Any:
    seconds, rest = divmod(time_ms, 1000)
    clock, shifted = (iso(seconds), iso(seconds + 5400))
    return {
        "none": None,
        "ms": time_ms,
        "fraction": time_ms - 0.25,
        "seconds": seconds,
        "zulu": f"{clock}.{rest:03}Z",
        "offset": f"{shifted.lower()}.{rest:03}+01:30",
    }[form]


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def baskets() -> st.SearchStrategy[list[dict[str, Any]]]:
    line = st.fixed_dictionaries(
        {"item_id": st.sampled_from(ITEMS)},
        optional={"quantity": st.sampled_from([None, 0, 1, 2.5]), "price": st.sampled_from([None, 0, 9.99])},
    )
    return st.lists(line, min_size=1, max_size=8)


@st.composite
def events(draw: st.DrawFn, now_ms: int = NOW_MS) -> dict[str, Any]:
    """A good event, about one in ten without effect on counts."""
    kind = draw(st.sampled_from(COUNTED * 2 + UNCOUNTED + ["rating", *["purchase"] * 8, *["refund"] * 4]))
    event: dict[str, Any] = {"event_type": kind, "unknown": [1, {"a": None}]}
    if kind == "identify" or draw(st.sampled_from([True] * 5 + [False])):
        event["user_id"] = draw(st.sampled_from(USERS))
        event["anonymous_id"] = draw(st.sampled_from(VISITORS if kind == "identify" else [None, None, *VISITORS]))
    else:
        event |= {"anonymous_id": draw(st.sampled_from(VISITORS)), "user_id": None}
    if kind in ("purchase", "Order", "refund", "view") and draw(st.booleans()):
        event["items"] = draw(baskets())
    elif kind not in ("search", "identify", "forget"):
        event["item_id"] = draw(st.sampled_from(ITEMS))
    if kind == "rating":
        event["rating"] = draw(st.sampled_from([1, 2.5, 5]))
    event["comment"] = draw(st.sampled_from([None, None, "I love this mug!", "It broke. Awful.", " ", 7, "Schön"]))
    event["language"] = draw(st.sampled_from([None, "en", "en-GB", "EN_us", "de", "eng", ["en"]]))
    event["event_id"] = draw(st.sampled_from([None] * 6 + ["e1", "e2", "e3", "e4"]))
    event["session_id"] = draw(st.sampled_from([None, None, None, "s1", "s1", "s1", "s2"]))
    event["event_time"] = draw(times(now_ms))
    event["source"] = draw(st.sampled_from([None, None, "web", "ios", ""]))
    event["country"] = draw(st.sampled_from([None, None, "DE", "FR", "fr", "France", 49]))
    if kind == "search":
        event["query"] = draw(st.sampled_from([None, "shoes", " Shoes ", "blue  shoes"]))
    event["recommendation_id"] = draw(st.sampled_from([None] * 3 + ["r1"]))
    if kind in ("purchase", "refund"):
        event["currency"] = draw(st.sampled_from([None, "EUR", "EUR", "JPY"]))
        event["value"] = draw(st.sampled_from([None, 12.34, 0]))
        if "items" not in event:
            event["price"] = draw(st.sampled_from([None, 0.1, 9.99, 1e10, 2e13, 1e308]))
            event["quantity"] = draw(st.sampled_from([None, 3, 0.25, 1e18, 1e300]))
    return {name: content for name, content in event.items() if content is not None or draw(st.booleans())}


def home_of(event: dict[str, Any]) -> str:
    """The id whose hash is the event's home partition."""
    user = event.get("user_id")
    return str(event["anonymous_id"] if user is None else user)


@st.composite
def records(draw: st.DrawFn, now_ms: int = NOW_MS) -> tuple[str | None, bytes | None, int]:
    """What a producer sends: home id (None: bad input), value and timestamp."""
    timestamp = now_ms + draw(st.integers(-3, 3)) * 60_000
    if draw(st.sampled_from([False] * 14 + [True])):
        return None, draw(st.sampled_from(BAD)).value, timestamp
    event = draw(events(now_ms))
    return home_of(event), encoded(event), timestamp


@st.composite
def logs(draw: st.DrawFn, partitions: int = 3, max_size: int = 80) -> list[Record]:
    """A topic at the end: gaps between offsets, records on wrong partitions, and their forwarded copies, some twice."""
    log: list[Record] = []
    ends = [draw(st.integers(0, 3)) for _ in range(partitions)]

    def append(partition: int, *rest: Any) -> Record:
        ends[partition] += draw(st.sampled_from([1, 1, 1, 2]))
        log.append(Record(partition, ends[partition], *rest))
        return log[-1]

    least = draw(st.sampled_from([0, 20, 50]))  # left to itself Hypothesis draws five
    for home_id, value, timestamp in draw(st.lists(records(), min_size=least, max_size=max_size)):
        home = 0 if home_id is None else home_partition(home_id, partitions)
        shift = draw(st.sampled_from([0, 0, 0, 0, 0, 1]))
        key = draw(st.sampled_from([None, b"", b"\xff", (home_id or "u1").encode()]))
        forged = draw(st.sampled_from([()] * 9 + [((("forwarded", b"1/999999999/%d" % timestamp)),)]))
        original = append((home + shift) % partitions, timestamp, key, value, forged)
        if home_id is None or original.partition == home:
            continue
        forwarded = sealed(value or b"", original.partition, original.offset, timestamp, partitions, home)
        for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
            arrived = timestamp + draw(st.sampled_from([0, 10_000_000]))
            append(home, arrived, home_id.encode(), value, (("other", b""), ("forwarded", forwarded)))
    return log

"""Hostile records: a seeded grammar of events, and everything that careless and wicked producers do to them.

An event is composed by the contract's table as a list of fields, each with its JSON text; fields are then exchanged, repeated
and dropped, and the bytes cut, flipped and joined. Keys, headers and timestamps are as strange.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from oracle import home_partition, sealed
from strategies import BAD, COUNTED, NOW_MS, UNCOUNTED, VISITORS, written

Headers = tuple[tuple[str, bytes | None], ...]
Field = tuple[str, str]
"""A field's name, and its value as JSON text."""

MAX_BYTES = 64 * 1024
LONGEST_REASON = 300
"""Characters of a reason on `rejected`, at most."""
YEAR_MS = 365 * 86_400_000


class Sent(NamedTuple):
    """A record as its producer sent it."""

    partition: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


STRANGE_IDS = [
    "{u0}", "{u1}:mark", "{i0}", "{", "}", "{}", "recs:x", "freshet:trending", ":", "*", "a\nb", "a\r\nSET x 1\r\n", "\0",
    "a\0b", " ", "\t", "-0", "00", "1e3", "NaN", "null", "١", "é", "e\u0301", "\u202eabc", "\u2028", "\ufeff", "\ufffe",
    "\U0010ffff", "\x1b[31m", "../..", "%s%n", '"', "\\", "'; --", "x" * 128, "😀" * 128, "\x01" * 128, "anon:anon:",
    "z" * 127,
]  # fmt: skip
WRONG_IDS = ["", "x" * 129, "😀" * 129, "anon:x", "anon:"]
USERS = ["u1", "u2", "ü3", "5", "100000000000000000000", "hot"]
ITEMS = [f"i{n}" for n in range(40)]
NAMES = [
    "event_type", "user_id", "anonymous_id", "item_id", "items", "event_time", "event_id", "session_id", "quantity", "price",
    "value", "currency", "rating", "query", "source", "country", "recommendation_id", "position", "properties", "unknown", "",
]  # fmt: skip
DEPTHS = [3, 90, 249, 250, 498, 499, 500, 501, 990, 9_000]
TOKENS = [
    *("null", "true", "false", "0", "-0", "-0.0", "1", "-1", "5", "1.5", "1e3", "1E-400", "1e308", "1e309", "-1e999", "9" * 20),
    *("9" * 127, "9" * 128, "-" + "9" * 127, "-" + "9" * 128, "1" * 4299, "1" * 4301, "0." + "3" * 400, "100000000000"),
    *("99999999999", "99999999999.9", "1e11", "1e16", "10000000000000001", "788918400", "788918399", "253402300800"),
    *("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "nul", "'a'", "[]", "{}", "[[]]", '[{"item_id": "a"}]'),
    *('""', '"a"', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\x"', '"\n"', '"\x7f"', '"unclosed'),
    *('"click"', '"search"', '"refund"', '"EUR"', '"eur"', '"anon:x"', '"2025-11-24T16:00:00Z"', '"2025-11-24T16:00:60Z"'),
    *('"9999-12-31T23:59:59Z"', '"1995-01-01T00:00:00Z"', '"0000-01-01T00:00:00Z"', '"2025-11-24T16:00:00+24:00"'),
    *('{"item_id": 1, "item_id": 1.5}', '[{"item_id": 1.5, "item_id": 1}]', '[{"item_id": "a", "price": -1}]', '{"": NaN}'),
]
FORGED = [
    b"1/17/1764000000000", b"2/99999999999/1764000000000", b"0/1/1764000000000/more",
    b"1/1/1764000000000/3-0123456789abcdef0123456789abcdef", b"2/999999999/1764000000000/4-", sealed(b"{}", 1, 9**9, 0, 3, 0),
    b"7/1/1764000000000", b"1/1/99999999999999999999", b"-1/1/1", b"1/1", b"", b"/", b"//", b"1//1", b"a/b/c",
    "1/١/1".encode(), b" 1/1/1", b"1/1/1\n", b"+1/1/1", b"\0" * 99, b"/" * 60_000, b"1/" + b"1" * 30_000 + b"/1", b"\xff",
]  # fmt: skip
CLOCKS = [-1, 0, 1, 788_918_399_999, 788_918_400_000, 2**31, NOW_MS - 20 * YEAR_MS, NOW_MS + YEAR_MS, NOW_MS + 90 * YEAR_MS]
BEYOND = [253_402_300_799_999, 253_402_300_800_000, 2**48, 2**53 + 1, 2**62]
"""Timestamps at the end of the calendar, and of what numbers hold."""


def records(rng: random.Random, inputs: int, partitions: int, now_ms: int = NOW_MS) -> Iterator[Sent]:
    """So many records, in the order in which they are sent."""
    for n in range(inputs):
        yield record(rng, partitions, now_ms + n * 50)


def record(rng: random.Random, partitions: int, now_ms: int) -> Sent:
    timestamp = now_ms + rng.choice([0, 0, 0, -1_000, 1_000, -1_800_001, -7_200_000])
    if rng.random() < 0.02:
        timestamp = rng.choice(CLOCKS + BEYOND)
    fields, home_id = event(rng, timestamp)
    value: bytes | None = assembled(rng, fields)
    fate = rng.random()
    if fate < 0.3:
        for _ in range(rng.choice([1, 1, 2, 4])):
            rng.choice(CHANGES)(rng, fields)
        value = assembled(rng, fields)
    elif fate < 0.38:
        value = rng.choice(DAMAGES)(rng, assembled(rng, fields))
    elif fate < 0.42:
        value = rng.choice(BAD).value
    partition = rng.randrange(partitions) if rng.random() < 0.08 else home_partition(home_id, partitions)
    return Sent(partition, timestamp, key(rng, home_id), value, headers(rng))


def event(rng: random.Random, now_ms: int) -> tuple[list[Field], str]:
    """The fields of a good event, and the id whose hash is its home."""
    kind = rng.choice(COUNTED * 2 + UNCOUNTED + ["rating", "purchase", "refund"])
    fields = [("event_type", text(rng, kind))]
    if rng.random() < 0.85:
        home_id = user(rng)
        number = home_id.isascii() and home_id.isdigit() and home_id == str(int(home_id))
        fields.append(("user_id", home_id if number and rng.random() < 0.5 else text(rng, home_id)))
        if kind == "identify" or rng.random() < 0.1:
            fields.append(("anonymous_id", text(rng, identifier(rng, VISITORS))))
    else:
        home_id = identifier(rng, VISITORS)
        fields.append(("anonymous_id", text(rng, home_id)))
    if kind in ("purchase", "Order", "refund", "view") and rng.random() < 0.5:
        size = rng.choice([1, 1, 2, 3, 5, 8]) if rng.random() < 0.97 else rng.choice([49, 51, 499, 500])
        fields.append(("items", "[" + ",".join(line(rng) for _ in range(size)) + "]"))
    elif kind != "search":
        fields.append(("item_id", text(rng, item(rng))))
    if kind == "rating":
        fields.append(("rating", rng.choice(["1", "2.5", "5", "5.0"])))
    if rng.random() < 0.3:
        fields.append(("event_id", text(rng, rng.choice(["e1", "e2", "e3", *STRANGE_IDS, f"e{rng.randrange(10**6)}"]))))
    if rng.random() < 0.4:
        fields.append(("session_id", text(rng, rng.choice(["s1", "s1", "s2", *STRANGE_IDS]))))
    if rng.random() < 0.5 and 788_918_400_000 < now_ms < 4_000_000_000_000:
        time_ms = max(788_918_400_000, now_ms - rng.choice([0, 60_000, -600_000, 1_800_000, 1_800_001, YEAR_MS, 9 * YEAR_MS]))
        form = written(time_ms, rng.choice(["ms", "fraction", "seconds", "zulu", "offset"]))
        fields.append(("event_time", json.dumps(form)))
    rng.shuffle(fields)
    return fields, home_id


def user(rng: random.Random) -> str:
    """The hot user in one event of five."""
    return "hot" if rng.random() < 0.2 else identifier(rng, USERS)


def item(rng: random.Random) -> str:
    """The hot item in one event of ten."""
    return "i0" if rng.random() < 0.1 else identifier(rng, ITEMS)


def identifier(rng: random.Random, ordinary: list[str]) -> str:
    return rng.choice(ordinary) if rng.random() < 0.85 else rng.choice(STRANGE_IDS)


def line(rng: random.Random) -> str:
    return f'{{"item_id": {text(rng, item(rng))}, "price": {rng.choice(["1", "0", "null", "2.5"])}}}'


def text(rng: random.Random, content: str) -> str:
    """A JSON string, its characters as they are or escaped."""
    return json.dumps(content, ensure_ascii=rng.random() < 0.5)


def assembled(rng: random.Random, fields: list[Field]) -> bytes:
    """The bytes of an object with these fields; lone surrogates stay what they are."""
    space = rng.choice(["", "", " ", "\n", "\t "])
    inner = ",".join(f"{space}{json.dumps(name)}{space}:{content}{space}" for name, content in fields)
    return f"{space}{{{inner}}}{space}".encode("utf-8", "surrogatepass")


# Changes of fields


def exchange(rng: random.Random, fields: list[Field]) -> None:
    """One field, there or not, gets any value."""
    name = rng.choice([*NAMES, *(name for name, _ in fields)])
    fields[:] = [field for field in fields if field[0] != name]
    fields.insert(rng.randint(0, len(fields)), (name, token(rng)))


def repeat(rng: random.Random, fields: list[Field]) -> None:
    """One field stands twice, with two values."""
    name, content = rng.choice(fields) if fields else ("user_id", '"u1"')
    other = rng.choice([token(rng), content, json.dumps(rng.choice(USERS + ITEMS))])
    fields.insert(rng.randint(0, len(fields)), (name, other))


def drop(rng: random.Random, fields: list[Field]) -> None:
    if fields:
        fields.pop(rng.randrange(len(fields)))


def nest(rng: random.Random, fields: list[Field]) -> None:
    """One field is nested deep, closed or not."""
    depth, (opened, closed) = rng.choice(DEPTHS), rng.choice([("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    ends = closed * depth if rng.random() < 0.7 else ""
    fields.append(
        (rng.choice(["properties", "unknown", "items", "user_id"]), opened * depth + rng.choice(["1", "[]", "NaN"]) + ends)
    )


def crowd(rng: random.Random, fields: list[Field]) -> None:
    """A basket at or above the limit."""
    fields[:] = [field for field in fields if field[0] not in ("item_id", "items")]
    size = rng.choice([0, 499, 500, 501, 1_000])
    fields.append(("items", "[" + ",".join(f'{{"item_id":{rng.randrange(60)}}}' for _ in range(size)) + "]"))


def misname(rng: random.Random, fields: list[Field]) -> None:
    """An id that is strange, or of a wrong length."""
    name = rng.choice(["user_id", "item_id", "anonymous_id", "event_id", "session_id"])
    fields[:] = [field for field in fields if field[0] != name]
    fields.append((name, text(rng, rng.choice(WRONG_IDS + STRANGE_IDS))))


def token(rng: random.Random) -> str:
    return rng.choice(TOKENS)


CHANGES: list[Callable[[random.Random, list[Field]], None]] = [
    exchange,
    exchange,
    exchange,
    repeat,
    repeat,
    drop,
    nest,
    crowd,
    misname,
]

# Damages of bytes


def cut(rng: random.Random, value: bytes) -> bytes:
    return value[: rng.randint(0, len(value))]


def flip(rng: random.Random, value: bytes) -> bytes:
    damaged = bytearray(value)
    for _ in range(rng.choice([1, 1, 3])):
        damaged[rng.randrange(len(damaged))] = rng.choice([rng.randrange(256), *b'"\\{}[],:0\0\x7f\x80\xff'])
    return bytes(damaged)


def insert(rng: random.Random, value: bytes) -> bytes:
    at = rng.randint(0, len(value))
    strange = [
        b"\0",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf5\x80\x80\x80",
        b"\xef\xbb\xbf",
        b"\\u",
        b"\\ud800",
        b"NaN",
        b",",
        b"\xc2\xa0",
    ]
    return value[:at] + rng.choice(strange) + value[at:]


def join(rng: random.Random, value: bytes) -> bytes:
    return rng.choice(
        [value * 2, value + b"\n" + value, value + b"\0", b"[" + value + b"]", value + b" " * 99, b"\xff\xfe" + value]
    )


def recode(rng: random.Random, value: bytes) -> bytes:
    return value.decode("utf-8", "replace").encode(
        rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"]), "replace"
    )


def fill(rng: random.Random, value: bytes) -> bytes:
    """Exactly as large as allowed, a byte more, or much more."""
    size = rng.choice([MAX_BYTES, MAX_BYTES, MAX_BYTES + 1, 4 * MAX_BYTES])
    filler = rng.choice([b" ", b"x", b"\\u0000", "é".encode()])
    room = size - len(value) - len(b',"properties":""')
    return value.rstrip()[:-1] + b',"properties":"' + filler * (room // len(filler)) + b" " * (room % len(filler)) + b'"}'


def noise(rng: random.Random, value: bytes) -> bytes:
    return rng.randbytes(rng.randint(1, max(1, len(value))))


DAMAGES: list[Callable[[random.Random, bytes], bytes]] = [*[cut, flip, flip, insert, insert, join, recode, noise] * 3, fill]

# Keys and headers


def key(rng: random.Random, home_id: str) -> bytes | None:
    if rng.random() < 0.8:
        return home_id.encode()
    if rng.random() < 0.01:
        return b"k" * rng.choice([70_000, 300_000])
    return rng.choice([None, b"", b"\xff\xfe", b"\0", b"{u0}", rng.randbytes(20), b"till-7"])


def headers(rng: random.Random) -> Headers:
    if rng.random() < 0.9:
        return ()
    if rng.random() < 0.5:
        return (("forwarded", rng.choice(FORGED)), *(() if rng.random() < 0.8 else (("forwarded", rng.choice(FORGED)),)))
    strange = [
        (("reason", b"mine"), ("offset", b"-1"), ("topic", b"x"), ("partition", None)),
        (("truncated", b"no"), ("", b""), ("", None)),
        (("é\n\0" * 30, b"\xff" * 300), ("x", None)),
        tuple((f"h{n}", b"v" * (n % 7)) for n in range(300)),
        (("forwarded", None), ("Forwarded", b"1/1/1764000000000")),
        (("large", b"h" * rng.choice([1_000, 1_000, 1_000, 200_000])),),
    ]
    return rng.choice(strange)

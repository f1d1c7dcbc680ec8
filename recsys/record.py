"""A record's value: the JSON object that a producer wrote, as a checked struct, or the reason why it is none."""

import json
import math
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

MAX_BYTES = 65_536
MAX_ID = 128
DEEPEST = 500
"""Arrays and objects inside one another, the record's own object among them."""

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | int
Amount = Annotated[float, Meta(ge=0)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
IN_WORDS = {
    r"^[A-Z]{3}\Z": "three capital letters, as EUR (ISO 4217)",
    r"^[A-Z]{2}\Z": "two capital letters, as DE (ISO 3166-1)",
}
"""What patterns want."""
TYPES_IN_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "datetime": "a time",
    "date": "a day",
}
BOUNDS_IN_WORDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^[Ii]nvalid RFC3339 encoded date(time)?$"), "expected a time or a day in RFC 3339, as 2024-10-04"),
    (re.compile(r" of length >= 1$"), " that is not empty"),
    (re.compile(r"(a text) of length <= (\d+)"), r"\1 of at most \2 characters"),
    (re.compile(r" of length <= "), " of at most "),
    (re.compile(r" of length >= "), " of at least "),
    (re.compile(r" >= "), " of at least "),
    (re.compile(r" <= "), " of at most "),
    (re.compile(r"(\d)\.0$"), r"\1"),
    (re.compile(r"\d{5,}$"), lambda found: f"{int(found[0]):,}"),
)
"""What msgspec says of lengths and bounds."""
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
"""Of a path; of what is in an object with names of its own msgspec does not say where."""
UTF_16 = (BOM_UTF16_LE, BOM_UTF16_BE)
_TYPES = re.compile(r"`(\w+(?: \| \w+)*)`")

T = TypeVar("T")
R = TypeVar("R", bound=ValueError)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Form(Generic[T]):
    """What the values of a topic's records look like: the fields of a struct, others are passed over.

    `noun` names one in reasons, "an event"; `refusal` is the error that carries the reason; `nested` has the fields that
    hold objects themselves, with the type that leaves these objects' fields undecoded.

    >>> class Cup(msgspec.Struct):
    ...     litres: Amount
    >>> form = Form(Cup, "a cup", ValueError)
    >>> form.read(b'{"litres": 0.5, "colour": "blue"}')
    Cup(litres=0.5)
    >>> form.read(b'{"litres": NaN}')
    Traceback (most recent call last):
    ...
    ValueError: litres: NaN and Infinity are not allowed
    """

    def __init__(self, shape: type[T], noun: str, refusal: type[ValueError], nested: Mapping[str, Any] | None = None) -> None:
        self._shape = shape
        self._decoder = msgspec.json.Decoder(shape)
        self._noun = noun
        self._refusal = refusal
        self._nested = {name: msgspec.json.Decoder(kind) for name, kind in (nested or {}).items()}

    def read(self, value: bytes | None) -> T:
        """The struct in a record's value.

        Raises the refusal, its message the reason, the field first where one is at fault. Reasons are counted, so the value at
        fault is no part of one but a note on it, see `with_given`.
        """
        if not value:
            raise self._refusal("the record has no value")
        if len(value) > MAX_BYTES:
            raise self._refusal(f"the record has {len(value)} bytes: at most {MAX_BYTES} are allowed")
        try:
            if not value.isascii():
                value.decode()
            deep = _deep_field(value)
            if deep is not None:
                raise self._refusal(f"{deep or f'not {self._noun}'}: nested deeper than {DEEPEST}")
            return self._decoded(value)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).rpartition(" - at `$")
            given = _given(value, path)
            refusal = note_given(self._refusal(self._field_first(str(error))), given)
            if isinstance(given, list) and " of length " in reason:
                refusal.add_note(f"it has {len(given):,}")
            if "unknown field" in reason:
                refusal.add_note(f"known are {', '.join(_fields_of(self._shape, path))}")
            raise refusal from None
        except UnicodeDecodeError as error:
            as_16 = ", it is UTF-16" if value.startswith(UTF_16) else ""
            raise self._refusal(f"not UTF-8: byte {error.start} cannot be decoded{as_16}") from None
        except msgspec.DecodeError as error:
            if value.startswith(BOM_UTF8):
                raise self._refusal("not JSON: a byte order mark stands before it") from None
            raise self._refusal(_diagnosis(value) or f"not JSON: {str(error)[:200]}") from None

    def _decoded(self, value: bytes) -> T:
        """Decodes an object; of a name that stands twice the last counts, and the others may be of any type."""
        try:
            return self._decoder.decode(value)
        except msgspec.ValidationError:
            fields = _fields.decode(value)
            for name, undecoded in self._nested.items():
                if name in fields:
                    with suppress(msgspec.ValidationError):
                        fields[name] = msgspec.Raw(msgspec.json.encode(undecoded.decode(fields[name])))
            return self._decoder.decode(msgspec.json.encode(fields))

    def _field_first(self, message: str) -> str:
        """msgspec's message with the field in front: "Expected `int` - at `$.position`" → "position: expected `int`"."""
        reason, found, path = message.rpartition(" - at `$")
        if not found:
            return f"not {self._noun}: {in_words(message)}"
        return f"{path.strip('`').lstrip('.')}: {in_words(reason)}"


def _fields_of(shape: Any, path: str) -> list[str]:
    """The fields that the object in a field of a struct may have; `path` is msgspec's, ".consent`"."""
    kinds = get_args(get_type_hints(shape).get(path.strip("`.")))
    return [name for kind in kinds for name in getattr(kind, "__struct_fields__", ())]


def with_given(refusal: ValueError) -> str:
    """The reason, with what was given in place of what is wanted where that is a short value.

    >>> try:
    ...     Form(msgspec.defstruct("Cup", [("litres", Amount)]), "a cup", ValueError).read(b'{"litres": "half"}')
    ... except ValueError as error:
    ...     str(error), with_given(error)
    ('litres: expected a number, got a text', "litres: expected a number, got a text; it is 'half'")
    """
    return "; ".join(filter(None, (str(refusal), given_with(refusal))))


def given_with(refusal: ValueError) -> str:
    """What was given, or what is known, in words: all that is noted on a refusal. Empty where nothing is."""
    return "; ".join(getattr(refusal, "__notes__", ()))


def note_given(refusal: R, content: object) -> R:
    """The refusal, with a note of what was given in place of what is wanted, if that is a text, a number, true or false."""
    if said := given_in_words(content):
        refusal.add_note(said)
    return refusal


def given_in_words(content: object) -> str:
    """A value that somebody gave, short; empty for a list, an object or nothing.

    >>> given_in_words("9,50"), given_in_words(True), given_in_words([1])
    ("it is '9,50'", 'it is true', '')
    """
    if isinstance(content, str):
        return f"it is {quoted(content)}"
    if isinstance(content, int | float):
        return f"it is {quoted(json.dumps(content))[1:-1]}"
    return ""


def _given(value: bytes, path: str) -> object:
    """What is at a path of msgspec's, ".items[0].price`"; None where that is not found."""
    try:
        found: Any = json.loads(value)
        for name, place in _STEP.findall(path):
            found = found[name] if name else found[int(place)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return found


def key_id(key: bytes | None, noun: str, refusal: type[ValueError]) -> str:
    """The id that a record's key is: 1 to 128 characters of UTF-8. `noun` says of what, "item". Raises the refusal.

    >>> key_id(b"i1", "item", ValueError)
    'i1'
    """
    if not key:
        raise refusal(f"the record has no key: it must be the {noun} id")
    try:
        name = key.decode()
    except UnicodeDecodeError as error:
        raise refusal(f"the record's key is not UTF-8: byte {error.start} cannot be decoded") from None
    if len(name) > MAX_ID:
        raise refusal(f"the record's key {quoted(name)} is no {noun} id: longer than {MAX_ID} characters")
    return name


def in_words(reason: str) -> str:
    r"""msgspec's reason as the end of a sentence, with words for types, bounds and patterns.

    >>> in_words("Expected `str` matching regex '^[A-Z]{2}\\\\Z'")
    'expected two capital letters, as DE (ISO 3166-1)'
    >>> in_words("Expected `int | str | null`, got `float`"), in_words("Expected `float` >= 0.0")
    ('expected a whole number or a text, got a number', 'expected a number of at least 0')
    """
    for pattern, words in IN_WORDS.items():
        reason = reason.replace(f"`str` matching regex {pattern!r}", words)
    reason = _TYPES.sub(_types_in_words, reason)
    for bound, said in BOUNDS_IN_WORDS:
        reason = bound.sub(said, reason)
    return f"{reason[0].lower()}{reason[1:]}"


def _types_in_words(types: re.Match[str]) -> str:
    """Types between backticks; a name between backticks stays as it is. That it may be null goes without saying."""
    names = types[1].split(" | ")
    if not TYPES_IN_WORDS.keys() >= set(names):
        return types[0]
    unsaid = {"null"} if len(names) > 1 else set()
    if "float" in names:
        unsaid.add("int")
    return " or ".join(TYPES_IN_WORDS[name] for name in names if name not in unsaid)


def id_text(name: str, given: str | int, refusal: type[ValueError]) -> str:
    """An id as text: an integer is the same id as its decimal text. Raises the refusal where it is too long.

    >>> id_text("item_id", 7, ValueError)
    '7'
    """
    if isinstance(given, str):
        return given
    text = str(given)
    if len(text) > MAX_ID:
        raise note_given(refusal(f"{name}: longer than {MAX_ID} characters"), text)
    return text


def quoted(text: str) -> str:
    """A stranger's text, escaped and short enough for a header or a log line.

    >>> quoted("a" * 99), quoted("é" * 5)
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'", "'\\\\xe9\\\\xe9\\\\xe9\\\\xe9\\\\xe9'")
    """
    shown = 40 if text[:40].isascii() else 20  # a character may become ten
    return ascii(text[:shown] + "..." * (len(text) > shown))


def _diagnosis(value: bytes) -> str | None:
    """The field at fault where Python's laxer reader takes what JSON forbids: NaN, Infinity, a lone surrogate."""
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    for name, content in fields.items():
        fault = _fault([name, content])
        if fault:
            return f"{quoted(name)[1:-1]}: {fault}"
    return None


_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"?|[\[{]|[]}]', re.DOTALL)


def _deep_field(value: bytes) -> str | None:
    """The field that is nested deeper than `DEEPEST`; None where none is.

    What the readers themselves take depends on how deep the stack is when they are called, and so on who asks.
    """
    if value.count(b"[") + value.count(b"{") <= DEEPEST:
        return None
    depth, name = 0, b""
    for token in _TOKEN.finditer(value):
        if token[1] is not None:
            name = token[1] if depth == 1 else name
        else:
            depth += 1 if token[0] in b"[{" else -1
        if depth > DEEPEST:
            return quoted(name.decode())[1:-1]
    return None


def _fault(content: Any) -> str | None:
    pending = [content]
    while pending:
        part = pending.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return "NaN and Infinity are not allowed"
        if isinstance(part, str) and any("\ud800" <= character <= "\udfff" for character in part):
            return "a lone surrogate is not a character"
        if isinstance(part, dict):
            pending += [*part, *part.values()]
        if isinstance(part, list):
            pending += part
    return None

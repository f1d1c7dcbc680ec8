"""A user as the shop describes one: from the bytes of a record of the topic `users` to a checked `User`, or to the reason why
not."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from recsys.record import Country, Form, Id, id_text, in_words, key_id, note_given, quoted

MAX_NAME = 64
"""Characters of an attribute's name."""
MAX_TEXT = 256
"""Characters of an attribute's text, and of each text of a list."""
MAX_LIST = 100
MAX_ATTRIBUTES = 100

Attribute = str | int | float | bool | list[str]


class BadUser(ValueError):
    """A user that goes to `rejected`; the message is the reason, and begins with the field where one is at fault."""


class Consent(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What the user allows; None: nothing was said. A misspelt name is refused, for else a refusal could pass unheard."""

    personalise: bool | None = None
    analyse: bool | None = None


class User(Struct, frozen=True, omit_defaults=True):
    """A checked user. Attributes that are null are left out."""

    user_id: str
    attributes: Mapping[str, Attribute] = {}
    consent: Consent | None = None


class _Wire(Struct):
    """The JSON object as it stands in a record; unknown fields beside these are passed over."""

    user_id: Id | None = None
    attributes: dict[str, str | int | float | bool | list[str] | None] | None = None
    consent: Consent | None = None


FIELDS = frozenset(_Wire.__struct_fields__)
"""All that anything is made of."""
KNOWN: Mapping[str, Any] = {
    "age": Annotated[int, Meta(ge=0, le=150)],
    "gender": Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)],
    "country": Country,
    "city": Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)],
    "registered_at": Annotated[datetime, Meta(tz=True)],
}
"""What the attributes must be that mean the same in every shop. Countries are those of ISO 3166-1, two capital letters; a day
alone, `2024-10-04`, is a time of registration, too."""
_form = Form(_Wire, "a user", BadUser, {"attributes": dict[str, Raw], "consent": dict[str, Raw]})


def decode(key: bytes | None, value: bytes) -> User:
    """The user in a record: its key is the user id, its value the User JSON.

    Raises `BadUser` with the reason. An empty value, which deletes the user, is no user: ask `user_id` for whom it deletes.

    >>> decode(b"u1", b'{"attributes": {"age": 34, "country": "FR"}, "consent": {"personalise": false}}').attributes
    {'age': 34, 'country': 'FR'}
    >>> decode(b"u1", b'{"attributes": ["age", 34]}')
    Traceback (most recent call last):
    ...
    recsys.customers.user.BadUser: attributes: expected an object, got a list
    """
    name = user_id(key)
    wire = _form.read(value)
    if wire.user_id is not None:
        given = id_text("user_id", wire.user_id, BadUser)
        if given != name:
            raise BadUser(f"user_id: {quoted(given)} is not the record's key, {quoted(name)}: they must be equal")
    given_attributes = wire.attributes or {}
    if len(given_attributes) > MAX_ATTRIBUTES:
        raise BadUser(f"attributes: {len(given_attributes)} of them: at most {MAX_ATTRIBUTES} are allowed")
    attributes = {each: _checked(each, content) for each, content in given_attributes.items() if content is not None}
    return User(name, attributes, wire.consent)


def encode(user: User) -> bytes:
    """The JSON of a user, as Redis keeps it.

    >>> encode(User("7", {"age": 34}, Consent(personalise=False)))
    b'{"user_id":"7","attributes":{"age":34},"consent":{"personalise":false}}'
    """
    return msgspec.json.encode(user)


def user_id(key: bytes | None) -> str:
    """The user id that a record's key is: 1 to 128 characters of UTF-8; `anon:` begins that of a visitor. Raises `BadUser`.

    >>> user_id(b"u1")
    'u1'
    """
    return key_id(key, "user", BadUser)


def _checked(name: str, content: Attribute) -> Attribute:
    if not 0 < len(name) <= MAX_NAME:
        raise BadUser(f"attributes: the name {quoted(name)} has {len(name)} characters: 1 to {MAX_NAME} are allowed")
    if name in KNOWN:
        try:
            msgspec.convert(
                content, date if name == "registered_at" and len(str(content)) == len("2024-10-04") else KNOWN[name]
            )
        except msgspec.ValidationError as error:
            refusal = BadUser(f"attributes.{name}: {in_words(str(error))}")
            note_given(refusal, content)
            raise refusal from None
        return content
    texts = content if isinstance(content, list) else [content] if isinstance(content, str) else []
    if len(texts) > MAX_LIST:
        raise BadUser(f"attributes.{quoted(name)[1:-1]}: {len(texts)} texts: at most {MAX_LIST} are allowed")
    for text in texts:
        if len(text) > MAX_TEXT:
            raise BadUser(
                f"attributes.{quoted(name)[1:-1]}: {quoted(text)} has {len(text)} characters: at most {MAX_TEXT} are allowed"
            )
    return content

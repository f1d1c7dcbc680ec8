"""What is allowed of a setting, in words: the whole range, whichever end of it was missed."""

from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, StrType, Type

TOPIC_PREFIX = r"^[A-Za-z0-9._-]{0,100}$"
KEY_PREFIX = r"^[^{}\s]{1,100}$"
SECRET = r"^([^,\s]+(\s*,\s*[^,\s]+)*)?\Z"
PATTERNS = {
    TOPIC_PREFIX: "at most 100 of the characters A-Z, a-z, 0-9, ., _ and -",
    KEY_PREFIX: "1 to 100 characters, without braces and white space",
    SECRET: "secrets without white space, with one comma between two",
}
"""What the texts of settings look like, and what that is called."""


def allowed(kind: Type) -> str:
    """What msgspec's description of a field's type allows.

    >>> import msgspec
    >>> from typing import Annotated, Literal
    >>> allowed(msgspec.inspect.type_info(Annotated[int, msgspec.Meta(ge=1, le=10_000)]))
    'a whole number from 1 to 10,000'
    >>> allowed(msgspec.inspect.type_info(Annotated[float, msgspec.Meta(gt=0, le=0.5)]))
    'a number above 0 and at most 0.5'
    >>> allowed(msgspec.inspect.type_info(Literal["ssl", "plaintext"])), allowed(msgspec.inspect.type_info(bool))
    ('plaintext or ssl', 'true or false')
    """
    match kind:
        case Metadata(type=inner):
            return allowed(inner)
        case BoolType():
            return "true or false"
        case LiteralType(values=values):
            *most, last = map(str, values)
            return f"{', '.join(most)} or {last}"
        case IntType(ge=least, le=most):
            return f"a whole number from {least:,} to {most:,}"
        case FloatType(gt=None, ge=least, le=most):
            return f"a number from {least:,} to {most:,}"
        case FloatType(gt=least, le=most):
            return f"a number above {least:,} and at most {most:,}"
        case StrType(pattern=str(pattern)):
            return PATTERNS[pattern]
    raise TypeError(f"no words for {kind}")

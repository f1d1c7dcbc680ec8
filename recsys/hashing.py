"""Ids as numbers: inside, an id is its 64-bit hash, the same on every worker, so no registry is needed."""

from functools import lru_cache
from hashlib import blake2b

from recsys.record import MAX_ID

NONE = 0
"""Stands for "no id"; no id hashes to it."""

SESSION_BITS = 40
"""Of a session id's hash these are stored: it is only compared with the session before it."""


def hash_id(text: str) -> int:
    """The 64-bit BLAKE2b hash of an id, never 0.

    Two of ten million items share a hash with a chance of 3 in a million; nobody can choose an id that hits a given one.

    >>> hash_id("i1") == hash_id("i1") != hash_id("i2")
    True
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1


hash_item = lru_cache(maxsize=1 << 16)(hash_id)
"""The same for ids that come again and again."""


def hash_session(text: str) -> int:
    """The stored bits of a session id's hash, never 0.

    >>> hash_session("s1") < 2**SESSION_BITS
    True
    """
    return _hash_session(text) if len(text) <= MAX_ID else _hash_session.__wrapped__(text)


@lru_cache(maxsize=1 << 14)
def _hash_session(text: str) -> int:
    """Remembers no stranger's long texts: a session's id may have any length."""
    return int.from_bytes(blake2b(text.encode(), digest_size=SESSION_BITS // 8).digest(), "little") or 1

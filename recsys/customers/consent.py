"""Consent: who refuses what. The few who do are kept together, so that a worker knows all of them and asks nobody.

A refusal is heeded from the moment on at which a worker has read it: Kafka sets no order between a record of `users` and the
events. Nothing said, or a deleted user, is no refusal.
"""

from collections.abc import Iterable
from typing import Self

import msgspec
from msgspec import Struct

from recsys.customers.user import Consent, User


class Refusals(Struct):
    """The ids of the users who refuse something.

    >>> refusals = Refusals()
    >>> refusals.hear("u1", Consent(personalise=False)), refusals.hear("u1", Consent(personalise=False))
    (True, False)
    >>> refusals.hear("u1", None), refusals.personalise
    (True, set())
    """

    personalise: set[str] = msgspec.field(default_factory=set)
    """To be recommended anything by what is known of them."""
    analyse: set[str] = msgspec.field(default_factory=set)
    """To have an account as a customer."""

    def hear(self, user: str, consent: Consent | None) -> bool:
        """Takes in what a user's newest record says; whether that is another word than before."""
        before = self.of(user)
        for name, refusing in self.each():
            if consent is not None and getattr(consent, name) is False:
                refusing.add(user)
            else:
                refusing.discard(user)
        return self.of(user) != before

    def of(self, user: str) -> tuple[bool, bool]:
        """Whether a user refuses each of the two."""
        return user in self.personalise, user in self.analyse

    def each(self) -> Iterable[tuple[str, set[str]]]:
        """Who refuses, by what they refuse."""
        return ("personalise", self.personalise), ("analyse", self.analyse)

    def everybody(self) -> set[str]:
        """All who refuse anything."""
        return self.personalise | self.analyse

    def join(self, parts: Iterable[Self], users: Iterable[str]) -> None:
        """Takes in of these users what any part says: where the records of one user came to several partitions, by a producer
        with another partitioner, a refusal on any of them holds."""
        known = list(parts)
        for user in users:
            for name, refusing in self.each():
                if any(user in getattr(part, name) for part in known):
                    refusing.add(user)
                else:
                    refusing.discard(user)


def refuses_personal(by_shop: bytes | None) -> bool:
    """Whether what Redis keeps of a user says so.

    >>> refuses_personal(b'{"user_id":"u","consent":{"personalise":false}}'), refuses_personal(None)
    (True, False)
    """
    return _refuses(by_shop, "personalise")


def refuses_analysis(by_shop: bytes | None) -> bool:
    """Likewise."""
    return _refuses(by_shop, "analyse")


def _refuses(by_shop: bytes | None, what: str) -> bool:
    said = _users.decode(by_shop).consent if by_shop else None
    return said is not None and getattr(said, what) is False


_users = msgspec.json.Decoder(User)
_decoder = msgspec.json.Decoder(Refusals)


def unpack(value: bytes | None) -> Refusals:
    """The refusals in stored bytes, or those of nobody."""
    return _decoder.decode(value) if value else Refusals()


def pack(refusals: Refusals) -> bytes:
    """The bytes to store.

    >>> pack(Refusals({"u1"}))
    b'{"personalise":["u1"],"analyse":[]}'
    """
    return msgspec.json.encode(refusals)

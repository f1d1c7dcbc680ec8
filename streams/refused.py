"""Refused: who refuses what, by all records of the topic `users`: a recount does not expect everything of them."""

from collections.abc import Iterable
from typing import NamedTuple

from recsys.customers.user import BadUser, Consent, decode
from streams.records import Record


class Refused(NamedTuple):
    """Who refuses what, by the topic `users`, and who ever refused to be analysed: of these nothing is known from before."""

    personalise: set[str]
    analyse: set[str]
    once: set[str]


def refused(records: Iterable[Record]) -> Refused:
    """Who refuses, each by the last good record of the user on any partition.

    >>> said = Record(0, 0, 0, b'{"consent": {"personalise": false}}', key=b"u1")
    >>> refused([said]).personalise, refused([said, said._replace(value=None)]).personalise
    ({'u1'}, set())
    """
    words: dict[tuple[int, str], Consent | None] = {}
    once = set()
    for record in records:
        try:
            user = decode(record.key, record.value or b"{}")
        except BadUser:
            continue
        words[record.partition, user.user_id] = user.consent if record.value else None
        if user.consent is not None and user.consent.analyse is False:
            once.add(user.user_id)
    now = [(user, consent) for (_, user), consent in words.items() if consent is not None]
    return Refused(
        {user for user, consent in now if consent.personalise is False},
        {user for user, consent in now if consent.analyse is False},
        once,
    )

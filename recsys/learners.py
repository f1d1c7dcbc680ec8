"""Learners: what was learned on each partition, stored beside its counts, but never a part of their exactness.

It is written now and then, the newest wins: a crash costs what was learned in the last moment, and nothing else.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from recsys import learner
from recsys.learner import Weights
from recsys.ranking.features import FIRST


class Learned(NamedTuple):
    """What was learned on one partition; its arrays change as it goes on."""

    clicks: Weights
    """Of the ranking by what a user turns to next."""


_parts = msgspec.msgpack.Decoder(list[bytes])


def pack(learned: Learned) -> bytes:
    """The bytes to store."""
    return msgspec.msgpack.encode([learner.pack(learned.clicks)])


def unpack(value: bytes | None) -> Learned:
    """What was learned, from its stored bytes; what is damaged, or of other features, begins anew.

    >>> import numpy as np
    >>> went_on = unpack(pack(Learned(Weights(FIRST + 1.0, np.ones(len(FIRST))))))
    >>> float(went_on.clicks.weight[0] - FIRST[0]), float(unpack(b"damaged").clicks.weight[0] - FIRST[0])
    (1.0, 0.0)
    """
    try:
        parts = _parts.decode(value) if value else []
    except msgspec.DecodeError:
        parts = []
    return Learned(learner.unpack(parts[0] if parts else None, FIRST))


class Learners:
    """What was learned on the partitions that a worker has met."""

    def __init__(self) -> None:
        self._learned: dict[int, Learned] = {}
        self._changed: set[int] = set()

    def begin(self, partition: int, stored: bytes | None) -> None:
        """A partition is gone on with from what is stored of it."""
        self._learned[partition] = unpack(stored)
        self._changed.discard(partition)

    def of(self, partitions: Iterable[int]) -> list[Learned]:
        """What is known of each, to be changed in place where `changed` is told so."""
        return [self._learned.setdefault(partition, unpack(None)) for partition in partitions]

    def changed(self, partitions: Sequence[int]) -> None:
        """More was learned on these partitions."""
        self._changed.update(partitions)

    def take(self, partitions: Iterable[int]) -> dict[int, bytes]:
        """Of those of the partitions where more was learned since it was taken last, the bytes to store."""
        taken = self._changed.intersection(partitions)
        self._changed -= taken
        return {partition: pack(self._learned[partition]) for partition in sorted(taken)}

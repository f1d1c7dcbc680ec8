"""Learners: what was learned on each partition, stored beside its counts, but never a part of their exactness.

It is written now and then, the newest wins: a crash costs what was learned in the last moment, and nothing else.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from recsys import learner
from recsys.compiled import F64
from recsys.learner import Weights
from recsys.ranking import blend
from recsys.ranking.features import FIRST
from recsys.returning.features import FIRST as FIRST_OF_PURCHASES


class Learned(NamedTuple):
    """What was learned on one partition; its arrays change as it goes on."""

    clicks: Weights
    """Of the ranking by what a user turns to next."""
    purchases: Weights
    """Of the ranking by what is bought next."""
    sums: F64
    """How far to believe which of the two, see `recsys.ranking.blend`."""


_parts = msgspec.msgpack.Decoder(list[bytes])


def pack(learned: Learned) -> bytes:
    """The bytes to store."""
    return msgspec.msgpack.encode([learner.pack(learned.clicks), learner.pack(learned.purchases), learned.sums.tobytes()])


def unpack(value: bytes | None) -> Learned:
    """What was learned, from its stored bytes; what is damaged, or of other features, begins anew.

    >>> went_on = unpack(pack(unpack(None)._replace(clicks=Weights(FIRST + 1.0, np.ones(len(FIRST))))))
    >>> float(went_on.clicks.weight[0] - FIRST[0]), float(unpack(b"damaged").clicks.weight[0] - FIRST[0])
    (1.0, 0.0)
    """
    try:
        parts = _parts.decode(value) if value else []
    except msgspec.DecodeError:
        parts = []
    clicks, purchases, sums = parts if len(parts) == len(Learned._fields) else (b"", b"", b"")
    return Learned(learner.unpack(clicks, FIRST), learner.unpack(purchases, FIRST_OF_PURCHASES), _sums(sums))


def _sums(value: bytes) -> F64:
    first = blend.begin()
    if len(value) != first.nbytes:
        return first
    sums = np.frombuffer(value, np.float64).reshape(first.shape).copy()
    return sums if (np.isfinite(sums) & (sums > 0.0)).all() and (sums[:, 0] <= sums[:, 1]).all() else first


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

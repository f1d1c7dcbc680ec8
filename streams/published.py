"""The published marks: up to where all recommendations of a partition are out.

A mark is written by compare-and-set. Whoever finds that its recommendations went out late, perhaps after newer ones of another
worker, moves the mark back; the partition's owner meets that at its next write, and publishes everything from there once more.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from recsys.engine import Engine
from recsys.keys import Keys
from recsys.store import Store, Swap

Ends = Mapping[int, tuple[int, int]]
"""By partition: how often it had been begun, and up to which offset everything is out."""


class PublishedMarks:
    """The marks of the partitions that this worker has, as it knows them, and what is out since they were written."""

    def __init__(self, store: Store, keys: Keys, engine: Engine) -> None:
        self._store = store
        self._keys = keys
        self._engine = engine
        self._known: dict[int, int] = {}
        self._begun: dict[int, int] = defaultdict(int)
        self._out: dict[int, tuple[int, int]] = {}
        self._floor: dict[int, int] = {}
        """The marks when what is being published was begun: a partition may be lost and come back before it is out."""

    @property
    def offsets(self) -> Mapping[int, int]:
        """By partition, up to where all recommendations are out: what the watchdog looks at."""
        return self._known

    @property
    def turns(self) -> Mapping[int, int]:
        """By partition that the worker has, how often it was begun or given up: another number, and it was taken over anew."""
        return {partition: self._begun[partition] for partition in self._known}

    def begin(self, partition: int, published: int) -> None:
        """The partition is read on from its mark, which says so; what was out before does not count."""
        self._known[partition] = published
        self._begun[partition] += 1

    def give_up(self, partitions: Iterable[int]) -> None:
        """The partitions are another worker's, and nothing of ours is on its way any more."""
        for partition in partitions:
            self._known.pop(partition, None)
            self._begun[partition] += 1

    def keep(self, partitions: Iterable[int]) -> None:
        """The worker has these partitions; what it knows of others does not count."""
        self.give_up(self._known.keys() - set(partitions))

    def open(self, partitions: Iterable[int]) -> None:
        """Something of these partitions is about to be published."""
        self._floor = {partition: self._known[partition] for partition in partitions}

    def note(self, ends: Mapping[int, int]) -> None:
        """Everything up to these ends, by partition, is out."""
        self._floor = {}
        self._out |= {partition: (self._begun[partition], end) for partition, end in ends.items()}

    def take(self) -> Ends:
        """What is out since the marks were written."""
        out, self._out = self._out, {}
        return out

    def known(self, partitions: Iterable[int]) -> Ends:
        """The marks as they should be, to be looked at."""
        return {p: (self._begun[p], self._known[p]) for p in partitions if p in self._known}

    async def write(self, out: Ends) -> list[int]:
        """Writes what is out; returns the partitions whose marks somebody else has moved."""
        current = {p: end for p, (begun, end) in out.items() if begun == self._begun[p] and p in self._known}
        swaps = [Swap(self._keys.published(p), mark(self._known[p]), mark(end), {}) for p, end in current.items()]
        done = await self._store.swap(swaps) if swaps else []
        moved = []
        for (partition, end), held in zip(current.items(), done, strict=True):
            if out[partition][0] != self._begun[partition]:
                continue  # begun anew meanwhile
            if held:
                self._known[partition] = end
            else:
                moved.append(partition)
        return moved

    async def move_back(self) -> None:
        """What is being published, and what was published since the last marks, may have been late."""
        for partition, offset in {**self._known, **self._floor}.items():
            await self._engine.publish_again(partition, min(offset, self._known.get(partition, offset)))

    async def move_back_open(self, partitions: Iterable[int]) -> None:
        """What was being published of these partitions was late."""
        for partition in partitions:
            await self._engine.publish_again(partition, self._floor[partition])


def mark(offset: int) -> bytes:
    return str(offset).encode()

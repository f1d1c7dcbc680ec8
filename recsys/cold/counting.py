"""Counting for cold starts: what a batch adds to the contexts and the trials of its partitions, committed with their marks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys.batch import Arrival
from recsys.cold import tables, trials
from recsys.cold.contexts import Directory, contexts
from recsys.cold.tables import Lines, Tables
from recsys.cold.trials import NO_TRIALS, Trials, answers
from recsys.events import Kind
from recsys.hashing import NONE, hash_item
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.shards import Shards
from recsys.user_shards import Folded, UserShard

Fresh = Sequence[tuple[int, Arrival]]
"""The arrivals of a batch that are not counted yet, each with its partition, in the order of the topic."""


class Opened(NamedTuple):
    """What is stored of a partition for a batch."""

    directory: Directory
    tables: dict[int, bytes | None]
    """By slot, of the contexts that the batch meets and that have one."""
    trials: dict[int, Trials]
    """By item, of those that were shown or clicked."""


class ColdCounting:
    """Reads and counts; what is to be written goes with the commit of the user shards."""

    def __init__(self, shards: Shards, keys: Keys, rules: Rules) -> None:
        self._shards = shards
        self._keys = keys
        self._rules = rules

    async def open(self, shards: Sequence[UserShard], fresh: Fresh) -> dict[int, Opened]:
        """By partition, what is stored; if that is of another mark than the shard's, its commit will fail."""
        opened: dict[int, Opened] = {}
        groups: list[list[str]] = []
        for shard in shards:
            partition = shard.chunk.partition
            events = [arrival.event for of, arrival in fresh if of == partition]
            directory = Directory(shard.contexts)
            met = {name for event in events if event.kind.is_interaction for name in contexts(event.source, event.country)}
            slots = sorted(directory.slots[name] for name in met & directory.slots.keys())
            tried = sorted({hash_item(e.item_id) for event in events if any(answers(event)) for e in event.lines})
            opened[partition] = Opened(directory, dict.fromkeys(slots), dict.fromkeys(tried, NO_TRIALS))
            groups.append(
                [
                    self._keys.user_mark(partition),
                    *(self._keys.context(partition, slot) for slot in slots),
                    *(self._keys.trials(partition, item) for item in tried),
                ]
            )
        asked = [place for place, group in enumerate(groups) if len(group) > 1]
        if asked:
            found, _ = await self._shards.read([groups[place] for place in asked])
            for here, (_, *values) in zip([[*opened.values()][place] for place in asked], found, strict=True):
                slots = list(here.tables)
                here.tables.update(zip(slots, values[: len(slots)], strict=True))
                here.trials.update(zip(list(here.trials), map(trials.unpack, values[len(slots) :]), strict=True))
        return opened

    def count(self, opened: Mapping[int, Opened], fresh: Fresh, folded: Folded) -> dict[int, dict[str, bytes]]:
        """By partition, what is to be written after the batch.

        Repeats change nothing, here as there; impressions are in no history, so one that comes twice counts twice.
        """
        tally = Tally(opened)
        for partition, (offset, event, _) in fresh:
            if (partition, offset) in folded.repeats:
                continue
            if not event.kind.is_interaction and event.kind is not Kind.IMPRESSION:
                continue
            items = [hash_item(line.item_id) for line in event.lines]
            if event.kind.is_interaction:
                for name in contexts(event.source, event.country):
                    for item in items:
                        tally.meet(partition, name, item, event.time_ms)
            tally.answer(partition, set(items), answers(event))
        return tally.values(self._keys, self._rules)


def told(opened: Mapping[int, Opened], shards: Sequence[UserShard]) -> set[str]:
    """The contexts of the chunks that have a list, also of what was counted before: perhaps only their lists are missing."""
    found: set[str] = set()
    for shard in shards:
        events = (arrival.event for arrival in shard.chunk.arrivals)
        met = {name for event in events if event.kind.is_interaction for name in contexts(event.source, event.country)}
        directory = opened[shard.chunk.partition].directory
        found.update(name for name in met - found if directory.has_list(name))
    return found


class Tally:
    """What a batch comes to."""

    def __init__(self, opened: Mapping[int, Opened]) -> None:
        self._opened = opened
        self._numbers: dict[tuple[int, int], int] = {}
        """Of the tables, by partition and slot."""
        self._lines: list[tuple[int, int, int]] = []
        self._tried: dict[tuple[int, int], None] = {}

    def meet(self, partition: int, name: str, item: int, time_ms: int) -> None:
        """An interaction in a context."""
        slot, is_new = self._opened[partition].directory.meet(name)
        table = self._numbers.setdefault((partition, slot), len(self._numbers))
        if is_new:
            self._lines.append((table, NONE, time_ms))
        self._lines.append((table, item, time_ms))

    def answer(self, partition: int, items: set[int], trial: Trials) -> None:
        """Items that were shown, or clicked."""
        if trial == NO_TRIALS:
            return
        known = self._opened[partition].trials
        for item in items:
            known[item] = trials.added((known[item], trial))
            self._tried[partition, item] = None

    def values(self, keys: Keys, rules: Rules) -> dict[int, dict[str, bytes]]:
        """By partition, keys and values to be written."""
        found: dict[int, dict[str, bytes]] = {partition: {} for partition in self._opened}
        counted = self._counted(rules)
        for (partition, slot), number in self._numbers.items():
            found[partition][keys.context(partition, slot)] = tables.pack(counted, number)
            found[partition].setdefault(keys.contexts(partition), self._opened[partition].directory.pack())
        for partition, item in self._tried:
            found[partition][keys.trials(partition, item)] = trials.pack(self._opened[partition].trials[item])
        return found

    def _counted(self, rules: Rules) -> Tables:
        counted = tables.unpack([self._opened[partition].tables.get(slot) for partition, slot in self._numbers])
        columns = zip(*self._lines, strict=True) if self._lines else ((), (), ())
        table, item, time_ms = (list(column) for column in columns)
        lines = Lines(np.array(table, np.int32), np.array(item, np.uint64), np.array(time_ms, np.int64))
        tables.count(counted, lines, rules)
        return counted

"""Counting for cold starts: what a batch adds to the contexts and the trials of its partitions, committed with their marks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recsys.batch import Arrival
from recsys.cold import tables, trials
from recsys.cold.contexts import Directory, contexts
from recsys.cold.tables import Lines, Tables
from recsys.cold.trials import NO_TRIALS, Bucket, Trials, answers
from recsys.hashing import NONE, hash_item
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.shards import Shards
from recsys.user_shards import Folded, UserShard

Fresh = Sequence[tuple[int, Arrival]]
"""The arrivals of a batch that are not counted yet, each with its partition, in the order of the topic."""
NO_CONTEXTS: tuple[str, ...] = ()


class Said(NamedTuple):
    """What an arrival says of contexts and trials."""

    offset: int
    items: list[int]
    time_ms: int
    contexts: tuple[str, ...]
    trial: Trials


class Opened(NamedTuple):
    """A partition's part of a batch, with what is stored for it."""

    said: list[Said]
    directory: Directory
    tables: dict[int, bytes | None]
    """By slot, of the contexts that the batch meets and that have one."""
    buckets: dict[int, Bucket]
    """Of the items that were shown or clicked."""


class ColdCounting:
    """Reads and counts; what is to be written goes with the commit of the user shards."""

    def __init__(self, shards: Shards, keys: Keys, rules: Rules) -> None:
        self._shards = shards
        self._keys = keys
        self._rules = rules

    async def open(self, shards: Sequence[UserShard], fresh: Fresh) -> dict[int, Opened]:
        """By partition, what is stored; if that is of another mark than the shard's, its commit will fail."""
        said: dict[int, list[Said]] = {shard.chunk.partition: [] for shard in shards}
        for partition, arrival in fresh:
            what = heard(arrival)
            if what.contexts or what.trial is not NO_TRIALS:
                said[partition].append(what)
        opened = {shard.chunk.partition: _opened(said[shard.chunk.partition], shard.contexts) for shard in shards}
        asked = {partition: here for partition, here in opened.items() if here.tables or here.buckets}
        if asked:
            groups = [
                [
                    self._keys.user_mark(partition),
                    *(self._keys.context(partition, slot) for slot in here.tables),
                    *(self._keys.trials(partition, place) for place in here.buckets),
                ]
                for partition, here in asked.items()
            ]
            found, _ = await self._shards.read(groups)
            for here, (_, *values) in zip(asked.values(), found, strict=True):
                slots = list(here.tables)
                here.tables.update(zip(slots, values[: len(slots)], strict=True))
                here.buckets.update(zip(list(here.buckets), map(trials.unpack, values[len(slots) :]), strict=True))
        return opened

    def count(self, opened: Mapping[int, Opened], folded: Folded) -> dict[int, dict[str, bytes]]:
        """By partition, what is to be written after the batch.

        Repeats change nothing, here as there; impressions are in no history, so one that comes twice counts twice.
        """
        return {partition: self._counted(partition, here, folded.repeats) for partition, here in opened.items()}

    def _counted(self, partition: int, here: Opened, repeats: set[tuple[int, int]]) -> dict[str, bytes]:
        numbers: dict[int, int] = {}  # of tables, by slot
        lines: list[tuple[int, int, int]] = []
        tried = set()
        for offset, items, time_ms, names, trial in here.said:
            if (partition, offset) in repeats:
                continue
            for name in names:
                slot, is_new = here.directory.meet(name, len(items))
                table = numbers.setdefault(slot, len(numbers))
                if is_new:
                    lines.append((table, NONE, time_ms))
                lines += [(table, item, time_ms) for item in items]
            if trial is not NO_TRIALS:
                for item in dict.fromkeys(items):
                    trials.add(here.buckets[trials.place(item)], item, trial)
                    tried.add(trials.place(item))
        values = {self._keys.trials(partition, place): trials.pack(here.buckets[place]) for place in sorted(tried)}
        if lines:
            counted = self._tables(here, numbers, lines)
            values[self._keys.contexts(partition)] = here.directory.pack()
            values |= {self._keys.context(partition, slot): tables.pack(counted, n) for slot, n in numbers.items()}
        return values

    def _tables(self, here: Opened, numbers: Mapping[int, int], lines: Sequence[tuple[int, int, int]]) -> Tables:
        counted = tables.unpack([here.tables.get(slot) for slot in numbers])
        table, item, time_ms = zip(*lines, strict=True)
        tables.count(
            counted, Lines(np.array(table, np.int32), np.array(item, np.uint64), np.array(time_ms, np.int64)), self._rules
        )
        return counted


def heard(arrival: Arrival) -> Said:
    """What an arrival says; each event is looked at once."""
    offset, event, *_ = arrival
    names = contexts(event.source, event.country) if event.kind.is_interaction else NO_CONTEXTS
    trial = answers(event)
    items = [hash_item(line.item_id) for line in event.lines] if names or trial is not NO_TRIALS else []
    return Said(offset, items, event.time_ms, names, trial)


def _opened(said: list[Said], stored: bytes | None) -> Opened:
    directory = Directory(stored)
    met = {name for each in said for name in each.contexts}
    slots = sorted(directory.slots[name] for name in met & directory.slots.keys())
    places = sorted({trials.place(item) for each in said if each.trial is not NO_TRIALS for item in each.items})
    return Opened(said, directory, dict.fromkeys(slots), {place: {} for place in places})

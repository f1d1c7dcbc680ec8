"""Positions: where to read on in each partition. Redis holds them; Kafka's committed offsets are for lag monitors only."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import uuid4

from recsys.engine import Engine
from recsys.marks import START


class LostRecords(RuntimeError):
    """Kafka does not hold what is to be counted next, or the topic is not the one that was counted."""


class Log(NamedTuple):
    """What Kafka holds of a partition: offsets from `first` up to, not including, `end`."""

    first: int
    end: int


async def find_positions(
    engine: Engine, logs: Mapping[int, Log], told: Mapping[int, int], topic: str, *, accept_loss: bool
) -> dict[int, int]:
    """The offset from which each partition is read: after what was counted and published.

    `told` is up to where Kafka was told that everything is out, for the partitions of which it was told anything. It is behind
    Redis' own mark where Redis was restored to a later state while an earlier one was being counted again: what went out then
    was older than what had been out before. Redis' mark is moved back to there: until all of it is out once more, something
    older may stand where it says that all is out, and whoever takes the partition over then must begin there, too.

    A new state begins with the first record there is. Raises `LostRecords` where records that were not counted yet are gone,
    unless that loss is accepted: then it is noted in the mark. Raises it as well for a mark beyond the topic's end.
    """
    positions = {}
    for partition, log in logs.items():
        await engine.begin(partition, born=uuid4().hex[:12])
        mark, published = await engine.position(partition)
        out = min(mark, told.get(partition, mark))
        if published > out:  # Redis lost some of the counts, and so what was published of them; or Kafka was not told of it yet
            published = await engine.publish_again(partition, out)
        if mark >= log.end:
            raise LostRecords(
                f"partition {partition} of {topic} ends at offset {log.end}, but counted is up to {mark}: the topic was made "
                "anew or cut. `freshet rebuild --accept-loss` counts the topic as it is now"
            )
        missing = log.first - (mark + 1)
        if missing > 0:
            if mark != START and not accept_loss:
                raise LostRecords(
                    f"{missing} events of partition {partition} of {topic} were not counted and Kafka no longer holds them "
                    f"(offsets {mark + 1} to {log.first - 1}). Set FRESHET_ACCEPT_LOSS=true to go on without them, or raise "
                    "the topic's retention and restore it"
                )
            await engine.skip(partition, log.first - 1, lost=missing if mark != START else 0)
            mark = published = log.first - 1
        positions[partition] = max(published + 1, log.first)
    return positions


def in_words(partitions: Iterable[int]) -> str:
    """Partition numbers for a line of text.

    >>> in_words({3, 1})
    '1, 3'
    """
    return ", ".join(map(str, sorted(partitions))) or "none"

"""The watchdog: who stands still although there is lag is told so, and nobody else."""

import asyncio
import time
from collections.abc import Mapping

import pytest
from faust.types import TP
from kafka import KafkaProducer

from streams import watchdog
from streams.lease import Lease, Overslept
from streams.settings import Settings
from streams.topics import EVENTS, create_missing
from streams.watchdog import NoProgress, watch

RECORDS = 5


class Consumer:
    """A worker's consumer that has one partition."""

    def __init__(self, topic: str, *, has_read_all: bool) -> None:
        self._tp = TP(topic, 0)
        self._has_read_all = has_read_all

    def assignment(self) -> set[TP]:
        return {self._tp}

    async def has_read_all(self, tp: TP, end: int) -> bool:
        assert (tp, end) == (self._tp, RECORDS)
        return self._has_read_all


@pytest.fixture
def topic(namespace: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic with some records in partition 0; the watchdog looks often."""
    monkeypatch.setattr(watchdog, "EVERY_S", 0.2)
    create_missing(namespace)
    with KafkaProducer(**namespace.brokers.connection()) as producer:
        for _ in range(RECORDS):
            producer.send(namespace.topic(EVENTS), b"{}", partition=0)
    return namespace.topic(EVENTS)


def watched(namespace: Settings, topic: str, published: Mapping[int, int], *, has_read_all: bool = False) -> None:
    """Watches for some seconds, with half a second of patience."""
    consumer = Consumer(topic, has_read_all=has_read_all)
    asyncio.run(asyncio.wait_for(watch(namespace.brokers, topic, published, consumer, 0.5), 2))  # type: ignore[arg-type]


def test_a_worker_that_stands_still_although_records_wait_is_told_so(namespace: Settings, topic: str) -> None:
    with pytest.raises(NoProgress, match=rf"partition 0 of {topic} for 0 s although 3 records wait"):
        watched(namespace, topic, {0: 1})


def test_a_worker_that_moves_has_nothing_left_or_has_read_the_end_is_left_alone(namespace: Settings, topic: str) -> None:
    class Moving(dict[int, int]):
        def __getitem__(self, partition: int) -> int:
            self[partition] = super().__getitem__(partition) + 1
            return super().__getitem__(partition)

    for published, has_read_all in ((Moving({0: -1000}), False), ({0: RECORDS - 1}, False), ({0: 1}, True)):
        with pytest.raises(TimeoutError):
            watched(namespace, topic, published, has_read_all=has_read_all)


def test_who_stood_still_for_longer_than_the_lease_is_told_so() -> None:
    async def oversleep() -> None:
        lease = Lease(0.5)
        lease.check()
        watching = asyncio.create_task(lease.watch())
        await asyncio.sleep(0.3)
        assert not watching.done()
        lease.check()
        stand_still()
        for _ in range(2):  # whoever wakes before it is told so, too, and then nobody is told otherwise any more
            with pytest.raises(Overslept, match="stood still for 1 s"):
                lease.check()
        await watching

    def stand_still() -> None:
        time.sleep(1)  # what SIGSTOP does to a process

    with pytest.raises(Overslept, match="stood still for 1 s"):
        asyncio.run(oversleep())

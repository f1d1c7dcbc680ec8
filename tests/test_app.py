"""The app: a worker says which partitions it has, and that alone, in whatever order Faust has them sought."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from recsys.engine import Engine
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.app import build_app
from streams.published import PublishedMarks
from streams.settings import Settings


def partitions(*numbers: int) -> frozenset[TP]:
    return frozenset(TP("events", number) for number in numbers)


class Consumer:
    """A consumer of an empty topic."""

    def __init__(self) -> None:
        self.assigned = partitions()
        self.answered: asyncio.Event | None = None
        """Set when the broker answers; None: at once."""

    def assignment(self) -> frozenset[TP]:
        return self.assigned

    async def earliest_offsets(self, *of: TP) -> dict[TP, int]:
        return dict.fromkeys(of, 0)

    async def highwaters(self, *of: TP) -> dict[TP, int]:
        return dict.fromkeys(of, 0)

    async def committed(self, of: Iterable[TP]) -> dict[TP, int]:  # noqa: ARG002
        if self.answered is not None:
            await self.answered.wait()
        return {}

    async def commit_back(self, _: object) -> bool:
        return True


class Sought:
    """An app whose partitions are sought as Faust would have it, and when it said that it is ready."""

    def __init__(self) -> None:
        store, keys = MemoryStore(), Keys("freshet:")
        engine = Engine(store, keys, Rules())
        counting = SimpleNamespace(partitions=4, counted={})
        publishing = SimpleNamespace(marks=PublishedMarks(store, keys, engine), settle=None)
        self.ready: list[str] = []
        app = build_app(Settings(), engine, cast(Any, counting), cast(Any, publishing), self.ready.append)
        self.consumer = Consumer()
        self._transport: Any = app.transport

    async def assign(self, *numbers: int) -> None:
        self.consumer.assigned = partitions(*numbers)
        await self.seek(*numbers)

    async def seek(self, *numbers: int) -> None:
        await self._transport.find_positions(self.consumer, partitions(*numbers))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What the worker has said that it has."""
    with caplog.at_level(logging.INFO, "freshet.worker"):
        yield lambda: [line.partition("has partitions: ")[2] for line in caplog.messages if "has partitions: " in line]


def test_what_was_assigned_earlier_and_is_sought_late_is_no_news(said: Callable[[], list[str]]) -> None:
    async def course() -> Sought:
        app = Sought()
        await app.assign(0, 1, 2, 3)
        answered = app.consumer.answered = asyncio.Event()
        late = asyncio.create_task(app.seek(0, 1, 2, 3))
        await asyncio.sleep(0)
        app.consumer.answered = None
        await app.assign(0, 1)
        answered.set()
        await late
        return app

    app = asyncio.run(course())
    assert said() == ["0, 1, 2, 3", "0, 1"]
    assert app.ready == ["0, 1, 2, 3"]


def test_what_is_read_again_alone_is_not_all_that_there_is(said: Callable[[], list[str]]) -> None:
    async def course() -> None:
        app = Sought()
        await app.assign(0, 1)
        await app.seek(1)
        await app.seek(0, 1)
        await app.assign(2)

    asyncio.run(course())
    assert said() == ["0, 1", "2"]


def test_nothing_is_said_while_some_of_what_it_has_is_still_sought(said: Callable[[], list[str]]) -> None:
    async def course() -> None:
        app = Sought()
        app.consumer.assigned = partitions(0, 1, 2, 3)
        await app.seek(0, 1)
        assert app.ready == []
        await app.seek(0, 1, 2, 3)
        assert app.ready == ["0, 1, 2, 3"]

    asyncio.run(course())
    assert said() == ["0, 1, 2, 3"]

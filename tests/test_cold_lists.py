"""Cold lists are made at their time, and those of what came at once, by one worker and no more often than they may."""

import asyncio
from typing import Any, cast

import pytest

from recsys.cold.lists import ColdList
from recsys.engine import Engine
from recsys.keys import Keys
from recsys.stages import Stages
from recsys.store import MemoryStore
from streams import cold_lists as module
from streams.cold_lists import ColdLists
from streams.settings import Settings

KEYS = Keys("p:")


class Front:
    """An engine that makes one list each time, and notes for whom, and how often of what came."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.stages = Stages()
        self.made: list[bool] = []
        self.arrived = 0
        self._takes_s = takes_s

    async def cold_lists(self, _: float, *, for_all: bool) -> list[tuple[str, ColdList]]:
        self.made.append(for_all)
        return [("web", ColdList("cold_start", f"cold-{len(self.made)}", "", []))]

    async def cold_lists_of_arrivals(self, _: float) -> list[tuple[str, ColdList]]:
        self.arrived += 1
        await asyncio.sleep(self._takes_s)
        return []


def lists(front: Front, owned: set[int], store: MemoryStore | None = None) -> ColdLists:
    return ColdLists(Settings(), KEYS, cast(Engine, front), store or MemoryStore(), owned)


def made_in(seconds: float, front: Front, owned: set[int], arrivals: int = 0, apart_s: float = 0.0) -> tuple[int, int]:
    """How often lists are made in so long a time, in which items come: all, and those of what came."""

    async def run() -> None:
        cold = lists(front, owned)
        task = asyncio.create_task(cast(Any, cold.run()))
        await asyncio.sleep(0.02)
        until = asyncio.get_running_loop().time() + seconds
        for _ in range(arrivals):
            cold.hasten()
            await asyncio.sleep(apart_s)
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        task.cancel()

    asyncio.run(run())
    return len(front.made), front.arrived


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough that a busy machine does not matter."""
    monkeypatch.setattr(module, "EVERY_S", 10.0)
    monkeypatch.setattr(module, "HASTE_S", 0.1)


def test_between_two_times_only_those_are_made_in_which_an_item_came() -> None:
    assert made_in(0.3, Front(), {0, 1}) == (1, 0)
    assert made_in(0.3, Front(), {0, 1}, arrivals=1) == (1, 1)


def test_where_many_items_come_they_are_made_no_more_often_than_they_may() -> None:
    whole, arrived = made_in(0.5, Front(), {0}, arrivals=40, apart_s=0.01)
    assert whole == 1
    assert 2 <= arrived <= 5
    assert made_in(0.5, Front(takes_s=0.1), {0}, arrivals=40, apart_s=0.01) == (1, 1), "it took a fifth of the time"


def test_items_that_come_do_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.1)
    monkeypatch.setattr(module, "HASTE_S", 0.02)
    whole, arrived = made_in(0.6, Front(), {0}, arrivals=50, apart_s=0.01)
    assert whole >= 3
    assert arrived


def test_who_does_not_make_them_is_not_hastened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made_in(0.3, Front(), {1}, arrivals=1) == (1, 0)
    monkeypatch.setattr(module, "EVERY_S", 0.1)
    other = Front()
    assert made_in(0.5, other, {1})[0] >= 3
    assert not any(other.made)


def test_what_was_made_is_written_with_a_lifetime() -> None:
    entries = []

    class Noting(MemoryStore):
        async def put(self, *arguments: Any) -> bool:
            entries.extend(arguments[0])
            return await super().put(*arguments)

    asyncio.run(lists(Front(), {0}, Noting()).make())
    [entry] = entries
    assert (entry.key, entry.lifetime_s) == (KEYS.cold("web"), Settings().retention_s)
    assert b'"cold-1"' in entry.value

"""Looking: what a worker would rank for a user, asked of the live state by the settings alone; nothing is written.

What goes by descriptions needs the topic `items`, too: it is read once, when it is first asked for (decision 0021).

async with looking(read_settings()) as look:
    message = await look.recommend("u1", "item-based")
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.shelf import is_told
from recsys.connection import open_store
from recsys.events import ANONYMOUS
from recsys.explanation import Explanation
from recsys.generations import LiveStore, open_live
from recsys.layout import FORMAT, Layout, stored_layout
from recsys.onlooker import Onlooker
from recsys.recommendation import Recommendation
from recsys.strategies import named
from streams.catalogue_copy import Shown, read_catalogue
from streams.home import home_partition
from streams.settings import Settings


class NothingToSee(RuntimeError):
    """There is no state under these settings, or one that this version cannot read."""


class Looking:
    """An onlooker who knows where each user is at home, and how to read the catalogue."""

    def __init__(self, onlooker: Onlooker, partitions: int, read: Callable[[], Awaitable[Catalogue]]) -> None:
        self._onlooker = onlooker
        self._partitions = partitions
        self._read = read
        self._catalogue: Catalogue | None = None

    async def recommend(self, user: str, strategy: str, n: int | None = None) -> Recommendation:
        """What a strategy recommends to a user now; see `recsys.onlooker.Onlooker.recommend` also for what it raises.

        Raises `TypeError` for a user who is no text: an id that is a number in events is its decimal text.

        `content-based`, `hybrid` and `personal` go by the catalogue as it was when one of them was first asked for, where there
        is one; reading it raises `kafka.errors.KafkaError`, `streams.catalogue_copy.CatalogueUnread`. Raises `NothingToSee`
        where `content-based` finds no item described.
        """
        catalogue = None
        if "descriptions" in (by := named(strategy)[1].by):
            if self._catalogue is None:
                self._catalogue = await self._read()
            catalogue = self._catalogue
            if by == {"descriptions"} and not len(catalogue):
                raise NothingToSee(
                    f"no item is described, so {strategy} has nothing to go by: write the catalogue to the topic `items` "
                    "(freshet items) for workers with FRESHET_CATALOGUE=true"
                )
        now_ms = int(time.time() * 1000)
        return await self._onlooker.recommend(user, self._home(user), strategy, now_ms=now_ms, n=n, catalogue=catalogue)

    async def explain(self, user: str, item: str) -> Explanation:
        """Why an item is recommended to a user, or why not; see `recsys.onlooker.Onlooker.explain` also for what it raises."""
        demand_text("item", item)
        return await self._onlooker.explain(user, self._home(user), item)

    def _home(self, user: str) -> int:
        demand_text("user", user)
        return home_partition(user.removeprefix(ANONYMOUS), self._partitions)


def demand_text(what: str, given: object) -> None:
    """Raises `TypeError` where an id is no text.

    >>> demand_text("user", 17)
    Traceback (most recent call last):
    TypeError: user is 17, of type int: an id is a text, as '17'
    """
    if not isinstance(given, str):
        raise TypeError(f"{what} is {given!r}, of type {type(given).__name__}: an id is a text, as {str(given)!r}")


def unseen(_part: float, _records: int) -> None:
    """Shows nobody how far the catalogue is read."""


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[tuple[LiveStore, Layout]]:
    """The live state under the key prefix of the settings, and what it was built with.

    Raises `NothingToSee` where nothing is counted yet or another version of Freshet counted, `redis.exceptions.RedisError`
    where Redis does not answer.
    """
    async with open_store(settings.redis) as store:
        live = await open_live(store, settings.key_prefix)
        layout = await stored_layout(live, live.keys)
        if layout is None:
            raise NothingToSee(f"nothing is counted under {settings.key_prefix!r} yet: does a worker run (freshet doctor)?")
        if layout.format != FORMAT:
            raise NothingToSee(
                f"the state under {settings.key_prefix!r} has the format {layout.format}, this version reads {FORMAT}: use the "
                "version of the workers"
            )
        yield live, layout


@asynccontextmanager
async def looking(settings: Settings, shown: Shown = unseen) -> AsyncIterator[Looking]:
    """Looks at the state under the key prefix of the settings, by the state's own rules of counting.

    `shown` is told how far the catalogue is read, should it be.

    Raises `NothingToSee` where nothing is counted yet or another version of Freshet counted, `redis.exceptions.RedisError`
    where Redis does not answer.
    """
    async with open_state(settings) as (live, layout):
        rules = msgspec.structs.replace(
            settings.rules, history=layout.history, window=layout.window, session_gap_ms=layout.session_gap_ms
        )

        async def read() -> Catalogue:
            is_there = settings.catalogue and await is_told(live, live.keys)
            return await read_catalogue(settings, live, live.keys, shown) if is_there else Catalogue()

        onlooker = Onlooker(live, live.keys, rules, layout.partitions, catalogue=settings.catalogue)
        yield Looking(onlooker, layout.partitions, read)

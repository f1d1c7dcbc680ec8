"""Looking: what a worker would rank for a user, asked of the live state by the settings alone; nothing is written.

async with looking(read_settings()) as look:
    message = await look.recommend("u1", "item-based")
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from recsys.connection import open_store
from recsys.events import ANONYMOUS
from recsys.explanation import Explanation
from recsys.generations import open_live
from recsys.layout import FORMAT, stored_layout
from recsys.onlooker import Onlooker
from recsys.recommendation import Recommendation
from streams.home import home_partition
from streams.settings import Settings


class NothingToSee(RuntimeError):
    """There is no state under these settings, or one that this version cannot read."""


class Looking:
    """An onlooker who knows where each user is at home."""

    def __init__(self, onlooker: Onlooker, partitions: int) -> None:
        self._onlooker = onlooker
        self._partitions = partitions

    async def recommend(self, user: str, strategy: str, n: int | None = None) -> Recommendation:
        """What a strategy recommends to a user now; see `recsys.onlooker.Onlooker.recommend` also for what it raises."""
        return await self._onlooker.recommend(user, self._home(user), strategy, now_ms=int(time.time() * 1000), n=n)

    async def explain(self, user: str, item: str) -> Explanation:
        """Why an item is recommended to a user, or why not; see `recsys.onlooker.Onlooker.explain` also for what it raises."""
        return await self._onlooker.explain(user, self._home(user), item)

    def _home(self, user: str) -> int:
        return home_partition(user.removeprefix(ANONYMOUS), self._partitions)


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[Looking]:
    """Looks at the state under the key prefix of the settings, by the state's own rules of counting.

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
        rules = msgspec.structs.replace(
            settings.rules, history=layout.history, window=layout.window, session_gap_ms=layout.session_gap_ms
        )
        yield Looking(Onlooker(live, live.keys, rules, layout.partitions, catalogue=settings.catalogue), layout.partitions)

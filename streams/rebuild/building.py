"""The generation that is being built: what it is built from, noted in Redis, so that an interrupted build can go on."""

from typing import Any

import msgspec
from msgspec import Struct
from redis import Redis

from recsys.generations import aside, live_name, number
from recsys.keys import Keys
from streams.failure import Failure
from streams.lag import Span
from streams.settings import PREFIX, Settings
from streams.topics import EVENTS

COUNTED_BY = ("history", "window", "session_gap", "neighbours", "baskets", "customers", "rates")
"""The settings that say what is counted."""


class Building(Struct, frozen=True):
    """A generation that is being built."""

    generation: str
    topic: str
    partitions: int
    counted_by: dict[str, float | str]
    """The settings it is counted by."""
    begins: dict[int, int]
    """By partition, the offset at which the log began when the build did."""

    def keys(self, prefix: str) -> Keys:
        """Its keys while it is not live: the public ones, too, stand under its name."""
        return Keys(aside(prefix, self.generation))


def read_building(client: Redis, prefix: str) -> Building | None:
    stored: Any = client.get(Keys(prefix).building)
    return msgspec.json.decode(stored, type=Building) if stored else None


def begin(client: Redis, settings: Settings, spans: dict[int, Span]) -> Building:
    """A new generation, noted as the one that is being built. No name is used twice: a `drop` may have been interrupted."""
    keys = Keys(settings.key_prefix)
    stored: Any = client.mget([keys.live, keys.before, keys.newest])
    newest = max(number(live_name(value)) for value in stored)
    building = Building(
        generation=f"g{newest + 1}",
        topic=settings.topic(EVENTS),
        partitions=len(spans),
        counted_by=counted_by(settings),
        begins={partition: span.begin for partition, span in spans.items()},
    )
    client.mset({keys.newest: building.generation, keys.building: msgspec.json.encode(building)})
    return building


def counted_by(settings: Settings) -> dict[str, float | str]:
    """By setting, what it says."""
    values = {name: getattr(settings, name) for name in COUNTED_BY}
    return {name: value if isinstance(value, str) else float(value) for name, value in values.items()}


def _shown(value: float | str) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}"


def check_same(building: Building, settings: Settings, partitions: int) -> None:
    """Raises `Failure` where an unfinished generation was begun with something else than is there now."""
    differences = [
        f"{PREFIX}{name.upper()} was {_shown(building.counted_by.get(name, 0.0))} and is {_shown(now)}"
        for name, now in counted_by(settings).items()
        if building.counted_by.get(name) != now
    ]
    if building.topic != settings.topic(EVENTS):
        differences.append(f"the topic was {building.topic} and is {settings.topic(EVENTS)}")
    if building.partitions != partitions:
        differences.append(f"the topic had {building.partitions} partitions and has {partitions}")
    if differences:
        raise Failure(
            f"the unfinished generation {building.generation} was begun otherwise: {', '.join(differences)}. "
            "Begin it anew: freshet rebuild --anew"
        )

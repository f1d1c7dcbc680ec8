"""Which generation of the state is live: for all that look at internal keys and are no worker."""

from typing import Any

from redis import Redis

from recsys.generations import live_name, named
from recsys.keys import LIVE, Keys


def live_keys(client: "Redis", prefix: str) -> Keys:
    """The keys of the generation that is live now."""
    return named(prefix, read_live(client, prefix))


def read_live(client: "Redis", prefix: str) -> str:
    """The name of the generation that is live now."""
    stored: Any = client.get(f"{prefix}{LIVE}")
    return live_name(stored)

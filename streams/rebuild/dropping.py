"""Dropping: the keys of all generations that are not live are deleted, in small steps."""

import re
from collections.abc import Callable
from typing import Any

from redis import Redis

from recsys.generations import FIRST
from recsys.keys import Keys, literal
from streams.live import read_live
from streams.progress import Progress

BATCH = 500
GENERATION = re.compile(rb"(g[1-9][0-9]*):")
OF_THE_FIRST = re.compile(rb"state\Z|\{[ui][0-9]+\}:")


def generation_of(rest: bytes) -> str | None:
    """Whose a key is, by what follows the prefix; None: of the live one, or of none.

    >>> generation_of(b"g2:recs:u1"), generation_of(b"{u0}:mark"), generation_of(b"recs:u1")
    ('g2', 'g1', None)
    """
    match = GENERATION.match(rest)
    if match:
        return match[1].decode()
    return FIRST if OF_THE_FIRST.match(rest) else None


def kept_generations(client: Redis, prefix: str) -> list[str]:
    """The generations beside the live one of which there is a state."""
    live = read_live(client, prefix)
    names = {FIRST} if client.exists(Keys(prefix).state) else set()
    for key in client.scan_iter(match=f"{literal(prefix)}g*:state", count=5000):
        name = generation_of(key[len(prefix.encode()) :])
        names |= {name} if name else set()
    return sorted(names - {live})


def drop(client: Redis, prefix: str) -> int:
    """Deletes the keys of all generations but the live one; how many."""
    keys, live = Keys(prefix), read_live(client, prefix)
    client.delete(keys.before, keys.building)  # first: what is half deleted must not be gone back to or gone on with
    return _drop(client, prefix, lambda generation: generation != live)


def drop_one(client: Redis, prefix: str, generation: str) -> int:
    """Deletes the keys of one generation; how many."""
    return _drop(client, prefix, lambda found: found == generation)


def _drop(client: Redis, prefix: str, unwanted: Callable[[str], bool]) -> int:
    start = len(prefix.encode())
    total: Any = client.dbsize()
    looked = deleted = cursor = 0
    with Progress("dropping", "keys") as progress:
        while True:
            reply: Any = client.scan(cursor, match=f"{literal(prefix)}[{{gs]*", count=BATCH)
            cursor, found = reply
            generations = {key: generation_of(key[start:]) for key in found}
            theirs = [key for key, generation in generations.items() if generation and unwanted(generation)]
            if theirs:
                deleted += int(client.unlink(*theirs))
            looked += BATCH
            progress.show(min(1.0, looked / max(1, total)), deleted)
            if not cursor:
                return deleted

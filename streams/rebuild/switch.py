"""The switch: another generation becomes the live one, and its public keys take the place of the others, in one step.

The step is one transaction (MULTI, EXEC). It renames no more than names that were collected before it; a key that a worker
of the old generation wrote in between stays, and is that of an event which the new generation counts next. A transaction
costs a third of a script that does the same, and those who wait for it are not refused (BUSY) if it takes long.
"""

import time
from collections.abc import Set
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import ResponseError, WatchError

from recsys.generations import aside, live_name, named
from recsys.keys import PUBLIC, Keys, literal
from streams.failure import Failure

SCAN = 5000
NO_SUCH_KEY = "no such key"
"""What Redis says of a key that was there when the names were collected, and has expired since."""


class Switched(NamedTuple):
    """What a switch did."""

    moved: int
    """Public keys that have another name now, of both generations."""
    seconds: float


def switch(client: Redis, prefix: str, was: str, becomes: str, partitions: int, *, leave_none: bool) -> Switched:
    """Makes the generation `becomes` the live one, if `was`, with so many partitions, still is.

    What is read meanwhile is of the one or of the other. `leave_none`: what only the old one has is not to be read any more.
    """
    keys, of_old = Keys(prefix), named(prefix, was)
    old, new = aside(prefix, was), aside(prefix, becomes)
    with client.pipeline() as step:
        step.watch(keys.live)  # type: ignore[no-untyped-call]
        if live_name(step.get(keys.live)) != was:  # type: ignore[arg-type]
            raise replaced(was, prefix)
        published: Any = client.mget([of_old.published(partition) for partition in range(partitions)])
        ours, theirs = public_names(client, new), public_names(client, prefix)
        step.multi()
        renames = [(prefix + name, old + name) for name in (theirs if leave_none else theirs & ours)]
        renames += [(new + name, prefix + name) for name in ours]
        for name, other in renames:
            step.rename(name, other)
        for partition, offset in enumerate(published):
            if offset is not None:  # what was published after the names were collected is not among what is kept
                step.set(of_old.published(partition), offset)
        step.set(keys.live, becomes)
        step.set(keys.before, was)
        step.set(keys.unpublished, becomes)
        step.delete(keys.building)
        begun = time.monotonic()
        try:
            replies = step.execute(raise_on_error=False)
        except WatchError:
            raise replaced(was, prefix) from None
        seconds = time.monotonic() - begun
    for reply in replies:
        if isinstance(reply, Exception) and not (isinstance(reply, ResponseError) and NO_SUCH_KEY in str(reply)):
            raise reply
    return Switched(sum(reply is True for reply in replies[: len(renames)]), seconds)


def replaced(was: str, prefix: str) -> Failure:
    return Failure(f"generation {was} under {prefix!r} is not live any more: run freshet rebuild again")


def public_names(client: Redis, prefix: str) -> Set[str]:
    """The public keys under a prefix, without it."""
    start = len(prefix.encode())
    patterns = (f"{literal(prefix + each)}*" for each in PUBLIC)
    return {key[start:].decode() for pattern in patterns for key in client.scan_iter(match=pattern, count=SCAN)}

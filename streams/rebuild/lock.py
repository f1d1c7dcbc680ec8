"""The lock: one rebuild at a time. One that was killed loses it within seconds."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click
from redis import Redis
from redis.exceptions import LockError, RedisError

from recsys.keys import Keys
from streams.failure import Failure

LEASE_S = 10.0
RENEW_S = 2.0
PATIENCE_S = LEASE_S + 2.0
"""How long a rebuild waits for the lease of one that was killed just before."""


@contextmanager
def only_one(client: Redis, prefix: str) -> Iterator[Callable[[], None]]:
    """Holds the lease; gives what raises `Failure` when it was lost. Raises `Failure` if another rebuild keeps it."""
    lock = client.lock(Keys(prefix).rebuilding, timeout=LEASE_S, blocking_timeout=PATIENCE_S, thread_local=False)
    if not lock.acquire(blocking=False):
        click.echo("another freshet rebuild works on this state, or was killed a moment ago: waiting for it", err=True)
    if not lock.owned() and not lock.acquire():
        raise Failure(f"another freshet rebuild works on the state under {prefix!r}: wait until it has ended")
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_S):
            try:
                lock.reacquire()
            except RedisError:  # what this means is for `check` to say, before the next step that must not be done twice
                return

    def check() -> None:
        if not lock.owned():
            raise Failure("the rebuild was interrupted for too long, or Redis was restarted: run freshet rebuild again")

    renewing = threading.Thread(target=renew, name="rebuild-lease", daemon=True)
    renewing.start()
    try:
        yield check
    finally:
        ended.set()
        renewing.join()
        with suppress(LockError, RedisError):  # it has run out, or will
            lock.release()

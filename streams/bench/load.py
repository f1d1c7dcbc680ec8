"""A seeded load, faster than a worker: sessions over a large catalogue, made in arrays.

Item popularity follows Zipf's law; a session stays near the item that it began with, and now and then looks at something
popular. So popular items meet thousands of others, and their rows are cut again and again.
"""

from collections.abc import Iterator

import numpy as np

BLOCK = 50_000
"""Events that are made, and shuffled by time, at once."""
ITEMS = 100_000
NEAR = 30
DAYS = 30
MEAN_SESSION = 5
STEP_S = 60
KINDS = ("view", "click", "add_to_cart", "purchase")


def events(count: int, end_ms: int, seed: int, items: int = ITEMS, users: int | None = None) -> Iterator[tuple[str, bytes]]:
    """So many events over `DAYS` days up to `end_ms`, in the order of time: the user's id, and the record's value.

    Where it is not said how many users there are, each has about fifteen events.
    """
    rng = np.random.default_rng(seed)
    span_ms = DAYS * 86_400_000
    users = users or max(100, count // 15)
    begun = 0
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        sessions = np.repeat(np.arange(size), rng.geometric(1 / MEAN_SESSION, size))[:size]
        n = sessions[-1] + 1
        place = np.arange(size) - np.searchsorted(sessions, sessions)
        from_ms = end_ms - span_ms + span_ms * first // count
        block_ms = max(span_ms * size // count, 1)
        start = from_ms + rng.integers(0, block_ms, n)
        time = start[sessions] + place * STEP_S * 1000
        centre = popular(rng, n, items)
        item = (centre[sessions] + rng.integers(0, NEAR, size)) % items
        stray = rng.random(size) < 0.15
        item[stray] = popular(rng, int(stray.sum()), items)
        user = np.minimum(rng.zipf(1.2, n), users)[sessions]
        user = np.where(rng.random(n)[sessions] < 0.9, rng.integers(1, users, n)[sessions], user)
        kind = rng.choice(len(KINDS), size, p=[0.7, 0.2, 0.07, 0.03])
        order = np.argsort(time, kind="stable")
        columns = (column[order].tolist() for column in (user, item, kind, np.minimum(time, end_ms), sessions + begun))
        for u, i, k, t, s in zip(*columns, strict=True):
            known = f'"user_id":"u{u}"' if u % 4 else f'"anonymous_id":"u{u}"'
            session = f',"session_id":"s{s}"' if s % 2 else ""
            yield f"u{u}", f'{{"event_type":"{KINDS[k]}",{known},"item_id":"i{i}","event_time":{t}{session}}}'.encode()
        begun += int(n)


def popular(rng: np.random.Generator, count: int, items: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Items by Zipf's law."""
    return np.minimum(rng.zipf(1.15, count), 1 << 40) % items

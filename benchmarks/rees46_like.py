"""A seeded file in the format of REES46 with as many events as wanted: many visitors at once, popular items, short sessions."""

import csv
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

HEADER = [
    "event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id", "user_session",
]  # fmt: skip
START = datetime(2019, 10, 1, tzinfo=UTC)
EVENTS_PER_S = 1.7
ITEMS_NEAR = 20
"""A visitor stays within so many items of the one that she began with."""


def write(path: Path, events: int, items: int = 20_000, seed: int = 1) -> None:
    """Writes `events` rows, oldest first: 94 % views, carts and purchases as in the published sample."""
    rng = np.random.default_rng(seed)
    active: list[tuple[int, str, int]] = []
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for n in range(events):
            if len(active) < 300 or rng.random() < 0.2:
                first = min(int(rng.zipf(1.2)), items)
                active.append((int(rng.integers(1, events)), str(uuid.UUID(bytes=rng.bytes(16))), first))
            place = int(rng.integers(len(active)))
            user, session, first = active[place]
            item = 1_000_000 + (first + int(rng.integers(ITEMS_NEAR))) % items
            kind = rng.choice(["view", "cart", "purchase"], p=[0.94, 0.035, 0.025])
            time = (START + timedelta(seconds=n / EVENTS_PER_S)).strftime("%Y-%m-%d %H:%M:%S UTC")
            rows.writerow([time, kind, item, item // 100, "", "", round(float(rng.uniform(1, 900)), 2), user, session])
            if rng.random() < 0.2:
                active[place] = active[-1]
                active.pop()

"""What the state takes in Redis: predicted from how many items and users there are, and how much is remembered of each.

    item = 370 + 16 a neighbour in its row + 46 a neighbour in its public list      (bytes)
    user = 330 + 28 an interaction in the history + 51 an item recommended + 57 a reason for one

Ids of six characters; the constants are two keys each with what Redis itself takes for them.

`python -m benchmarks.footprint redis://…` prints both, and what Redis says, for a running system.
"""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from redis import Redis

from recsys import rows
from recsys.histories import BYTES_PER_INTERACTION
from recsys.keys import Keys

ITEM, NEIGHBOUR, LISTED = 370, 16, 46
USER, INTERACTION, RECOMMENDED, REASON = 330, BYTES_PER_INTERACTION, 51, 57
BATCH = 1000


class StoredRow(NamedTuple):
    """A row as it is stored."""

    item: str
    interactions: int
    landmark_ms: int
    other: Any
    """Hashes of the neighbours."""
    weight: Any
    counts: Any


class Footprint(NamedTuple):
    """What is stored."""

    rows: list[StoredRow]
    listed: int
    users: int
    interactions: int
    recommended: int
    reasons: int

    @property
    def bytes_per_item(self) -> float:
        neighbours = sum(len(row.other) for row in self.rows)
        return ITEM + (NEIGHBOUR * neighbours + LISTED * self.listed) / max(1, len(self.rows))

    @property
    def bytes_per_user(self) -> float:
        remembered = INTERACTION * self.interactions + RECOMMENDED * self.recommended + REASON * self.reasons
        return USER + remembered / max(1, self.users)

    @property
    def predicted(self) -> float:
        """Bytes of all of it."""
        return self.bytes_per_item * len(self.rows) + self.bytes_per_user * self.users


def footprint(redis: "Redis", keys: Keys) -> Footprint:
    """Reads the whole state."""
    found: list[StoredRow] = []
    listed = users = interactions = recommended = reasons = 0
    for key, value in stored(redis, keys):
        kind = key.removeprefix(keys.prefix)
        if "}:row:" in kind:
            found.append(unpacked(value))
        elif kind.startswith("similar:"):
            listed += len(msgspec.json.decode(value)["items"])
        elif "}:user:" in kind:
            users += 1
            interactions += (len(value) - 1) // BYTES_PER_INTERACTION
        elif kind.startswith("recs:"):
            items = msgspec.json.decode(value)["items"]
            recommended += len(items)
            reasons += sum(len(item["reasons"]) for item in items)
    return Footprint(found, listed, users, interactions, recommended, reasons)


def stored(redis: "Redis", keys: Keys) -> Iterator[tuple[str, bytes]]:
    """All keys and values."""
    batch: list[bytes] = []
    for key in {*redis.scan_iter(match=f"{keys.prefix}*", count=5000)}:
        batch.append(key)
        if len(batch) == BATCH:
            yield from zip((k.decode() for k in batch), redis.mget(batch), strict=True)
            batch = []
    if batch:
        yield from zip((k.decode() for k in batch), redis.mget(batch), strict=True)


def unpacked(value: bytes) -> StoredRow:
    row = rows.empty(np.zeros(1, np.uint64), rows.packed_length(value))
    rows.unpack(row, [value])
    return StoredRow(
        row.ids[0] or "",
        int(row.interactions[0]),
        int(row.landmark[0]),
        row.other[0],
        row.weight[0].astype(float),
        row.counts[0],
    )


def main() -> None:
    url, prefix = (*sys.argv[1:], *("redis://localhost:6379/0", "freshet:")[len(sys.argv) - 1 :])
    with Redis.from_url(url) as redis:
        found = footprint(redis, Keys(prefix))
        measured = redis.info("memory")["used_memory"]
    print(
        f"{len(found.rows):,} items of {found.bytes_per_item:,.0f} bytes, {found.users:,} users of {found.bytes_per_user:,.0f}"
    )
    print(f"predicted {found.predicted / 1e6:,.1f} MB, Redis has {measured / 1e6:,.1f} MB in all")


if __name__ == "__main__":
    main()

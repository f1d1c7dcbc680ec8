"""What the state takes in Redis: a sample of keys of each kind, as MEMORY USAGE has them."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from recsys import histories, rows
from recsys.keys import literal
from recsys.returning import purchases
from streams.bench.measured import Kept
from streams.bench.space import Space

SAMPLE = 2_000
"""Keys of each kind; SCAN gives them in the order of their hashes, so any of them are as good as others."""
KINDS = {
    "}:row:": "row", "}:together:": "baskets", "}:after:": "baskets", "}:sales:": "sales", "}:visitors:": "visitors",
    "}:user:": "user", "}:bought:": "bought", "similar:": "list", "together:": "list", "bought_after:": "list", "recs:": "recs",
}  # fmt: skip


def kept(space: Space) -> Kept:
    """Reads a sample of what is stored now."""
    number: Counter[str] = Counter()
    sample: dict[str, list[bytes]] = defaultdict(list)
    for key in space.client.scan_iter(match=f"{literal(space.settings.key_prefix)}*", count=5_000):
        name = key.decode().removeprefix(space.settings.key_prefix)
        kind = next((kind for part, kind in KINDS.items() if part in name), "")
        number[kind] += 1
        if len(sample[kind]) < SAMPLE:
            sample[kind].append(key)
    size = {kind: usage(space, keys) for kind, keys in sample.items()}
    values: dict[str, Any] = {kind: space.client.mget(sample[kind]) for kind in ("row", "user", "bought") if sample[kind]}
    neighbours = [rows.packed_length(value) for value in values["row"]]
    interactions = [(len(value) - 1) // histories.BYTES_PER_INTERACTION for value in values["user"]]
    held = purchases.unpack(values.get("bought", [])).held
    _, full_row = line(neighbours, size["row"], space.settings.neighbours)
    _, full_user = line(interactions, size["user"], space.settings.history)
    spread = {
        kind: float(size[kind].mean()) * number[kind] / number[over] if number[kind] else 0.0
        for kind, over in (("list", "row"), ("baskets", "row"), ("sales", "row"), ("visitors", "row"), ("bought", "user"))
    }
    return Kept(
        items=number["row"],
        users=number["user"],
        mean_item=float(size["row"].mean()) + spread["list"] + spread["baskets"] + spread["sales"] + spread["visitors"],
        mean_user=float(size["user"].mean()) + spread["bought"],
        full_item=full_row + spread["sales"],
        list=float(np.percentile(size["list"], 95)),
        full_user=full_user,
        recommendation=float(size["recs"].mean()),
        held_item=line(held, size["bought"], 0)[0] if len(set(held.tolist())) > 1 else None,
    )


def usage(space: Space, keys: list[bytes]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    pipeline: Any = space.client.pipeline(transaction=False)
    for key in keys:
        pipeline.memory_usage(key, samples=0)
    return np.array([size or 0 for size in pipeline.execute()], np.int64)


def line(parts: Any, sizes: Any, at: int) -> tuple[float, float]:
    """What each part adds, and the size with so many parts, by least squares.

    >>> line([1, 2, 4], [110, 120, 140], 10)
    (10.0, 200.0)
    """
    if len(set(parts)) < 2:
        return 0.0, float(np.mean(sizes))
    slope, origin = np.polyfit(parts, sizes, 1)
    return round(float(slope), 6), round(float(slope * at + origin), 6)

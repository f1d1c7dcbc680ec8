"""What a store holds of the visitors of items, held against the recount."""

from collections.abc import Mapping

from oracle import Recount, home_partition

from recsys.hashing import hash_id
from recsys.keys import Keys
from recsys.sharding import ITEM_SHARDS
from recsys.visitors import Visitor, unpack


def assert_visitors_are(truth: Recount, values: Mapping[str, bytes | None], keys: Keys, partitions: int, most: int) -> None:
    """Of each item the newest visitors are kept, and of nothing else. Who was forgotten may have pushed somebody out before."""
    found = {key: unpack(value) for key, value in values.items() if "}:visitors:" in key}
    expected = {}
    for item, visits in truth.visits.items() if most else ():
        key = keys.visitors(hash_id(item) % ITEM_SHARDS, hash_id(item))
        if item in truth.left and len(truth.met[item]) > most:
            kept = found.pop(key)
            assert kept == sorted(kept, key=lambda visitor: (-visitor.time_ms, visitor.user.encode()))[:most]
            assert all(visitor.time_ms <= visits[visitor.user] for visitor in kept)
            continue
        newest = sorted(visits.items(), key=lambda visit: (-visit[1], visit[0].encode()))[:most]
        expected[key] = [
            Visitor(user, home_partition(user.removeprefix("anon:"), partitions), time_ms) for user, time_ms in newest
        ]
    assert found == expected

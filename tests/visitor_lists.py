"""What a store holds of the visitors of items, held against the recount."""

from collections.abc import Mapping

from oracle import Recount, home_partition

from recsys.hashing import hash_id
from recsys.item_shards import ITEM_SHARDS
from recsys.keys import Keys
from recsys.visitors import Visitor, unpack


def assert_visitors_are(truth: Recount, values: Mapping[str, bytes | None], keys: Keys, partitions: int, most: int) -> None:
    """Of each item the newest visitors are kept, and of nothing else."""
    expected = {}
    for item, visits in truth.visits.items() if most else ():
        newest = sorted(visits.items(), key=lambda visit: (-visit[1], visit[0].encode()))[:most]
        expected[keys.visitors(hash_id(item) % ITEM_SHARDS, hash_id(item))] = [
            Visitor(user, home_partition(user.removeprefix("anon:"), partitions), time_ms) for user, time_ms in newest
        ]
    assert {key: unpack(value) for key, value in values.items() if "}:visitors:" in key} == expected

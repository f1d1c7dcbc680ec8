"""Every Redis key of Freshet is built here, and nowhere else.

The public keys are part of the contract, the others are internal. `p` is the key prefix (`freshet:`); the part in braces is the
hash tag that puts a shard into one slot of a Redis Cluster. An id stands only at the end of a key, after a fixed part, so no
id can reach a key of another kind, user or shard.

| key | type | lifetime | written by | what |
|---|---|---|---|---|
| `p recs:<user>` | string | retention | publish | public: the Recommendation JSON |
| `p similar:<item>` | string | none: one an item | publish | public: the item's strongest neighbours as JSON |
| `p trending` | string | none: one key | publish | public: the most popular items as JSON |
| `p state` | string | none: one key | first worker | what the state was built with (`recsys.layout.Layout`) |
| `p {u7}:mark` | string | none: one a partition | commit | the shard's version, mark, counters (`recsys.marks.UserMark`) |
| `p {u7}:published` | string | none: one a partition | publish | the last offset whose recommendations are out |
| `p {u7}:user:<user>` | string | retention | commit | the user's history, packed (`recsys.histories`) |
| `p {i7}:mark` | string | none: one a shard | merge | the shard's version, its marks by partition (`recsys.marks.ItemMark`) |
| `p {i7}:row:<hash>` | string | none: one an item | merge | the item's row, packed (`recsys.rows`) |
| `p {i7}:top` | string | none: one a shard | merge | the shard's most popular items, packed (`recsys.popularity`) |
"""

from msgspec import Struct


class Keys(Struct, frozen=True):
    """The keys under one prefix.

    >>> Keys("freshet:").recs("u1")
    'freshet:recs:u1'
    >>> Keys("freshet:").user(7, "u1")
    'freshet:{u7}:user:u1'
    """

    prefix: str

    def recs(self, user: str) -> str:
        return f"{self.prefix}recs:{user}"

    def similar(self, item: str) -> str:
        return f"{self.prefix}similar:{item}"

    @property
    def trending(self) -> str:
        return f"{self.prefix}trending"

    @property
    def state(self) -> str:
        return f"{self.prefix}state"

    def user_mark(self, partition: int) -> str:
        return f"{self.prefix}{{u{partition}}}:mark"

    def published(self, partition: int) -> str:
        return f"{self.prefix}{{u{partition}}}:published"

    def user(self, partition: int, user: str) -> str:
        return f"{self.prefix}{{u{partition}}}:user:{user}"

    def item_mark(self, shard: int) -> str:
        return f"{self.prefix}{{i{shard}}}:mark"

    def row(self, shard: int, item: int) -> str:
        """`item` is the 64-bit hash of the item's id."""
        return f"{self.prefix}{{i{shard}}}:row:{item:016x}"

    def top(self, shard: int) -> str:
        return f"{self.prefix}{{i{shard}}}:top"

"""Every Redis key of Freshet is built here, and nowhere else.

The public keys are part of the contract, the others are internal. `p` is the key prefix (`freshet:`); the part in braces is the
hash tag that puts a shard into one slot of a Redis Cluster. An id stands only at the end of a key, after a fixed part, so no
id can reach a key of another kind, user or shard.

A state that was built anew beside another is a generation, and has a name (`recsys.generations`). The internal keys of the
first one, `g1`, stand right under the prefix; those of another stand under `p g2:`. The public keys of whichever is live
stand right under the prefix, those of another under its own name (`p g1:recs:<user>`). The keys of the catalogue (`item:`,
`catalogue`, `{c7}:`) and of described users (`user:`, `{p7}:`) are of no generation: they are read from topics of their own,
and a rebuild leaves them alone.

| key | type | lifetime | written by | what |
|---|---|---|---|---|
| `p live` | string | none: one key | switch | the name of the live generation; missing: `g1` |
| `p before` | string | none: one key | switch | the name of the generation that was live before it |
| `p newest` | string | none: one key | rebuild | the name of the newest generation that was begun: no name is used twice |
| `p building` | string | none: one key | rebuild | the generation that is being built, and by what rules (`streams.rebuild`) |
| `p worker:<name>` | string | minutes | round | what a worker does, and how fast, as JSON (`recsys.stages`) |
| `p unpublished` | string | none: one key | switch | there until the topic has the recommendations of the live generation |
| `p rebuilding` | string | seconds | rebuild | held by the one rebuild that runs |
| `p recs:<user>` | string | retention | publish | public: the Recommendation JSON |
| `p similar:<item>` | string | none: one an item | publish | public: the item's strongest neighbours as JSON |
| `p together:<item>` | string | none: one an item | publish | public: what is bought together with the item, as JSON |
| `p bought_after:<item>` | string | none: one an item | publish | public: what is bought after the item was met, as JSON |
| `p customer:<user>` | string | retention | publish | public: the Customer JSON |
| `p cold`, `p cold:<context>` | string | retention | publish | public: what to show first (`recsys.cold`), as JSON |
| `p lifetimes` | string | 90 days | lifetimes | how long customers stay, as fitted, as JSON (`recsys.customers.outlook`) |
| `p trending` | string | none: one key | publish | public: the most popular items as JSON |
| `p trending:<category>` | string | none: one a category | publish | public: the most popular items of a category as JSON |
| `p item:<item>` | string | none: one an item | catalogue | public: the Item JSON of an item that is not deleted, as it came |
| `p catalogue` | string | none: one key | catalogue | the most partitions `items` was seen with; missing: nobody has read it |
| `p {c7}:mark` | string | none: one a partition of `items` | catalogue | up to where its records have had their effects |
| `p {c7}:deleted` | string | none: one a partition of `items` | catalogue | the items deleted up to there, and when, as JSON |
| `p user:<user>` | string | none: one a described user | users | public: the User JSON of a user who is not deleted |
| `p {p7}:mark` | string | none: one a partition of `users` | users | up to where its records have had their effects |
| `p {p7}:refusals` | string | none: one a partition of `users` | users | who refuses, as JSON (`recsys.customers.consent`) |
| `p state` | string | none: one key | first worker | what the state was built with (`recsys.layout.Layout`) |
| `p signer` | string | none: one key | worker | whose signature forwarded records have: a fingerprint of the secret |
| `p {u7}:mark` | string | none: one a partition | commit | the shard's version, mark, counters (`recsys.marks.UserMark`) |
| `p {u7}:published` | string | none: one a partition | publish | the last offset whose recommendations are out |
| `p {u7}:user:<user>` | string | retention | commit | the user's history, packed (`recsys.histories`) |
| `p {u7}:bought:<user>` | string | retention | commit | what the user bought and holds, packed (`recsys.returning.purchases`) |
| `p {u7}:account:<user>` | string | retention | commit | what is counted of the customer, packed (`recsys.customers.account`) |
| `p {u7}:spreads` | string | none: one a partition | commit | how its customers stand, packed (`recsys.customers.rfm`) |
| `p {u7}:contexts` | string | retention | commit | the contexts that were met, as JSON (`recsys.cold.contexts`) |
| `p {u7}:context:<slot>` | string | retention | commit | what is popular in one, packed (`recsys.cold.tables`) |
| `p {u7}:trials:<bucket>` | string | retention | commit | how often its items were shown and clicked (`recsys.cold.trials`) |
| `p {u7}:ledger:<scope>` | string | none, or retention | commit | what its customers together did (`recsys.ledger.scopes`) |
| `p {u7}:learner` | string | retention | publish | what ranking learned on the partition, packed (`recsys.learners`) |
| `p category:<category>` | string | none: one a category | publish | its most popular items, packed (`recsys.categories`) |
| `p {i7}:mark` | string | none: one a shard | merge | the shard's version, its marks by partition (`recsys.marks.ItemMark`) |
| `p {i7}:row:<hash>` | string | none: one an item | merge | the item's row, packed (`recsys.rows`) |
| `p {i7}:together:<hash>` | string | none: one an item | merge | what is in baskets with the item, packed (`recsys.rows`) |
| `p {i7}:after:<hash>` | string | none: one an item | merge | what was bought after the item was met, packed likewise |
| `p {i7}:sales:<hash>` | string | none: one an item | merge | how the item sells, packed (`recsys.returning.sales`) |
| `p {i7}:visitors:<hash>` | string | none: one an item, capped | merge | who met the item last, packed (`recsys.visitors`) |
| `p {i7}:top` | string | none: one a shard | merge | the shard's most popular items, packed (`recsys.popularity`) |
"""

from functools import cached_property

from msgspec import Struct

LIVE = "live"
"""What follows the prefix in the key that names the live generation: the one key that is read before `Keys` are known."""


PUBLIC = ("recs:", "similar:", "together:", "bought_after:", "trending", "cold", "customer:")
"""What public keys begin with after the prefix."""

VIEWED, TOGETHER, AFTER = "row", "together", "after"
"""The tables of rows: what was met together, bought together, and bought after something was met."""
SALES, VISITORS = "sales", "visitors"
"""The other tables with something of each item."""


def literal(text: str) -> str:
    """The pattern of Redis that matches this text and nothing else.

    >>> literal("shop*:")
    'shop\\\\*:'
    """
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)


class Keys(Struct, frozen=True, dict=True):
    """The keys under one prefix, of one generation.

    An id stands at the end: who needs the keys of many asks for that of the empty id, and adds each to it.

    >>> Keys("freshet:").recs("u1")
    'freshet:recs:u1'
    >>> Keys("freshet:").user(7, "u1")
    'freshet:{u7}:user:u1'
    >>> Keys("freshet:", "g2:").user(7, "u1")
    'freshet:g2:{u7}:user:u1'
    """

    prefix: str
    generation: str = ""
    """What stands before the internal keys: nothing for the first one, else its name and a colon."""

    def recs(self, user: str) -> str:
        return f"{self.prefix}recs:{user}"

    def similar(self, item: str) -> str:
        return f"{self.prefix}similar:{item}"

    def together(self, item: str) -> str:
        return f"{self.prefix}together:{item}"

    def bought_after(self, item: str) -> str:
        return f"{self.prefix}bought_after:{item}"

    def customer(self, user: str) -> str:
        return f"{self.prefix}customer:{user}"

    @property
    def lifetimes(self) -> str:
        return f"{self.prefix}lifetimes"

    def item(self, item: str) -> str:
        return f"{self.prefix}item:{item}"

    def described(self, user: str) -> str:
        return f"{self.prefix}user:{user}"

    def users_mark(self, partition: int) -> str:
        """Of the topic `users`."""
        return f"{self.prefix}{{p{partition}}}:mark"

    def refusals(self, partition: int) -> str:
        """Of a partition of the topic `users`."""
        return f"{self.prefix}{{p{partition}}}:refusals"

    @property
    def published_lists(self) -> str:
        """A pattern of Redis for the recommendations and all lists, and few keys beside them."""
        return f"{literal(self.prefix)}[bcrst]*"

    @property
    def catalogue(self) -> str:
        return f"{self.prefix}catalogue"

    def catalogue_mark(self, partition: int) -> str:
        """Of the topic `items`."""
        return f"{self.prefix}{{c{partition}}}:mark"

    def catalogue_deleted(self, partition: int) -> str:
        return f"{self.prefix}{{c{partition}}}:deleted"

    @property
    def trending(self) -> str:
        return f"{self.prefix}trending"

    def trending_in(self, category: str) -> str:
        return f"{self.trending}:{category}"

    def cold(self, context: str = "") -> str:
        """What to show in a context (`recsys.cold.contexts`); the empty one is that of a visitor of whom nothing is known."""
        return f"{self.prefix}cold:{context}" if context else f"{self.prefix}cold"

    @property
    def live(self) -> str:
        return f"{self.prefix}{LIVE}"

    @property
    def before(self) -> str:
        return f"{self.prefix}before"

    @property
    def newest(self) -> str:
        return f"{self.prefix}newest"

    @property
    def building(self) -> str:
        return f"{self.prefix}building"

    @property
    def unpublished(self) -> str:
        return f"{self.prefix}unpublished"

    @property
    def rebuilding(self) -> str:
        return f"{self.prefix}rebuilding"

    def worker(self, name: str) -> str:
        return f"{self.prefix}worker:{name}"

    @cached_property
    def internal(self) -> str:
        """What all internal keys of the generation begin with."""
        return f"{self.prefix}{self.generation}"

    @property
    def state(self) -> str:
        return f"{self.internal}state"

    @property
    def signer(self) -> str:
        return f"{self.internal}signer"

    def user_mark(self, partition: int) -> str:
        return f"{self.internal}{{u{partition}}}:mark"

    def published(self, partition: int) -> str:
        return f"{self.internal}{{u{partition}}}:published"

    def learner(self, partition: int) -> str:
        return f"{self.internal}{{u{partition}}}:learner"

    def contexts(self, partition: int) -> str:
        return f"{self.internal}{{u{partition}}}:contexts"

    def context(self, partition: int, slot: int) -> str:
        return f"{self.internal}{{u{partition}}}:context:{slot}"

    def trials(self, partition: int, bucket: int) -> str:
        return f"{self.internal}{{u{partition}}}:trials:{bucket}"

    def user(self, partition: int, user: str) -> str:
        return f"{self.internal}{{u{partition}}}:user:{user}"

    def bought(self, partition: int, user: str) -> str:
        return f"{self.internal}{{u{partition}}}:bought:{user}"

    def account(self, partition: int, user: str) -> str:
        return f"{self.internal}{{u{partition}}}:account:{user}"

    @property
    def accounts(self) -> str:
        """A pattern of Redis for the accounts of all customers."""
        return f"{literal(self.internal)}{{u*}}:account:*"

    def spreads(self, partition: int) -> str:
        return f"{self.internal}{{u{partition}}}:spreads"

    def ledger(self, partition: int, scope: str) -> str:
        """`scope` is one of `recsys.ledger.scopes`."""
        return f"{self.internal}{{u{partition}}}:ledger:{scope}"

    def ledgers(self, kind: str) -> str:
        """A pattern of Redis for all scopes that begin with `kind`, of all partitions."""
        return f"{literal(self.internal)}{{u*}}:ledger:{kind}*"

    def category(self, category: str) -> str:
        return f"{self.internal}category:{category}"

    def item_mark(self, shard: int) -> str:
        return f"{self.internal}{{i{shard}}}:mark"

    def of_items(self, shard: int, table: str) -> str:
        """What the keys of a table begin with; the item's 64-bit hash follows, in 16 hexadecimal digits."""
        return f"{self.internal}{{i{shard}}}:{table}:"

    def row(self, shard: int, item: int, table: str = VIEWED) -> str:
        """`item` is the 64-bit hash of the item's id."""
        return f"{self.of_items(shard, table)}{item:016x}"

    def sales(self, shard: int, item: int) -> str:
        """Likewise."""
        return self.row(shard, item, SALES)

    def visitors(self, shard: int, item: int) -> str:
        """Likewise."""
        return self.row(shard, item, VISITORS)

    def top(self, shard: int) -> str:
        return f"{self.internal}{{i{shard}}}:top"

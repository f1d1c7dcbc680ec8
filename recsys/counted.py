"""Counted: what committed chunks leave for ranking and publishing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys import rows
from recsys.batch import Arrival, Batch, matters
from recsys.compiled import I32, U64, Bools
from recsys.customers.accounts import Settled
from recsys.customers.joins import Forgotten, Joined, Parted, whole
from recsys.customers.standings import Known
from recsys.events import Kind
from recsys.histories import Histories
from recsys.item_shards import Merged
from recsys.returning import purchases
from recsys.returning.purchases import Purchases
from recsys.returning.sales import nothing_sold
from recsys.user_shards import Before, Users, UserShard


class Newest(NamedTuple):
    """The newest event that changed a user's history."""

    partition: int
    arrival: Arrival
    place: int
    """Of the user's history."""


class Gone(NamedTuple):
    """A user who was forgotten in a chunk, or whose visitors were, and of whom something is to be told no more."""

    user: str
    partition: int
    unrecommended: bool
    """There is no history to recommend anything by."""
    untold: bool
    """There is no account to tell a customer of."""


class Counted(NamedTuple):
    """What committed chunks leave for ranking: the users they touched, as they now are."""

    ends: dict[int, int]
    """By partition, the end of the chunk: everything up to there is counted."""
    lost: list[int]
    """Partitions that were not committed, because their user shards were changed: another worker has them, or Redis went back
    to an earlier state. What is there now is to be read, and counting to go on from there."""
    newest: dict[str, Newest]
    """By user."""
    users: Users
    before: Before
    new: I32
    """How many interactions are new in each history."""
    customers: list[Known]
    """Of whom there is an event, those of committed chunks."""
    merged: Merged
    changed: dict[str, U64]
    """By table (`recsys.keys`), the items whose rows the chunks changed."""
    gone: Sequence[Gone] = ()
    """Those of committed chunks."""


def nothing_counted(shards: Sequence[UserShard], users: Users) -> Counted:
    """What is left when the user shards changed while they were counted."""
    nothing = np.empty(0, np.uint64)
    return Counted(
        {},
        [shard.chunk.partition for shard in shards],
        {},
        users,
        Before(np.empty(0, np.int64), purchases.empty(0)),
        np.zeros(len(users.histories.length), np.int32),
        [],
        Merged(rows.empty(nothing, 0), nothing_sold(), nothing_sold(), []),
        {},
    )


def newest_events(shard: UserShard, batch: Batch, changed: Bools) -> dict[str, Newest]:
    """By user, the newest event of the chunk that changed the history, now or when the chunk was counted before; or a visitor's
    joining, or parting."""
    chunk = shard.chunk
    place = {user: shard.first + n for n, user in enumerate(shard.users)}
    offsets = set(batch.offset[changed & (batch.partition == chunk.partition)].tolist())
    return {
        arrival.event.user_id: Newest(chunk.partition, arrival, place[arrival.event.user_id])
        for arrival in chunk.arrivals
        if (matters(arrival.event.kind) and (arrival.offset <= shard.mark.offset or arrival.offset in offsets))
        or (isinstance(arrival.message, Joined) and arrival.message.history)
        or isinstance(arrival.message, Parted)
    }


def who_is_gone(shard: UserShard, histories: Histories, customers: Sequence[Known]) -> list[Gone]:
    """Of the users whom the chunk forgets, now or when it was counted before, those of whom nothing is known by now; likewise
    of the customers whose visitors it forgets. `histories` are those by which they are ranked."""
    asked = {arrival.event.user_id for arrival in shard.chunk.arrivals if forgets(arrival)}
    if not asked:
        return []
    told = {known.user for known in customers}
    place = {user: shard.first + n for n, user in enumerate(shard.users)}
    found = [Gone(user, shard.chunk.partition, histories.length[place[user]] == 0, user not in told) for user in sorted(asked)]
    return [each for each in found if each.unrecommended or each.untold]


def forgets(arrival: Arrival) -> bool:
    """Whether an arrival may leave nothing of a user."""
    return arrival.event.kind is Kind.FORGET or isinstance(arrival.message, Forgotten | Parted)


def known_customers(shard: UserShard, settled: Settled | None) -> list[Known]:
    """The customers of whom the chunk has an event, now or when it was counted before."""
    if settled is None:
        return []
    chunk = shard.chunk
    newest = {arrival.event.user_id: arrival for arrival in chunk.arrivals}
    place = {user: shard.first + n for n, user in enumerate(shard.users)}
    return [
        Known(user, chunk.partition, arrival, account, place[user])
        for user, arrival in newest.items()
        if (own := settled.accounts.get(user)) is not None and (account := whole(own)).kinds
    ]


def without_past(counted: Counted, places: Sequence[int]) -> Counted:
    """The same, but that of the users in these places nothing is known: they did nothing, and bought nothing."""
    users = Users(
        Histories._make(_blank(column, places) for column in counted.users.histories),
        Purchases._make(_blank(column, places) for column in counted.users.purchases),
    )
    return counted._replace(users=users, new=_blank(counted.new, places))


def _blank(column: Any, places: Sequence[int]) -> Any:
    column = column.copy()
    column[places] = 0
    return column

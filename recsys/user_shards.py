"""The user shards: of each partition what its users did and bought, with the mark that says up to where. Committed together."""

from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from recsys import histories, identified, joined_histories, joined_purchases, marks
from recsys.batch import Arrival, Batch
from recsys.compiled import I32, I64, U64, Bools
from recsys.customers.accounts import Settled, Stored, settle
from recsys.customers.consent import Refusals
from recsys.customers.joins import Deeds
from recsys.deltas import Deltas
from recsys.events import FIRST_OTHER
from recsys.fold import FORGET, fold
from recsys.given import Giving, given_after
from recsys.hashing import hash_item
from recsys.histories import Histories
from recsys.keys import Keys
from recsys.ledger.scopes import scopes
from recsys.marks import UserMark
from recsys.returning import basket_fold, purchases, repurchase
from recsys.returning.purchases import Purchases
from recsys.returning.repurchase import Repurchase
from recsys.returning.sales import BOUGHT_AGAIN, EXPOSED
from recsys.rules import Rules
from recsys.shards import Shards
from recsys.store import NO_VALUE, Swap
from recsys.visitors import Visits, visits

NO_DEEDS: Mapping[tuple[int, int], Deeds] = MappingProxyType({})


class Chunk(NamedTuple):
    """What came from one partition, after decoding: everything from offset `start` to `end`, both included."""

    partition: int
    start: int
    end: int
    arrivals: Sequence[Arrival]
    rejected: Sequence[int] = ()
    """Offsets of records that were set aside."""
    forwarded: Sequence[int] = ()
    """Offsets of records that were sent on to their home partitions."""
    leftover: Sequence[int] = ()
    """Offsets of records that are passed over, since their originals are sent on once more."""


class UserShard(NamedTuple):
    """A user shard as it was read for a chunk; its users stand together, from place `first` on."""

    chunk: Chunk
    users: list[str]
    first: int
    stored: bytes | None
    mark: UserMark
    contexts: bytes | None
    """The contexts that were met on the partition (`recsys.cold.contexts`)."""
    customers: Stored | None
    """What is kept of the users as customers; None where nothing is."""

    @property
    def is_new(self) -> bool:
        """Whether nothing of the chunk was counted before."""
        return self.chunk.start > self.mark.offset

    @property
    def giving(self) -> Giving:
        return Giving(self.chunk.partition, self.chunk.end, self.mark.given)


class Users(NamedTuple):
    """The users of some shards: what they did last, and what they bought."""

    histories: Histories
    purchases: Purchases


class Before(NamedTuple):
    """What users in some places, in order, had bought before a batch."""

    places: I64
    purchases: Purchases


class Folded(NamedTuple):
    """What a batch comes to."""

    batch: Batch
    changed: Bools
    """For each line whether it changed its user's history."""
    opened: Bools
    """For each line whether it opened a basket; none where no baskets are counted."""
    deltas: dict[str, Deltas]
    """For the rows of items, by table."""
    told: basket_fold.Deltas
    """For the sales of items."""
    visits: Visits
    """For the visitors of items."""
    tables: Repurchase
    """Of each shard."""
    before: Before
    """Of all who had bought something."""
    repeats: set[tuple[int, int]]
    """The events that are repeats, by partition and offset."""


class UserShards:
    """The user shards in the store."""

    def __init__(self, shards: Shards, keys: Keys, rules: Rules, retention_s: int, refusals: Refusals) -> None:
        self._refusals = refusals
        self._shards = shards
        self._keys = keys
        self._rules = rules
        self._retention_s = retention_s

    async def open(self, chunks: Sequence[Chunk]) -> tuple[list[UserShard], Users]:
        """Reads the marks, and all users in the chunks."""
        users = [list(dict.fromkeys(arrival.event.user_id for arrival in chunk.arrivals)) for chunk in chunks]
        touched = [
            scopes(arrival.event for arrival in chunk.arrivals if arrival.message is None) if self._rules.customers else []
            for chunk in chunks
        ]
        replies, _ = await self._shards.read(
            [self._group(chunk.partition, here, there) for chunk, here, there in zip(chunks, users, touched, strict=True)]
        )
        shards: list[UserShard] = []
        pasts: list[bytes | None] = []
        bought: list[bytes | None] = []
        for chunk, here, there, (mark, contexts, *values) in zip(chunks, users, touched, replies, strict=True):
            n = len(here)
            customers = None
            if self._rules.customers:
                accounts, ledger = values[2 * n : 3 * n], values[3 * n + 1 :]
                customers = Stored(dict(zip(here, accounts, strict=True)), values[3 * n], dict(zip(there, ledger, strict=True)))
            shards.append(UserShard(chunk, here, len(pasts), mark, marks.user_mark(mark), contexts, customers))
            pasts += values[:n]
            bought += values[n : 2 * n]
        return shards, Users(histories.unpack(pasts, self._rules.history), purchases.unpack(bought))

    def _group(self, partition: int, users: Sequence[str], touched: Sequence[str]) -> list[str]:
        """The keys of these users and of the scopes that they touch, and before them that of the mark."""
        history, bought, account, ledger = self._starts(partition)
        keys = [self._keys.user_mark(partition), self._keys.contexts(partition)]
        keys += [history + user for user in users]
        keys += [bought + user for user in users]
        if self._rules.customers:
            keys += [account + user for user in users]
            keys.append(self._keys.spreads(partition))
            keys += [ledger + scope for scope in touched]
        return keys

    def _starts(self, partition: int) -> tuple[str, str, str, str]:
        """What the keys of users' histories, purchases and accounts, and those of scopes begin with."""
        keys = self._keys
        return keys.user(partition, ""), keys.bought(partition, ""), keys.account(partition, ""), keys.ledger(partition, "")

    def as_of(
        self, shards: Sequence[UserShard], users: Users, fresh: Sequence[tuple[int, Arrival]]
    ) -> Mapping[tuple[int, int], Deeds]:
        """What visitors had done where they are identified; to be asked before the batch is folded into `users`."""
        if all(arrival.message is None for _, arrival in fresh):
            return NO_DEEDS
        place = {user: shard.first + n for shard in shards for n, user in enumerate(shard.users)}
        return identified.as_of(fresh, users.histories, users.purchases, place, self._rules)

    def with_visitors(
        self, shards: Sequence[UserShard], settled: Sequence[Settled | None], users: Users, before: Before, new: I32
    ) -> tuple[Users, Before]:
        """The users as they are ranked, and what they had bought before: with what the visitors did who joined them.

        `new` is how many interactions are, by user. To be asked when `users` are packed: their purchases are changed in place.
        """
        joined = {
            shard.first + n: account
            for shard, customers in zip(shards, settled, strict=True)
            if customers is not None
            for n, user in enumerate(shard.users)
            if (account := customers.accounts.get(user)) is not None and account.joins is not None
        }
        if not joined:
            return users, before
        bought = joined_purchases.of_visitors(joined)
        before = before_with_visitors(before, bought) if bought else before
        joined_purchases.join(users.purchases, bought)
        return users._replace(histories=joined_histories.with_visitors(users.histories, joined, new)), before

    def settle(
        self, shard: UserShard, fresh: Sequence[tuple[int, Arrival]], folded: Folded, as_of: Mapping[tuple[int, int], Deeds]
    ) -> Settled | None:
        """Counts the shard's customers by the batch's arrivals that are not counted yet, each with its partition; None where no
        accounts are kept. `as_of` is what visitors had done where they are identified."""
        if shard.customers is None:
            return None
        here = shard.chunk.partition
        theirs = [arrival for partition, arrival in fresh if partition == here and (here, arrival.offset) not in folded.repeats]
        rules = self._rules
        gap_ms, rates = rules.session_gap_ms, dict(rules.rates)
        return settle(shard.customers, here, theirs, gap_ms, rates, as_of, self._refusals.analyse)

    def changes(
        self,
        shards: Sequence[UserShard],
        users: Users,
        folded: Folded,
        settled: Sequence[Settled | None],
        more: Mapping[int, Mapping[str, bytes]],
    ) -> dict[int, Swap]:
        """By partition, what is to be written of users and marks, once what the batch gives to item shards is there; and `more`
        with it."""
        changed = [folded.batch.user[folded.changed]]
        # What is kept of a user lives equally long, so of those of whom one thing has changed everything is written.
        changed += [
            np.array([shard.first + n for n, user in enumerate(shard.users) if user in customers.changed], np.int32)
            for shard, customers in zip(shards, settled, strict=True)
            if customers is not None
        ]
        touched = np.unique(np.concatenate(changed)).astype(np.int64)
        forgotten = set(folded.batch.user[(folded.batch.kind == FORGET) & folded.changed].tolist())
        swaps = {}
        for place, (shard, customers) in enumerate(zip(shards, settled, strict=True)):
            if shard.chunk.end <= shard.mark.offset:
                continue
            places = touched[(touched >= shard.first) & (touched < shard.first + len(shard.users))]
            lasting: dict[str, bytes] = {}
            key = self._keys.user_mark(shard.chunk.partition)
            mark = marks.encode(mark_after(shard, folded, place, customers.refused if customers is not None else 0))
            values = self._packed(shard, users, places, forgotten) | dict(more[shard.chunk.partition])
            if customers is not None:
                _, _, account, ledger = self._starts(shard.chunk.partition)
                values |= {account + user: value for user, value in customers.changed.items()}
                values |= {ledger + scope: value for scope, value in customers.ledger.brief.items()}
                lasting = {ledger + scope: value for scope, value in customers.ledger.lasting.items()}
                if customers.spreads is not None:
                    lasting[self._keys.spreads(shard.chunk.partition)] = customers.spreads
            swaps[shard.chunk.partition] = Swap(key, shard.stored, mark, values, self._retention_s, lasting)
        return swaps

    def _packed(self, shard: UserShard, users: Users, places: I64, forgotten: Set[int]) -> dict[str, bytes]:
        """What is stored of the users in these places; what they bought lives as long as their history, so both are written."""
        of_history, of_bought, *_ = self._starts(shard.chunk.partition)
        gone = [shard.users[u - shard.first] for u in places.tolist() if u in forgotten] if forgotten else ()
        values = {start + user: NO_VALUE for user in gone for start in (of_history, of_bought)}
        places = places[users.histories.length[places] > 0]
        for u, history in zip(places.tolist(), histories.pack(users.histories, places), strict=True):
            user = shard.users[u - shard.first]
            values[of_history + user] = history
            bought = purchases.pack(users.purchases, u)
            if bought:
                values[of_bought + user] = bought
        return values


def fold_batch(shards: Sequence[UserShard], users: Users, batch: Batch, rules: Rules) -> Folded:
    """Counts a batch: changes `users` in place."""
    returning = np.flatnonzero(users.purchases.baskets)
    past = {}
    if (batch.kind == FORGET).any():
        forgotten = np.unique(batch.user[batch.kind == FORGET])
        past = {u: users.histories.item[u, : users.histories.length[u]].tolist() for u in forgotten.tolist()}
        returning = returning[~np.isin(returning, forgotten)]
    before = Before(returning, Purchases._make(column[returning] for column in users.purchases))
    deltas, changed, opened, repeats = fold(users.histories, batch, rules)
    tables = repurchase.unpack([shard.mark.repurchase for shard in shards])
    table = np.repeat(np.arange(len(shards), dtype=np.int32), [len(shard.users) for shard in shards])
    lines = basket_fold.lines(batch, changed)
    told = basket_fold.count(users.purchases, tables, table, lines, float(rules.session_gap_ms))
    met = visits(batch, changed, rules.visitors, past, rules.history)
    again = set(zip(batch.partition[repeats].tolist(), batch.offset[repeats].tolist(), strict=True))
    return Folded(batch, changed, opened, deltas, told, met, tables, before, again)


def before_with_visitors(before: Before, bought: Mapping[int, Sequence[bytes]]) -> Before:
    """The same with what visitors bought, see `recsys.joined_purchases.of_visitors`."""
    places = np.union1d(before.places, np.array([*bought], np.int64))
    found = purchases.empty(len(places))
    at = np.searchsorted(places, before.places)
    columns: Iterable[tuple[Any, Any]] = zip(found, before.purchases, strict=True)
    for column, own in columns:
        column[at] = own
    joined_purchases.join(found, {int(np.searchsorted(places, place)): theirs for place, theirs in bought.items()})
    return Before(places, found)


def mark_after(shard: UserShard, folded: Folded, place: int, refused: int) -> UserMark:
    """The mark of a shard once its chunk is counted; `place` is that of its table, `refused` of its identifications."""
    chunk, mark, batch = shard.chunk, shard.mark, folded.batch
    here = batch.partition == chunk.partition
    counts = batch.kind < FIRST_OTHER
    told = folded.told.what[folded.told.partition == chunk.partition]
    return marks.advanced(
        mark,
        chunk.end,
        given_after((*folded.deltas.values(), folded.told), shard.giving),
        repurchase=repurchase.pack(folded.tables, place) if repurchase.has_counted(folded.tables, place) else b"",
        bought=int((told != EXPOSED).sum()),
        bought_again=int((told == BOUGHT_AGAIN).sum()),
        baskets=int((here & folded.opened).sum()) if len(folded.opened) else 0,
        interactions=int((here & folded.changed & counts).sum()),
        repeats=int((here & batch.opens & ~folded.changed & counts).sum())
        + sum(offset > mark.offset for offset in chunk.leftover),
        rejected=sum(offset > mark.offset for offset in chunk.rejected),
        forwarded=sum(offset > mark.offset for offset in chunk.forwarded),
        refused=refused,
    )


def new_interactions(folded: Folded, length: I32) -> I32:
    """How many interactions are new of each user, whose histories now are so long."""
    counts = folded.changed & (folded.batch.kind < FIRST_OTHER)
    new = np.bincount(folded.batch.user[counts], minlength=len(length))
    return np.minimum(new, length).astype(np.int32)  # who was forgotten has less


def uncounted(chunk: Chunk, mark: UserMark) -> list[Arrival]:
    """The arrivals that are not counted yet; what another partition sent counts the first time it comes, which `mark` then
    remembers."""
    fresh: list[Arrival] = []
    taken = passed = marks.START  # the last of those with an origin; a message for several users is one record
    for arrival in chunk.arrivals:
        if arrival.offset <= mark.offset:
            continue
        if arrival.origin:
            source, offset = arrival.origin
            last = mark.forwarded_from if arrival.message is None else mark.letters_from
            if offset <= last.get(source, marks.START) and arrival.offset != taken:
                mark.repeats += arrival.offset != passed
                passed = arrival.offset
                continue
            last[source], taken = offset, arrival.offset
        fresh.append(arrival)
    return fresh


def met_before(shards: Sequence[UserShard]) -> U64:
    """The items of events that were counted before; a basket may be longer than the history that it left."""
    again = (a for shard in shards for a in shard.chunk.arrivals if a.offset <= shard.mark.offset)
    return np.array([hash_item(line.item_id) for arrival in again for line in arrival.event.lines], np.uint64)

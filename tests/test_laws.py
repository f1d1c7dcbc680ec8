"""The laws of counting: batches, crashes, repetitions and rivals change nothing, and the state is the recount's."""

import asyncio
import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import Record, Recount, forwarded_from, home_partition, partners, recount, sent_from
from purchase_counts import assert_purchases_are
from strategies import NOW_MS, click, encoded, logs
from visitor_lists import assert_visitors_are

from recsys import fold as folding
from recsys import growth, histories, marks, rows
from recsys.batch import Arrival, columns, matters
from recsys.customers import joins
from recsys.damage import DamagedState
from recsys.deltas import Deltas
from recsys.engine import Chunk, Counted, Engine, LostPartition
from recsys.events import InvalidEvent, Kind, decode
from recsys.hashing import NONE, hash_id
from recsys.histories import REFUNDED_PURCHASE
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys
from recsys.recommendation import Recommendation
from recsys.rows import Rows
from recsys.rules import Rules
from recsys.sharding import ITEM_SHARDS
from recsys.store import NO_COMMIT, NO_GUARDS, Commit, Guards, MemoryStore, Swap

KEYS = Keys("freshet:")
RULES = Rules(history=6, window=3, neighbours=1000, visitors=2)
FEW = settings(deadline=None, max_examples=30)


class Row(NamedTuple):
    """What an item's row says."""

    interactions: int
    counts: dict[str, int]
    """Neighbours that were met together with the item; those that only have weight are left out."""
    length: int


class Crash(RuntimeError):
    """The process is gone."""


class FragileStore(MemoryStore):
    """A store whose worker dies after so many swaps of single shards, even amid those that it sent together."""

    def __init__(self, swaps: int) -> None:
        super().__init__()
        self.left: float = swaps

    def _swap(self, swap: Swap) -> bool:
        if self.left <= 0:
            raise Crash
        self.left -= 1
        return super()._swap(swap)


class BusyStore(MemoryStore):
    """A store at which others get their turn before each operation, as the given numbers say."""

    def __init__(self, turns: Iterable[int]) -> None:
        super().__init__()
        self._turns = iter(turns)

    async def read(self, groups: Sequence[Sequence[str]]) -> list[list[bytes | None]]:
        await self._wait()
        return await super().read(groups)

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        await self._wait()
        done = [reply for swap in swaps for reply in await super(BusyStore, self).swap([swap], guards)]
        if not all(done):
            return done + [False] * len(commit.swaps)
        await self._wait()
        return done + await super().swap([], commit=commit)

    async def _wait(self) -> None:
        for _ in range(next(self._turns, 1)):
            await asyncio.sleep(0)


class ShyStore(MemoryStore):
    """A store that refuses a commit now and then, as if somebody had come in between."""

    def __init__(self, shy: Iterable[bool]) -> None:
        super().__init__()
        self._is_shy = iter(shy)

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        is_shy = next(self._is_shy, False) if swaps else False
        if is_shy:
            return await super().swap(swaps, guards) + [False] * len(commit.swaps)
        return await super().swap(swaps, guards, commit)


def chunk(partition: int, start: int, end: int, log: Sequence[Record], partitions: int) -> Chunk:
    """What the worker makes of the records of one partition from offset `start` to `end`."""
    arrivals, rejected, forwarded, leftover = [], [], [], []
    for record in log:
        if record.partition != partition or not start <= record.offset <= end:
            continue
        sent = sent_from(record, "joining")
        if sent and sent[3] == partitions:
            message = joins.decode(record.value or b"")
            arrivals += [Arrival(record.offset, event, sent[:2], message) for event in joins.events_of(message)]
            continue
        origin = sent or forwarded_from(record)
        if origin and origin[3] != partitions:
            leftover.append(record.offset)
            continue
        try:
            event = decode(record.value, origin[2] if origin else record.timestamp)
        except InvalidEvent:
            rejected.append(record.offset)
            continue
        if origin is None and home_partition(event.home_id, partitions) != partition:
            forwarded.append(record.offset)
            continue
        arrivals.append(Arrival(record.offset, event, origin[:2] if origin else None))
    return Chunk(partition, start, end, arrivals, rejected, forwarded, leftover)


def end_of(log: Sequence[Record], partition: int) -> int:
    return max((record.offset for record in log if record.partition == partition), default=-1)


def cut(log: Sequence[Record], partition: int, sizes: Iterable[int], partitions: int, start: int = 0) -> list[Chunk]:
    """The partition's records from `start` on, in chunks of these sizes (in offsets) and one of the rest."""
    chunks, end = [], end_of(log, partition)
    for size in sizes:
        if start + size <= end:
            chunks.append(chunk(partition, start, start + size - 1, log, partitions))
            start += size
    return [*chunks, chunk(partition, start, end, log, partitions)] if start <= end else chunks


async def count_all(store: MemoryStore, chunks: Iterable[Chunk], rules: Rules = RULES) -> list[Counted]:
    engine = Engine(store, KEYS, rules)
    counted = []
    for chunk in chunks:
        counted.append(await engine.count(chunk))
        if counted[-1].lost:
            raise LostPartition(f"lost {counted[-1].lost}")
    return counted


def counted(log: Sequence[Record], partitions: int, rules: Rules = RULES) -> MemoryStore:
    """The state after one clean pass, a chunk for each partition."""
    store = MemoryStore()
    for partition in range(partitions):
        asyncio.run(count_all(store, cut(log, partition, (), partitions), rules))
    return store


def mark_of(store: MemoryStore, partition: int = 0) -> marks.UserMark:
    return marks.user_mark(store.values.get(KEYS.user_mark(partition)))


def state(store: MemoryStore) -> dict[str, bytes]:
    """All that was counted, bit by bit: without versions, and without item marks, which say how far a batch went. What is
    empty is nothing: its key is about to be taken away."""
    values = {key: value for key, value in store.values.items() if value}
    for shard in range(ITEM_SHARDS):
        values.pop(KEYS.item_mark(shard), None)
    for key, value in values.items():
        if key.endswith(":mark"):
            mark = marks.user_mark(value)
            mark.version = 0
            values[key] = marks.encode(mark)
    return values


def stored_rows(values: Mapping[str, bytes], rules: Rules = RULES, table: str = VIEWED) -> dict[str, Row]:
    """The rows of a table; the viewed ones name the items of all."""
    names = {int(key.rpartition(":")[2], 16): rows.packed_id(value) for key, value in values.items() if "}:row:" in key}
    packed = {int(key.rpartition(":")[2], 16): value for key, value in values.items() if f"}}:{table}:" in key}
    items = np.array(sorted(packed), np.uint64)
    loaded = rows.load(items, [packed[item] for item in items.tolist()], 0, rules)
    return {names[item]: row(loaded, r, names) for r, item in enumerate(items.tolist())}


def row(loaded: Rows, r: int, names: Mapping[int, str]) -> Row:
    length = int(loaded.length[r])
    others = [names[other] for other in loaded.other[r, :length].tolist()]
    counts = dict(zip(others, loaded.counts[r, :length].tolist(), strict=True))
    assert len(counts) == length, "a neighbour stands twice in a row"
    return Row(int(loaded.interactions[r]), {other: n for other, n in counts.items() if n}, length)


def stored_history(store: MemoryStore, user: str, partitions: int) -> list[tuple[int, str, bool, int]]:
    """Item hash, kind, whether it was taken back, and time of each interaction of a user."""
    home = home_partition(user.removeprefix("anon:"), partitions)
    found = histories.unpack([store.values.get(KEYS.user(home, user))], 1000)
    kinds = {int(kind): (kind.name.lower(), False) for kind in Kind} | {REFUNDED_PURCHASE: ("purchase", True)}
    return [(int(found.item[0, i]), *kinds[int(found.kind[0, i])], int(found.time[0, i])) for i in range(found.length[0])]


def assert_counts_are(truth: Recount, store: MemoryStore, partitions: int, rules: Rules) -> None:
    found = stored_rows(store.values, rules)
    assert {item: row.interactions for item, row in found.items()} == dict(truth.interactions)
    assert {item: row.counts for item, row in found.items()} == {item: truth.neighbours(item) for item in found}
    for user, past in truth.histories.items():
        expected = [(hash_id(entry.item), entry.kind, entry.refunded, entry.time_ms) for entry in past]
        assert stored_history(store, user, partitions) == expected
    user_marks = [mark_of(store, partition) for partition in range(partitions)]
    assert sum(mark.interactions for mark in user_marks) == sum(truth.interactions.values())
    assert sum(mark.rejected for mark in user_marks) == len(truth.rejected)
    assert sum(mark.forwarded for mark in user_marks) == len(truth.forwarded)
    assert sum(mark.baskets for mark in user_marks) == truth.opened
    assert_baskets_are(truth, store.values, rules)
    assert_purchases_are(truth, store.values, KEYS, partitions, rules.session_gap_ms)
    assert_visitors_are(truth, store.values, KEYS, partitions, rules.visitors)


def assert_baskets_are(truth: Recount, values: Mapping[str, bytes], rules: Rules) -> None:
    together, after = stored_rows(values, rules, TOGETHER), stored_rows(values, rules, AFTER)
    assert {item: row.interactions for item, row in together.items()} == dict(truth.baskets)
    assert {item: row.counts for item, row in together.items()} == {item: partners(truth.together, item) for item in together}
    assert {(item, other): n for item, row in after.items() for other, n in row.counts.items()} == dict(truth.after)
    assert not any(row.interactions for row in after.values())


RULES_OF_ALL_KINDS = st.builds(
    Rules,
    history=st.integers(1, 8),
    window=st.integers(1, 5),
    session_gap_ms=st.sampled_from([1, 60_000, 1_800_000]),
    half_life_ms=st.sampled_from([0.0, 1_000.0, 86_400_000.0]),
    neighbours=st.just(1000),
    visitors=st.sampled_from([0, 1, 3, 100]),
)
SIZES = st.lists(st.integers(1, 7), max_size=30)


@FEW
@given(logs(partitions=3), RULES_OF_ALL_KINDS)
def test_what_is_counted_is_what_the_recount_counts(log: list[Record], rules: Rules) -> None:
    truth = recount(log, 3, history=rules.history, window=rules.window, session_gap_s=rules.session_gap_ms / 1000)
    assert_counts_are(truth, counted(log, 3, rules), 3, rules)
    assert truth.arrived == set(truth.forwarded)


@FEW
@given(logs(partitions=1), SIZES, RULES_OF_ALL_KINDS)
def test_where_batches_begin_and_end_does_not_matter(log: list[Record], sizes: list[int], rules: Rules) -> None:
    store = MemoryStore()
    asyncio.run(count_all(store, cut(log, 0, sizes, 1), rules))
    assert state(store) == state(counted(log, 1, rules))


@FEW
@given(logs(partitions=1), SIZES, st.data())
def test_a_crash_between_any_two_writes_changes_nothing(log: list[Record], sizes: list[int], data: st.DataObject) -> None:
    store = FragileStore(data.draw(st.integers(0, 12)))
    for more in data.draw(st.lists(st.integers(0, 6), max_size=3)):
        with contextlib.suppress(Crash):
            asyncio.run(count_all(store, cut(log, 0, sizes, 1, mark_of(store).offset + 1)))
        sizes = data.draw(SIZES)
        store.left = more
    store.left = math.inf
    asyncio.run(count_all(store, cut(log, 0, sizes, 1, mark_of(store).offset + 1)))
    assert state(store) == state(counted(log, 1))


@FEW
@given(logs(partitions=1), SIZES, st.data())
def test_to_count_a_suffix_again_changes_nothing(log: list[Record], sizes: list[int], data: st.DataObject) -> None:
    store = MemoryStore()
    for chunk in cut(log, 0, sizes, 1):
        again = data.draw(st.integers(0, mark_of(store).offset + 1))
        asyncio.run(count_all(store, cut(log, 0, data.draw(SIZES), 1, again)))
        asyncio.run(count_all(store, [chunk]))
    assert state(store) == state(counted(log, 1))


@FEW
@given(logs(partitions=3), SIZES, st.lists(st.integers(0, 3), max_size=200))
def test_workers_that_meet_in_the_item_shards_count_everything(log: list[Record], sizes: list[int], turns: list[int]) -> None:
    store = BusyStore(turns)

    async def together() -> None:
        await asyncio.gather(*(count_all(store, cut(log, partition, sizes, 3)) for partition in range(3)))

    asyncio.run(together())
    truth = recount(log, 3, history=RULES.history, window=RULES.window)
    assert_counts_are(truth, store, 3, RULES)


@FEW
@given(logs(partitions=3), st.data())
def test_chunks_of_several_partitions_may_be_counted_together(log: list[Record], data: st.DataObject) -> None:
    store = FragileStore(data.draw(st.integers(0, 20)))
    while any(mark_of(store, partition).offset < end_of(log, partition) for partition in range(3)):
        batch = []
        for partition in range(3):
            sizes = data.draw(st.lists(st.integers(1, 20), max_size=1))
            batch += cut(log, partition, sizes, 3, mark_of(store, partition).offset + 1)[:1]
        with contextlib.suppress(Crash):
            asyncio.run(Engine(store, KEYS, RULES).count(*batch))
        if store.left <= 0:
            store.left = data.draw(st.integers(5, 100))
    assert_counts_are(recount(log, 3, history=RULES.history, window=RULES.window), store, 3, RULES)


@FEW
@given(logs(partitions=1), SIZES, SIZES, st.lists(st.integers(0, 3), max_size=200))
def test_of_two_workers_on_one_partition_one_loses_it_and_nothing_is_counted_twice(
    log: list[Record], sizes: list[int], other_sizes: list[int], turns: list[int]
) -> None:
    store = BusyStore(turns)

    async def together() -> list[Any]:
        rivals = (count_all(store, cut(log, 0, how, 1)) for how in (sizes, other_sizes))
        return await asyncio.gather(*rivals, return_exceptions=True)

    outcomes = asyncio.run(together())
    assert all(isinstance(outcome, list | LostPartition) for outcome in outcomes), outcomes
    asyncio.run(count_all(store, cut(log, 0, (), 1, mark_of(store).offset + 1)))
    assert state(store) == state(counted(log, 1))


@FEW
@given(logs(partitions=1), SIZES)
def test_the_newest_recommendation_of_a_user_covers_the_last_interaction(log: list[Record], sizes: list[int]) -> None:
    rules = Rules(history=RULES.history, window=RULES.window, hide=frozenset({"current", "purchased"}))

    async def recommendations() -> dict[str, tuple[int, Recommendation]]:
        engine = Engine(MemoryStore(), KEYS, rules)
        newest = {}
        for part in cut(log, 0, sizes, 1):
            counted = await engine.count(part)
            for (_, arrival, _), said in await engine.recommend(counted, NOW_MS):
                newest[said.user_id] = (arrival.offset, said)
            for gone in counted.gone:
                newest.pop(gone.user, None)
        return newest

    newest = asyncio.run(recommendations())
    truth = recount(log, 1, history=RULES.history, window=RULES.window)
    assert set(newest) == set(truth.newest)
    for user, (offset, said) in newest.items():
        assert offset >= truth.newest[user][1]
        bought = {entry.item for entry in truth.histories[user] if entry.kind == "purchase" and not entry.refunded}
        assert not bought & {item.item_id for item in said.items}


def test_records_after_a_gap_are_not_counted() -> None:
    log = [Record(0, offset, NOW_MS, None, encoded(click())) for offset in range(3)]
    store = MemoryStore()
    assert asyncio.run(Engine(store, KEYS, RULES).count(chunk(0, 1, 2, log, 1))).lost == [0]
    assert not store.values


# A Redis that goes back


class RestoredStore(MemoryStore):
    """A store that goes back to an earlier state, or loses everything, before the operations that the given numbers name."""

    def __init__(self, faults: Iterable[tuple[int, int]]) -> None:
        super().__init__()
        self._faults = dict(faults)
        self._operations = 0
        self._copies: list[dict[str, bytes]] = [{}]
        self._starts = 0

    async def read(self, groups: Sequence[Sequence[str]]) -> list[list[bytes | None]]:
        found = []
        for group in groups:
            self._operate()
            found += await super().read([group])
        return found

    async def life(self) -> bytes:
        return b"%d" % self._starts

    async def swap(self, swaps: Sequence[Swap], guards: Guards = NO_GUARDS, commit: Commit = NO_COMMIT) -> list[bool]:
        done = []
        for swap in swaps:
            self._operate()
            done += await super().swap([swap], guards)
        follows = all(done)
        for swap in commit.swaps:
            self._operate()
            done += await super().swap([], commit=Commit([swap], commit.life)) if follows else [False]
        return done

    def _operate(self) -> None:
        self._operations += 1
        fault = self._faults.get(self._operations)
        if fault is not None:
            place = fault % len(self._copies)
            self.values = dict(self._copies[place])
            self._starts += place > 0  # to lose everything takes no new start
        elif self._operations % 7 == 0:
            self._copies.append(dict(self.values))


@settings(FEW, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink a failure takes minutes
@given(logs(partitions=2), st.lists(st.tuples(st.integers(1, 300), st.integers(0, 50)), min_size=1, max_size=8), st.data())
def test_a_redis_that_goes_back_between_any_two_operations_costs_nothing(
    log: list[Record], faults: list[tuple[int, int]], data: st.DataObject
) -> None:
    store = RestoredStore(faults)

    async def count(engine: Engine, turn: int, read: dict[int, int]) -> bool:
        """Counts a batch from where the worker has read, or the marks say; whether there was none."""
        batch = []
        for partition in {0, 1} - read.keys():
            await engine.begin(partition, born=str(turn))
            read[partition] = (await engine.position(partition))[0]
        for partition in range(2):
            batch += cut(log, partition, [data.draw(st.integers(1, 12))], 2, read[partition] + 1)[:1]
        counted = await engine.count(*batch)
        read |= counted.ends
        for partition in counted.lost:
            del read[partition]
        return not batch

    async def count_everything() -> None:
        engine = Engine(store, KEYS, RULES)
        read: dict[int, int] = {}
        for turn in range(1000):
            try:
                if await count(engine, turn, read):
                    if all(mark_of(store, p).offset >= end_of(log, p) for p in range(2)):
                        return
                    read.clear()
            except DamagedState:  # two faults within one look at the state may look like it; it starts again
                engine, read = Engine(store, KEYS, RULES), {}
        raise AssertionError("it never came to an end")

    asyncio.run(count_everything())
    assert_counts_are(recount(log, 2, history=RULES.history, window=RULES.window), store, 2, RULES)


@FEW
@given(logs(partitions=2), SIZES, st.lists(st.booleans()))
def test_a_commit_that_is_refused_without_a_reason_is_made_alone(log: list[Record], sizes: list[int], shy: list[bool]) -> None:
    store = ShyStore(shy)
    for partition in range(2):
        asyncio.run(count_all(store, cut(log, partition, sizes, 2)))
    assert_counts_are(recount(log, 2, history=RULES.history, window=RULES.window), store, 2, RULES)


@FEW
@given(logs(partitions=2), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(1, 6)), max_size=25))
def test_partitions_that_go_to_and_fro_between_workers_are_counted_once(
    log: list[Record], turns: list[tuple[int, int, int]]
) -> None:
    """Each turn one of two workers, that both go on for ever, counts some of a partition; where it had not counted it last, it
    begins there first. What a worker remembers of item shards is then often behind, what it remembers of others is not."""
    store = MemoryStore()

    async def test() -> None:
        workers = [Engine(store, KEYS, RULES) for _ in range(2)]
        owner: dict[int, int] = {}
        for who, partition, size in [*turns, (0, 0, 10_000), (1, 1, 10_000)]:
            if owner.get(partition) != who:
                await workers[who].begin(partition, born="")
                owner[partition] = who
            start = (await workers[who].position(partition))[0] + 1
            for one in cut(log, partition, [size], 2, start)[:1]:
                assert not (await workers[who].count(one)).lost

    asyncio.run(test())
    assert_counts_are(recount(log, 2, history=RULES.history, window=RULES.window), store, 2, RULES)


def test_what_only_memory_lacks_is_no_damage() -> None:
    """The worker's memory of an item shard is behind what the partition that it takes over was given."""
    users = {home_partition(name, 2): name for name in "abcdefgh"}
    clicks = ((p, offset, encoded(click(user_id=users[p], item_id="a"))) for p in users for offset in range(4))
    log = [Record(p, offset, NOW_MS, None, value) for p, offset, value in clicks]
    store = MemoryStore()

    async def test() -> None:
        mine, other = Engine(store, KEYS, RULES), Engine(store, KEYS, RULES)
        for engine, partition in ((mine, 0), (other, 1)):
            await engine.begin(partition, born="")
        await mine.begin(1, born="")
        await mine.count(chunk(0, 0, 0, log, 2))
        assert not (await other.count(chunk(1, 0, 1, log, 2))).lost  # what it had in hand when the partition was taken from it
        assert not (await mine.count(chunk(1, 2, 3, log, 2))).lost

    asyncio.run(test())
    assert mark_of(store, 1).offset == 3


def damaged(*missing: str) -> MemoryStore:
    """A store in which three events were counted and Redis then lost the keys with these names in them."""
    log = [Record(0, offset, NOW_MS, None, encoded(click(item_id=item))) for offset, item in enumerate("aba")]
    store = counted(log, 1)
    store.values = {key: value for key, value in store.values.items() if not any(part in key for part in missing)}
    return store


@pytest.mark.parametrize("missing", [":mark", "{u0}:mark", "}:row:"])
def test_a_state_that_lost_a_part_is_refused(missing: str) -> None:
    store = damaged("{i" if missing == ":mark" else missing)
    log = [Record(0, offset, NOW_MS, None, encoded(click(item_id=item))) for offset, item in enumerate("abac")]

    async def go_on() -> None:
        engine = Engine(store, KEYS, RULES)
        await engine.begin(0, born="")
        await engine.count(chunk(0, 3, 3, log, 1))

    before = dict(store.values)
    with pytest.raises(DamagedState):
        asyncio.run(go_on())
    assert {key: value for key, value in store.values.items() if key != KEYS.published(0)} == before


def test_sales_that_are_lost_are_missed() -> None:
    log = [Record(0, offset, NOW_MS, None, encoded(click(event_type="purchase"))) for offset in range(2)]
    store = counted(log[:1], 1)
    store.values = {key: value for key, value in store.values.items() if "}:sales:" not in key}
    later = encoded(click(event_type="purchase", session_id="another", event_time=NOW_MS + 7_200_000))
    with pytest.raises(DamagedState, match="sales of item"):
        asyncio.run(count_all(store, [chunk(0, 1, 1, [Record(0, 1, NOW_MS + 7_200_000, None, later)], 1)]))


# Rows that were cut

CUT = st.builds(Rules, history=st.just(8), neighbours=st.sampled_from([1, 2, 4, 8]), half_life_ms=st.just(0.0))


@FEW
@given(logs(partitions=1), SIZES, CUT)
def test_a_row_that_is_cut_keeps_its_interactions_and_never_counts_too_much(
    log: list[Record], sizes: list[int], rules: Rules
) -> None:
    store = MemoryStore()
    asyncio.run(count_all(store, cut(log, 0, sizes, 1), rules))
    assert state(store) == state(counted(log, 1, rules))
    truth = recount(log, 1, history=rules.history, window=rules.window)
    for item, row in stored_rows(store.values, rules).items():
        true = truth.neighbours(item)
        assert row.interactions == truth.interactions[item]
        assert row.length < rules.row_limit
        assert all(count <= true[other] for other, count in row.counts.items())


@FEW
@given(logs(partitions=1), CUT)
def test_a_cut_leaves_the_strongest_and_whoever_comes_back_starts_again(log: list[Record], rules: Rules) -> None:
    events = chunk(0, 0, end_of(log, 0), log, 1).arrivals
    users = sorted({arrival.event.user_id for arrival in events})
    batch = columns([(0, event) for event in events if matters(event.event.kind) or event.event.kind is Kind.FORGET], users)
    deltas = folding.fold(histories.empty(len(users), rules.history), batch, rules).deltas[VIEWED]
    expected: dict[int, dict[int, tuple[np.float32, int]]] = {}
    for item, other, weight, count in zip(
        deltas.item.tolist(), deltas.other.tolist(), deltas.weight, deltas.counts, strict=True
    ):
        neighbours = expected.setdefault(item, {})
        if other == NONE:
            continue
        before, counts = neighbours.get(other, (np.float32(0), 0))
        neighbours[other] = (before + weight, counts + int(count))
        if len(neighbours) >= rules.row_limit:
            strongest = sorted(neighbours, key=lambda other: (-neighbours[other][0], other))
            expected[item] = {other: neighbours[other] for other in strongest[: rules.neighbours]}
    found = stored_rows(counted(log, 1, rules).values, rules)
    assert {item: row.length for item, row in found.items()} == {str(name): len(expected[hash_id(name)]) for name in found}
    for item, row in found.items():
        kept = {batch.ids[other]: count for other, (_, count) in expected[hash_id(item)].items() if count}
        assert row.counts == kept


@FEW
@given(logs(partitions=1), st.integers(1, 4))
def test_a_smaller_number_of_neighbours_is_taken_up_by_rows_that_are_longer(log: list[Record], neighbours: int) -> None:
    half = end_of(log, 0) // 2
    store = MemoryStore()
    asyncio.run(count_all(store, cut(log, 0, [half + 1], 1)[:1], Rules(history=8)))
    rules = Rules(history=8, neighbours=neighbours)
    asyncio.run(count_all(store, cut(log, 0, (), 1, mark_of(store).offset + 1), rules))
    truth = recount(log, 1, history=8)
    for item, row in stored_rows(store.values, Rules()).items():
        assert row.interactions == truth.interactions[item]
        assert all(count <= truth.neighbours(item)[other] for other, count in row.counts.items())


def test_a_row_longer_than_the_limit_is_cut_and_its_neighbour_in_memory_stays_as_it_is() -> None:
    items = np.array([5, 6], np.uint64)
    others = np.arange(100, 130, dtype=np.uint64)

    def met(item: int, others: np.ndarray[Any, np.dtype[np.uint64]]) -> Deltas:
        n = len(others)
        ones = np.ones(n, np.float32), np.ones(n, np.uint32)
        return Deltas(np.zeros(n, np.int32), np.arange(n), np.full(n, NOW_MS), np.full(n, item, np.uint64), others, *ones)

    before = rows.load(items, [None, None], 30, Rules())
    for place, item in enumerate(items.tolist()):
        growth.merge(before, met(item, others), np.full(30, place), Rules())
    packed = rows.pack(before, np.arange(2))
    fewer = Rules(neighbours=4)
    after = rows.load(items, packed, 1, fewer)
    growth.merge(after, met(5, np.array([999], np.uint64)), np.zeros(1, np.int64), fewer)
    assert after.length[0] == 4
    assert rows.pack(after, np.array([1])) == packed[1:]

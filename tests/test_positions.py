"""Where a worker reads on, and what it says when the records that it needs are gone."""

import asyncio

import msgspec
import pytest

from recsys.batch import Arrival
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind, Line
from recsys.keys import Keys
from recsys.layout import LayoutChanged, claim, claim_signer, layout_of
from recsys.marks import user_mark
from recsys.rules import Rules
from recsys.store import Entry, MemoryStore
from streams.positions import Log, LostRecords, find_positions
from streams.seal import Seal

KEYS = Keys("p:")


def counted(offsets: int, published: int) -> MemoryStore:
    """A store in which partition 0 was counted up to offset `offsets` and published up to `published`."""

    async def count() -> MemoryStore:
        store = MemoryStore()
        click = Event(kind=Kind.CLICK, user_id="u", lines=(Line("i"),), time_ms=1_700_000_000_000)
        await Engine(store, KEYS, Rules()).count(Chunk(0, 0, offsets, [Arrival(0, click)]))
        await store.put([Entry(KEYS.published(0), str(published).encode())])
        return store

    return asyncio.run(count())


def positions(store: MemoryStore, log: Log, told: int | None = None, *, accept_loss: bool = False) -> dict[int, int]:
    known = {} if told is None else {0: told}
    return asyncio.run(find_positions(Engine(store, KEYS, Rules()), {0: log}, known, "events", accept_loss=accept_loss))


def test_a_new_state_begins_with_the_first_record_there_is() -> None:
    assert positions(MemoryStore(), Log(0, 10)) == {0: 0}
    store = MemoryStore()
    assert positions(store, Log(7, 10)) == {0: 7}
    assert user_mark(store.values[KEYS.user_mark(0)]).lost == 0


def test_reading_goes_on_after_what_was_counted_and_published() -> None:
    assert positions(counted(5, 5), Log(0, 10)) == {0: 6}


def test_what_was_counted_but_not_published_is_read_again() -> None:
    assert positions(counted(5, 2), Log(0, 10)) == {0: 3}
    assert positions(counted(5, 2), Log(4, 10)) == {0: 4}


def test_what_redis_says_is_out_and_kafka_was_not_told_of_is_published_again() -> None:
    assert positions(counted(5, 5), Log(0, 10), told=2) == {0: 3}
    assert positions(counted(5, 5), Log(4, 10), told=2) == {0: 4}
    assert positions(counted(5, 5), Log(0, 10), told=5) == {0: 6}
    assert positions(counted(5, 2), Log(0, 10), told=8) == {0: 3}


def test_who_takes_a_partition_over_in_the_midst_of_that_begins_there_too_whatever_kafka_was_told_meanwhile() -> None:
    store = counted(5, 5)
    assert positions(store, Log(0, 10), told=2) == {0: 3}
    assert store.values[KEYS.published(0)] == b"2"
    assert positions(store, Log(0, 10), told=5) == {0: 3}


def test_what_redis_lost_of_the_counts_is_to_be_published_again() -> None:
    store = counted(5, 9)
    assert positions(store, Log(0, 10)) == {0: 6}
    assert store.values[KEYS.published(0)] == b"5"


def test_uncounted_records_that_kafka_no_longer_has_are_named_and_not_passed_over() -> None:
    with pytest.raises(LostRecords, match=r"3 events of partition 0 of events .* \(offsets 6 to 8\).*FRESHET_ACCEPT_LOSS"):
        positions(counted(5, 5), Log(9, 20))


def test_an_accepted_loss_is_noted_in_the_mark() -> None:
    store = counted(5, 5)
    assert positions(store, Log(9, 20), accept_loss=True) == {0: 9}
    mark = user_mark(store.values[KEYS.user_mark(0)])
    assert (mark.offset, mark.lost) == (8, 3)


def test_a_mark_beyond_the_end_of_the_topic_is_refused() -> None:
    with pytest.raises(LostRecords, match=r"ends at offset 3, but counted is up to 5.*freshet rebuild"):
        positions(counted(5, 5), Log(0, 3))


def test_a_state_built_with_another_number_of_partitions_is_refused_with_the_way_out() -> None:
    store = MemoryStore()
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules())))
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules())))
    with pytest.raises(LayoutChanged, match=r"partitions was 4 and is 6.*freshet rebuild"):
        asyncio.run(claim(store, KEYS, layout_of("events", 6, Rules())))
    with pytest.raises(LayoutChanged, match=r"window was 5 and is 3.*freshet rebuild"):
        asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(window=3))))
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(neighbours=7, top_n=3, half_life_ms=0.0))))
    with pytest.raises(LayoutChanged, match=r"topic was 'events' and is 'other'"):
        asyncio.run(claim(store, KEYS, layout_of("other", 4, Rules())))


def test_a_state_from_before_baskets_is_refused_and_taken_where_they_are_not_counted() -> None:
    store = MemoryStore()
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(baskets=False))))
    older = {name: content for name, content in msgspec.json.decode(store.values[KEYS.state]).items() if name != "baskets"}
    store.values[KEYS.state] = msgspec.json.encode(older)
    with pytest.raises(LayoutChanged, match=r"baskets was False and is True.*freshet rebuild.*FRESHET_BASKETS=false"):
        asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules())))
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(baskets=False))))


def test_a_state_without_accounts_is_refused_and_taken_where_none_are_kept_whatever_currencies_are_worth() -> None:
    store, rates = MemoryStore(), (("EUR", 1.0), ("USD", 0.9))
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(customers=False, rates=rates))))
    with pytest.raises(LayoutChanged, match=r"customers was False and is True.*freshet rebuild.*FRESHET_CUSTOMERS=false"):
        asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(rates=rates))))
    asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(customers=False, rates=rates))))
    with pytest.raises(LayoutChanged, match=r"window.*from the topic$"):
        asyncio.run(claim(store, KEYS, layout_of("events", 4, Rules(rates=rates, window=3))))


def test_another_secret_is_refused_and_changed_in_two_steps() -> None:
    store = MemoryStore()

    def start(secrets: str) -> None:
        asyncio.run(claim_signer(store, KEYS, Seal.of(secrets, "events", 4).signers))

    start("")
    with pytest.raises(LayoutChanged, match="another FRESHET_SECRET"):
        start("new")
    start("freshet,new")
    start("new,freshet")
    start("freshet,new")
    start("new,freshet")
    start("new")
    with pytest.raises(LayoutChanged, match="another FRESHET_SECRET"):
        start("")

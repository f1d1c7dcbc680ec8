"""A sweep takes hidden items out of all that is published, and never overwrites what is newer."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from recsys.cold import lists
from recsys.cold.lists import ColdItem, ColdList, Learned
from recsys.keys import Keys
from recsys.recommendation import Neighbour, Neighbours, Reason, Recommendation, RecommendedItem, encode
from recsys.store import Entry, MemoryStore, Replacement
from streams.outbox import Outbox
from streams.settings import Settings
from streams.sweep import BATCH, FEW, Sweep, Swept, names_any, naming, without

KEYS = Keys("p:")
SETTINGS = Settings(key_prefix="p:", topic_prefix="t-")


class Topic:
    """An outbox that notes what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, Any, Any]] = []

    async def publish(self, topic: str, messages: Iterable[tuple[bytes, bytes, Sequence[tuple[str, bytes]]]]) -> None:
        self.published += [(topic, key.decode(), json.loads(value), list(headers)) for key, value, headers in messages]


def recommendation(user: str, *items: str, number: str = "2-1f-19a") -> bytes:
    listed = [
        {"item_id": item, "score": 0.5, "reasons": [{"kind": "also_viewed", "item_id": "seen", "share": 1.0}]} for item in items
    ]
    message = {"user_id": user, "recommendation_id": number, "items": listed, "of tomorrow": 7}
    return json.dumps(message, separators=(",", ":")).encode()


def neighbours(item: str | None, *items: str) -> bytes:
    listed = [{"item_id": each, "score": 0.5, "count": 1} for each in items]
    return json.dumps({"item_id": item, "items": listed, "version": 3}, separators=(",", ":")).encode()


def swept(store: MemoryStore, *gone: str) -> tuple[Swept, Topic]:
    topic = Topic()
    return asyncio.run(Sweep(SETTINGS, KEYS, store, cast(Outbox, topic)).once(set(gone))), topic


def cold_list(*shown: str, explored: Sequence[str] = ()) -> bytes:
    learned = [Learned(item, 7, 1) for item in explored]
    return lists.encode(ColdList("cold_start", "cold-1", "", [ColdItem(item, 1.0, []) for item in shown], learned, version=3))


def items(store: MemoryStore, key: str) -> list[str]:
    return [item["item_id"] for item in json.loads(store.values[key])["items"]]


def published(*entries: tuple[str, bytes]) -> MemoryStore:
    store = MemoryStore()
    asyncio.run(store.put([Entry(key, value) for key, value in entries]))
    return store


def test_messages_that_name_a_hidden_item_are_written_without_it_and_the_others_stay() -> None:
    store = published(
        (KEYS.recs("u1"), recommendation("u1", "a", "gone", "b")),
        (KEYS.recs("u2"), recommendation("u2", "a", "b")),
        (KEYS.similar("a"), neighbours("a", "gone", "b", "lost")),
        (KEYS.similar("b"), neighbours("b", "a")),
        (KEYS.similar("gone"), neighbours("gone", "a")),
        (KEYS.trending, neighbours(None, "lost", "a")),
        (KEYS.cold(), cold_list("gone", "a")),
        (KEYS.cold("web"), cold_list("a", "lost")),
        (KEYS.cold("ios"), cold_list("a", explored=["gone", "b"])),
        (KEYS.state, b"not one of them"),
    )
    before = dict(store.values)
    found, _ = swept(store, "gone", "lost")
    assert (found.looked, found.changed) == (9, 7)
    assert items(store, KEYS.recs("u1")) == ["a", "b"]
    assert items(store, KEYS.similar("a")) == ["b"]
    assert items(store, KEYS.trending) == items(store, KEYS.cold()) == items(store, KEYS.cold("web")) == ["a"]
    assert [each["item_id"] for each in json.loads(store.values[KEYS.cold("ios")])["explored"]] == ["b"]
    assert KEYS.similar("gone") not in store.values
    for key in (KEYS.recs("u2"), KEYS.similar("b"), KEYS.state):
        assert store.values[key] == before[key]
    assert json.loads(store.values[KEYS.recs("u1")])["of tomorrow"] == 7
    assert store.values[KEYS.similar("a")].endswith(b'"version":3}')


def test_redis_finds_every_item_that_a_message_of_any_kind_lists_and_no_reason() -> None:
    """What names no item by the text that Redis looks for is never read."""
    reasons = [Reason("also_viewed", 1.0, "seen", 3)]
    for item in ("a", 'a"b', "ä\\\n", "seen%."):
        messages = [
            encode(Recommendation("u", "0-1-1", "", "", "personal", [RecommendedItem(item, 0.5, reasons)])),
            encode(Neighbours("", [Neighbour(item, 0.5, 1)], "of", 3)),
            encode(Neighbours("", [Neighbour(item, 0.5, 1)])),
            lists.encode(ColdList("cold_start", "cold-1", "", [ColdItem(item, 1.0, reasons)], version=3)),
            lists.encode(ColdList("cold_start", "cold-1", "", [], [Learned(item, 7, 1)], version=3)),
        ]
        for message in messages:
            assert names_any(message, {item})
            assert naming(item) in message
            assert naming(item) in without(message, {"another"}), "also of what a sweep has written anew"
            assert naming("seen") not in message


def test_items_are_taken_out_whether_redis_looks_for_them_or_they_are_too_many() -> None:
    for many in (1, FEW, FEW + 1):
        gone = [f"gone{n}" for n in range(many)]
        store = published(*((KEYS.recs(item), recommendation(item, item, "a")) for item in gone))
        found, _ = swept(store, *gone)
        assert found.changed == many


def test_a_reason_may_name_a_hidden_item() -> None:
    store = published((KEYS.recs("u1"), recommendation("u1", "a")))
    found, topic = swept(store, "seen")
    assert (found.changed, topic.published) == (0, [])


def test_a_changed_recommendation_goes_to_the_topic_with_the_record_that_it_answers() -> None:
    store = published((KEYS.recs("u:1"), recommendation("u:1", "a", "gone")), (KEYS.similar("a"), neighbours("a", "gone")))
    _, topic = swept(store, "gone")
    [(name, user, message, headers)] = topic.published
    assert (name, user, headers) == ("t-recommendations", "u:1", [("source", b"t-events/2/31")])
    assert [item["item_id"] for item in message["items"]] == ["a"]


def test_every_key_is_looked_at_however_many_there_are() -> None:
    names = [f"u{n}" for n in range(2 * BATCH + 7)]
    store = published(*((KEYS.recs(name), recommendation(name, "gone", "a")) for name in names))
    found, topic = swept(store, "gone")
    assert found.changed == len(names) == len(topic.published)
    assert {tuple(items(store, KEYS.recs(name))) for name in names} == {("a",)}


def test_what_was_written_meanwhile_stays_and_is_the_newest_on_the_topic() -> None:
    class Busy(MemoryStore):
        """A worker publishes for the users just before and just after the sweep does."""

        async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
            if KEYS.recs("before") in [each.key for each in replacements]:
                self.values[KEYS.recs("before")] = recommendation("before", "new", number="2-20-19b")
            done = await super().replace(replacements)
            if KEYS.recs("after") in [each.key for each in replacements]:
                self.values[KEYS.recs("after")] = recommendation("after", "new", number="2-21-19c")
            return done

    store = Busy()
    for user in ("before", "after"):
        store.values[KEYS.recs(user)] = recommendation(user, "gone", "old")
    _, topic = swept(store, "gone")
    assert items(store, KEYS.recs("before")) == items(store, KEYS.recs("after")) == ["new"]
    newest = {user: [item["item_id"] for item in message["items"]] for _, user, message, _ in topic.published}
    assert newest == {"after": ["new"]}


def test_what_is_hidden_still_in_what_was_written_meanwhile_is_taken_out_of_that() -> None:
    class Late(MemoryStore):
        """A worker that has not heard publishes once more, just before the sweep does."""

        first = True

        async def replace(self, replacements: Sequence[Replacement]) -> list[bool]:
            if self.first:
                self.first = False
                self.values[KEYS.recs("u")] = recommendation("u", "gone", "newer", number="2-20-19b")
            return await super().replace(replacements)

    store = Late()
    store.values[KEYS.recs("u")] = recommendation("u", "gone", "old")
    swept(store, "gone")
    assert items(store, KEYS.recs("u")) == ["newer"]

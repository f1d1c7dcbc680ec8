"""No id can reach a key of another kind, user, item or shard, whatever stands in it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from hostile import STRANGE_IDS
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from recsys.hashing import hash_id
from recsys.keys import AFTER, TOGETHER, VIEWED, Keys
from recsys.sharding import ITEM_SHARDS, row_key
from streams.settings import Settings, SettingsError, read_settings

FORMS: dict[str, tuple[Callable[..., Any], int, bool]] = {
    "recs": (Keys.recs, 0, True),
    "similar": (Keys.similar, 0, True),
    "together": (Keys.together, 0, True),
    "bought_after": (Keys.bought_after, 0, True),
    "customer": (Keys.customer, 0, True),
    "item": (Keys.item, 0, True),
    "described": (Keys.described, 0, True),
    "users_mark": (Keys.users_mark, 1, False),
    "refusals": (Keys.refusals, 1, False),
    "catalogue_mark": (Keys.catalogue_mark, 1, False),
    "catalogue_deleted": (Keys.catalogue_deleted, 1, False),
    "worker": (Keys.worker, 0, True),
    "cold_in": (Keys.cold, 0, True),
    "trending_in": (Keys.trending_in, 0, True),
    "category": (Keys.category, 0, True),
    "user": (Keys.user, 1, True),
    "bought": (Keys.bought, 1, True),
    "account": (Keys.account, 1, True),
    "spreads": (Keys.spreads, 1, False),
    "contexts": (Keys.contexts, 1, False),
    "context": (Keys.context, 2, False),
    "trials": (Keys.trials, 2, False),
    "ledger": (Keys.ledger, 1, True),
    "user_mark": (Keys.user_mark, 1, False),
    "published": (Keys.published, 1, False),
    "learner": (Keys.learner, 1, False),
    "item_mark": (Keys.item_mark, 1, False),
    "top": (Keys.top, 1, False),
    "lifetimes": (lambda keys: keys.lifetimes, 0, False),
    "trending": (lambda keys: keys.trending, 0, False),
    "cold": (lambda keys: keys.cold(), 0, False),
    "state": (lambda keys: keys.state, 0, False),
    "signer": (lambda keys: keys.signer, 0, False),
    "catalogue": (lambda keys: keys.catalogue, 0, False),
}
"""Every kind of key but those of one item: what builds it, how many numbers that takes, and whether it takes an id."""
OF_ITEMS: dict[str, Callable[[Keys, int], str]] = {
    "row": row_key,
    "row of together": partial(row_key, table=TOGETHER),
    "row of after": partial(row_key, table=AFTER),
    "sales": lambda keys, item: keys.sales(item % ITEM_SHARDS, item),
    "visitors": lambda keys, item: keys.visitors(item % ITEM_SHARDS, item),
}
IDS = st.one_of(
    st.sampled_from(STRANGE_IDS), st.text(min_size=1, max_size=128), st.text("{}:ui0recs\n", min_size=1, max_size=12)
)
PREFIXES = st.one_of(st.sampled_from(["freshet:", "a", "recs:", ":"]), st.from_regex(r"\A[^{}\s]{1,20}\Z"))
NUMBERS = st.integers(0, 40)


@st.composite
def named(draw: st.DrawFn) -> tuple[Any, ...]:
    """A kind of key, and what it is built of."""
    kind = draw(st.sampled_from([*FORMS, *OF_ITEMS]))
    if kind in OF_ITEMS:
        return kind, hash_id(draw(IDS))
    _, numbers, has_id = FORMS[kind]
    return (kind, *(draw(NUMBERS) for _ in range(numbers)), *([draw(IDS)] if has_id else []))


def built(keys: Keys, name: tuple[Any, ...]) -> str:
    kind, *parts = name
    return OF_ITEMS[kind](keys, *parts) if kind in OF_ITEMS else str(FORMS[kind][0](keys, *parts))


PARSED = re.compile(
    r"(?P<kind>recs|similar|together|bought_after|item|user|worker|category|customer):(?P<id>.+)"
    r"|(?P<alone>trending|cold|lifetimes|state|signer|catalogue)|trending:(?P<trending_in>.+)|cold:(?P<cold_in>.+)"
    r"|\{u(?P<met>\d+)\}:context:(?P<slot>\d+)|\{u(?P<shown>\d+)\}:trials:(?P<tried>\d+)"
    r"|\{(?P<side>[uicp])(?P<shard>\d+)\}:(?P<what>mark|published|learner|contexts|spreads|top|deleted|refusals)"
    r"|\{u(?P<home>\d+)\}:(?P<of>user|bought|account|ledger):(?P<user>.+)"
    r"|\{i(?P<at>\d+)\}:(?P<each>row|together|after|sales|visitors):(?P<item>[0-9a-f]{16})",
    re.DOTALL,
)


def read_back(key: str, prefix: str) -> tuple[Any, ...]:
    """What a key was built of, told from its text alone."""
    found = PARSED.fullmatch(key.removeprefix(prefix))
    assert found is not None, key
    if found["kind"]:
        return {"user": "described"}.get(found["kind"], found["kind"]), found["id"]
    if found["trending_in"]:
        return "trending_in", found["trending_in"]
    if found["cold_in"]:
        return "cold_in", found["cold_in"]
    if found["slot"]:
        return "context", int(found["met"]), int(found["slot"])
    if found["tried"]:
        return "trials", int(found["shown"]), int(found["tried"])
    if found["alone"]:
        return (found["alone"],)
    if found["user"]:
        return found["of"], int(found["home"]), found["user"]
    if found["item"]:
        assert int(found["item"], 16) % ITEM_SHARDS == int(found["at"])
        each = {"together": "row of together", "after": "row of after"}.get(found["each"], found["each"])
        return each, int(found["item"], 16)
    kind = {
        "u": {"mark": "user_mark"} | {each: each for each in ("published", "learner", "contexts", "spreads")},
        "i": {"mark": "item_mark", "top": "top"},
        "c": {"mark": "catalogue_mark", "deleted": "catalogue_deleted"},
        "p": {"mark": "users_mark", "refusals": "refusals"},
    }
    return kind[found["side"]][found["what"]], int(found["shard"])


@given(PREFIXES, named())
def test_a_key_says_of_what_it_was_built(prefix: str, name: tuple[Any, ...]) -> None:
    assert read_back(built(Keys(prefix), name), prefix) == name


@given(PREFIXES, named(), named())
def test_two_keys_are_the_same_only_if_they_were_built_of_the_same(
    prefix: str, one: tuple[Any, ...], two: tuple[Any, ...]
) -> None:
    keys = Keys(prefix)
    assert (built(keys, one) == built(keys, two)) == (one == two)


@given(PREFIXES, NUMBERS, IDS)
def test_a_users_history_is_in_the_slot_of_its_shard_whatever_the_id(prefix: str, partition: int, user: str) -> None:
    keys = Keys(prefix)
    slots = {
        key_slot(key.encode()) for key in (keys.user(partition, user), keys.user_mark(partition), keys.published(partition))
    }
    assert slots == {key_slot(f"u{partition}".encode())}


@given(PREFIXES, IDS)
def test_an_items_row_is_in_the_slot_of_its_shard_whatever_the_id(prefix: str, item: str) -> None:
    keys, shard = Keys(prefix), hash_id(item) % ITEM_SHARDS
    slots = {
        key_slot(key.encode())
        for key in (
            *(row_key(keys, hash_id(item), table) for table in (VIEWED, TOGETHER, AFTER)),
            *(keys.sales(shard, hash_id(item)), keys.visitors(shard, hash_id(item)), keys.item_mark(shard), keys.top(shard)),
        )
    }
    assert slots == {key_slot(f"i{shard}".encode())}


def test_shards_have_slots_of_their_own() -> None:
    tags = [f"u{n}" for n in range(64)] + [f"i{n}" for n in range(ITEM_SHARDS)]
    assert len({key_slot(tag.encode()) for tag in tags}) == len(tags)


@given(st.text(max_size=12))
def test_a_prefix_that_is_taken_leaves_the_shard_to_the_key(prefix: str) -> None:
    try:
        settings: Settings = read_settings({"FRESHET_KEY_PREFIX": prefix})
    except SettingsError:
        return
    assert key_slot(Keys(settings.key_prefix).user(3, "{u1}").encode()) == key_slot(b"u3")

"""`freshet explain`: why each item is or is not recommended, as a worker ranked it, from a real Redis; nothing is written."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_blend import weekly
from test_rank import DAY_MS, START_MS, event, others

from recsys import learners
from recsys.batch import Arrival
from recsys.connection import open_client, open_store
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind
from recsys.explanation import Explanation
from recsys.keys import Keys
from recsys.layout import claim, layout_of
from recsys.listing import LEAST_SHARE
from recsys.popularity import POPULAR_TO_SPARE
from recsys.ranking.features import FEATURES
from recsys.ranking.told import KIND_SHARE
from recsys.recommendation import encode
from recsys.store import Entry, Store, Swap
from streams.cli import main
from streams.home import home_partition
from streams.roles import OPERATOR
from streams.settings import Settings, read_settings

BOTH = pytest.mark.parametrize("redis_kind", ["single", "cluster"], indirect=True)
MINUTE_MS = 60_000
VISITS = [["cup", "pot", "mug"], ["cup", "pot"], ["cup", "pot", "jug"], ["mug", "jug"], ["hat", "coat"], ["pot", "lid"]]


class Counter:
    """Counts events in a real Redis and publishes what follows, as a worker does."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._environ = dict(variables)
        self._ends: dict[int, int] = {}

    def take(self, *events: Event, **variables: str) -> "Counter":
        """Counts these events, one after the other; a worker of its own, whose settings are kept for what runs next."""
        self._environ |= variables
        settings = read_settings(self._environ)

        async def work() -> None:
            async with open_store(settings.redis) as store:
                await self._take(store, settings, events)

        asyncio.run(work())
        return self

    async def _take(self, store: Store, settings: Settings, events: Sequence[Event]) -> None:
        keys = Keys(settings.key_prefix)
        await claim(store, keys, layout_of(settings.topic("events"), settings.partitions, settings.rules))
        engine = Engine(store, keys, settings.rules)
        for each in events:
            partition = home_partition(each.home_id, settings.partitions)
            if partition not in self._ends:
                await engine.begin(partition, "")
            offset = self._ends[partition] = self._ends.get(partition, -1) + 1
            counted = await engine.count(Chunk(partition, offset, offset, [Arrival(offset, each)]))
            await engine.trending()
            answers = await engine.recommend(counted, START_MS)
            await store.put([Entry(keys.recs(message.user_id), encode(message)) for _, message in answers])
        await store.put(engine.learned(self._ends))

    @property
    def settings(self) -> Settings:
        return read_settings(self._environ)

    def run(self, *arguments: str, **variables: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={**self._environ, **variables})

    def explain(self, user: str, item: str, **variables: str) -> dict[str, Any]:
        result = self.run("explain", user, item, "--json", **variables)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def published(self, user: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.run("recommend", user, "--json").stdout)["items"]
        return items


@pytest.fixture
def counter(namespace: Settings, variables: Mapping[str, str]) -> Counter:  # noqa: ARG001 (has the servers started)
    return Counter(variables)


def looks(user: str, *items: str, at_ms: int = DAY_MS) -> list[Event]:
    """A visit of a user to these items, a minute apart."""
    return [event(user, item, at_ms=at_ms + n * MINUTE_MS) for n, item in enumerate(items)]


LOOKER = [*others(*VISITS * 3), *looks("me", "pot", "lid"), *looks("me", "cup", at_ms=2 * DAY_MS)]
TAUGHT = [*looks("v", *["cup", "pot", "mug", "cup"] * 3, at_ms=DAY_MS // 2), *LOOKER]
SELLS_WELL = [event(f"d{n}", "drum", kind=Kind.PURCHASE, at_ms=n) for n in range(9)]
"""Nothing that others met leads to it: it is expected in a basket because it sells."""
CUSTOMER = [*others(*VISITS * 3), *SELLS_WELL, *weekly(4, 4), *weekly(1, 5), event("c0", "cup", at_ms=36 * DAY_MS)]


def told_together(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reasons as a recommendation has them: what adds little with what adds most, recent items first."""
    viewed = [r for r in reasons if r["kind"] == "also_viewed"]
    others = [r for r in reasons if r["kind"] != "also_viewed"]
    found = small_with_most(viewed, LEAST_SHARE) + others
    trending = next((r for r in found if r["kind"] == "trending" and r["share"] < LEAST_SHARE), None)
    most = max(found, key=lambda r: float(r["share"]))
    if trending and trending is not most:
        found.remove(trending)
        found[found.index(most)] = most | {"share": most["share"] + trending["share"]}
    return small_with_most(found, LEAST_SHARE * KIND_SHARE)


def small_with_most(reasons: list[dict[str, Any]], least: float) -> list[dict[str, Any]]:
    most = max(reasons, key=lambda r: float(r["share"]), default=None)
    small = [r for r in reasons if r is not most and r["share"] < least]
    return [r | {"share": r["share"] + sum(s["share"] for s in small if r is most)} for r in reasons if r not in small]


def shares(reasons: list[dict[str, Any]]) -> dict[tuple[str, str | None, int], float]:
    return {(r["kind"], r.get("item_id"), r.get("count", 0)): r["share"] for r in reasons}


@BOTH
@pytest.mark.parametrize(
    ("user", "events", "learner", "hide"),
    [
        ("me", LOOKER, "false", "current"),
        ("me", TAUGHT, "true", "current,once"),
        ("c0", CUSTOMER, "false", "current,once"),
    ],
    ids=["F alone", "learner", "customer"],
)
def test_every_published_item_is_explained_as_it_was_published(
    counter: Counter, user: str, events: list[Event], learner: str, hide: str
) -> None:
    published = counter.take(*events, FRESHET_LEARNER=learner, FRESHET_HIDE=hide).published(user)
    assert len(published) >= 5
    kinds = set()
    for place, item in enumerate(published, 1):
        found = counter.explain(user, item["item_id"])
        assert (found["outcome"], found["place"], found["shown"]) == ("recommended", place, len(published))
        assert found["score"] == item["score"]
        assert shares(told_together(found["reasons"])) == pytest.approx(shares(item["reasons"]), abs=2e-3)
        assert (found["published"]["place"], found["published"]["score"]) == (place, item["score"])
        assert found["last_score"] == published[-1]["score"]
        assert found["rank"] >= place
        kinds |= {reason["kind"] for reason in found["reasons"]}
    assert kinds >= ({"bought_again", "also_bought"} if user == "c0" else {"also_viewed", "repeat"})


def test_the_object_has_every_field_whatever_the_outcome(counter: Counter) -> None:
    counter.take(*LOOKER, event("far", "desert"))
    for item in ("pot", "cup", "coat"):
        assert list(counter.explain("me", item)) == list(Explanation.__struct_fields__)


HIDDEN = [
    ("current", "cup", ["it is what you are at right now"]),
    ("seen", "lid", ["you came to it already"]),
    ("purchased", "pot", ["you bought it"]),
    ("once", "pot", ["you bought it, and people hardly ever buy it again"]),
]


@pytest.mark.parametrize(("rule", "item", "words"), HIDDEN, ids=[rule for rule, _, _ in HIDDEN])
def test_each_rule_that_leaves_an_item_out_is_named(counter: Counter, rule: str, item: str, words: list[str]) -> None:
    first = [event(f"p{n}", "pot", kind=Kind.PURCHASE, at_ms=n) for n in range(4)]
    mine = [event("me", "pot", kind=Kind.PURCHASE, at_ms=DAY_MS), *looks("me", "lid", "cup", at_ms=2 * DAY_MS)]
    counter.take(*others(*VISITS * 3), *first, *mine, FRESHET_HIDE=rule)
    assert item not in [shown["item_id"] for shown in counter.published("me")]
    found = counter.explain("me", item)
    assert (found["outcome"], found["place"], found["left_out"]) == ("left_out", None, [rule])
    assert found["published"]["place"] is None
    assert found["rank"] >= 1
    assert sum(reason["share"] for reason in found["reasons"]) == pytest.approx(1.0)
    assert all(word in found["sentence"] for word in words)
    if rule == "once":
        again = found["bought_once"]
        # Four customers bought it first, and then this one: nobody did twice. The day's decay is left.
        assert again["baskets"] == again["first"] == pytest.approx(5.0, rel=0.02)
        assert again["again"] < again["limit"] == 0.1
    else:
        assert found["bought_once"] is None
    nothing_hidden = counter.explain("me", item, FRESHET_HIDE="none")
    assert (nothing_hidden["outcome"], nothing_hidden["place"]) == ("recommended", found["rank"])
    assert rule in counter.run("explain", "me", item).stdout


def test_an_item_below_those_that_are_shown_is_told_its_place_and_the_last_score(counter: Counter) -> None:
    published = counter.take(*LOOKER, FRESHET_TOP_N="2", FRESHET_HIDE="current").published("me")
    everything = {item: counter.explain("me", item) for item in ("pot", "lid", "mug", "jug", "hat", "coat")}
    places = sorted((found["place"], item) for item, found in everything.items())
    assert [item for _, item in places[:2]] == [item["item_id"] for item in published]
    assert [place for place, _ in places] == [1, 2, 3, 4, 5, 6]
    below = everything[places[2][1]]
    assert (below["outcome"], below["shown"]) == ("below", 2)
    assert below["score"] < below["last_score"] == published[-1]["score"]
    assert below["sentence"].startswith("Not recommended: only the first 2 are shown, and it is in place 3. For it speaks: ")


def test_of_two_events_of_one_moment_only_the_newer_ones_items_are_what_is_looked_at(counter: Counter) -> None:
    counter.take(*others(*VISITS * 3), event("me", "cup", at_ms=DAY_MS), event("me", "pot", at_ms=DAY_MS))
    assert "cup" in [item["item_id"] for item in counter.published("me")]
    assert counter.explain("me", "cup")["outcome"] == "recommended"
    assert counter.explain("me", "pot")["left_out"] == ["current"]


def test_an_item_that_nothing_speaks_for_is_no_candidate(counter: Counter) -> None:
    """More items than fill up a recommendation are more popular, and none that the user looked at leads to it."""
    many = [event(f"v{n}", f"x{n}", at_ms=n) for n in range(POPULAR_TO_SPARE + 40)]
    counter.take(event("w", "lonely", at_ms=-400 * DAY_MS), *many, *others(*VISITS), *looks("me", "cup"))
    found = counter.explain("me", "lonely")
    assert (found["outcome"], found["rank"], found["place"], found["score"]) == ("no_candidate", None, None, None)
    assert (found["reasons"], found["left_out"], found["interactions"]) == ([], [], 1)
    assert found["sentence"] == (
        "Not recommended: nothing you came to lately leads to it, and it is not among what is popular now."
    )
    assert counter.run("explain", "me", "lonely").exit_code == 0


@BOTH
def test_the_sentence_names_visits_and_what_was_looked_at_how_often(counter: Counter) -> None:
    counter.take(*others(*VISITS * 3), *looks("me", "cup", "cup"), FRESHET_LEARNER="false", FRESHET_HIDE="current")
    place = [item["item_id"] for item in counter.published("me")].index("pot") + 1
    found = counter.explain("me", "pot")
    assert found["sentence"] == (
        f"Recommended in place {place} of {found['shown']}: 9 visits had both this and cup, which you came to twice in "
        "this visit."
    )
    shown = counter.run("explain", "me", "pot")
    assert shown.exit_code == 0
    assert found["sentence"] in " ".join(shown.stdout.split())
    [row] = [line for line in shown.stdout.splitlines() if "also viewed cup" in line]
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["9 visits with both", "100.00 %"]
    assert f"as published at {found['published']['generated_at']}: place {place}" in shown.stdout


def test_of_a_learned_score_it_is_told_what_the_learner_made_it_of(counter: Counter) -> None:
    """What visits say is held against an item here; popularity is all that speaks for it."""
    counter.take(*others(*VISITS), *looks("me", "cup"))
    found = counter.explain("me", "pot")
    assert found["reasons"][0]["kind"] == "also_viewed"
    assert next(iter(found["learned"])) == "how much speaks for it"
    told = counter.run("explain", "me", "pot").stdout
    assert "the score is learned; most of it (of its logarithm) is made by: how much speaks for it +" in " ".join(told.split())
    assert counter.explain("me", "pot", FRESHET_LEARNER="false")["learned"] == {}
    assert counter.explain("me", "coat")["learned"] == {}, "nothing led to it: it only fills up"

    partition = home_partition("me", counter.settings.partitions)
    weight = np.zeros(FEATURES)
    weight[0], weight[9], weight[11] = -1.0, 4.0, 0.5

    async def teach() -> None:
        learned = learners.unpack(None)
        learned.clicks.weight[:] = weight
        async with open_store(counter.settings.redis) as store:
            await store.put([Entry(Keys(counter.settings.key_prefix).learner(partition), learners.pack(learned))])

    asyncio.run(teach())
    found = counter.explain("me", "pot")
    assert [reason["kind"] for reason in found["reasons"]] == ["trending"]
    assert found["learned"]["how often people meet it"] > 0 > found["learned"]["how much speaks for it"]
    assert "; that counts here is learned from what people turned to, above all how often people meet it" in found["sentence"]


def test_of_whom_the_rows_say_nothing_the_popular_items_are_explained(counter: Counter) -> None:
    counter.take(*others(*VISITS), event("anon:new", "desert", at_ms=DAY_MS))
    first = counter.published("anon:new")[0]
    found = counter.explain("anon:new", first["item_id"])
    assert (found["outcome"], found["place"], found["strategy"]) == ("recommended", 1, "cold_start")
    assert found["sentence"].endswith(f"it is popular: people came to it {found['interactions']} times.")


def test_what_was_published_before_the_state_went_on_is_told_with_both_places(counter: Counter) -> None:
    counter.take(*others(*VISITS), *looks("me", "cup"), FRESHET_LEARNER="false")
    before = [item["item_id"] for item in counter.published("me")].index("jug") + 1
    counter.take(*others(*[["cup", "jug"]] * 20))
    found = counter.explain("me", "jug")
    assert (found["published"]["place"], found["place"]) == (before, 1)
    assert before > 1
    told = " ".join(counter.run("explain", "me", "jug").stdout.split())
    assert f"place {before}; ranked now: place 1." in told
    counter.take(event("v", "brand new"), event("v", "jug", at_ms=1), event("v", "brand new", at_ms=2))
    told = " ".join(counter.run("explain", "me", "brand new").stdout.split())
    assert f"not in it; ranked now: place {counter.explain('me', 'brand new')['place']}." in told


@pytest.mark.parametrize(
    ("user", "item", "words"), [("nobody", "cup", "user 'nobody' is unknown"), ("me", "nothing", "item 'nothing' is unknown")]
)
def test_an_unknown_user_or_item_is_a_failure_of_one_line(counter: Counter, user: str, item: str, words: str) -> None:
    counter.take(*looks("me", "cup"))
    failed = counter.run("explain", user, item)
    assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert words in failed.stderr


def test_where_nothing_is_counted_that_is_said(counter: Counter) -> None:
    failed = counter.run("explain", "me", "cup", "--json")
    assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert "nothing is counted" in failed.stderr


@pytest.fixture
def reader(namespace: Settings) -> Iterator[str]:
    """The address of a user of Redis who has the rights of an operator: none to write."""
    name = f"operator-{namespace.key_prefix.rstrip(':')}"
    rights = [f"~{namespace.key_prefix}*", *(f"+{command}" for command in OPERATOR.commands)]
    with open_client(namespace.redis) as client:
        client.execute_command("ACL", "SETUSER", name, "on", ">secret", *rights)  # type: ignore[no-untyped-call]
        yield namespace.redis.replace("redis://", f"redis://{name}:secret@")
        client.execute_command("ACL", "DELUSER", name)  # type: ignore[no-untyped-call]


def everything_in(settings: Settings) -> dict[bytes, bytes]:
    with open_client(settings.redis) as client:
        return {key: client.get(key) for key in client.scan_iter(f"{settings.key_prefix}*")}  # type: ignore[misc]


def test_an_explanation_writes_nothing_and_needs_no_right_to(counter: Counter, namespace: Settings, reader: str) -> None:
    counter.take(*CUSTOMER)
    before = everything_in(namespace)
    assert counter.explain("c0", "tea", FRESHET_REDIS=reader) == counter.explain("c0", "tea")
    assert everything_in(namespace) == before


def shelve(counter: Counter, items: Mapping[str, Mapping[str, Any]], *deleted: str) -> None:
    """Has the catalogue as its owner makes it public: Item JSON under the items' keys, and what is deleted."""

    async def work() -> None:
        settings = counter.settings
        keys = Keys(settings.key_prefix)
        async with open_store(settings.redis) as store:
            await store.put([Entry(keys.item(item), json.dumps(told).encode()) for item, told in items.items()])
            gone = {keys.catalogue_deleted(1): json.dumps(dict.fromkeys(deleted, 7)).encode()}
            await store.swap([Swap(keys.catalogue_mark(1), None, b"7", gone)])
            await store.put([Entry(keys.catalogue, b"2")])

    asyncio.run(work())


@BOTH
def test_what_the_catalogue_hides_is_told_and_takes_no_place(counter: Counter) -> None:
    counter.take(*LOOKER)
    ranked = [item["item_id"] for item in counter.published("me")]
    best, second, third = ranked[:3]
    shelve(counter, {second: {"title": "second", "available": False}, third: {"title": "third"}}, best)
    first, other, shown = (counter.explain("me", item) for item in (best, second, third))
    assert (first["outcome"], first["hidden"], first["rank"], first["place"]) == ("left_out", "deleted", 1, None)
    assert first["sentence"].startswith("Not recommended: the shop has it no more. Else it would be in place 1: ")
    assert (other["outcome"], other["hidden"], other["rank"], other["place"]) == ("left_out", "unavailable", 2, None)
    assert (shown["outcome"], shown["hidden"], shown["described"], shown["place"]) == ("recommended", None, True, 1)
    said = counter.run("explain", "me", second).stdout
    assert "it cannot be had now" in said and "hidden by the catalogue: unavailable" in said  # noqa: PT018
    assert "what its description adds is not in these numbers" in counter.run("explain", "me", third).stdout
    off = counter.explain("me", best, FRESHET_CATALOGUE="false")
    assert (off["hidden"], off["place"]) == (None, 1)


def test_of_an_item_that_nobody_met_it_is_told_what_was_published(counter: Counter) -> None:
    counter.take(*LOOKER)
    shelve(counter, {"cold": {"title": "a new mug"}, "colder": {"title": "an old hat"}})
    message = json.loads(counter.run("recommend", "me", "--json").stdout)
    reason = {"kind": "similar_content", "share": 1.0, "item_id": "cup"}
    message["items"].insert(1, {"item_id": "cold", "score": 0.2, "reasons": [reason]})

    async def publish() -> None:
        settings = counter.settings
        async with open_store(settings.redis) as store:
            await store.put([Entry(Keys(settings.key_prefix).recs("me"), json.dumps(message).encode())])

    asyncio.run(publish())
    cold, colder = counter.explain("me", "cold"), counter.explain("me", "colder")
    assert (cold["outcome"], cold["interactions"], cold["published"]["place"]) == ("described", 0, 2)
    assert cold["published"]["reasons"] == [reason]
    assert "it is described much like cup, which you came to once in this visit" in cold["sentence"]
    assert "as published: it is described much like cup" in counter.run("explain", "me", "cold").stdout
    assert colder["outcome"] == "no_candidate"
    assert "nobody came to it yet" in colder["sentence"]
    unknown = counter.run("explain", "me", "nothing")
    assert (unknown.exit_code, "no interaction with it was counted" in unknown.stderr) == (1, True)

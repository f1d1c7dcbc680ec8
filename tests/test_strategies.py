"""Strategies by name, asked of what is counted: each alone, on a small shop where what must come first is evident."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import msgspec
import pytest
from click.testing import CliRunner, Result
from test_described import DescribedShop
from test_rank import DAY_MS, START_MS, Shop, event, others

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.item import CatalogueItem
from recsys.events import Event, Kind
from recsys.explanation import Explanation, clauses
from recsys.keys import Keys
from recsys.layout import FORMAT, claim, layout_of
from recsys.onlooker import Onlooker, Unknown
from recsys.recommendation import Reason, Recommendation
from recsys.rules import Rules
from recsys.store import Entry, Store
from recsys.strategies import STRATEGIES
from streams import looking
from streams.cli import main
from streams.cli.lookup import COUNTED, in_words
from streams.looking import Looking

VISITS = [["cup", "pot"], ["cup", "pot"], ["cup", "jug"], *[["hat"]] * 5, ["hat", "coat"], ["coat"]]
RULES = Rules()


NOTHING_DESCRIBED = Catalogue()


def ask(
    shop: Shop, user: str, strategy: str, n: int | None = None, rules: Rules = RULES, catalogue: Catalogue = NOTHING_DESCRIBED
) -> Recommendation:
    look = Onlooker(shop.store, Keys("p:"), rules, 1)
    told = catalogue if "descriptions" in STRATEGIES[strategy].by else None  # type: ignore[index]
    return asyncio.run(look.recommend(user, 0, strategy, now_ms=START_MS + 2 * DAY_MS, n=n, catalogue=told))


def names(message: Recommendation) -> list[str]:
    return [item.item_id for item in message.items]


@pytest.fixture(scope="module")
def shop() -> Shop:
    shop = Shop(RULES).take(*others(*VISITS), event("new", "desert", at_ms=DAY_MS), event("me", "cup", at_ms=DAY_MS))
    asyncio.run(shop.store.put(shop.engine.learned([0])))
    return shop


def test_item_based_recommends_what_was_met_with_the_users_item_and_popular_items_only_fill_up(shop: Shop) -> None:
    message = ask(shop, "me", "item-based")
    assert names(message)[:3] == ["pot", "jug", "hat"]
    assert [item.reasons[0].kind for item in message.items[:3]] == ["also_viewed", "also_viewed", "trending"]
    assert (message.items[0].reasons[0].item_id, message.items[0].reasons[0].count) == ("cup", 2)
    assert message.strategy == "item-based"


def test_trending_recommends_what_most_came_to_whatever_the_user_did(shop: Shop) -> None:
    message = ask(shop, "me", "trending")
    assert names(message)[:1] == ["hat"]
    assert {reason.kind for item in message.items for reason in item.reasons} == {"trending"}
    assert message.items[0].reasons[0].count == 6
    assert "cup" not in names(message), "what is looked at right now is hidden here, too"
    assert message.strategy == "trending"


def test_personal_recommends_what_the_worker_published(shop: Shop) -> None:
    published, message = shop.newest["me"], ask(shop, "me", "personal")
    assert message.items == published.items
    assert (message.strategy, message.event_time) == ("personal", published.event_time)
    assert ask(shop, "new", "personal").strategy == "cold_start"


def test_item_based_goes_by_no_purchase_and_nothing_learned() -> None:
    """A customer's purchases put an item into `personal` that no visit leads to."""
    bought = [event("me", "tea", kind=Kind.PURCHASE, at_ms=week * 7 * DAY_MS) for week in range(4)]
    shop = Shop(RULES).take(*others(*VISITS), *bought, event("me", "cup", at_ms=29 * DAY_MS))
    kinds = {name: {r.kind for item in ask(shop, "me", name).items for r in item.reasons} for name in STRATEGIES}
    assert "bought_again" in kinds["personal"]
    assert kinds["item-based"] <= {"also_viewed", "repeat", "trending"}
    unlearned = ask(shop, "me", "item-based", rules=Rules(learner=False))
    assert ask(shop, "me", "item-based").items == unlearned.items


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("user", ["me", "new", "visitor0"])
def test_whatever_the_strategy_a_list_is_sorted_without_repeats_and_its_reasons_are_whole(
    shop: Shop, strategy: str, user: str
) -> None:
    for n in (1, 2, 20, 300):
        message = ask(shop, user, strategy, n)
        assert 1 <= len(message.items) <= n
        assert len(set(names(message))) == len(message.items)
        order = [(-item.score, item.item_id) for item in message.items]
        assert order == sorted(order)
        for item in message.items:
            assert sum(reason.share for reason in item.reasons) == pytest.approx(1.0)
    two, all_of_them = ask(shop, user, strategy, 2), ask(shop, user, strategy)
    # Which of two equal ones is cut off goes by their hashes.
    assert [item.score for item in two.items] == [item.score for item in all_of_them.items[:2]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_to_ask_writes_nothing(shop: Shop, strategy: str) -> None:
    before = dict(shop.store.values)
    ask(shop, "me", strategy)
    assert shop.store.values == before


def test_another_strategy_another_user_and_no_items_are_refused_by_name(shop: Shop) -> None:
    look = Onlooker(shop.store, Keys("p:"), RULES, 1)
    with pytest.raises(ValueError, match=f"strategy 'nightly' is none of {', '.join(STRATEGIES)}"):
        asyncio.run(look.recommend("me", 0, "nightly", now_ms=0))
    with pytest.raises(ValueError, match="strategy 'content-based' goes by descriptions: it needs the catalogue"):
        asyncio.run(look.recommend("me", 0, "content-based", now_ms=0))
    with pytest.raises(Unknown, match="user 'nobody' is unknown under 'p:'"):
        ask(shop, "nobody", "trending")
    for n in (0, 501):
        with pytest.raises(ValueError, match=f"n is {n}: it must be from 1 to 500"):
            ask(shop, "me", "trending", n)


SHELF = Catalogue()
"""What the shop's items are, and one that nobody met."""
for _item, _title in {"cup": "Blue cup", "pot": "Tea pot", "new": "Blue cup, large", "other": "Blue hat"}.items():
    SHELF.put(CatalogueItem(_item, _title))


def test_user_based_recommends_what_users_went_on_to_who_met_the_same(shop: Shop) -> None:
    message = ask(shop, "me", "user-based")
    assert names(message)[:3] == ["pot", "jug", "hat"]
    assert message.items[0].reasons == [Reason("similar_users", 1.0, count=2)]
    assert [item.reasons[0].kind for item in message.items[1:3]] == ["similar_users", "trending"]
    assert "cup" not in names(message), "what is looked at right now is hidden here, too"
    assert in_words(message.items[0].reasons[0]) == "similar users (100 %, met by 2 of them)"


def test_content_based_recommends_what_is_described_alike_whoever_met_it(shop: Shop) -> None:
    message = ask(shop, "me", "content-based", catalogue=SHELF)
    assert (names(message)[:2], message.strategy) == (["new", "other"], "content-based")
    assert [(reason.kind, reason.item_id) for reason in message.items[0].reasons] == [("similar_content", "cup")]
    assert "pot" not in [item.item_id for item in message.items if item.reasons[0].kind != "trending"]


def test_hybrid_recommends_what_the_worker_published_that_knows_the_catalogue() -> None:
    shop = DescribedShop(Rules(top_n=5))
    shop.put("large", "Blue enamel mug, large")
    shop.take(event("new", "desert", at_ms=DAY_MS), event("me", "mug", at_ms=DAY_MS))
    asyncio.run(shop.store.put(shop.engine.learned([0])))
    published, rules = shop.newest["me"], Rules(top_n=5)
    hybrid = ask(shop, "me", "hybrid", rules=rules, catalogue=shop.catalogue)
    assert (hybrid.items, hybrid.strategy) == (published.items, "hybrid")
    assert "similar_content" in {reason.kind for item in hybrid.items for reason in item.reasons}
    assert ask(shop, "me", "personal", rules=rules, catalogue=shop.catalogue).items == hybrid.items
    without = ask(shop, "me", "collaborative", rules=rules)
    assert (without.items, without.strategy) == (ask(shop, "me", "personal", rules=rules).items, "collaborative")
    assert "similar_content" not in {reason.kind for item in without.items for reason in item.reasons}
    assert ask(shop, "new", "hybrid", rules=rules, catalogue=shop.catalogue).strategy == "cold_start"


def test_every_kind_of_reason_is_told_in_words_in_the_table_and_in_sentences() -> None:
    for kind in get_args(Reason.__annotations__["kind"]):
        reason = Reason(kind, 1.0, "cup", 2 if kind in COUNTED else 0)
        e = Explanation(
            user_id="me", item_id="pot", outcome="recommended", sentence="", strategy="personal", shown=1, rank=1, place=1,
            score=1.0, last_score=1.0, reasons=[reason], left_out=[], bought_once=None, interactions=2, recent=[],
            published=None,
        )  # fmt: skip
        assert in_words(reason).startswith(kind.replace("_", " "))
        [clause] = clauses(e.reasons, e.recent)
        assert clause
        if kind == "similar_users":
            assert clause == "2 people who came to what you came to, came to this, too"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_the_catalogue_hides_is_in_no_strategys_list_and_others_take_its_place(strategy: str) -> None:
    shop = Shop(RULES).take(*others(*VISITS), event("me", "cup", at_ms=DAY_MS))
    keys, shelf = Keys("p:"), Catalogue()
    for item, available in {"cup": True, "pot": False, "jug": True, "hat": True, "coat": True}.items():
        shelf.put(CatalogueItem(item, "Blue cup", available=available))
    before = ask(shop, "me", strategy, 2, catalogue=shelf)
    entries = [(keys.catalogue, b"2"), (keys.catalogue_deleted(1), b'{"hat": 7}'), (keys.item("pot"), b'{"available": false}')]
    asyncio.run(shop.store.put([Entry(key, value) for key, value in entries]))
    shelf.remove("hat")
    message = ask(shop, "me", strategy, 2, catalogue=shelf)
    assert sorted(names(message)) == ["coat", "jug"]
    assert before.items != message.items


TEXTBOOK: dict[str, str] = {"u1": "abd", "u2": "abe", "u3": "bcd", "u4": "acd", "u5": "ce"}
"""The users and items of every textbook, five of each, with what each user met."""


@pytest.fixture(scope="module")
def textbook() -> Shop:
    rules = Rules(hide=frozenset(), half_life_ms=0.0)
    met: list[Event] = [event(user, item, at_ms=n * 1000) for user, items in TEXTBOOK.items() for n, item in enumerate(items)]
    return Shop(rules).take(*met, event("fresh", "z", at_ms=DAY_MS))


def test_of_five_users_and_items_rows_count_who_met_both(textbook: Shop) -> None:
    both = {(x, y): sum(x in items and y in items for items in TEXTBOOK.values()) for x in "abcde" for y in "abcde" if x != y}
    counts = {(item, n.item_id): n.count for item in "abcde" for n in textbook.similar[item].items}
    assert counts == {pair: count for pair, count in both.items() if count}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_new_user_of_five_gets_what_is_popular_and_scores_above_zero(textbook: Shop, strategy: str) -> None:
    """The new user met one item that nobody else knows, so nothing leads from it to another."""
    message = ask(textbook, "fresh", strategy, rules=Rules(hide=frozenset({"current"}), half_life_ms=0.0))
    met = {item: sum(item in items for items in TEXTBOOK.values()) for item in "abcde"}
    assert sorted(names(message)) == list("abcde")
    assert [met[item] for item in names(message)] == sorted(met.values(), reverse=True)
    assert all(item.score > 0 for item in message.items)
    assert {reason.kind for item in message.items for reason in item.reasons} == {"trending"}


Run = Callable[..., Result]


@pytest.fixture
def run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `freshet recommend` on the shop's state, of one partition."""
    layout = layout_of("events", 1, RULES)
    asyncio.run(claim(shop.store, Keys("p:"), layout))

    @asynccontextmanager
    async def opened(_url: str) -> AsyncIterator[Store]:
        yield shop.store

    async def read(*_: object) -> Catalogue:
        return SHELF

    monkeypatch.setattr(looking, "open_store", opened)
    asyncio.run(shop.store.put([Entry(Keys("p:").catalogue, b"1"), Entry(Keys("p:").catalogue_mark(0), b"3")]))
    monkeypatch.setattr(looking, "read_catalogue", read)
    environ = {"FRESHET_KEY_PREFIX": "p:", "FRESHET_REDIS": "redis://127.0.0.1:1/0", "FRESHET_TOP_N": "3"}
    return lambda *arguments, **others: CliRunner().invoke(main, ["recommend", *arguments], env=environ | others)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_command_prints_what_the_strategy_recommends_as_json_or_a_table(run: Run, shop: Shop, strategy: str) -> None:
    wanted = ask(shop, "me", strategy, 3, catalogue=SHELF)
    found = run("me", "--strategy", strategy, "--json")
    assert found.exit_code == 0, found.output
    message = msgspec.json.decode(found.stdout, type=Recommendation)
    assert (message.user_id, message.strategy, message.event_time) == ("me", strategy, wanted.event_time)
    assert message.items == wanted.items
    table = run("me", "--strategy", strategy).stdout
    assert f"me: {strategy}, " in table
    assert all(f" {item.item_id} " in table for item in wanted.items)


def test_the_command_refuses_a_strategy_or_a_user_that_there_is_not_and_says_which(run: Run) -> None:
    unknown = run("me", "--strategy", "nightly")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert f"'nightly' is not one of {', '.join(map(repr, STRATEGIES))}" in unknown.stderr
    nobody = run("nobody", "--strategy", "trending")
    assert (nobody.exit_code, nobody.stdout, len(nobody.stderr.splitlines())) == (1, "", 1)
    assert "user 'nobody' is unknown under 'p:'" in nobody.stderr
    nothing = run("me", "--strategy", "trending", FRESHET_KEY_PREFIX="q:")
    assert (nothing.exit_code, nothing.stdout, len(nothing.stderr.splitlines())) == (1, "", 1)
    assert "nothing is counted under 'q:'" in nothing.stderr


def test_user_based_says_that_it_is_turned_off(run: Run) -> None:
    failed = run("me", "--strategy", "user-based", FRESHET_VISITORS="0")
    assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert "user-based is turned off: FRESHET_VISITORS is 0" in failed.stderr


def test_an_id_that_is_no_text_is_refused_in_words(shop: Shop) -> None:
    async def ask_for(user: Any, item: Any) -> None:
        look = Looking(Onlooker(shop.store, Keys("p:"), RULES, 1), 1, catalogue_of_nothing)
        await look.explain(user, item)

    async def catalogue_of_nothing() -> Catalogue:
        return NOTHING_DESCRIBED

    for user, item in ((17, "cup"), ("me", 17)):
        with pytest.raises(TypeError, match=f"{'user' if user == 17 else 'item'} is 17, of type int: an id is a text, as '17'"):
            asyncio.run(ask_for(user, item))


def test_where_nothing_is_described_only_content_based_has_nothing_to_go_by(run: Run, shop: Shop) -> None:
    del shop.store.values[Keys("p:").catalogue]
    failed = run("me", "--strategy", "content-based")
    assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert "no item is described, so content-based has nothing to go by: write the catalogue" in failed.stderr
    for name in ("hybrid", "personal"):
        assert msgspec.json.decode(run("me", "--strategy", name, "--json").stdout, type=Recommendation).items
    off = run("me", "--strategy", "content-based", FRESHET_CATALOGUE="false")
    assert (off.exit_code, "FRESHET_CATALOGUE=true" in off.stderr) == (1, True)


def test_a_state_of_another_version_is_refused(run: Run, shop: Shop) -> None:
    other = msgspec.structs.replace(layout_of("events", 1, RULES), format=FORMAT + 1)
    asyncio.run(shop.store.put([Entry(Keys("r:").state, msgspec.json.encode(other))]))
    failed = run("me", "--strategy", "trending", FRESHET_KEY_PREFIX="r:")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert f"has the format {FORMAT + 1}, this version reads {FORMAT}: use the version of the workers" in failed.stderr

"""Ranking against plain Python, and its laws: what the own session added, times of all kinds, hidden items, other users."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ranking_oracle import DAY, STRENGTH, Line, Shop, shares

from recsys import growth, histories, rows
from recsys.alike import ALIKE, Alike, alike
from recsys.batch import Batch
from recsys.compiled import F64, U64
from recsys.evaluation.next_item import most_popular
from recsys.events import EARLIEST_MS, LATEST_MS
from recsys.fold import PURCHASE, fold
from recsys.histories import REFUNDED_PURCHASE, Histories
from recsys.keys import VIEWED
from recsys.known import Known, known_rows
from recsys.ranking.candidates import desk, lay_out, repeat_term
from recsys.ranking.evidence import clear
from recsys.ranking.features import FEATURES, FIRST, TRENDING_TERM
from recsys.ranking.past import Past, past
from recsys.ranking.rank import Missing, Ranked, rank, room_for
from recsys.rows import Rows
from recsys.rules import ActionWeights, Rules

NOW = 1_700_000_000_000
ITEMS = 24
USERS = 4
SPREAD = 2**58
"""Items are multiples of it and its like, so that many stand in one place of a table."""
NEVER = -1.0
RULES = Rules(hide=frozenset())
FEW = settings(deadline=None, max_examples=25, phases=(Phase.explicit, Phase.generate))
"""Without making examples smaller, which takes minutes here."""


class Counted(NamedTuple):
    """Interactions in histories and rows."""

    histories: Histories
    rows: Rows
    known: Known

    def past(self, rules: Rules) -> Past:
        return past(self.histories, rules)


class Laid(NamedTuple):
    """A user's candidates, by falling F."""

    items: list[int]
    f: F64
    a: F64
    terms: F64
    repeat: list[float]
    features: F64
    probability: F64


def batch(lines: Sequence[Line]) -> Batch:
    user, item, time, session, kind = (np.array([line[c] for line in lines], np.int64) for c in range(5))
    n = len(lines)
    return Batch(
        {},
        user.astype(np.int32),
        item.astype(np.uint64),
        np.zeros(n, np.uint64),
        session.astype(np.uint64),
        time,
        kind.astype(np.uint8),
        np.zeros(n, np.int32),
        np.arange(n),
        np.ones(n, np.bool_),
    )


def counted(lines: Sequence[Line], rules: Rules, but: Collection[int] = (), users: int = USERS + 1) -> Counted:
    """All lines in the histories, and in the rows all but those."""
    found = histories.empty(users, rules.history)
    deltas = fold(found, batch(lines), rules).deltas[VIEWED]
    deltas = type(deltas)._make(column[~np.isin(deltas.offset, list(but))] for column in deltas)
    items = np.unique(deltas.item)
    everything = rows.empty(items, rules.row_limit + 1)
    growth.merge(everything, deltas, np.searchsorted(items, deltas.item), rules)
    return Counted(found, everything, known_rows(everything))


def laid_out(state: Counted, rules: Rules, u: int, in_rows: int, weight: F64 = FIRST) -> Laid:
    """What a desk has of a user's candidates, whose first `in_rows` interactions are in the rows."""
    table = desk(rules)
    end = int(state.histories.length[u])
    n, _, extent = lay_out(table, state.past(rules), u, end, in_rows, state.known, NEVER, weight)
    e, at = table.evidence, table.entry[:n]
    found = Laid(
        e.item[at].tolist(),
        table.f[:n].copy(),
        e.total[at],
        e.terms[at],
        [repeat_term(e, entry) for entry in at],
        table.features[:n].copy(),
        table.probability[:n].copy(),
    )
    clear(e, extent.filled)
    assert not e.slots.any()
    assert not e.recent.any()
    return found


def ranked(state: Counted, rules: Rules, weight: F64 = FIRST, hidden: U64 | None = None, now: Known | None = None) -> Ranked:
    return ranked_with_missing(state, rules, weight, hidden, now)[0]


def ranked_with_missing(
    state: Counted, rules: Rules, weight: F64 = FIRST, hidden: U64 | None = None, now: Known | None = None
) -> tuple[Ranked, Missing]:
    users = len(state.histories.length)
    out = np.zeros((users, 1), np.uint64) if hidden is None else hidden
    popular = most_popular(state.rows, rules)
    weights, of = weight[np.newaxis].copy(), np.zeros(users, np.int32)
    found = room_for(users, rules.top_n)
    everyone = np.arange(users)
    missing = rank(found, everyone, state.past(rules), out, now or state.known, popular, weights, of, desk(rules), rules, NEVER)
    return found, missing


def item(number: int) -> int:
    """The hash of an item: no two alike, but alike in their last bits."""
    return 1 + number % 3 + (number // 3) * SPREAD // 64


def streams(
    steps: st.SearchStrategy[int], size: int = 30, items: int = ITEMS, users: int = USERS
) -> st.SearchStrategy[list[Line]]:
    """Interactions of some users, each so long after the one before."""
    line = st.tuples(
        st.integers(0, users - 1),
        st.integers(0, items - 1).map(item),
        steps,
        st.sampled_from([0] * 40 + [1, 2]),
        st.sampled_from([2, 2, 2, *STRENGTH]),
    )

    def timed(parts: list[tuple[int, int, int, int, int]]) -> list[Line]:
        now, lines = NOW, []
        for user, number, step, session, kind in parts:
            now = min(max(now + step, EARLIEST_MS), LATEST_MS)
            lines.append(Line(user, number, now, session, kind))
        return lines

    return st.lists(line, min_size=size, max_size=size).map(timed)


CALM = st.sampled_from([*[1000] * 40, 2_000_000])
NEAR = st.sampled_from([0, *[1000] * 9, 60_000, 2_000_000, DAY // 2])
LATE = st.sampled_from([0, *[1000] * 9, -60_000, 2_000_000, DAY, -DAY, -9 * DAY])
WILD = st.one_of(NEAR, st.integers(-LATEST_MS, LATEST_MS), st.integers(-400 * DAY, 400 * DAY))


def weights() -> st.SearchStrategy[F64]:
    return st.lists(st.floats(-4, 4, width=16), min_size=FEATURES, max_size=FEATURES).map(lambda w: np.array(w) + FIRST)


@pytest.mark.parametrize("steps", [CALM, NEAR, LATE], ids=["long sessions", "short ones", "late events"])
@pytest.mark.parametrize("half_life_ms", [0.0, 5.0 * DAY], ids=["no decay", "decay"])
@FEW
@given(data=st.data())
def test_candidates_are_those_of_the_plain_formulas(steps: Any, half_life_ms: float, data: st.DataObject) -> None:
    users, items = data.draw(st.sampled_from([1, 2, USERS])), data.draw(st.sampled_from([3, 8, ITEMS]))
    lines = data.draw(streams(steps, data.draw(st.sampled_from([1, 10, 60])), items, users))
    weight = data.draw(weights())
    rules = Rules(half_life_ms=half_life_ms, hide=frozenset(), window=data.draw(st.sampled_from([1, 5, 20])), history=80)
    state, shop = counted(lines, rules), Shop(half_life_ms, rules.window)
    shop.alike = data.draw(descriptions())
    state = state._replace(known=state.known._replace(alike=as_told(shop.alike)))
    for line in lines:
        shop.take(line)
    result = ranked(state, rules, weight)
    plain = ranked(state, Rules(**{**as_dict(rules), "learner": False}))
    for u in sorted({line.user for line in lines}):
        expected = shop.answer(u)
        if expected.narrow:
            continue
        found = laid_out(state, rules, u, int(state.histories.length[u]), weight)
        assert set(found.items) == set(expected.f)
        assert found.f.tolist() == sorted(found.f.tolist(), reverse=True)
        probability = expected.probability(weight.tolist())
        for c, number in enumerate(found.items):
            assert found.f[c] == pytest.approx(expected.f[number], rel=1e-3, abs=1e-6)
            assert found.a[c] == pytest.approx(expected.a[number], rel=1e-3, abs=1e-6)
            assert found.terms[c].tolist() == pytest.approx(expected.terms[number], rel=1e-3, abs=1e-6)
            assert found.features[c].tolist() == pytest.approx(expected.features[number], abs=3e-4)
            assert found.probability[c] == pytest.approx(probability[number], rel=2e-2, abs=1e-6)
        length = shop.view(u).length
        scores = shop.in_places(u, expected, probability, rules.top_n)
        for place, number in enumerate(result.item[u].tolist()):
            if number in expected.f:
                repeat = found.repeat[found.items.index(number)]
                parts = shares(expected, number, weight.tolist(), repeat, length)
                terms = result.terms[u, place, : len(parts)] / result.score[u, place]
                assert terms.tolist() == pytest.approx(parts, rel=2e-2, abs=2e-3)
                assert any(result.score[u, place] == pytest.approx(score, rel=4e-2, abs=1e-6) for score in scores[number])
        of_f = {number: score for number, score in zip(plain.item[u].tolist(), plain.score[u].tolist(), strict=True) if number}
        for number, score in of_f.items():
            if number in expected.f:
                assert score == pytest.approx(expected.f[number], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("kind", STRENGTH)
@FEW
@given(data=st.data())
def test_actions_of_one_kind_make_the_same_rows_whichever_it_is(kind: int, data: st.DataObject) -> None:
    lines = data.draw(streams(NEAR, 30))
    clicks, actions = (counted([line._replace(kind=k) for line in lines], RULES) for k in (2, kind))
    for name in Rows._fields[2:]:
        assert np.array_equal(getattr(clicks.rows, name), getattr(actions.rows, name))


@FEW
@given(data=st.data())
def test_counts_do_not_depend_on_what_actions_weigh(data: st.DataObject) -> None:
    lines = data.draw(streams(LATE, 30))
    state, other = (
        counted(lines, Rules(action_weights=weights)) for weights in (ActionWeights(), ActionWeights(purchase=0.25, click=7.0))
    )
    for name in ("interactions", "popularity", "trend", "length", "other", "counts"):
        assert np.array_equal(getattr(state.rows, name), getattr(other.rows, name))


def descriptions() -> st.SearchStrategy[dict[int, dict[int, float]]]:
    """Which items are like each other, some of which nobody met."""
    cosines = st.dictionaries(st.integers(0, ITEMS + 5).map(item), st.floats(0.0625, 1.0, width=16), max_size=ALIKE)
    described = st.dictionaries(st.integers(0, ITEMS - 1).map(item), cosines, max_size=6)
    return st.one_of(st.just({}), described).map(
        lambda found: {h: {c: v for c, v in of.items() if c != h} for h, of in found.items()}
    )


def as_told(found: dict[int, dict[int, float]]) -> Alike:
    other, cosine = np.zeros((len(found), ALIKE), np.uint64), np.zeros((len(found), ALIKE))
    for h, of in enumerate(found.values()):
        other[h, : len(of)], cosine[h, : len(of)] = list(of), list(of.values())
    return alike(np.array(list(found), np.uint64), other, cosine)


def as_dict(rules: Rules) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.__struct_fields__}


def own_session(lines: Sequence[Line], u: int) -> list[int]:
    """The places of a user's newest session among the lines."""
    mine = [k for k, line in enumerate(lines) if line.user == u]
    shop = Shop(0.0)
    for k in mine:
        shop.take(lines[k])
    return mine[-len(shop.sessions[u][-1]) :]


def met_before(lines: Sequence[Line]) -> list[Line]:
    """Other visitors, each of whom meets three items; all items are met."""
    first = min(line.time for line in lines) - DAY
    items = [item(n) for n in range(ITEMS)]
    return [Line(USERS, items[(k * 7 + k // 3) % ITEMS], first + k * 1000, 1 + k // 3) for k in range(3 * ITEMS)]


@pytest.mark.parametrize("steps", [CALM, NEAR], ids=["long sessions", "short ones"])
@pytest.mark.parametrize("window", [1, 5, 20])
@FEW
@given(data=st.data())
def test_it_does_not_matter_whether_the_own_session_is_counted_yet(steps: Any, window: int, data: st.DataObject) -> None:
    lines = data.draw(streams(steps, data.draw(st.sampled_from([2, 15, 50])), users=data.draw(st.sampled_from([1, USERS]))))
    weight, rules = data.draw(weights()), Rules(hide=frozenset(), window=window, history=80)
    u = lines[-1].user
    everything = [*met_before(lines), *lines]
    own = own_session(everything, u)
    after = counted(everything, rules)
    taken_back = after.histories.kind == PURCHASE  # which weighed as purchases when they were counted
    after.histories.kind[taken_back] = np.where(data.draw(st.booleans()), REFUNDED_PURCHASE, PURCHASE)
    before = counted(everything, rules, own)
    length = int(after.histories.length[u])
    with_own = laid_out(after, rules, u, length, weight)
    without_own = laid_out(before, rules, u, length - len(own), weight)
    assert set(with_own.items) == set(without_own.items)
    order = [without_own.items.index(number) for number in with_own.items]
    assert with_own.f == pytest.approx(without_own.f[order], rel=1e-3)
    assert with_own.features == pytest.approx(without_own.features[order], abs=1e-3)
    assert with_own.probability == pytest.approx(without_own.probability[order], rel=2e-2)


@pytest.mark.parametrize("half_life_ms", [0.0, 1000.0, 90.0 * DAY], ids=["no decay", "a second", "90 days"])
@pytest.mark.parametrize("learner", [False, True], ids=["F alone", "learner"])
@FEW
@given(data=st.data())
def test_scores_are_sound_at_all_times(half_life_ms: float, learner: bool, data: st.DataObject) -> None:
    """Terms are not negative and add up to scores, scores fall, nothing is infinite, nothing twice, nothing that is hidden."""
    lines = data.draw(streams(data.draw(st.sampled_from([NEAR, LATE, WILD])), data.draw(st.sampled_from([1, 15, 50]))))
    rules = Rules(
        half_life_ms=half_life_ms,
        learner=learner,
        history=data.draw(st.sampled_from([1, 2, 50])),
        window=data.draw(st.sampled_from([1, 5, 20])),
        neighbours=data.draw(st.sampled_from([1, 4, 100])),
        top_n=data.draw(st.sampled_from([1, 20, 500])),
    )
    state = counted(lines, rules)
    out = np.zeros((USERS + 1, 3), np.uint64)
    for u in range(USERS + 1):
        out[u, : u % 4] = [item(n) for n in data.draw(st.lists(st.integers(0, ITEMS - 1), min_size=u % 4, max_size=u % 4))]
    result = ranked(state, rules, data.draw(weights()), out)
    met = {line.item for line in lines}
    for u in range(USERS + 1):
        shown = result.item[u][result.item[u] != 0].tolist()
        n = len(shown)
        assert set(shown) <= met - set(out[u].tolist())
        assert n == len(set(shown)) == min(len(met - set(out[u].tolist())), rules.top_n)
        scores, terms = result.score[u, :n], result.terms[u, :n]
        assert np.isfinite(scores).all()
        assert (np.diff(scores) <= 0.0).all()
        assert (terms >= 0.0).all()
        assert terms.sum(axis=1) == pytest.approx(scores, rel=1e-9, abs=1e-300)
        assert not result.item[u, n:].any()
        assert not result.score[u, n:].any()
        if not learner:  # learned weights may let popularity alone speak for an item that there is evidence for
            assert result.personal[u] == (state.histories.length[u] > 0 and bool(set(shown) - no_evidence(result, u, n)))


def no_evidence(result: Ranked, u: int, n: int) -> set[int]:
    """Items that are shown for their popularity alone, at the scores of those that fill up."""
    trending = result.terms[u, :n, TRENDING_TERM]
    return {
        number
        for number, score, part in zip(result.item[u, :n].tolist(), result.score[u], trending, strict=False)
        if part == score
    }


@FEW
@given(data=st.data())
def test_the_order_of_users_in_a_batch_changes_nothing(data: st.DataObject) -> None:
    lines = data.draw(streams(NEAR, 50))
    state, order = counted(lines, RULES), data.draw(st.permutations(range(USERS + 1)))
    weight = data.draw(weights())
    result, missing = ranked_with_missing(state, RULES, weight)
    in_turn = state._replace(histories=Histories._make(column[order] for column in state.histories))
    turned, missing_then = ranked_with_missing(in_turn, RULES, weight)
    for name in ("item", "score", "terms", "personal", "recent"):
        assert (getattr(turned, name) == getattr(result, name)[order]).all()
    assert missing_then.items.tolist() == missing.items.tolist()
    assert [order[u] for u in missing_then.users] == sorted(missing.users, key=order.index)
    assert [ranked(state, RULES, weight).item.tolist()] == [result.item.tolist()]

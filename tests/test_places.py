"""Of a list's places some are kept for well known items, where descriptions lead to others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.compiled import F64
from recsys.ranking.candidates import Desk, desk
from recsys.ranking.places import FEW, keep_places
from recsys.rules import Rules

PLACES = 10
KEPT = 4
KNOWN, LED, SEEN, NEIGHBOUR = "well known", "led to", "of the session", "a neighbour that few met"


def laid(kinds: list[str]) -> Desk:
    """A desk whose candidates are of these kinds."""
    table = desk(Rules())
    n = len(kinds)
    table.entry[:n] = np.arange(n)
    e = table.evidence
    e.met[:n] = [FEW if kind == KNOWN else FEW - 0.5 for kind in kinds]
    e.alike[:n] = [0.5 if kind in (KNOWN, LED, SEEN) else 0.0 for kind in kinds]
    e.times[:n] = [kind == SEEN for kind in kinds]
    return table


def kept(kinds: list[str], score: F64) -> F64:
    found = score.copy()
    keep_places(laid(kinds), found, len(kinds), PLACES)
    return found


def best(kinds: list[str], score: F64) -> list[str]:
    return [kinds[c] for c in np.argsort(-score, kind="stable")[:PLACES]]


def test_what_is_well_known_has_its_places_though_all_else_scores_higher() -> None:
    kinds = [LED] * 20 + [KNOWN] * 5
    score = np.linspace(1.0, 0.01, len(kinds))
    shown = kept(kinds, score)
    assert best(kinds, shown) == [LED] * (PLACES - KEPT) + [KNOWN] * KEPT
    assert shown[:6].tolist() == score[:6].tolist()
    assert shown[20:].tolist() == score[20:].tolist()
    assert (np.diff(shown[:20]) < 0).all()


def test_the_session_and_neighbours_are_never_lowered() -> None:
    kinds = [SEEN] * 6 + [NEIGHBOUR] * 6 + [LED] * 6 + [KNOWN] * 3
    score = np.linspace(1.0, 0.01, len(kinds))
    shown = kept(kinds, score)
    assert shown[:12].tolist() == score[:12].tolist()
    assert (shown[12:18] < score[20]).all()


@pytest.mark.parametrize(
    "kinds", [[KNOWN] * 30, [SEEN] * 30, [LED] * 30, [NEIGHBOUR] * 20 + [KNOWN] * 5], ids=["known", "seen", "led to", "no text"]
)
def test_nothing_changes_where_one_kind_is_alone_or_nothing_is_described(kinds: list[str]) -> None:
    score = np.linspace(1.0, 0.01, len(kinds))
    assert kept(kinds, score).tolist() == score.tolist()


@given(st.lists(st.tuples(st.sampled_from([KNOWN, LED, SEEN, NEIGHBOUR]), st.floats(1e-9, 1.0)), min_size=1, max_size=100))
def test_as_many_places_are_the_known_ones_as_these_and_the_unmoved_leave(candidates: list[tuple[str, float]]) -> None:
    kinds, score = [kind for kind, _ in candidates], np.array([score for _, score in candidates])
    shown = kept(kinds, score)
    assert (shown <= score).all()
    assert all(shown[c] == score[c] for c, kind in enumerate(kinds) if kind != LED)
    unmoved = [c for c, kind in enumerate(kinds) if kind not in (LED, KNOWN)]
    known = [c for c, kind in enumerate(kinds) if kind == KNOWN]
    if not unmoved and known:
        order = sorted(range(len(kinds)), key=lambda c: (-shown[c], kinds[c] == LED))
        assert sum(kinds[c] == KNOWN for c in order[:PLACES]) >= min(KEPT, len(known))

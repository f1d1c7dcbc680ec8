"""The past of some users: their histories as ranking goes through them, with the rules that part sessions and make weights."""

from typing import NamedTuple

from recsys.compiled import F64, I32, I64, U8, U64, compiled
from recsys.fold import by_kind, in_one_session
from recsys.histories import Histories
from recsys.rules import Rules


class Past(NamedTuple):
    """The histories of some users, as `recsys.histories.Histories`, and the rules that part sessions and make weights."""

    item: U64
    session: U64
    time: I64
    kind: U8
    length: I32
    gap_ms: float
    half_life_ms: float
    """0 for no decay."""
    window: int
    action: F64
    """What an interaction weighs, by its kind."""


def past(histories: Histories, rules: Rules) -> Past:
    """Histories as ranking wants them."""
    columns = (histories.item, histories.session, histories.time, histories.kind, histories.length)
    return Past(*columns, float(rules.session_gap_ms), float(rules.half_life_ms), rules.window, by_kind(rules.action_weights))


@compiled
def session_start(past: Past, u: int, end: int) -> int:
    """Where in the history of user `u` the session begins that the last of the first `end` interactions, of which there must be
    some, is of."""
    start = end - 1
    while start > 0 and in_one_session(
        past.session[u, start - 1], past.time[u, start - 1], past.session[u, start], past.time[u, start], past.gap_ms
    ):
        start -= 1
    return start


@compiled
def fade(since: int, now: int, half_life_ms: float) -> float:
    """What a 1 of `since` is worth at `now`, both in milliseconds; also before it, where it is more."""
    return 2.0 ** (float(since - now) / half_life_ms) if half_life_ms > 0.0 else 1.0

"""The rehearsal: an evaluation of next to nothing, after which everything that compiles has compiled."""

from collections.abc import Collection

from recsys.evaluation.evaluate import next_basket, next_item
from recsys.evaluation.events import prequential
from recsys.evaluation.purchases import bought
from recsys.events import Event, Kind, Line
from recsys.rules import Rules

DAY_MS = 86_400_000
VISITS = [
    Event(kind=kind, user_id="u", lines=(Line("a"), Line("b")), time_ms=day * DAY_MS)
    for day in range(20_000, 20_004)
    for kind in (Kind.CLICK, Kind.PURCHASE)
]


def rehearse_next_item(rules: Rules, baselines: Collection[str], strategies: Collection[str] = ()) -> None:
    next_item(prequential(VISITS, rules), rules, 5, baselines, strategies=strategies)


def rehearse_next_basket(rules: Rules, baselines: Collection[str]) -> None:
    next_basket(bought(VISITS, 0.0), rules, 5, baselines)

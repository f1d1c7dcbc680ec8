"""An evaluation: the questions of a file, answered by Freshet and by known methods, and how good the answers are."""

import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from recsys.compiled import F64, I32, I64
from recsys.evaluation import metrics
from recsys.evaluation.baselines import BASKET_BASELINES, SESSION_BASELINES
from recsys.evaluation.bootstrap import intervals, resample
from recsys.evaluation.breakdown import (
    Groups,
    breakdown,
    by_item_age,
    by_session_length,
    by_times_met,
    circumstances,
    cold_or_warm,
    only,
    over_time,
)
from recsys.evaluation.events import Events
from recsys.evaluation.metrics import OfLists, PerQuestion
from recsys.evaluation.next_item import learned
from recsys.evaluation.purchases import Bought
from recsys.evaluation.result import Added, Difference, Method, Result, best_baseline
from recsys.evaluation.strategies import PERSONAL, STRATEGIES
from recsys.evaluation.trace import NOTHING
from recsys.returning.candidates import EVERYTHING, NEW_ITEMS
from recsys.returning.next_basket import answers as basket_answers
from recsys.rules import Rules

OURS = "freshet"
ALL = "all"
WITHOUT = "collaborative"
"""The strategy that has all but descriptions."""
COLD, COLD_NO_REPEATS = "cold and warm items", "cold and warm items, without repeats"
SEED = 1
"""Of the draws of the bootstrap: the same answers give the same intervals."""


class Progress(Protocol):
    """Hears which method is at work, how many lines it has done, and how many there are."""

    def __call__(self, method: str, done: int, of: int) -> None: ...


class Measured(NamedTuple):
    """How good the answers of a method are."""

    questions: PerQuestion
    lists: OfLists


class Evaluated(NamedTuple):
    """What an evaluation found, and Freshet's answers."""

    result: Result
    answers: I32
    """Questions × at item numbers, filled up with `NOTHING`."""
    names: list[str]
    """The id of each item, by its number."""

    def lists(self) -> Iterator[list[str]]:
        """The items of each answer, best first."""
        for answer in self.answers:
            yield [self.names[item] for item in answer[answer != NOTHING].tolist()]


def silent(method: str, done: int, of: int) -> None:
    """Shows no progress."""


def next_item(
    events: Events, rules: Rules, at: int, baselines: Collection[str] = tuple(SESSION_BASELINES), progress: Progress = silent,
    strategies: Collection[str] = (),
) -> Evaluated:  # fmt: skip
    """How well the next item of each session is foretold; `events` come from `recsys.evaluation.events`.

    `strategies` are those of `recsys.evaluation.strategies` that are measured alone, too; draws for intervals are the same.

    >>> from recsys.evaluation.events import prequential
    >>> from recsys.events import Event, Kind, Line
    >>> def click(user: int, item: str) -> Event:
    ...     return Event(kind=Kind.CLICK, user_id=f"u{user}", lines=(Line(item),), time_ms=10**12)
    >>> visits = [click(user, item) for user in range(9) for item in "ab"]
    >>> found = next_item(prequential(visits, Rules()), Rules(hide=frozenset()), 5, baselines=())
    >>> found.result.predictions, round(found.result.methods[0].metrics["hit_rate"], 2)
    (9, 0.89)
    """
    begun = time.monotonic()
    lines = len(events.asked)
    found = learned(events, msgspec.structs.replace(rules, top_n=at), partial(progress, OURS, of=lines))
    seconds = time.monotonic() - begun
    trace, interactions = events.trace, found.rows.interactions
    target = trace.item[trace.asked]
    each: dict[str, Measured] = {OURS: measured(found.answers, target, interactions)}
    for name in baselines:
        answers = SESSION_BASELINES[name](trace, len(events.items), at, partial(progress, name, of=len(trace.item)))
        each[name] = measured(answers, target, interactions)
    alone: dict[str, Measured] = {}
    for name in strategies:
        of = partial(progress, name, of=lines)
        answers = found.answers if name == PERSONAL else STRATEGIES[name](events, rules, at, of)
        alone[name] = measured(answers, target, interactions)
    asked = circumstances(trace)
    groups = {"session length": by_session_length(asked.length)}
    mode = "frozen"
    if (events.counted & events.asked).any():
        mode = "prequential"
        groups |= {
            "time": over_time(asked.time),
            "item age, without repeats": only(by_item_age(asked.age), ~asked.repeat),
            "times the item was met, without repeats": only(by_times_met(asked.met), ~asked.repeat),
            COLD: cold_or_warm(asked.met),
            COLD_NO_REPEATS: only(cold_or_warm(asked.met), ~asked.repeat),
        }
    methods = shown(each, asked.session, groups, "hit_rate")
    learned_from = int(np.count_nonzero(events.batch.opens & events.counted))
    result = compared(methods, each, asked.session, mode=mode, task="next-item", at=at, events=learned_from)
    result = msgspec.structs.replace(result, seconds=seconds, strategies=shown(alone, asked.session, groups, "hit_rate"))
    if WITHOUT in alone and mode == "prequential":
        hits = each[OURS].questions.hit_rate, alone[WITHOUT].questions.hit_rate
        parts = {"": whole(len(target)), ", without repeats": only(whole(len(target)), ~asked.repeat)}
        parts |= {"item ": groups[COLD], "item, without repeats, ": groups[COLD_NO_REPEATS]}
        result = msgspec.structs.replace(result, added=added(*hits, parts, asked.session))
    return Evaluated(result, found.answers, events.names)


def next_basket(
    bought: Bought, rules: Rules, at: int, baselines: Collection[str] = tuple(BASKET_BASELINES), progress: Progress = silent
) -> Evaluated:
    """How well the next basket of each returning customer is foretold, in the order of time."""
    begun = time.monotonic()
    baskets, catalogue = bought.baskets, len(bought.items)
    everything = len(baskets.user)
    breadth = NEW_ITEMS if "purchased" in rules.hide else EVERYTHING
    found = basket_answers(baskets, breadth, at, rules, partial(progress, OURS, of=everything))
    seconds = time.monotonic() - begun
    start, item = metrics.bought(baskets)
    interactions = np.bincount(baskets.item, minlength=catalogue).astype(np.int64)

    def measure(answers: I32) -> Measured:
        return Measured(metrics.next_basket(answers, start, item, catalogue), metrics.of_lists(answers, interactions))

    each = {OURS: measure(found)}
    for name in baselines:
        each[name] = measure(BASKET_BASELINES[name](baskets, catalogue, at, partial(progress, name, of=everything)))
    user = np.unique(baskets.user[baskets.asked], return_inverse=True)[1].astype(np.int32)
    groups = {"time": over_time(baskets.time[baskets.asked])}
    methods = shown(each, user, groups, "recall")
    result = compared(methods, each, user, mode="prequential", task="next-basket", at=at, events=bought.events)
    return Evaluated(msgspec.structs.replace(result, seconds=seconds, breakdown_metric="recall"), found, bought.items)


def measured(answers: I32, target: I32, interactions: I64) -> Measured:
    """The metrics of a method's answers about the next item."""
    return Measured(metrics.next_item(answers, target, len(interactions)), metrics.of_lists(answers, interactions))


def shown(each: Mapping[str, Measured], cluster: I32, groups: Mapping[str, Groups], metric: str) -> list[Method]:
    """The methods with their metrics, intervals and breakdowns of one metric; Freshet first."""
    vectors = {(name, of): values for name, found in each.items() for of, values in found.questions._asdict().items()}
    bounds = intervals(resample(vectors, cluster, np.random.default_rng(SEED)))
    return [
        Method(
            name,
            metrics.summary(*found),
            {of: bounds[name, of] for of in found.questions._fields if (name, of) in bounds},
            {what: breakdown(getattr(found.questions, metric), group, cluster) for what, group in groups.items()},
        )
        for name, found in each.items()
    ]


def added(ours: F64, without: F64, parts: Mapping[str, Groups], cluster: I32) -> list[Added]:
    """What is in `ours` (a number a question) above `without`, over each part that has questions.

    >>> parts = {"": Groups(("all",), np.zeros(2, np.int32))}
    >>> added(np.array([1.0, 1.0]), np.array([1.0, 0.0]), parts, np.array([0, 1], np.int32))
    [Added(part='all', questions=2, without=0.5, found=1.0, half_width=0.98)]
    """
    found = []
    for what, groups in parts.items():
        triples = zip(*(breakdown(values, groups, cluster) for values in (without, ours, ours - without)), strict=True)
        for before, after, above in triples:
            part = f"{above.label}{what}" if above.label == ALL else f"{what}{above.label}"
            found.append(Added(part, above.questions, before.mean, after.mean, above.half_width))
    return found


def whole(questions: int) -> Groups:
    """One part with all questions."""
    return Groups((ALL,), np.zeros(questions, np.int32))


def compared(
    methods: list[Method], each: Mapping[str, Measured], cluster: I32, *, mode: str, task: str, at: int, events: int
) -> Result:
    """The result, with how far Freshet is above the best baseline in each metric."""
    above: dict[str, F64] = {}
    best = {metric: name for metric in PerQuestion._fields if (name := best_baseline(methods, metric))}
    for metric, name in best.items():
        above[metric] = getattr(each[OURS].questions, metric) - getattr(each[name].questions, metric)
    bounds = intervals(resample(above, cluster, np.random.default_rng(SEED))) if above else {}
    difference = {
        metric: Difference(best[metric], float(values.mean()) if len(values) else 0.0, bounds.get(metric))
        for metric, values in above.items()
    }
    return Result(mode, task, "", at, events, len(cluster), 0.0, methods, difference)

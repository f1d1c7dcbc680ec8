"""The result of an evaluation: plain records, to be shown or written as JSON."""

import msgspec


class Slice(msgspec.Struct, frozen=True):
    """A metric over some of the questions."""

    label: str
    questions: int
    mean: float
    half_width: float | None
    """Of the mean's 95 % interval; None where fewer than two sessions do not tell one."""


class Method(msgspec.Struct, frozen=True):
    """How good one method was."""

    name: str
    metrics: dict[str, float]
    """Fractions by the name of the metric, in the order in which they are shown."""
    intervals: dict[str, tuple[float, float]] = {}
    """95 % intervals of those of the metrics that have one."""
    breakdowns: dict[str, list[Slice]] = {}
    """By what the questions were divided ("session length", for one): the result's `breakdown_metric` over each part."""


class Added(msgspec.Struct, frozen=True):
    """What descriptions add to a metric over some of the questions, the same ones with and without them."""

    part: str
    questions: int
    without: float
    found: float
    half_width: float | None
    """Of the 95 % interval of their difference, paired."""

    @property
    def difference(self) -> float:
        """
        >>> Added("all", 3, 0.25, 0.5, None).difference
        0.25
        """
        return self.found - self.without


class Difference(msgspec.Struct, frozen=True):
    """By how much a metric of the first method is above that of the best baseline in this metric."""

    baseline: str
    mean: float
    interval: tuple[float, float] | None = None
    """95 %, paired."""


class Result(msgspec.Struct, frozen=True):
    """What an evaluation found."""

    mode: str
    """`prequential` or `frozen`."""
    task: str
    """`next-item` or `next-basket`."""
    file: str
    at: int
    """Places of an answer."""
    events: int
    predictions: int
    seconds: float
    methods: list[Method]
    """Freshet first, then the baselines."""
    difference: dict[str, Difference] = {}
    """By the name of the metric."""
    breakdown_metric: str = "hit_rate"
    """Which metric the breakdowns of all methods show."""
    strategies: list[Method] = []
    """Those of its strategies that were asked for alone."""
    added: list[Added] = []
    """What descriptions add to the `breakdown_metric`, where it was measured without them, too (`collaborative`)."""


def side_by_side(result: Result) -> list[Method]:
    """All methods as a table has them: Freshet, its strategies, which are told from baselines of the same name, and these.

    >>> found = Result("frozen", "next-item", "f", 20, 9, 3, 0.5, [Method("freshet", {}), Method("trending", {})])
    >>> [method.name for method in side_by_side(msgspec.structs.replace(found, strategies=[Method("trending", {})]))]
    ['freshet', 'trending alone', 'trending']
    """
    ours, *baselines = result.methods
    return [ours, *(msgspec.structs.replace(method, name=f"{method.name} alone") for method in result.strategies), *baselines]


def best_baseline(methods: list[Method], metric: str) -> str | None:
    """The name of the method after the first that is best in this metric; of equals the first; None without baselines.

    >>> found = [Method("freshet", {"mrr": 0.3}), Method("popular", {"mrr": 0.1}), Method("rules", {"mrr": 0.2})]
    >>> best_baseline(found, "mrr")
    'rules'
    """
    baselines = methods[1:]
    return max(baselines, key=lambda method: method.metrics[metric]).name if baselines else None


def as_json(result: Result) -> dict[str, object]:
    """The contract's JSON of `freshet evaluate --json`; beside it what was evaluated, `intervals` and `breakdowns` (by method;
    of a strategy by its name and "alone"), `difference` (by metric), and where strategies were asked for, `strategies` and
    `strategy_intervals` (by name).

    >>> found = as_json(Result("frozen", "next-item", "shop.jsonl", 20, 9, 3, 0.5, [Method("freshet", {"mrr": 0.25})]))
    >>> found["metrics"], found["baselines"], found["predictions"]
    ({'mrr': 0.25}, {}, 3)
    """
    ours, *baselines = result.methods
    found: dict[str, object] = {
        "task": result.task,
        "file": result.file,
        "mode": result.mode,
        "events": result.events,
        "predictions": result.predictions,
        "at": result.at,
        "metrics": ours.metrics,
        "baselines": {method.name: method.metrics for method in baselines},
        "seconds": result.seconds,
        "intervals": intervals(result.methods),
        "breakdown_metric": result.breakdown_metric,
        "breakdowns": {method.name: msgspec.to_builtins(method.breakdowns) for method in side_by_side(result)},
        "difference": {metric: msgspec.to_builtins(difference) for metric, difference in result.difference.items()},
    }
    if result.strategies:
        found["strategies"] = {method.name: method.metrics for method in result.strategies}
        found["strategy_intervals"] = intervals(result.strategies)
    if result.added:
        found["descriptions_add"] = msgspec.to_builtins(result.added)
    return found


def intervals(methods: list[Method]) -> dict[str, dict[str, list[float]]]:
    """The 95 % intervals of each method's metrics."""
    return {method.name: {metric: list(bounds) for metric, bounds in method.intervals.items()} for method in methods}

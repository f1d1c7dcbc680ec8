"""The tables of a benchmark: as plain cells, for a terminal and for a page."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from recsys import stages
from recsys.stages import Stages
from streams.bench.measured import Latency, Measured, Pace, Run
from streams.bench.targets import Spread, at, conflicts, merged_again, spread, targets
from streams.bench.usage import Usage


class Table(NamedTuple):
    title: str
    heads: list[str]
    rows: list[list[str]]
    note: str = ""


def tables(measured: Measured) -> list[Table]:
    """All that there is to say; last what is to be remembered."""
    found = [paces(measured), latencies(measured.runs), profile(measured.runs), memory(measured.runs)]
    if measured.scale:
        found.append(sizes(measured))
    return [*found, verdicts(measured)]


def as_json(measured: Measured) -> str:
    """Everything that was measured, and the targets with what was found of them."""
    found = [{**msgspec.to_builtins(each), "verdict": each.verdict, "passed": each.passed} for each in targets(measured)]
    return msgspec.json.encode({**msgspec.to_builtins(measured), "targets": found}).decode()


def facts(measured: Measured) -> list[tuple[str, str]]:
    """What was measured, and on what."""
    plan, machine = measured.plan, measured.machine
    load = f"{plan.events:,} events after {plan.warm_up:,} of warm-up, {plan.items:,} items by Zipf's law, {plan.users:,} users"
    return [
        ("load", f"{load}, in sessions, seed {plan.seed}"),
        ("runs", f"{whole(measured)}, of {measured.seconds:,.0f} s in all"),
        ("workers", f"{plan.workers} on {plan.partitions} partitions"),
        (
            "machine",
            f"{machine.cpus} CPUs for all, the load included; load average of the minute before: {machine.load_average:.1f}",
        ),
        ("software", f"Python {machine.python}, {machine.platform}"),
    ]


def whole(measured: Measured) -> str:
    """How many runs were measured, as a part of those that were planned where it was interrupted."""
    count = len(measured.runs)
    return f"{count} whole ones of {measured.plan.runs}, then interrupted" if measured.interrupted else str(count)


def paces(measured: Measured) -> Table:
    """All of them side by side."""
    runs, plan = measured.runs, measured.plan

    def row(name: str, of: Callable[[Pace], float | None], digits: int = 0) -> list[str]:
        columns = zip(*((run.stock, run.naive, run.core, run.methods, run.freshet) for run in runs), strict=True)
        return [name, *(_cell([of(pace) for pace in paces], digits) for paces in columns)]

    def of_freshet(name: str, of: Callable[[Pace], float]) -> list[str]:
        return [name, "", "", *row("", of)[3:]]

    rows = [
        row("events/s", lambda pace: pace.rate),
        row("CPU s a million events: workers", lambda pace: pace.per_million(pace.usage.worker_cpu_s), 1),
        row("… broker", lambda pace: pace.per_million(pace.usage.broker_cpu_s), 1),
        row("… Redis", lambda pace: pace.per_million(pace.usage.redis_cpu_s), 1),
        row("bytes an event: to Redis", lambda pace: pace.usage.redis.sent / pace.events),
        row("… from Redis", lambda pace: pace.usage.redis.received / pace.events),
        row("… to Kafka", lambda pace: pace.usage.kafka.sent / pace.events),
        row("… from Kafka", lambda pace: pace.usage.kafka.received / pace.events),
        row("memory of the workers at most, MB", lambda pace: pace.memory_mb),
        row("CPUs that other programs used meanwhile", lambda pace: pace.usage.others_cpus, 2),
        of_freshet("compare-and-set conflicts in 1 000 batches", conflicts),
        of_freshet("… merges made again", merged_again),
    ]
    return Table(
        "Throughput, to the last recommendation published",
        ["", "stock Faust, no work", "textbook agent", "Freshet: learn, rank, publish", "… all methods", "… everything"],
        rows,
        f"Medians of {len(runs)} runs (lowest–highest). The textbook agent got {plan.naive_events:,} of the events. "
        "Bytes are TCP's payload between workers and servers.",
    )


def latencies(runs: Sequence[Run]) -> Table:
    rows = []
    for n, first in enumerate(runs[0].latencies):
        name = f"{first.rate:,.0f} events/s" if first.part is None else f"{first.part:.0%} of the throughput"
        rows.append(_of_latency(name, [run.latencies[n] for run in runs]))
    told = [run.told for run in runs]
    rows.append(_of_latency(f"the customer's message, {told[0].rate:,.0f} events/s", told))
    p50, p99, worst = (
        _cell([run.look_ups.p50 for run in runs], 2),
        _cell([run.look_ups.p99 for run in runs], 2),
        _cell([run.look_ups.worst for run in runs], 2),
    )
    return Table(
        "Milliseconds from when an event was due to what answers it on the topic: its recommendation, but for one row",
        ["", "p50", "p95", "p99", "worst", "sender late, p99", "left at the end"],
        [*rows, ["GET of a recommendation, at 50%", p50, "", p99, worst, "", ""]],
        "Events are sent when they are due, at random times, whatever became of those before (no coordinated omission); "
        "how much later they really went is in the latency. Left at the end are events that were not out yet when the last one "
        "was sent: where they are more than a second's, the workers could not keep up, and the latency grows with the time.",
    )


def _of_latency(name: str, measured: Sequence[Latency]) -> list[str]:
    columns = zip(*((each.p50, each.p95, each.p99, each.worst, each.late_ms) for each in measured), strict=True)
    return [name, *(_cell(column, 1) for column in columns), _cell([each.left for each in measured], 0)]


def profile(runs: Sequence[Run]) -> Table:
    """Where the time goes: at full speed, where many events are counted together, and at lower rates."""
    speeds = {
        "throughput": [run.freshet.usage for run in runs],
        "half of it": [at(run, 0.5).usage for run in runs],
        "200 events/s": [at(run, None).usage for run in runs],
    }
    rows = [
        [name, *(_cell([of_stage(usage, name) for usage in usages], 1) for usages in speeds.values())] for name in stages.NAMES
    ]
    totals: dict[str, Callable[[Usage, Stages], float | None]] = {
        "CPU of the process": lambda _usage, told: told.cpu_ns / told.events / 1e3,
        "… a recommendation": lambda usage, told: told.cpu_ns / usage.recommendations / 1e3 if usage.recommendations else None,
        "recommendations an event": lambda usage, told: usage.recommendations / told.events,
        "events a batch": lambda _usage, told: told.events / told.batches,
    }
    rows += [
        [name, *(_cell([_told(usage, of) for usage in usages], 2 if "an event" in name else 1) for usages in speeds.values())]
        for name, of in totals.items()
    ]
    return Table(
        "Profile by stage: microseconds an event",
        ["", *speeds],
        rows,
        "By the clock: what waits for Redis, for Kafka or for another stage's work counts, too, and batches are published "
        "while the next one is counted, so that the stages together last longer than the clock. All events of a user in "
        "one batch share one recommendation: the larger the batches, the fewer recommendations an event, and the cheaper "
        "an event.",
    )


def of_stage(usage: Usage, name: str) -> float | None:
    """Microseconds an event that a stage took."""
    return _told(usage, lambda _usage, told: told.ns[name] / told.events / 1e3)


def _told(usage: Usage, of: Callable[[Usage, Stages], float | None]) -> float | None:
    return of(usage, usage.stages) if usage.stages and usage.stages.events else None


def memory(runs: Sequence[Run]) -> Table:
    kept = [run.kept for run in runs]
    columns: dict[str, Sequence[float | None]] = {
        "items stored": [each.items for each in kept],
        "users stored": [each.users for each in kept],
        "bytes an item, with its public list": [each.mean_item for each in kept],
        "… with a full row, without the list": [each.full_item for each in kept],
        "… a full list": [each.list for each in kept],
        "bytes a user, without the recommendation": [each.mean_user for each in kept],
        "… with a full history, without purchases": [each.full_user for each in kept],
        "… for each item held": [each.held_item for each in kept],
        "bytes a recommendation": [each.recommendation for each in kept],
    }
    rows = [[name, _cell(column, 0)] for name, column in columns.items()]
    return Table("Redis at the end of a run (MEMORY USAGE of a sample)", ["", ""], rows)


def sizes(measured: Measured) -> Table:
    rows = [
        [
            f"{each.items:,} items, {each.users:,} users",
            f"{each.stored_items:,}, {each.stored_users:,}",
            f"{each.pace.rate:,.0f}",
            f"{each.pace.usage.worker_cpu_s / each.pace.events * 1e6:,.1f}",
            f"{each.pace.memory_mb:,.0f}",
        ]
        for each in measured.scale
    ]
    heads = ["", "stored at the end", "events/s", "CPU s a million", "memory, MB"]
    return Table("Throughput beside states of two sizes", heads, rows)


def verdicts(measured: Measured) -> Table:
    rows = []
    for target in targets(measured):
        sign = "≥" if target.more_is_better else "≤"
        rows.append(
            [
                target.what,
                "–" if target.found is None else f"{_shown(target.found, _digits(target.found.median))} {target.unit}",
                f"{sign} {target.must:,g}",
                "" if target.goal is None else f"{sign} {target.goal:,g}",
                target.verdict,
            ]
        )
    return Table("Targets", ["", "measured", "must", "goal", ""], rows)


def _cell(values: Sequence[float | None], digits: int) -> str:
    """
    >>> _cell([1000.0, 1234.5, 2000.0], 0), _cell([1.0], 1), _cell([None], 1)
    ('1,234 (1,000–2,000)', '1.0', '–')
    """
    known = [value for value in values if value is not None]
    return _shown(spread(known), digits) if known else "–"


def _shown(found: Spread, digits: int) -> str:
    median = f"{found.median:,.{digits}f}"
    return median if found.low == found.high else f"{median} ({found.low:,.{digits}f}–{found.high:,.{digits}f})"


def _digits(value: float) -> int:
    return 2 if value < 10 else 1 if value < 100 else 0

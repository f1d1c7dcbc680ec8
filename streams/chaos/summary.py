"""The summary: what a campaign measured, as a table and as JSON."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct
from rich.table import Table

from streams.chaos.fleet import Ending
from streams.chaos.recovery import Wait
from streams.chaos.strikes import Strike
from streams.chaos.verdict import Findings

SHOWN = 20
"""Findings that are told; the folder has all of them."""


class Endings(Struct, frozen=True, kw_only=True):
    """How many workers ended, and how."""

    killed: int
    asked: int
    """By SIGTERM."""
    itself: int
    """With 1, because of something that it could not mend."""


class Spread(Struct, frozen=True):
    """Some times in seconds."""

    number: int
    median: float | None
    worst: float | None


class Summary(Struct, frozen=True, kw_only=True):
    """Everything that a campaign found out."""

    seed: int
    seconds: float
    faults: dict[str, int]
    """By kind."""
    skipped: int
    """Faults that found no worker to strike at."""
    restarts: int
    endings: Endings
    sent: int
    acknowledged: int
    events: int
    """Records on the topic, those that were sent on among them."""
    recommendations: int
    interactions: int
    pairs: int
    users: int
    customers: int
    """Users with any event."""
    rejected: int
    lost: int
    doubled: int
    misknown: int
    """Customers of whom something else is known than what they did."""
    stale: int
    caught_up_s: float | None
    """From the end of the faults until everything was counted and published."""
    takeover_s: Spread
    """From kill -9 of a worker to the first recommendation for an event of one of its partitions."""
    recovery_s: Spread
    """From a fault until a worker that it met had ended, or what it had was served again."""
    memory_bytes: int
    """The most that a worker ever had."""
    passed: bool
    findings: list[str]
    folder: str | None = None
    """Where logs and data are, if they were kept."""


def ended(endings: Iterable[Ending]) -> Endings:
    kinds = Counter("killed" if e.code < 0 else "asked" if e.code == 0 else "itself" for e in endings)
    return Endings(killed=kinds["killed"], asked=kinds["asked"], itself=kinds["itself"])


def spread(waits: Iterable[Wait]) -> Spread:
    """
    >>> spread([])
    Spread(number=0, median=None, worst=None)
    """
    seconds = [wait.seconds for wait in waits if wait.seconds is not None]
    if not seconds:
        return Spread(0, None, None)
    return Spread(len(seconds), round(statistics.median(seconds), 3), max(seconds))


def by_kind(strikes: Iterable[Strike]) -> dict[str, int]:
    return dict(sorted(Counter(strike.kind for strike in strikes).items()))


def told(found: Findings) -> list[str]:
    """The first findings of each sort."""
    sorts: Sequence[list[str]] = (found.counts, found.customers, found.stale, found.rejected, found.workers)
    return [line for lines in sorts for line in lines[: SHOWN // len(sorts)]]


def as_json(summary: Summary) -> str:
    """One JSON object."""
    return msgspec.json.encode(summary).decode()


def table(summary: Summary) -> Table:
    """The table at the end."""
    shown = Table(title=f"freshet chaos, seed {summary.seed}, {summary.seconds:.0f} s", title_justify="left", show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column()
    ends = summary.endings
    kinds = ", ".join(f"{number} {kind}" for kind, number in summary.faults.items()) or "none"
    for name, text in (
        ("faults", f"{sum(summary.faults.values())}: {kinds}" + (f"; {summary.skipped} skipped" if summary.skipped else "")),
        ("workers", f"{summary.restarts} restarts; {ends.killed} killed, {ends.asked} ended, {ends.itself} gave up"),
        ("events", f"{summary.sent:,} sent, {summary.acknowledged:,} acknowledged, {summary.events:,} on the topic"),
        ("compared", f"{summary.interactions:,} interactions, {summary.pairs:,} pairs, {summary.users:,} users"),
        ("lost", f"{summary.lost:,}"),
        ("doubled", f"{summary.doubled:,}"),
        ("customers", f"{summary.customers:,} compared, {summary.misknown:,} known wrongly"),
        ("recommendations", f"{summary.recommendations:,} published, {summary.stale:,} users with a stale one"),
        ("rejected", f"{summary.rejected:,} bad records"),
        ("caught up", "never" if summary.caught_up_s is None else f"{summary.caught_up_s:.1f} s after the last fault"),
        ("takeover after kill -9", in_words(summary.takeover_s)),
        ("fault to exit or recovery", in_words(summary.recovery_s)),
        ("memory of a worker", f"{summary.memory_bytes / 1e6:,.0f} MB at most"),
        ("verdict", "passed" if summary.passed else "FAILED"),
    ):
        shown.add_row(name, text)
    return shown


def in_words(spread: Spread) -> str:
    """
    >>> in_words(Spread(3, 1.25, 9.0))
    'median 1.2 s, worst 9.0 s, of 3'
    """
    if spread.median is None or spread.worst is None:
        return "–"
    return f"median {spread.median:.1f} s, worst {spread.worst:.1f} s, of {spread.number}"

"""The summary: what the demo measured, as data and in words."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from recsys.marks import UserMark
from streams.demo.board import Board
from streams.demo.measure import percentile
from streams.demo.plan import Plan
from streams.demo.words import milliseconds, share
from streams.differences import Comparison


class Summary(Struct, frozen=True, kw_only=True):
    """Everything the demo found out."""

    seed: int
    seconds: float
    """How long the shop was open."""
    started_s: float
    """From the command to the first recommendation."""
    events: int
    wrong_key: int
    """Events sent under another key than their user's."""
    sent_twice: int
    broken: int
    forwarded: int
    """As the worker's marks have it; so are the next two."""
    repeats: int
    rejected: int
    recommendations: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    latencies: int
    next_items: int
    next_recommended: int
    next_popular: int
    recount: Comparison


def summed_up(plan: Plan, board: Board, seconds: float, marks: Iterable[UserMark], comparison: Comparison) -> Summary:
    """The summary of a demo that was open for so many seconds."""
    marks, latencies, hits = list(marks), board.latencies.all, board.hits
    return Summary(
        seed=plan.seed,
        seconds=round(seconds, 3),
        started_s=round(board.first or 0.0, 3),
        events=board.events,
        wrong_key=board.mishaps["wrong key"],
        sent_twice=board.mishaps["twice"],
        broken=board.mishaps["broken"],
        forwarded=sum(mark.forwarded for mark in marks),
        repeats=sum(mark.repeats for mark in marks),
        rejected=sum(mark.rejected for mark in marks),
        recommendations=board.published,
        latency_p50_ms=percentile(latencies, 0.5),
        latency_p99_ms=percentile(latencies, 0.99),
        latencies=len(latencies),
        next_items=hits.asked,
        next_recommended=hits.recommended,
        next_popular=hits.popular,
        recount=comparison,
    )


def as_json(summary: Summary) -> str:
    """One JSON object."""
    plain: dict[str, Any] = msgspec.to_builtins(summary)
    plain["events_per_second"] = round(summary.events / summary.seconds, 1) if summary.seconds else 0.0
    plain["recount"]["equal"] = summary.recount.equal
    for name in ("recommended", "popular"):
        hits = plain[f"next_{name}"]
        plain[f"hit_rate_{name}"] = round(hits / summary.next_items, 4) if summary.next_items else None
    return msgspec.json.encode(plain).decode()


def in_words(summary: Summary) -> str:
    """A line for each thing."""
    recount = summary.recount
    result = "0 differences" if recount.equal else f"{recount.differences:,} DIFFERENCES: {'; '.join(recount.examples)}"
    lines = [
        ("events", f"{summary.events:,} in {summary.seconds:.0f} s from a simulated shop (seed {summary.seed})"),
        (
            "",
            f"{summary.wrong_key:,} under a wrong key: {summary.forwarded:,} came to a wrong partition and were sent on",
        ),
        ("", f"{summary.sent_twice:,} sent twice, counted once; {summary.broken:,} broken, {summary.rejected:,} rejected"),
        (
            "recommendations",
            f"{summary.recommendations:,} published, the first {summary.started_s:.1f} s after the command",
        ),
        (
            "latency",
            f"from an event to its recommendation: p50 {milliseconds(summary.latency_p50_ms)}, "
            f"p99 {milliseconds(summary.latency_p99_ms)}",
        ),
        (
            "next item touched",
            f"recommended before in {share(summary.next_recommended, summary.next_items)} of {summary.next_items:,} cases; "
            f"a bestseller in {share(summary.next_popular, summary.next_items)}",
        ),
        (
            "recount",
            f"{recount.interactions:,} interactions and {recount.pairs:,} pairs of {recount.items:,} items compared: {result}",
        ),
    ]
    return "\n".join(f"{name:<18} {text}" for name, text in lines)

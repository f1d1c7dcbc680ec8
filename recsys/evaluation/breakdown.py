"""Breakdowns: a metric over parts of the questions: over time, by how long the session was, by how long the item was known
and how often it was met.

The half-width of a part's 95 % interval is 1.96 standard errors of a ratio of sums over sessions, Σ s_c / Σ n_c:

    variance = C / (C − 1) · Σ_c (s_c − mean · n_c)² / (Σ n_c)²

Cochran, 1977, "Sampling techniques", chapter 6. It is the normal theory of what `recsys.evaluation.bootstrap` draws.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, I32, I64, Bools
from recsys.evaluation.bootstrap import cluster_sums
from recsys.evaluation.result import Slice
from recsys.evaluation.trace import Trace, earlier

NEVER = -1
"""The age of an item that was never met before."""
NORMAL = 1.96
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

LENGTHS = (("0", 0), ("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5–6", 5), ("7–9", 7), ("10+", 10))
"""Labels, and from which length they hold."""
AGES = (("first met", NEVER), ("< 1 hour", 0), ("< 1 day", HOUR_MS), ("< 1 week", DAY_MS), ("older", WEEK_MS))
"""Labels, and from which age in milliseconds they hold."""
TIMES_MET = (("0", 0), ("1–4", 1), ("5–24", 5), ("25–99", 25), ("100+", 100))
"""Labels, and from how many interactions they hold."""
COLD_OR_WARM = (("met 0–4 times", 0), ("met 5 times and more", 5))
"""The same."""


class Groups(NamedTuple):
    """Which part each question belongs to."""

    labels: tuple[str, ...]
    group: I32
    """A place in `labels`, or −1 for a question that is left out."""


class Circumstances(NamedTuple):
    """Of each asked line of a trace, before it was known."""

    time: I64
    session: I32
    length: I64
    """Lines of its session before it."""
    age: I64
    """Milliseconds since its item was first counted, or `NEVER`."""
    met: I64
    """How often its item was counted before it."""
    repeat: Bools
    """Whether its item was in its session already."""


def circumstances(trace: Trace) -> Circumstances:
    """What is known of each question of a trace, in the order of the questions.

    >>> columns = [np.array(column, np.int32) for column in ([0, 0, 0], [0, 0, 0], [5, 6, 5])]
    >>> asked, counted = np.array([False, True, True]), np.ones(3, np.bool_)
    >>> found = circumstances(Trace(*columns, np.array([0, 1000, 5000]), asked, counted))
    >>> found.length, found.age, found.met, found.repeat
    (array([1, 2]), array([  -1, 5000]), array([0, 1]), array([False,  True]))
    """
    lines = len(trace.item)
    place = np.arange(lines)
    # By session, then item, in their order: a line is a repeat when the one before it is of the same session and item.
    order = np.lexsort((place, trace.item, trace.session))
    same_session = trace.session[order][1:] == trace.session[order][:-1]
    repeat = np.zeros(lines, np.bool_)
    repeat[order[1:]] = same_session & (trace.item[order][1:] == trace.item[order][:-1])
    length = earlier(trace.session)
    first = np.full(int(trace.item.max()) + 1 if lines else 0, lines)
    np.minimum.at(first, trace.item[trace.counted], place[trace.counted])
    met = first[trace.item]
    # A late event may be older than the first that was counted.
    age = np.where(met < place, np.maximum(trace.time - trace.time[np.minimum(met, place)], 0), NEVER)
    # By item: how many lines before it were counted.
    by_item = np.lexsort((place, trace.item))
    so_far: I64 = np.cumsum(trace.counted[by_item]) - trace.counted[by_item]
    begins = np.searchsorted(trace.item[by_item], trace.item[by_item])
    times = np.empty(lines, np.int64)
    times[by_item] = so_far - so_far[begins] if lines else so_far
    asked = trace.asked
    return Circumstances(trace.time[asked], trace.session[asked], length[asked], age[asked], times[asked], repeat[asked])


def over_time(time: I64, slices: int = 10) -> Groups:
    """Equal parts of the time from the first question to the last, labelled with when they begin (UTC).

    >>> over_time(np.array([0, 1, 3_600_000]), 2)
    Groups(labels=('1970-01-01 00:00', '1970-01-01 00:30'), group=array([0, 0, 1], dtype=int32))
    """
    if not len(time):
        return Groups((), np.zeros(0, np.int32))
    begin, span = int(time.min()), int(time.max() - time.min()) + 1
    begins = begin + span * np.arange(slices) // slices
    unit = "m" if span < slices * DAY_MS else "D"
    labels = tuple(str(moment).replace("T", " ") for moment in begins.astype("datetime64[ms]").astype(f"datetime64[{unit}]"))
    return Groups(labels, ((time - begin) * slices // span).astype(np.int32))


def by_session_length(length: I64) -> Groups:
    """Parts by how many lines of the session were known.

    >>> by_session_length(np.array([1, 6, 40])).group
    array([1, 5, 7], dtype=int32)
    """
    return _steps(LENGTHS, length)


def by_item_age(age: I64) -> Groups:
    """Parts by the milliseconds since the item that came was first met, or `NEVER`.

    >>> by_item_age(np.array([NEVER, 0, 3_600_000, 9_000_000_000])).group
    array([0, 1, 2, 4], dtype=int32)
    """
    return _steps(AGES, age)


def by_times_met(met: I64) -> Groups:
    """Parts by how often the item that came had been met.

    >>> by_times_met(np.array([0, 4, 5, 1000])).group
    array([0, 1, 2, 4], dtype=int32)
    """
    return _steps(TIMES_MET, met)


def cold_or_warm(met: I64) -> Groups:
    """Two parts by the same: items that were met fewer than five times, and the others.

    >>> cold_or_warm(np.array([0, 4, 5, 1000])).group
    array([0, 0, 1, 1], dtype=int32)
    """
    return _steps(COLD_OR_WARM, met)


def only(groups: Groups, chosen: Bools) -> Groups:
    """The same parts without the questions that are not chosen.

    >>> only(Groups(("a", "b"), np.array([0, 1], np.int32)), np.array([False, True])).group
    array([-1,  1], dtype=int32)
    """
    return Groups(groups.labels, np.where(chosen, groups.group, -1).astype(np.int32))


def breakdown(values: F64, groups: Groups, cluster: I32) -> list[Slice]:
    """A metric (a number a question) over each part that has questions; `cluster` is the session or user of each question.

    >>> groups = Groups(("new", "old"), np.array([0, 0, 1], np.int32))
    >>> breakdown(np.array([1.0, 0.0, 1.0]), groups, np.array([0, 1, 1], np.int32))  # doctest: +NORMALIZE_WHITESPACE
    [Slice(label='new', questions=2, mean=0.5, half_width=0.98),
     Slice(label='old', questions=1, mean=1.0, half_width=None)]
    """
    found = []
    for part, label in enumerate(groups.labels):
        inside = groups.group == part
        questions = int(np.count_nonzero(inside))
        if questions:
            sums = cluster_sums([values[inside]], cluster[inside])
            found.append(Slice(label, questions, float(values[inside].mean()), _half_width(sums)))
    return found


def _steps(steps: tuple[tuple[str, int], ...], values: I64) -> Groups:
    begins = np.array([begin for _, begin in steps])
    return Groups(tuple(label for label, _ in steps), (np.searchsorted(begins, values, "right") - 1).astype(np.int32))


def _half_width(sums: F64) -> float | None:
    clusters = len(sums)
    if clusters < 2:
        return None
    total, questions = sums.sum(axis=0)
    residuals = sums[:, 0] - total / questions * sums[:, 1]
    return float(NORMAL * np.sqrt(clusters / (clusters - 1) * (residuals**2).sum()) / questions)

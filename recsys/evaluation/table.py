"""The table of a report: methods × metrics with their intervals, as plain text that a page or a drawing sets."""

import re
from typing import NamedTuple

from recsys.evaluation.result import Difference, Result, side_by_side

UNWRITABLE = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")
"""Characters that XML cannot have, or that show nothing."""


class Cell(NamedTuple):
    value: str
    below: list[str]
    """What is set below it, smaller: the interval, and what a difference is from."""
    highest: bool
    """Whether no method has more in this metric."""


class Row(NamedTuple):
    name: str
    cells: list[Cell]


class Table(NamedTuple):
    heads: list[str]
    rows: list[Row]


def shown(text: str) -> str:
    """A text from outside as it can be written: what cannot be in XML is replaced.

    >>> shown("caf\\xe9 \\x1b[1m \\udcff")
    'café �[1m �'
    """
    return UNWRITABLE.sub("\ufffd", text)


def facts(result: Result) -> list[tuple[str, str]]:
    """What was evaluated.

    >>> facts(Result("frozen", "next-item", "shop.jsonl", 20, 12345, 3, 0.5, []))[-2:]
    [('predictions', '3'), ('seconds', '0.5')]
    """
    return [
        ("file", shown(result.file)),
        ("task", shown(result.task)),
        ("mode", shown(result.mode)),
        ("places of a list", f"{result.at}"),
        ("events", _grouped(result.events)),
        ("predictions", _grouped(result.predictions)),
        ("seconds", f"{result.seconds:.1f}"),
    ]


def methods_table(result: Result) -> Table:
    """A row for each method, and last the difference between the first and the best baseline, where one was measured."""
    methods = side_by_side(result)
    metrics = list(dict.fromkeys(metric for method in methods for metric in method.metrics))
    highest = {metric: max(method.metrics.get(metric, 0.0) for method in methods) for metric in metrics}
    rows = [
        Row(
            shown(method.name),
            [_cell(method.metrics.get(metric), method.intervals.get(metric), highest[metric]) for metric in metrics],
        )
        for method in methods
    ]
    if result.difference:
        name = f"{result.methods[0].name} less the best baseline"
        rows.append(Row(shown(name), [_difference(result.difference.get(metric)) for metric in metrics]))
    return Table([shown(metric) for metric in metrics], rows)


def number(value: float) -> str:
    """A fraction with four places.

    >>> number(0.61489)
    '0.6149'
    """
    return f"{value:.4f}"


def _cell(value: float | None, interval: tuple[float, float] | None, highest: float) -> Cell:
    if value is None:
        return Cell("–", [], False)
    return Cell(number(value), [f"{number(interval[0])}–{number(interval[1])}"] if interval else [], value == highest)


def _difference(difference: Difference | None) -> Cell:
    if difference is None:
        return Cell("–", [], False)
    interval = difference.interval
    bounds = [f"{_signed(interval[0])}, {_signed(interval[1])}"] if interval else []
    return Cell(_signed(difference.mean), [*bounds, shown(difference.baseline)], False)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f")

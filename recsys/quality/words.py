"""The quality of a file in words: the tables of the page, and the lines for a terminal."""

from typing import NamedTuple

from recsys.quality.outliers import LEAST
from recsys.quality.profile import DEVIATIONS, LINES, PRICE_FACTOR, SIZE_FACTOR, Quality
from recsys.readers import Example

ENOUGH = 12
"""Reasons that are shown; `--json` has all."""


class Sheet(NamedTuple):
    """A table; the first cell of a row is its head."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    note: str


def summary(quality: Quality) -> list[tuple[str, str]]:
    """What there is in the file, by name."""
    order, repeats = quality.order, quality.repeats
    found = [
        ("events", f"{quality.events:,}: {', '.join(f'{name} {count:,}' for name, count in quality.kinds.items())}"),
        ("refused", f"{quality.refused:,}"),
        ("unreadable lines", f"{sum(quality.unreadable.values()):,}"),
        ("left out by the format", f"{sum(quality.left_out.values()):,}"),
        ("users", f"{quality.users:,}"),
        ("items", f"{quality.items:,}"),
        ("from, to", f"{quality.first} to {quality.last}" if quality.first else "–"),
        ("repeated event ids", f"{repeats.event_ids:,}"),
        ("whole events repeated", f"{repeats.whole_events:,}"),
        ("after a later event", f"{order.late:,}, by {order.latest_s / 3600:,.2f} h at most" if order.late else "0"),
        ("after a later one of the same user", f"{order.late_for_user:,}"),
    ]
    for what, by_field in quality.cleaned.items():
        if by_field:
            counts = ", ".join(f"{name} {count:,}" for name, count in sorted(by_field.items()))
            found.append((f"{what.replace('_', ' ')} by the policy", counts))
    return [(name, text) for name, text in found if name != "left out by the format" or text != "0"]


def sheets(quality: Quality) -> list[Sheet]:
    """All tables that have something to say."""
    every = (_fields, _faults, _numbers, _furthest, _unknown)
    return [sheet for make in every if (sheet := make(quality)).rows]


def share(part: int, of: int) -> str:
    """
    >>> share(1, 8), share(1, 100_000), share(0, 8)
    ('12.5 %', '0.001 %', '0 %')
    """
    return f"{100 * part / of:.3g} %" if of else "–"


def _fields(quality: Quality) -> Sheet:
    rows = [
        [field.name, share(field.missing, field.of), f"{field.invalid:,}"]
        for field in quality.fields
        if field.of and (field.invalid or field.missing < field.of or field.name.startswith(LINES))
    ]
    never = [field.name for field in quality.fields if field.of and field.missing == field.of and not field.invalid]
    absent = [name for name in never if not name.startswith(LINES)]
    note = (
        "An event is refused for the first thing that is wrong, so each counts for one field; of what is JSON but for NaN "
        "or the like all fields are missing. Whether a field should be there its type says: a view has no price. Lines are the "
        "items of purchases and refunds."
    )
    return Sheet(
        "Fields", ["field", "missing", "invalid"], rows, note + (f" In no event: {', '.join(absent)}." if absent else "")
    )


def _faults(quality: Quality) -> Sheet:
    rows = []
    for field in quality.fields:
        examples = {example.reason: example for example in field.examples}
        for reason, count in sorted(field.reasons.items(), key=lambda told: (-told[1], told[0]))[:ENOUGH]:
            example = examples[reason]
            rows.append([reason, f"{count:,}", _example(example)])
    lines = iter(quality.lines)
    for what, told in (("unreadable", quality.unreadable), ("left out", quality.left_out)):
        rows += [[reason, f"{count:,}", f"{what}, {_example(next(lines))}"] for reason, count in told.items()]
    return Sheet(
        "What is not taken",
        ["reason", "events or lines", "for example"],
        rows,
        "A worker sets refused events aside, on the topic `rejected`.",
    )


def _example(example: Example) -> str:
    return f"line {example.line}: {example.text}" + (f" ({example.given})" if example.given else "")


def _numbers(quality: Quality) -> Sheet:
    rows = [
        [
            each.name, f"{each.count:,}", f"{each.least:g}", f"{each.median:g}", f"{each.greatest:g}", f"{each.zeros:,}",
            f"{each.outliers:,}",
        ]
        for each in quality.numbers if each.least is not None
    ]  # fmt: skip
    note = (
        f"A number is an outlier if its logarithm is more than {DEVIATIONS:g} deviations (1.4826 × MAD) from the median of its "
        f"item's, or where the item has fewer than {LEAST} from that of all in its currency, and if it is also more than "
        f"{PRICE_FACTOR:g} times (a price) or {SIZE_FACTOR:g} times (a quantity, a value) away from it."
    )
    return Sheet("Numbers", ["number", "count", "least", "median", "greatest", "zero", "outliers"], rows, note)


def _furthest(quality: Quality) -> Sheet:
    rows = [
        [numbers.name, f"{each.number:g}", f"{each.usual:g}", each.item_id or "", f"line {each.line}"]
        for numbers in quality.numbers
        for each in numbers.examples
    ]
    return Sheet("The furthest outliers", ["number", "is", "usual", "item", "where"], rows, "Usual is the median.")


def _unknown(quality: Quality) -> Sheet:
    rows = [[name, f"{count:,}"] for name, count in quality.unknown.items()]
    return Sheet("Unknown fields", ["field", "events"], rows, "They are ignored.")

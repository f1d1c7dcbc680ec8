"""Scores: what an evaluation found, as a table for a terminal of 80 columns."""

from collections.abc import Sequence

from rich.table import Table

from recsys.evaluation.result import Method, Result, side_by_side
from recsys.readers import Reader
from streams.cli.terminal import Terminal

METRICS = {
    "next-item": ("hit_rate", "mrr", "ndcg", "coverage", "novelty", "diversity"),
    "next-basket": ("recall", "ndcg", "hit_rate", "coverage", "novelty", "diversity"),
    "rating": ("rmse", "mae", "precision"),
}
"""What the table shows of each task; `--json` and `--report` have all."""


def show(result: Result, readers: Sequence[Reader]) -> None:
    """The result as a table for a terminal of 80 columns."""
    console = Terminal()
    if result.task == "rating":
        what = f"{result.predictions:,} predictions, in stars; precision of each user's first {result.at}, in per cent"
    else:
        what = f"{result.predictions:,} predictions of {result.at} items, in per cent"
    console.print(f"{result.task}, {result.mode}: {what} (± half the 95 % interval)", soft_wrap=True)
    table = Table("method", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for metric in METRICS[result.task]:
        table.add_column(metric, justify="right", no_wrap=True)
    for method in side_by_side(result):
        table.add_row(method.name, *(cell(method, metric) for metric in METRICS[result.task]))
    console.print(table)
    for line in summary_lines(result, readers):
        console.print(line, soft_wrap=True)


def cell(method: Method, metric: str) -> str:
    """
    >>> cell(Method("freshet", {"mrr": 0.3214}, {"mrr": (0.31, 0.33)}), "mrr")
    '32.1±1.0'
    """
    unit, digits = (1, 3) if metric in ("rmse", "mae") else (100, 1)
    value = f"{unit * method.metrics[metric]:.{digits}f}"
    if metric not in method.intervals:
        return value
    low, high = method.intervals[metric]
    return f"{value}±{unit / 2 * (high - low):.{digits}f}"


def summary_lines(result: Result, readers: Sequence[Reader]) -> list[str]:
    lines = []
    for metric in METRICS[result.task]:
        above = result.difference.get(metric)
        if above and above.interval:
            low, high = (100 * bound for bound in above.interval)
            lines.append(f"{metric}: {100 * above.mean:+.1f} ({low:+.1f} to {high:+.1f}) against {above.baseline}")
    for add in result.added:
        bounds = f"±{100 * add.half_width:.1f}" if add.half_width is not None else ""
        change = f"{100 * add.without:.1f} to {100 * add.found:.1f} ({100 * add.difference:+.1f}{bounds})"
        lines.append(f"hit_rate by descriptions, {add.part}: {change} of {add.questions:,}")
    lines.append(
        f"{result.events:,} events and {result.predictions:,} predictions in {result.seconds:.1f} s, without the baselines"
    )
    return lines + lines_passed_over(readers)


def lines_passed_over(readers: Sequence[Reader]) -> list[str]:
    """What was left out of the file, and of the test behind it, and what was bad there."""
    lines: list[str] = []
    for reader, of in zip(readers, ("", " of the test"), strict=False):
        for what, found in (("left out", reader.left_out), ("bad", reader.bad)):
            lines += found.told(what, of)
    return lines

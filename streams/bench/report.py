"""The report of a benchmark: one HTML page with tables and charts, no script, nothing from the network."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from recsys import stages
from recsys.evaluation.charts import chart_library, chart_options, drawn
from recsys.webpage import document
from streams.bench.measured import Measured
from streams.bench.tables import Table, facts, of_stage, tables
from streams.bench.targets import at, spread

TABLE = Template("""<h2>$title</h2>
<div class="wide"><table><thead><tr>$heads</tr></thead><tbody>
$rows
</tbody></table></div>
<p>$note</p>""")


def write_report(path: Path, measured: Measured) -> None:
    """Writes it. Raises OSError."""
    path.write_text(page(measured), encoding="utf-8")


def page(measured: Measured) -> str:
    body = "\n".join(('<div class="charts">', *charts(measured), "</div>", *map(_table, tables(measured))))
    return document("Freshet: benchmark", facts(measured), body)


def _table(table: Table) -> str:
    rows = (
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, *cells in table.rows
    )
    return TABLE.substitute(
        title=escape(table.title),
        heads="".join(f"<th>{escape(head)}</th>" for head in table.heads),
        rows="\n".join(rows),
        note=escape(table.note),
    )


def charts(measured: Measured) -> Iterator[str]:
    """Throughput, latencies, CPU and profile, each as an `svg` element."""
    runs = measured.runs
    paces = {
        "stock Faust, no work": [run.stock for run in runs],
        "textbook agent": [run.naive for run in runs],
        "learn, rank, publish": [run.core for run in runs],
        "all methods": [run.methods for run in runs],
        "Freshet": [run.freshet for run in runs],
    }
    rates = {name: [[pace.rate for pace in theirs]] for name, theirs in paces.items()}
    yield _bars(1, "events a second", ["throughput"], rates)

    rows = [[run.latencies[n] for run in runs] for n in range(len(runs[0].latencies))]
    labels = [f"{first.rate:.0f} events/s" if first.part is None else f"{first.part:.0%}" for first, *_ in rows]
    percentiles = {
        "p50": [[each.p50 for each in row] for row in rows],
        "p95": [[each.p95 for each in row] for row in rows],
        "p99": [[each.p99 for each in row] for row in rows],
    }
    yield _bars(2, "milliseconds to the recommendation, by load", labels, percentiles, logarithmic=True)

    whose = {
        "workers": [[pace.per_million(pace.usage.worker_cpu_s) for pace in theirs] for theirs in paces.values()],
        "broker": [[pace.per_million(pace.usage.broker_cpu_s) for pace in theirs] for theirs in paces.values()],
        "Redis": [[pace.per_million(pace.usage.redis_cpu_s) for pace in theirs] for theirs in paces.values()],
    }
    yield _bars(3, "CPU seconds a million events", list(paces), whose)

    speeds = {"throughput": [run.freshet.usage for run in runs], "half of it": [at(run, 0.5).usage for run in runs]}
    profile = {
        speed: [[of_stage(usage, stage) for usage in usages] for stage in stages.NAMES] for speed, usages in speeds.items()
    }
    yield _bars(4, "microseconds an event, by stage", stages.NAMES, profile)


def _bars(
    number: int,
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[Sequence[float | None]]],
    *,
    logarithmic: bool = False,
) -> str:
    """Bars as high as the medians of what the runs measured, with a line from the lowest to the highest of them."""
    bars = chart_library().Bar(
        **chart_options(f"{title} (logarithmic)" if logarithmic else title, labels, len(series)),
        logarithmic=logarithmic,
        value_formatter=lambda value: f"{value:,.4g}",
    )
    bars.uuid = str(number)
    for name, of_labels in series.items():
        bars.add(name, [_point([value for value in values if value is not None]) for values in of_labels])
    return drawn(bars)


def _point(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    found = spread(values)
    point: dict[str, Any] = {"value": found.median}
    if found.low < found.high:
        point["ci"] = {"low": found.low, "high": found.high}
    return point

"""The shop's figures as one HTML page: charts for a glance, every table below; no script, nothing from the network."""

from collections.abc import Sequence
from decimal import Decimal
from string import Template
from typing import Any

from recsys.evaluation.charts import chart_library, chart_options, drawn
from recsys.evaluation.table import shown
from recsys.ledger.moves import together
from recsys.ledger.tables import Table, Value, retention, text
from recsys.webpage import as_text, document

BODY = Template("""<div class="charts">
$charts
</div>
<h2>Customers who buy again</h2>
<p>A row for each week of first orders: the share of these customers who bought in that week and in those that followed.</p>
$retention
$tables""")
TABLE = Template("""<details><summary>$title</summary>
<div class="wide"><table><thead><tr>$heads</tr></thead><tbody>
$rows
</tbody></table></div>
</details>""")
BARS = 12
"""Of a chart, at most."""
DAYS = 90
PARTS = {"segments": "segment", "countries": "country", "sources": "platform", "items": "item", "categories": "category"}
"""Tables of which a chart says what was spent, each with what a row is."""


def page(tables: Sequence[Table]) -> str:
    """The whole page, of the tables of `streams.bookkeeping`. Raises ModuleNotFoundError where the chart library is missing."""
    by_name = {table.name: table for table in tables}
    body = BODY.substitute(
        # What is markup already.
        charts="\n".join(charts(by_name)),
        retention=_table(retention(by_name["cohorts"]), is_open=True),
        tables="\n".join(_table(table, is_open=False) for table in tables if table.rows),
    )
    return document("Freshet: the shop's figures", facts(by_name["months"]), body)


def facts(months: Table) -> list[tuple[str, str]]:
    """What stands above all: the sums of all months."""
    found = [("months", f"{months.rows[0][0]} to {months.rows[-1][0]}" if months.rows else "none yet")]
    amounts = [column for column in months.columns if column.startswith(("spent", "refunded"))]
    return found + [(column, text(column, _sum(months, column))) for column in ("events", "sessions", "orders", *amounts)]


def _sum(table: Table, column: str) -> Value:
    """Of a column of numbers."""
    at = table.columns.index(column)
    total = sum((Decimal(str(row[at])) for row in table.rows), Decimal(0))
    return total if " " in column else int(total)


def charts(tables: dict[str, Table]) -> list[str]:
    """The charts for which there is something to show."""
    found: list[Any] = []
    for name, title, most in (("months", "month", 36), ("days", "day", DAYS)):
        found += _times(tables[name], title, most)
    found.append(_steps(tables["funnel"]))
    found += _bars(tables["segments"], "customers by segment", "customers")
    found += _bars(together(tables["moves"]), "moves between segments, lately", "customers")
    for name, title in PARTS.items():
        for column in _paid(tables[name])[:1]:
            found += _bars(tables[name], f"{column} by {title}", column)
    found += _bars(tables["rising items"], "rising items: events in 7 days", "events in 7 days")
    found += _bars(tables["searches"], "searches", "events")
    for number, chart in enumerate(found):
        chart.uuid = f"shop{number}"
    return [drawn(chart) for chart in found]


def _paid(table: Table) -> list[str]:
    return [column for column in table.columns if column.startswith("spent")]


def _times(table: Table, title: str, most: int) -> list[Any]:
    if not table.rows:
        return []
    pygal = chart_library()
    rows = table.rows[-most:]
    labels = [str(row[0]) for row in rows]
    found = []
    for what, columns in (("sales", _paid(table)), ("customers", ["customers", "buyers"])):
        if not columns:
            continue
        options = chart_options(f"{what} by {title}", labels, len(columns)) | {"x_label_rotation": 30}
        kind = pygal.Bar if len(rows) <= BARS + 1 else pygal.Line
        chart = kind(**options, show_dots=False, x_labels_major_count=8, show_minor_x_labels=len(rows) <= BARS + 1)
        for column in columns:
            at = table.columns.index(column)
            chart.add(shown(column), [_point(row[at]) for row in rows])
        found.append(chart)
    return found


def _steps(table: Table) -> Any:
    steps = ["seen", "viewed", "carted", "bought"]
    chart = chart_library().Bar(**chart_options("from view to purchase", steps, len(table.rows)))
    for row in table.rows:
        chart.add(shown(str(row[1])), [_point(row[table.columns.index(step)]) for step in steps])
    return chart


def _bars(table: Table, title: str, column: str) -> list[Any]:
    """The rows with the most, as bars; nothing where there is none."""
    at = table.columns.index(column)
    rows = sorted(table.rows, key=lambda row: (-float(row[at] or 0), str(row[0])))[:BARS]
    if not rows:
        return []
    chart = chart_library().HorizontalBar(**chart_options(title, [_label(table, row) for row in reversed(rows)], 1))
    chart.show_legend = False
    chart.add(shown(column), [_point(row[at]) for row in reversed(rows)])
    return [chart]


def _label(table: Table, row: Sequence[Value]) -> str:
    name = row[table.columns.index("title")] if "title" in table.columns else None
    label = str(name or row[0])
    return label if len(label) <= 28 else f"{label[:27]}…"


def _point(value: Value) -> float:
    return float(value or 0)


def _table(table: Table, *, is_open: bool) -> str:
    drawn_table = TABLE.substitute(
        title=as_text(table.title),
        heads="".join(f"<th>{as_text(column)}</th>" for column in table.columns),
        rows="\n".join(_row(table, row) for row in table.rows),
    )
    return drawn_table.replace("<details>", "<details open>", 1) if is_open else drawn_table


def _row(table: Table, row: Sequence[Value]) -> str:
    first, *others = zip(table.columns, row, strict=True)
    return f"<tr><th>{as_text(text(*first))}</th>{''.join(_shaded(column, value) for column, value in others)}</tr>"


def _shaded(column: str, value: Value) -> str:
    """A cell; one of retention is the darker, the more bought."""
    if column.startswith("week ") and isinstance(value, float):
        return f'<td style="background: rgba(26, 127, 212, {min(value, 1.0) * 0.7:.2f})">{as_text(text(column, value))}</td>'
    return f"<td>{as_text(text(column, value))}</td>"

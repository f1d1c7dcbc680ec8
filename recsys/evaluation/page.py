"""A report as one HTML page: no script, nothing from the network, readable on light and on dark ground."""

from html import escape
from string import Template

from recsys.evaluation.charts import charts
from recsys.evaluation.result import Result, Slice
from recsys.evaluation.table import Row, facts, methods_table, number, shown

STYLE = """\
:root { color-scheme: light dark; --ground: #fff; --text: #1c1e21; --soft: #63686f; --rule: #d9dce0; --ours: #eef5fc }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181c; --text: #e6e8ea; --soft: #9aa1a9; --rule: #363b42; --ours: #1c2a38 }
}
body { margin: 0 auto; max-width: 1180px; padding: 1.5rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
dl { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: 0 }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th, td { padding: .4rem .4rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap;
  font-weight: normal; vertical-align: baseline }
thead th { color: var(--soft); font-size: .85rem }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7rem }
.methods tbody tr:first-child { background: var(--ours) }
.methods tbody tr:first-child th, .highest { font-weight: 650 }
small { display: block; color: var(--soft); font-size: .68rem; font-weight: normal; max-width: 7rem;
  margin-left: auto; overflow: hidden; text-overflow: ellipsis }
p { color: var(--soft); max-width: 70ch; font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1rem }
.charts svg { width: 100%; height: auto }
details { margin-top: .5rem }
summary { cursor: pointer; color: var(--soft) }"""
"""Of a page with facts, tables and charts, readable on light and on dark ground."""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<h1>$title</h1>
<dl>$facts</dl>
<h2>Methods</h2>
<div class="wide"><table class="methods"><thead><tr><th>method</th>$heads</tr></thead><tbody>
$rows
</tbody></table></div>
<p>All metrics are fractions between 0 and 1; the highest of each is bold. Below a number stands its 95&nbsp;% interval, from
1&nbsp;000 draws of whole sessions or users; a difference is paired, and names the baseline that is best in this metric.
Bars in the charts are 95&nbsp;% intervals, too.</p>
<h2>Where it is good, and where not</h2>
<div class="charts">
$charts
</div>
<details><summary>The charts in numbers</summary>
$breakdowns
</details>
</body>
</html>
""")
FACT = Template("<div><dt>$name</dt><dd>$value</dd></div>")
BREAKDOWN = Template("""<h2>$title</h2>
<div class="wide"><table><thead><tr><th>part</th><th>questions</th>$heads</tr></thead><tbody>
$rows
</tbody></table></div>""")


def page(result: Result) -> str:
    """The whole page. Raises ModuleNotFoundError where the chart library is missing."""
    table = methods_table(result)
    return PAGE.substitute(
        style=STYLE,
        title=_text(f"Freshet: evaluation of {result.file}"),
        facts="".join(FACT.substitute(name=_text(name), value=_text(value)) for name, value in facts(result)),
        heads="".join(f"<th>{_text(head)}</th>" for head in table.heads),
        rows="\n".join(_row(row) for row in table.rows),
        # The one thing that is markup already.
        charts="\n".join(charts(result)) or "<p>Nothing was broken down.</p>",
        breakdowns="\n".join(_breakdowns(result)),
    )


def _text(text: str) -> str:
    return escape(shown(text))


def _row(row: Row) -> str:
    cells = (
        f"<td{' class=highest' if cell.highest else ''}>{_text(cell.value)}"
        + "".join(f"<small>{_text(line)}</small>" for line in cell.below)
        + "</td>"
        for cell in row.cells
    )
    return f"<tr><th>{_text(row.name)}</th>{''.join(cells)}</tr>"


def _breakdowns(result: Result) -> list[str]:
    names = dict.fromkeys(name for method in result.methods for name in method.breakdowns)
    return [
        BREAKDOWN.substitute(
            title=_text(f"{result.breakdown_metric}@{result.at} {name}"),
            heads="".join(f"<th>{_text(method.name)}</th>" for method in result.methods),
            rows="\n".join(
                _parts([{part.label: part for part in method.breakdowns.get(name, [])} for method in result.methods])
            ),
        )
        for name in names
    ]


def _parts(of_methods: list[dict[str, Slice]]) -> list[str]:
    """A row for each label, with the parts of all methods that have it."""
    rows = []
    for label in dict.fromkeys(label for parts in of_methods for label in parts):
        parts = [parts.get(label) for parts in of_methods]
        questions = next(part.questions for part in parts if part)
        rows.append(f"<tr><th>{_text(label)}</th><td>{questions}</td>{''.join(map(_part, parts))}</tr>")
    return rows


def _part(part: Slice | None) -> str:
    if part is None:
        return "<td>–</td>"
    width = "" if part.half_width is None else f"<small>± {number(part.half_width)}</small>"
    return f"<td>{number(part.mean)}{width}</td>"

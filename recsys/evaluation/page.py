"""The page of an evaluation."""

from string import Template

from recsys.evaluation.charts import charts
from recsys.evaluation.result import Result, Slice
from recsys.evaluation.table import Row, facts, methods_table, number
from recsys.webpage import as_text, document

BODY = Template("""<h2>Methods</h2>
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
</details>""")
BREAKDOWN = Template("""<h2>$title</h2>
<div class="wide"><table><thead><tr><th>part</th><th>questions</th>$heads</tr></thead><tbody>
$rows
</tbody></table></div>""")


def page(result: Result) -> str:
    """The whole page. Raises ModuleNotFoundError where the chart library is missing."""
    table = methods_table(result)
    body = BODY.substitute(
        heads="".join(f"<th>{as_text(head)}</th>" for head in table.heads),
        rows="\n".join(_row(row) for row in table.rows),
        # The one thing that is markup already.
        charts="\n".join(charts(result)) or "<p>Nothing was broken down.</p>",
        breakdowns="\n".join(_breakdowns(result)),
    )
    return document(f"Freshet: evaluation of {result.file}", facts(result), body)


def _row(row: Row) -> str:
    cells = (
        f"<td{' class=highest' if cell.highest else ''}>{as_text(cell.value)}"
        + "".join(f"<small>{as_text(line)}</small>" for line in cell.below)
        + "</td>"
        for cell in row.cells
    )
    return f"<tr><th>{as_text(row.name)}</th>{''.join(cells)}</tr>"


def _breakdowns(result: Result) -> list[str]:
    names = dict.fromkeys(name for method in result.methods for name in method.breakdowns)
    return [
        BREAKDOWN.substitute(
            title=as_text(f"{result.breakdown_metric}@{result.at} {name}"),
            heads="".join(f"<th>{as_text(method.name)}</th>" for method in result.methods),
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
        rows.append(f"<tr><th>{as_text(label)}</th><td>{questions}</td>{''.join(map(_part, parts))}</tr>")
    return rows


def _part(part: Slice | None) -> str:
    if part is None:
        return "<td>–</td>"
    width = "" if part.half_width is None else f"<small>± {number(part.half_width)}</small>"
    return f"<td>{number(part.mean)}{width}</td>"

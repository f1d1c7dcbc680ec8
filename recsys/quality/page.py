"""The quality of a file as one HTML page: no script, nothing from the network, readable on light and on dark ground."""

from collections.abc import Iterable, Sequence
from string import Template

from recsys.evaluation.charts import chart_library, chart_options, drawn
from recsys.quality.profile import Quality
from recsys.quality.words import Sheet, sheets, summary
from recsys.webpage import as_text, document

MOST_DAYS = 60
"""Points of the chart over time: of a longer file several days are one."""

MORE_STYLE = """
td { text-align: left; white-space: normal; overflow-wrap: anywhere }
td.number { text-align: right; white-space: nowrap }"""
BODY = Template("""<div class="charts">
$charts
</div>
$sheets""")
SHEET = Template("""<h2>$title</h2>
<div class="wide"><table><thead><tr>$heads</tr></thead><tbody>
$rows
</tbody></table></div>
<p>$note</p>""")


def page(quality: Quality) -> str:
    """The whole page. Raises ModuleNotFoundError where the chart library is missing."""
    body = BODY.substitute(
        charts="\n".join(_charts(quality)),
        sheets="\n".join(map(_sheet, sheets(quality))),
    )
    return document(f"Freshet: quality of {quality.file}", summary(quality), body, MORE_STYLE)


def _sheet(sheet: Sheet) -> str:
    return SHEET.substitute(
        title=as_text(sheet.title),
        heads="".join(f"<th>{as_text(head)}</th>" for head in sheet.heads),
        rows="\n".join(f"<tr>{''.join(_cells(row))}</tr>" for row in sheet.rows),
        note=as_text(sheet.note),
    )


def _cells(row: Sequence[str]) -> Iterable[str]:
    yield f"<th>{as_text(row[0])}</th>"
    for text in row[1:]:
        yield f"<td{' class=number' if text[:1].isdigit() else ''}>{as_text(text)}</td>"


def _charts(quality: Quality) -> Iterable[str]:
    pygal = chart_library()
    fields = [field for field in quality.fields if field.of and (field.missing < field.of or field.invalid)]
    shares = pygal.HorizontalBar(
        **chart_options("share of events, in per cent", [field.name for field in reversed(fields)], 2),
        value_formatter=lambda value: f"{value:.3g} %",
    )
    shares.uuid = "0"
    for name in ("missing", "invalid"):
        shares.add(name, [100 * getattr(field, name) / field.of for field in reversed(fields)])
    yield drawn(shares)
    if quality.days:
        days = list(quality.days)
        step = -(-len(days) // MOST_DAYS)
        begins = range(0, len(days), step)
        title = "events a day with any" if step == 1 else f"events in each {step} days with any"
        labels = [days[n] if k % 10 == 0 else "" for k, n in enumerate(begins)]
        options = chart_options(title, labels, 1) | {"x_label_rotation": 30}  # lying, all but the narrowest are cut to "…"
        over_time = pygal.Line(**options, dots_size=2, show_legend=False)
        over_time.uuid = "1"
        counts = list(quality.days.values())
        over_time.add("events", [sum(counts[n : n + step]) for n in begins])
        yield drawn(over_time)

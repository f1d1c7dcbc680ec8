"""A report as one SVG drawing: the table above, the charts below it; no script, nothing from the network."""

from html import escape
from string import Template

from recsys.evaluation.charts import FONT, HEIGHT, WIDTH, charts
from recsys.evaluation.result import Result
from recsys.evaluation.table import facts, methods_table, shown

DRAWING = Template("""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height">
<title>$title</title>
<style>
.report { color: #1c1e21; font-family: $font; font-size: 13px }
.ground { fill: #ffffff }
.report > text { fill: currentColor }
.report > .soft { font-size: 9.5px; opacity: .7 }
.report > .highest { font-weight: bold }
.report > .end { text-anchor: end }
.report > .rule { stroke: #80808080 }
@media (prefers-color-scheme: dark) { .report { color: #e6e8ea } .ground { fill: #16181c } }
</style>
<g class="report">
<rect class="ground" width="$width" height="$height"/>
<text x="$margin" y="36" style="font-size: 20px">$title</text>
<text x="$margin" y="60">$facts</text>
$table
<text class="soft" x="$margin" y="$note">Fractions between 0 and 1, the highest of each bold; below them, and as bars in the charts, 95 % intervals over sessions or users.</text>
$charts
</g>
</svg>
""")  # noqa: E501 (a line of the drawing)
TEXT = Template('<text class="$kind" x="$x" y="$y">$text</text>')
CHART = Template('<svg x="$x" y="$y" width="$width" height="$height">$chart</svg>')

MARGIN = 24
NAME_WIDTH = 190
"""Pixels for the names of methods."""
LONGEST_NAME = 30
"""Characters that fit there."""
COLUMN_WIDTH = 102
TABLE_TOP = 92
ROW_HEIGHT = 38


def drawing(result: Result) -> str:
    """The whole drawing. Raises ModuleNotFoundError where the chart library is missing."""
    drawn, table = charts(result), methods_table(result)
    width = max(2 * WIDTH, NAME_WIDTH + COLUMN_WIDTH * len(table.heads)) + 2 * MARGIN
    below = TABLE_TOP + ROW_HEIGHT * (len(table.rows) + 1)
    charts_top = below + 36
    return DRAWING.substitute(
        width=width,
        height=charts_top + (len(drawn) + 1) // 2 * HEIGHT + MARGIN,
        margin=MARGIN,
        font=FONT,
        note=below + 12,
        title=_text(_cut(f"Freshet: evaluation of {result.file}", 100)),
        facts=_text(" · ".join(f"{name} {_cut(value, LONGEST_NAME)}" for name, value in facts(result)[1:])),
        table="\n".join(_table(result, width)),
        # The one thing that is markup already.
        charts="\n".join(
            CHART.substitute(
                x=MARGIN + i % 2 * (width - 2 * MARGIN) // 2,
                y=charts_top + i // 2 * HEIGHT,
                width=WIDTH,
                height=HEIGHT,
                chart=chart,
            )
            for i, chart in enumerate(drawn)
        ),
    )


def _table(result: Result, width: int) -> list[str]:
    table = methods_table(result)
    rights = [MARGIN + NAME_WIDTH + COLUMN_WIDTH * (column + 1) for column in range(len(table.heads))]
    drawn = [_line("soft end", right, TABLE_TOP, head) for right, head in zip(rights, table.heads, strict=True)]
    for place, row in enumerate(table.rows):
        y = TABLE_TOP + ROW_HEIGHT * (place + 1) - 12
        drawn.append(f'<path class="rule" d="M{MARGIN} {y - 18}H{width - MARGIN}"/>')
        drawn.append(_line("name", MARGIN, y, _cut(row.name, LONGEST_NAME)))
        for right, cell in zip(rights, row.cells, strict=True):
            drawn.append(_line("end highest" if cell.highest else "end", right, y, cell.value))
            drawn += [_line("soft end", right, y + 12 * below, _cut(line, 18)) for below, line in enumerate(cell.below, 1)]
    return drawn


def _line(kind: str, x: int, y: int, text: str) -> str:
    return TEXT.substitute(kind=kind, x=x, y=y, text=_text(text))


def _text(text: str) -> str:
    return escape(shown(text))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"

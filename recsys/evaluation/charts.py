"""Charts of a result's breakdowns, as SVG that needs no script, drawn by pygal.

pygal is 130 kB of Python and has no compiled parts; it is an optional extra, imported only when a chart is drawn. Its charts
come with a script from the network, which is taken out: the browser's own tooltips tell the values. All colours hold on light
and on dark ground, and what is not a series has the colour of the text around the chart.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from recsys.evaluation.result import Result, Slice
from recsys.evaluation.table import shown

COLOURS = ("#1a7fd4", "#d9730d", "#2e9e5b", "#9a62cf", "#d64570", "#159aa0", "#a08a1e", "#808080")
"""All have a contrast of at least 3 with white and with #16181c; a ninth method has the first one's again."""
WIDTH, HEIGHT = 540, 340
FONT = "system-ui, sans-serif"


def chart_library() -> Any:
    """pygal. Raises ModuleNotFoundError, which says how to install it."""
    try:
        pygal = importlib.import_module("pygal")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError("a report has charts, which pygal draws: pip install 'freshet[report]'") from missing
    # It leaves a finder (of maps) of a form that Python 3.11 warns of at every later import: Kozea/pygal#532.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal


def charts(result: Result) -> list[str]:
    """A chart for each breakdown that a method has, as an `svg` element of `WIDTH` × `HEIGHT`."""
    names = dict.fromkeys(name for method in result.methods for name in method.breakdowns)
    return [_chart(result, name, number) for number, name in enumerate(names)]


def _chart(result: Result, breakdown: str, number: int) -> str:
    pygal = chart_library()
    slices = {method.name: {part.label: part for part in method.breakdowns.get(breakdown, [])} for method in result.methods}
    labels = list(dict.fromkeys(label for parts in slices.values() for label in parts))
    title = f"{result.breakdown_metric}@{result.at} {breakdown}"
    line = pygal.Line(
        **chart_options(title, labels, len(slices)),
        range=_range([part for parts in slices.values() for part in parts.values()]),
        value_formatter=lambda value: f"{value:.4g}",
        dots_size=3,
    )
    line.uuid = str(number)
    for name, parts in slices.items():
        line.add(shown(name), [_point(parts.get(label)) for label in labels], allow_interruptions=True)
    return drawn(line)


def chart_options(title: str, labels: Sequence[str], series: int) -> dict[str, Any]:
    """What all charts of pygal are told here."""
    return {
        "style": _style(chart_library(), series),
        "title": shown(title),
        "x_labels": [shown(label) for label in labels],
        "x_label_rotation": 30 if any(len(label) > 10 for label in labels) else 0,
        "truncate_label": -1,
        "width": WIDTH,
        "height": HEIGHT,
        "margin": 12,
        "margin_right": 30,
        "legend_at_bottom": True,
        "legend_box_size": 10,
        "max_scale": 6,
        "js": [],
        "disable_xml_declaration": True,
        "explicit_size": True,
    }


def drawn(chart: Any) -> str:
    """A chart of pygal as an `svg` element; its `uuid` must be no other chart's of the page."""
    chart.add_xml_filter(_still)
    return str(chart.render(is_unicode=True))


def _style(pygal: Any, series: int) -> Any:
    return pygal.style.Style(
        background="transparent",
        plot_background="transparent",
        foreground="currentColor",
        foreground_strong="currentColor",
        foreground_subtle="currentColor",
        guide_stroke_color="#80808060",
        major_guide_stroke_color="#80808060",
        guide_stroke_dasharray="none",
        major_guide_stroke_dasharray="none",
        colors=tuple(COLOURS[i % len(COLOURS)] for i in range(series)),
        ci_colors=tuple(COLOURS[i % len(COLOURS)] for i in range(series)),
        font_family=FONT,
        title_font_size=14,
        label_font_size=11,
        major_label_font_size=11,
        legend_font_size=12,
        no_data_font_size=20,
        opacity="1",
        stroke_opacity="1",
        stroke_width="1.6",
        transition="none",
    )


def _point(part: Slice | None) -> dict[str, Any] | None:
    if part is None:
        return None
    point: dict[str, Any] = {"value": part.mean}
    if part.half_width is not None:
        point["ci"] = dict(zip(("low", "high"), ends(part), strict=True))
    return point


def ends(part: Slice) -> tuple[float, float]:
    """Of the interval as it is drawn: what is divided are shares, and of few questions it would reach beyond 0 and 1.

    >>> ends(Slice("Monday", 2, 0.5, 0.25)), ends(Slice("Sunday", 2, 0.5, 0.98))
    ((0.25, 0.75), (0.0, 1.0))
    """
    half = part.half_width or 0.0
    return max(0.0, part.mean - half), min(1.0, part.mean + half)


def _range(parts: list[Slice]) -> tuple[float, float]:
    """From the lowest to the highest end of an interval."""
    low = min((ends(part)[0] for part in parts), default=0.0)
    high = max((ends(part)[1] for part in parts), default=1.0)
    return (low, high) if low < high else (low - 0.01, high + 0.01)


def _still(root: Any) -> Any:
    """The chart without scripts and addresses, with tooltips of the browser, and without names that another chart has, too."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag == "script":
                parent.remove(child)
        if parent.get("id", "").startswith("activate-serie"):
            del parent.attrib["id"]
        told = {child.get("class"): child for child in parent if child.tag == "desc"}
        if "value" in told:
            label = told["x_label"].text if "x_label" in told else ""
            told["value"].tag = "title"
            told["value"].text = f"{label}: {told['value'].text}"
            for name, child in told.items():
                if name != "value":
                    parent.remove(child)
    return root

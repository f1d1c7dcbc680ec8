"""The report of an evaluation: one file to look at, by its suffix a page or a drawing."""

from pathlib import Path

from recsys.evaluation.charts import chart_library
from recsys.evaluation.drawing import drawing
from recsys.evaluation.page import page
from recsys.evaluation.result import Result

FORMS = {".html": page, ".svg": drawing}


def write_report(path: Path, result: Result) -> None:
    """Writes what an evaluation found as one file that needs nothing else: `.html` or `.svg`.

    Raises ValueError for another suffix, ModuleNotFoundError where the chart library is missing, and OSError.
    """
    if path.suffix.lower() not in FORMS:
        raise ValueError(f"a report is {' or '.join(FORMS)}, not {path.name}")
    chart_library()
    path.write_text(FORMS[path.suffix.lower()](result), encoding="utf-8")

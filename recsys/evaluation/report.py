"""The report of an evaluation: one file to look at, by its suffix a page or a drawing."""

from pathlib import Path

from recsys.evaluation.charts import chart_library
from recsys.evaluation.drawing import drawing
from recsys.evaluation.page import page
from recsys.evaluation.result import Result

FORMS = {".html": page, ".svg": drawing}


def check_report(path: Path) -> None:
    """Whether a report can be written there, to be asked before an evaluation that takes long.

    Raises ValueError for a suffix that is not known, ModuleNotFoundError where the chart library is missing.

    >>> check_report(Path("report.pdf"))
    Traceback (most recent call last):
    ValueError: a report is .html or .svg, not report.pdf
    """
    if path.suffix.lower() not in FORMS:
        raise ValueError(f"a report is {' or '.join(FORMS)}, not {path.name}")
    chart_library()


def write_report(path: Path, result: Result) -> None:
    """Writes what an evaluation found as one file that needs nothing else: `.html` or `.svg`.

    Raises what `check_report` does, and OSError.
    """
    check_report(path)
    path.write_text(FORMS[path.suffix.lower()](result), encoding="utf-8")

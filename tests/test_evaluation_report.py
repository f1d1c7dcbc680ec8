"""The report of an evaluation: what it shows, that it needs nothing else, and that foreign text stays text."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.evaluation.charts import chart_library
from recsys.evaluation.drawing import drawing
from recsys.evaluation.page import page
from recsys.evaluation.report import write_report
from recsys.evaluation.result import Difference, Method, Result, Slice, as_json, best_baseline
from recsys.evaluation.table import methods_table

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</svg><script>alert(1)</script>&amp;\"'$title\x00\x1b\udcff"
METRICS = {"hit_rate": 0.6, "mrr": 0.3, "coverage": 0.9}


def slices(*means: float) -> list[Slice]:
    return [Slice(f"part {i}", 10, mean, 0.02) for i, mean in enumerate(means)]


def result(file: str = "shop.jsonl", baseline: str = "popular", breakdown: str = "over time", label: str = "Monday") -> Result:
    parts = {breakdown: [Slice(label, 5, 0.61, None), *slices(0.5, 0.55)], "by session length": slices(0.4, 0.5, 0.6)}
    return Result(
        mode="prequential",
        task="next-item",
        file=file,
        at=20,
        events=70_278,
        predictions=52_484,
        seconds=12.34,
        methods=[
            Method("freshet", METRICS, {"hit_rate": (0.59, 0.61)}, parts),
            Method(baseline, {name: value / 2 for name, value in METRICS.items()}, {}, {breakdown: slices(0.1)}),
        ],
        difference={"hit_rate": Difference(baseline, 0.3, (0.28, 0.32)), "mrr": Difference(baseline, -0.15)},
    )


class Seen(HTMLParser):
    """The tags, addresses and text of a page, and whether what was opened is closed."""

    EMPTY = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_methods_metrics_intervals_differences_and_a_chart_for_each_breakdown() -> None:
    seen = Seen(page(result()))
    assert seen.open == []
    for text in (
        "shop.jsonl",
        "freshet",
        "popular",
        "hit_rate",
        "0.6000",
        "0.5900–0.6100",
        "+0.3000",
        "+0.2800, +0.3200",
        "−0.1500",
    ):
        assert text in seen.text
    assert seen.tags.count("svg") == 2
    assert "hit_rate@20 over time" in seen.text
    assert "Monday" in seen.text
    assert "± 0.0200" in seen.text  # the charts in numbers


def test_the_drawing_shows_the_same() -> None:
    root = ElementTree.fromstring(drawing(result()))
    text = " ".join(root.itertext())
    for part in ("shop.jsonl", "freshet", "popular", "hit_rate", "0.6000", "0.5900–0.6100", "+0.3000", "−0.1500", "Monday"):
        assert part in text
    assert "hit_rate@20 by session length" in text


def test_a_chart_has_a_point_with_its_value_for_each_part_and_an_interval_where_one_is_known() -> None:
    root = ElementTree.fromstring(drawing(result()))
    told = [node.text for node in root.iter(f"{SVG}title")]
    assert "Monday: 0.61" in told
    assert len(root.findall(f".//{SVG}circle")) == 3 + 1 + 3
    assert len(root.findall(f".//{SVG}g[@class='ci']")) == 2 + 1 + 3


@pytest.mark.parametrize("form", [page, drawing])
def test_nothing_comes_from_the_network_and_nothing_runs(form: Callable[[Result], str]) -> None:
    text = form(result(HOSTILE, HOSTILE, HOSTILE, HOSTILE))
    assert "<script" not in text.lower()
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"@import|url\(|\b(src|href)\s*=|\bon\w+\s*=", text)


def test_foreign_text_stays_text() -> None:
    hostile = result(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    # Of the same length, as the layout goes by that.
    harmless = result(*["x" * len(HOSTILE)] * 4)
    seen = Seen(page(hostile))
    assert seen.tags == Seen(page(harmless)).tags
    assert seen.text.count("<script>alert(1)</script>&amp;\"'$title") >= 6
    root, plain = ElementTree.fromstring(drawing(hostile)), ElementTree.fromstring(drawing(harmless))
    assert [node.tag for node in root.iter()] == [node.tag for node in plain.iter()]


@given(st.text(st.characters(codec=None), max_size=40))
def test_any_text_can_be_written(text: str) -> None:
    name = methods_table(result(baseline=text)).rows[1].name
    ElementTree.fromstring(f"<a>{escape(name)}</a>".encode())
    assert len(name) == len(text)


def test_many_methods_and_no_breakdowns_are_shown_too(tmp_path: Path) -> None:
    bare = Result("frozen", "next-basket", "f", 10, 5, 0, 0.0, [Method("freshet", {"recall": 0.0})])
    many = [Method(f"method {i}", METRICS, {}, {"over time": slices(0.01 * i, 0.2)}) for i in range(11)]
    for found in (bare, Result("frozen", "next-item", "f", 10, 5, 2, 0.0, many)):
        for name in ("report.html", "report.svg"):
            write_report(tmp_path / name, found)
        assert Seen((tmp_path / "report.html").read_text(encoding="utf-8")).open == []
        ElementTree.parse(tmp_path / "report.svg")


def test_the_same_result_makes_the_same_file(tmp_path: Path) -> None:
    for suffix in ("html", "svg"):
        one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix.upper()}"
        write_report(one, result())
        write_report(other, result())
        assert one.read_bytes() == other.read_bytes()


def test_both_forms_follow_light_and_dark() -> None:
    for text in (page(result()), drawing(result())):
        assert "@media (prefers-color-scheme: dark)" in text


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.htm"])
def test_another_suffix_is_refused_and_what_is_allowed_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"a report is .html or .svg, not {name}")):
        write_report(tmp_path / name, result())
    assert list(tmp_path.iterdir()) == []


def test_without_the_chart_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pygal", None)
    for name in ("r.html", "r.svg"):
        with pytest.raises(ModuleNotFoundError, match=re.escape("pip install 'freshet[report]'")):
            write_report(tmp_path / name, result())
    assert list(tmp_path.iterdir()) == []


def test_the_chart_library_is_not_imported_before_a_chart_is_drawn() -> None:
    program = "import sys, recsys.evaluation.report; print('pygal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_chart_library_leaves_nothing_behind_in_the_way_of_imports() -> None:
    chart_library()
    assert [finder for finder in sys.meta_path if not hasattr(finder, "find_spec")] == []


def test_the_json_is_the_contracts_with_intervals_and_differences_beside_it() -> None:
    given = result()
    found = json.loads(json.dumps(as_json(given)))
    breakdowns = found.pop("breakdowns")
    assert list(breakdowns) == [method.name for method in given.methods]
    for method in given.methods:
        told = {what: [(part["label"], part["mean"]) for part in parts] for what, parts in breakdowns[method.name].items()}
        assert told == {what: [(part.label, part.mean) for part in parts] for what, parts in method.breakdowns.items()}
    assert found == {
        "task": "next-item",
        "file": given.file,
        "breakdown_metric": "hit_rate",
        "mode": "prequential",
        "events": 70_278,
        "predictions": 52_484,
        "at": 20,
        "metrics": METRICS,
        "baselines": {"popular": {"hit_rate": 0.3, "mrr": 0.15, "coverage": 0.45}},
        "seconds": 12.34,
        "intervals": {"freshet": {"hit_rate": [0.59, 0.61]}, "popular": {}},
        "difference": {
            "hit_rate": {"baseline": "popular", "mean": 0.3, "interval": [0.28, 0.32]},
            "mrr": {"baseline": "popular", "mean": -0.15, "interval": None},
        },
    }


def test_strategies_stand_between_freshet_and_the_baselines_and_are_told_from_them() -> None:
    strategy = Method("popular", {"hit_rate": 0.7, "mrr": 0.2}, {"mrr": (0.1, 0.3)})
    given = msgspec.structs.replace(result(), strategies=[strategy])
    table = methods_table(given)
    assert [row.name for row in table.rows[:3]] == ["freshet", "popular alone", "popular"]
    assert table.rows[1].cells[0].highest
    found = as_json(given)
    assert found["strategies"] == {"popular": strategy.metrics}
    assert found["strategy_intervals"] == {"popular": {"mrr": [0.1, 0.3]}}
    assert found["baselines"] == as_json(result())["baselines"]


def test_the_best_baseline_is_never_freshet_itself() -> None:
    found = [Method("freshet", {"mrr": 0.9}), Method("a", {"mrr": 0.1}), Method("b", {"mrr": 0.1})]
    assert best_baseline(found, "mrr") == "a"
    assert best_baseline(found[:1], "mrr") is None

"""What `freshet quality` says of a file is what an independent count says, and foreign text stays text."""

import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from recsys.events import FIELDS
from recsys.quality.outliers import LEAST, judge
from recsys.quality.page import page
from recsys.quality.profile import MOST_UNKNOWN, OTHERS, Profile, Quality
from recsys.quality.words import sheets
from recsys.readers import read
from streams.cli import main

START_S = 1_700_000_000
NOW_MS = (START_S + 10**6) * 1000


# Outliers


def slowly_judged(numbers: list[float], group: list[int], among: list[int], deviations: float, factor: float) -> list[bool]:
    """The rule as it is written, one number after the other."""
    found = []
    for number, its, larger in zip(numbers, group, among, strict=True):
        beside = [n for n, g in zip(numbers, group, strict=True) if g == its]
        if len(beside) < LEAST:
            beside = [n for n, a in zip(numbers, among, strict=True) if a == larger]
        logs = np.log(beside)
        middle = np.median(logs)
        deviation = 1.4826 * np.median(np.abs(logs - middle))
        off = abs(np.log(number) - middle)
        found.append(bool(len(beside) >= LEAST and off > deviations * deviation and off > np.log(factor)))
    return found


@given(
    st.lists(st.tuples(st.sampled_from([1.0, 1.1, 2.0, 7.0, 40.0, 1e6]), st.integers(0, 2), st.integers(0, 1)), max_size=120),
    st.sampled_from([2.0, 5.0]),
    st.sampled_from([3.0, 5.0]),
)
def test_outliers_are_those_of_the_rule(rows: list[tuple[float, int, int]], deviations: float, factor: float) -> None:
    numbers, group, among = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    found = judge(np.array(numbers), np.array(group, np.int64), np.array(among, np.int64), deviations, factor)
    assert found.outlier.tolist() == slowly_judged(numbers, group, among, deviations, factor)


# The profile of a file


def event(n: int, **fields: object) -> dict[str, object]:
    told = {"event_type": "view", "user_id": f"u{n % 7}", "item_id": f"i{n % 5}", "event_time": START_S + n} | fields
    return {name: content for name, content in told.items() if content is not ...}


def profiled(lines: list[Any], folder: Path) -> Quality:
    """The quality of a file of these lines, JSON or bytes as they stand."""
    file = folder / "events.jsonl"
    file.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    profile = Profile()
    with read(file, "jsonl", NOW_MS) as reader:
        for judged in reader.judged():
            profile.take(judged)
        return profile.told(file.name, reader.bad, reader.left_out)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"event_type": "fly"}, "event_type"),
    ({"user_id": ...}, "user_id"),
    ({"user_id": ""}, "user_id"),
    ({"item_id": None}, "item_id"),
    ({"price": -1}, "price"),
    ({"event_time": "yesterday"}, "event_time"),
    ({"event_type": "rating", "rating": 9}, "rating"),
    ({"item_id": ..., "items": [{"item_id": "a", "price": "x"}]}, "items"),
]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(FAULTS), st.sampled_from(["", "colour", "price"])), max_size=40))
def test_each_field_has_what_an_independent_count_says(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[bool, tuple[dict[str, Any], str], str]]
) -> None:
    lines, present, invalid = [], Counter[str](), Counter[str]()
    for n, (is_wrong, (fault, field), more) in enumerate(plan):
        line = event(n, **({more: 3} if more else {}))
        if is_wrong:
            line = {name: content for name, content in (line | fault).items() if content is not ...}
            invalid[field] += 1
        present.update(name for name, content in line.items() if content is not None)
        lines.append(line)
    found = profiled(lines, tmp_path_factory.mktemp("quality"))
    assert (found.events, found.refused) == (len(plan) - invalid.total(), invalid.total())
    fields = {field.name: field for field in found.fields}
    for name in FIELDS:
        assert (name, fields[name].missing, fields[name].invalid) == (name, len(plan) - present[name], invalid[name])
        assert sum(fields[name].reasons.values()) == invalid[name]
        assert all(reason.startswith(name) for reason in fields[name].reasons)
    assert found.unknown == ({"colour": present["colour"]} if present["colour"] else {})
    assert sum(found.kinds.values()) == sum(found.days.values()) == found.events


def test_examples_name_line_and_reason(tmp_path: Path) -> None:
    found = profiled([event(0), event(1, price=-1), b"no json"], tmp_path)
    fields = {field.name: field for field in found.fields}
    [example] = fields["price"].examples
    assert (example.line, example.reason, example.given) == (2, "price: expected a number of at least 0", "it is -1")
    [nowhere] = found.lines
    assert (nowhere.line, nowhere.text) == (3, "'no json'")


@pytest.mark.parametrize(
    "line", [b"{nope", b"[1]", b"7", b"null", b"\xff\xfe", b'{"a": "' + b"\xe9" + b'"}', b'"text"', b"[" * 600]
)
def test_a_line_that_is_no_object_is_unreadable_and_not_refused(tmp_path: Path, line: bytes) -> None:
    found = profiled([event(0), line, event(1, price=-1), line], tmp_path)
    assert (found.events, found.refused, sum(found.unreadable.values())) == (1, 1, 2)
    [[_, count, where]] = [
        row for row in next(s for s in sheets(found) if "not taken" in s.title).rows if "price" not in row[0]
    ]
    assert (count, where.partition(":")[0]) == ("2", "unreadable, line 2")


@pytest.mark.parametrize("line", [b'{"price": NaN}', b"{}", b'{"user_id": "' + b"u" * 70_000 + b'"}'])
def test_an_object_that_is_no_event_is_refused_and_not_unreadable(tmp_path: Path, line: bytes) -> None:
    found = profiled([event(0), line], tmp_path)
    assert (found.events, found.refused, dict(found.unreadable)) == (1, 1, {})


def test_every_reason_has_an_example_and_says_what_was_given_there(tmp_path: Path) -> None:
    many = [event(n, price=-n) for n in range(1, 9)]
    found = profiled([*many, event(9, price="9,50"), event(10, price=True)], tmp_path)
    [examples] = [field.examples for field in found.fields if field.name == "price"]
    assert [(each.line, each.given) for each in examples] == [(1, "it is -1"), (9, "it is '9,50'"), (10, "it is true")]
    rows = next(sheet for sheet in sheets(found) if sheet.title == "What is not taken").rows
    assert [row[1:] for row in rows if "at least 0" in row[0]] == [["8", f"line 1: {examples[0].text} (it is -1)"]]


def test_repeats_are_the_same_id_of_the_same_user_or_the_same_event_without_one(tmp_path: Path) -> None:
    lines = [event(0, event_id="a"), event(0, event_id="b"), event(1, event_id="a"), event(3, event_id="a", user_id="u0")]
    found = profiled([*lines, event(5), event(5), event(5), event(5, source="web")], tmp_path)
    assert (found.repeats.event_ids, found.repeats.whole_events, found.repeats.lines) == (1, 2, [4, 6, 7])


def test_events_out_of_order_are_told_of_all_and_of_each_user(tmp_path: Path) -> None:
    found = profiled([event(n, user_id=user) for n, user in ((50, "a"), (20, "b"), (40, "a"), (60, "b"), (59, "c"))], tmp_path)
    assert (found.order.late, found.order.latest_s, found.order.late_for_user) == (3, 30.0, 1)


def test_a_price_of_a_billion_is_told_and_half_price_is_not(tmp_path: Path) -> None:
    prices = [10.0] * 30 + [5.0, 1e9]
    found = profiled([event(n, item_id="mug", event_type="order", price=price) for n, price in enumerate(prices)], tmp_path)
    [price, quantity, _] = found.numbers
    assert (price.count, price.outliers, price.least, price.median, price.greatest) == (32, 1, 5.0, 10.0, 1e9)
    [outlier] = price.examples
    assert (outlier.line, outlier.number, outlier.usual, outlier.item_id) == (32, 1e9, 10.0, "mug")
    assert (quantity.count, quantity.median) == (0, None)
    lines = {field.name: field for field in found.fields if field.name.startswith("line: ")}
    assert (lines["line: price"].missing, lines["line: quantity"].missing, lines["line: price"].of) == (0, 32, 32)


def test_prices_in_another_currency_are_others_and_zeros_are_counted_apart(tmp_path: Path) -> None:
    of_both = [(1.0, "EUR")] * 30 + [(150.0, "JPY")] * 30 + [(0.0, "EUR"), (150.0, "EUR")]
    lines = [event(n, event_type="order", price=price, currency=currency) for n, (price, currency) in enumerate(of_both)]
    price = profiled(lines, tmp_path).numbers[0]
    assert (price.outliers, price.zeros, price.count) == (1, 1, 62)
    assert price.examples[0].line == 62


def test_many_unknown_fields_do_not_make_it_grow_without_end(tmp_path: Path) -> None:
    found = profiled([event(n, **{f"field {n}": 1}) for n in range(3 * MOST_UNKNOWN)], tmp_path)
    assert len(found.unknown) == MOST_UNKNOWN + 1
    assert found.unknown[OTHERS] == 2 * MOST_UNKNOWN


# On the command line and as a page


class Seen(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert(1)</script>&amp;\"'$title"


def a_mess(text: str) -> list[Any]:
    wrong = [event(1, event_type=text), event(2, **{text: 1}), b"no json", event(3, event_id="a"), event(3, event_id="a")]
    return wrong + [event(n, event_type="order", item_id=text, price=1e9 if n == 40 else 2.0) for n in range(10, 50)]


def run(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["quality", *arguments], input=given)


def test_a_file_is_told_as_a_table_as_json_and_as_a_page(tmp_path: Path) -> None:
    found = profiled(a_mess("x"), tmp_path)
    file, report = tmp_path / "events.jsonl", tmp_path / "quality.html"
    table = run(str(file), "--format", "jsonl", "--report", str(report))
    assert table.exit_code == 0
    shown = Seen(report.read_text(encoding="utf-8")).text
    for words in ("repeated event ids", "'x'", "1e+09", "Unknown fields", "not JSON"):
        assert words in table.stdout
        assert words in shown
    told = json.loads(run(str(file), "--format", "jsonl", "--json").stdout)
    assert (told["file"], told["events"], told["refused"]) == ("events.jsonl", found.events, 1)
    assert told["numbers"][0]["outliers"] == 1
    assert json.loads(run(str(file), "--format", "jsonl", "--json", "--limit", "3").stdout)["events"] == 2


def test_nothing_on_the_page_runs_and_foreign_text_stays_text(tmp_path: Path) -> None:
    hostile, harmless = page(profiled(a_mess(HOSTILE), tmp_path)), page(profiled(a_mess("x" * len(HOSTILE)), tmp_path))
    assert Seen(hostile).tags == Seen(harmless).tags
    assert "<script" not in hostile.lower()
    assert set(re.findall(r"https?://[^\"'\s<]+", hostile)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert HOSTILE in Seen(hostile).text


def test_a_file_with_nothing_right_has_a_profile_and_an_empty_one_none(tmp_path: Path) -> None:
    profiled([b"no json"] * 3, tmp_path)
    told = run(str(tmp_path / "events.jsonl"), "--format", "jsonl", "--json")
    assert (json.loads(told.stdout)["events"], list(json.loads(told.stdout)["unreadable"].values())) == (0, [3])
    profiled([], tmp_path)
    empty = run(str(tmp_path / "events.jsonl"), "--format", "jsonl")
    assert (empty.exit_code, empty.stderr) == (1, f"freshet: {tmp_path / 'events.jsonl'} has no events\n")


@pytest.mark.parametrize("report", ["events.jsonl", "quality.svg", "nowhere/quality.html"])
def test_a_report_that_cannot_be_written_is_refused_before_the_file_is_read(tmp_path: Path, report: str) -> None:
    profiled([event(1)], tmp_path)
    before = (tmp_path / "events.jsonl").read_bytes()
    answer = run(str(tmp_path / "events.jsonl"), "--format", "jsonl", "--report", str(tmp_path / report))
    assert answer.exit_code in (1, 2)
    assert "reading" not in answer.stderr
    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_without_the_chart_library_a_report_is_refused_and_the_rest_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygal", None)
    profiled([event(1)], tmp_path)
    file = str(tmp_path / "events.jsonl")
    refused = run(file, "--format", "jsonl", "--report", str(tmp_path / "q.html"))
    assert (refused.exit_code, "freshet[report]" in refused.stderr) == (1, True)
    assert run(file, "--format", "jsonl").exit_code == 0


def test_a_file_of_another_format_is_refused_in_one_line(tmp_path: Path) -> None:
    profiled([event(1)], tmp_path)
    answer = run(str(tmp_path / "events.jsonl"), "--format", "rees46")
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (1, 1)

"""`freshet evaluate`: what it prints and writes, what it refuses, and the figures that it must reach on real data."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.cli.scores import METRICS

Run = Callable[..., Result]
NAMES = ["hit_rate", "mrr", "ndcg", "precision", "recall", "f1", "accuracy", "coverage", "novelty", "diversity"]
SESSIONS = "session\titems\n" + "".join(f"s{n}\ta b c d\n" for n in range(30))
PREFIXES = "prefix\ttarget\na\tb\na b\tc\nb c\td\nd\ta\n"


@pytest.fixture
def run() -> Run:
    """Runs the command, alone in the environment; no server is there."""
    nowhere = {"FRESHET_BROKER": "kafka://127.0.0.1:1", "FRESHET_REDIS": "redis://127.0.0.1:1/0", "FRESHET_HIDE": None}
    return lambda *arguments, **others: CliRunner().invoke(main, ["evaluate", *map(str, arguments)], env={**nowhere, **others})


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.tsv"
    path.write_text(SESSIONS, encoding="utf-8")
    return path


@pytest.fixture
def prefixes(tmp_path: Path) -> Path:
    path = tmp_path / "prefixes.tsv"
    path.write_text(PREFIXES, encoding="utf-8")
    return path


def weekly_purchases(path: Path, users: int) -> Path:
    day = 86_400
    lines = [
        {
            "event_type": "purchase",
            "user_id": f"u{user}",
            "event_id": f"e{week}-{user}",
            "event_time": 1_600_000_000 + week * 7 * day + user,
            "items": [{"item_id": item} for item in ("milk", f"tea{user}", f"odd{week}")],
        }
        for week in range(10)
        for user in range(users)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def purchases(tmp_path: Path) -> Path:
    return weekly_purchases(tmp_path / "purchases.jsonl", users=4)


def lists(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_is_foretold_event_by_event(run: Run, sessions: Path) -> None:
    found = json.loads(run(sessions, "--format", "sessions", "--json").stdout)
    assert (found["mode"], found["events"], found["predictions"], found["at"]) == ("prequential", 120, 90, 20)
    assert list(found["metrics"]) == NAMES
    assert set(found["baselines"]) == {"most_popular", "trending", "sequential_rules", "item_cosine", "v_sknn"}
    for metrics in (found["metrics"], *found["baselines"].values()):
        assert list(metrics) == NAMES
        assert all(0 <= value <= 1 for value in metrics.values())
    assert found["metrics"]["hit_rate"] > 0.9
    low, high = found["intervals"]["freshet"]["mrr"]
    assert low <= found["metrics"]["mrr"] <= high


def test_strategies_are_measured_alone_beside_the_whole(run: Run, sessions: Path) -> None:
    options = (sessions, "--format", "sessions", "--baselines", "trending")
    found = json.loads(run(*options, "--strategy", "all", "--json").stdout)
    assert list(found["strategies"]) == ["item-based", "user-based", "trending", "personal"]
    assert found["strategies"]["personal"] == found["metrics"]
    for name, metrics in found["strategies"].items():
        assert list(metrics) == NAMES
        low, high = found["strategy_intervals"][name]["mrr"]
        assert low <= metrics["mrr"] <= high
    # Everybody goes from a over b and c to d: whoever is popular comes first by chance, what follows does not.
    for name in ("item-based", "user-based"):
        assert found["strategies"][name]["hit_rate"] > 0.9
        assert found["strategies"][name]["mrr"] > found["strategies"]["trending"]["mrr"]
    assert list(found["baselines"]) == ["trending"], "a baseline and a strategy may have one name"
    table = run(*options, "--strategy", "user-based", "--strategy", "item-based").stdout.splitlines()
    heads = [line.split()[0] for line in table]
    assert heads[heads.index("method") :][:5] == ["method", "freshet", "user-based", "item-based", "trending"]


def test_what_descriptions_add_to_cold_and_to_warm_items_is_counted_on_the_same_questions(run: Run, tmp_path: Path) -> None:
    """Each visitor goes from an item to one of the same name which nobody met, and then on from `a` to `b`, as all do."""
    visits = [(n, item) for n in range(30) for item in (f"red{n}", f"rose{n}", "a", "b")]
    events, items = tmp_path / "events.jsonl", tmp_path / "items.jsonl"
    events.write_text(
        "".join(
            json.dumps({"event_type": "click", "user_id": f"u{n}", "item_id": item, "event_time": 1_600_000_000 + k}) + "\n"
            for k, (n, item) in enumerate(visits)
        )
    )
    items.write_text(
        "".join(
            json.dumps({"item_id": item, "title": "".join(filter(str.isdigit, item)) + " thing"}) + "\n" for _, item in visits
        )
    )
    options = ("--format", "jsonl", "--items", items, "--strategy", "collaborative", "--baselines", "none", "--at", 3)
    found = json.loads(run(events, *options, "--json").stdout)
    add = {each["part"]: each for each in found["descriptions_add"]}
    assert list(add)[::2] == ["all", "item met 0–4 times", "item, without repeats, met 0–4 times"]
    cold, warm = add["item met 0–4 times"], add["item met 5 times and more"]
    assert cold["questions"] == 30 + 2 * 5
    assert warm["questions"] == 2 * 25
    assert cold["without"] <= 10 / 40 < 30 / 40 <= cold["found"]
    assert 100 * found["metrics"]["hit_rate"] == pytest.approx(100 * add["all"]["found"])
    parts = found["breakdowns"]["collaborative alone"]["cold and warm items"]
    assert [part["mean"] for part in parts] == [cold["without"], warm["without"]]
    assert f"item met 0–4 times: {100 * cold['without']:.1f} to {100 * cold['found']:.1f}" in run(events, *options).stdout
    assert "descriptions_add" not in json.loads(run(events, *options[:2], "--baselines", "none", "--json").stdout)


def test_a_strategy_is_one_that_there_is_and_of_the_next_item(run: Run, sessions: Path, purchases: Path) -> None:
    unknown = run(sessions, "--format", "sessions", "--strategy", "nightly")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "'nightly' is not one of 'item-based', 'user-based', 'content-based', 'collaborative'" in unknown.stderr
    lacking = run(sessions, "--format", "sessions", "--strategy", "content-based")
    assert lacking.exit_code == 2
    assert "--strategy content-based needs --items" in lacking.stderr
    baskets = run(purchases, "--format", "jsonl", "--task", "next-basket", "--strategy", "all")
    assert (baskets.exit_code, "--strategy is for --task next-item" in baskets.stderr) == (2, True)


def test_prefixes_are_asked_with_the_state_frozen_and_answered_in_their_order(
    run: Run, sessions: Path, prefixes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.jsonl"
    options = ("--format", "sessions", "--test", prefixes, "--test-format", "prefixes", "--at", 3)
    found = json.loads(run(sessions, *options, "--json", "--predictions", out).stdout)
    assert (found["mode"], found["events"], found["predictions"], found["at"]) == ("frozen", 120, 4, 3)
    answers = [line["items"] for line in lists(out)]
    targets = [line.split("\t")[1] for line in PREFIXES.splitlines()[1:]]
    assert len(answers) == 4
    assert all(len(answer) == 3 for answer in answers)
    hits = [target in answer for answer, target in zip(answers, targets, strict=True)]
    assert found["metrics"]["hit_rate"] == pytest.approx(sum(hits) / 4)
    places = [
        1 / (1 + answer.index(target)) if target in answer else 0 for answer, target in zip(answers, targets, strict=True)
    ]
    assert found["metrics"]["mrr"] == pytest.approx(sum(places) / 4)


def test_sessions_of_a_test_file_are_asked_prefix_by_prefix(run: Run, sessions: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("t1\ta b c\nt2\td a\nt3\tc\n", encoding="utf-8")
    found = json.loads(
        run(
            sessions, "--format", "sessions", "--test", test, "--test-format", "sessions", "--json", "--baselines", "none"
        ).stdout
    )
    assert (found["mode"], found["predictions"], found["baselines"]) == ("frozen", 3, {})


def test_the_next_basket_is_asked_of_those_who_come_back(run: Run, purchases: Path, tmp_path: Path) -> None:
    out = tmp_path / "baskets.jsonl"
    options = ("--format", "jsonl", "--task", "next-basket", "--from", 0.8, "--at", 10)
    found = json.loads(run(purchases, *options, "--json", "--predictions", out).stdout)
    assert (found["mode"], found["events"], found["predictions"]) == ("prequential", 40, 8)
    assert {"recall", "ndcg", "hit_rate"} <= found["metrics"].keys()
    assert set(found["baselines"]) == {"most_popular", "personal_top", "recency_weighted", "tifu_knn"}
    asked = lists(out)
    assert [(line["event_id"], line["user_id"]) for line in asked] == [
        (f"e{week}-{user}", f"u{user}") for week in (8, 9) for user in range(4)
    ]
    assert all({"milk", f"tea{line['user_id'][1:]}"} <= set(line["items"]) for line in asked)
    assert found["metrics"]["recall"] >= 2 / 3


def test_nothing_is_hidden_unless_the_variable_is_set(run: Run, sessions: Path, prefixes: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.jsonl"
    options = (
        "--format",
        "sessions",
        "--test",
        prefixes,
        "--test-format",
        "prefixes",
        "--baselines",
        "none",
        "--predictions",
        out,
    )
    run(sessions, *options)
    assert all(set("abcd") == set(line["items"]) for line in lists(out))
    run(sessions, *options, FRESHET_HIDE="seen")
    assert [set(line["items"]) for line in lists(out)] == [set("bcd"), set("cd"), set("ad"), set("abc")]
    run(sessions, *options, FRESHET_HIDE="current")
    assert [set(line["items"]) for line in lists(out)] == [set("bcd"), set("acd"), set("abd"), set("abc")]


def test_what_comes_twice_is_asked_once(run: Run, purchases: Path, tmp_path: Path) -> None:
    clicks = [
        {
            "event_type": "click",
            "user_id": f"u{n // 4}",
            "item_id": "abcd"[n % 4],
            "event_id": f"e{n}",
            "event_time": 1_600_000_000 + n,
        }
        for n in range(40)
    ]
    once, twice = tmp_path / "once.jsonl", tmp_path / "twice.jsonl"
    once.write_text("".join(json.dumps(click) + "\n" for click in clicks), encoding="utf-8")
    twice.write_text("".join((json.dumps(click) + "\n") * 2 for click in clicks), encoding="utf-8")
    for options in (["--format", "jsonl"], ["--format", "jsonl", "--task", "next-basket", "--from", "0.5"]):
        if "--task" in options:
            once = purchases
            twice.write_text(
                "".join(f"{line}\n" * 2 for line in once.read_text(encoding="utf-8").splitlines()), encoding="utf-8"
            )
        found = [json.loads(run(file, *options, "--json").stdout) for file in (once, twice)]
        for key in ("predictions", "metrics", "baselines"):
            assert found[0][key] == found[1][key]


def test_a_file_that_is_read_is_not_written_over(run: Run, sessions: Path) -> None:
    for option in ("--predictions", "--report"):
        target = sessions if option == "--predictions" else sessions.with_suffix(".html")
        if option == "--report":
            target.symlink_to(sessions)
        found = run(sessions, "--format", "sessions", option, target)
        assert found.exit_code == 2
        assert "is read: write to another file" in found.stderr
        assert sessions.read_text(encoding="utf-8") == SESSIONS


def test_what_fails_leaves_no_file_of_predictions(run: Run, tmp_path: Path) -> None:
    one, out = tmp_path / "one.tsv", tmp_path / "out.jsonl"
    one.write_text("s1\ta\n", encoding="utf-8")
    assert run(one, "--format", "sessions", "--predictions", out).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one.tsv"]


def test_what_is_wrong_in_the_test_is_told(run: Run, sessions: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("t1\ta b\nrubbish\n", encoding="utf-8")
    options = ("--format", "sessions", "--test", test, "--test-format", "sessions", "--baselines", "none")
    assert "1 line of the test bad, line 2: not one tab" in run(sessions, *options).stdout
    assert json.loads(run(sessions, *options, "--json").stdout)["test"]["bad"]["lines"] == 1


def test_people_get_a_table_with_what_was_passed_over(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    click = '{{"event_type":"{}","user_id":"u{}","item_id":"{}","event_time":{}}}\n'
    path.write_text(
        "".join(click.format("click", n // 2, "ab"[n % 2], 1_600_000_000 + n) for n in range(20)) + click, encoding="utf-8"
    )
    found = run(path, "--format", "jsonl", "--baselines", "most_popular,v_sknn")
    assert found.exit_code == 0
    assert "next-item, prequential: 10 predictions of 20 items" in found.stdout
    for word in ("freshet", "most_popular", "v_sknn", *METRICS["next-item"], "1 line bad"):
        assert word in found.stdout
    assert all(len(line) <= 80 for line in found.stdout.splitlines()[1:9])


def test_a_report_is_written_beside(run: Run, sessions: Path, tmp_path: Path) -> None:
    for name in ("report.html", "report.svg"):
        report = tmp_path / name
        assert run(sessions, "--format", "sessions", "--baselines", "most_popular", "--report", report).exit_code == 0
        text = report.read_text(encoding="utf-8")
        assert "sessions.tsv" in text
        assert "most_popular" in text


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--test", "x"], 2, "--test and --test-format go together"),
        (["--task", "next-basket", "--test", "x", "--test-format", "prefixes"], 2, "leave out --test"),
        (["--from", "0.5"], 2, "--from is for --task next-basket"),
        (["--from", "1.5", "--task", "next-basket"], 2, "--from"),
        (["--at", "0"], 2, "--at"),
        (["--baselines", "magic"], 2, "'magic' is none of most_popular"),
        (["--report", "report.pdf"], 2, ".html or .svg"),
        (["--report", "no/folder/report.html"], 1, "no/folder is no folder"),
        (["--predictions", "no/folder/out.jsonl"], 1, "out.jsonl cannot be written"),
        (["--test", "missing.tsv", "--test-format", "prefixes"], 1, "missing.tsv cannot be read"),
        (["--test", "missing.tsv", "--test-format", "sessions"], 1, "missing.tsv cannot be read"),
        (["--task", "next-basket"], 1, "no user has a purchase after two others"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, sessions: Path, options: list[str], code: int, said: str) -> None:
    found = run(sessions, "--format", "sessions", *options)
    assert found.exit_code == code
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_a_file_without_a_second_event_has_nothing_to_be_measured(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("s1\ta\ns2\tb\n", encoding="utf-8")
    found = run(path, "--format", "sessions")
    assert (found.exit_code, found.stderr.splitlines()[-1]) == (
        1,
        "freshet: nothing can be measured: no session has a second event",
    )


def test_where_nothing_can_be_measured_it_is_told_what_was_passed_over(run: Run, tmp_path: Path) -> None:
    good = {"event_type": "click", "user_id": "u", "item_id": "i", "event_time": 1_700_000_000}
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (good, good | {"price": -1}, good | {"event_type": "buy"})))
    found = run(path, "--format", "jsonl")
    assert found.exit_code == 1
    negative, unknown, last = found.stderr.splitlines()[-3:]
    assert negative == "freshet: 1 line bad, line 2: price: expected a number of at least 0; it is -1"
    assert unknown.startswith("freshet: 1 line bad, line 3: event_type: unknown type 'buy'; known are browse, ")
    assert last == "freshet: nothing can be measured: no session has a second event"


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n"])
@pytest.mark.parametrize("options", [["--format", "jsonl"], ["--format", "sessions"], ["--format", "rees46"]])
def test_a_file_with_nothing_in_it_is_told_so(run: Run, tmp_path: Path, content: bytes, options: list[str]) -> None:
    path = tmp_path / "nothing"
    path.write_bytes(content)
    found = run(path, *options)
    assert found.exit_code == 1
    assert re.search(r"nothing(: it is empty| has no events|: it begins with '\\n')", found.stderr.splitlines()[-1])


def clicks(path: Path, times: list[int]) -> Path:
    lines = [{"event_type": "click", "user_id": f"u{n % 2}", "item_id": f"i{n}", "event_time": t} for n, t in enumerate(times)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_that_goes_back_in_time_is_measured_in_its_own_order_and_that_is_said(run: Run, tmp_path: Path) -> None:
    start = 1_600_000_000
    file = clicks(tmp_path / "late.jsonl", [start, start + 9000, start + 60, start + 1800, start + 9001])
    found = run(file, "--format", "jsonl", "--baselines", "none")
    assert found.exit_code == 0
    warning = (
        f"freshet: 2 of 5 events of {file} come after later ones, by 2.48 h at most: they are measured in the order of the file"
    )
    assert warning in found.stderr.splitlines()
    in_order = clicks(tmp_path / "fine.jsonl", [start, start, start + 60, start + 61])
    assert "after later ones" not in run(in_order, "--format", "jsonl", "--baselines", "none").stderr


def test_a_test_that_shares_events_with_what_was_learned_is_told_so(run: Run, tmp_path: Path) -> None:
    start = 1_600_000_000
    file = clicks(tmp_path / "all.jsonl", [start + 60 * n for n in range(8)])
    test = clicks(tmp_path / "test.jsonl", [*[start + 60 * n for n in range(3)], *[start + 61 * n for n in range(3, 8)]])
    options = ("--format", "jsonl", "--test-format", "jsonl", "--baselines", "none", "--test")
    found = run(file, *options, test)
    assert f"freshet: 3 of 8 events of {test} are in {file}, too: what is asked was learned before" in found.stderr.splitlines()
    later = clicks(tmp_path / "later.jsonl", [start + 10_000 + 60 * n for n in range(8)])
    assert ", too: " not in run(file, *options, later).stderr


def test_no_more_events_are_read_than_asked_for(run: Run, sessions: Path) -> None:
    found = json.loads(run(sessions, "--format", "sessions", "--limit", 10, "--baselines", "none", "--json").stdout)
    assert found["events"] == 10


def test_events_are_read_from_stdin(sessions: Path) -> None:
    command = [sys.executable, "-m", "streams", "evaluate", "-", "--format", "sessions", "--baselines", "none", "--json"]
    found = subprocess.run(command, input=sessions.read_bytes(), capture_output=True, check=True)
    assert json.loads(found.stdout)["events"] == 120


def test_json_names_what_was_evaluated_and_has_the_breakdowns(run: Run, sessions: Path) -> None:
    found = json.loads(run(sessions, "--format", "sessions", "--json", "--baselines", "most_popular").stdout)
    assert (found["task"], found["file"], found["breakdown_metric"]) == ("next-item", "sessions.tsv", "hit_rate")
    assert set(found["breakdowns"]) == {"freshet", "most_popular"}
    parts = found["breakdowns"]["freshet"]
    assert set(parts) == {
        "session length",
        "time",
        "item age, without repeats",
        "times the item was met, without repeats",
        "cold and warm items",
        "cold and warm items, without repeats",
    }
    assert sum(part["questions"] for part in parts["session length"]) == found["predictions"]
    assert all(0 <= part["mean"] <= 1 for part in parts["time"])


def test_baskets_cannot_hide_what_is_looked_at(run: Run, purchases: Path) -> None:
    found = run(purchases, "--format", "jsonl", "--task", "next-basket", FRESHET_HIDE="current")
    assert found.exit_code == 1
    assert "FRESHET_HIDE is 'current': for the next basket it is once, purchased or none" in found.stderr


def test_baskets_are_not_foretold_without_the_learner(run: Run, purchases: Path) -> None:
    found = run(purchases, "--format", "jsonl", "--task", "next-basket", FRESHET_LEARNER="false")
    assert found.exit_code == 1
    assert "next baskets are foretold by what is learned" in found.stderr


def test_what_is_bought_once_is_not_expected_again(run: Run, tmp_path: Path) -> None:
    """Milk and tea are bought every week, of the oddments each in one week, by everybody."""
    file, out = weekly_purchases(tmp_path / "purchases.jsonl", users=20), tmp_path / "predictions.jsonl"
    options = ("--format", "jsonl", "--task", "next-basket", "--predictions", out, "--baselines", "none", "--json")

    def expected(hide: str) -> set[str]:
        assert json.loads(run(file, *options, FRESHET_HIDE=hide).stdout)["predictions"] == 160
        [last] = [line["items"] for line in lists(out) if line["event_id"] == "e9-19"]
        return set(last)

    old = {f"odd{week}" for week in range(9)}
    assert expected("none") >= {"milk", "tea19", *old}
    assert {"milk", "tea19"} <= expected("once")
    assert not expected("once") & old


def test_retailrocket_is_foretold_better_than_by_the_best_published_session_methods(run: Run, data_dir: Path) -> None:
    files = (data_dir / "retailrocket_train_sessions.tsv.gz", "--test", data_dir / "retailrocket_test_prefixes.tsv.gz")
    found = json.loads(run(*files, "--format", "sessions", "--test-format", "prefixes", "--json", "--baselines", "none").stdout)
    assert found["predictions"] == 15_132
    assert found["metrics"]["hit_rate"] >= 0.600
    assert found["metrics"]["mrr"] >= 0.320
    assert found["seconds"] < 180


def test_online_retails_next_baskets_are_foretold_better_than_by_personal_counts(run: Run, data_dir: Path) -> None:
    options = ("--format", "online-retail", "--task", "next-basket", "--from", 0.8, "--at", 10, "--json")
    found = json.loads(run(data_dir / "online_retail.csv.gz", *options).stdout)
    assert found["predictions"] == 4199 + 3  # some invoices come in two events: see the reader
    assert found["metrics"]["recall"] >= 0.190
    assert found["metrics"]["ndcg"] >= 0.302
    for metrics in found["baselines"].values():
        assert found["metrics"]["recall"] > metrics["recall"]
        assert found["metrics"]["ndcg"] > metrics["ndcg"]

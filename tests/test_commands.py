"""The look-up commands, the export and the doctor: what they print, and their exit codes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from recsys import marks
from recsys.batch import Arrival
from recsys.cold import lists
from recsys.connection import open_client, open_store
from recsys.engine import Chunk, Engine
from recsys.events import Event, Kind, Line
from recsys.keys import VIEWED, Keys
from recsys.layout import claim, layout_of
from recsys.marks import user_mark
from recsys.recommendation import Neighbours, encode
from recsys.store import Entry
from streams.cli import main
from streams.settings import Settings
from streams.topics import create_missing

Run = Callable[..., Result]
START_MS = 1_700_000_000_000
BOTH = pytest.mark.parametrize("redis_kind", ["single", "cluster"], indirect=True)


@pytest.fixture
def run(variables: Mapping[str, str]) -> Run:
    """Runs a command with the settings of the test's name space."""
    return lambda *arguments, **others: CliRunner().invoke(main, list(arguments), env={**variables, **others})


@pytest.fixture
def counted(namespace: Settings) -> Settings:
    """A state with two visitors of the items a and b, one of whom saw c too, published."""

    async def count() -> None:
        async with open_store(namespace.redis) as store:
            keys = Keys(namespace.key_prefix)
            await claim(store, keys, layout_of(namespace.topic("events"), namespace.partitions, namespace.rules))
            engine = Engine(store, keys, namespace.rules)
            seen = [("u1", "a"), ("u1", "b"), ("u1", "c"), ("ü[2]\n", "a"), ("ü[2]\n", "b")]
            arrivals = [
                Arrival(n, Event(kind=Kind.CLICK, user_id=user, lines=(Line(item),), time_ms=START_MS + n, source="web"))
                for n, (user, item) in enumerate(seen)
            ]
            done = await engine.count(Chunk(0, 0, 4, arrivals))
            popular = await engine.trending()
            assert popular
            entries = [Entry(keys.trending, encode(popular)), Entry(keys.published(0), b"4")]
            entries += [Entry(keys.recs(m.user_id), encode(m)) for _, m in await engine.recommend(done, START_MS)]
            entries += [
                Entry(keys.similar(row.item_id or ""), encode(row))
                for row in await engine.similar(done.changed[VIEWED].tolist())
            ]
            entries += [Entry(keys.cold(where), lists.encode(found)) for where, found in await engine.cold_lists(START_MS)]
            await store.put(entries)

    asyncio.run(count())
    return namespace


@BOTH
@pytest.mark.parametrize(
    "command", [["recommend", "u1"], ["recommend", "ü[2]\n"], ["similar", "a"], ["trending"], ["cold"], ["cold", "web"]]
)
def test_a_look_up_prints_the_stored_json_or_a_table(run: Run, counted: Settings, command: list[str]) -> None:
    name = {"recommend": "recs", "similar": "similar", "trending": "trending", "cold": "cold"}[command[0]]
    key = ":".join([counted.key_prefix.rstrip(":"), name, *command[1:]])
    with open_client(counted.redis) as client:
        stored: Any = client.get(key)
    as_json = run(*command, "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, json.loads(stored))
    table = run(*command)
    assert table.exit_code == 0
    assert all(item["item_id"] in table.stdout for item in json.loads(stored)["items"])


@pytest.mark.parametrize(
    "command",
    [
        ["recommend", "nobody"],
        ["recommend", "nobody", "--json"],
        ["similar", "nothing"],
        ["trending"],
        ["cold"],
        ["cold", "moon"],
    ],
)
def test_an_unknown_user_or_item_is_a_failure_of_one_line(run: Run, namespace: Settings, command: list[str]) -> None:  # noqa: ARG001
    failed = run(*command)
    assert failed.exit_code == 1
    assert failed.stdout == ""
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stderr.startswith("freshet: ")


def test_what_another_program_wrote_is_a_failure_of_one_line(run: Run, counted: Settings) -> None:
    keys = Keys(counted.key_prefix)
    with open_client(counted.redis) as client:
        client.set(keys.recs("stranger"), b'{"a": 1}', ex=60)
        client.set(keys.customer("stranger"), b"\xff no JSON", ex=60)
    for command in ("recommend", "customer"):
        failed = run(command, "stranger")
        assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
        assert "another program wrote" in failed.stderr


def test_an_empty_list_is_told_in_words(run: Run, counted: Settings) -> None:
    empty = Neighbours("2026-11-23T10:00:00.000Z", [], "a")
    with open_client(counted.redis) as client:
        client.set(Keys(counted.key_prefix).together("a"), msgspec.json.encode(empty), ex=60)
    assert run("together", "a").stdout == "a: bought together with it: nothing so far (2026-11-23T10:00:00.000Z)\n"


def test_a_reader_that_goes_ends_a_table_as_it_ends_all_else(counted: Settings, variables: Mapping[str, str]) -> None:  # noqa: ARG001
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "streams", "trending"]
    try:
        ended = subprocess.run(command, env={**os.environ, **variables}, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@BOTH
def test_the_export_is_the_whole_counted_state(run: Run, counted: Settings, tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    assert run("export", str(file)).exit_code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["item_id"], line["interactions"]) for line in lines] == [("a", 2), ("b", 2), ("c", 1)]
    counts = {line["item_id"]: {n["item_id"]: n["count"] for n in line["neighbours"]} for line in lines}
    assert counts == {"a": {"b": 2, "c": 1}, "b": {"a": 2, "c": 1}, "c": {"a": 1, "b": 1}}
    for line in lines:
        weights = [neighbour["weight"] for neighbour in line["neighbours"]]
        assert weights == sorted(weights, reverse=True)
    printed = run("export")
    assert [json.loads(line) for line in printed.stdout.splitlines()] == lines
    assert not list(tmp_path.glob("*.partial"))
    assert counted.key_prefix not in printed.stdout


def test_an_export_to_a_folder_that_is_not_there_is_a_failure_of_one_line(run: Run, counted: Settings) -> None:  # noqa: ARG001
    failed = run("export", "/not/there/state.jsonl")
    assert (failed.exit_code, len(failed.stderr.splitlines())) == (1, 1)
    assert "/not/there" in failed.stderr


def test_an_export_leaves_links_and_pipes_what_they_are(run: Run, counted: Settings, tmp_path: Path) -> None:  # noqa: ARG001
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.touch()
    link.symlink_to(target)
    assert run("export", str(link)).exit_code == 0
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 3
    assert run("export", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()
    assert len(run("export", "-").stdout.splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.jsonl", "target.jsonl"]


def findings(result: Result) -> dict[tuple[str, str], dict[str, str]]:
    return {(found["area"], found["what"]): found for found in json.loads(result.stdout)}


@BOTH
def test_the_doctor_finds_all_well_and_names_every_setting(run: Run, counted: Settings) -> None:
    create_missing(counted)
    result = run("doctor", "--json")
    found = findings(result)
    assert found.pop(("kafka", "workers"))["todo"] == "start one: freshet worker"
    assert {f["status"] for (area, _), f in found.items() if area not in ("lag", "state")} == {"ok"}
    assert found["settings", "FRESHET_KEY_PREFIX"]["found"] == f"{counted.key_prefix} (environment)"
    assert found["settings", "FRESHET_WINDOW"]["found"] == "5 (default)"
    assert run("doctor").stdout.count("FRESHET_") >= len([1 for area, _ in found if area == "settings"])


def test_the_doctor_fails_where_the_topic_is_not_the_one_that_was_counted(run: Run, counted: Settings) -> None:
    create_missing(counted)
    failed = run("doctor", "--json")  # the state has counted up to offset 4, the topic is empty
    assert failed.exit_code == 1
    assert "made anew" in findings(failed)["lag", counted.topic("events") + "/0"]["todo"]


def test_the_doctor_tells_a_shop_how_much_is_bought_again(run: Run, counted: Settings) -> None:
    create_missing(counted)
    with open_client(counted.redis) as client:
        key = Keys(counted.key_prefix).user_mark(0)
        mark = user_mark(client.get(key))  # type: ignore[arg-type]
        mark.bought, mark.bought_again = 40, 21
        client.set(key, marks.encode(mark))
    found = findings(run("doctor", "--json"))["state", "bought again"]
    assert (found["status"], found["found"][:24]) == ("ok", "52.5 % of 40 bought line")
    found = findings(run("doctor", "--json", FRESHET_HIDE="purchased"))["state", "bought again"]
    assert found["status"] == "warning"
    assert "once hides only" in found["todo"]


def test_the_doctor_says_what_does_not_answer_and_shows_no_password(environ: Mapping[str, str]) -> None:
    absent = {"FRESHET_REDIS": "redis://me:secret@127.0.0.1:1/0", "FRESHET_BROKER": "kafka://127.0.0.1:1"}
    # In a process of its own: kafka-python leaves sockets open when it finds no broker.
    failed = subprocess.run(
        [sys.executable, "-m", "streams", "doctor", "--json"],
        env={**environ, **absent},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert {(f["area"], f["what"]) for f in json.loads(failed.stdout) if f["status"] == "failure"} == {
        ("redis", "connection"),
        ("kafka", "connection"),
    }
    assert "secret" not in failed.stdout + failed.stderr


def test_the_doctor_warns_of_a_variable_that_does_not_exist(run: Run) -> None:
    found = findings(run("doctor", "--json", FRESHET_TOPN="5"))
    said = found["settings", "FRESHET_TOPN"]
    assert (said["status"], said["found"]) == ("warning", "there is no such setting (is 'FRESHET_TOP_N' meant?)")


def test_a_worker_says_of_a_variable_that_it_does_not_exist(environ: Mapping[str, str]) -> None:
    variables = {**environ, "FRESHET_TOPN": "5", "FRESHET_REDIS": "redis://127.0.0.1:1"}
    ended = subprocess.run(
        [sys.executable, "-m", "streams", "worker"], env=variables, capture_output=True, text=True, check=False
    )  # fmt: skip
    first, *_, last = ended.stderr.splitlines()
    assert first.endswith("FRESHET_TOPN: there is no such setting (is 'FRESHET_TOP_N' meant?)")
    assert (ended.returncode, last.partition(" does")[0]) == (1, "freshet: Redis at redis://127.0.0.1:1")


def test_a_command_that_there_is_not_is_told_with_the_nearest(run: Run) -> None:
    for slip, said in (("recomend", "'recomend' (is 'recommend' meant?)"), ("xyzzy", "'xyzzy'.")):
        failed = run(slip)
        assert (failed.exit_code, failed.stdout) == (2, "")
        assert f"No such command {said}" in failed.stderr


def test_wrong_usage_is_two_and_a_wrong_setting_one_line(run: Run) -> None:
    assert run("recommend").exit_code == 2
    assert run("trending", "--nonsense").exit_code == 2
    failed = run("trending", FRESHET_TOP_N="0")
    assert (failed.exit_code, len(failed.stderr.splitlines())) == (1, 1)
    assert "FRESHET_TOP_N is '0'" in failed.stderr

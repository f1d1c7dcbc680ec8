"""`freshet bench`, small but whole, on a real Kafka and Redis; and its parts that need none."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import psutil
import pytest
from click.testing import CliRunner
from kafka.admin import KafkaAdminClient
from redis import Redis

from recsys import stages
from streams.bench import benchmark
from streams.bench.connections import connections
from streams.bench.measured import Run
from streams.bench.pipeline import PARTS
from streams.bench.targets import Spread, Target
from streams.cli import main
from streams.demo.stopping import Stopping
from streams.local import LocalSystem
from streams.settings import read_settings

BENCH = [sys.executable, "-m", "streams", "bench", "--events", "1000", "--items", "500", "--users", "300", "--runs", "1"]


def environment(folder: Path) -> Mapping[str, str]:
    """Its temporary files go to `folder`; variables that are set mislead it."""
    return os.environ | {"TMPDIR": str(folder), "FRESHET_BROKER": "kafka://127.0.0.1:1", "FRESHET_TOP_N": "3"}


@pytest.fixture(scope="module")
def measured(system: LocalSystem, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A benchmark on the servers of the tests, with a report beside it."""
    folder = tmp_path_factory.mktemp("bench")
    page = folder / "page.html"
    done = subprocess.run(
        [*BENCH, "--broker", system.broker, "--redis", system.redis_url, "--report", str(page), "--json"],
        env=environment(folder), cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"stderr": done.stderr, "page": page.read_text(), "left": sorted(p.name for p in folder.iterdir())}


def test_every_event_is_counted_and_answered(measured: dict[str, Any]) -> None:
    [run] = measured["runs"]
    assert run["counted"] == run["sent"] > 2_000
    assert [each["part"] for each in run["latencies"]] == [*PARTS, None]
    for each in [*run["latencies"], run["told"]]:
        assert each["unanswered"] == 0
        assert 0 <= each["left"] <= each["events"] * 2
        assert each["events"] > 0
        assert 0 < each["p50"] <= each["p95"] <= each["p99"] <= each["worst"] < 60_000
    assert 0 < run["start_s"] < 60
    assert 0 < run["look_ups"]["p50"] <= run["look_ups"]["p99"] <= run["look_ups"]["worst"]


def test_all_are_measured_on_the_same_load(measured: dict[str, Any]) -> None:
    [run] = measured["runs"]
    names = ("stock", "naive", "core", "methods", "freshet")
    assert [run[name]["events"] for name in names] == [1000, 200, 1000, 1000, 1000]
    rate = {name: run[name]["events"] / run[name]["seconds"] for name in names}
    assert rate["stock"] > rate["naive"]
    assert rate["freshet"] > rate["naive"]
    for name in names:
        usage = run[name]["usage"]
        assert usage["worker_cpu_s"] > 0
        assert usage["broker_cpu_s"] is None  # it is not the benchmark's own
        assert usage["kafka"]["received"] > 50 * run[name]["events"]
        assert (usage["redis"]["sent"] > 0) is (name != "stock")
        assert 50 < run[name]["memory_mb"] < 2_000


def test_the_stages_are_those_of_the_events_that_were_measured(measured: dict[str, Any]) -> None:
    [run] = measured["runs"]
    for usage, events in [(run["freshet"]["usage"], 1000)] + [
        (each["usage"], None) for each in (*run["latencies"], run["told"])
    ]:
        told = usage["stages"]
        assert events in (None, told["events"])
        assert told["conflicts"] == 0
        assert 0 < told["batches"] <= told["events"]
        assert set(told["ns"]) == set(stages.NAMES)
        assert all(told["ns"][name] > 0 for name in stages.NAMES)
        # They are read one after the other: the worker tells of its CPU in rounds, the kernel at once.
        assert told["cpu_ns"] / 1e9 == pytest.approx(usage["worker_cpu_s"], abs=1.5)
    assert run["stock"]["usage"]["stages"] is None


def test_events_of_a_user_in_one_batch_share_one_recommendation(measured: dict[str, Any]) -> None:
    [run] = measured["runs"]
    assert run["stock"]["usage"]["recommendations"] == 0
    told = run["freshet"]["usage"]
    assert told["stages"]["batches"] <= told["recommendations"] < told["stages"]["events"]
    quiet = next(each for each in run["latencies"] if each["part"] is None)["usage"]
    of_an_event = [each["recommendations"] / each["stages"]["events"] for each in (told, quiet)]
    assert 0 < of_an_event[0] < of_an_event[1] <= 1


def test_memory_is_that_of_what_is_stored(measured: dict[str, Any]) -> None:
    kept = measured["runs"][0]["kept"]
    assert 100 < kept["items"] <= 500
    assert 100 < kept["users"] <= 300
    assert 100 * 16 < kept["full_item"] < 2_500
    assert 100 < kept["list"] < 2_500
    assert 50 * 28 < kept["full_user"] < 3_000
    # The mean has what was bought with it, a full history has not: where nearly all are full, the mean is more.
    assert 100 < kept["mean_user"] < 4_000
    assert 500 < kept["recommendation"] < 10_000


def test_what_was_found_stands_beside_what_must_be(measured: dict[str, Any]) -> None:
    for target in measured["targets"]:
        if target["found"] is None:
            assert (target["passed"], target["verdict"]) == (None, "not measured")
        else:
            median, must = target["found"]["median"], target["must"]
            assert target["passed"] is (median >= must if target["more_is_better"] else median <= must)
            assert target["verdict"].startswith("passed" if target["passed"] else "FAILED")
    names = [target["what"] for target in measured["targets"]]
    assert len(names) == len(set(names)) >= 12


def test_nothing_is_left_on_servers_that_are_not_its_own(measured: dict[str, Any], system: LocalSystem) -> None:
    assert measured["left"] == ["page.html"]
    with Redis.from_url(system.redis_url) as redis:
        assert not list(redis.scan_iter(match="bench-*", count=10_000))
    with KafkaAdminClient(**read_settings(system.environment()).brokers.connection()) as admin:
        assert not [topic for topic in admin.list_topics() if topic.startswith("bench-")]


def test_the_report_has_tables_and_charts_and_nothing_from_elsewhere(measured: dict[str, Any]) -> None:
    page = measured["page"]
    assert page.count("<svg") >= 4
    for words in ("stock Faust, no work", "textbook agent", "Profile by stage", "conflicts", "200 events/s"):
        assert words in page
    assert "<script" not in page
    assert "src=" not in page


def test_ctrl_c_ends_everything_that_it_started(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*BENCH, "--json"],
        env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if "textbooks" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "freshet: interrupted: nothing was measured"
    assert not [child for child in children if child.is_running()]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["run", "catch_up"])
def test_interrupted_it_shows_the_runs_that_were_whole(
    measured: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    run, page = msgspec.convert(measured["runs"][0], Run), tmp_path / "page.html"
    asked = iter((run, run) if part == "run" else (run, run, run))

    def runs(*_: object) -> Run:
        found = next(asked, None)
        return found if found else interrupt()

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "servers", lambda *_: nullcontext())
    monkeypatch.setattr(benchmark, "run", runs)
    monkeypatch.setattr(benchmark, "catch_up", interrupt)
    monkeypatch.setattr(Stopping, "install", lambda _: None)
    arguments = ["bench", "--runs", "3", "--catch-up", "--report", str(page)]
    done = CliRunner().invoke(main, arguments)
    whole = 2 if part == "run" else 3
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        130, f"freshet: interrupted: {whole} of 3 runs were whole, and are shown",
    )  # fmt: skip
    for shown in (done.stdout, page.read_text()):
        assert f"{whole} whole ones of 3, then interrupted" in shown
        assert f"Medians of {whole} runs" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "3", "--partitions", "2"], "--workers 3 is more than --partitions 2"),
        (["--events", "10"], "10 is not in the range"),
        (["--report", "page.pdf"], "a report is .html, not page.pdf"),
        (["--redis", "redis+cluster://127.0.0.1:1"], "no cluster"),
        (["--redis", "http://127.0.0.1:1"], "FRESHET_REDIS is 'http://127.0.0.1:1'"),
        (["--broker", "kafka://127.0.0.1:port"], "FRESHET_BROKER is 'kafka://127.0.0.1:port'"),
        (["--catch-up", "0"], "0.0 is not in the range"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str) -> None:
    failed = CliRunner().invoke(main, ["bench", *arguments])
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert said in failed.stderr


def test_a_report_without_a_folder_fails_before_anything_is_measured() -> None:
    failed = CliRunner().invoke(main, ["bench", "--report", "/not/there/page.html"])
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "freshet: /not/there/page.html cannot be written: /not/there is no folder\n"


def test_a_server_that_does_not_answer_is_named(system: LocalSystem, tmp_path: Path) -> None:
    failed = subprocess.run(
        [*BENCH, "--broker", system.broker, "--redis", "redis://127.0.0.1:1"],
        env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("freshet: Redis at redis://127.0.0.1:1 does not answer")
    assert not list(tmp_path.iterdir())


def test_bytes_of_a_connection_are_those_that_were_sent() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        other, _ = server.accept()
        with other:
            before = connections(os.getpid())[os.fstat(client.fileno()).st_ino]
            client.sendall(b"x" * 5_000)
            other.sendall(b"y" * 70)
            assert len(client.recv(100)) == 70
            while len(other.recv(10_000, socket.MSG_PEEK)) < 5_000:
                pass
            now = connections(os.getpid())[os.fstat(client.fileno()).st_ino]
        assert now.port == server.getsockname()[1]
    assert (now.sent - before.sent, now.received - before.received) == (5_000, 70)


def test_a_target_that_could_not_be_reached_at_all_is_missed() -> None:
    assert Target("catch-up", "s", None, must=120.0).verdict == "FAILED"
    assert Target("catch-up", "s", None, must=120.0, optional=True).verdict == "not measured"
    assert Target("catch-up", "s", Spread(130.0, 100.0, 150.0), must=120.0).passed is False

"""`freshet chaos`: a short campaign on the real thing, and its parts, each of which can find what it is there for."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

import psutil
import pytest
from click.testing import CliRunner
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, TimeoutError
from redis.retry import Retry
from workers import wait_until

from recsys.events import InvalidEvent, decode
from streams.chaos.copies import Copies
from streams.chaos.fleet import Asked, Ending, Member, misbehaviour
from streams.chaos.load import BAD_VALUES, Dispatch, dispatches, shop_events
from streams.chaos.plan import KINDS, plan
from streams.chaos.proxy import Proxy
from streams.chaos.recovery import Recovery, Wait
from streams.chaos.strikes import DOINGS, WRITES
from streams.chaos.summary import Spread, ended, spread
from streams.chaos.verdict import findings, hanging, misplaced, stale
from streams.chaos.watcher import Newest
from streams.cli import main
from streams.demo.worker import TAIL, Worker
from streams.differences import Difference
from streams.local import LocalSystem
from streams.local.ports import HOST, free_port
from streams.local.redis import local_redis
from streams.records import Record
from streams.recount import Last

KIND_NAMES = "kill-worker,end-worker,kill-redis,cut-redis,swallow-reply,delay-replies"
NOW_MS = 1_800_000_000_000


def chaos(*arguments: str, folder: Path) -> "subprocess.Popen[str]":
    """A campaign in a process of its own, with its temporary files in `folder`, and misled by variables that are set."""
    return subprocess.Popen(
        [sys.executable, "-m", "streams", "chaos", *arguments],
        env=os.environ | {"TMPDIR": str(folder), "FRESHET_BROKER": "kafka://127.0.0.1:1", "FRESHET_WINDOW": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(process: "subprocess.Popen[str]") -> set[psutil.Process]:
    try:
        return set(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def test_which_partitions_a_worker_has_is_known_long_after_it_said_so() -> None:
    chatter = f"import sys; print('ready, has partitions: 0, 3', *['busy'] * {TAIL + 1}, sep='\\n', file=sys.stderr)"
    with Worker({}, command=[sys.executable, "-c", chatter]) as worker:
        worker.process.wait(10)
        wait_until(lambda: len(worker.log) == TAIL, "all of it was read")
        assert Member(0, "worker-0", worker).partitions == {0, 3}


def test_a_short_campaign_finds_every_event_counted_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = chaos("--faults", "6", "--seed", "4", "--rate", "150", "--kinds", KIND_NAMES, "--json", folder=tmp_path)
    started: set[psutil.Process] = set()
    while process.poll() is None:
        started |= children(process)
        time.sleep(0.2)
    out, err = process.communicate()
    assert process.returncode == 0, err + out
    assert len(started) >= 4
    assert not [child for child in started if child.is_running()]
    assert not list(tmp_path.iterdir())

    summary = json.loads(out)
    assert summary["faults"] == dict.fromkeys(sorted(KIND_NAMES.split(",")), 1)
    assert (summary["lost"], summary["doubled"], summary["stale"], summary["findings"]) == (0, 0, 0, [])
    assert summary["passed"] is True
    assert summary["restarts"] >= 2
    assert summary["endings"]["killed"] >= 1
    assert summary["interactions"] > 1000
    assert summary["pairs"] > 500
    assert summary["users"] > 50
    assert summary["rejected"] > 0
    assert summary["takeover_s"]["number"] == 1
    assert summary["takeover_s"]["worst"] > 0
    assert summary["memory_bytes"] > 50_000_000
    assert "seed 4" in err
    assert "kill -9 of worker-" in err


def test_an_interrupted_campaign_leaves_nothing_behind(tmp_path: Path) -> None:
    process = chaos("--seed", "1", "--kinds", "stop-broker,kill-redis,freeze-worker", folder=tmp_path)
    assert process.stdout
    for line in process.stdout:
        if " s    1  " in line:
            break
    started = children(process)
    assert len(started) >= 4
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not [child for child in started if child.is_running()]
    assert not list(tmp_path.iterdir())


def test_an_unknown_kind_of_fault_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["chaos", "--kinds", "kill-redis,kill-dash-nine"])
    assert result.exit_code == 2
    assert "'kill-dash-nine' is none of kill-worker, " in result.stderr


def test_the_same_seed_makes_the_same_plan_and_another_one_another() -> None:
    assert plan(7, 100) == plan(7, 100)
    assert plan(7, 100) != plan(8, 100)


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_fault_occurs_in_a_hundred(seed: int) -> None:
    assert {fault.kind for fault in plan(seed, 100)} == KINDS.keys() == DOINGS.keys()


def test_a_plan_keeps_to_the_kinds_and_their_ranges() -> None:
    faults = plan(3, 200, ["black-hole", "delay-replies"])
    assert {fault.kind for fault in faults} == {"black-hole", "delay-replies"}
    assert [fault.number for fault in faults] == list(range(1, 201))
    for fault in faults:
        kind = KINDS[fault.kind]
        assert kind.seconds[0] <= fault.seconds <= kind.seconds[1]
        assert kind.amount[0] <= fault.amount <= kind.amount[1]
        assert fault.after_s >= 1
    assert len({fault.seconds for fault in faults}) > 100


def load(seed: int, count: int) -> list[Dispatch]:
    rng = Random(seed)
    stream = shop_events(seed, 100.0, NOW_MS)
    return [dispatch for _, fields in islice(stream, count) for dispatch in dispatches(rng, fields)]


def test_the_same_seed_makes_the_same_events_with_mishaps_of_every_kind() -> None:
    sent = load(1, 5000)
    assert sent == load(1, 5000)
    assert sent != load(2, 5000)
    values = [dispatch.value for dispatch in sent]
    good = [json.loads(value) for value in values if value and value.startswith(b'{"event_type"') and value.endswith(b'"}')]
    assert sum(value in BAD_VALUES for value in values) > 5
    assert len(values) - len(set(values)) > 20  # sent twice
    assert sum(dispatch.key is None for dispatch in sent) > 20
    assert sum((dispatch.key or b"").startswith(b"till-") for dispatch in sent) > 20
    assert sum(bool(dispatch.headers) for dispatch in sent) > 10  # forged
    assert sum("session_id" not in event for event in good) > 200
    at = [datetime.fromisoformat(event["event_time"]).timestamp() * 1000 for event in good if "event_time" in event]
    assert sum(time_ms < NOW_MS for time_ms in at) > 50  # late
    forgotten = [event for event in good if event["event_type"] == "forget"]
    assert {"user_id", "anonymous_id"} & set().union(*forgotten) == {"user_id", "anonymous_id"}


@pytest.mark.parametrize("value", BAD_VALUES)
def test_every_bad_record_is_bad(value: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        decode(value, NOW_MS)


@pytest.fixture
def proxy(system: LocalSystem) -> Iterator[Proxy]:
    with Proxy(system.redis.port) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy) -> Iterator["Redis"]:
    """A client of Redis behind the proxy, that does not try again, as a worker's does not."""
    with Redis(port=proxy.port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def direct(system: LocalSystem) -> Iterator["Redis"]:
    with Redis(port=system.redis.port) as client:
        yield client


def test_the_proxy_passes_everything_on(through: "Redis", key_prefix: str) -> None:
    value = os.urandom(1_000_000)
    through.set(key_prefix, value, ex=60)
    assert through.get(key_prefix) == value


def test_a_swallowed_reply_leaves_the_request_carried_out_and_the_connection_cut(
    proxy: Proxy, through: "Redis", direct: "Redis", key_prefix: str
) -> None:
    script = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
    proxy.swallow(1, WRITES)
    assert through.ping()  # no write, so its reply comes
    with pytest.raises(ConnectionError):
        through.eval(script, 1, key_prefix, 5)
    assert direct.get(key_prefix) == b"5"
    assert through.eval(script, 1, key_prefix, 5) == 10
    direct.delete(key_prefix)


def test_of_a_swallowed_pipeline_everything_is_carried_out(
    proxy: Proxy, through: "Redis", direct: "Redis", key_prefix: str
) -> None:
    pipeline = through.pipeline(transaction=False)
    for number in range(200):
        pipeline.eval("redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)", 1, f"{key_prefix}{number}", os.urandom(2000))
    proxy.swallow(1, WRITES)
    with pytest.raises(ConnectionError):
        pipeline.execute()
    assert direct.exists(*(f"{key_prefix}{number}" for number in range(200))) == 200


def test_a_cut_is_a_connection_error_and_the_next_connection_works(proxy: Proxy, through: "Redis") -> None:
    with socket.create_connection((HOST, proxy.port), timeout=10) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(16) == b"+PONG\r\n"
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(16)
    assert through.ping()


def test_a_delay_delays_every_reply_until_it_is_taken_back(proxy: Proxy, through: "Redis") -> None:
    proxy.delay(0.3)
    for _ in range(2):
        before = time.monotonic()
        assert through.ping()
        assert time.monotonic() - before >= 0.29
    proxy.delay(0)
    before = time.monotonic()
    for _ in range(5):
        assert through.ping()
    assert time.monotonic() - before < 1.4


def test_from_a_black_hole_nothing_comes_back_until_a_request_arrives_late(
    proxy: Proxy, through: "Redis", direct: "Redis", key_prefix: str
) -> None:
    assert through.ping()
    proxy.stop_up()
    with pytest.raises(TimeoutError):
        through.set(key_prefix, b"late", ex=60)
    assert direct.get(key_prefix) is None
    proxy.clear()
    wait_until(lambda: direct.get(key_prefix) == b"late", "the request of a client that had given up was carried out")


def test_behind_the_proxy_a_server_that_is_down_is_a_connection_error() -> None:
    with Proxy(free_port()) as proxy, Redis(port=proxy.port, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(ConnectionError):
            client.ping()
        proxy.close()


def test_a_restored_redis_holds_what_it_held_when_the_copy_was_taken(tmp_path: Path) -> None:
    server = local_redis(tmp_path / "redis", free_port())
    server.start()
    try:
        with Redis(port=server.port) as client:
            copies = Copies(server, tmp_path / "copies")
            client.set("a", "1")
            copies.take(client)
            client.mset({"a": "2", "b": "2"})
            copies.take(client)
            client.set("b", "3")
            assert copies.choose(0.0) == copies.taken[1]
            assert copies.choose(1000.0) == copies.taken[0]
            for copy, held in ((copies.taken[0], [b"1", None]), (copies.taken[1], [b"2", b"2"])):
                server.stop()
                copies.put_back(copy)
                server.start()
                assert client.mget(["a", "b"]) == held
                client.set("c", "4")
                server.kill()
                server.start()
                assert client.get("c") == b"4"
    finally:
        server.stop()


def wait(fault: int, *partitions: int, worker: str = "w", takeover: bool = False) -> Wait:
    return Wait(fault=fault, kind="kind", worker=worker, partitions=frozenset(partitions), began=100.0, takeover=takeover)


def test_a_fault_is_recovered_from_when_what_the_worker_had_is_served_after_it_was_lifted() -> None:
    recovery = Recovery()
    recovery.strike([wait(1, 0, 1), wait(2, 0)])
    recovery.served(0, 101.0)
    recovery.lift(1, 102.0)
    recovery.served(0, 101.5)
    recovery.served(2, 103.0)
    assert not recovery.done
    recovery.served(1, 104.0)
    assert [(done.fault, done.seconds) for done in recovery.done] == [(1, 4.0)]
    assert [left.fault for left in recovery.unsettled] == [2]


def test_an_exit_is_an_answer_to_a_fault_and_none_to_kill_9() -> None:
    recovery = Recovery()
    recovery.strike([wait(1, 0), wait(2, 0, takeover=True), wait(3, 0, worker="other")])
    recovery.ended("w", 101.0)
    assert [done.fault for done in recovery.done] == [1]
    assert [left.fault for left in recovery.unsettled] == [2, 3]
    recovery.lift(2, 100.0)
    recovery.served(0, 107.5)
    assert spread(done for done in recovery.done if done.takeover) == Spread(1, 7.5, 7.5)


def ending(code: int, asked: Asked = "nothing", *lines: str, traced: bool = False) -> Ending:
    return Ending(name="worker-1.001", at=0.0, asked=asked, took_s=0.5, code=code, traced=traced, lines=list(lines))


SAID = "freshet: Redis at redis://127.0.0.1:1/0 does not answer (…)"


@pytest.mark.parametrize(
    "good", [ending(0, "end", "stopping"), ending(1, "nothing", "x", SAID), ending(1, "end", SAID), ending(-9, "kill")]
)
def test_a_worker_may_end_with_0_when_it_is_asked_and_else_with_1_and_one_line(good: Ending) -> None:
    assert misbehaviour(good) is None


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (ending(0), "ended with 0"),
        (ending(1, "nothing", "KeyError: 'x'"), "ended with 1: KeyError"),
        (ending(1, "nothing", SAID, "and more"), "ended with 1: and more"),
        (ending(1, "nothing", SAID, traced=True), "a traceback"),
        (ending(2, "end", SAID), "ended with 2"),
        (ending(-11, "kill", "x"), "ended with -11"),
        (ending(-9), "ended with -9: it said nothing"),
        (ending(-9, "end"), "had not ended 0.5 s after SIGTERM"),
        (ending(-15, "end"), "ended with -15"),
    ],
)
def test_a_worker_that_ends_otherwise_is_found(bad: Ending, told: str) -> None:
    assert told in (misbehaviour(bad) or "")


@pytest.mark.parametrize(("seconds", "told"), [(None, "to the end"), (140.0, "for 110 s")])
def test_a_worker_that_hangs_is_found(seconds: float | None, told: str) -> None:
    hung = wait(3, 1)
    hung.lifted, hung.seconds = 130.0, seconds
    assert (hanging(hung) or "").endswith(f"its partitions 1 were not served {told}")
    hung.seconds = 120.0
    assert hanging(hung) is None


def test_endings_are_counted_by_how_they_came() -> None:
    counted = ended([ending(-9, "kill"), ending(0, "end"), ending(1), ending(1)])
    assert (counted.killed, counted.asked, counted.itself) == (1, 1, 2)


LAST = {"u": Last(2, 40, ["e4", "e1"], [NOW_MS, NOW_MS + 1000])}


def kept(event_id: str | None, ms: int) -> dict[str, bytes | None]:
    at = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"u": json.dumps({"user_id": "u", "generated_at": at, "event_id": event_id}).encode()}


def newest(*source: int) -> dict[str, Newest]:
    return {"u": Newest(0, 7, NOW_MS, (source[0], source[1]) if source else None)}


@pytest.mark.parametrize(("event_id", "ms"), [("e4", NOW_MS + 1), ("e1", NOW_MS + 1001)])
def test_a_recommendation_that_covers_the_last_interaction_is_fresh(event_id: str, ms: int) -> None:
    assert not stale(LAST, newest(2, 40), kept(event_id, ms))
    assert not stale(LAST, newest(2, 41), kept(event_id, ms))


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ({}, "there is no recommendation on the topic"),
        (newest(), "covers nothing"),
        (newest(2, 39), "covers 2/39"),
        (newest(1, 41), "covers 1/41"),
    ],
)
def test_a_stale_recommendation_on_the_topic_is_found(records: dict[str, Newest], told: str) -> None:
    [line] = stale(LAST, records, kept("e4", NOW_MS + 1))
    assert line.startswith("u: the last interaction is at 2/40 (e4)")
    assert told in line


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"u": None}, "no recommendation in Redis"),
        ({}, "no recommendation in Redis"),
        (kept("e3", NOW_MS + 1), "covers e3"),
        (kept("e1", NOW_MS + 1), "covers e1"),  # of a record that came again later: made when it had come only once
        (kept(None, NOW_MS + 1), "covers None"),
    ],
)
def test_a_stale_recommendation_in_redis_is_found(values: dict[str, bytes | None], told: str) -> None:
    [line] = stale(LAST, newest(2, 40), values)
    assert told in line


def set_aside(partition: int, offset: int, value: bytes | None) -> Record:
    headers = [("reason", b"x"), ("topic", b"events"), ("partition", b"%d" % partition), ("offset", b"%d" % offset)]
    return Record(0, 3, NOW_MS, value, headers)


def test_bad_records_that_are_on_rejected_at_least_once_are_in_order() -> None:
    bad = [Record(1, 5, NOW_MS, b"x"), Record(1, 6, NOW_MS, None), Record(2, 5, NOW_MS, b"y")]
    there = [set_aside(1, 5, b"x"), set_aside(2, 5, b"y"), set_aside(1, 6, None), set_aside(1, 5, b"x")]
    assert not misplaced(bad, there)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ([], ["the bad record at 1/5 is not on rejected"]),
        ([set_aside(1, 5, b"x"), set_aside(1, 4, b"x")], ["rejected 0/3: the record at 1/4 is not bad"]),
        ([set_aside(1, 5, b"x"), Record(0, 3, NOW_MS, b"x")], ["rejected 0/3: the record at -1/-1 is not bad"]),
        (
            [set_aside(1, 5, b"other")],
            ["rejected 0/3: not the bytes of the record at 1/5", "the bad record at 1/5 is not on rejected"],
        ),
    ],
)
def test_what_is_missing_on_rejected_and_what_does_not_belong_there_is_found(there: list[Record], told: list[str]) -> None:
    assert misplaced([Record(1, 5, NOW_MS, b"x")], there) == told


def test_what_is_lost_and_what_is_doubled_is_summed_up_by_itself() -> None:
    wrong = [Difference("a", None, 7, 10), Difference("b", None, None, 4), Difference("a", "b", 5, 3)]
    found = findings(wrong, [], {}, {}, {}, [], [], [], [])
    assert (found.lost, found.doubled) == (7, 2)
    assert found.counts == [
        "a: 7 interactions, recounted 10",
        "b: not there, recounted 4 interactions",
        "a and b: 5, recounted 3",
    ]
    assert found.all == found.counts


def test_a_campaign_without_a_finding_has_none_and_each_sort_is_among_them() -> None:
    assert not findings([], [], LAST, newest(2, 40), kept("e4", NOW_MS + 1), [], [], [ending(0, "end")], []).all
    bad = [Record(1, 5, NOW_MS, b"x")]
    found = findings([], ["u: wrong"], LAST, {}, kept("e4", NOW_MS), bad, [], [ending(2)], [wait(3, 1, 0)], ["no rest"])
    assert [len(found.customers), len(found.stale), len(found.rejected), len(found.workers)] == [1, 1, 1, 3]
    assert found.workers[1] == "fault 3 (kind): w did not end, and its partitions 0, 1 were not served to the end"
    assert len(found.all) == 6

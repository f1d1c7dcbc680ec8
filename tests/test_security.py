"""Over TLS, with users who have the least rights that docs/security.md lists, everything works; without one of them, or with a
wrong password, the error says which; and no password is shown anywhere."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import redis
from certificates import Authority
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from secured import (
    PASSWORDS,
    PLAIN,
    REDIS_PASSWORD,
    REDIS_QUOTED,
    SECRETS,
    SecuredKafka,
    SecuredRedis,
    Shop,
    acl,
    documented,
)
from workers import Worker, Workers, wait_until

from recsys import rows
from recsys.hashing import hash_item
from recsys.keys import Keys
from recsys.sharding import row_key
from streams.access import Refused, knock
from streams.cli.logs import written
from streams.local.ports import HOST, free_port
from streams.roles import (
    ANALYST,
    CATALOGUE,
    FORECASTER,
    OPERATOR,
    PRODUCER,
    READER,
    ROLES,
    WORKER,
    Right,
    Role,
    demand,
    demand_commands,
    kafka_lines,
    lacking,
    redis_line,
)
from streams.settings import read_settings
from streams.topics import CLEANUP, EVENTS, create_missing

PARTITIONS = 2
LONELY = hash_item("lonely")
END_S = 30.0
"""Who is refused is told within this."""


def lonely_row() -> bytes:
    """An item that nobody ever met, as it is stored: something to export whatever has run before."""
    row = rows.empty(np.array([LONELY], np.uint64), 0)
    row.ids[0] = "lonely"
    return rows.pack(row, np.array([0]))[0]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Secured servers on which every user has what its lines in the documentation give, and nothing else."""
    folder = tmp_path_factory.mktemp("secured")
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    kafka = SecuredKafka(folder / "kafka", authority, PASSWORDS, PLAIN)
    with kafka, SecuredRedis(folder / "redis", authority, "admin-password") as store:
        with kafka.admin() as admin:
            admin.create_topics({name: {"num_partitions": PARTITIONS} for name in CLEANUP})
            granted = re.compile(r"--allow-principal (\S+) --operation (\w+) --(\w+) (\S+)$")
            found = [granted.search(line) for line in documented("kafka-acls.sh")]
            admin.create_acls([acl(*match.groups()) for match in found if match])
        with store.admin() as client:
            for line in documented("ACL SETUSER"):
                client.execute_command(*line.replace("PASSWORD", REDIS_PASSWORD).split())
            client.set(row_key(Keys("freshet:"), LONELY), lonely_row())
        yield Shop(kafka, store, authority, stranger, authority.sign("freshet-worker"))


@pytest.fixture
def worker(shop: Shop, tmp_path: Path) -> Iterator[Worker]:
    """A worker that is ready."""
    with Workers(shop.environ(WORKER), tmp_path).supervised() as workers:
        yield workers.start().wait_ready()


def run(environ: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of Freshet, to its end; in time, whatever is wrong."""
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        env=environ, capture_output=True, text=True, timeout=END_S, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_the_documentation_lists_the_rights_of_every_role_and_no_others() -> None:
    assert documented("kafka-acls.sh") == [line for role in ROLES for line in kafka_lines(role)]
    assert documented("ACL SETUSER") == [redis_line(role) for role in ROLES if role.commands]


def event(user: str, item: str) -> bytes:
    return json.dumps({"event_type": "browse", "user_id": user, "item_id": item}).encode()


def test_with_the_least_rights_everything_works(shop: Shop, worker: Worker, tmp_path: Path) -> None:
    shopping = shop.settings(PRODUCER).brokers.connection()
    with KafkaProducer(**shopping) as producer:
        for n in range(20):
            producer.send("events", event(f"u{n % 3}", f"i{n % 4}"), key=f"u{n % 3}".encode())
            producer.send("events", event(f"u{n % 3}", f"i{n % 4}"), partition=n % PARTITIONS)  # half of them far from home
        producer.send("events", b"no event", key=b"u1")
        producer.flush()

    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(event("u9", f"i{n % 4}") for n in range(10)))
    replayed = run(shop.environ(OPERATOR), "replay", str(file), "--format", "jsonl", "--wait", "--json")
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["events"] == 10

    file.write_bytes(b'{"item_id": "mug", "title": "Red mug"}')
    produced = run(shop.environ(CATALOGUE), "items", str(file), "--json")
    assert produced.returncode == 0, produced.stderr
    wait_until(lambda: run(shop.environ(READER), "item", "mug").returncode == 0, "the item was public", END_S)

    exported = run(shop.environ(OPERATOR), "export")
    assert exported.returncode == 0, exported.stderr
    counted = {item["item_id"]: item["interactions"] for item in map(json.loads, exported.stdout.splitlines())}
    assert sum(counted.values()) == 50
    with Reader(shop) as reader:
        assert reader.users() == {"u0", "u1", "u2", "u9"}
    recommended = run(shop.environ(READER), "recommend", "u9", "--json")
    assert json.loads(recommended.stdout)["user_id"] == "u9"
    ranked = run(shop.environ(OPERATOR), "recommend", "u9", "--strategy", "content-based", "--json")
    assert ranked.returncode == 0, ranked.stderr

    few = run(shop.environ(FORECASTER), "lifetimes")
    assert "0 customers ordered on more than one day" in few.stderr
    order = {"event_type": "order", "item_id": "i1"}
    orders = [order | {"user_id": n, "event_time": 86_400 * day} for n in range(200) for day in (11_000, 12_000)]
    file.write_text("\n".join(map(json.dumps, orders)))
    fitted = run(shop.environ(FORECASTER), "lifetimes", str(file), "--format", "jsonl")
    assert fitted.returncode == 0, fitted.stderr
    known = run(shop.environ(ANALYST), "customer", "u9", "--json")
    assert json.loads(known.stdout)["user_id"] == "u9"

    examined = run(shop.environ(OPERATOR), "doctor", "--json")
    assert examined.returncode == 0, examined.stderr
    found = {finding["what"]: finding for finding in json.loads(examined.stdout)}
    assert found["rejected"]["found"] == "1 records" or found["rejected"]["area"] == "topics"
    assert found["workers"]["found"].startswith("1 ")
    with shop.kafka.admin() as admin:
        assert admin.list_topics()
    assert ends(shop, "rejected") == 1
    assert ends(shop, "events") > 51, "nothing was forwarded"
    assert worker.terminate() == 0


def ends(shop: Shop, topic: str) -> int:
    """How many records the topic holds."""
    consumer: Any = KafkaConsumer(bootstrap_servers=f"{HOST}:{shop.kafka.ports['open']}")
    try:
        return sum(consumer.end_offsets([TopicPartition(topic, n) for n in range(PARTITIONS)]).values())
    finally:
        consumer.close()


class Reader:
    """An app that reads the recommendations."""

    def __init__(self, shop: Shop) -> None:
        connection = shop.settings(READER).brokers.connection()
        self._consumer: Any = KafkaConsumer(**connection, auto_offset_reset="earliest", group_id=None)
        self._consumer.assign([TopicPartition("recommendations", n) for n in range(PARTITIONS)])

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def users(self) -> set[str]:
        """All users that something was recommended to so far."""
        found: set[str] = set()
        end = self._consumer.end_offsets(list(self._consumer.assignment()))
        until = time.monotonic() + END_S
        while any(self._consumer.position(part) < offset for part, offset in end.items()):
            assert time.monotonic() < until
            for records in self._consumer.poll(timeout_ms=200).values():
                found |= {record.key.decode() for record in records}
        return found


ASKING = [(role, right) for role in ROLES if role not in (READER, ANALYST) for right in role.kafka]
"""Roles of programs that are ours, each with each of its rights."""


@pytest.mark.parametrize(("role", "right"), ASKING, ids=lambda x: x.name if isinstance(x, Role) else str(x))
def test_a_missing_right_of_kafka_is_named_at_start(shop: Shop, role: Role, right: Right) -> None:
    settings = shop.settings(role)
    with shop.without(right, role):
        wait_until(lambda: lacking(settings, role), "the broker heard of it", END_S)
        with pytest.raises(Refused) as refused:
            demand(settings, role)
    assert str(refused.value).startswith(f"Kafka's user 'freshet-{role.name}' lacks {right}: ")
    assert "docs/security.md" in str(refused.value)


@pytest.mark.parametrize(
    ("right", "off"),
    [(Right("Write", "topic", "customers"), "FRESHET_CUSTOMERS"), (Right("Read", "topic", "items"), "FRESHET_CATALOGUE")],
    ids=str,
)
def test_a_right_to_what_is_turned_off_is_not_demanded(shop: Shop, right: Right, off: str) -> None:
    with shop.without(right, WORKER):
        wait_until(lambda: lacking(shop.settings(WORKER), WORKER) == [right], "the broker heard of it", END_S)
        demand(shop.settings(WORKER, **{off: "false"}), WORKER)


def test_a_topic_that_is_missing_and_may_not_be_created_is_named(shop: Shop) -> None:
    settings = shop.settings(PRODUCER, FRESHET_TOPIC_PREFIX="other-")
    with shop.kafka.admin() as admin:
        admin.create_acls([acl("User:freshet-producer", "Write", "topic", "other-events")])
    wait_until(lambda: not lacking(settings, PRODUCER), "the broker heard of it", END_S)
    with pytest.raises(Refused, match=r"^there is no topic other-events, and we lack Create on it: "):
        create_missing(settings, {EVENTS})


def test_a_worker_without_a_right_of_kafka_ends_and_names_it(shop: Shop, tmp_path: Path) -> None:
    right = Right("Write", "topic", "rejected")
    with shop.without(right, WORKER), Workers(shop.environ(WORKER), tmp_path).supervised() as workers:
        worker = workers.start()
        assert worker.wait(END_S) == 1
    assert worker.last_line.startswith(f"freshet: Kafka's user 'freshet-worker' lacks {right}: "), worker.stderr


@pytest.mark.parametrize("right", [Right("Read", "topic", "events"), Right("Read", "group", "freshet")], ids=str)
def test_a_right_of_kafka_that_is_taken_away_ends_a_running_worker_and_is_named(
    shop: Shop, worker: Worker, right: Right
) -> None:
    with shop.without(right, WORKER), KafkaProducer(bootstrap_servers=f"{HOST}:{shop.kafka.ports['open']}") as producer:
        until = time.monotonic() + END_S
        while worker.code is None and time.monotonic() < until:
            for partition in range(PARTITIONS):
                producer.send("events", event("u1", "i1"), partition=partition)
                producer.send("events", b"no event", partition=partition)
            producer.flush()
            time.sleep(0.2)
        assert worker.wait(1) == 1
    assert worker.last_line.startswith("freshet: Kafka's user 'freshet-worker' lacks "), worker.stderr
    assert f" the {right.kind} {right.name}: " in worker.last_line


@pytest.mark.parametrize("command", WORKER.commands)
def test_a_missing_right_of_redis_is_named_at_start(shop: Shop, command: str) -> None:
    settings = shop.settings(WORKER)
    demand_commands(settings, WORKER)
    with shop.unable(command, WORKER), pytest.raises(Refused, match=rf"^Redis's user 'freshet-worker' lacks \+{command} "):
        demand_commands(settings, WORKER)


def test_a_worker_without_its_keys_in_redis_ends_and_says_so(shop: Shop, tmp_path: Path) -> None:
    environ = shop.environ(WORKER, FRESHET_KEY_PREFIX="other:", FRESHET_KAFKA_USER="freshet-worker")
    with Workers(environ, tmp_path).supervised() as workers:
        worker = workers.start()
        assert worker.wait(END_S) == 1
    assert "lacks ~other:*" in worker.last_line


def test_a_command_of_redis_that_is_taken_away_ends_a_running_worker_and_is_named(shop: Shop, worker: Worker) -> None:
    with shop.unable("eval", WORKER), KafkaProducer(bootstrap_servers=f"{HOST}:{shop.kafka.ports['open']}") as producer:
        producer.send("events", event("u1", "i1"), key=b"u1")
        producer.flush()
        assert worker.wait(END_S) == 1
    assert "'eval' command" in worker.last_line
    assert "docs/security.md" in worker.last_line


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("scan", ["export"]),
        ("getrange", ["export"]),
        ("mget", ["export"]),
        ("info", ["doctor"]),
        ("ping", ["replay"]),
    ],
)
def test_a_command_that_lacks_a_right_of_redis_names_it(shop: Shop, tmp_path: Path, command: str, arguments: list[str]) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(event("u9", "i1"))
    more = [str(file), "--format", "jsonl", "--wait"] if arguments == ["replay"] else []
    with shop.unable(command, OPERATOR):
        ended = run(shop.environ(OPERATOR), *arguments, *more)
    assert ended.returncode == 1
    assert f"'{command}' command" in ended.stderr.splitlines()[-1]
    assert "docs/security.md" in ended.stderr


def test_an_app_may_read_recommendations_and_change_nothing(shop: Shop) -> None:
    settings = shop.settings(READER)
    with redis.Redis.from_url(settings.redis) as client:
        for key in ("freshet:recs:u1", "freshet:similar:i1", "freshet:trending"):
            client.get(key)
            client.mget([key])
        for refused in (("SET", "freshet:trending", "x"), ("DEL", "freshet:recs:u1"), ("GET", "freshet:state")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*refused)
    with Reader(shop) as reader:
        reader.users()
    with KafkaProducer(**settings.brokers.connection()) as producer, pytest.raises(KafkaError, match="AuthorizationFailed"):
        producer.send("recommendations", b"{}").get(timeout=END_S)


def test_every_way_to_connect_to_kafka_works(shop: Shop) -> None:
    ports, ca = shop.kafka.ports, str(shop.authority.ca)
    user = {"FRESHET_KAFKA_USER": "freshet-worker", "FRESHET_KAFKA_PASSWORD": PASSWORDS["freshet-worker"]}
    ours = {"FRESHET_KAFKA_CERTIFICATE": str(shop.client.certificate), "FRESHET_KAFKA_KEY": str(shop.client.key)}
    plain = {"FRESHET_KAFKA_MECHANISM": "PLAIN", "FRESHET_KAFKA_USER": PLAIN[0], "FRESHET_KAFKA_PASSWORD": PLAIN[1]}
    for port, variables in (
        ("open", {}),
        ("ssl", {"FRESHET_KAFKA_SECURITY": "ssl", "FRESHET_KAFKA_CA": ca, **ours}),
        ("ssl", {"FRESHET_KAFKA_SECURITY": "ssl", "FRESHET_KAFKA_CA": ca, "FRESHET_KAFKA_CERTIFICATE": str(shop.client.both)}),
        ("sasl", {"FRESHET_KAFKA_SECURITY": "sasl_plaintext", **user}),
        ("sasl_ssl", {"FRESHET_KAFKA_SECURITY": "sasl_ssl", "FRESHET_KAFKA_CA": ca, **user}),
        ("sasl_ssl", {"FRESHET_KAFKA_SECURITY": "sasl_ssl", "FRESHET_KAFKA_CA": ca, **plain}),
    ):
        settings = read_settings({"FRESHET_BROKER": f"kafka://{HOST}:{ports[port]}", **variables})
        asyncio.run(knock(settings.brokers))
        if plain.items() <= variables.items():
            continue
        demand(settings, WORKER)  # the certificate's name is the worker's, so it has the worker's rights


def wrong_ways(shop: Shop) -> dict[str, tuple[dict[str, str], str]]:
    """What may be wrong with the way to Kafka: the variables, and what the error says."""
    ports = {name: f"kafka://{HOST}:{port}" for name, port in shop.kafka.ports.items()}
    unset = {"FRESHET_KAFKA_USER": "", "FRESHET_KAFKA_PASSWORD": ""}
    tls = {"FRESHET_KAFKA_SECURITY": "ssl", **unset}
    return {
        "password": ({"FRESHET_KAFKA_PASSWORD": "wrong-secret-7"}, "FRESHET_KAFKA_PASSWORD"),
        "user": ({"FRESHET_KAFKA_USER": "nobody"}, "'nobody'"),
        "mechanism": ({"FRESHET_KAFKA_MECHANISM": "SCRAM-SHA-256"}, "FRESHET_KAFKA_MECHANISM"),
        "authority": ({"FRESHET_KAFKA_CA": str(shop.stranger.ca)}, "cannot be trusted"),
        "host": ({"FRESHET_BROKER": ports["sasl_ssl"].replace(HOST, "localhost")}, "cannot be trusted"),
        "no certificate": ({"FRESHET_BROKER": ports["ssl"], **tls}, "FRESHET_KAFKA_CERTIFICATE"),
        "plain text at TLS": ({"FRESHET_KAFKA_SECURITY": "sasl_plaintext", "FRESHET_KAFKA_CA": ""}, "FRESHET_KAFKA_SECURITY"),
        "nobody at SASL": (tls, "FRESHET_KAFKA_SECURITY"),
        "TLS at plain text": ({"FRESHET_BROKER": ports["sasl"]}, "FRESHET_KAFKA_SECURITY"),
        "a user at none": (
            {"FRESHET_BROKER": ports["open"], "FRESHET_KAFKA_SECURITY": "sasl_plaintext", "FRESHET_KAFKA_CA": ""},
            "nobody logs in",
        ),
    }


@pytest.mark.parametrize(
    "wrong",
    ["password", "user", "mechanism", "authority", "host", "no certificate", "plain text at TLS", "nobody at SASL",
     "TLS at plain text", "a user at none"],
)  # fmt: skip
def test_a_wrong_way_to_kafka_is_explained_in_time(shop: Shop, wrong: str) -> None:
    variables, said = wrong_ways(shop)[wrong]
    begun = time.monotonic()
    with pytest.raises(Refused, match=re.escape(said)):
        demand(shop.settings(WORKER, **variables), WORKER)
    assert time.monotonic() - begun < END_S


def test_every_program_ends_in_time_where_kafka_does_not_let_it_in(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(event("u9", "i1"))
    for role, arguments in (
        (WORKER, ["worker"]),
        (OPERATOR, ["doctor"]),
        (PRODUCER, ["simulate", "--seconds", "1"]),
        (PRODUCER, ["replay", str(file), "--format", "jsonl"]),
    ):
        ended = run(shop.environ(role, FRESHET_KAFKA_PASSWORD="wrong-secret-7"), *arguments)
        assert ended.returncode == 1
        last = ended.stderr.splitlines()[-1]
        assert f"does not let in user 'freshet-{role.name}'" in last
        assert "FRESHET_KAFKA_PASSWORD" in last


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("freshet-worker:", "freshet-worker:wrong-secret-7"), "does not let us in"),
        (("freshet-worker:" + REDIS_QUOTED + "@", ""), "does not let us in"),
        (("?ssl_ca_certs", "?ssl_check_hostname=true&ssl_ca_certs"), ""),
        (("test-ca", "stranger"), "ssl_ca_certs"),
        (("rediss", "redis"), "rediss://"),
    ],
    ids=["password", "nobody", "right", "authority", "plain text"],
)
def test_a_wrong_way_to_redis_is_explained(shop: Shop, change: tuple[str, str], said: str) -> None:
    address = shop.variables(WORKER)["FRESHET_REDIS"].replace(*change)
    if said == "rediss://":
        address = address.partition("?")[0]
    ended = run(shop.environ(WORKER, FRESHET_REDIS=address, FRESHET_KAFKA_PASSWORD="wrong-secret-7"), "worker")
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert (said in last and "FRESHET_REDIS" in last) if said else "FRESHET_KAFKA_PASSWORD" in last


def test_no_password_is_shown_anywhere(shop: Shop, tmp_path: Path) -> None:
    plain = {"FRESHET_KAFKA_MECHANISM": "PLAIN", "FRESHET_KAFKA_USER": PLAIN[0], "FRESHET_KAFKA_PASSWORD": PLAIN[1]}
    wrong = {"FRESHET_KAFKA_PASSWORD": PLAIN[1] + "-wrong"}
    said = talk_of_a_worker(shop.environ(WORKER), tmp_path / "log")
    assert len(said) > 1, "its command line was not seen"
    assert "DEBUG faust" in said[0], "it was not so talkative as it should be"
    said += talk_of_a_worker(shop.environ(WORKER, **plain), tmp_path / "plain.log")
    silent = {"FRESHET_REDIS": f"redis://:{REDIS_QUOTED}@{HOST}:{free_port()}/0"}
    for variables, *arguments in (
        ({}, "doctor"),
        (wrong | silent, "doctor", "--json"),
        (wrong, "simulate", "--seconds", "0.1"),
        (silent, "export"),
        ({"FRESHET_REDIS": f"redis://me:{PLAIN[1]}@{HOST}:{shop.redis.server.port}/0"}, "recommend", "u1"),
        ({"FRESHET_KAFKA_CA": "/nowhere"}, "doctor"),
        ({"FRESHET_KAFKA_SECURITY": "plaintext"}, "worker"),
        ({"FRESHET_REDIS": f"redis://me:{REDIS_PASSWORD}@{HOST}"}, "trending"),
        ({"FRESHET_REDIS": f"redis://{HOST}/0?password={PLAIN[1]}"}, "trending"),
        ({"FRESHET_BROKER": f"kafka://me:{PLAIN[1]}@{HOST}"}, "doctor"),
    ):
        ended = run(shop.environ(OPERATOR, **variables), *arguments)
        assert (ended.returncode == 0) == (not variables), ended.stderr
        said += [ended.stdout, ended.stderr]
    said += [repr(shop.settings(WORKER)), repr(shop.settings(WORKER).brokers)]
    text = "\n".join(said)
    assert "***" in text
    for secret in SECRETS:
        for form in written(secret):
            assert form not in text, text[max(0, text.index(form) - 300) : text.index(form)]


def talk_of_a_worker(environ: Mapping[str, str], log: Path) -> list[str]:
    """All that a worker says until it is ready or has ended, and what the list of processes says of it meanwhile."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams", "worker", "--log-level", "debug"],
            env=environ, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        titles = command_lines(process.pid)
        wait_until(lambda: process.poll() is not None or b"ready, " in log.read_bytes(), "it was ready or ended", 60)
        titles += command_lines(process.pid)
        process.terminate()
        process.wait(END_S)
    finally:
        process.kill()
        process.wait()
    return [log.read_text(encoding="utf-8", errors="replace"), *titles]


def command_lines(pid: int) -> list[str]:
    """What any user of this machine sees of a process and its children."""
    try:
        process = psutil.Process(pid)
        return [" ".join(each.cmdline()) for each in (process, *process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []

"""`freshet replay`, against a real Kafka and a real Redis; the worker is a thread that says what it published."""

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from recsys.connection import Client, open_client
from recsys.keys import Keys
from recsys.layout import layout_of
from streams.cli import main
from streams.cli import replay as replay_module
from streams.lag import NOTHING, Span, behind, read_published, read_spans, total_behind
from streams.local import LocalSystem
from streams.settings import Settings
from streams.topics import CLEANUP, CUSTOMERS, EVENTS, ITEMS, create_missing

Replay = Callable[..., Result]
BOTH = pytest.mark.parametrize("redis_kind", ["single", "cluster"], indirect=True)


@pytest.fixture
def redis(namespace: Settings) -> Iterator[Client]:
    with open_client(namespace.redis) as client:
        yield client


@pytest.fixture
def replay(variables: dict[str, str]) -> Replay:
    """Runs `freshet replay` in this test's name space."""

    def run(*arguments: str | Path, **others: str) -> Result:
        return CliRunner().invoke(main, ["replay", *map(str, arguments)], env={**variables, **others})

    return run


def clicks(folder: Path, count: int, users: int = 50) -> Path:
    """A file of events, one after the other of each user."""
    path = folder / "clicks.jsonl"
    event = {"event_type": "click", "event_time": "2020-01-01T00:00:00Z"}
    lines = [json.dumps({**event, "user_id": f"u{n % users}", "item_id": n}) for n in range(count)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def topic_records(settings: Settings) -> list[Any]:
    """All records of the events topic, partition by partition in their order."""
    spans = read_spans(settings.brokers, settings.topic(EVENTS))
    consumer = KafkaConsumer(**settings.brokers.connection(), auto_offset_reset="earliest")
    partitions = [TopicPartition(settings.topic(EVENTS), number) for number in spans]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    wanted = sum(span.end - span.begin for span in spans.values())
    found: list[Any] = []
    deadline = time.monotonic() + 30
    while len(found) < wanted and time.monotonic() < deadline:
        found += [record for batch in consumer.poll(timeout_ms=200).values() for record in batch]
    consumer.close()
    assert len(found) == wanted
    return sorted(found, key=lambda record: (record.partition, record.offset))


def publish(redis: Client, settings: Settings, partition: int, offset: int) -> None:
    redis.set(Keys(settings.key_prefix).published(partition), offset, ex=60)


def publish_all(redis: Client, settings: Settings) -> None:
    for partition, span in read_spans(settings.brokers, settings.topic(EVENTS)).items():
        publish(redis, settings, partition, span.end - 1)


@contextmanager
def background(task: Callable[[], object]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=task)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


# Producing


def test_every_event_arrives_once_on_its_home_partition_in_order_with_the_present_as_timestamp(
    replay: Replay, namespace: Settings, tmp_path: Path
) -> None:
    before_ms = int(time.time() * 1000)
    path = clicks(tmp_path, 5_000)
    result = replay(path, "--format", "jsonl")
    assert result.exit_code == 0, result.output
    assert "5,000 events produced" in result.stdout
    records = topic_records(namespace)
    assert sorted(record.value for record in records) == sorted(path.read_bytes().splitlines())
    assert {record.partition for record in records} == {0, 1, 2, 3}
    for record in records:
        assert before_ms <= record.timestamp <= time.time() * 1000
        assert record.key == json.loads(record.value)["user_id"].encode()
        assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % 4
    by_user: dict[bytes, list[int]] = {}
    for record in records:
        by_user.setdefault(record.key, []).append(json.loads(record.value)["item_id"])
    assert all(items == sorted(items) for items in by_user.values())


def test_the_key_of_an_anonymous_visitor_is_the_bare_id(replay: Replay, namespace: Settings, tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"event_type":"click","anonymous_id":"a1","item_id":1}\n')
    assert replay(path, "--format", "jsonl").exit_code == 0
    assert [record.key for record in topic_records(namespace)] == [b"a1"]


def test_a_file_of_which_most_is_bad_is_a_failure_though_the_rest_is_produced(
    replay: Replay, namespace: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text('{"event_type":"click","user_id":"u","item_id":1}\n' + '{"event_type":"click","user_id":"u"}\n' * 2)
    result = replay(path, "--format", "jsonl")
    assert result.exit_code == 1
    assert "1 events produced" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("freshet: 2 of 3 events were bad and are not produced (most often: item")
    assert len(topic_records(namespace)) == 1


def test_limit_is_the_number_of_events_at_most(replay: Replay, namespace: Settings, tmp_path: Path) -> None:
    path = clicks(tmp_path, 100)
    for limit, events in (("30", 30), ("0", 0), ("1000", 100)):
        result = replay(path, "--format", "jsonl", "--limit", limit, "--json")
        assert json.loads(result.stdout)["events"] == events
    assert len(topic_records(namespace)) == 130


def test_rate_paces_events_evenly(replay: Replay, namespace: Settings, tmp_path: Path) -> None:
    result = replay(clicks(tmp_path, 200), "--format", "jsonl", "--rate", "100", "--json")
    assert 1.9 <= json.loads(result.stdout)["seconds"] < 4
    times = sorted(record.timestamp for record in topic_records(namespace))
    halves = [time for time in times if time - times[0] < 1000]
    assert 60 <= len(halves) <= 140


def test_the_summary_says_what_was_left_out_and_what_is_bad(replay: Replay, tmp_path: Path) -> None:
    path = tmp_path / "retail.csv"
    path.write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "1,85123A,HEART,6,2010-12-01T08:26:00,2.55,17850,UK\n"
        "2,85123A,HEART,6,2010-12-01T08:26:00,2.55,,UK\n"
        "3,85123A,HEART,six,2010-12-01T08:26:00,2.55,17850,UK\n"
    )
    shown = json.loads(replay(path, "--format", "online-retail", "--json").stdout)
    assert shown["events"] == 1
    assert shown["left_out"]["reasons"] == {"no customer": 1}
    assert shown["bad"]["reasons"] == {"Quantity is not a whole number": 1}
    assert shown["bad"]["examples"][0]["line"] == 4
    plain = replay(path, "--format", "online-retail").stdout
    assert "1 line left out, line 3: no customer" in plain
    assert "line 4: '3,85123A" in plain


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.csv", "--format", "rees46"), "nowhere.csv cannot be read"),
        (("clicks.jsonl", "--format", "rees46"), "expected REES46"),
        (("empty.jsonl", "--format", "jsonl"), "empty.jsonl has no events"),
    ],
)
def test_a_file_that_cannot_be_used_ends_it_with_one_line_and_makes_no_topic(
    replay: Replay, namespace: Settings, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    clicks(tmp_path, 1)
    (tmp_path / "empty.jsonl").touch()
    result = replay(tmp_path / arguments[0], *arguments[1:])
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    with KafkaAdminClient(**namespace.brokers.connection()) as admin:
        assert namespace.topic(EVENTS) not in admin.list_topics()


def test_an_unknown_format_is_wrong_usage(replay: Replay, tmp_path: Path) -> None:
    assert replay(clicks(tmp_path, 1), "--format", "minutes").exit_code == 2


def test_an_absent_broker_ends_it_with_one_line(replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.topics.ANSWER_MS", 500)
    result = replay(clicks(tmp_path, 1), "--format", "jsonl", FRESHET_BROKER="kafka://localhost:1")
    assert result.exit_code == 1
    assert "Kafka at kafka://localhost:1 does not answer" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_absent_redis_is_found_before_anything_is_produced(replay: Replay, namespace: Settings, tmp_path: Path) -> None:
    result = replay(clicks(tmp_path, 1), "--format", "jsonl", "--wait", FRESHET_REDIS="redis://localhost:1")
    assert result.exit_code == 1
    assert "Redis at redis://localhost:1 does not answer" in result.stderr
    with pytest.raises(KafkaError, match="there is no topic"):
        read_spans(namespace.brokers, namespace.topic(EVENTS))
    gc.collect()  # redis-py leaves the socket that was refused to the collector, which warns: here, not in a later test


def test_a_broker_that_dies_meanwhile_ends_it_with_one_line(
    replay: Replay, system: LocalSystem, namespace: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.bulk.ANSWER_S", 2.0)
    path = clicks(tmp_path, 2_000)
    assert replay(path, "--format", "jsonl", "--limit", "1").exit_code == 0

    def kill_when_it_runs() -> None:
        while sum(span.end for span in read_spans(namespace.brokers, namespace.topic(EVENTS)).values()) < 100:
            time.sleep(0.1)
        system.kafka.kill()

    began = time.monotonic()
    with background(kill_when_it_runs):
        result = replay(path, "--format", "jsonl", "--rate", "200")
    assert time.monotonic() - began < 30
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert [line for line in result.stderr.splitlines() if not line.startswith("producing: ")] == [
        result.stderr.splitlines()[-1]
    ]


# Topics


def test_no_topic_is_made_for_what_is_turned_off(namespace: Settings) -> None:
    made = create_missing(msgspec.structs.replace(namespace, customers=False, catalogue=False))
    assert set(made) == {namespace.topic(name) for name in CLEANUP if name not in (CUSTOMERS, ITEMS)}
    assert create_missing(namespace, {ITEMS}) == [namespace.topic(ITEMS)]


def test_missing_topics_are_made_and_existing_ones_taken_as_they_are(namespace: Settings) -> None:
    with KafkaAdminClient(**namespace.brokers.connection()) as admin:
        admin.create_topics({namespace.topic(EVENTS): {"num_partitions": 3}}, wait_for_metadata=True)
        assert set(create_missing(namespace)) == {namespace.topic(name) for name in CLEANUP if name != EVENTS}
        assert create_missing(namespace) == []
        partitions = {
            topic["name"]: len(topic["partitions"])
            for topic in admin.describe_topics([namespace.topic(name) for name in CLEANUP])
        }
    assert partitions == {namespace.topic(name): 3 if name == EVENTS else namespace.partitions for name in CLEANUP}


def test_two_creators_at_once_do_not_disturb_each_other(namespace: Settings) -> None:
    made: list[list[str]] = []
    with background(lambda: made.append(create_missing(namespace))):
        made.append(create_missing(namespace))
    assert sorted(made[0] + made[1]) == sorted(namespace.topic(name) for name in CLEANUP)


def test_a_topic_that_cannot_be_made_is_a_failure_with_its_reason(replay: Replay, topic_prefix: str, tmp_path: Path) -> None:
    path = clicks(tmp_path, 1)
    assert replay(path, "--format", "jsonl", FRESHET_TOPIC_PREFIX=f"{topic_prefix}_").exit_code == 0
    # Kafka takes no two topics that differ only in `.` and `_`.
    result = replay(path, "--format", "jsonl", FRESHET_TOPIC_PREFIX=f"{topic_prefix}.")
    assert result.exit_code == 1
    assert f"the topic {topic_prefix}.events cannot be created" in result.stderr
    assert result.stderr.count("\n") == 1


# Waiting


@BOTH
def test_lag_is_what_is_on_the_topic_and_not_published(redis: Client, namespace: Settings) -> None:
    keys = Keys(namespace.key_prefix)
    publish(redis, namespace, 1, 6)
    published = read_published(redis, keys, [0, 1])
    assert published == {0: NOTHING, 1: 6}
    assert total_behind({0: Span(0, 2), 1: Span(0, 10)}, published) == 5
    assert behind(Span(8, 10), 3) == 2


@BOTH
def test_wait_returns_when_everything_is_published(replay: Replay, redis: Client, namespace: Settings, tmp_path: Path) -> None:
    path = clicks(tmp_path, 500)
    assert replay(path, "--format", "jsonl").exit_code == 0
    spans = read_spans(namespace.brokers, namespace.topic(EVENTS))
    ended: list[float] = []

    def worker() -> None:
        for partition, span in spans.items():
            time.sleep(0.3)
            publish(redis, namespace, partition, span.end - 1)
        ended.append(time.monotonic())

    with background(worker):
        result = replay(path, "--format", "jsonl", "--limit", "0", "--wait", "--json")
        returned = time.monotonic()
    assert result.exit_code == 0, result.output
    assert returned >= ended[0]
    assert json.loads(result.stdout)["waited_seconds"] >= 1


def test_wait_includes_what_is_forwarded_meanwhile(replay: Replay, redis: Client, namespace: Settings, tmp_path: Path) -> None:
    path = clicks(tmp_path, 100)
    assert replay(path, "--format", "jsonl").exit_code == 0
    steps: list[str] = []

    def worker() -> None:
        time.sleep(0.5)
        producer = KafkaProducer(**namespace.brokers.connection())
        producer.send(namespace.topic(EVENTS), b"forwarded", partition=0).get(10)
        producer.close()
        for partition, span in read_spans(namespace.brokers, namespace.topic(EVENTS)).items():
            publish(redis, namespace, partition, span.end - (2 if partition == 0 else 1))
        time.sleep(1.5)
        steps.append("forwarded one is processed")
        publish_all(redis, namespace)

    with background(worker):
        assert replay(path, "--format", "jsonl", "--limit", "0", "--wait").exit_code == 0
        steps.append("replay returned")
    assert steps == ["forwarded one is processed", "replay returned"]


@pytest.mark.parametrize(
    ("content", "todo"),
    [
        ('{"event_type": "click", "user_id": "é", "item_id": "a"}'.encode("latin-1"), "iconv -f LATIN1 -t UTF-8"),
        ('{"event_type": "click", "user_id": "é", "item_id": "a"}'.encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        (b'[{"event_type": "click", "user_id": "u", "item_id": "a"}]', "jq -c '.[]'"),
    ],
)
def test_a_file_that_is_nearly_right_is_refused_with_what_mends_it(
    replay: Replay, tmp_path: Path, content: bytes, todo: str
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    result = replay(path, "--format", "jsonl")
    assert (result.exit_code, result.stdout) == (1, "")
    assert todo in result.stderr


def test_a_table_with_other_separators_is_refused_with_what_mends_it(replay: Replay, tmp_path: Path) -> None:
    path = tmp_path / "retail.csv"
    header = "InvoiceNo;StockCode;Description;Quantity;InvoiceDate;UnitPrice;CustomerID;Country\n"
    for content, todo in ((header.encode(), "not semicolons"), (header.encode("utf-16"), "iconv -f UTF-16")):
        path.write_bytes(content)
        result = replay(path, "--format", "online-retail")
        assert result.exit_code == 1
        assert todo in result.stderr


def test_nobody_waits_for_a_state_that_is_counted_from_another_topic(
    replay: Replay, redis: Client, namespace: Settings, tmp_path: Path
) -> None:
    layout = layout_of("other.events", namespace.partitions, namespace.rules)
    redis.set(Keys(namespace.key_prefix).state, msgspec.json.encode(layout), ex=60)
    result = replay(clicks(tmp_path, 1), "--format", "jsonl", "--wait")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is counted from the topic 'other.events'" in result.stderr
    assert "FRESHET_KEY_PREFIX" in result.stderr


def test_wait_gives_up_when_nothing_moves(
    replay: Replay, redis: Client, namespace: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "STALLED_S", 1.0)
    path = clicks(tmp_path, 100)
    result = replay(path, "--format", "jsonl", "--wait")
    assert result.exit_code == 1
    assert "100 of 100 events are left" in result.stderr
    assert "freshet worker" in result.stderr
    assert not redis.exists(Keys(namespace.key_prefix).published(0))


def test_real_files_arrive_whole_and_fast(replay: Replay, namespace: Settings, data_dir: Path) -> None:
    result = replay(data_dir / "retailrocket_test_clicks.tsv.gz", "--format", "retailrocket", "--json")
    shown = json.loads(result.stdout)
    assert shown["events"] == 24_682
    assert shown["events_per_second"] > 5_000
    spans = read_spans(namespace.brokers, namespace.topic(EVENTS))
    assert sum(span.end - span.begin for span in spans.values()) == 24_682

"""`freshet items`, `freshet item` and what the doctor says of the catalogue, against a real Kafka and a real Redis."""

import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError
from kafka.partitioner.default import murmur2

from recsys.connection import open_client
from recsys.keys import Keys
from recsys.readers.source import Passed
from streams.cli import main
from streams.cli.producing import judge
from streams.failure import Failure
from streams.lag import read_spans
from streams.settings import Settings
from streams.topics import ITEMS, USERS, create_missing

Run = Callable[..., Result]
LINES = [
    b'{"item_id": "i1", "title": "Red mug", "price": 4.5}',
    b'{"item_id": 7, "title": "Seven"}',
    b'{"title": "nobody"}',
    b'{"item_id": "i2", "price": -1}',
    b'{"item_id": "i3", "deleted": true}',
    b'{"item_id": "i4", "price": -1}',
    b"{",
    b'{"item_id": "i5", "deleted": "yes"}',
    b'{"item_id": "i6", "deleted": false}',
    b'{"item_id": "i8", "titel": "Cup", "Brand": "Acme", "shelf": 7}',
]


@pytest.fixture
def run(variables: dict[str, str]) -> Run:
    return lambda *arguments, **others: CliRunner().invoke(main, [str(a) for a in arguments], env={**variables, **others})


def records(settings: Settings) -> dict[str, tuple[bytes | None, int]]:
    """By key, what the topic of items holds last, and where."""
    spans = read_spans(settings.brokers, settings.topic(ITEMS))
    consumer = KafkaConsumer(**settings.brokers.connection(), auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    consumer.assign([TopicPartition(settings.topic(ITEMS), number) for number in spans])
    try:
        read = itertools.islice(consumer, sum(span.end for span in spans.values()))
        return {record.key.decode(): (record.value, record.partition) for record in read}
    finally:
        consumer.close()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_produced_line_by_line_and_bad_lines_are_counted_by_reason(
    run: Run, namespace: Settings, tmp_path: Path, packed: bool
) -> None:
    file = tmp_path / "items.jsonl"
    content = b"\n".join(LINES) + b"\n"
    file.write_bytes(gzip.compress(content) if packed else content)
    result = run("items", file, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["topic"], said["items"], said["deleted"]) == (namespace.topic(ITEMS), 4, 1)
    assert said["bad"]["reasons"]["item_id: required field is missing"] == 1
    assert said["bad"]["reasons"]["price: expected a number of at least 0"] == 2
    assert said["bad"]["reasons"]["deleted: true or false is wanted"] == 1
    assert said["bad"]["lines"] == 5
    assert [each["line"] for each in said["bad"]["examples"]] == [3, 4, 6]
    assert said["unknown_fields"] == {"titel": 1, "Brand": 1, "shelf": 1}
    assert "5 of 10 lines were bad and are not produced (most often: price: expected" in result.stderr
    found = records(namespace)
    put = {"i1": LINES[0], "7": LINES[1], "i3": None, "i6": LINES[8], "i8": LINES[9]}
    assert {key: value for key, (value, _) in found.items()} == put
    assert all(place == (murmur2(key.encode()) & 0x7FFFFFFF) % 4 for key, (_, place) in found.items())
    table = run("items", file).stdout
    assert "5 items produced" in table
    assert "1 line has an unknown field 'titel' (is 'title' meant?): nothing is made of it" in table
    assert "1 line has an unknown field 'Brand' (is 'brand' meant?)" in table
    assert "1 line has an unknown field 'shelf': nothing" in table
    assert "1 of them deleted" in table
    assert "2 lines bad, the first is line 4: price: expected a number of at least 0; it is -" in table


def test_a_limit_is_kept_and_the_last_line_of_an_item_holds(run: Run, namespace: Settings, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("".join(f'{{"item_id": "i{n % 10}", "title": "{n}"}}\n' for n in range(3000)))
    assert json.loads(run("items", file, "--limit", "25", "--json").stdout)["items"] == 25
    assert json.loads(run("items", file, "--json").stdout)["items"] == 3000
    assert {json.loads(value or b"")["title"] for value, _ in records(namespace).values()} == {
        str(n) for n in range(2990, 3000)
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"item,price\n1,2\n", "none of its lines is an item; line 1 is 'item,price': not JSON"),
        (b'{"price": 1}\n', "item_id: required field is missing"),
        (gzip.compress(b"item,price", mtime=0)[:-9], "cut short or damaged"),
    ],
)
def test_a_file_of_something_else_is_a_failure_of_one_line_and_leaves_no_traces(
    run: Run, namespace: Settings, tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(content)
    failed = run("items", file)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert said in failed.stderr.splitlines()[-1]
    assert failed.stderr.splitlines()[-1].startswith(f"freshet: {file}: ")
    with pytest.raises(UnknownTopicOrPartitionError):
        read_spans(namespace.brokers, namespace.topic(ITEMS))


def test_a_file_of_nothing_is_a_failure_that_leaves_no_traces(run: Run, namespace: Settings, tmp_path: Path) -> None:
    empty, blank = tmp_path / "empty.jsonl", tmp_path / "blank.jsonl"
    empty.touch()
    blank.write_bytes(gzip.compress(b"\n\r\n"))
    for what, file in (("items", empty), ("items", blank), ("users", blank)):
        failed = run(what, file)
        assert (failed.exit_code, failed.stdout) == (1, "")
        assert failed.stderr.splitlines()[-1] == f"freshet: {file} has no {what}"
    with pytest.raises(UnknownTopicOrPartitionError):
        read_spans(namespace.brokers, namespace.topic(ITEMS))


def test_a_file_of_which_most_is_bad_is_a_failure_though_the_rest_is_produced(
    run: Run, namespace: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(b"\n".join([LINES[0], LINES[2], LINES[3]]))
    failed = run("items", file, "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["items"] == 1
    assert failed.stderr.splitlines()[-1].startswith(
        "freshet: 2 of 3 lines were bad and are not produced (most often: item_id: "
    )
    assert records(namespace).keys() == {"i1"}


def passed(**reasons: int) -> Passed:
    return Passed(reasons=dict(reasons))


def test_how_much_of_a_file_may_be_bad(capsys: pytest.CaptureFixture[str]) -> None:
    judge(1, passed(), "events")
    assert capsys.readouterr().err == ""
    judge(3, passed(a=1, b=2), "events")
    assert capsys.readouterr().err == "freshet: 3 of 6 events were bad and are not produced (most often: b)\n"
    with pytest.raises(Failure, match=r"2 of 3 events were bad .*the 1 other is\. That is more than half"):
        judge(1, passed(a=2), "events")
    with pytest.raises(Failure, match=r"4 of 7 events were bad .*the 3 others are\. That is more than half"):
        judge(3, passed(a=2, b=2), "events")
    judge(3, passed(a=2, policy=90), "events", wanted=90)
    judge(0, passed(policy=90), "events", wanted=90)


def test_a_file_that_is_not_there_and_wrong_usage(run: Run, tmp_path: Path) -> None:
    failed = run("items", tmp_path / "none.jsonl")
    assert failed.exit_code == 1
    assert "none.jsonl cannot be read: No such file" in failed.stderr
    assert run("items").exit_code == 2
    assert run("items", "x", "--limit", "-1").exit_code == 2
    assert run("item").exit_code == 2


def test_an_item_is_shown_as_a_table_or_as_it_came(run: Run, namespace: Settings) -> None:
    value = {
        "title": "Red\x1b[31m mug", "price": 1234.5, "currency": "EUR", "brand": "[b]Acme",
        "categories": ["Home > Mugs", "Gifts"], "availability": "out_of_stock", "url": "http://shop.example/1",
    }  # fmt: skip
    with open_client(namespace.redis) as client:
        client.set(Keys(namespace.key_prefix).item("i:1"), json.dumps(value), ex=60)
        client.set(Keys(namespace.key_prefix).item("bare"), b"{}", ex=60)
    table = run("item", "i:1")
    assert table.exit_code == 0
    for text in ("1,234.50 EUR", "[b]Acme", "Home > Mugs; Gifts", "no: it is recommended", "http://shop.example/1"):
        assert text in table.stdout
    assert "\x1b[31m" not in table.stdout
    assert json.loads(run("item", "i:1", "--json").stdout) == value
    assert "yes" in run("item", "bare").stdout


def test_an_unknown_item_is_a_failure_of_one_line(run: Run, namespace: Settings) -> None:  # noqa: ARG001
    failed = run("item", "nothing")
    assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert "item 'nothing' is not in the catalogue" in failed.stderr


def catalogue_finding(result: Result) -> dict[str, Any]:
    [found] = [finding for finding in json.loads(result.stdout) if finding["area"] == "catalogue"]
    return dict(found)


def test_the_doctor_says_how_the_topic_is(run: Run, namespace: Settings, tmp_path: Path) -> None:
    create_missing(namespace)
    file = tmp_path / "items.jsonl"
    file.write_bytes(b"\n".join(LINES))
    assert run("items", file).exit_code == 0
    found = catalogue_finding(run("doctor", "--json"))
    assert (found["status"], found["found"]) == ("ok", "5 records at most, compacted")
    assert not [f for f in json.loads(run("doctor", "--json", FRESHET_CATALOGUE="false").stdout) if f["area"] == "catalogue"]


@pytest.mark.parametrize(("name", "area"), [(ITEMS, "catalogue"), (USERS, "users")])
def test_the_doctor_warns_of_a_topic_that_is_not_compacted(run: Run, namespace: Settings, name: str, area: str) -> None:
    topic = namespace.topic(name)
    with KafkaAdminClient(**namespace.brokers.connection()) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "configs": {"cleanup.policy": "delete"}}})
        admin.wait_for_topics([topic])
    [found] = [finding for finding in json.loads(run("doctor", "--json").stdout) if finding["area"] == area]
    assert found["status"] == "warning"
    assert f"not compacted: Kafka forgets {name}" in found["found"]
    assert "cleanup.policy=compact" in found["todo"]

"""What the shop says of users: as strictly checked as items, newest wins whatever ends, and told with the customer."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from dying import Dying
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from strategies import encoded
from test_catalogue_effects import KEYS, SETTINGS, Desk, Log
from test_customers import orders, told
from test_laws import KEYS as COUNTING
from workers import Workers, wait_until

from recsys.connection import open_client
from recsys.customers.user import BadUser, Consent, User, decode, encode
from recsys.keys import Keys
from recsys.readers.movielens import users, users_file
from recsys.readers.source import FormatError, Source
from recsys.record import with_given
from recsys.store import MemoryStore
from streams import users as module
from streams.bench.timing import records
from streams.cli import main
from streams.cli.users import told as told_of
from streams.outbox import Outbox
from streams.settings import Settings
from streams.topics import CUSTOMERS, EVENTS, RECOMMENDATIONS, REJECTED, USERS, create_missing
from streams.users import UserStream

PATIENCE_S = 10.0


# A record


def test_a_good_user_is_taken_and_what_is_null_is_left_out() -> None:
    attributes: dict[str, Any] = {
        "age": 34, "gender": "F", "country": "FR", "city": "Nîmes", "registered_at": "2020-02-29T10:00:00+01:00",
        "loyalty": True, "sizes": ["S", "M"], "score": 0.5, "nothing": None,
    }  # fmt: skip
    value = encoded({"user_id": 7, "attributes": attributes, "consent": {"personalise": False, "analyse": None}, "more": 1})
    user = decode(b"7", value)
    assert user == User("7", {k: v for k, v in attributes.items() if v is not None}, Consent(personalise=False))
    assert decode(b"7", encode(user)) == user
    assert decode(b"anon:v1", b"{}") == User("anon:v1")


@pytest.mark.parametrize(
    ("key", "fields", "reason"),
    [
        (b"u", {"user_id": "other"}, "user_id: 'other' is not the record's key, 'u'"),
        (b"u", {"user_id": ""}, "user_id: expected a text that is not empty"),
        (b"u", {"attributes": []}, "attributes: expected an object"),
        (b"u", {"attributes": {"age": 151}}, "attributes.age: expected a whole number of at most 150"),
        (b"u", {"attributes": {"age": "34"}}, "attributes.age: expected a whole number, got a text"),
        (b"u", {"attributes": {"age": True}}, "attributes.age: expected a whole number, got true or false"),
        (b"u", {"attributes": {"gender": ""}}, "attributes.gender: expected a text that is not empty"),
        (b"u", {"attributes": {"country": "France"}}, "attributes.country: expected two capital letters, as DE (ISO 3166-1)"),
        (b"u", {"attributes": {"city": "x" * 257}}, "attributes.city: expected a text of at most 256 characters"),
        (b"u", {"attributes": {"registered_at": "2020-02-30"}}, "attributes.registered_at: expected a time or a day"),
        (b"u", {"attributes": {"registered_at": "2020-02-29T10:00:00"}}, "attributes.registered_at: expected a time with"),
        (b"u", {"attributes": {"x": {}}}, "attributes[...]: expected"),
        (b"u", {"attributes": {"x": "x" * 257}}, "attributes.x: 'xxx"),
        (b"u", {"attributes": {"x": ["x"] * 101}}, "attributes.x: 101 texts: at most 100"),
        (b"u", {"attributes": {"": 1}}, "attributes: the name '' has 0 characters"),
        (b"u", {"attributes": {f"a{n}": n for n in range(101)}}, "attributes: 101 of them: at most 100"),
        (b"u", {"attributes": {"x": float("nan")}}, "attributes: NaN and Infinity"),
        (b"u", {"consent": {"personalize": False}}, "consent: object contains unknown field `personalize`"),
        (b"u", {"consent": {"analyse": "no"}}, "consent.analyse: expected true or false, got a text"),
        (b"u", {"consent": True}, "consent: expected an object, got true or false"),
        (b"", {}, "the record has no key"),
        (b"\xff", {}, "the record's key is not UTF-8"),
        (b"u" * 129, {}, "the record's key 'uuu"),
    ],
)
def test_a_bad_user_is_refused_with_the_field_first(key: bytes, fields: Mapping[str, object], reason: str) -> None:
    with pytest.raises(BadUser) as refused:
        decode(key, json.dumps(fields).encode())
    assert str(refused.value).startswith(reason)


def test_a_misspelt_consent_is_told_with_the_names_that_there_are() -> None:
    with pytest.raises(BadUser) as refused:
        decode(b"u", b'{"consent": {"personalize": false}}')
    assert with_given(refused.value) == "consent: object contains unknown field `personalize`; known are personalise, analyse"


CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["age", "country", "registered_at", "personalise", "é", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = (
    st.dictionaries(st.sampled_from(["user_id", "attributes", "consent", "more"]), CONTENT).map(json.dumps).map(str.encode)
)


@given(st.binary(max_size=200) | OBJECTS)
def test_no_record_does_anything_but_be_taken_or_refused(value: bytes) -> None:
    try:
        user = decode(b"u", value)
    except BadUser:
        return
    assert decode(b"u", encode(user)) == user


# The topic, without servers


class Consumer:
    """What reads the partitions of the log that are assigned; `step` records at once."""

    def __init__(self, log: Log, step: int) -> None:
        self._log = log
        self._step = step
        self._positions: dict[Any, int] = {}

    async def __aenter__(self) -> "Consumer":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def assign(self, places: Sequence[Any]) -> None:
        self._positions = dict.fromkeys(places, -1)

    def seek(self, place: Any, offset: int) -> None:
        self._positions[place] = offset

    async def end_offsets(self, places: Sequence[Any]) -> dict[Any, int]:
        logs = {place: self._log.partitions[place.partition] for place in places}
        return {place: log[-1].offset + 1 if log else 0 for place, log in logs.items()}

    async def getmany(self, **_: Any) -> dict[Any, list[Any]]:
        await asyncio.sleep(0.001)
        found = {}
        for place, position in self._positions.items():
            assert position >= 0, "it reads from where nobody said"
            records = [record for record in self._log.partitions[place.partition] if record.offset >= position][: self._step]
            if records:
                found[place] = records
                self._positions[place] = records[-1].offset + 1
        return found


class One:
    """A worker's reading of the log."""

    def __init__(self, log: Log, store: MemoryStore, desk: Desk, owned: Iterable[int] = (0, 1)) -> None:
        self.log = log
        self.owned = set(owned)
        self.stream = UserStream(SETTINGS, KEYS, store, cast(Outbox, desk), 2, 3, self.owned)
        self.task = asyncio.create_task(self.stream.run())

    async def until(self, predicate: Callable[[], object], what: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while not predicate():
            assert loop.time() < until, f"it did not happen that {what}"
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.002)

    async def noted(self, store: MemoryStore) -> None:
        """Returns when all that is on the log has had its effects."""
        for n, log in enumerate(self.log.partitions):
            if log:
                await self.until(
                    lambda n=n, log=log: int(store.values.get(KEYS.users_mark(n), b"-1")) == log[-1].offset,  # type: ignore[misc]
                    f"partition {n} was read",
                )


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log that is read in small steps."""
    log = Log()
    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: Consumer(log, 3))
    monkeypatch.setattr(module, "POLL_MS", 1)
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    return log


def say(log: Log, *partitions: int, rounds: int = 3) -> None:
    """Users who are described, deleted and described badly, on and on."""
    for n in range(rounds):
        for partition in partitions or (0, 1):
            for user in range(4):
                name = f"u{partition}{user}"
                if (n + user) % 4 == 3:
                    log.tell_bytes(name, None, partition)
                elif (n + user) % 4 == 2:
                    log.tell_bytes(name, b'{"attributes": {"age": -1}}', partition)
                else:
                    log.tell(name, partition, attributes={"age": n}, consent={"analyse": n % 2 == 1, "personalise": user > 0})


def truth(log: Log) -> dict[str, dict[str, Any]]:
    """By key, what the last good record of each user says, read by another program's JSON, and who refuses what."""
    found: dict[str, dict[str, Any]] = {}
    for n, partition in enumerate(log.partitions):
        said = {user: word.get("consent", {}) for user, word in _said(partition, found).items()}
        refusing = {
            what: sorted(user for user, word in said.items() if word.get(what) is False) for what in ("personalise", "analyse")
        }
        found |= {f"p:{{p{n}}}:refusals": refusing} if partition else {}
    return found


def _said(partition: Sequence[Any], found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By user, the last good record of those of one partition; puts them among all."""
    for record in partition:
        key = f"p:user:{record.key.decode()}"
        if not record.value:
            found.pop(key, None)
        elif json.loads(record.value).get("attributes", {}).get("age", 0) >= 0:
            found[key] = {"user_id": record.key.decode()} | json.loads(record.value)
    here = {record.key.decode() for record in partition}
    return {user: found[f"p:user:{user}"] for user in here if f"p:user:{user}" in found}


def known(store: MemoryStore) -> dict[str, dict[str, Any]]:
    users = {key: json.loads(value) for key, value in store.values.items() if key.startswith("p:user:")}
    noted = {key: json.loads(value) for key, value in store.values.items() if key.endswith(":refusals")}
    return users | {key: {what: sorted(who) for what, who in each.items()} for key, each in noted.items()}


def test_the_last_good_record_of_each_user_holds(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        say(log)
        one = One(log, store, desk)
        await one.noted(store)
        assert known(store) == truth(log)
        assert {(letter.partition, letter.value) for letter in desk.rejected} == {
            (partition, b'{"attributes": {"age": -1}}') for partition in (0, 1)
        }
        assert dict(desk.rejected[0].headers)["reason"] == b"attributes.age: expected a whole number of at least 0; it is -1"
        bad = [record for partition in log.partitions for record in partition if b"-1" in (record.value or b"")]
        assert len(desk.rejected) == len(bad) > 0
        one.task.cancel()

    asyncio.run(test())


def test_each_partition_is_read_by_its_owner_alone_and_from_its_mark(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        say(log)
        one, other = One(log, store, desk, owned=[0]), One(log, store, desk, owned=[])
        await one.until(lambda: int(store.values.get(KEYS.users_mark(0), b"-1")) == len(log.partitions[0]) - 1, "0 was read")
        assert {key[:9] for key in known(store)} == {"p:user:u0", "p:{p0}:re"}
        other.owned.add(1)
        await other.noted(store)
        assert known(store) == truth(log)
        told_before = len(desk.rejected)
        one.owned.clear()
        other.owned.add(0)
        log.tell("later", 0)
        await other.noted(store)
        assert (known(store), len(desk.rejected)) == (truth(log), told_before)
        one.task.cancel()
        other.task.cancel()

    asyncio.run(test())


@pytest.mark.parametrize("writes", range(12))
def test_a_worker_that_ends_before_any_of_its_writes_leaves_nothing_undone(log: Log, writes: int) -> None:
    async def test() -> None:
        store, desk = Dying(writes), Desk()
        say(log)
        first = One(log, store, desk)
        with pytest.raises(ConnectionError):
            await first.noted(store)
        store.left = 1_000_000
        second = One(log, store, desk)
        await second.noted(store)
        assert known(store) == truth(log)
        bad = {record.value for partition in log.partitions for record in partition if b"-1" in (record.value or b"")}
        assert {letter.value for letter in desk.rejected} == bad
        second.task.cancel()

    asyncio.run(test())


class Hindered(MemoryStore):
    """A worker's way to a store that others share; it waits before it writes values, or before it moves a mark."""

    def __init__(self, shared: MemoryStore) -> None:
        super().__init__()
        self.values = shared.values
        self.may_put, self.may_swap = asyncio.Event(), asyncio.Event()
        self.may_put.set()
        self.may_swap.set()

    async def put(self, *arguments: Any) -> bool:
        await self.may_put.wait()
        return await super().put(*arguments)

    async def swap(self, *arguments: Any) -> list[bool]:
        await self.may_swap.wait()
        return await super().swap(*arguments)


@pytest.mark.parametrize("after_the_mark", [False, True])
def test_what_goes_out_late_is_put_right_by_the_owner(log: Log, after_the_mark: bool) -> None:
    """Older values of a worker that stood still go out after newer ones of another: before that moves the mark, or after."""

    async def test() -> None:
        shared, desk = MemoryStore(), Desk()
        slow, quick = Hindered(shared), Hindered(shared)
        one, other = One(log, slow, desk, owned=[0]), One(log, quick, desk, owned=[])
        log.tell("a", 0, attributes={"age": 1})
        await one.noted(shared)
        slow.may_put.clear()
        log.tell("a", 0, attributes={"age": 2})
        await asyncio.sleep(0.02)
        one.owned.clear()
        other.owned.add(0)
        if not after_the_mark:
            quick.may_swap.clear()
        log.tell("a", 0, attributes={"age": 3})
        await other.until(lambda: known(shared)["p:user:a"]["attributes"]["age"] == 3, "the newer value was written")
        if after_the_mark:
            await other.noted(shared)
        slow.may_put.set()
        await other.until(lambda: known(shared)["p:user:a"]["attributes"]["age"] == 2, "the older value went out")
        await asyncio.sleep(0.02)
        quick.may_swap.set()
        await other.until(lambda: known(shared)["p:user:a"]["attributes"]["age"] == 3, "the newer value is back")
        await other.noted(shared)
        assert known(shared) == truth(log)
        one.task.cancel()
        other.task.cancel()

    asyncio.run(test())


def test_users_are_written_again_to_a_redis_that_was_emptied(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        say(log)
        one = One(log, store, desk)
        await one.noted(store)
        store.values.clear()
        await one.noted(store)
        assert known(store) == truth(log)
        one.task.cancel()

    asyncio.run(test())


def test_a_topic_that_was_made_anew_is_told_from_its_beginning(log: Log) -> None:
    async def test() -> None:
        store, desk = MemoryStore(), Desk()
        store.values[KEYS.users_mark(0)] = b"1000"
        say(log, 0)
        one = One(log, store, desk, owned=[0])
        await one.noted(store)
        assert known(store) == truth(log)
        one.task.cancel()

    asyncio.run(test())


# With the customer


def test_a_message_of_a_customer_has_what_the_shop_said_by_then() -> None:
    store = MemoryStore()
    assert "attributes" not in told(orders(1), store=store)["u"]
    store = MemoryStore()
    store.values[COUNTING.described("u")] = encode(User("u", {"age": 34}, Consent(analyse=False)))
    said = told(orders(1), store=store)["u"]
    assert (said["attributes"], said["consent"]) == ({"age": 34}, {"analyse": False})


def run(variables: Mapping[str, str], *arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), env=variables)


def test_users_are_produced_kept_told_and_deleted_again(
    namespace: Settings, environ: dict[str, str], variables: Mapping[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "users.jsonl"
    lines: list[dict[str, Any]] = [
        {"user_id": "c1", "attributes": {"age": 34, "city": "Nîmes", "country": "FR"}, "consent": {"analyse": True}},
        {"user_id": "c2", "attributes": {"age": -1}},
        {"user_id": "c3", "attributes": {"age": 7}},
        {"user_id": "c3", "deleted": True},
        {"attributes": {}},
    ]
    file.write_bytes(b"\n".join(map(encoded, lines)))
    produced = run(variables, "users", file, "--json")
    assert produced.exit_code == 0, produced.output
    summary = json.loads(produced.stdout)
    assert (summary["topic"], summary["users"], summary["deleted"]) == (namespace.topic(USERS), 2, 1)
    assert summary["bad"]["reasons"] == {
        "attributes.age: expected a whole number of at least 0": 1,
        "user_id: required field is missing": 1,
    }
    create_missing(namespace)
    producer = KafkaProducer(**namespace.brokers.connection())
    producer.send(namespace.topic(USERS), b'{"consent": {"personalize": false}}', key=b"c2").get(timeout=30)
    keys = Keys(namespace.key_prefix)

    def kept(user: str) -> Any:
        with open_client(namespace.redis) as client:
            return client.get(keys.described(user))

    def recommended(user: str) -> Any:
        return json.loads(run(variables, "recommend", user, "--json").stdout)

    with Workers(environ, tmp_path).supervised() as workers:
        workers.start().wait_ready()
        wait_until(lambda: kept("c1"), "the user was kept", seconds=30)
        for record in orders(1, user="c1"):
            producer.send(namespace.topic(EVENTS), record.value, key=b"c1").get(timeout=30)
        wait_until(lambda: run(variables, "customer", "c1").exit_code == 0, "the customer was told", seconds=30)
        wait_until(lambda: list(records(namespace, REJECTED)), "the bad record was set aside", seconds=30)
        said = json.loads(run(variables, "customer", "c1", "--json").stdout)
        assert (said["attributes"], said["consent"]) == (lines[0]["attributes"], lines[0]["consent"])
        table = run(variables, "customer", "c1").stdout
        assert all(words in table for words in ("age 34, city Nîmes, country FR", "analyse: yes"))
        [told_to_all] = [record.value for record in records(namespace, CUSTOMERS)]
        assert json.loads(told_to_all) == said
        [rejected] = records(namespace, REJECTED)
        assert (
            dict(rejected.headers)["reason"]
            == b"consent: object contains unknown field `personalize`; known are personalise, analyse"
        )
        refusing = encoded({"consent": {"personalise": False, "analyse": False}})
        producer.send(namespace.topic(USERS), refusing, key=b"c1").get(timeout=30)
        wait_until(lambda: run(variables, "customer", "c1").exit_code == 1, "the customer was forgotten", seconds=30)
        assert "who refuses it" in run(variables, "customer", "c1").stderr
        wait_until(lambda: [r.value for r in records(namespace, CUSTOMERS)] == [told_to_all, None], "so it was on the topic")
        wait_until(lambda: recommended("c1")["strategy"] == "opted_out", "the recommendation was replaced", seconds=30)
        [*_, last] = [record for record in records(namespace, RECOMMENDATIONS) if record.key == b"c1"]
        assert json.loads(last.value) == recommended("c1")
        assert json.loads(run(variables, "segments", "--json").stdout) == {"segments": [], "moves": [], "active customers": []}
        wait_until(lambda: run(variables, "recommend", "c1", "--strategy", "item-based").exit_code == 0, "it was ranked")
        producer.send(namespace.topic(EVENTS), orders(1, user="c1")[0].value, key=b"c1").get(timeout=30)
        wait_until(lambda: recommended("c1") != json.loads(last.value), "there was a newer one", seconds=30)
        assert recommended("c1")["strategy"] == "opted_out"
        assert run(variables, "customer", "c1").exit_code == 1
        producer.send(namespace.topic(USERS), None, key=b"c1").get(timeout=30)
        wait_until(lambda: kept("c1") is None, "the user was deleted", seconds=30)
        assert kept("c3") is None
    producer.close(timeout=30)


def test_movielens_users_are_read_as_published(tmp_path: Path) -> None:
    file = tmp_path / "u.user"
    file.write_text("1|24|M|technician|85711\n2|old|F|other|T8H1N\n3|x\n")
    source = Source(users_file(tmp_path))
    found = [json.loads(line) for _, line in users(source)]
    source.close()
    attributes = {"age": 24, "gender": "M", "occupation": "technician", "zip_code": "85711"}
    assert found[0] == {"user_id": "1", "attributes": attributes}
    assert found[1]["attributes"]["age"] == "old"  # refused where it is checked
    assert source.bad.reasons == {"not 5 columns": 1}
    file.write_text("196\t242\t3\t881250949\n")
    other = Source(file)
    with pytest.raises(FormatError, match=r"u\.user: user, age, gender"):
        list(users(other))
    other.close()


def test_every_user_of_movielens_is_as_the_contract_wants_them(data_dir: Path) -> None:
    source = Source(data_dir / "ml-100k" / "u.user")
    found = {each.key: json.loads(each.value or b"") for each in told_of(source, "movielens")}
    source.close()
    lines = (data_dir / "ml-100k" / "u.user").read_text("latin-1").splitlines()
    expected = {line.split("|")[0]: int(line.split("|")[1]) for line in lines}
    assert ({user: said["attributes"]["age"] for user, said in found.items()}, source.bad.total) == (expected, 0)


def test_a_file_of_something_else_is_refused_in_one_line(variables: Mapping[str, str], tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    file.write_text('{"item_id": 1}\n')
    answer = run(variables, "users", file)
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (1, 1)
    assert "none of its lines is a user" in answer.stderr

"""What is known of customers: equal to a recount, whatever happens, exact in money, and told on the topic and in Redis."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from customers_oracle import EPOCH, assert_accounts_are, days_of, expected
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from oracle import Parsed, Record, home_partition, recount
from strategies import NOW_MS, encoded, logs
from test_laws import FEW, KEYS, RULES, RULES_OF_ALL_KINDS, chunk, counted
from workers import Workers, wait_until

from recsys.customers import account, message, money, rfm, spread, standings
from recsys.customers.account import MOST_NAMES, OTHERS, Account
from recsys.customers.days import NO_DAYS, contains, gaps, how_many, with_day
from recsys.customers.rfm import Rfm, Spreads, Standing
from recsys.engine import Engine
from recsys.events import decode
from recsys.hashing import NONE
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.bench.timing import records
from streams.cli import main
from streams.settings import Settings
from streams.topics import CUSTOMERS, create_missing

DAY_MS = 86_400_000


@FEW
@given(logs(partitions=3), RULES_OF_ALL_KINDS)
def test_what_is_known_of_customers_is_what_the_recount_knows(log: list[Record], rules: Rules) -> None:
    truth = recount(log, 3, history=rules.history, window=rules.window, session_gap_s=rules.session_gap_ms / 1000)
    store = counted(log, 3, rules)
    assert_accounts_are(truth, store.values, KEYS, 3, rules.session_gap_ms)


@FEW
@given(logs(partitions=3))
def test_how_customers_stand_is_what_they_bought(log: list[Record]) -> None:
    truth, store = recount(log, 3, history=RULES.history, window=RULES.window), counted(log, 3)
    bought: dict[int, dict[str, list[Parsed]]] = defaultdict(lambda: defaultdict(list))
    for event in (event for theirs in truth.of_users.values() for event in theirs):
        bought[home_partition(event.home_id, 3)][event.user].append(event)
    for partition in range(3):
        spreads = rfm.unpack(store.values.get(KEYS.spreads(partition)))
        buyers = [expected(events, 1.0) for events in bought[partition].values() if any(e.kind == "purchase" for e in events)]
        assert spreads.recency == Counter((max(buyer.order_days) - EPOCH).days for buyer in buyers)
        assert spreads.frequency == Counter(buyer.orders for buyer in buyers)
        net = sorted(float(sum(buyer.spent.values()) - sum(buyer.refunded.values())) for buyer in buyers)
        stored = sorted(spread.amount_of(bucket) for bucket, n in spreads.monetary.items() for _ in range(n))
        assert stored == pytest.approx([max(amount, 0.0) for amount in net], rel=spread.ACCURACY * 1.001)


@FEW
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=60))
def test_scores_part_customers_as_fifths_of_their_values_do_also_where_many_are_equal(
    values: list[tuple[int, int, int]],
) -> None:
    everybody = [Standing(*each) for each in values]
    spreads = Spreads()
    for each in everybody:
        rfm.stand(spreads, None, each)
    recency, frequency, monetary = np.array(values).T
    edges = [np.quantile(column, (0.2, 0.4, 0.6, 0.8)) for column in (-recency, frequency, monetary)]
    of_age, of_number, of_amount = (
        1 + np.searchsorted(edge, column, side="left")  # as pandas.qcut: a value on an edge belongs below it
        for edge, column in zip(edges, (-recency, frequency, monetary), strict=True)
    )
    expected = [Rfm(6 - int(r), int(f), int(m)) for r, f, m in zip(of_age, of_number, of_amount, strict=True)]
    assert [rfm.rfm(each, rfm.fifths(spreads)) for each in everybody] == expected


def day_before(days: int) -> str:
    return (EPOCH + timedelta(milliseconds=NOW_MS, days=-days)).isoformat()


def orders(*sizes: int, user: str = "u") -> list[Record]:
    """So many orders a day of one user, for some days."""
    log: list[Record] = []
    for day, size in enumerate(sizes):
        for _ in range(size):
            event = {
                "event_type": "order", "user_id": user, "item_id": "a", "price": 0.1, "currency": "EUR",
                "event_time": NOW_MS - (len(sizes) - day) * DAY_MS,
            }  # fmt: skip
            log.append(Record(0, len(log), NOW_MS, None, encoded(event)))
    return log


def told(log: list[Record], rules: Rules | None = None, store: MemoryStore | None = None) -> dict[str, dict[str, object]]:
    """The messages on these records, by user."""
    engine = Engine(store or MemoryStore(), KEYS, rules or Rules())

    async def messages() -> dict[str, dict[str, object]]:
        counted = await engine.count(chunk(0, 0, log[-1].offset, log, 1))
        return {known.user: json.loads(message.encode(said)) for known, said in await engine.customers(counted)}

    return asyncio.run(messages())


def test_a_message_says_what_an_account_has() -> None:
    said = told(orders(1, 0, 2))["u"]
    assert said | {
        **dict.fromkeys(("updated_at", "first_seen", "last_seen", "best_weekday"), ""), "best_hour": 0,
    } == {
        "user_id": "u", "updated_at": "", "first_seen": "", "last_seen": "", "best_hour": 0, "best_weekday": "",
        "days_active": 2, "sessions": 2, "events": {"purchase": 3}, "orders": 3, "units": 3,
        "order_days": 2, "first_order": day_before(3), "last_order": day_before(1), "spent": {"EUR": 0.3},
        "average_order": {"EUR": 0.1}, "days_between_orders": {"mean": 2.0, "median": 2.0},
        "rfm": {"recency": 5, "frequency": 1, "monetary": 1}, "segment": "new",
    }  # fmt: skip


def test_ten_times_a_tenth_is_one() -> None:
    assert b'"spent":{"EUR":1}' in message.encode(
        message.customer("u", account.unpack(counted(orders(10), 1).values[KEYS.account(0, "u")]), NOW_MS, None, None)
    )


def test_events_that_change_no_history_count_for_the_customer_and_rank_nothing() -> None:
    log = [Record(0, 0, NOW_MS, None, encoded({"event_type": "search", "user_id": "u", "query": "shoes"}))]
    assert told(log)["u"]["events"] == {"search": 1}
    store = counted(log, 1)
    assert not [key for key in store.values if ":user:" in key]


def test_no_accounts_are_kept_where_they_are_turned_off() -> None:
    rules = Rules(customers=False)
    assert told(orders(2), rules) == {}
    assert not [key for key in counted(orders(2), 1, rules).values if "account" in key or "spreads" in key]


def test_a_segment_that_changed_is_said_with_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standings, "FRESH_S", -1.0)
    store = MemoryStore()
    engine = Engine(store, KEYS, Rules())
    log = orders(1)

    async def of(part: list[Record]) -> message.Customer:
        counted = await engine.count(chunk(0, part[0].offset, part[-1].offset, part, 1))
        [(known, said)] = await engine.customers(counted)
        store.values[KEYS.customer(known.user)] = message.encode(said)
        return said

    first = asyncio.run(of(log))
    assert first.previous_segment is None
    store.values[KEYS.customer("u")] = b'{"segment":"lost"}'
    again = asyncio.run(of([log[0]._replace(offset=1)]))
    assert (again.previous_segment, again.segment) == ("lost", first.segment)
    assert asyncio.run(of([log[0]._replace(offset=2)])).previous_segment is None


@pytest.mark.parametrize("slip", [{"price": 1e300}, {"quantity": 1e18, "price": 1}, {"price": 1e6, "quantity": 1e6}])
def test_an_amount_that_cannot_be_spoils_no_sum(slip: dict[str, float]) -> None:
    order = {"event_type": "order", "user_id": "u", "item_id": "a", "event_time": NOW_MS}
    slipped, right = ({**order, **paid} for paid in (slip, {"price": 2.5}))
    said = told([Record(0, n, NOW_MS, None, encoded(event)) for n, event in enumerate([slipped, right])])["u"]
    assert (said["orders"], said["spent"]) == (2, {"XXX": 2.5})


def test_the_largest_amount_is_taken_and_no_sum_is_above_the_largest_one() -> None:
    kept = Account(spent={"XXX": money.MOST - 1}, refunded={}, units=money.MOST - 1)
    event = {"event_type": "order", "user_id": "u", "item_id": "a", "price": 1e10, "quantity": 1, "event_time": NOW_MS}
    account.count(kept, decode(encoded(event), NOW_MS), NONE, begins_session=True)
    assert (kept.spent, kept.units) == ({"XXX": money.MOST}, money.MOST)


def test_clocks_that_are_wrong_by_thousands_of_years_do_not_make_an_account_large() -> None:
    kept = Account()
    for year in (2020, 9999, 1995, 2021):
        event = {"event_type": "order", "user_id": "u", "item_id": "a", "event_time": f"{year}-01-01T00:00:00Z"}
        account.count(kept, decode(encoded(event), 253_402_300_000_000), NONE, begins_session=False)
    assert days_of(kept.order_days) == {date(2020, 1, 1), date(2021, 1, 1)}
    assert kept.orders == 4


def test_strangers_words_do_not_make_an_account_grow_without_end() -> None:
    kept = Account()
    for n in range(100):
        event = {"event_type": "click", "user_id": "u", "item_id": "a", "source": f"source {n} " + "x" * 1000}
        account.count(kept, decode(encoded(event), NOW_MS), NONE, begins_session=False)
    assert len(kept.sources) == MOST_NAMES + 1
    assert kept.sources[OTHERS] == 100 - MOST_NAMES
    assert len(account.pack(kept)) < 1500


@FEW
@given(st.lists(st.integers(9_000, 12_000)))
def test_a_set_of_days_has_the_days_that_were_put_in(days: list[int]) -> None:
    kept = NO_DAYS
    for day in days:
        kept = with_day(kept, day)
    there = sorted(set(days))
    assert how_many(kept) == len(there)
    assert [day for day in range(8_990, 12_010) if contains(kept, day)] == there
    assert gaps(kept) == np.diff(there).tolist()
    assert not there or (kept.first, kept.last) == (there[0], there[-1])


@FEW
@given(st.lists(st.integers(0, spread.EXACT), min_size=1), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_of_a_spread_are_those_of_its_values(values: list[int], shares: list[float]) -> None:
    kept: spread.Spread = {}
    for value in values:
        spread.move(kept, None, spread.bucket_of_number(value))
    assert spread.quantiles(kept, shares) == pytest.approx(np.quantile(values, shares))


@FEW
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_what_moves_through_a_spread_leaves_nothing_behind(moves: list[tuple[int, int]]) -> None:
    kept: spread.Spread = {}
    for before, after in moves:
        spread.move(kept, None, before)
        spread.move(kept, before, after)
    for _, after in moves:
        spread.move(kept, after, None)
    assert kept == {}


@FEW
@given(st.floats(1e-6, 1e12))
def test_a_bucket_is_as_close_as_it_says(value: float) -> None:
    assert spread.amount_of(spread.bucket_of_amount(value)) == pytest.approx(value, rel=spread.ACCURACY * 1.001)


def test_scores_are_the_fifths_of_all_customers() -> None:
    everybody = [Standing(day, day, day) for day in range(1, 101)]
    spreads = Spreads()
    for each in everybody:
        rfm.stand(spreads, None, each)
    scores = [rfm.rfm(each, rfm.fifths(spreads)) for each in everybody]
    assert [scores.count(Rfm(n, n, n)) for n in range(1, 6)] == [20] * 5
    assert scores == sorted(scores)


def test_amounts_in_other_currencies_weigh_what_they_are_worth() -> None:
    kept = Account(
        orders=1, order_days=with_day(NO_DAYS, 1), spent={"EUR": 2_000_000, "USD": 10_000_000}, refunded={"EUR": 10**6}
    )
    rates = {"EUR": 1.0, "USD": 0.5}
    standing = rfm.standing(kept, rates)
    assert standing is not None
    assert spread.amount_of(standing.monetary) == pytest.approx(6.0, rel=spread.ACCURACY)


@pytest.mark.parametrize("value", [Decimal("-0.000001"), Decimal("12"), Decimal("0.1"), Decimal("1234567.654321")])
def test_millionths_are_written_as_the_decimal_they_are(value: Decimal) -> None:
    assert money.decimal(int(value * money.MICROS)) == value


# On the running stream


def test_a_customer_is_told_on_the_topic_in_redis_and_on_the_command_line(
    namespace: Settings, environ: dict[str, str], variables: Mapping[str, str], tmp_path: Path
) -> None:
    create_missing(namespace)
    producer = KafkaProducer(**namespace.brokers.connection())
    for record in orders(1, 2, user="c1") + orders(1, user="c2"):
        user = json.loads(record.value or b"")["user_id"]
        producer.send(namespace.topic("events"), record.value, key=user.encode())
    producer.close(timeout=30)

    def run(*command: str) -> tuple[int, str]:
        answer = CliRunner().invoke(main, ["customer", *command], env=variables)
        return answer.exit_code, answer.output

    with Workers(environ, tmp_path).supervised() as workers:
        workers.start().wait_ready()
        wait_until(lambda: '"orders":3' in run("c1", "--json")[1], "the customer was told", seconds=60)
        wait_until(lambda: run("c2")[0] == 0, "the other customer was told", seconds=60)
    on_the_topic = {record.key.decode(): record.value.decode() for record in records(namespace, CUSTOMERS)}
    assert on_the_topic["c1"] == run("c1", "--json")[1].strip()
    assert set(on_the_topic) == {"c1", "c2"}
    code, table = run("c1")
    assert code == 0
    assert all(words in table for words in ("segment", "0.30 EUR", "days between orders", "3, 3 units"))
    code, said = run("nobody")
    assert (code, len(said.splitlines())) == (1, 1)
    assert "'nobody'" in said

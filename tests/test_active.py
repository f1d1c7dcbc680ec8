"""Active customers and sales by time, and what leads or rises: what sets of the events have, late ones in their own time."""

import asyncio
import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from click.testing import CliRunner
from customers_oracle import EPOCH
from hypothesis import given, settings
from hypothesis import strategies as st
from test_shop_figures import put

from recsys.customers.days import NO_DAYS, with_day
from recsys.ledger.active import LAST_DAYS, Activity, table
from streams.cli import main
from streams.settings import Settings

VISITS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100) | st.integers(0, 7_000)), max_size=60)


@settings(max_examples=40)
@given(VISITS)
def test_who_comes_on_several_days_counts_once_in_a_week_and_in_four(visits: list[tuple[int, int]]) -> None:
    there: dict[int, set[int]] = defaultdict(set)
    days = dict.fromkeys({who for who, _ in visits}, NO_DAYS)
    for who, day in visits:
        there[10_000 + day].add(who)
        days[who] = with_day(days[who], 10_000 + day)
    activity = Activity()
    for each in days.values():
        activity.add(each)

    def within(day: int, length: int) -> int:
        return len({who for back in range(length) for who in there.get(day - back, ())})

    last = max(there, default=0)
    assert activity.told() == [
        (day, len(there[day]), within(day, 7), within(day, 28)) for day in sorted(there) if day > last - LAST_DAYS
    ]


def test_active_customers_are_told_by_date_with_their_share() -> None:
    activity = Activity()
    activity.add(with_day(with_day(NO_DAYS, 20_000), 20_001))
    activity.add(with_day(NO_DAYS, 20_000))
    assert table(activity).rows == [["2024-10-04", 2, 2, 2, 1.0], ["2024-10-05", 1, 2, 2, 0.5]]
    assert table(Activity()).rows == []


def test_the_commands_tell_sales_by_any_time_and_what_leads(namespace: Settings, variables: Mapping[str, str]) -> None:
    def run(*command: str) -> Any:
        answer = CliRunner().invoke(main, [*command, "--json"], env=variables)
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    asyncio.run(put(namespace))
    [first, *_] = run("sales")
    assert {name: first[name] for name in ("events", "customers", "buyers", "orders", "spent EUR")} == {
        "events": 5, "customers": 2, "buyers": 1, "orders": 1, "spent EUR": 19,
    }  # fmt: skip
    hours, minutes = run("sales", "--by", "hour"), run("sales", "--by", "minute")
    assert [(each["events"], each["customers"]) for each in hours] == [(5, 2), (1, 1), (2, 2)]
    assert [each["minute"].rpartition(":")[0] for each in minutes] == [each["hour"] for each in hours]
    [last] = run("sales", "--by", "minute", "--last", "1")
    assert last == {name: minutes[-1][name] for name in last}
    assert [each["month"] for each in run("sales", "--by", "month", "--last", "5")] == ["2025-11", "2025-12"]
    assert [(each["item"], each["orders"]) for each in run("top", "items")] == [("mug", 2), ("<b>pot</b>", 0)]
    assert run("top", "searches") == [{"search": "blue mug", "events": 1}]
    assert run("top", "categories") == []
    assert [each["item"] for each in run("top", "items", "--rising")] == ["<b>pot</b>"]
    active = run("segments")["active customers"]
    start = date.fromisoformat(active[0]["day"])
    assert [(date.fromisoformat(each["day"]) - start, each["in 7 days"], each["in 28 days"]) for each in active] == [
        (timedelta(0), 2, 2), (timedelta(7), 1, 2), (timedelta(8), 2, 2),
    ]  # fmt: skip
    moves = csv.DictReader(
        io.StringIO(CliRunner().invoke(main, ["segments", "--table", "moves", "--csv"], env=variables).stdout)
    )
    assert next(moves) == {"day": (start).isoformat(), "from": "no order", "to": "new", "customers": "1"}
    assert start > EPOCH
    for command in (["sales"], ["top", "searches"], ["segments"], ["segments", "--csv"]):
        assert CliRunner().invoke(main, command, env=variables).exit_code == 0

"""The shop's figures as people read them: tables, JSON, CSV and a page; those of a real shop are what pandas gives."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from oracle import Record
from strategies import NOW_MS, encoded
from test_laws import KEYS, counted, cut

from benchmarks.online_retail import compared, replayed
from benchmarks.retail_truth import truth
from recsys.connection import open_client, open_store
from recsys.engine import Engine
from recsys.keys import Keys
from recsys.layout import Layout, claim, layout_of
from recsys.ledger.page import page
from streams.bookkeeping import Bookkeeping
from streams.cli import main
from streams.roles import ANALYST
from streams.settings import Settings

DAY_MS = 86_400_000
LINES = 20_000
"""Of Online Retail, for the test; `python -m benchmarks.online_retail` compares the whole file."""


def test_online_retails_figures_are_those_of_pandas(data_dir: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.csv"
    with gzip.open(data_dir / "online_retail.csv.gz", "rt", encoding="utf-8") as file:
        part.write_text("".join(line for line, _ in zip(file, range(LINES), strict=False)), encoding="utf-8")
    store, recommended, events = asyncio.run(replayed(part))
    found = asyncio.run(compared(store, truth(part)))
    assert found.differences == []
    assert found.numbers > 5_000
    assert found.near < 20
    assert events > recommended > 300


def shop() -> list[Record]:
    """Two visitors view, one puts into the cart and buys, and buys again a week later; one only puts into the cart."""
    log: list[Record] = []

    def add(day: int, user: str, kind: str, **fields: Any) -> None:
        event = {"event_type": kind, "user_id": user, "item_id": "mug", "event_time": NOW_MS + day * DAY_MS, "source": "web"}
        log.append(Record(0, len(log), NOW_MS + 100 * DAY_MS, None, encoded(event | fields)))

    for user in ("anna", "ben"):
        add(0, user, "view", country="DE", session_id=user)
        add(0, user, "add_to_cart", country="DE", session_id=user)
    add(0, "anna", "purchase", price=9.5, quantity=2, currency="EUR", country="DE", session_id="anna")
    add(7, "anna", "purchase", price=10, currency="EUR", country="AT", session_id="later")
    add(8, "anna", "refund", price=10, currency="EUR", item_id="<b>pot</b>", source="=web")
    add(8, "ben", "search", query="Blue  Mug")
    return log


async def put(settings: Settings) -> None:
    async with open_store(settings.redis) as store:
        keys = Keys(settings.key_prefix)
        await claim(store, keys, layout_of(settings.topic("events"), 1, settings.rules))
        engine = Engine(store, keys, settings.rules)
        for chunk in cut(shop(), 0, [3], 1):
            await engine.count(chunk)


def test_the_commands_tell_what_was_counted(namespace: Settings, variables: Mapping[str, str], tmp_path: Path) -> None:
    def run(*command: str, code: int = 0) -> str:
        answer = CliRunner().invoke(main, command, env=variables)
        assert answer.exit_code == code, answer.output
        return answer.output

    nothing = run("report", code=1)
    assert len(nothing.splitlines()) == 1
    asyncio.run(put(namespace))
    by_sessions, by_customers = json.loads(run("funnel", "--json"))
    steps = {"seen": 3, "viewed": 2, "carted": 2, "bought": 2, "conversion": 0.6667, "cart abandonment": 0.5}
    assert by_sessions == {"all": "everything", "by": "sessions"} | steps
    assert by_customers["bought"] == 1
    assert json.loads(run("cohorts", "--json"))[1] == {
        "first order in the week of": "2025-11-24", "week": 1, "customers": 1, "buyers": 1, "retention": 1.0, "orders": 1,
        "spent EUR": 10, "refunded EUR": 10,
    }  # fmt: skip
    assert [row["customers"] for row in json.loads(run("segments", "--json"))["segments"]] == [1, 1]
    months = {row["month"]: row for row in json.loads(run("report", "--table", "months", "--json"))}
    assert months["2025-11"]["spent EUR"] == 19
    assert months["2025-12"] | {"events": 3, "customers": 2, "buyers": 1, "orders": 1} == months["2025-12"]
    sources = list(csv.DictReader(io.StringIO(run("report", "--table", "sources", "--csv"))))
    assert {row["source"] for row in sources} == {"web", "'=web"}
    assert json.loads(run("report", "--json"))["searches"] == [{"search": "blue mug", "events": 1}]
    assert "50.0 %" in run("funnel", "--by", "country")
    assert "week 1" in run("cohorts")
    assert "mug" in run("report")
    run("report", "--csv", code=2)
    run("report", "--table", "nonsense", code=2)
    assert "a page is .html, not report.pdf" in run("report", "--out", str(tmp_path / "report.pdf"), code=2)
    assert "nowhere is no folder" in run("report", "--out", str(tmp_path / "nowhere/report.html"), code=1)
    assert not list(tmp_path.iterdir())
    run("report", "--out", str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_where_nothing_is_counted_yet_tables_say_so_to_people(namespace: Settings, variables: Mapping[str, str]) -> None:
    async def claimed() -> None:
        async with open_store(namespace.redis) as store:
            layout = layout_of(namespace.topic("events"), 1, namespace.rules)
            await claim(store, Keys(namespace.key_prefix), layout)

    asyncio.run(claimed())
    for command in (["segments"], ["sales"], ["top", "items"], ["cohorts"]):
        told, encoded_too = (CliRunner().invoke(main, [*command, *more], env=variables) for more in ([], ["--json"]))
        assert (told.exit_code, encoded_too.exit_code, encoded_too.stderr) == (0, 0, "")
        assert told.stderr.startswith("freshet: there is nothing to show yet: ")


def test_an_analyst_may_read_the_figures_and_no_recommendation(
    namespace: Settings, variables: Mapping[str, str], redis_url: str
) -> None:
    asyncio.run(put(namespace))
    user = f"analyst-{namespace.key_prefix.strip(':')}"
    patterns = [f"~{pattern.replace('freshet:', namespace.key_prefix, 1)}" for pattern in ANALYST.keys]
    allowed = {**variables, "FRESHET_REDIS": redis_url.replace("redis://", f"redis://{user}:secret@")}
    with open_client(redis_url) as client:
        client.execute_command("ACL", "SETUSER", user, "on", ">secret", *patterns, *(f"+{each}" for each in ANALYST.commands))  # type: ignore[no-untyped-call]
        try:
            for command in (["report"], ["segments"], ["cohorts"], ["funnel", "--by", "category"]):
                answer = CliRunner().invoke(main, command, env=allowed)
                assert answer.exit_code == 0, answer.output
            assert CliRunner().invoke(main, ["recommend", "anna"], env=allowed).exit_code == 1
        finally:
            client.execute_command("ACL", "DELUSER", user)  # type: ignore[no-untyped-call]


def test_the_page_needs_no_network_and_no_script_and_shows_strangers_words_as_they_are() -> None:
    store = counted(shop(), 1)
    written = page(asyncio.run(Bookkeeping(store, KEYS, Layout("events", 1, customers=True)).report()))
    assert written.count("<svg") > 5
    assert "&lt;b&gt;pot&lt;/b&gt;" in written
    for forbidden in ("<script", "<b>pot", "https:", "src=", "@import", "url("):
        assert forbidden not in written
    assert {part.split('"')[0] for part in written.split("http:")[1:]} <= {"//www.w3.org/2000/svg", "//www.w3.org/1999/xlink"}


@pytest.mark.parametrize("log", [[], shop()[:1]])
def test_a_page_of_little_is_a_page(log: list[Record]) -> None:
    written = page(asyncio.run(Bookkeeping(counted(log, 1), KEYS, Layout("events", 1, customers=True)).report()))
    assert written.endswith("</html>\n")

"""`freshet demo`, on the real thing; and its parts that need no servers."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from io import StringIO
from pathlib import Path
from random import Random

import psutil
import pytest
from msgspec.structs import replace
from rich.console import Console

from recsys.events import Event, Kind, Line
from streams.demo.board import Board, Picture
from streams.demo.followed import PATIENCE_S, Followed
from streams.demo.measure import Hits, Latencies, most_popular
from streams.demo.show import PlainShow
from streams.demo.stopping import Stopping
from streams.demo.view import rows_for, view
from streams.shop.catalogue import build_catalogue

FRESHET = [sys.executable, "-m", "streams"]


def demo(*arguments: str, folder: Path) -> "subprocess.Popen[str]":
    """The demo in a process of its own, with its temporary files in `folder`, and misled by variables that are set."""
    return subprocess.Popen(
        [*FRESHET, "demo", *arguments],
        env=os.environ | {"TMPDIR": str(folder), "FRESHET_BROKER": "kafka://127.0.0.1:1", "FRESHET_TOP_N": "3"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_ends_with_equal_counts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = demo("--seconds", "6", "--seed", "1", "--json", folder=tmp_path)
    children: set[psutil.Process] = set()
    while process.poll() is None:
        children.update(psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ())
        time.sleep(0.2)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert len(children) >= 3
    assert not [child for child in children if child.is_running()]
    assert not list(tmp_path.iterdir())

    summary = json.loads(out)
    recount = summary["recount"]
    assert recount["equal"] is True
    assert recount["differences"] == 0
    assert recount["pairs"] > 100
    assert summary["seed"] == 1
    assert 6 <= summary["seconds"] < 8
    assert summary["events"] == pytest.approx(900, rel=0.2)
    assert summary["recommendations"] > 0.3 * summary["events"]
    assert 0 < summary["latency_p50_ms"] <= summary["latency_p99_ms"] < 10_000
    assert summary["started_s"] < 60
    assert summary["next_items"] > summary["next_recommended"] > 0
    assert summary["rejected"] == summary["broken"]
    assert "FRESHET_BROKER=kafka://127.0.0.1:" in err
    assert "freshet recommend me" in err


def test_on_a_terminal_there_is_a_live_view_and_then_the_summary(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*FRESHET, "demo", "--seconds", "3"],
        env=os.environ | {"TMPDIR": str(tmp_path), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    with suppress(OSError):  # what Linux says at the end of a terminal
        while part := os.read(ours, 65_536):
            seen += part
    os.close(ours)
    text = seen.decode(errors="replace")
    assert process.wait() == 0, text
    for words in ("freshet recommend me", "and is recommended", "following", "0 differences"):
        assert words in text
    assert "Traceback" not in text


def test_ctrl_c_closes_the_shop_and_still_makes_the_accounts(tmp_path: Path) -> None:
    process = demo("--seconds", "0", "--rate", "50", folder=tmp_path)
    assert process.stdout
    for line in process.stdout:
        if "events" in line and "p50" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "recount" in out
    assert "0 differences" in out
    assert not list(tmp_path.iterdir())


def test_an_interruption_at_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    process = demo(folder=tmp_path)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())


def test_the_first_signal_closes_an_open_shop_and_the_next_one_interrupts_once() -> None:
    stopping = Stopping()
    with stopping.open():
        stopping.stop()
        assert stopping.asked
        with pytest.raises(KeyboardInterrupt):
            stopping.stop()
        stopping.stop()
    with pytest.raises(KeyboardInterrupt):
        Stopping().stop()


def event(kind: Kind, *items: str, user: str = "u") -> Event:
    return Event(kind=kind, user_id=user, lines=tuple(Line(item) for item in items), time_ms=0)


def test_a_hit_is_the_next_item_among_what_was_recommended_before() -> None:
    hits = Hits()
    hits.event(event(Kind.BROWSE, "a"))
    hits.recommendation("u", ["b"])
    hits.event(event(Kind.BROWSE, "a"))
    assert hits.asked == 0
    hits.event(event(Kind.CLICK, "b"))
    hits.event(event(Kind.CLICK, "a"))
    assert (hits.asked, hits.recommended, hits.popular) == (2, 1, 1)


def test_what_was_bought_is_no_bestseller_for_its_buyer_until_it_is_sent_back() -> None:
    hits = Hits()
    hits.event(event(Kind.BROWSE, "a", user="other"))
    hits.event(event(Kind.PURCHASE, "a"))
    hits.event(event(Kind.BROWSE, "b"))
    hits.event(event(Kind.BROWSE, "a"))
    assert hits.popular == 0
    hits.event(event(Kind.REFUND, "a"))
    hits.event(event(Kind.BROWSE, "b"))
    hits.event(event(Kind.BROWSE, "a"))
    assert hits.popular == 2
    assert most_popular(Counter("aab"), ()) == ["a", "b"]


def test_latency_is_found_whichever_end_is_heard_of_first() -> None:
    latencies = Latencies()
    latencies.event((0, 1), 100)
    latencies.recommendation((0, 1), 130)
    latencies.recommendation((1, 1), 250)
    latencies.event((1, 1), 200)
    assert latencies.all == [30, 50]


def test_a_followed_shopper_is_left_when_she_does_nothing_more() -> None:
    followed = Followed()
    click = {"event_type": "click", "item_id": "a", "user_id": "u"}
    assert not followed.event(0, "anon:x", {"event_type": "click", "item_id": "a", "anonymous_id": "x"})
    assert followed.event(1, "u", click)
    assert not followed.event(2, "v", click)
    assert followed.recommendation(2, "u", [{"item_id": "a", "reasons": []}, {"item_id": "b", "reasons": []}])
    assert followed.recommendation(3, "u", [{"item_id": "b", "reasons": []}, {"item_id": "c", "reasons": []}])
    assert [(shown.item_id, shown.before) for shown in followed.shown] == [("b", 2), ("c", None)]
    assert followed.event(2 + PATIENCE_S, "v", click)
    assert (followed.user, followed.shown) == ("v", [])


def picture(count: int) -> Picture:
    """A board with so many things on it."""
    board = Board()
    catalogue = build_catalogue(Random(1))
    items = [product.item_id for product in catalogue.products]
    for n in range(count):
        fields = {"event_type": "click", "item_id": items[n], "user_id": "u"}
        board.event(event(Kind.CLICK, items[n]), fields)
        reasons = [{"kind": "also_viewed", "item_id": items[n], "share": 0.6, "count": 3}, {"kind": "trending", "share": 0.4}]
        recommended = [{"item_id": item, "score": 1.0, "reasons": reasons} for item in items[n + 1 : n + 21]]
        board.recommendation({"user_id": "u", "items": recommended}, (0, n), 10)
        board.acknowledged(0, n, 5)
    return board.picture()


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 24), (200, 60)])
def test_the_view_fits_the_screen_and_never_changes_its_height(width: int, height: int) -> None:
    catalogue = build_catalogue(Random(1))
    heights = set()
    for count in (0, 1, 30):
        console = Console(width=width, height=height, file=StringIO(), force_terminal=True)
        lines = console.render_lines(view(picture(count), catalogue, 30, rows_for(console)), pad=False)
        assert all(sum(segment.cell_length for segment in line) <= width for line in lines)
        heights.add(len(lines))
    assert len(heights) == 1
    assert heights.pop() < height


def test_plain_lines_say_what_somebody_did_and_what_is_recommended_to_her() -> None:
    out = StringIO()
    show = PlainShow(out, build_catalogue(Random(1)))
    board = picture(3)
    show.refresh(replace(board, elapsed=2.0))
    show.refresh(replace(board, elapsed=2.5))
    show.refresh(replace(board, elapsed=5.0))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert "3 events" in lines[0]
    assert "u clicked" in lines[1]
    assert "60 % · 3 visits" in lines[1]

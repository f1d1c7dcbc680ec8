"""Tables on terminals of any width: no word and no number of them is broken."""

import io
import sys

import pytest
from rich.table import Table

from streams.cli.terminal import LONGEST_WORD, Terminal


def sales(days: int = 3) -> Table:
    table = Table("day", title="Days")
    for heading in ("events", "customers", "buyers", "sessions", "orders", "units", "spent EUR", "refunded EUR"):
        table.add_column(heading, justify="right")
    for day in range(1, days + 1):
        table.add_row(f"2026-11-0{day}", "45", "8", "6", "8", "9", "15", "14,207.00", "0.00")
    return table


def drawn(table: Table, width: int | None, monkeypatch: pytest.MonkeyPatch) -> str:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    Terminal(width).draw(table)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _no_width_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("width", [20, 60, 76, 80, 90, 120, None])
def test_words_and_numbers_are_whole_at_any_width(width: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(sales(), width, monkeypatch)
    assert {"2026-11-01", "2026-11-03", "customers", "sessions", "refunded", "14,207.00"} <= set(text.split())


def test_what_fits_without_its_frame_is_no_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(map(len, drawn(sales(), 80, monkeypatch).splitlines())) <= 80


def test_a_program_that_reads_gets_a_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("item", "why")
    table.add_row("sock7", "also viewed sock1 (64 %, 4 visits with both), repeat (36 %, 1 × in this visit), trending")
    assert sum("sock7" in line and "trending" in line for line in drawn(table, None, monkeypatch).splitlines()) == 1


def test_an_id_without_end_is_folded_and_leaves_room_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("item", "score")
    table.columns[0].overflow = "fold"
    table.add_row("x" * 128, "0.5")
    lines = drawn(table, 60, monkeypatch).splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.count("x") for line in lines) == 128
    assert LONGEST_WORD < 60

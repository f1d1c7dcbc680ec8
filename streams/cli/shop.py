"""`freshet sales`, `top`, `segments`, `funnel`, `cohorts` and `report`: the shop's figures as tables, JSON, CSV or a page."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich import table as rich_table

from recsys.ledger import tables
from recsys.ledger.moves import LAST_DAYS
from recsys.ledger.tables import Table, text
from streams.bookkeeping import Bookkeeping, bookkeeping
from streams.cli.files import demand_charts, demand_folder, writes
from streams.cli.options import as_json
from streams.cli.terminal import Terminal, printable
from streams.failure import Failure
from streams.looking import NothingToSee
from streams.settings import read_settings

SHOWN = 40
"""Rows that people see of a table; JSON and CSV have all."""

BY_TIME = ("months", "days", "hours", "minutes", "moves", "active customers")
"""Tables of which these are the last ones."""

as_csv = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
_encode = msgspec.json.Encoder(decimal_format="number").encode


LAST = {"month": 24, "day": 28, "hour": 48, "minute": 60}
"""By what a row is, how many are shown."""


@click.command()
@click.option("--by", type=click.Choice(list(LAST)), default="day", show_default=True, help="A row for each.")
@click.option(
    "--last", type=click.IntRange(1),
    help=f"So many rows, up to the newest with an event.  [default: {', '.join(f'{n} {each}s' for each, n in LAST.items())}]",
)  # fmt: skip
@as_json
@as_csv
def sales(by: str, last: int | None, as_json: bool, as_csv: bool) -> None:
    """Show sales and active customers by month, day, hour or minute (UTC).

    An event counts in the minute of its own time, however late it comes. Customers are different ones, counted and not
    estimated. Hours and minutes are kept for FRESHET_RETENTION days after their last event.
    """
    table = asked(lambda books: books.sales(by, last or LAST[by]))
    show(table, as_json=as_json, as_csv=as_csv)


@click.command()
@click.argument("what", type=click.Choice(["items", "categories", "searches"]))
@click.option("--rising", is_flag=True, help="Those that have more events in the last 7 days than in the 7 before.")
@as_json
@as_csv
def top(what: str, rising: bool, as_json: bool, as_csv: bool) -> None:
    """Show the items or categories that brought most, or what is searched for most; or those that rise, the least likely to by
    chance first.

    It looks through all keys. Where nothing was paid, events say the order.
    """
    show(asked(lambda books: books.top(what, rising=rising)), as_json=as_json, as_csv=as_csv)


@click.command()
@click.option(
    "--days", type=click.IntRange(1), default=LAST_DAYS, show_default=True,
    help="Of so many days on which somebody bought or gave back, up to the newest, moves are told.",
)  # fmt: skip
@click.option("--table", "name", type=click.Choice(["segments", "moves", "active customers"]), help="Show only this table.")
@as_json
@as_csv
def segments(days: int, name: str | None, as_json: bool, as_csv: bool) -> None:
    """Show how many customers are in each segment now, what they brought, who moved from which to which on each day (UTC), and
    how many different ones were active on a day, in the week and the four weeks up to it.

    It reads what is known of every customer. A move is told on its day whatever made it: an order, or that others ordered
    since. CSV is of one table, the segments if not --table moves.
    """
    name = name or ("segments" if as_csv else None)
    several(asked(lambda books: books.segments(days)), name, as_json=as_json, as_csv=as_csv)


@click.command()
@click.option(
    "--by", type=click.Choice(["all", "month", "day", "source", "country", "category"]), default="all", help="A row for each."
)
@as_json
@as_csv
def funnel(by: str, as_json: bool, as_csv: bool) -> None:
    """Show how far sessions and customers came from view to purchase.

    A step counts whatever came before it, once a session and once a customer, where it was taken first; cart abandonment is the
    share of those with a cart that did not buy. By category it is events that are counted, of items as the catalogue has them.
    """
    table = asked(lambda books: books.categories() if by == "category" else books.funnel(by))
    show(table, as_json=as_json, as_csv=as_csv)


@click.command()
@as_json
@as_csv
def cohorts(as_json: bool, as_csv: bool) -> None:
    """Show customers by the week of their first order: how many buy again, and for how much, week by week."""
    table = asked(lambda books: books.cohorts())
    if as_json or as_csv:
        show(table, as_json=as_json, as_csv=as_csv)
    else:
        show(tables.retention(table), as_json=False, as_csv=False)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with charts, as .html.")
@click.option("--table", "name", help="Show only this table, by its name in the JSON.")
@as_json
@as_csv
def report(out: Path | None, name: str | None, as_json: bool, as_csv: bool) -> None:
    """Show the shop's figures: sales by month, day, hour and minute, funnel, cohorts, segments, items, searches.

    Times are UTC. CSV is of one table, so it needs --table.
    """
    if out is not None and name is not None:
        raise click.UsageError("a page has all tables: leave --table out")
    if out is not None:
        if out.suffix.lower() != ".html":
            raise click.BadParameter(f"a page is .html, not {out.name}", param_hint="--out")
        demand_folder(out)
        demand_charts()
    found = asked(lambda books: books.report())
    if out is not None:
        write(out, found)
    if out is None or as_json or as_csv:
        several(found, name, as_json=as_json, as_csv=as_csv)


def several(found: list[Table], name: str | None, *, as_json: bool, as_csv: bool) -> None:
    """Tables as they are wanted: all of them, or the one of this name."""
    if as_csv and name is None:
        raise click.UsageError("--csv needs --table")
    if name is not None:
        chosen = next((table for table in found if table.name == name), None)
        if chosen is None:
            raise click.UsageError(f"--table is one of {', '.join(table.name for table in found)}")
        show(chosen, as_json=as_json, as_csv=as_csv)
    elif as_json:
        click.echo(_encode({table.name: table.objects for table in found}))
    else:
        say_if_empty(found)
        for table in found:
            if table.name != "minutes" and table.rows:
                show(tables.retention(table) if table.name == "cohorts" else table, as_json=False, as_csv=False)


def say_if_empty(found: list[Table]) -> None:
    if not any(table.rows for table in found):
        click.echo(
            "freshet: there is nothing to show yet: do such events come, and does a worker run (freshet doctor)?", err=True
        )


def write(out: Path, found: list[Table]) -> None:
    """The page."""
    from recsys.ledger.page import page

    text = page(found)
    with writes(out):
        out.write_text(text, encoding="utf-8")
    click.echo(f"wrote {out}", err=True)


def asked(question: Callable[[Bookkeeping], Awaitable[Any]]) -> Any:
    """What the books answer."""

    async def ask() -> Any:
        async with bookkeeping(read_settings()) as books:
            return await question(books)

    try:
        return asyncio.run(ask())
    except NothingToSee as error:
        raise Failure(str(error)) from None


def show(table: Table, *, as_json: bool, as_csv: bool) -> None:
    """A table as it is wanted."""
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    if as_json:
        click.echo(_encode(table.objects))
    elif as_csv:
        click.echo(in_csv(table), nl=False)
    else:
        say_if_empty([table])
        rows = table.rows[-SHOWN:] if table.name in BY_TIME else table.rows[:SHOWN]
        columns = [n for n, column in enumerate(table.columns) if column != "title" or any(row[n] for row in rows)]
        drawn = rich_table.Table(title=table.title)
        for n in columns:
            words = n == 0 or any(isinstance(row[n], str) for row in rows)
            drawn.add_column(table.columns[n], justify="left" if words else "right", overflow="fold")
        for row in rows:
            drawn.add_row(*(printable(text(table.columns[n], row[n])) for n in columns))
        Terminal().draw(drawn)


def in_csv(table: Table) -> str:
    """The table as CSV (RFC 4180). A text that a spreadsheet would run as a formula has an apostrophe before it.

    >>> from decimal import Decimal
    >>> in_csv(Table("t", "T", ["item", "units"], [["=1+1", Decimal("2.5")], ["a,b", None]])).splitlines()
    ['item,units', "'=1+1,2.5", '"a,b",']
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value for value in row])
    return out.getvalue()

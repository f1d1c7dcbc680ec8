"""The live view on a terminal: numbers above, the followed shopper below, always of the same height."""

from rich.console import Console, Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streams.demo.board import Picture
from streams.demo.followed import Shown
from streams.demo.words import deed, milliseconds, movement, reason, share, short
from streams.shop.catalogue import Catalogue

AROUND = 14
"""Lines of the screen that are not rows of the two lists."""
ROWS = (4, 12)
"""Rows of the lists on a low and on a high screen."""


def rows_for(console: Console) -> int:
    """How many recommended items fit the screen."""
    return max(ROWS[0], min(ROWS[1], console.height - AROUND))


def view(picture: Picture, catalogue: Catalogue, seconds: float, rows: int) -> Group:
    """The whole view."""
    time = f"{picture.elapsed:.0f} s" + (f" of {seconds:.0f} s" if seconds else "")
    return Group(
        Rule(Text(f" Freshet · {time} ", style="bold"), style="dim"),
        numbers(picture),
        Text(),
        Rule(heading(picture), style="dim", align="left"),
        person(picture, catalogue, rows),
    )


def numbers(picture: Picture) -> Table:
    """The rates, the latency and the hits, in one block."""
    table = Table.grid(padding=(0, 2), expand=True)
    for ratio in (3, 3, 3, 4):
        table.add_column(ratio=ratio, no_wrap=True)
    table.add_row(
        *(Text(text, style="dim") for text in ("events", "recommendations", "event → published", "next item touched was"))
    )
    table.add_row(
        Text.assemble((f"{picture.events:,}", "bold"), f"   {picture.rate:,.0f}/s"),
        Text(f"{picture.published:,}", style="bold"),
        Text.assemble("p50 ", (milliseconds(picture.p50), "bold")),
        Text.assemble("recommended    ", (share(picture.recommended, picture.asked), "bold green")),
    )
    table.add_row(
        "",
        "",
        Text.assemble("p99 ", (milliseconds(picture.p99), "bold")),
        Text(f"a bestseller   {share(picture.popular, picture.asked)}"),
    )
    return table


def heading(picture: Picture) -> Text:
    if picture.user is None:
        return Text("waiting for the first shopper ", style="dim")
    return Text.assemble("following ", (picture.user, "bold cyan"), " ")


def person(picture: Picture, catalogue: Catalogue, rows: int) -> Table:
    """The followed shopper: on the left what she did, on the right what is recommended to her."""
    both = Table.grid(padding=(0, 3), expand=True)
    both.add_column(ratio=2)
    both.add_column(ratio=3)
    both.add_row(deeds(picture, catalogue, rows), recommended(picture, catalogue, rows))
    return both


def deeds(picture: Picture, catalogue: Catalogue, rows: int) -> Table:
    """What she just did, the newest first."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, min_width=11, style="dim")
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row("she …", "")
    for place, did in enumerate(reversed(picture.did[-rows:])):
        verb, what = deed(catalogue, did)
        table.add_row(verb, Text(what, style="bold" if place == 0 else ""))
    fill(table, 1 + rows)
    return table


def recommended(picture: Picture, catalogue: Catalogue, rows: int) -> Table:
    """Her recommendations: rank, movement, title and the main reason."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, justify="right", width=2, style="dim")
    table.add_column(no_wrap=True, width=3)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
    table.expand = True
    table.add_row("", "", Text("and is recommended", style="dim"), "because of")
    for shown in picture.shown[:rows]:
        title = Text(short(catalogue, shown.item_id), style="bold" if shown.rank == 1 else "")
        table.add_row(str(shown.rank), moved(shown), title, reason(catalogue, shown))
    fill(table, 1 + rows)
    return table


def moved(shown: Shown) -> Text:
    text = movement(shown)
    style = "green" if text[0] in "n▲" else "dim" if text == "·" else "red"
    return Text(text, style=style)


def fill(table: Table, rows: int) -> None:
    """Empty rows up to a height: a view that does not change its height does not jump."""
    for _ in range(rows - table.row_count):
        table.add_row(*[" "] * len(table.columns))

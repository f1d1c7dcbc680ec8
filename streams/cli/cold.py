"""`freshet cold`: what to show to a visitor of whom there is no event, and what was learned of the new items in it."""

import click
from rich.table import Table

from recsys.cold.contexts import COUNTRY, EVERYBODY
from recsys.cold.lists import decode
from recsys.keys import Keys
from streams.cli.lookup import as_json, get
from streams.cli.terminal import Terminal, printable
from streams.failure import Failure
from streams.settings import read_settings


@click.command()
@click.argument("context", default=EVERYBODY)
@as_json
def cold(context: str, as_json: bool) -> None:
    """Show what a visitor of whom nothing but the CONTEXT is known is shown first.

    A context is a platform (web), a country (country:DE) or a category of the catalogue ("category:Home > Kitchen"); without
    one it is what everybody is shown. Of new items that are explored it says how often they were shown and clicked in
    recommendations.
    """
    settings = read_settings()
    if context.startswith(COUNTRY):
        context = context.upper().replace(COUNTRY.upper(), COUNTRY)
    stored = get(settings, Keys(settings.key_prefix).cold(context))
    if stored is None and context:
        raise Failure(
            f"nothing is known of the context {context!r} under {settings.key_prefix!r}: no event named it lately, or no item "
            'of the category came. It is a platform (web), country:DE or "category:Home > Kitchen"; others have none'
        )
    if stored is None:
        raise Failure(f"nothing is counted under {settings.key_prefix!r} yet: does a worker run (freshet doctor)?")
    if as_json:
        click.echo(stored)
        return
    message = decode(stored)
    table = Table(title=f"shown first{f' in {printable(context)}' if context else ''} ({message.generated_at})")
    table.add_column("item", overflow="fold")
    table.add_column("why")
    for heading in ("score", "interactions", "shown", "clicked", "share"):
        table.add_column(heading, justify="right")
    for item in message.items:
        [reason] = item.reasons
        why, count = ("trending", f"{reason.count:,}") if reason.kind == "trending" else ("new", "")
        table.add_row(printable(item.item_id), why, f"{item.score:.4f}", count, *learned(item.shown, item.clicked))
    Terminal().draw(table)
    if message.explored:
        table = Table("new item", title="learned of the new items")
        for heading in ("shown", "clicked", "share"):
            table.add_column(heading, justify="right")
        for each in message.explored:
            table.add_row(printable(each.item_id), *learned(each.shown, each.clicked))
        Terminal().draw(table)


def learned(shown: int, clicked: int) -> tuple[str, str, str]:
    """How often shown and clicked, and which share of the one the other is; nothing where nobody told.

    >>> learned(40, 3), learned(0, 3), learned(0, 0)
    (('40', '3', '7.5 %'), ('0', '3', ''), ('', '', ''))
    """
    if not shown and not clicked:
        return "", "", ""
    return f"{shown:,}", f"{clicked:,}", f"{100 * clicked / shown:.1f} %" if shown else ""

"""`freshet explain`: why an item is recommended to a user, or why not, from the state as it is; nothing is written."""

import asyncio

import click
import msgspec
from rich.table import Table

from recsys.explanation import Explanation, clauses
from recsys.onlooker import Unknown
from recsys.recommendation import Reason
from streams.cli.lookup import counted, kind_of
from streams.cli.options import as_json
from streams.cli.terminal import Terminal, printable
from streams.failure import Failure
from streams.looking import NothingToSee, looking
from streams.settings import Settings, read_settings

LEARNED = 4
"""Kinds of features of which it is told what they make of a score."""


@click.command()
@click.argument("user")
@click.argument("item")
@as_json
def explain(user: str, item: str, as_json: bool) -> None:
    """Show why ITEM is recommended to USER, or why not: its rank, what its score is made of, and what takes it out.

    An anonymous visitor is anon:ID. By the rules that the settings here name (FRESHET_HIDE, FRESHET_TOP_N, …): give it those
    of the workers. With --json it is one object.
    """
    explanation = asyncio.run(_explain(read_settings(), user, item))
    if as_json:
        click.echo(msgspec.json.encode(explanation))
    else:
        show(explanation)


async def _explain(settings: Settings, user: str, item: str) -> Explanation:
    try:
        async with looking(settings) as look:
            return await look.explain(user, item)
    except (NothingToSee, Unknown) as error:
        raise Failure(str(error)) from None


def show(e: Explanation) -> None:
    """The sentence for a shopper, then the numbers."""
    terminal = Terminal()
    terminal.print(printable(e.sentence), soft_wrap=True)
    if e.score is not None:
        table = Table("why", "counted")
        for heading in ("share", f"of the score {e.score:g}"):
            table.add_column(heading, justify="right")
        for reason in e.reasons:
            table.add_row(kind_of(reason), counted(reason), f"{reason.share * 100:.2f} %", f"{reason.share * e.score:.3g}")
        terminal.draw(table)
    for line in numbers(e):
        terminal.print(line, soft_wrap=True)


def numbers(e: Explanation) -> list[str]:
    """Ranks and what else is known, a line each."""
    lines = [
        f"rank {e.rank or '–'} with what is left out, place {e.place or '–'} without; the first {e.shown} are recommended"
        + (f", the last with the score {e.last_score:g}" if e.last_score is not None else ""),
        f"interactions with the item: {e.interactions:,}; strategy {e.strategy.replace('_', ' ')}",
    ]
    if e.learned:
        parts = [f"{name} {part:+.2f}" for name, part in [*e.learned.items()][:LEARNED]]
        lines.append(f"the score is learned; most of it (of its logarithm) is made by: {', '.join(parts)}")
    if e.left_out:
        lines.append(f"left out by FRESHET_HIDE: {', '.join(e.left_out)}")
    if e.hidden:
        lines.append(f"hidden by the catalogue: {e.hidden}")
    elif e.described:
        lines.append("described in the catalogue: what its description adds is not in these numbers, only workers know it")
    if e.published:
        lines += [f"as published: {text}" for text in clauses(described(e.published.reasons), e.recent)]
    if e.bought_once:
        once = e.bought_once
        share, limit = once.again * 100, once.limit * 100
        lines += [
            f"bought again: an estimated {share:.1f} % of its purchases, below {limit:.0f} % it is left out",
            f"({once.baskets:.1f} baskets, {once.first:.1f} of them by users who did not hold it, both decayed; with few of",
            "them it counts like the rest of the shop)",
        ]
    return [*lines, beside_published(e)]


def described(reasons: list[Reason]) -> list[Reason]:
    """Those that descriptions are."""
    return [reason for reason in reasons if reason.kind == "similar_content"]


def beside_published(e: Explanation) -> str:
    """How this is beside what was published."""
    if e.published is None:
        return "nothing is published for the user"
    was = f"place {e.published.place}" if e.published.place else "not in it"
    if e.is_as_published:
        return f"as published at {e.published.generated_at}: {was}"
    now = f"place {e.place}" if e.outcome == "recommended" else "not in it"
    return (
        f"published at {e.published.generated_at}: {was}; ranked now: {now}. The state went on since, or the workers have "
        "other settings"
    )

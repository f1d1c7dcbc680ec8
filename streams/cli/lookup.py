"""`freshet recommend`, `similar`, `trending` and the like: what apps read with one GET, as tables for people."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import click
import msgspec
from rich.table import Table

from recsys.catalogue.item import decode
from recsys.connection import open_client
from recsys.keys import Keys
from recsys.onlooker import Unknown
from recsys.recommendation import Neighbours, Reason, Recommendation
from recsys.record import quoted
from recsys.strategies import STRATEGIES
from recsys.words import visits
from streams.catalogue_copy import CatalogueUnread, Shown
from streams.cli.terminal import Terminal, printable
from streams.failure import Failure
from streams.looking import NothingToSee, looking
from streams.progress import Progress
from streams.settings import Settings, read_settings

SOURCED = ("also_viewed", "also_bought", "similar_content")
"""Kinds of reasons that come from another item."""
COUNTED = {
    "also_viewed": "{visits} with both",
    "repeat": "{count} × in this visit",
    "bought_again": "bought {count} ×",
    "also_bought": "{visits} with both",
    "trending": "{count} interactions",
    "similar_users": "met by {count} of them",
}
"""What the count of a reason says."""

T = TypeVar("T")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the stored JSON.")


@click.command()
@click.argument("user")
@click.option("--strategy", type=click.Choice([*STRATEGIES]), help="Rank now, by this strategy alone, from what is stored.")
@as_json
def recommend(user: str, strategy: str | None, as_json: bool) -> None:
    """Show what is recommended to USER, and why. An anonymous visitor is anon:ID.

    It is what was published last. With --strategy it is ranked on the spot, by the rules that the settings here name
    (FRESHET_HIDE, FRESHET_TOP_N, …): by items met together (item-based), by what users met who lately met the same
    (user-based), by what is described alike (content-based), by what is popular (trending), as a worker would now (hybrid, or
    personal), or so but without descriptions (collaborative). Where items are described, content-based, hybrid and personal
    read the topic `items` first, which takes as long as there are items.
    """
    settings = read_settings()
    stored = (
        published(settings, user) if strategy is None else msgspec.json.encode(asyncio.run(ranked(settings, user, strategy)))
    )
    if as_json:
        click.echo(stored)
        return
    message = understood(stored, Recommendation)
    if not message.items:
        click.echo(
            f"nothing to recommend to {printable(user)} yet: what is known has no neighbours or is hidden (FRESHET_HIDE)"
        )
        return
    table = Table(title=f"{printable(message.user_id)}: {message.strategy.replace('_', ' ')}, {message.generated_at}")
    for heading, justify in (("item", "left"), ("score", "right"), ("why", "left")):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for item in message.items:
        table.add_row(printable(item.item_id), f"{item.score:.4f}", ", ".join(map(in_words, item.reasons)))
    Terminal().draw(table)


def published(settings: Settings, user: str) -> bytes:
    """The newest message for a user."""
    stored = get(settings, Keys(settings.key_prefix).recs(user))
    if stored is None:
        raise Failure(
            f"nothing is recommended to user {user!r} under {settings.key_prefix!r}: no event of this user was counted in the "
            f"last {settings.retention:g} days. Check the id, or that a worker runs (freshet doctor); freshet cold tells "
            "what is shown to who is new"
        )
    return stored


async def ranked(settings: Settings, user: str, strategy: str) -> Recommendation:
    """What a strategy recommends to a user now."""
    try:
        with reading_shown() as shown:
            async with looking(settings, shown) as look:
                return await look.recommend(user, strategy)
    except (NothingToSee, Unknown, CatalogueUnread) as error:
        raise Failure(str(error)) from None


@contextmanager
def reading_shown() -> Iterator[Shown]:
    """Shows how far the catalogue is read, if it is."""
    with ExitStack() as stack:
        begun: list[Progress] = []

        def shown(part: float, count: int) -> None:
            if not begun:
                begun.append(stack.enter_context(Progress("reading the catalogue", "items")))
            begun[0].show(part, count)

        yield shown


@click.command()
@click.argument("item")
@as_json
def similar(item: str, as_json: bool) -> None:
    """Show what users who looked at ITEM also looked at."""
    settings = read_settings()
    stored = get(settings, Keys(settings.key_prefix).similar(item))
    if stored is None:
        raise Failure(
            f"item {item!r} is unknown under {settings.key_prefix!r}: no interaction with it was counted, or the "
            "shop has it no more. Check the id (freshet item ITEM), or that a worker runs (freshet doctor)"
        )
    _show(stored, f"{printable(item)}: users who looked at it also looked at", "sessions with both", as_json=as_json)


@click.command()
@click.argument("item")
@as_json
def together(item: str, as_json: bool) -> None:
    """Show what is bought together with ITEM.

    A lift of 2 says that the two are in one basket twice as often as they would be by chance.
    """
    settings = read_settings()
    stored = get(settings, Keys(settings.key_prefix).together(item))
    if stored is None:
        raise Failure(f"nothing is known of baskets with item {item!r} under {settings.key_prefix!r}: {_no_baskets(settings)}")
    _show(stored, f"{printable(item)}: bought together with it", "baskets with both", as_json=as_json)


@click.command()
@click.argument("item")
@as_json
def bought_after(item: str, as_json: bool) -> None:
    """Show what was bought after ITEM was looked at, in the same session."""
    settings = read_settings()
    stored = get(settings, Keys(settings.key_prefix).bought_after(item))
    if stored is None:
        raise Failure(
            f"nothing is known to be bought after item {item!r} was looked at, under {settings.key_prefix!r}: "
            f"{_no_baskets(settings)}"
        )
    _show(stored, f"{printable(item)}: bought after it was looked at", "sessions", as_json=as_json)


@click.command()
@click.option("--category", help='In this category of the catalogue, as "Home > Kitchen".')
@as_json
def trending(category: str | None, as_json: bool) -> None:
    """Show what is popular now."""
    settings = read_settings()
    keys = Keys(settings.key_prefix)
    stored = get(settings, keys.trending if category is None else keys.trending_in(category))
    if stored is None and category is not None:
        raise Failure(
            f"nothing is known of category {category!r} under {settings.key_prefix!r}: no item of it was met since a worker "
            "reads the catalogue. Check how the shop spells it (freshet item ITEM)"
        )
    if stored is None:
        raise Failure(f"nothing is counted under {settings.key_prefix!r} yet: does a worker run (freshet doctor)?")
    _show(stored, f"trending in {printable(category)}" if category else "trending", "interactions", as_json=as_json)


def _no_baskets(settings: Settings) -> str:
    """Why there may be no list of what was bought, and what to do."""
    if not settings.baskets:
        return "FRESHET_BASKETS is false, so baskets are not counted. Set it to true and run freshet rebuild"
    return "no such purchase was counted. Check the id, or that events of purchases arrive (freshet doctor)"


@click.command()
@click.argument("item")
@as_json
def item(item: str, as_json: bool) -> None:
    """Show what the catalogue says of ITEM."""
    settings = read_settings()
    stored = get(settings, Keys(settings.key_prefix).item(item))
    if stored is None:
        raise Failure(
            f"item {item!r} is not in the catalogue under {settings.key_prefix!r}: it is deleted, or was never written to the "
            "topic `items` (freshet items), or no worker has read it yet (freshet doctor)"
        )
    if as_json:
        click.echo(stored)
        return
    found = decode(item.encode(), stored)
    price = "" if found.price is None else f"{found.price:,.2f} {found.currency}".strip()
    lines = {
        "title": found.title,
        "price": price,
        "brand": found.brand,
        "categories": "; ".join(found.categories),
        "available": "yes" if found.available else "no: it is recommended to nobody",
        "url": found.url,
        "image": found.image,
    }
    table = Table(title=printable(item), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, text in lines.items():
        if text:
            table.add_row(name, printable(text))
    Terminal().draw(table)


def in_words(reason: Reason) -> str:
    """
    >>> in_words(Reason("also_viewed", 0.61, "i3", 37)), in_words(Reason("trending", 0.39))
    ('also viewed i3 (61 %, 37 visits with both)', 'trending (39 %)')
    """
    return f"{kind_of(reason)} ({', '.join(filter(None, (f'{reason.share * 100:.0f} %', counted(reason))))})"


def kind_of(reason: Reason) -> str:
    """The kind of a reason, and of which other item it is."""
    source = f" {printable(reason.item_id or '')}" if reason.kind in SOURCED else ""
    source += f" in {printable(reason.context)}" if reason.context else ""
    return f"{reason.kind.replace('_', ' ')}{source}"


def counted(reason: Reason) -> str:
    """The count of a reason; nothing where there is none."""
    return COUNTED[reason.kind].format(visits=visits(reason.count), count=f"{reason.count:,}") if reason.count else ""


def _show(stored: bytes, title: str, count: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(stored)
        return
    message = understood(stored, Neighbours)
    if not message.items:
        click.echo(f"{title}: nothing so far ({message.updated_at})")
        return
    table = Table("item", title=f"{title} ({message.updated_at})")
    table.add_column("score", justify="right")
    table.add_column(count, justify="right")
    if any(row.lift is not None for row in message.items):
        table.add_column("lift", justify="right")
    for row in message.items:
        lift = [f"{row.lift:.2f}"] if row.lift is not None else []
        table.add_row(printable(row.item_id), f"{row.score:.4f}", str(row.count), *lift)
    Terminal().draw(table)


def understood(stored: bytes, kind: type[T]) -> T:
    """A public message. Raises `Failure` where another program has written something else in its place."""
    try:
        return msgspec.json.decode(stored, type=kind)
    except msgspec.DecodeError as error:
        raise Failure(
            f"{quoted(stored.decode(errors='replace'))} stands where a {kind.__name__} should ({error}): another program wrote "
            "there. Give Freshet a Redis, or a FRESHET_KEY_PREFIX, of its own; the next event of the same writes it anew"
        ) from None


def get(settings: Settings, key: str) -> bytes | None:
    """What is stored under a public key."""
    with open_client(settings.redis) as client:
        value: Any = client.get(key)
        return bytes(value) if value is not None else None

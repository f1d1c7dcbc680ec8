"""`freshet forget`: users are erased, and what was erased is told."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from recsys.connection import open_client
from recsys.events import InvalidEvent
from streams.cli.options import as_json
from streams.cli.producing import refusals_told
from streams.cli.terminal import printable
from streams.failure import Failure
from streams.forgetting import Kept, ask, caught_up, done, event_of, read_kept
from streams.lag import read_spans
from streams.live import live_keys
from streams.roles import ERASER, demand
from streams.settings import read_settings
from streams.topics import EVENTS, USERS, create_missing

ASKED_FOR = 3
"""The exit code where it is asked for, and no worker has done it yet."""


@click.command()
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@as_json
def forget(users: tuple[str, ...], as_json: bool) -> None:
    """Erase each USER: history, purchases, recommendation, what is known of the customer, what the shop said of the user, and
    the visitors who joined. An anonymous visitor is anon:ID; to erase one also takes a wrong join back.

    Counts of items stay: they name nobody. What the user does from now on begins anew. It is done by the workers, in the order
    of the topic: with 0 it is done; with 3 it is asked for, and done as soon as a worker comes to it; with 1 it is done, but of
    a USER nothing was known. Records in Kafka stay as long as the topic keeps them.
    """
    for user in users:
        try:
            event_of(user)
        except InvalidEvent as invalid:
            raise click.BadParameter(str(invalid), param_hint="USER") from None
    settings = read_settings()
    with refusals_told(), open_client(settings.redis) as client:
        client.ping()
        demand(settings, ERASER)
        create_missing(settings, {EVENTS, USERS})
        caught_up(settings, client)  # else who joined only now would be missed; if not, it cannot be helped
        partitions = len(read_spans(settings.brokers, settings.topic(EVENTS)))
        kept = read_kept(client, live_keys(client, settings.key_prefix), list(dict.fromkeys(users)), partitions)
        is_done = done(settings, client, ask(settings, kept))
    unknown = [each.user_id for each in kept if each.nothing]
    if as_json:
        click.echo(msgspec.json.encode({"done": is_done, "users": [told(each) for each in kept]}))
    else:
        click.echo("\n".join(lines(kept, is_done=is_done)))
    if not is_done:
        click.echo("freshet: no worker has done it yet: it is done as soon as one runs (freshet worker)", err=True)
        sys.exit(ASKED_FOR)
    if unknown:
        raise Failure(f"nothing was known of {', '.join(map(repr, unknown))} under {settings.key_prefix!r}: check the id")


def told(kept: Kept) -> dict[str, Any]:
    return {"user_id": kept.user_id, "known": not kept.nothing, "erased": msgspec.to_builtins(kept)}


def lines(kept: Sequence[Kept], *, is_done: bool) -> list[str]:
    """What was erased of each, or is to be.

    >>> lines([Kept("u1", 3, False, 4, True, False, False, ("v",))], is_done=True)
    ['u1: erased 3 interactions, the account (4 events), the recommendation, the visitor v, who joined']
    """
    verb = "erased" if is_done else "to be erased:"
    return [f"{printable(each.user_id)}: {verb} {parts(each)}" for each in kept if not each.nothing] + [
        f"{printable(each.user_id)}: nothing was known" for each in kept if each.nothing
    ]


def parts(kept: Kept) -> str:
    found = {
        f"{kept.interactions:,} interactions": kept.interactions,
        "purchases": kept.purchases,
        f"the account ({kept.events:,} events)": kept.events,
        "the recommendation": kept.recommendation,
        "the customer": kept.customer,
        "what the shop said": kept.described,
    }
    visitors = [f"the visitor {printable(visitor)}, who joined" for visitor in kept.visitors]
    return ", ".join([what for what, there in found.items() if there] + visitors)

"""`freshet rebuild`: the state anew from the log, beside the live one, compared with it, and in its place in one step."""

import json
from collections.abc import Callable
from typing import Any

import click
import msgspec
from redis import Redis
from rich.table import Table

from streams.cli.logs import silence_libraries
from streams.cli.options import as_json
from streams.cli.terminal import Terminal
from streams.failure import Failure
from streams.settings import Settings, read_settings

ROWS = ("items", "interactions", "users", "pairs", "baskets", "rejected", "forwarded", "lost")


@click.command()
@click.option("--anew", is_flag=True, help="Begin an unfinished rebuild anew, instead of going on with it.")
@click.option(
    "--accept-loss", is_flag=True, help="Switch although the log no longer holds all that the live state has counted."
)
@click.option("--no-recount", is_flag=True, help="Do not hold the new state against a recount of the topic.")
@click.option("--back", is_flag=True, help="Switch to the state that was live before.")
@click.option("--drop", is_flag=True, help="Delete all states that are not live.")
@as_json
def rebuild(*, anew: bool, accept_loss: bool, no_recount: bool, back: bool, drop: bool, as_json: bool) -> None:
    """Build the state anew from the log, beside the live one, compare the two, and switch to it in one step.

    Workers may go on meanwhile. At the switch they end and are started by their supervisor, to go on with the new state. The
    old one is kept: --back switches to it again, --drop deletes it. A rebuild that was interrupted goes on where it was.
    """
    building = anew or accept_loss or no_recount
    if back + drop + building > 1:
        raise click.UsageError("--back and --drop stand alone")
    settings = read_settings()
    silence_libraries()
    from streams.rebuild.lock import only_one
    from streams.rebuild.run import refuse_cluster

    refuse_cluster(settings)
    with Redis.from_url(settings.redis, socket_timeout=None) as client, only_one(client, settings.key_prefix) as still_ours:
        if drop:
            say_dropped(settings, client, as_json=as_json)
        elif back:
            say_back(settings, client, as_json=as_json)
        else:
            build(settings, client, still_ours, anew=anew, accept_loss=accept_loss, recounted=not no_recount, as_json=as_json)


def build(
    settings: Settings,
    client: Redis,
    still_ours: Callable[[], None],
    *,
    anew: bool,
    accept_loss: bool,
    recounted: bool,
    as_json: bool,
) -> None:
    """Builds, shows what came of it, and switches unless something is wrong with it."""
    from streams.rebuild import run

    run.finish_publication(settings, client)
    building = run.open_building(settings, client, anew=anew)
    compared = run.build_and_compare(settings, client, building, recounted=recounted)
    if not as_json:
        show(compared)
    wrong = why_not(compared, accept_loss=accept_loss)
    taken = None
    if not wrong:
        run.catch_up(settings, client, building)
        still_ours()
        taken = run.take_over(settings, client, compared)
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(compared), "switch": msgspec.to_builtins(taken)}))
    elif taken:
        click.echo(switched(taken))
    if wrong:
        raise Failure(wrong)


def why_not(compared: Any, *, accept_loss: bool) -> str:
    """Why the new generation may not take over; empty where it may."""
    if compared.recount and not compared.recount.equal:
        return (
            f"the new state differs from a recount of the topic in {compared.recount.differences:,} counts, nothing was "
            f"switched: {'; '.join(compared.recount.examples[:3])}. Report this, or begin anew: freshet rebuild --anew"
        )
    if compared.missing and not accept_loss:
        return f"nothing was switched: {compared.missing}. freshet rebuild --accept-loss switches all the same"
    return ""


def show(compared: Any) -> None:
    table = Table("counted", f"live ({compared.live})", f"new ({compared.new})", title="The state, built anew")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in ROWS:
        table.add_row(row, *(in_words(getattr(compared.totals[name], row)) for name in (compared.live, compared.new)))
    Terminal().draw(table)
    if compared.recount:
        said = "equal" if compared.recount.equal else f"{compared.recount.differences:,} differences"
        click.echo(
            f"a recount of the topic: {compared.recount.interactions:,} interactions, {compared.recount.pairs:,} pairs, "
            f"{compared.recount.items:,} items: {said}"
        )


def in_words(count: int | None) -> str:
    """
    >>> in_words(1234), in_words(None)
    ('1,234', 'not known')
    """
    return "not known" if count is None else f"{count:,}"


def switched(taken: Any) -> str:
    return (
        f"{taken.live} is live, {taken.before} is kept ({taken.moved:,} keys renamed in {taken.seconds:.2f} s); "
        f"{taken.published:,} recommendations are on the topic.\n"
        "Workers that ran end now and go on with it when they are started again. "
        "freshet rebuild --back goes back, --drop deletes what is kept."
    )


def say_back(settings: Settings, client: Redis, *, as_json: bool) -> None:
    from streams.rebuild import run

    run.finish_publication(settings, client)
    taken = run.go_back(settings, client)
    click.echo(json.dumps(msgspec.to_builtins(taken)) if as_json else switched(taken))


def say_dropped(settings: Settings, client: Redis, *, as_json: bool) -> None:
    from streams.rebuild.dropping import drop, kept_generations

    names = kept_generations(client, settings.key_prefix)
    deleted = drop(client, settings.key_prefix)
    if as_json:
        click.echo(json.dumps({"dropped": names, "keys": deleted}))
    else:
        click.echo(f"{deleted:,} keys deleted{': ' + ', '.join(names) if names else ', no other state is kept'}")

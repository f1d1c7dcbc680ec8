"""`freshet lifetimes`: how long customers stay, fitted to when all of them ordered, and kept for `freshet customer`."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec
from msgspec import Struct
from rich.table import Table

from recsys.calendar import day_name
from recsys.connection import Client, open_client, read_values
from recsys.customers import account
from recsys.customers.days import DAY_MS, NO_DAYS, Days, day_of, with_day
from recsys.customers.joins import stands_alone, whole
from recsys.events import Kind
from recsys.keys import Keys
from recsys.readers import FORMATS
from streams.cli.options import as_json
from streams.cli.reading import Reading, given, opened
from streams.cli.terminal import Terminal
from streams.failure import Failure
from streams.live import live_keys
from streams.progress import Progress
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from recsys.customers.lifetime import Check
    from recsys.customers.outlook import Fitted

KEPT_S = 90 * DAY_MS // 1000
"""What was fitted longer ago says nothing of customers any more."""
BATCH = 500


class Ordered(NamedTuple):
    """On which days each customer ordered, and the last day with any event."""

    days: list[Days]
    until: int


class Found(Struct, frozen=True):
    """What `--json` prints; without a check where the earlier part has too few orders to foretell the last one."""

    fitted: "Fitted"
    check: "Check | None"


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), help="Format of FILE.")
@click.option("--dry-run", is_flag=True, help="Keep nothing.")
@as_json
def lifetimes(*, file: Path | None, format_name: str | None, dry_run: bool, as_json: bool) -> None:
    """Find out how long customers stay and how often they order (BG/NBD), and keep it for 90 days for `freshet customer`.

    It is fitted to the accounts of all customers, or to the orders in FILE (- is stdin). Do it again now and then: each
    night, each week.
    """
    if (file is None) is not (format_name is None):
        raise click.UsageError("FILE and --format go together")
    demand_scipy()
    settings = read_settings()
    if file is not None and format_name is not None:
        ordered = of_file(given(file), format_name)
        with nullcontext() if dry_run else open_client(settings.redis) as client:
            found = fitted_to(ordered)
            if client:
                keep(client, settings, found)
    else:
        with open_client(settings.redis) as client:
            ordered = of_accounts(client, settings)
            found = fitted_to(ordered)
            if not dry_run:
                keep(client, settings, found)
        tell_who_is_missing(ordered, settings)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show(found)


def demand_scipy() -> None:
    try:
        import scipy  # noqa: F401
    except ModuleNotFoundError:
        raise Failure("how long customers stay is computed by scipy: pip install 'freshet[lifetimes]'") from None


def of_file(file: Path, format_name: str) -> Ordered:
    """The orders in a file."""
    by_user: dict[str, Days] = {}
    until = 0
    with opened(file, format_name) as reader:
        for event in Reading(file, reader, "reading"):
            day = day_of(event.time_ms)
            until = max(until, day)
            if event.kind is Kind.PURCHASE:
                by_user[event.user_id] = with_day(by_user.get(event.user_id, NO_DAYS), day)
    return Ordered(list(by_user.values()), until)


def of_accounts(client: Client, settings: Settings) -> Ordered:
    """The orders that the accounts in Redis have."""
    if not settings.customers:
        raise Failure("FRESHET_CUSTOMERS is false, so no accounts of customers are kept. Give a FILE of orders")
    keys = live_keys(client, settings.key_prefix)
    days: list[Days] = []
    until = 0
    done, there = 0, account_keys(client, keys)
    with Progress("reading", "accounts") as progress:
        while batch := list(islice(there, BATCH)):
            for value in read_values(client, batch):
                if value:  # else the customer was forgotten meanwhile
                    theirs = whole(account.unpack(value))
                    until = max(until, day_of(theirs.last_ms))
                    if theirs.orders and stands_alone(theirs):
                        days.append(theirs.order_days)
            done += len(batch)
            progress.show(None, done)
    return Ordered(days, until)


def account_keys(client: Client, keys: Keys) -> Iterator[str]:
    seen: set[bytes] = set()
    for key in client.scan_iter(match=keys.accounts, count=5000):
        if key not in seen:  # SCAN may give a key twice
            seen.add(key)
            yield key.decode()


def fitted_to(ordered: Ordered) -> Found:
    """What the orders say."""
    from recsys.customers.lifetime import CannotFit, check, fit, log_likelihood, orders
    from recsys.customers.outlook import Fitted

    known = orders(ordered.days, ordered.until)
    try:
        of = fit(known)
    except CannotFit as error:
        raise Failure(f"how long customers stay cannot be told: {error}") from None
    try:
        checked = check(ordered.days, ordered.until)
    except CannotFit:
        checked = None
    repeaters = int((known.frequency > 0).sum())
    fitted = Fitted(*of, len(known.age), repeaters, day_name(ordered.until), log_likelihood(of, known))
    return Found(fitted, checked)


def keep(client: Client, settings: Settings, found: Found) -> None:
    from recsys.customers.outlook import pack

    client.set(Keys(settings.key_prefix).lifetimes, pack(found.fitted), ex=KEPT_S)


def tell_who_is_missing(ordered: Ordered, settings: Settings) -> None:
    """Says it where customers were forgotten who left, for then those who are there seem to stay longer."""
    if min(each.first for each in ordered.days) < ordered.until - settings.retention:
        click.echo(
            f"freshet: customers without an event for {settings.retention:g} days are forgotten and not in this: all seem to "
            "stay longer than they do. Raise FRESHET_RETENTION, or fit to a FILE of all orders",
            err=True,
        )


def show(found: Found) -> None:
    """The findings for people."""
    fitted, checked = found.fitted, found.check
    table = Table(show_header=False, box=None, pad_edge=False)
    lines = {
        "fitted to": f"{fitted.customers:,} customers, {fitted.repeaters:,} of them with several orders; until {fitted.until}",
        "orders": f"come at rates of Gamma(r {fitted.r:.4g}, alpha {fitted.alpha:.4g} days): "
        f"one in {fitted.alpha / fitted.r:,.3g} days on average",
        "leaving": f"after an order has Beta(a {fitted.a:.4g}, b {fitted.b:.4g}): "
        f"{100 * fitted.a / (fitted.a + fitted.b):.3g} % on average",
        "log-likelihood": f"{fitted.log_likelihood:,.1f}",
    }
    if checked is not None:
        lines["checked"] = (
            f"fitted to what was before the last {checked.days} days, it expects {checked.expected:,.0f} days with an order of "
            f"{checked.customers:,} customers in them; {checked.came:,} came"
        )
    for name, text in lines.items():
        table.add_row(name, text)
    Terminal().draw(table)

"""`freshet bench`: how fast it is and what that costs, on a real Kafka and Redis, beside stock Faust."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli.files import demand_report, writes
from streams.failure import Failure

if TYPE_CHECKING:
    from rich.console import Console

    from streams.bench.measured import Measured
    from streams.bench.steps import Show

DOWNTIME_S = 600.0


@click.command()
@click.option("--events", type=click.IntRange(1_000, 5_000_000), default=100_000, show_default=True, help="Events of a run.")
@click.option("--items", type=click.IntRange(100, 10_000_000), default=5_000, show_default=True, help="Items of the catalogue.")
@click.option("--users", type=click.IntRange(10, 10_000_000), default=10_000, show_default=True, help="Users.")
@click.option("--partitions", type=click.IntRange(1, 100), default=4, show_default=True, help="Partitions of the topics.")
@click.option("--workers", type=click.IntRange(1, 20), default=1, show_default=True, help="Workers, and agents beside them.")
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True, help="Runs; medians are shown.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed makes the same events.")
@click.option("--catch-up", "downtime_s", type=click.FloatRange(1, 3_600), is_flag=False, flag_value=DOWNTIME_S,
              metavar="[SECONDS]", help="Also measure the catch-up after a downtime.  [600 without a number]")  # fmt: skip
@click.option("--scale", "sizes", is_flag=True, help="Also measure beside 500 000 items and 1 000 000 users.")
@click.option("--full", is_flag=True, help="Everything: --catch-up and --scale.")
@click.option("--broker", help="A Kafka that runs: kafka://host:port.  [default: one of its own]")
@click.option("--redis", help="A Redis that runs: redis://host:port/db.  [default: one of its own]")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with tables and charts (.html).")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON; the rest goes to stderr.")
def bench(
    *,
    events: int,
    items: int,
    users: int,
    partitions: int,
    workers: int,
    runs: int,
    seed: int,
    downtime_s: float | None,
    sizes: bool,
    full: bool,
    broker: str | None,
    redis: str | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Measure throughput, latency, cost and memory of the complete pipeline, beside stock Faust on the same events.

    Measured in every run: a stock Faust agent that does nothing, the agent of the textbooks, Freshet with all that can be
    turned off turned off (it learns, ranks and publishes to Kafka and Redis), with all methods of recommendation, and with
    customers, too: as it is without settings. Latencies, memory and the rest are those of the last.

    It exits with 0 once it has measured, whether targets are met or not; runs of less than the default length say little.
    Interrupted (Ctrl-C), it shows the runs that were whole by then, and exits with 130.
    FRESHET_* variables do not count, but for FRESHET_KAFKA_* where --broker is given. What it starts ends with it, and what
    it writes is deleted.
    """
    from rich.console import Console

    from recsys.connection import is_cluster
    from streams.bench.benchmark import measure
    from streams.bench.measured import BenchFailed
    from streams.bench.plan import Plan
    from streams.bench.report import write_report
    from streams.bench.tables import as_json as encoded
    from streams.demo.stopping import Stopping
    from streams.demo.worker import WorkerFailed
    from streams.settings import PREFIX, SettingsError, checked

    if workers > partitions:
        raise click.UsageError(f"--workers {workers} is more than --partitions {partitions}: some would have nothing to do")
    if redis is not None and is_cluster(redis):
        raise click.BadParameter("the benchmark measures one Redis, no cluster", param_hint="--redis")
    for name, address in (("broker", broker), ("redis", redis)):
        if address is not None:
            try:
                checked(name, address)
            except SettingsError as error:
                raise click.BadParameter(str(error), param_hint=f"--{name}") from None
            os.environ[PREFIX + name.upper()] = address  # what a message names if nobody answers there
    if report is not None:
        demand_report(report, ".html")
    Stopping().install()
    plan = Plan(events=events, items=items, users=users, partitions=partitions, workers=workers, runs=runs, seed=seed)
    if full:
        downtime_s, sizes = downtime_s or DOWNTIME_S, True
    folder = Path(tempfile.mkdtemp(prefix="freshet-bench-"))
    try:
        with shown(Console(stderr=True)) as show:
            measured = measure(plan, folder, show, broker=broker, redis=redis, downtime_s=downtime_s, sizes=sizes)
    except (BenchFailed, WorkerFailed) as error:
        raise Failure(str(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if report is not None:
        with writes(report):
            write_report(report, measured)
    if as_json:
        click.echo(encoded(measured))
    else:
        print_tables(measured)
    if measured.interrupted:
        raise KeyboardInterrupt(f"{len(measured.runs)} of {runs} runs were whole, and are shown")


def print_tables(measured: "Measured") -> None:
    from rich.console import Console
    from rich.table import Table

    from streams.bench.tables import facts, tables

    console = Console(markup=False, highlight=False)
    for name, value in facts(measured):
        console.print(f"{name:<9} {value}", soft_wrap=True)
    for each in tables(measured):
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for n, head in enumerate(each.heads):
            table.add_column(head, justify="left" if n == 0 else "right", overflow="fold")
        for row in each.rows:
            table.add_row(*row)
        console.print(f"\n{each.title}", style="bold")
        console.print(table)
        if each.note:
            console.print(each.note, style="dim")


@contextmanager
def shown(console: "Console") -> Iterator["Show"]:
    """What is done now: a bar on a terminal, elsewhere a line for each step."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    said = ""
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("starting Kafka and Redis", total=1.0)

        def show(what: str, part: float) -> None:
            nonlocal said
            bar.update(task, description=what, completed=part)
            if what != said and not console.is_terminal:
                console.print(f"{part:4.0%} {what}", highlight=False, markup=False, soft_wrap=True)
            said = what

        yield show

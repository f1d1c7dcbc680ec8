"""`freshet chaos`: faults of every kind, and the proof that every event counted exactly once."""

import random
import shutil
import tempfile
from pathlib import Path

import click

from streams.failure import Failure


@click.command()
@click.option("--faults", type=click.IntRange(0), default=100, show_default=True, help="How many faults.")
@click.option("--seed", type=int, help="The same seed makes the same faults and the same events.  [default: random]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=400.0, show_default=True, help="Events a second.")
@click.option("--workers", type=click.IntRange(1, 20), default=2, show_default=True, help="Workers.")
@click.option("--partitions", type=click.IntRange(1, 100), default=6, show_default=True, help="Partitions of the topics.")
@click.option("--kinds", help="Only these kinds of faults, with commas between.  [default: all]")
@click.option("--keep", is_flag=True, help="Keep the folder with logs and data; after a failure it is kept anyway.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON; everything else goes to stderr.")
def chaos(
    faults: int, seed: int | None, rate: float, workers: int, partitions: int, kinds: str | None, keep: bool, as_json: bool
) -> None:
    """Start a Kafka, a Redis and workers, produce events all the while, and strike at all of them at random.

    Processes are killed and frozen, servers stopped, emptied, filled and set back, connections cut and delayed. Then the
    whole topic is counted once more: the exit code is 0 only if every count in Redis is equal to the recount, every user's
    newest recommendation covers the last interaction, every bad record was set aside, and no worker hung.
    """
    from rich.console import Console

    from streams.chaos.campaign import Campaign, NotReady, run
    from streams.chaos.plan import KINDS, plan
    from streams.chaos.show import Show
    from streams.chaos.summary import as_json as encoded
    from streams.chaos.summary import table
    from streams.demo.stopping import Stopping

    chosen = tuple(KINDS) if kinds is None else tuple(dict.fromkeys(kind.strip() for kind in kinds.split(",")))
    for kind in chosen:
        if kind not in KINDS:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}", param_hint="--kinds")
    Stopping().install()
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    campaign = Campaign(seed=seed, rate=rate, workers=workers, partitions=partitions, faults=plan(seed, faults, chosen))
    console = Console(stderr=as_json)
    show = Show(console, faults)
    folder = Path(tempfile.mkdtemp(prefix="freshet-chaos-"))
    kept = True
    try:
        with show.open():
            show.say(f"seed {seed}, in {folder}")
            summary = run(campaign, folder, show)
        kept = keep or not summary.passed
    except KeyboardInterrupt:
        kept = keep
        raise
    except NotReady as error:
        raise Failure(f"{error}: the logs are in {folder}") from None
    except BaseException:
        click.echo(f"the logs are in {folder}", err=True)
        raise
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    if kept:
        from msgspec.structs import replace

        summary = replace(summary, folder=str(folder))
    if as_json:
        click.echo(encoded(summary))
    else:
        console.print(table(summary))
        for line in summary.findings:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        if kept:
            console.print(f"logs and data are in {folder}", soft_wrap=True, highlight=False, markup=False)
    if not summary.passed:
        raise Failure(f"this was not exactly once: seed {seed}, logs and data are in {folder}; please report it as a bug")

"""`freshet demo`: everything in one command, to look at."""

import random
import sys

import click

from streams.failure import Failure

PRODUCTS = 400
SHOPPERS = 400


@click.command()
@click.option("--seconds", type=click.FloatRange(0), default=30.0, show_default=True, help="How long; 0 is until Ctrl-C.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=150.0, show_default=True, help="Events a second.")
@click.option("--seed", type=int, help="The same seed makes the same shop and the same visits.  [default: random]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON; everything else goes to stderr.")
def demo(seconds: float, rate: float, seed: int | None, as_json: bool) -> None:
    """Bring up a Kafka, a Redis, a worker and a simulated shop, and show its recommendations as they change.

    At the end the whole topic is counted once more, and everything is taken down: the exit code is 0 only if every
    count in Redis is equal to the recount.
    """
    from rich.console import Console

    from streams.demo.plan import Plan
    from streams.demo.run import run
    from streams.demo.settling import NotSettled
    from streams.demo.show import LiveShow, PlainShow, Show
    from streams.demo.stopping import Stopping
    from streams.demo.summary import as_json as encoded
    from streams.demo.summary import in_words
    from streams.demo.worker import WorkerFailed
    from streams.shop.catalogue import build_catalogue

    stopping = Stopping()
    stopping.install()
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    catalogue = build_catalogue(random.Random(seed), PRODUCTS)
    plan = Plan(seconds=seconds, rate=rate, seed=seed, shoppers=SHOPPERS, catalogue=catalogue)
    console = Console(stderr=as_json)
    show: Show
    if console.is_terminal:
        show = LiveShow(console, catalogue, seconds)
    else:
        show = PlainShow(sys.stderr if as_json else sys.stdout, catalogue)
    try:
        summary = run(plan, show, stopping)
    except (NotSettled, WorkerFailed) as error:
        raise Failure(str(error)) from None
    click.echo(encoded(summary) if as_json else in_words(summary))
    if not summary.recount.equal:
        raise Failure(
            f"{summary.recount.differences:,} counts in Redis are not what the topic says: please report this as a bug"
        )

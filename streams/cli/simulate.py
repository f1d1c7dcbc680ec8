"""`freshet simulate`: a made-up shop's events, for the broker that is configured."""

import math
import random
import signal
import threading
import time

import click

from streams.progress import Progress
from streams.settings import Settings, read_settings

SHOWN_S = 0.1
"""How often it is shown how many events there are."""


@click.command()
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=100.0, show_default=True, help="Events a second.")
@click.option("--seconds", type=click.FloatRange(0), default=0.0, help="How long; 0 is until Ctrl-C.  [default: 0]")
@click.option("--seed", type=int, help="The same seed makes the same shop and the same visits.  [default: random]")
@click.option("--shoppers", type=click.IntRange(1), default=500, show_default=True, help="Shoppers that are known by name.")
@click.option("--products", type=click.IntRange(28), default=400, show_default=True, help="Products in the catalogue.")
def simulate(rate: float, seconds: float, seed: int | None, shoppers: int, products: int) -> None:
    """Produce the catalogue and the events of a simulated shop to the topics `items` and `events`."""
    if not math.isfinite(rate):
        raise click.BadParameter("a number of events a second is wanted", param_hint="--rate")
    settings = read_settings()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    run(settings, stop, rate=rate, seconds=seconds, seed=seed, shoppers=shoppers, products=products)


def run(
    settings: Settings,
    stop: threading.Event,
    *,
    rate: float,
    seconds: float,
    seed: int,
    shoppers: int,
    products: int,
) -> None:
    """Sends the catalogue, and then events until `stop`, or for so many seconds."""
    from streams.demo.pace import on_time
    from streams.roles import CATALOGUE, PRODUCER, demand
    from streams.sender import Sender, send_all
    from streams.shop.catalogue import build_catalogue, in_records
    from streams.shop.shoppers import crowd
    from streams.shop.traffic import events
    from streams.topics import EVENTS, ITEMS, create_missing

    demand(settings, PRODUCER)
    demand(settings, CATALOGUE)
    create_missing(settings, {EVENTS, ITEMS})
    sender = Sender(settings.brokers, settings.topic(EVENTS))
    rng = random.Random(seed)
    catalogue = build_catalogue(rng, products)
    send_all(settings.brokers, settings.topic(ITEMS), in_records(catalogue))
    start = time.monotonic()
    stream = events(rng, catalogue, crowd(rng, shoppers, catalogue), rate=rate, start_ms=round(time.time() * 1000))
    shown_every = max(1, round(rate * SHOWN_S))
    with Progress(f"seed {seed}", "events") as progress:
        for due, event in on_time(stream, start, stop):
            if (seconds and due > seconds) or sender.failure:
                break
            sender.send(event)
            if sender.sent % shown_every == 0:
                progress.show(due / seconds if seconds else None, sender.sent)
    sender.close()
    elapsed = max(time.monotonic() - start, 1e-3)
    rate = sender.sent / elapsed
    click.echo(f"{sender.sent:,} events in {elapsed:,.0f} s, {rate:,.0f} a second (seed {seed})", err=True)

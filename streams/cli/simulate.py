"""`freshet simulate`: a made-up shop's events, for the broker that is configured."""

import math
import random
import signal
import sys
import threading
import time

import click

from streams.settings import Settings, read_settings

TERMINAL_S = 0.5
PLAIN_S = 10.0
"""Seconds between two lines of progress."""


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
    progress = Progress(start, f"seed {seed}")
    for due, event in on_time(stream, start, stop):
        if (seconds and due > seconds) or sender.failure:
            break
        sender.send(event)
        progress.show(sender.sent, due)
    sender.close()
    progress.end(sender.sent)


class Progress:
    """One line on stderr: written over on a terminal, now and then elsewhere."""

    def __init__(self, start: float, label: str) -> None:
        self.start = start
        self.label = label
        self.terminal = sys.stderr.isatty()
        self.shown = start

    def show(self, sent: int, due: float) -> None:
        """The line, if it is time for it; `due` is the schedule's second of the newest event."""
        now = time.monotonic()
        if now - self.shown < (TERMINAL_S if self.terminal else PLAIN_S):
            return
        self.shown = now
        elapsed = now - self.start
        behind = elapsed - due
        text = f"{sent:,} events, {sent / elapsed:,.0f} a second" + (f", {behind:.1f} s behind" if behind > 0.5 else "")
        self.write(f"{text} ({self.label})", last=False)

    def end(self, sent: int) -> None:
        elapsed = max(time.monotonic() - self.start, 1e-3)
        self.write(f"{sent:,} events in {elapsed:,.0f} s, {sent / elapsed:,.0f} a second ({self.label})", last=True)

    def write(self, text: str, *, last: bool) -> None:
        if self.terminal:
            print(f"\r{text}\x1b[K", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

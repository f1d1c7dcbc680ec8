"""Producing a file: what its format or Kafka's clients refuse ends the command with one line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import aiokafka.errors
import click
import kafka.errors

from recsys.readers.source import FormatError, Passed
from streams.cli.diagnosis import explained
from streams.failure import Failure, one_line

MOST_BAD = 0.5
"""Where a larger part of a file is bad, the command fails: perhaps it is another file, or of another format."""


def judge(good: int, bad: Passed, noun: str, wanted: int = 0) -> None:
    """Says on stderr how much of a file was bad. Raises `Failure` where that was more than `MOST_BAD` of it.

    `wanted` are those among the bad that a policy of the user's refused.
    """
    refused = bad.total - wanted
    if not refused:
        return
    often = max(bad.reasons, key=lambda reason: bad.reasons[reason])
    said = f"{refused:,} of {good + refused:,} {noun} were bad and are not produced (most often: {often})"
    if refused > MOST_BAD * (good + refused):
        others = f"the {good:,} {'other is' if good == 1 else 'others are'}"
        raise Failure(f"{said}; {others}. That is more than half: see whether it is the right file and format")
    click.echo(f"freshet: {one_line(said)}", err=True)


@contextmanager
def refusals_told() -> Iterator[None]:
    """Makes a `Failure` of what is refused inside, where `streams.cli.diagnosis` does not explain it already."""
    for library in ("kafka", "aiokafka"):
        logging.getLogger(library).addHandler(logging.NullHandler())  # what they have to say, the raised error says
    try:
        yield
    except FormatError as error:
        raise Failure(str(error)) from None
    except (kafka.errors.KafkaError, aiokafka.errors.KafkaError) as error:
        if explained(error):
            raise
        raise Failure(f"Kafka refuses: {error or type(error).__name__}; see freshet doctor") from None

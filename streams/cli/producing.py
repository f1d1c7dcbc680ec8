"""Producing a file: what its format or Kafka's clients refuse ends the command with one line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import aiokafka.errors
import kafka.errors

from recsys.readers.source import FormatError
from streams.cli.failure import Failure, explained


@contextmanager
def refusals_told() -> Iterator[None]:
    """Makes a `Failure` of what is refused inside, where `streams.cli.failure` does not explain it already."""
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

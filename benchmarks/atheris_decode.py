"""Coverage-guided fuzzing of `decode` against the oracle: for whoever changes `recsys/events.py`, no part of `make test`.

    pip install atheris
    PYTHONPATH=.:tests python benchmarks/atheris_decode.py -max_total_time=300

An input is a record's value; it begins from the bad input of `tests/strategies.py` and from hostile records. Ends at the first
one of which the two do not say the same, and writes it to a file that the same command takes as an argument.
"""

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["recsys.events", "oracle", "json"]):
    from oracle import Bad, parse

    from recsys.events import InvalidEvent, decode

from hostile import LONGEST_REASON, records
from strategies import BAD, NOW_MS

SEEDS = 400


def agree(value: bytes) -> None:
    """Raises `AssertionError` where the decoder and the oracle differ, and whatever else the decoder raises."""
    try:
        expected = parse(value, NOW_MS)
    except Bad:
        expected = None
    try:
        event = decode(value, NOW_MS)
    except InvalidEvent as invalid:
        said = str(invalid)
        assert expected is None, f"rejected though good: {said}"
        assert said.isascii() and said.isprintable() and len(said) <= LONGEST_REASON, said  # noqa: PT018
        return
    assert expected is not None, "taken though bad"
    assert (event.kind.name.lower(), event.user_id, event.home_id, [line.item_id for line in event.lines], event.time_ms) == (
        expected.kind, expected.user, expected.home_id, expected.items, expected.time_ms,
    )  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        values = [bad.value for bad in BAD] + [sent.value for sent in records(random.Random(1), SEEDS, 3)]
        for n, value in enumerate(values):
            (Path(folder) / str(n)).write_bytes(value or b"")
        atheris.Setup([*sys.argv, "-max_len=65600", folder], agree)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

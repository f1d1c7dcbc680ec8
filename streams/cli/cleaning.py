"""Cleaning: the policy by which the events of a file are put right, and what it did."""

from pathlib import Path

from recsys.preprocessing import BadPolicy, Cleaner, read_policy
from streams.cli.files import reads
from streams.cli.reading import judged, opened
from streams.failure import Failure


def cleaner_of(policy: Path, file: Path, format_name: str) -> Cleaner:
    """What puts the events of a file right by a policy."""
    try:
        with reads(policy):
            cleaner = Cleaner(read_policy(policy.read_text(encoding="utf-8")))
    except (BadPolicy, UnicodeDecodeError) as error:
        raise Failure(f"{policy}: {error}") from None
    if cleaner.looks_ahead:
        look_through(cleaner, file, format_name)
    return cleaner


def look_through(cleaner: Cleaner, file: Path, format_name: str) -> None:
    """Shows a cleaner the whole file, before it is read once more."""
    if not file.is_file():
        raise Failure(f"interpolation reads the file twice, and {file} can be read once: write it to a file first")
    with opened(file, format_name) as reader:
        for each in judged(reader, "looking through"):
            cleaner.look(each)


def cleaned_lines(cleaner: Cleaner) -> list[str]:
    """What was put right, a line each."""
    return [
        f"{count:,} × {name} {what.replace('_', ' ')}"
        for what, by_field in cleaned(cleaner).items()
        for name, count in by_field.items()
    ]


def cleaned(cleaner: Cleaner) -> dict[str, dict[str, int]]:
    """What was put right, by field; of events that a limit cut off, too, if they were read."""
    return {"filled": dict(cleaner.filled), "left_out": dict(cleaner.left_out), "rejected": dict(cleaner.rejected)}

"""Files that a command reads and writes: what is wrong with one ends the command with a line that names it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TypeAlias

import click

from streams.failure import Failure

Write: TypeAlias = Callable[[bytes], object]
"""Writes bytes to a file."""


@contextmanager
def reads(path: Path) -> Iterator[None]:
    """Makes a `Failure` of it where a file cannot be read inside."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror or error}") from None


@contextmanager
def writes(path: Path) -> Iterator[None]:
    """Likewise, where it cannot be written."""
    try:
        yield
    except BrokenPipeError:  # `streams.cli` ends every command alike whose reader has gone
        raise
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}") from None


def demand_folder(path: Path) -> None:
    """Ends the command where a file that is to be written has no folder: better now than when all is computed."""
    if not path.absolute().parent.is_dir():
        raise Failure(f"{path} cannot be written: {path.parent} is no folder")


def demand_report(path: Path, *suffixes: str) -> None:
    """Likewise, where no report can be written there: these are the suffixes that it may have."""
    if path.suffix.lower() not in suffixes:
        raise click.BadParameter(f"a report is {' or '.join(suffixes)}, not {path.name}", param_hint="--report")
    demand_folder(path)
    demand_charts()


def demand_charts() -> None:
    """Likewise, where the library that draws charts is not installed."""
    from recsys.evaluation.charts import chart_library

    try:
        chart_library()
    except ModuleNotFoundError as error:
        raise Failure(str(error)) from None


def demand_other_files(read: Sequence[Path], written: Sequence[Path]) -> None:
    """Nothing that is read may be written over."""
    for path in written:
        if any(path.exists() and other.exists() and path.samefile(other) for other in read):
            raise click.UsageError(f"{path} is read: write to another file")


@contextmanager
def whole(path: Path) -> Iterator[Write]:
    """Writes a file that is there when all of it is written, and not before; only what goes wrong with it is a `Failure`.

    What is no regular file, a pipe or a device, is written to as it stands.
    """
    with writes(path):
        target = path.resolve()
        as_it_stands = target.exists() and not target.is_file()
        # No process number: in a container all commands may have the same, and one that was killed leaves its part.
        part = target if as_it_stands else target.with_name(f".{target.name}.{token_hex(4)}")
        file = part.open("wb" if as_it_stands else "xb")
    try:
        yield writes(path)(file.write)
        with writes(path):
            file.close()
            if not as_it_stands:
                part.replace(target)
    except BaseException:
        with suppress(OSError):
            file.close()
        if not as_it_stands:
            part.unlink(missing_ok=True)
        raise

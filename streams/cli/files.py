"""Files that a command reads and writes: what is wrong with one ends the command with a line that names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.failure import Failure


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

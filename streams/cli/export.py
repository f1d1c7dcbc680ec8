"""`freshet export`: the whole counted state as JSON lines."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import click
import msgspec

from recsys.connection import open_client
from recsys.export import count_items, export_items
from streams.cli.files import writes
from streams.live import live_keys
from streams.progress import Progress
from streams.settings import read_settings

SHOW_EVERY = 100


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON lines; they are printed in any case.")
def export(file: Path | None, as_json: bool) -> None:  # noqa: ARG001 (every command that prints data takes --json)
    """Write the whole counted state as JSON lines, one item a line, sorted by item id; to stdout without FILE."""
    settings = read_settings()
    with open_client(settings.redis) as client:
        keys = live_keys(client, settings.key_prefix)
        total = count_items(client, keys)
        if not total:
            click.echo(f"nothing is counted under {keys.prefix!r} in this Redis", err=True)
        with opened(file) as out, Progress("exporting", "items") as progress:
            for n, item in enumerate(export_items(client, keys, settings.rules.half_life_ms), start=1):
                out.write(msgspec.json.encode(item) + b"\n")
                if n % SHOW_EVERY == 0:
                    progress.show(n / max(n, total), n)
            out.flush()


@contextmanager
def opened(path: Path | None) -> Iterator[IO[bytes]]:
    """Where the export goes: stdout without a path or for `-`, else a file that appears when it is whole.

    What is no regular file, a pipe or a device, is written to as it stands.
    """
    if path is None or str(path) == "-":
        yield sys.stdout.buffer
        return
    with writes(path):
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as out:
                yield out
            return
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as partial:
            try:
                yield partial
                partial.flush()
                os.chmod(partial.name, 0o666 & ~_umask())
                os.replace(partial.name, target)
            except BaseException:
                os.unlink(partial.name)
                raise


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

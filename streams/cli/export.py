"""`freshet export`: the whole counted state as JSON lines."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from recsys.connection import open_client
from recsys.export import count_items, export_items
from streams.cli.files import Write, whole
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
        with opened(file) as write, Progress("exporting", "items") as progress:
            for n, item in enumerate(export_items(client, keys, settings.rules.half_life_ms), start=1):
                write(msgspec.json.encode(item) + b"\n")
                if n % SHOW_EVERY == 0:
                    progress.show(n / max(n, total), n)


@contextmanager
def opened(path: Path | None) -> Iterator[Write]:
    """Writes to where the export goes: stdout without a path or for `-`, else a file that appears when it is whole."""
    if path is None or str(path) == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    with whole(path) as write:
        yield write

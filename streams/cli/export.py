"""`freshet export`: the whole counted state as JSON lines."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

import click
import msgspec
from redis import Redis

from recsys.export import count_items, export_items
from recsys.item_shards import DamagedState
from recsys.keys import Keys
from streams.cli.failure import Failure
from streams.cli.progress import Progress
from streams.settings import read_settings

SHOW_EVERY = 100


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON lines; they are printed in any case.")
def export(file: Path | None, as_json: bool) -> None:  # noqa: ARG001 (every command that prints data takes --json)
    """Write the whole counted state as JSON lines, one item a line, sorted by item id; to stdout without FILE."""
    settings = read_settings()
    keys = Keys(settings.key_prefix)
    with Redis.from_url(settings.redis) as client:
        total = count_items(client, keys)
        if not total:
            click.echo(f"nothing is counted under {keys.prefix!r} in this Redis", err=True)
        partial = file.with_name(file.name + ".partial") if file else None
        with _opened(partial) as out, Progress("exporting", "items") as progress:
            try:
                for n, item in enumerate(export_items(client, keys, settings.rules.half_life_ms), start=1):
                    out.write(msgspec.json.encode(item) + b"\n")
                    if n % SHOW_EVERY == 0:
                        progress.show(n / max(n, total), n)
            except DamagedState as error:
                raise Failure(str(error)) from error
        if partial and file:
            partial.replace(file)


def _opened(path: Path | None) -> AbstractContextManager[IO[bytes]]:
    if path is None:
        return nullcontext(sys.stdout.buffer)
    try:
        return path.open("wb")
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error

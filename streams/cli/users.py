"""`freshet users`: a file of users, produced to the topic of what the shop knows of them."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from recsys.customers.user import FIELDS, BadUser, decode, user_id
from recsys.readers import USERS as FORMATS
from recsys.readers.movielens import users_file
from recsys.readers.source import Source
from streams.cli.describing import Described, Told, Unknown, key_given, lines_told, opened, produce, report, summary
from streams.cli.options import as_json
from streams.cli.producing import judge, refusals_told
from streams.roles import REGISTRY
from streams.settings import read_settings
from streams.topics import USERS


class Head(Struct):
    """What of a line says which user it is about."""

    user_id: str | int | None = None
    deleted: bool | None = None


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", type=click.Choice(list(FORMATS)), default="jsonl", show_default=True, help="Format of the file."
)
@click.option("--limit", type=click.IntRange(0), help="Users at most.")
@as_json
def users(*, file: Path, format_name: str, limit: int | None, as_json: bool) -> None:
    """Produce the users of FILE (- is stdin), plain or gzip, to the `users` topic.

    In jsonl each line is a User JSON with its user_id; {"user_id": "x", "deleted": true} deletes a user. The last line of a
    user holds, so a file may be produced twice. Bad lines are passed over and told. It ends with 1 where they are more than
    half, or where there is nothing else.
    """
    settings = read_settings()
    with closing(opened(users_file(file) if format_name == "movielens" else file)) as source, refusals_told():
        unknown = Unknown(FIELDS)
        described = Described(source, told(source, format_name, unknown), USERS, REGISTRY, "users", unknown)
        produced = produce(settings, described, limit)
    if as_json:
        click.echo(json.dumps(summary(produced, described, settings)))
    else:
        click.echo("\n".join(report(produced, described)))
    judge(produced.total, source.bad, "lines")


def told(source: Source, format_name: str, unknown: Unknown | None = None) -> Iterator[Told]:
    """The lines of a file that say something of a user; the others are counted in `bad`, and fields that say nothing in
    `unknown`.

    Raises `FormatError` where none of them does.
    """
    return lines_told(source, FORMATS[format_name](source), read_line, BadUser, "a user", unknown)


def read_line(line: bytes) -> Told:
    """What a line says of a user. Raises `BadUser`.

    >>> read_line(b'{"user_id": 7, "attributes": {"age": 34}}').key
    '7'
    >>> read_line(b'{"user_id": "u1", "deleted": true}')
    Told(key='u1', value=None)
    >>> read_line(b'{"attributes": {"age": 34}}')
    Traceback (most recent call last):
    ...
    recsys.customers.user.BadUser: user_id: required field is missing
    """
    try:
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if str(error).endswith("`$.deleted`"):
            raise BadUser("deleted: true or false is wanted") from None
        decode(b"-", line)  # it says more exactly what is wrong, if that is wrong in a user, too
        raise BadUser(f"not a user: {error}") from None
    key = key_given("user_id", head.user_id, BadUser)
    if head.deleted:
        return Told(user_id(key), None)
    return Told(decode(key, line).user_id, line)

"""`freshet quality`: how good the events of a file are; needs no broker and no Redis."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Table

from recsys.preprocessing import Cleaner
from recsys.readers import FORMATS
from streams.cli.cleaning import cleaned, cleaner_of
from streams.cli.files import demand_other_files, demand_report, writes
from streams.cli.options import as_json
from streams.cli.reading import given, judged, nothing_in, opened
from streams.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from recsys.quality.profile import Quality


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), required=True, help="Format of the file.")
@click.option("--limit", type=click.IntRange(1), help="Events at most.")
@click.option("--clean", type=click.Path(path_type=Path), help="As this policy would put it right: see freshet replay.")
@click.option("--report", type=click.Path(path_type=Path), help="Write tables and charts, as .html.")
@as_json
def quality(*, file: Path, format_name: str, limit: int | None, clean: Path | None, report: Path | None, as_json: bool) -> None:
    """Say how good the events of FILE (- is stdin) are: what is missing or wrong in each field, numbers out of the ordinary,
    repeats, order.

    What is wrong is what a worker would refuse. Nothing is changed, and nothing is sent anywhere.
    """
    if report is not None:
        demand_report(report, ".html")
        demand_other_files([file], [report])
    file = given(file)
    found = profiled(file, format_name, limit, cleaner_of(clean, file, format_name) if clean is not None else None)
    if report is not None:
        write(report, found)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show(found)


def profiled(file: Path, format_name: str, limit: int | None, cleaner: Cleaner | None = None) -> "Quality":
    """What is to be said of a file, as it is or as a cleaner makes it."""
    from recsys.quality.profile import Profile

    profile = Profile()
    with opened(file, format_name, cleaner.clean if cleaner else None) as reader:
        for each in islice(judged(reader, "reading"), limit):
            profile.take(each)
    if not profile.taken and not reader.bad.total:
        raise nothing_in(reader, "events")
    found = profile.told(file.name, reader.bad, reader.left_out)
    found.cleaned = cleaned(cleaner) if cleaner else {}
    return found


def write(report: Path, found: "Quality") -> None:
    from recsys.quality.page import page

    text = page(found)
    with writes(report):
        report.write_text(text, encoding="utf-8")


def show(found: "Quality") -> None:
    """The same for people."""
    from recsys.quality.words import sheets, summary

    out = Terminal()
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in summary(found):
        table.add_row(name, printable(text))
    out.draw(table)
    for sheet in sheets(found):
        table = Table(title=sheet.title, title_justify="left")
        for n, head in enumerate(sheet.heads):
            is_number = n > 0 and all(row[n][:1].isdigit() for row in sheet.rows)
            table.add_column(head, justify="right" if is_number else "left", overflow="fold")
        for row in sheet.rows:
            table.add_row(*map(printable, row))
        out.draw(table)
        out.print(sheet.note, style="dim")

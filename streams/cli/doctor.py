"""`freshet doctor`: is everything there and well, and what to do if not."""

import click
import msgspec
from rich.table import Table

from streams.cli.options import as_json
from streams.cli.terminal import Terminal
from streams.failure import Failure
from streams.settings import read_settings

COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Check broker, topics, Redis, versions and configuration, and say what to do."""
    from streams.doctor import examine

    findings = list(examine(read_settings()))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        table = Table()
        for heading in ("", "", "", "found", "what to do"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            status = f"[{COLOURS[finding.status]}]{finding.status}[/]"
            table.add_row(finding.area, finding.what, status, _plain(finding.found), _plain(finding.todo))
        Terminal(markup=True).print(table)
    failures = [finding for finding in findings if finding.status == "failure"]
    if failures:
        first = failures[0]
        found = f"{first.area} {first.what}: {first.found.rstrip('.')}"
        raise Failure(f"{len(failures)} of {len(findings)} checks failed, first {found}: {first.todo}")


def _plain(text: str) -> str:
    """Brackets that are text, not markup."""
    return text.replace("[", r"\[")

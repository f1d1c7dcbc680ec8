"""Failures: one line that says what is wrong and what to do, and the exit code 1."""

import sys
from typing import IO, Any

import click


class Failure(click.ClickException):
    """Ends a command with the exit code 1 and `freshet: <message>` on stderr."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"freshet: {one_line(self.format_message())}", file=file or sys.stderr)


def one_line(text: str) -> str:
    """
    >>> one_line("wrong:\\n  very")
    'wrong: very'
    """
    return " ".join(text.split())

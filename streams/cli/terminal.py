"""The terminal: tables whose words and numbers stay whole, and a reader of a pipe that may go."""

import os
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

PLAIN_COLUMNS = 200
"""What a table may take where no terminal says how wide it is."""
LONGEST_WORD = 32
"""Columns of a word that is not broken; ids have up to 128 characters, and strangers choose them."""

SHORT_HEAD = 8
"""Columns of a heading that is not broken between words."""


class Terminal(Console):
    """Where tables go; texts of strangers are no markup, if `markup` is not asked for."""

    def __init__(self, width: int | None = None, *, markup: bool = False) -> None:
        super().__init__(markup=markup, highlight=False, width=width)
        if width is None and not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = PLAIN_COLUMNS

    def on_broken_pipe(self) -> None:
        """Leaves the error, which rich would make an exit code 1 of, to `streams.cli`: it ends every command alike."""
        raise  # noqa: PLE0704 - it is called where the error is caught

    def draw(self, table: Table) -> None:
        """Prints a table of texts. Where it is too wide the frame goes, then lines become longer than the terminal, which wraps
        them: half a number is worth nothing."""
        texts = [[str(each) for each in (column.header, *column.cells)] for column in table.columns]
        if not texts:
            return
        words = [
            max(_whole_head(head), *map(_length if column.justify == "right" else _longest_word, cells), 0)
            for column, (head, *cells) in zip(table.columns, texts, strict=True)
        ]  # of a number "14.3 %" is one word
        between, around = 3, 1
        if sum(words) + between * len(words) + around > self.width:
            table.box, table.pad_edge = None, False
            between, around = 2 if sum(words) + 2 * len(words) <= self.width else 1, 0
            table.padding = (0, between, 0, 0)
        lines = [max(map(_length, column)) for column in texts]
        room = self.width - between * len(words) - around
        for column, width in zip(table.columns, widths(words, lines, room), strict=True):
            column.width = width
        needed = sum(column.width or 0 for column in table.columns) + between * len(words) + around
        usual, self.width = self.width, max(self.width, needed)
        try:
            self.print(table)
        finally:
            self.width = usual


def printable(text: str) -> str:
    """An id as a terminal may have it: events come from strangers.

    >>> printable("a\x1b[31m")
    'a\\\\x1b[31m'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def widths(words: Sequence[int], lines: Sequence[int], room: int) -> list[int]:
    """How wide each column is: its longest word at least; what room is left those get first that need the least to have their
    longest line whole.

    >>> widths([4, 5, 6], [4, 30, 9], 25), widths([10, 10], [10, 12], 8)
    ([4, 12, 9], [10, 10])
    """
    found, left = list(words), max(0, room - sum(words))
    for at in sorted(range(len(words)), key=lambda at: (lines[at] - words[at], at)):
        more = min(max(0, lines[at] - words[at]), left)
        found[at] += more
        left -= more
    return found


def _whole_head(head: str) -> int:
    length = _length(head)
    return length if length <= SHORT_HEAD else _longest_word(head)


def _length(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)


def _longest_word(text: str) -> int:
    return min(LONGEST_WORD, max(map(cell_len, text.split()), default=0))

"""How a campaign shows itself: a bar on a terminal, a line for each fault elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Show:
    """Tells people what happens. Lines that stay are above the bar."""

    def __init__(self, console: Console, faults: int) -> None:
        self.console = console
        self.bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("faults"),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=faults)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def fault(self, number: int, at: float, text: str) -> None:
        """A fault was struck, at a second of the campaign."""
        self.bar.update(self.task, completed=number, description=text)
        if not self.console.is_terminal:
            self.say(f"{at:6.1f} s  {number:3d}  {text}")

    @contextmanager
    def phase(self, text: str) -> Iterator[None]:
        """Something that takes a while."""
        self.bar.update(self.task, description=text)
        if not self.console.is_terminal:
            self.say(f"{text} …")
        yield

    @contextmanager
    def open(self) -> Iterator[None]:
        with self.bar:
            yield

"""Slips of the pen: which name was most likely meant by one that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str]) -> str:
    """What is to be added to the words that there is no such name; empty where none is near.

    >>> meant("recomend", ["replay", "recommend"]), meant("fly", ["replay", "recommend"])
    (" (is 'recommend' meant?)", '')
    """
    close = get_close_matches(name, sorted(known), 1)
    return f" (is {close[0]!r} meant?)" if close else ""

"""Mishaps: what happens to events on their way in every real shop, in small shares, so that the demo has it too."""

from random import Random
from typing import Literal, NamedTuple

WRONG_KEY = 0.01
"""Share of the events that a careless producer sends under another key than the user's id."""
TWICE = 0.01
"""Share of the events that are sent a second time, as after a lost acknowledgement."""
BROKEN = 0.002
"""Share of the events after which half an event follows."""

Mishap = Literal["none", "wrong key", "twice", "broken"]


class Sending(NamedTuple):
    """One record to send, and what is wrong with it."""

    value: bytes
    key: bytes
    mishap: Mishap


def sendings(rng: Random, value: bytes, key: bytes) -> list[Sending]:
    """The records that become of one event.

    >>> [sending.mishap for sending in sendings(Random(1), b"{}", b"u1")]
    ['none']
    """
    chance = rng.random()
    if chance < WRONG_KEY:
        return [Sending(value, b"till-%d" % rng.randrange(100), "wrong key")]
    proper = Sending(value, key, "none")
    if chance < WRONG_KEY + TWICE:
        return [proper, Sending(value, key, "twice")]
    if chance < WRONG_KEY + TWICE + BROKEN:
        return [proper, Sending(value[: len(value) // 2], key, "broken")]
    return [proper]

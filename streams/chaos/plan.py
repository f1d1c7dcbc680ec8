"""The plan: which faults a campaign strikes with, in which order, when and how hard. Pure: one seed, the same plan."""

from collections.abc import Sequence
from random import Random

from msgspec import Struct

from streams.lease import SESSION_TIMEOUT_S

PAUSE_S = (1.0, 4.0)
"""From one fault to the next: nobody waits until all is well again."""
CALM_EVERY = 5
"""Before each fault with such a number everything may come back to life, and then for a while is left alone: else hardly
anything would ever be counted under fire."""
CALM_S = (3.0, 7.0)
SOCKET_TIMEOUT_S = 20.0
"""A worker's patience with Redis (`recsys.store.connect`)."""


class Kind(Struct, frozen=True):
    """A kind of fault."""

    name: str
    weight: int
    """How often it is drawn, against the others."""
    what: str
    """In words; `{seconds}` and `{amount}` are the fault's."""
    seconds: tuple[float, float] = (0.0, 0.0)
    """How long it lasts: the least and the most."""
    amount: tuple[float, float] = (0.0, 0.0)
    """How hard it is: what that means is said in `what`."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("kill-worker", 16, "kill -9 of a worker"),
        Kind("end-worker", 8, "SIGTERM to a worker"),
        Kind("freeze-worker", 8, "a worker stopped for {seconds:.1f} s", (SESSION_TIMEOUT_S + 2, SESSION_TIMEOUT_S + 9)),
        Kind("join-worker", 6, "one worker more for {seconds:.1f} s", (10, 25)),
        Kind("kill-broker", 5, "kill -9 of the broker, down for {seconds:.1f} s", (0, 3)),
        Kind("stop-broker", 2, "the broker stopped for {seconds:.1f} s", (20, 20)),
        Kind("kill-redis", 10, "kill -9 of Redis, down for {seconds:.1f} s", (0, 4)),
        Kind("restore-redis", 4, "Redis restored from a copy at least {amount:.0f} s old", amount=(30, 180)),
        Kind("empty-redis", 4, "Redis emptied"),
        Kind("fill-redis", 5, "Redis full for {seconds:.1f} s", (2, 6)),
        Kind("cut-redis", 10, "all connections to Redis cut"),
        Kind("swallow-reply", 14, "replies of Redis swallowed: {amount:.0f}", amount=(1, 3)),
        Kind("delay-replies", 6, "replies of Redis {amount:.1f} s late for {seconds:.1f} s", (3, 8), (0.2, 2.0)),
        Kind("black-hole", 2, "Redis silent for {seconds:.1f} s", (SOCKET_TIMEOUT_S + 1, SOCKET_TIMEOUT_S + 5)),
    )
}


class Fault(Struct, frozen=True):
    """One fault of a plan."""

    number: int
    """From 1."""
    kind: str
    after_s: float
    """Seconds after the fault before it."""
    seconds: float
    amount: float
    target: int
    """Chooses among the workers that are there."""

    def __str__(self) -> str:
        return KINDS[self.kind].what.format(seconds=self.seconds, amount=self.amount)


def plan(seed: int, faults: int, kinds: Sequence[str] = tuple(KINDS)) -> list[Fault]:
    """So many faults; each of the kinds at least once where there is room for all of them.

    >>> print(plan(1, 1, ["cut-redis"])[0])
    all connections to Redis cut
    """
    rng = Random(f"faults {seed}")
    weights = [KINDS[name].weight for name in kinds]
    drawn = list(kinds) if faults >= len(kinds) else []
    drawn += rng.choices(kinds, weights, k=faults - len(drawn))
    rng.shuffle(drawn)
    return [_fault(rng, number, KINDS[name]) for number, name in enumerate(drawn, start=1)]


def _fault(rng: Random, number: int, kind: Kind) -> Fault:
    pause = CALM_S if number % CALM_EVERY == 0 else PAUSE_S
    amount = rng.uniform(*kind.amount)
    return Fault(
        number=number,
        kind=kind.name,
        after_s=round(rng.uniform(*pause), 3),
        seconds=round(rng.uniform(*kind.seconds), 3),
        amount=round(amount) if kind.name == "swallow-reply" else round(amount, 3),
        target=rng.randrange(1 << 16),
    )

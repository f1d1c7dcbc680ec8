"""The plan of a benchmark: the load, and how often what is measured."""

import time
from collections.abc import Iterator

from msgspec import Struct

from streams.bench.load import events

WITHOUT_CUSTOMERS = {"FRESHET_CUSTOMERS": "false"}
CORE = {
    **WITHOUT_CUSTOMERS,
    "FRESHET_BASKETS": "false",
    "FRESHET_VISITORS": "0",
    "FRESHET_EXPLORE": "0",
    "FRESHET_CATALOGUE": "false",
}
"""Settings with which Freshet learns, ranks and publishes, and does nothing else: no other method is fed, no account kept."""
STREAM = 10_000_000
"""Events of the month that a load is the beginning of."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is asked for. The same seed makes the same events, but for their times: the month ends now."""

    events: int = 100_000
    items: int = 5_000
    users: int = 10_000
    partitions: int = 4
    workers: int = 1
    runs: int = 5
    seed: int = 1

    @property
    def warm_up(self) -> int:
        """Events before those that are measured."""
        return max(1_000, self.events // 10)

    @property
    def naive_events(self) -> int:
        """Events for the agent of the textbooks: as many as it does in about the same time."""
        return max(200, self.events // 50)

    @property
    def phase_s(self) -> float:
        """For how long a latency is measured."""
        return min(20.0, max(1.0, self.events / 5_000))

    def load(self) -> Iterator[tuple[str, bytes]]:
        """The events: the user's id, and the record's value."""
        return events(STREAM, time.time_ns() // 1_000_000, self.seed, self.items, self.users)

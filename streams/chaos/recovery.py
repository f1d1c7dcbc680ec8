"""Recovery: how long it takes from a fault until a worker has ended, or what it had is served again."""

import threading
from collections.abc import Iterable

from msgspec import Struct


class Wait(Struct, kw_only=True):
    """Something that must come after a fault. Times are those of `time.time()`."""

    fault: int
    kind: str
    worker: str
    partitions: frozenset[int]
    """Those that the worker had."""
    began: float
    lifted: float | None = None
    """When the cause of the trouble was gone; None while it is there."""
    takeover: bool = False
    """Whether the worker is gone anyway, and only recommendations by another one will do."""
    seconds: float | None = None
    """What it took, from the beginning of the fault."""

    @property
    def after_lift_s(self) -> float:
        """What it took once the cause was gone; at least 0, and 0 while that is not known."""
        if self.seconds is None or self.lifted is None:
            return 0.0
        return max(0.0, self.began + self.seconds - self.lifted)


class Recovery:
    """Told by several threads what happens, it says what it took."""

    def __init__(self) -> None:
        self.done: list[Wait] = []
        self._open: list[Wait] = []
        self._lock = threading.Lock()

    def strike(self, waits: Iterable[Wait]) -> None:
        """A fault has begun."""
        with self._lock:
            self._open += waits

    def lift(self, fault: int, at: float) -> None:
        """What a fault did is over."""
        with self._lock:
            for wait in self._open:
                if wait.fault == fault:
                    wait.lifted = at

    def ended(self, worker: str, at: float) -> None:
        """A worker has ended, however."""
        with self._lock:
            self._settle([wait for wait in self._open if wait.worker == worker and not wait.takeover], at)

    def served(self, partition: int, at: float) -> None:
        """A recommendation for an event of this partition was written at that time."""
        if not self._open:
            return
        with self._lock:
            waiting = [wait for wait in self._open if partition in wait.partitions and wait.lifted is not None]
            self._settle([wait for wait in waiting if wait.lifted is not None and at > wait.lifted], at)

    @property
    def unsettled(self) -> list[Wait]:
        """What has not come."""
        with self._lock:
            return list(self._open)

    def _settle(self, waits: Iterable[Wait], at: float) -> None:
        for wait in waits:
            wait.seconds = round(at - wait.began, 3)
            self.done.append(wait)
            self._open.remove(wait)

"""The fleet: the workers of a campaign, and their supervisor, which starts those anew that end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from msgspec import Struct

from streams.demo.worker import Worker

RESTART_S = 1.0
"""A worker that ended is started again after this, as systemd would do it."""
END_S = 12.0
"""After SIGTERM a worker has 10 s; the machine is busy."""
POLL_S = 0.1
SHOWN_LINES = 12

Asked = Literal["nothing", "kill", "end"]


class Ending(Struct, frozen=True, kw_only=True):
    """How a worker ended."""

    name: str
    at: float
    """Of `time.time()`."""
    asked: Asked
    """What the campaign had done to it."""
    took_s: float
    """Since it was asked; 0 where it was not."""
    code: int
    traced: bool
    """Whether there is a traceback in its log."""
    lines: list[str]
    """The end of its log."""


class Member:
    """A worker in its place."""

    def __init__(self, place: int, name: str, worker: Worker) -> None:
        self.place = place
        self.name = name
        self.worker = worker
        self.asked: Asked = "nothing"
        self.asked_at = 0.0
        self.frozen = False

    @property
    def is_there(self) -> bool:
        """Whether it may be struck: it is ready, and nothing was done to it yet that it must still answer to."""
        return self.asked == "nothing" and not self.frozen and self.worker.is_ready

    @property
    def partitions(self) -> frozenset[int]:
        """What it said last that it has."""
        return frozenset(int(part) for part in self.worker.listed.split(", ") if part.isdigit())

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.worker.process.pid, number)


class Fleet:
    """Workers, started and started again until it is closed. `ended` hears of every ending, in the supervisor's thread."""

    def __init__(self, variables: Mapping[str, str], folder: Path, workers: int, ended: Callable[[Ending], None]) -> None:
        self.variables = variables
        self.folder = folder
        self.ended = ended
        self.lock = threading.RLock()
        self.endings: list[Ending] = []
        self.started = 0
        self.memory_bytes = 0
        """The most that one worker ever had."""
        self.failure: Exception | None = None
        self._members: dict[int, Member] = {}
        self._due: dict[int, float] = {}
        """Places to be filled again, and when."""
        self._places: set[int] = set()
        """Places that are to be filled."""
        self._closing = threading.Event()
        folder.mkdir()
        for _ in range(workers):
            self.join()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def join(self) -> int:
        """One worker more; its place."""
        with self.lock:
            place = next(n for n in range(1, 1000) if n not in self._places)
            self._places.add(place)
            if place not in self._members:
                self._start(place)
            return place

    def leave(self, place: int) -> None:
        """The place is given up, and whoever has it ends."""
        with self.lock:
            self._places.discard(place)
            self._due.pop(place, None)
            member = self._members.get(place)
            if member and member.worker.is_ready:
                self.end(member)
            elif member:  # Python itself may still be starting, and knows no signals yet
                self.kill(member)

    def members(self) -> list[Member]:
        """Those that run."""
        with self.lock:
            return [member for _, member in sorted(self._members.items())]

    @property
    def is_whole(self) -> bool:
        """Whether every place is filled with a worker that is there."""
        with self.lock:
            return self._places == self._members.keys() and all(member.is_there for member in self._members.values())

    def choose(self, target: int) -> Member | None:
        """One of those that are there."""
        there = [member for member in self.members() if member.is_there]
        return there[target % len(there)] if there else None

    def kill(self, member: Member) -> None:
        """kill -9."""
        self._ask(member, "kill", signal.SIGKILL)

    def end(self, member: Member) -> None:
        """SIGTERM."""
        self._ask(member, "end", signal.SIGTERM)

    def freeze(self, member: Member) -> None:
        """SIGSTOP: it still believes that it has its partitions."""
        with self.lock:
            if self._members.get(member.place) is member and member.worker.process.poll() is None:
                member.signal(signal.SIGSTOP)
                member.frozen = True

    def thaw(self, member: Member) -> None:
        """SIGCONT."""
        with self.lock:
            if member.frozen:
                member.signal(signal.SIGCONT)
                member.frozen = False
                member.asked_at = time.time()  # what it was asked meanwhile reaches it only now

    def check(self) -> None:
        """Raises what went wrong in the supervisor."""
        if self.failure:
            raise self.failure

    def finish(self) -> None:
        """Ends all of them in good order, and returns when they have ended or were ended by force."""
        for place in list(self._places):
            self.leave(place)
        while self.members():
            self.check()
            time.sleep(POLL_S)

    def close(self) -> None:
        """Ends all of them by force."""
        self._closing.set()
        self._thread.join()
        with self.lock:
            for member in self._members.values():
                member.worker.kill()
            self._members.clear()

    def _ask(self, member: Member, asked: Asked, number: signal.Signals) -> None:
        with self.lock:
            if self._members.get(member.place) is member and member.worker.process.poll() is None:
                member.asked, member.asked_at = asked, time.time()
                member.signal(number)

    def _start(self, place: int) -> None:
        self.started += 1
        name = f"worker-{place}.{self.started:03d}"
        self._members[place] = Member(place, name, Worker(self.variables, self.folder / f"{name}.log"))

    def _supervise(self) -> None:
        try:
            while not self._closing.wait(POLL_S):
                with self.lock:
                    now = time.monotonic()
                    for member in list(self._members.values()):
                        self._look_at(member, now)
                    for place in [place for place, due in self._due.items() if due <= now]:
                        del self._due[place]
                        self._start(place)
        except Exception as error:  # noqa: BLE001 (told to whoever asks)
            self.failure = error

    def _look_at(self, member: Member, now: float) -> None:
        self.memory_bytes = max(self.memory_bytes, peak_memory(member.worker.process.pid))
        late = member.asked == "end" and not member.frozen and time.time() - member.asked_at > END_S
        if member.worker.process.poll() is None and not late:
            return
        took_s = time.time() - member.asked_at if member.asked != "nothing" else 0.0
        member.worker.kill()
        del self._members[member.place]
        if member.place in self._places:
            self._due[member.place] = now + RESTART_S
        ending = Ending(
            name=member.name,
            at=time.time(),
            asked=member.asked,
            took_s=round(took_s, 3),
            code=member.worker.process.returncode,
            traced=any(line.startswith("Traceback") for line in member.worker.log),
            lines=list(member.worker.log)[-SHOWN_LINES:],
        )
        self.endings.append(ending)
        self.ended(ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def peak_memory(pid: int) -> int:
    """The most resident memory that a process ever had, in bytes; 0 where that cannot be known.

    >>> peak_memory(os.getpid()) > 10_000_000
    True
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def misbehaviour(ending: Ending) -> str | None:
    """What is wrong with how a worker ended: by the contract it is 0 after SIGTERM, else 1 with one line on stderr."""
    if ending.traced:
        return f"{ending.name} ended with {ending.code} and a traceback"
    if ending.code == -signal.SIGKILL and ending.asked == "kill":
        return None
    if ending.asked == "end" and ending.code == -signal.SIGKILL:
        return f"{ending.name} had not ended {ending.took_s:.1f} s after SIGTERM"
    if ending.asked == "end" and ending.code == 0:
        return None
    if ending.code == 1 and ending.lines and ending.lines[-1].startswith("freshet: "):
        return None
    return f"{ending.name} ended with {ending.code}: {ending.lines[-1] if ending.lines else 'it said nothing'}"

"""Strikes: how each kind of fault is done to a running system, and undone."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from redis import Redis

from streams.chaos.copies import Copies
from streams.chaos.fleet import Fleet, Member
from streams.chaos.plan import Fault
from streams.chaos.proxy import Proxy
from streams.chaos.recovery import Recovery, Wait
from streams.local.system import LocalSystem

WRITES = b"EVAL"
"""What a request to Redis contains that changes something: to lose the reply of another one is harmless."""
FULL = 0.8
"""Of the memory that Redis uses, what it is allowed while it is to be full."""
PATIENCE_S = 45.0
"""For a worker to strike at to be there."""
POLL_S = 0.1

Doing = Iterator[str]
"""Strikes and says at what; then, when it is resumed, undoes it."""


class Strike(Struct, kw_only=True):
    """A fault as it happened. Times are seconds of the campaign."""

    number: int
    kind: str
    what: str
    began: float
    lifted: float | None = None


class Strikes:
    """Strikes at a system. Of two faults that would undo one another the second waits; all others overlap."""

    def __init__(
        self, system: LocalSystem, client: "Redis", proxy: Proxy, fleet: Fleet, copies: Copies, recovery: Recovery
    ) -> None:
        self.system = system
        self.client = client
        self.proxy = proxy
        self.fleet = fleet
        self.copies = copies
        self.recovery = recovery
        self.opened = time.time()
        self.done: list[Strike] = []
        self.skipped = 0
        self.redis_lock = threading.Lock()
        self._locks = {"redis": self.redis_lock}
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def strike(self, fault: Fault) -> Strike | None:
        """Strikes; what follows runs by itself. None where there was no worker to strike at."""
        self.check()
        name, doing = DOINGS[fault.kind]
        lock = self._locks.setdefault(name, threading.Lock()) if name else None
        if lock:
            lock.acquire()
        running = doing(self, fault)
        try:
            what = next(running, None)
        except BaseException:
            if lock:
                lock.release()
            raise
        if what is None:
            self.skipped += 1
            if lock:
                lock.release()
            return None
        strike = Strike(number=fault.number, kind=fault.kind, what=what, began=round(time.time() - self.opened, 3))
        self.done.append(strike)
        thread = threading.Thread(target=self._undo, args=(fault, strike, running, lock), name=fault.kind, daemon=True)
        self._threads.append(thread)
        thread.start()
        return strike

    def check(self) -> None:
        """Raises what went wrong in undoing a fault."""
        if self._failure:
            raise self._failure

    def wait(self) -> None:
        """Returns when everything that was done is undone."""
        for thread in self._threads:
            thread.join()
        self.proxy.swallow(0)
        self.check()

    def close(self) -> None:
        """Undoes everything at once."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _undo(self, fault: Fault, strike: Strike, running: Doing, lock: "threading.Lock | None") -> None:
        try:
            self._ending.wait(fault.seconds)
            next(running, None)
            now = time.time()
            strike.lifted = round(now - self.opened, 3)
            self.recovery.lift(fault.number, now)
        except BaseException as error:  # noqa: BLE001 (told to whoever checks)
            self._failure = error
        finally:
            if lock:
                lock.release()

    def _note(self, fault: Fault, *members: Member, takeover: bool = False) -> None:
        """From now on it is waited for that these workers end, or what they have is served."""
        now = time.time()
        self.recovery.strike(
            Wait(
                fault=fault.number,
                kind=fault.kind,
                worker=member.name,
                partitions=member.partitions,
                began=now,
                takeover=takeover,
            )
            for member in members
            if member.partitions
        )

    def _victim(self, fault: Fault) -> Member | None:
        """A worker that is there; waits for one."""
        until = time.monotonic() + PATIENCE_S
        while not (member := self.fleet.choose(fault.target)):
            if time.monotonic() > until:
                return None
            self.fleet.check()
            time.sleep(POLL_S)
        return member

    def _all(self, fault: Fault) -> None:
        self._note(fault, *(member for member in self.fleet.members() if member.is_there))

    def kill_worker(self, fault: Fault) -> Doing:
        if victim := self._victim(fault):
            self._note(fault, victim, takeover=True)
            self.fleet.kill(victim)
            yield f"kill -9 of {named(victim)}"

    def end_worker(self, fault: Fault) -> Doing:
        if victim := self._victim(fault):
            self._note(fault, victim)
            self.fleet.end(victim)
            yield f"SIGTERM to {named(victim)}"

    def freeze_worker(self, fault: Fault) -> Doing:
        if victim := self._victim(fault):
            self._note(fault, victim)
            self.fleet.freeze(victim)
            yield f"SIGSTOP to {named(victim)} for {fault.seconds:.1f} s"
            self.fleet.thaw(victim)

    def join_worker(self, fault: Fault) -> Doing:
        place = self.fleet.join()
        yield f"{fault}, in place {place}"
        self.fleet.leave(place)

    def kill_broker(self, fault: Fault) -> Doing:
        self._all(fault)
        self.system.kafka.kill()
        yield str(fault)
        self.system.kafka.start()

    def stop_broker(self, fault: Fault) -> Doing:
        self._all(fault)
        self.system.kafka.stop()
        yield str(fault)
        self.system.kafka.start()

    def kill_redis(self, fault: Fault) -> Doing:
        self._all(fault)
        self.system.redis.kill()
        yield str(fault)
        self.system.redis.start()

    def restore_redis(self, fault: Fault) -> Doing:
        self._all(fault)
        copy = self.copies.choose(fault.amount)
        self.system.redis.stop()
        self.copies.put_back(copy)
        yield f"{fault}: {copy.path.name}, {time.monotonic() - copy.at:.0f} s old"
        self.system.redis.start()

    def empty_redis(self, fault: Fault) -> Doing:
        self._all(fault)
        self.client.flushall()
        yield str(fault)

    def fill_redis(self, fault: Fault) -> Doing:
        self._all(fault)
        used: Any = self.client.info("memory")
        self.client.config_set("maxmemory", int(used["used_memory"] * FULL))
        yield str(fault)
        self.client.config_set("maxmemory", 0)

    def cut_redis(self, fault: Fault) -> Doing:
        self._all(fault)
        yield f"{fault}: {self.proxy.cut()}"

    def swallow_reply(self, fault: Fault) -> Doing:
        self.proxy.swallow(round(fault.amount), WRITES)
        yield str(fault)

    def delay_replies(self, fault: Fault) -> Doing:
        self._all(fault)
        self.proxy.delay(fault.amount)
        yield str(fault)
        self.proxy.delay(0)

    def black_hole(self, fault: Fault) -> Doing:
        self._all(fault)
        self.proxy.stop_up()
        yield str(fault)
        self.proxy.clear()


DOINGS: dict[str, tuple[str | None, Callable[[Strikes, Fault], Doing]]] = {
    "kill-worker": (None, Strikes.kill_worker),
    "end-worker": (None, Strikes.end_worker),
    "freeze-worker": (None, Strikes.freeze_worker),
    "join-worker": (None, Strikes.join_worker),
    "kill-broker": ("broker", Strikes.kill_broker),
    "stop-broker": ("broker", Strikes.stop_broker),
    "kill-redis": ("redis", Strikes.kill_redis),
    "restore-redis": ("redis", Strikes.restore_redis),
    "empty-redis": ("redis", Strikes.empty_redis),
    "fill-redis": ("redis", Strikes.fill_redis),
    "cut-redis": (None, Strikes.cut_redis),
    "swallow-reply": (None, Strikes.swallow_reply),
    "delay-replies": ("delay", Strikes.delay_replies),
    "black-hole": ("hole", Strikes.black_hole),
}
"""For each kind of fault, what only one fault at a time may have in hand, and what is done."""


def named(member: Member) -> str:
    return f"{member.name} (partitions {', '.join(map(str, sorted(member.partitions))) or 'none'})"

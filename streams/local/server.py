"""A server of ours: one process, its folder, its port."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streams.local.errors import LocalError, PortInUse
from streams.local.ports import taken
from streams.local.process import Watch, identity, send, spawn, wait_gone

LOG = "server.log"
PID = "server.pid"
STOP_S = 20.0
START_S = 60.0
POLL_S = 0.05
SHOWN_LINES = 12


class Server:
    """Starts, stops, kills and restarts one server on the same port and data.

    A file in its folder remembers the process, by number and start time: a later program finds it there, and a process
    that was only given the same number later is never touched.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        port: int,
        prepare: Callable[[Path, int], Sequence[str | Path]],
        answers: Callable[[int], bool],
    ) -> None:
        self.name = name
        self.directory = directory.absolute()
        self.port = port
        self.prepare = prepare
        self.answers = answers
        self.child: subprocess.Popen[bytes] | None = None
        self.mark = ""
        self.watch: Watch | None = None

    @property
    def log(self) -> Path:
        return self.directory / LOG

    @property
    def pid(self) -> int | None:
        """The process number while it runs."""
        found = self.found()
        return found[0] if found else None

    def found(self) -> tuple[int, str] | None:
        """Number and identity of the running process: our child, or the one that an earlier program left here."""
        self.reap()
        if self.child is not None:
            return self.child.pid, self.mark
        return running(self.directory)

    def start(self) -> None:
        """Start it, wait until it answers. It ends with this process. Raises `LocalError`; then it does not run."""
        try:
            self.launch()
            self.watch_over()
            self.wait_ready()
        except BaseException:
            self.abandon()
            raise

    def launch(self) -> None:
        """Start the process alone: nobody watches over it, and it may not answer yet."""
        if (pid := self.pid) is not None:
            raise LocalError(f"{self.name} already runs on {self.directory} (process {pid}): stop it, or use another folder")
        self.directory.mkdir(parents=True, exist_ok=True)
        command = self.prepare(self.directory, self.port)
        if taken(self.port):
            raise PortInUse(self.name, self.port)
        self.child = spawn(command, self.directory, self.log)
        self.mark = identity(self.child.pid) or ""
        record = {"pid": self.child.pid, "identity": self.mark, "port": self.port}
        temporary = self.directory / f"{PID}.new"
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(self.directory / PID)

    def watch_over(self) -> None:
        """From now on the process ends with this one."""
        assert self.child is not None
        self.watch = Watch(self.child.pid)

    def wait_ready(self, seconds: float = START_S) -> None:
        """Return when it answers. Raises `LocalError`, with the log's end as a note, if it died or took too long."""
        until = time.monotonic() + seconds
        while not self.answers(self.port):
            if self.pid is None:
                raise self.failure("ended while it started")
            if time.monotonic() > until:
                raise self.failure(f"did not answer within {seconds:.0f} s")
            time.sleep(POLL_S)

    def failure(self, what: str) -> LocalError:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        said = next((f" ({line.strip()[:200]})" for line in reversed(lines) if line.strip()), "")
        error = LocalError(
            f"{self.name} {what}{said}: its log {self.log} says why; if its data are broken, remove {self.directory}"
        )
        error.add_note("\n".join([f"The end of {self.log}:", *lines[-SHOWN_LINES:]]))
        return error

    def stop(self) -> bool:
        """End it in good order; by force if that takes too long. False if it was not running."""
        return self.end(signal.SIGTERM)

    def kill(self) -> bool:
        """kill -9: as a crash would end it."""
        return self.end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same port and data, whether it runs or has died."""
        self.stop()
        self.start()

    def abandon(self) -> None:
        """End what this object started; a process that somebody else started on the folder is left alone."""
        if self.child is not None:
            self.stop()

    def end(self, number: signal.Signals) -> bool:
        found = self.found()
        if found:
            send(*found, number)
            if not self.gone(*found, STOP_S):
                send(*found, signal.SIGKILL)
                self.gone(*found, STOP_S)
        self.reap()
        (self.directory / PID).unlink(missing_ok=True)
        return found is not None

    def gone(self, pid: int, mark: str, seconds: float) -> bool:
        if self.child is None or self.child.pid != pid:
            return wait_gone(pid, mark, seconds)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def reap(self) -> None:
        """Forget a child that has ended, and dismiss who watched over it before its number is given to another."""
        if self.child is not None and identity(self.child.pid) is None:
            if self.watch is not None:
                self.watch.dismiss()
                self.watch = None
            self.child.wait()
            self.child = None


def running(directory: Path) -> tuple[int, str] | None:
    """Number and identity of the server that runs on this folder, whoever started it."""
    record = record_of(directory)
    if record and identity(int(record["pid"])) == record["identity"]:
        return int(record["pid"]), str(record["identity"])
    return None


def remembered_port(directory: Path) -> int | None:
    """Port of the process that was started on this folder last, if it was not stopped since."""
    record = record_of(directory)
    return int(record["port"]) if record else None


def record_of(directory: Path) -> dict[str, int | str] | None:
    try:
        record: dict[str, int | str] = json.loads((directory / PID).read_bytes())
    except (OSError, ValueError):
        return None
    return record if {"pid", "identity", "port"} <= record.keys() else None

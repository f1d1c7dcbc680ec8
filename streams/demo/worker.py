"""A worker of ours: `freshet worker` in a process of its own, that ends with this one however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.local.process import Watch

COMMAND = (sys.executable, "-m", "streams", "worker")
READY = "ready"
PARTITIONS = "has partitions: "
SILENT_S = 120.0
"""So long it may say nothing before it is ready: the very first start compiles the ranking."""
POLL_S = 0.5
STOP_S = 15.0
TAIL = 200
"""Lines of its log that are kept."""


class WorkerFailed(RuntimeError):
    """The worker did not start, or ended by itself: with the last thing it said."""


class Worker:
    """A running worker, perhaps not ready yet; as a context manager it ends at the end.

    What it says is kept in part, and written to `file` entirely. `command` runs something else that is ready when it says so.
    """

    def __init__(self, variables: Mapping[str, str], file: Path | None = None, command: Sequence[str] = COMMAND) -> None:
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("FRESHET_")}
        self.log: deque[str] = deque(maxlen=TAIL)
        self.file = file
        self._ready = threading.Event()
        self.said_s = time.monotonic()
        """When it said something last."""
        self.listed = ""
        """The partitions that it said last that it has, as it said it."""
        self.process = subprocess.Popen(
            command,
            env=foreign | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._stopped = False
        self._watch = Watch(self.process.pid)
        self._reader = threading.Thread(target=self._read, name="worker-log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with ExitStack() as stack:
            file = stack.enter_context(self.file.open("w", encoding="utf-8", buffering=1)) if self.file else None
            for line in stack.enter_context(self.process.stderr):
                self.log.append(line.rstrip())
                self.said_s = time.monotonic()
                if file:
                    file.write(line)
                _, said, listed = line.rstrip().partition(PARTITIONS)
                self.listed = listed if said else self.listed
                if READY in line:
                    self._ready.set()
        self._ready.set()

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it is ready, and still runs."""
        return self._ready.is_set() and self.process.poll() is None

    def wait_ready(self) -> None:
        """Returns when it is ready, however long it takes while it goes on to say something. Raises `WorkerFailed`."""
        while not self._ready.wait(POLL_S):
            self.check_silence()
        self.check()

    def check_silence(self) -> None:
        """Raises `WorkerFailed` if it has said nothing for too long."""
        if time.monotonic() - self.said_s > SILENT_S:
            raise WorkerFailed(f"the worker has said nothing for {SILENT_S:.0f} s, the last was: {self.said}")

    def check(self) -> None:
        """Raises `WorkerFailed` if it has ended by itself."""
        if self.process.poll() is not None:
            self._reader.join(1)
            code = self.process.returncode
            raise WorkerFailed(f"the worker ended with {code}: {self.said}" if code else "somebody stopped the worker")

    @property
    def said(self) -> str:
        """The last line of its log."""
        return next((line for line in reversed(self.log) if line.strip()), "it said nothing")

    def stop(self) -> int:
        """Ends it, and returns its exit code. May be called again."""
        if self._stopped:
            return self.process.returncode
        self._stopped = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._watch.dismiss()
        self._reader.join(1)
        return self.process.returncode

    def kill(self) -> None:
        """kill -9, as a crash would end it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.stop()

    def finish(self) -> None:
        """Ends it. Raises `WorkerFailed` if it did not end well."""
        if self.stop() != 0:
            raise WorkerFailed(f"the worker ended with {self.process.returncode}: {self.said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

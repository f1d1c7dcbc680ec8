"""Workers as processes: start, wait until ready, end them in every way, and tell how they ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

READY_S = 60.0


def wait_until(predicate: Callable[[], object], what: str, seconds: float = 30.0, every: float = 0.05) -> None:
    """Returns as soon as `predicate()` is true; fails, saying `what` did not happen, after `seconds`."""
    until = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < until, f"within {seconds:.0f} s it did not happen that {what}"
        time.sleep(every)


class Worker:
    """A `freshet worker` in its own process."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._said = log.with_suffix(".out")
        with log.open("wb") as stderr, self._said.open("wb") as stdout:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker"],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it is ready."""
        return b"ready" in self._said.read_bytes()

    @property
    def stderr(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def partitions(self) -> str:
        """Those that it last said it has, in words; nothing while it has said nothing."""
        said = [line.partition("has partitions: ")[2] for line in self.stderr.splitlines() if "has partitions: " in line]
        return said[-1] if said else ""

    @property
    def last_line(self) -> str:
        """The last line on stderr."""
        return next((line for line in reversed(self.stderr.splitlines()) if line.strip()), "")

    @property
    def memory_mb(self) -> float:
        """What it holds in memory, in 10⁶ bytes."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def wait_ready(self) -> "Worker":
        wait_until(lambda: self.is_ready or self.code is not None, "a worker was ready", READY_S)
        assert self.code is None, f"the worker ended with {self.code}: {self.stderr[-2000:]}"
        return self

    def kill(self) -> None:
        """kill -9, as a crash would end it."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: it stands still, and knows nothing of it."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self, seconds: float = 10.0) -> int:
        """SIGTERM; the exit code. Fails if it takes longer."""
        self._process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """The exit code, when it has ended by itself. Fails if it takes longer."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end within {seconds:.0f} s: {self.stderr[-2000:]}") from None


class Workers:
    """The workers of a test, and their supervisor."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory
        self.started: list[Worker] = []

    def start(self, **variables: str) -> Worker:
        """One more worker, not ready yet; `variables` are set in its environment."""
        log = self._directory / f"worker-{len(self.started)}.log"
        self.started.append(Worker({**self._environ, **variables}, log))
        return self.started[-1]

    @contextmanager
    def supervised(self) -> Iterator["Workers"]:
        """Ends every worker at the end."""
        try:
            yield self
        finally:
            for worker in self.started:
                worker.kill()

    def replace_the_fallen(self) -> None:
        """What a supervisor does: a worker that ended by itself with 1 and one line is started again."""
        last = self.started[-1]
        if last.code is not None:
            assert last.code == 1, f"it ended with {last.code}: {last.stderr[-2000:]}"
            assert last.last_line.startswith("freshet: "), last.stderr[-2000:]
            self.start()

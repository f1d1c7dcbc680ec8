"""Processes: told apart from others with the same number, ended for certain, ended with their owner."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLL_S = 0.02

WATCH = 'read -r order || kill -KILL "$1"'
"""The end of the input without an order means that the owner is gone, however it went."""


def identity(pid: int) -> str | None:
    """What tells a process from a later one with the same number; None if it is not running.

    >>> identity(os.getpid()) == identity(os.getpid()) is not None
    True
    """
    if not sys.platform.startswith("linux"):
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        state, _, started = shown.stdout.strip().partition(" ")
        return started.strip() if started and not state.startswith("Z") else None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in the brackets before may hold anything
    state, started = fields[0], fields[19]
    return None if state in "ZX" else f"{boot} {started}"


def spawn(command: Sequence[str | Path], directory: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, so that Ctrl-C reaches its owner only; its output goes to the log."""
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def send(pid: int, mark: str, number: signal.Signals) -> None:
    """Signal a process and its group, if it is still the one that the identity says."""
    if identity(pid) == mark:
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return


def wait_gone(pid: int, mark: str, seconds: float) -> bool:
    """True once the process is gone, False if it is still there after so many seconds."""
    until = time.monotonic() + seconds
    while identity(pid) == mark:
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


class Watch:
    """A small process that kills another one when this one is gone, even by kill -9.

    Not PR_SET_PDEATHSIG: that fires when the *thread* that started the child ends, and Linux alone has it.
    """

    def __init__(self, pid: int) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, "freshet-watch", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """The watched process is gone: its number must not be signalled any more."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(b"dismissed\n")
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()

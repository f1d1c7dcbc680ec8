"""Copies: what Redis held at some moments of the campaign, to be restored as from a backup."""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

from redis import Redis

from streams.local.server import Server

KEPT = 20

APPEND_ONLY = "appendonly.aof"
FOLDER = "appendonlydir"
"""Where Redis 7 keeps its append-only files; without it, it takes over a file by the old name."""
DUMP = "dump.rdb"


class Copy(NamedTuple):
    """A snapshot, and when it was taken (of `time.monotonic()`)."""

    path: Path
    at: float


class Copies:
    """Snapshots of a running Redis. A snapshot is a valid beginning of an append-only file, and is restored as one."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.taken: list[Copy] = []
        self._number = 0
        folder.mkdir()

    def take(self, client: "Redis") -> None:
        """Takes one more, and forgets the oldest."""
        at = time.monotonic()
        client.save()
        self._number += 1
        path = self.folder / f"{self._number:04d}.rdb"
        (self.server.directory / DUMP).replace(path)
        self.taken.append(Copy(path, at))
        while len(self.taken) > KEPT:
            self.taken.pop(0).path.unlink()

    def choose(self, age_s: float) -> Copy:
        """The newest that is at least so old; while there is none, the oldest."""
        before = time.monotonic() - age_s
        return next((copy for copy in reversed(self.taken) if copy.at <= before), self.taken[0])

    def put_back(self, copy: Copy) -> None:
        """Puts it in the place of what a stopped Redis had."""
        shutil.rmtree(self.server.directory / FOLDER, ignore_errors=True)
        shutil.copyfile(copy.path, self.server.directory / APPEND_ONLY)

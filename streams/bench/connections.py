"""TCP connections of a process: how many bytes went each way, as the kernel counts them.

Neither aiokafka nor Faust counts bytes, and brokers tell theirs only over JMX; Linux knows them for each connection
(`tcp_info`, over netlink, without special rights), whatever client and server are used.
"""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
DUMP = 0x301
"""NLM_F_REQUEST | NLM_F_DUMP."""
ERROR, DONE = 2, 3
INFO = 2
"""INET_DIAG_INFO: the attribute that holds `tcp_info`."""
HEADER = struct.Struct("=IHHII")
REQUEST = struct.Struct("=BBBxI48x")
ATTRIBUTES = 72
"""Where they begin in an `inet_diag_msg`, after the ports (in the order of the network) and the inode."""
BYTES = struct.Struct("=QQ")
BYTES_AT = 120
"""Of `tcpi_bytes_acked` and `tcpi_bytes_received` in `tcp_info` (Linux 4.2 and later)."""


class Connection(NamedTuple):
    """What went over it since it was opened, in bytes of TCP's payload."""

    port: int
    """Of the other end."""
    sent: int
    received: int


def connections(pid: int) -> dict[int, Connection]:
    """Those that the process has open now, by inode. Raises OSError where the kernel does not tell."""
    inodes = set(_sockets_of(pid))
    return {inode: found for family in (socket.AF_INET, socket.AF_INET6) for inode, found in _all(family) if inode in inodes}


def _sockets_of(pid: int) -> Iterator[int]:
    for name in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(name)
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _all(family: int) -> Iterator[tuple[int, Connection]]:
    request = REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (INFO - 1), 0xFFFFFFFF)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + request)
        while True:
            data = kernel.recv(1 << 16)
            while data:
                length, kind, *_ = HEADER.unpack_from(data)
                if kind == DONE:
                    return
                if kind == ERROR:
                    raise OSError(-struct.unpack_from("=i", data, HEADER.size)[0], "the kernel does not tell of connections")
                yield from _told(data[HEADER.size : length])
                data = data[(length + 3) & ~3 :]


def _told(message: bytes) -> Iterator[tuple[int, Connection]]:
    (port,) = struct.unpack_from(">H", message, 6)
    (inode,) = struct.unpack_from("=I", message, 68)
    at = ATTRIBUTES
    while at < len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == INFO:
            yield inode, Connection(port, *BYTES.unpack_from(message, at + 4 + BYTES_AT))
        at += (length + 3) & ~3

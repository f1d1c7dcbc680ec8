"""Packing: numbers to and from the bytes of many stored values at once, by compiled code.

Values are read from, and written to, one array of bytes; numbers are little-endian and stand anywhere.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from recsys.compiled import I64, U8, compiled


def joined(values: Sequence[bytes]) -> tuple[U8, I64]:
    """Values one after the other, and where each begins, with the end of the last.

    >>> joined([b"ab", b"", b"c"])
    (array([97, 98, 99], dtype=uint8), array([0, 2, 2, 3]))
    """
    return np.frombuffer(b"".join(values), np.uint8), starts(np.fromiter(map(len, values), np.int64, len(values)))


def starts(lengths: I64) -> I64:
    """Where values of these lengths begin, one after the other, and where the last one ends.

    >>> starts(np.array([2, 0, 1]))
    array([0, 2, 2, 3])
    """
    found = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=found[1:])
    return found


def cut(data: U8, start: I64) -> list[bytes]:
    """The values that begin there, as `joined` has them.

    >>> cut(*joined([b"ab", b"", b"c"]))
    [b'ab', b'', b'c']
    """
    whole = data.tobytes()
    return [whole[begin:end] for begin, end in pairwise(start.tolist())]


@compiled
def get16(data: U8, at: int) -> int:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8  # type: ignore[return-value]


@compiled
def get32(data: U8, at: int) -> int:
    """A number of four bytes without a sign."""
    low = np.uint64(data[at]) | np.uint64(data[at + 1]) << 8
    return low | np.uint64(data[at + 2]) << 16 | np.uint64(data[at + 3]) << 24  # type: ignore[return-value]


@compiled
def get64(data: U8, at: int) -> int:
    """A number of eight bytes without a sign."""
    return get32(data, at) | get32(data, at + 4) << np.uint64(32)  # type: ignore[return-value]


@compiled
def put16(data: U8, at: int, number: int) -> None:
    for i in range(2):
        data[at + i] = number >> (8 * i) & 0xFF


@compiled
def put32(data: U8, at: int, number: int) -> None:
    """Writes the lowest four bytes of a number."""
    left = np.uint64(number)
    for i in range(4):
        data[at + i] = left & np.uint64(0xFF)
        left >>= np.uint64(8)


@compiled
def put64(data: U8, at: int, number: int) -> None:
    left = np.uint64(number)
    for i in range(8):
        data[at + i] = left & np.uint64(0xFF)
        left >>= np.uint64(8)

"""What is stored reads back as it was, whatever the numbers are, and is laid out as the modules say."""

import struct
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import histories, rows
from recsys.histories import Histories
from recsys.rows import HEADER, Rows

U64S, U32S = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
TIMES = st.integers(0, 2**47)
FEW = settings(deadline=None, max_examples=30)


def column(data: st.DataObject, numbers: st.SearchStrategy[int], shape: tuple[int, ...], kind: type) -> Any:
    size = int(np.prod(shape))
    return np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)), kind).reshape(shape)


@FEW
@given(data=st.data(), users=st.integers(1, 4), room=st.integers(1, 6))
def test_histories_read_back_as_they_were(data: st.DataObject, users: int, room: int) -> None:
    shape = (users, room)
    length = column(data, st.integers(0, room), (users,), np.int32)
    there = np.arange(room) < length[:, None]
    told = Histories(
        column(data, U64S, shape, np.uint64) * there,
        column(data, U64S, shape, np.uint64) * there,
        column(data, st.integers(0, 2**40 - 1), shape, np.uint64) * there,
        column(data, TIMES, shape, np.int64) * there,
        column(data, st.integers(0, 255), shape, np.uint8) * there,
        length,
    )
    packed = histories.pack(told, np.arange(users))
    found = histories.unpack(packed, room)
    for field in Histories._fields:
        assert (getattr(found, field) == getattr(told, field)).all(), field
    newest = histories.unpack([None, *packed], 1)
    for u in np.flatnonzero(length):
        assert newest.item[u + 1, 0] == told.item[u, length[u] - 1]
        assert newest.time[u + 1, 0] == told.time[u, length[u] - 1]


@FEW
@given(data=st.data(), n=st.integers(1, 3), width=st.integers(0, 5))
def test_rows_read_back_as_they_were(data: st.DataObject, n: int, width: int) -> None:
    names = data.draw(st.lists(st.text(max_size=9), min_size=n, max_size=n))
    shape = (n, width)
    length = column(data, st.integers(0, width), (n,), np.int32)
    there = np.arange(width) < length[:, None]
    floats = st.integers(-(10**6), 10**6)
    told = Rows(
        np.arange(n, dtype=np.uint64),
        list(names),
        column(data, TIMES, (n,), np.int64),
        column(data, floats, (n,), np.float64) / 7.0,
        column(data, floats, (n,), np.float64) / 3.0,
        column(data, TIMES, (n,), np.int64),
        column(data, TIMES, (n,), np.int64),
        column(data, TIMES, (n,), np.int64),
        length,
        column(data, U64S, shape, np.uint64) * there,
        (column(data, floats, shape, np.float64) / 9.0 * there).astype(np.float32),
        column(data, U32S, shape, np.uint32) * there,
    )
    packed = rows.pack(told, np.arange(n))
    found = rows.empty(told.item, width)
    rows.unpack(found, packed)
    assert found.ids == told.ids
    for field in Rows._fields[2:]:
        assert (getattr(found, field) == getattr(told, field)).all(), field
    for r, value in enumerate(packed):
        assert rows.packed_id(value) == names[r]
        assert rows.packed_length(value) == length[r]
        assert HEADER.unpack_from(value)[3:6] == (told.interactions[r], told.popularity[r], told.trend[r])
        k = int(length[r])
        neighbours = (*told.other[r, :k], *told.weight[r, :k], *told.counts[r, :k])
        assert value[HEADER.size :] == names[r].encode() + struct.pack(f"<{k}Q{k}f{k}I", *neighbours)

"""The compiler of the hot loops: numba, its result cached on disk so that a second start is quick."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

R = TypeVar("R")

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Bools = NDArray[np.bool_]


def compiled(function: Callable[..., R]) -> Callable[..., R]:
    """`function` as machine code, made at its first call; plain loops over arrays are the right style in it.

    The cache knows a function by its own file: after a change to a compiled function that another file calls, remove
    `__pycache__` (`make clean`), or the caller goes on with the old one.
    """
    dispatcher: Any = numba.njit(cache=True, error_model="numpy")(function)
    return dispatcher  # type: ignore[no-any-return]

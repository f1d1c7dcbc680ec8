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

    It makes no array and returns none: its scratch is given to it. So it is compiled without counting references, which else
    takes longer than the loops themselves (`docs/decisions/0013-loops-count-no-references.md`); numba refuses what makes one.

    The cache knows a function by its own file: after a change to a compiled function that another file calls, remove
    `__pycache__` (`make clean`), or the caller goes on with the old one.
    """
    return _machine_code(function, counts_references=False)


def compiled_beside(function: Callable[..., R]) -> Callable[..., R]:
    """As `compiled`, for the outermost of long loops: while it runs, other threads of Python go on."""
    return _machine_code(function, counts_references=False, lets_others_run=True)


def compiled_maker(function: Callable[..., R]) -> Callable[..., R]:
    """The same for a function that makes arrays or hands on what such a one made; not for one that is called in a hot loop."""
    return _machine_code(function, counts_references=True)


def _machine_code(function: Callable[..., R], *, counts_references: bool, lets_others_run: bool = False) -> Callable[..., R]:
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": lets_others_run, "_nrt": counts_references}
    dispatcher: Any = numba.njit(**options)(function)
    return dispatcher  # type: ignore[no-any-return]

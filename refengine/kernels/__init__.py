"""Numba kernels: they add integers; what rounds or clips is handed to them as numbers.

Every file imports nothing of refengine but this room and the errors.  Compiled kernels are kept on disk as ``cache.py``
says; where no folder can be used, they are compiled again in each process, which costs time and nothing else.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

INSTRUCTION_SET_OPTION = "REFENGINE_INSTRUCTION_SET"


def jit(function: Callable[..., Any]) -> Any:
    """All compiler flags, once: compiled at first use, kept on disk, running without Python's lock."""
    import numba  # here, because asking for the instruction set should not load the compiler

    from .cache import kept

    return kept(numba.njit(function, nogil=True))

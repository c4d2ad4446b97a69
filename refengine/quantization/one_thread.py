"""Products of matrices by one thread: their sums are added up in an order that follows the number of threads.

The library of linear algebra that NumPy is built with is asked by its own functions, where they can be found: OpenBLAS,
MKL and BLIS on systems whose loader also looks into the libraries that a library needs (not on Windows).
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

_FUNCTIONS = (  # how many threads there are, and the function that sets it
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
)


class _Users:
    """Who is within one_thread() now, and how many threads there were before the first of them."""

    lock = threading.Lock()
    count = 0
    before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy's linear algebra use one thread while the block runs, in all threads of this process.

    Blocks may overlap: the number of threads comes back at the end of the last one.
    """
    found = _functions()
    if found is None:
        yield
        return
    get, put = found
    with _Users.lock:
        if not _Users.count:
            _Users.before = get()
            put(1)
        _Users.count += 1
    try:
        yield
    finally:
        with _Users.lock:
            _Users.count -= 1
            if not _Users.count:
                put(_Users.before)


@cache
def _functions() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """The two functions of the library that NumPy computes with; None where there are none."""
    path = importlib.import_module("numpy.linalg._umath_linalg").__file__
    library = ctypes.CDLL(path)
    for get, put in _FUNCTIONS:
        if hasattr(library, get) and hasattr(library, put):
            return getattr(library, get), getattr(library, put)
    return None

"""Numba kernels: they add integers; what rounds or clips is handed to them as numbers.

Every file imports nothing of refengine but this room and the errors.  Compiled kernels are kept on disk as ``cache.py``
says; where no folder can be used, they are compiled again in each process, which costs time and nothing else.
"""

RUNG_OPTION = "REFENGINE_RUNG"


def jit(function):
    """All compiler flags, once: compiled at first use, kept on disk, running without Python's lock."""
    import numba  # here, because asking for the rung should not load the compiler

    from .cache import kept

    return kept(numba.njit(function, nogil=True))

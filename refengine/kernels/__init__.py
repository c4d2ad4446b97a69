"""Numba kernels: they add integers; what rounds or clips is handed to them as numbers.

Every file is sealed: it imports nothing of refengine but the door below, and its functions call nothing outside their
file, so that a cached kernel can never be older than the source it was made from.
"""

from numba import njit


def jit(function):
    """All compiler flags, once: compiled at first use, cached on disk, running without Python's lock."""
    return njit(function, nogil=True, cache=True)

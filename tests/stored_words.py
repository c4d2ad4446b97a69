"""Integers of every width as the words of a file, by plain Python, and what a golden expects of them."""

import numpy as np

from refengine.golden.dumps.expected import Expected
from refengine.vectors.words import fitted

SHAPE = (2, 2, 3, 5)


def words_of(numbers, bits):
    """Integers as words of whole bytes, by plain Python."""
    size = -(-bits // 8)
    data = b"".join((int(number) & (2**bits - 1)).to_bytes(size, "little") for number in numbers)
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def integers(bits, signed, seed=0):
    rng = np.random.default_rng(seed)
    low = -(2 ** (bits - 1)) if signed else 0
    found = rng.integers(low, low + 2**bits - 1, SHAPE, np.int64, endpoint=True)
    found.reshape(-1)[:2] = low, low + 2**bits - 1
    return found


def expecting(bits, signed, packing=None, order="nhwc"):
    packing = packing or fitted(bits, signed)
    return Expected(SHAPE, np.dtype(np.int64), bits, signed, "nhwc", order, packing)

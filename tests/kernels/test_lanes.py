"""The words of the tile kernels, each once, in a function that adds a broadcast byte to a row of integers."""

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from refengine.kernels.lanes import I8, I32, broadcast, load, number, repeated, store, vector


@intrinsic
def add_to_row(context, row, byte):
    def generate(context, builder, signature, arguments):
        to, source = arguments
        wide = builder.zext(load(builder, source, I8), I32)
        total = builder.add(load(builder, to, vector(I32, 4)), broadcast(builder, wide, 4))
        store(builder, builder.add(total, repeated(-3, I32, 4)), builder.add(to, number(0)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@njit
def call(row, byte):
    add_to_row(row, byte)


def test_loads_broadcasts_and_stores():
    row, byte = np.array([1, 2, 3, 4], np.int32), np.array([200], np.uint8)
    call(row.ctypes.data, byte.ctypes.data)
    assert row.tolist() == [198, 199, 200, 201]

"""The words of the tile kernels, each in a function that is too small to hide a mistake."""

import platform

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from refengine.kernels.lanes import (
    I8,
    I32,
    LINE,
    Loop,
    broadcast,
    call,
    every_other,
    load,
    number,
    prefetch,
    repeated,
    store,
    vector,
)


def compiled(emit, arguments):
    """A function of int64 from what emits its body."""

    @intrinsic
    def emitted(context, values):
        def generate(context, builder, signature, values):
            emit(builder, *(builder.extract_value(values[0], n) for n in range(arguments)))
            return context.get_dummy_value()

        return types.void(types.UniTuple(types.int64, arguments)), generate

    @njit
    def run(values):
        emitted(values)

    def call_it(*values):
        return run(values)

    call_it.assembly = lambda: "".join(run.inspect_asm().values())
    return call_it


def test_loads_broadcasts_and_stores():
    def add_to_row(builder, row, byte):
        wide = builder.zext(load(builder, byte, I8), I32)
        total = builder.add(load(builder, row, vector(I32, 4)), broadcast(builder, wide, 4))
        store(builder, builder.add(total, repeated(-3, I32, 4)), builder.add(row, number(4)))

    row, byte = np.array([1, 2, 3, 4, 5], np.int32), np.array([200], np.uint8)
    compiled(add_to_row, 2)(row.ctypes.data, byte.ctypes.data)
    assert row.tolist() == [1, 198, 199, 200, 201]


@pytest.mark.parametrize("first", [0, 1])
def test_every_other_lane(first):
    def pick(builder, source, to):
        store(builder, every_other(builder, load(builder, source, vector(I32, 8)), 4, first), to)

    source, to = np.arange(8, dtype=np.int32), np.zeros(4, np.int32)
    compiled(pick, 2)(source.ctypes.data, to.ctypes.data)
    assert to.tolist() == source[first::2].tolist()


def squares_until(builder, limit, to):
    """to[0] = 0**2 + 1**2 + ... below ``limit``, to[1] = the first number that is not below."""
    loop = Loop(builder, [number(0), number(0)])
    n, total = loop.values
    square = builder.mul(n, n)
    loop.leave_unless(builder.icmp_signed("<", n, limit))
    loop.close([builder.add(n, number(1)), builder.add(total, square)])
    store(builder, total, to)
    store(builder, n, builder.add(to, number(8)))


@pytest.mark.parametrize("limit", [-3, 0, 1, 2, 100])
def test_a_loop_goes_round_while_its_condition_holds(limit):
    found = np.zeros(2, np.int64)
    compiled(squares_until, 2)(limit, found.ctypes.data)
    assert found.tolist() == [sum(n * n for n in range(limit)), max(limit, 0)]


def test_a_loop_may_be_left_after_its_work():
    """What was computed before leaving is there afterwards; and a loop may hold another one."""

    def products(builder, rows, columns, to):
        outer = Loop(builder, [number(1), number(0)])
        row, total = outer.values
        inner = Loop(builder, [number(0), total])
        column, total = inner.values
        inner.leave_unless(builder.icmp_signed("<", column, columns))
        inner.close([builder.add(column, number(1)), builder.add(total, row)])
        outer.leave_unless(builder.icmp_signed("<", row, rows))
        outer.close([builder.add(row, number(1)), total])
        store(builder, total, to)

    found = np.zeros(1, np.int64)
    for rows, columns in ((1, 0), (1, 5), (4, 3)):
        compiled(products, 3)(rows, columns, found.ctypes.data)
        assert found[0] == columns * sum(range(1, rows + 1))


def test_any_address_may_be_asked_for():
    """None faults or is written to, and on x86 and ARM an instruction asks for it."""
    line = np.arange(LINE, dtype=np.uint8)
    ask = compiled(prefetch, 1)
    for address in (0, 1, line.ctypes.data, line.ctypes.data + 2**40, -1):
        ask(address)
    assert line.tolist() == list(range(LINE))
    if instruction := {"x86_64": "prefetch", "AMD64": "prefetch", "aarch64": "prfm"}.get(platform.machine()):
        assert instruction in ask.assembly()


def test_an_intrinsic_is_declared_once_and_called_often():
    def swapped_twice(builder, source, to):
        value = load(builder, source, I32)
        for place in (0, 4):
            value = call(builder, "llvm.bswap.i32", I32, value)
            store(builder, value, builder.add(to, number(place)))

    source, to = np.array([0x01020304], np.int32), np.zeros(2, np.int32)
    compiled(swapped_twice, 2)(source.ctypes.data, to.ctypes.data)
    assert to.tolist() == [0x04030201, 0x01020304]

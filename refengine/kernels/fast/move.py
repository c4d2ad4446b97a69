"""Steps that move bytes: copies, fills, and the largest byte of a window, as LLVM IR.

Codes are stored so that larger codes are larger bytes, so a maximum of bytes is a maximum of codes.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..lanes import I8, I32, I64, Loop, call, load, number, store, vector

_NOT_VOLATILE = ir.Constant(ir.IntType(1), 0)


def _pointer(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.inttoptr(address, I8.as_pointer())


def _copy(context: Any, to: ir.Value, source: ir.Value, length: ir.Value) -> Any:
    """Copy ``length`` bytes between addresses (int64)."""
    signature = types.void(types.int64, types.int64, types.int64)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        to, source, length = arguments
        places = _pointer(builder, to), _pointer(builder, source)
        call(builder, "llvm.memcpy.p0i8.p0i8.i64", ir.VoidType(), *places, length, _NOT_VOLATILE)
        return context.get_dummy_value()

    return signature, generate


def _fill(context: Any, to: ir.Value, byte: ir.Value, length: ir.Value) -> Any:
    """Set ``length`` bytes from an address on (int64)."""
    signature = types.void(types.int64, types.int64, types.int64)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        to, byte, length = arguments
        value = builder.trunc(byte, I8)
        call(builder, "llvm.memset.p0i8.i64", ir.VoidType(), _pointer(builder, to), value, length, _NOT_VOLATILE)
        return context.get_dummy_value()

    return signature, generate


copy: Any = intrinsic(_copy)
fill: Any = intrinsic(_fill)


def make_largest(width: int) -> Any:
    """largest(window, taps, offsets, codes): the greatest of the bytes ``window + offsets[t]``, ``width`` side by side.

    Addresses and sizes, int64; offsets int32 (taps); codes u8 (width).
    """

    @intrinsic
    def largest(context: Any, window: ir.Value, taps: ir.Value, offsets: ir.Value, codes: ir.Value) -> Any:
        signature = types.void(*[types.int64] * 4)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
            window, taps, offsets, codes = arguments
            none = ir.Constant(vector(I8, width), [0] * width)
            over_taps = Loop(builder, [number(0), none])
            tap, most = over_taps.values
            over_taps.leave_unless(builder.icmp_signed("<", tap, taps))
            offset = load(builder, builder.add(offsets, builder.mul(tap, number(4))), I32, 4)
            found = load(builder, builder.add(window, builder.sext(offset, I64)), vector(I8, width))
            larger = builder.select(builder.icmp_unsigned(">", found, most), found, most)
            over_taps.close([builder.add(tap, number(1)), larger])
            store(builder, most, codes)
            return context.get_dummy_value()

        return signature, generate

    return largest

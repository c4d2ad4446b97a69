"""From a tile's sums to codes: the rescale of ``numbers/requantize.py`` in 32-bit lanes, exactly.

The contract wants, for round half up,

    code = clip((t * M + (r << R) + 2**(s-1)) >> s)                 t = sum + bias, in 64 bits

With t = 2**16 * h + l, l a signed 16-bit number, and 0 <= M < 2**15, R >= 16, s >= 17:

    (t * M) >> 16 = h * M + ((l * M) >> 16)                         no bit is lost: h * M is whole
    (t * M + (r << R) + 2**(s-1)) >> s = ((t * M >> 16) + r * 2**(R-16) + 2**(s-17)) >> (s-16)

The second line holds because what is added after the first shift is whole in its unit, and a floor of a floor is the
floor.  ``packing`` brings M, R and s into these ranges by a common power of two, which M takes as far as its 15 bits
reach and t (its *lift*, a left shift) as far as its bound allows; it checks from the bounds of the network that each
32-bit sum stays inside, and where they do not fit the exact finish of ``plan`` is used.
"""

from numba import types
from numba.extending import intrinsic

from .lanes import I8, I32, broadcast, load, number, repeated, store, vector


def make_finish(lanes):
    """finish(sums, table, width, channel, residual, code, lo, hi, zero) for ``lanes`` channels of one pixel.

    sums int32 (lanes); table int32 (6, width): bias, M, 2**(s-17), s-16, 2**(R-16) and the lift, from ``channel`` on;
    residual u8 (lanes), or 0 for none; code u8 (lanes).  ``zero`` is what code 0 is stored as; lo and hi include it.
    """

    @intrinsic
    def finish(context, sums, table, width, channel, residual, code, lo, hi, zero):
        signature = types.void(*[types.int64] * 9)

        def generate(context, builder, signature, arguments):
            _emit(builder, lanes, *arguments)
            return context.get_dummy_value()

        return signature, generate

    return finish


def _emit(builder, lanes, sums, table, width, channel, residual, code, lo, hi, zero):
    def row(index):
        place = builder.add(builder.mul(width, number(index)), channel)
        return load(builder, builder.add(table, builder.mul(place, number(4))), vector(I32, lanes), 4)

    def every(value):
        return broadcast(builder, builder.trunc(value, I32), lanes)

    sixteen = repeated(16, I32, lanes)
    total = builder.shl(builder.add(load(builder, sums, vector(I32, lanes), 4), row(0)), row(5))
    multiplier = builder.ashr(builder.shl(row(1), sixteen), sixteen)
    low = builder.ashr(builder.shl(total, sixteen), sixteen)
    high = builder.ashr(builder.sub(total, low), sixteen)
    product = builder.add(builder.mul(high, multiplier), builder.ashr(builder.mul(low, multiplier), sixteen))
    product = builder.add(product, row(2))
    added = builder.alloca(vector(I32, lanes))
    builder.store(product, added)
    with builder.if_then(builder.icmp_signed("!=", residual, number(0))):
        codes = builder.zext(load(builder, residual, vector(I8, lanes)), vector(I32, lanes))
        builder.store(builder.add(product, builder.mul(codes, row(4))), added)
    value = builder.add(builder.ashr(builder.load(added), row(3)), every(zero))
    value = builder.select(builder.icmp_signed(">", value, every(lo)), value, every(lo))
    value = builder.select(builder.icmp_signed("<", value, every(hi)), value, every(hi))
    store(builder, builder.trunc(value, vector(I8, lanes)), code)

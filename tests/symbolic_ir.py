"""The tile kernels' own code, run on symbols: a builder that computes what others would turn into instructions.

Functions of ``kernels/`` that write LLVM IR ask a builder for additions, shifts and loads.  This one answers with
integers: addresses and sizes are Python's, lanes are the solver's or, to compare with a processor, Python's as well.

A register of ``width`` bits is an integer that need not be reduced: sums, products and left shifts are those of whole
numbers, which agree with the register's modulo ``2**width``.  Whatever looks at the number itself (a shift to the
right, a comparison, a conversion) first reduces it, unless the assumptions say that it is in range.  Nothing is taken
for granted that way: where a register would overflow, the result is that of the overflow.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from symbolic import counterexample, z3

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


@dataclass(frozen=True)
class Lanes:
    """A vector of registers; ``values`` are congruent to the registers modulo ``2**width``."""

    width: int
    values: tuple

    @property
    def type(self):
        """LLVM's."""
        return ir.VectorType(ir.IntType(self.width), len(self.values))


def integers(*names):
    """The solver's integers."""
    return z3.Ints(" ".join(names))


def _is_term(value):
    return isinstance(value, z3.ExprRef)


def _if(flag, yes, no):
    return z3.If(flag, yes, no) if _is_term(flag) else yes if flag else no


def _below(value, unit):
    """The remainder and the floored quotient of a division by ``unit``, a positive number."""
    return (value % unit, value / unit) if _is_term(value) else (value % unit, value // unit)


class Builder:
    """What the kernels ask llvmlite's IRBuilder for.

    assumptions: about the symbols in lanes.  memory: what loads find: Lanes by address, and single bytes by address.
    equal: pairs of terms that the assumptions make equal; where the first is computed, the second takes its place.
    symbols: lists of symbols, a lane each; the assumptions are about those of the first lane and hold for each.
    """

    def __init__(self, *assumptions, memory=None, equal=(), symbols=()):
        self._assumptions = assumptions
        self._renamed = [(symbol, of_lane[0]) for of_lane in symbols for symbol in of_lane[1:]]
        self._equal = {first.get_id(): (first, second) for first, second in equal}
        self.memory = memory or {}
        self.module = ir.Module()
        self.block = ir.Block(ir.Function(self.module, ir.FunctionType(ir.VoidType(), []), "proof"))
        self._in_range, self._halves = {}, {}

    # ------------------------------------------------------------------------------------------- numbers in registers

    def signed(self, value, width):
        """The number that a register holds, as a signed one."""
        return self._reduced(value, -(1 << (width - 1)), width)

    def unsigned(self, value, width):
        """The same as an unsigned one."""
        return self._reduced(value, 0, width)

    def _reduced(self, value, lo, width):
        if _is_term(value) and self._is_within(z3.substitute(value, *self._renamed), lo, width):
            return value
        return _below(value - lo, 1 << width)[0] + lo

    def _is_within(self, value, lo, width):
        key = (value.get_id(), lo, width)
        if key not in self._in_range:
            claim = z3.And(value >= lo, value < lo + (1 << width))
            self._in_range[key] = value, counterexample(claim, *self._assumptions) is None
        return self._in_range[key][1]

    # -------------------------------------------------------------------------------------------------- instructions

    def add(self, a, b):
        return self._each(lambda x, y: x + y, a, b)

    def sub(self, a, b):
        return self._each(lambda x, y: x - y, a, b)

    def mul(self, a, b):
        return self._each(lambda x, y: x * y, a, b)

    def shl(self, a, b):
        return self._each(lambda x, y: x * power_of_two(y), a, b)

    def ashr(self, a, b):
        width = _of(a).width
        return self._each(lambda x, y: _below(self.signed(x, width), power_of_two(y))[1], a, b)

    def lshr(self, a, b):
        width = _of(a).width
        return self._each(lambda x, y: _below(self.unsigned(x, width), power_of_two(y))[1], a, b)

    def icmp_signed(self, sign, a, b):
        return self._compared(sign, a, b, self.signed)

    def icmp_unsigned(self, sign, a, b):
        return self._compared(sign, a, b, self.unsigned)

    def _compared(self, sign, a, b, reduced):
        a, b = _of(a), _of(b)
        if isinstance(a, int):
            a, b = Lanes(64, (a,)), Lanes(64, (b,))
        ask = {"<": lambda x, y: x < y, ">": lambda x, y: x > y, "<=": lambda x, y: x <= y}[sign]
        pairs = zip(a.values, b.values, strict=True)
        return tuple(ask(reduced(x, a.width), reduced(y, a.width)) for x, y in pairs)

    def select(self, flags, a, b):
        a, b = _of(a), _of(b)
        return Lanes(a.width, tuple(map(_if, flags, a.values, b.values)))

    def zext(self, a, kind):
        a = _of(a)
        return Lanes(_width(kind), tuple(self.unsigned(x, a.width) for x in a.values))

    def sext(self, a, kind):
        a = _of(a)
        if isinstance(a, int):
            return a
        return Lanes(_width(kind), tuple(self.signed(x, a.width) for x in a.values))

    def trunc(self, a, kind):
        a = _of(a)
        return Lanes(_width(kind), a.values) if isinstance(a, Lanes) else Loaded(a, kind)

    def bitcast(self, a, kind):
        """Lanes cut into narrower ones or put together, the lowest bits first."""
        a, width = _of(a), _width(kind)
        while a.width > width:
            a = Lanes(a.width // 2, tuple(half for x in a.values for half in self._cut(x, a.width // 2)))
        while a.width < width:
            pairs = zip(a.values[::2], a.values[1::2], strict=True)
            a = Lanes(2 * a.width, tuple(self._join(self.unsigned(x, a.width), y, a.width) for x, y in pairs))
        return a

    def insert_element(self, a, value, index):
        values = list(_of(a).values)
        values[_of(index)] = _of(value)
        return Lanes(_of(a).width, tuple(values))

    def shuffle_vector(self, a, b, picks):
        a, b = _of(a), _of(b)
        both = (*a.values, *b.values)
        return Lanes(a.width, tuple(both[n] for n in _of(picks).values))

    def _each(self, compute, a, b):
        a, b = _of(a), _of(b)
        if isinstance(a, int):
            return int(compute(a, b))
        return Lanes(a.width, tuple(self._known(x) for x in map(compute, a.values, b.values)))

    def _known(self, value):
        return self._equal.get(value.get_id(), (value, value))[1] if _is_term(value) else value

    def asm(self, kind, text, constraint, values, side_effect):
        """A piece of assembly without an instruction leaves a register as it is."""
        assert not text
        return values[0]

    # -------------------------------------------------------------------------------------------------------- memory

    def inttoptr(self, address, kind):
        return _Place(_of(address), kind.pointee)

    def load(self, place):
        found = self.memory.get(place.address)
        if not isinstance(found, Lanes):
            found = self._joined_bytes(place.address, place.kind.width // 8)
        return Loaded(found, place.kind)

    def _joined_bytes(self, address, size):
        """A number from its bytes, the lowest first."""
        if size == 1:
            return self.memory[address]
        low, high = (self._joined_bytes(address + half, size // 2) for half in (0, size // 2))
        return self._join(low, high, 4 * size)

    def _join(self, low, high, width):
        """Two halves of ``width`` bits, the lower one unsigned; cut apart again, they are themselves."""
        whole = low + high * (1 << width)
        if _is_term(whole):
            self._halves[whole.get_id()] = whole, (low, high)
        return whole

    def _cut(self, value, width):
        """The lower and the upper half of a register."""
        if _is_term(value) and value.get_id() in self._halves:
            return self._halves[value.get_id()][1]
        return _below(value, 1 << width)

    # ---------------------------------------------------------------------------------------------------- instructions

    def call(self, function, arguments):
        """Instructions of x86 and ARM, by the names that LLVM has for them."""
        name = function.name
        for part, instruction in _INSTRUCTIONS.items():
            if part in name:
                return instruction(self, *map(_of, arguments))
        raise NotImplementedError(name)


@dataclass(frozen=True)
class _Place:
    address: int
    kind: ir.Type


class Loaded:
    """What stands in memory, lanes or one number; kernels set an alignment on it."""

    def __init__(self, value, kind):
        self.value, self.type, self.align = value, kind, None


def power_of_two(shift):
    """``2**shift`` of a number, or what stands for the power itself: a ``Power``."""
    return shift.unit if isinstance(shift, Power) else 1 << shift


@dataclass(frozen=True)
class Power:
    """A shift that is known by its power of two alone: ``unit`` is any positive integer in its place."""

    unit: object


def _of(value):
    """Lanes or a Python integer, of whatever stands for one."""
    if isinstance(value, Loaded):
        return value.value
    if not isinstance(value, ir.Constant):
        return value
    if not isinstance(value.type, ir.VectorType):
        return value.constant
    width, count = value.type.element.width, value.type.count
    numbers = (0,) * count if value.constant is ir.Undefined else tuple(c.constant for c in value.constant)
    return Lanes(width, numbers)


def _width(kind):
    return (kind.element if isinstance(kind, ir.VectorType) else kind).width


# ----------------------------------------------------------------------------------------- instructions of x86 and ARM


def _saturated(value, lo, hi):
    return _if(value < lo, lo, _if(value > hi, hi, value))


def _in_pairs(products):
    return tuple(a + b for a, b in zip(products[::2], products[1::2], strict=True))


def _pmaddubsw(builder, a, b):
    """u8 times s8, added in pairs, saturated to s16."""
    products = [builder.unsigned(x, 8) * builder.signed(y, 8) for x, y in zip(a.values, b.values, strict=True)]
    return Lanes(16, tuple(_saturated(pair, -(2**15), 2**15 - 1) for pair in _in_pairs(products)))


def _pmaddwd(builder, a, b):
    """s16 times s16, added in pairs modulo 2**32."""
    products = [builder.signed(x, 16) * builder.signed(y, 16) for x, y in zip(a.values, b.values, strict=True)]
    return Lanes(32, _in_pairs(products))


def _vpdpbusd(builder, sums, a, b):
    """Four products of u8 and s8 added to each lane modulo 2**32."""
    (a, b) = (builder.bitcast(x, I8) for x in (a, b))
    products = [builder.unsigned(x, 8) * builder.signed(y, 8) for x, y in zip(a.values, b.values, strict=True)]
    return Lanes(32, tuple(s + p for s, p in zip(sums.values, _in_pairs(_in_pairs(products)), strict=True)))


def _packed(builder, a, b, lo, hi):
    """Half as wide, saturated; within 128 bits the first operand's lanes stand before the second's."""
    part = 128 // a.width
    narrow = [[_saturated(builder.signed(x, a.width), lo, hi) for x in side.values] for side in (a, b)]
    values = [x for n in range(0, len(a.values), part) for side in narrow for x in side[n : n + part]]
    return Lanes(a.width // 2, tuple(values))


def _products(builder, a, b):
    """s8 times s8, each a word."""
    return [builder.signed(x, 8) * builder.signed(y, 8) for x, y in zip(a.values, b.values, strict=True)]


def _sdot(builder, sums, a, b):
    """Four products of s8 and s8 added to each lane modulo 2**32."""
    products = _in_pairs(_in_pairs(_products(builder, a, b)))
    return Lanes(32, tuple(s + p for s, p in zip(sums.values, products, strict=True)))


def _saddlp(builder, a):
    """Neighbours added, twice as wide."""
    return Lanes(32, _in_pairs([builder.signed(x, 16) for x in a.values]))


_INSTRUCTIONS = {
    "neon.usdot": _vpdpbusd,
    "neon.sdot": _sdot,
    "neon.smull": lambda builder, a, b: Lanes(16, tuple(_products(builder, a, b))),
    "neon.addp": lambda builder, a, b: Lanes(16, _in_pairs([*a.values, *b.values])),
    "neon.saddlp": _saddlp,
    "pmaddubs": _pmaddubsw,
    "pmadd.ub": _pmaddubsw,
    "pmaddw.d": _pmaddwd,
    "pmadd.wd": _pmaddwd,
    "vpdpbusd": _vpdpbusd,
    "packssdw": lambda builder, a, b: _packed(builder, a, b, -(2**15), 2**15 - 1),
    "packuswb": lambda builder, a, b: _packed(builder, a, b, 0, 255),
}


# ----------------------------------------------------------------------------------------------------------- many lanes


def same_in_every_lane(values, symbols):
    """Whether each lane computes the same of its own symbols: what is proven of the first then holds for all.

    values: terms, a lane each.  symbols: lists of symbols, a lane each in every list.
    """
    first = values[0]
    for lane, value in enumerate(values):
        renamed = z3.substitute(first, *[(of_lane[0], of_lane[lane]) for of_lane in symbols])
        if not renamed.eq(value):
            return False
    return True


def one_after_the_other(name, count):
    """``count`` integers of the solver, named by lane."""
    return [z3.Int(f"{name}{n}") for n in range(count)]


def bytes_of(values, width):
    """Lanes from a NumPy array of integers."""
    return Lanes(width, tuple(int(v) for v in np.ravel(values)))

"""The few words of LLVM IR that the tile kernels are written in: vectors of lanes, loads, stores, broadcasts.

Numba compiles Python loops; what it cannot be told is to keep a whole block of sums in registers and to use one
particular dot-product instruction.  The tile kernels say both, in LLVM IR, through these words and nothing else.
"""

from collections.abc import Sequence

from llvmlite import ir

LINE = 64  # bytes that memory hands over at once

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def vector(kind: ir.Type, lanes: int) -> ir.VectorType:
    """The type of ``lanes`` integers of type ``kind``."""
    return ir.VectorType(kind, lanes)


def number(value: int, kind: ir.Type = I64) -> ir.Constant:
    """A constant."""
    return ir.Constant(kind, value)


def repeated(value: int, kind: ir.Type, lanes: int) -> ir.Constant:
    """A vector constant, every lane the same."""
    return ir.Constant(vector(kind, lanes), [ir.Constant(kind, value)] * lanes)


def load(builder: ir.IRBuilder, address: ir.Value, kind: ir.Type, align: int = 1) -> ir.Value:
    """What stands at an address (int64); ``align`` in bytes is a promise."""
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = align
    return value


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int = 1) -> None:
    """Put a value at an address (int64)."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = align


def broadcast(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A vector with ``value`` in every lane."""
    undefined = ir.Constant(vector(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, number(0, I32))
    return builder.shuffle_vector(first, undefined, repeated(0, I32, lanes))


def prefetch(builder: ir.IRBuilder, address: ir.Value) -> None:
    """Ask for the line at an address (int64), which need not exist, to be brought near, not into the nearest cache."""
    read, near, data = (number(value, I32) for value in (0, 2, 1))
    pointer = builder.inttoptr(address, I8.as_pointer())
    call(builder, "llvm.prefetch.p0i8", ir.VoidType(), pointer, read, near, data)


X86, ARM = "v", "w"  # what LLVM calls vector registers of a kind of processor


def settled(builder: ir.IRBuilder, value: ir.Value, registers: str = X86) -> ir.Value:
    """The same value of vector registers, computed just here: sums are neither regrouped nor moved across.

    An empty piece of assembly.  Without it LLVM adds the products of unrolled rounds before it adds them to their sum,
    which takes more registers than there are.
    """
    kind = ir.FunctionType(value.type, [value.type])
    return builder.asm(kind, "", f"={registers},0", [value], side_effect=True)


def every_other(builder: ir.IRBuilder, values: ir.Value, count: int, first: int) -> ir.Value:
    """Lanes ``first``, first + 2, ...: ``count`` of them."""
    undefined = ir.Constant(values.type, ir.Undefined)
    picks = ir.Constant(vector(I32, count), [ir.Constant(I32, 2 * n + first) for n in range(count)])
    return builder.shuffle_vector(values, undefined, picks)


def call(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    """Call an LLVM intrinsic."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    declared = builder.module.globals.get(name)
    function = declared if declared is not None else ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


class Loop:
    """A loop whose running values are phi nodes.

    It goes round until ``leave_unless`` finds its condition false, wherever in the body that is asked; ``close`` ends
    the body.  Afterwards whatever was computed before leaving may be used.
    """

    def __init__(self, builder: ir.IRBuilder, starts: Sequence[ir.Value]) -> None:
        before = builder.block
        self._builder = builder
        self._block = builder.append_basic_block("loop")
        self._end = builder.append_basic_block("end")
        builder.branch(self._block)
        builder.position_at_end(self._block)
        self.values = [builder.phi(start.type) for start in starts]
        for value, start in zip(self.values, starts, strict=True):
            value.add_incoming(start, before)

    def leave_unless(self, condition: ir.Value) -> None:
        """Go on with the body while ``condition`` holds."""
        body = self._builder.append_basic_block("body")
        self._builder.cbranch(condition, body, self._end)
        self._builder.position_at_end(body)

    def close(self, nexts: Sequence[ir.Value]) -> None:
        """Go round again with ``nexts``."""
        for value, after in zip(self.values, nexts, strict=True):
            value.add_incoming(after, self._builder.block)
        self._builder.branch(self._block)
        self._builder.position_at_end(self._end)

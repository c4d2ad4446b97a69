"""What the proofs rest on, held against the machine: symbols with values compute what NumPy and the processor do."""

import numpy as np
import pytest
from kernels_under_proof import instruction_sets
from numba import njit, types
from numba.extending import intrinsic
from symbolic import Flag, Word, number, proved, word, z3
from symbolic_ir import Builder, Lanes

from refengine.kernels.lanes import I32, load, store, vector

RUNNABLE = pytest.mark.parametrize("target", instruction_sets.runnable(), ids=lambda target: target.name)
OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
}
SHIFTING = {"<<": lambda a, b: a << b, ">>": lambda a, b: a >> b, "%": lambda a, b: a % (b + 1)}
ENDS = (0, 1, -1, 2, 255, -128, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1, -(2**63))


def value_of(result):
    """The number of a symbolic result without symbols."""
    term = z3.simplify(result.term)
    return z3.is_true(term) if isinstance(result, Flag) else term.as_signed_long()


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("name", [*OPERATORS, *SHIFTING])
def test_words_compute_as_numpy_does(name):
    """Ends of int64 and what lies beside them, wrapping included; shifts of 0 to 62."""
    compute = OPERATORS.get(name) or SHIFTING[name]
    for a in ENDS:
        for b in ENDS if name in OPERATORS else (0, 1, 7, 31, 62):
            assert value_of(compute(number(a), number(b))) == int(compute(np.int64(a), np.int64(b))), (a, b)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_casts_keep_what_numpy_keeps(dtype):
    for value in ENDS:
        kept = number(value).astype(dtype)
        assert value_of(kept.widened(80)) == int(np.array([value], np.int64).astype(dtype)[0])


def test_a_bit_length_is_pythons():
    for value in (0, 1, 2, 3, 2**31 - 1, 2**31, 2**62):
        assert value_of(number(value).bit_length()) == value.bit_length()


def test_a_false_claim_is_found_out():
    """And a claim from assumptions that nothing satisfies is no news."""
    x = word("x")
    with pytest.raises(AssertionError, match=r"^false for {'x': 5}$"):
        proved(x != 5)
    proved(x == 6, Word(x.term) == 5, x == 6)


# ----------------------------------------------------------------------------------------------------- instructions


def compiled(target, emit, count):
    """What the processor computes of ``count`` registers, three at most: a function from arrays to bytes."""
    lanes = target.lanes

    @intrinsic
    def at(context, first, second, third, result):
        def generate(context, builder, signature, arguments):
            loaded = [load(builder, address, vector(I32, lanes)) for address in arguments[:3]]
            store(builder, emit(builder, *loaded[:count]), arguments[3])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    @njit(types.void(*[types.int64] * 4))
    def run(first, second, third, result):
        at(first, second, third, result)

    def call(operands):
        arrays, out = [*operands, *operands[:1] * (3 - count)], np.zeros(4 * lanes, np.int32)
        run(*(array.ctypes.data for array in arrays), out.ctypes.data)
        return out.tobytes()

    return call


def by_the_builder(emit, operands):
    """What the proofs' builder computes of the same numbers, as the bytes of its registers."""
    builder = Builder()
    found = emit(builder, *(Lanes(32, tuple(int(v) for v in operand)) for operand in operands))
    size = found.width // 8
    return b"".join((int(v) % (1 << found.width)).to_bytes(size, "little") for v in found.values)


def instructions(target):
    """The pieces of code that end in an instruction, by name."""
    lanes = target.lanes
    found = {"dot": lambda builder, s, a, w: target.dot(builder, s, a, w, lanes)}
    if target.has_words:
        found["byte_pairs"] = lambda builder, a, w: instruction_sets.byte_pairs(builder, a, w, lanes)
        found["word_pairs"] = lambda builder, s, a, b: instruction_sets.word_pairs(builder, s, a, b, lanes)
        found["packed"] = lambda builder, a, b: instruction_sets.packed(builder, [a, b], lanes)
    return found


@RUNNABLE
@pytest.mark.parametrize("name", ["dot", "byte_pairs", "word_pairs", "packed"])
def test_instructions_are_the_processors(target, name):
    """Random registers and ends, saturating and wrapping ones among them: bit for bit."""
    emit = instructions(target).get(name)
    if emit is None:
        assert not target.has_words
        return
    rng = np.random.default_rng(target.lanes)
    count = emit.__code__.co_argcount - 1
    ends = np.array([0, -1, 0x7FFF7FFF, -0x7FFF8000, 0x7F7F7F7F, -0x7F7F7F80, 2**31 - 1, -(2**31), 300, -300], np.int32)
    machine = compiled(target, emit, count)
    for turn in range(20):
        drawn = rng.integers(-(2**31), 2**31, (count, target.lanes)).astype(np.int32)
        operands = [np.resize(rng.permutation(ends), target.lanes) if turn % 2 else row for row in drawn]
        wanted = by_the_builder(emit, operands)
        assert machine(operands)[: len(wanted)] == wanted

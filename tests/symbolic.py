"""The package's own functions, run on symbols, and the solver that says whether a claim holds for all of their values.

    t = word("t")                                          # any int64
    rounding = in_symbols(refengine.numbers.rounding)      # the module's own bytecode, with another NumPy
    proved(claim, *assumptions)                            # an AssertionError shows a counterexample
    counterexample(claim, *assumptions)                    # values for which the claim is false, None if there are none

A ``Word`` behaves as a NumPy integer of its width: sums and products wrap, ``>>`` floors.  Where a function asks for
the truth of a comparison of symbols, ``outcomes`` runs it once for every answer that the assumptions leave open.
"""

import types
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

z3 = pytest.importorskip("z3", reason="proofs need z3-solver, the extra proofs")

SECONDS = 900


# ---------------------------------------------------------------------------------------------------------- the solver


def counterexample(claim, *assumptions):
    """Values of the symbols for which the assumptions hold and the claim does not; None if there are none."""
    solver = _solver(claim, *assumptions)
    solver.add(*map(truth, assumptions), z3.Not(truth(claim)))
    answer = solver.check()
    assert answer != z3.unknown, f"the solver gave up: {solver.reason_unknown()}"
    if answer == z3.unsat:
        return None
    model = solver.model()
    return {str(name): _number(model[name]) for name in sorted(model.decls(), key=str) if name.arity() == 0}


def proved(claim, *assumptions):
    """AssertionError with a counterexample unless the claim follows from the assumptions."""
    found = counterexample(claim, *assumptions)
    assert found is None, f"false for {found}"


def consistent(*assumptions):
    """Whether any values satisfy the assumptions: what nothing satisfies proves everything."""
    return counterexample(z3.BoolVal(False), *assumptions) is not None


def _solver(*terms):
    """Words are decided by turning them to bits, integers by arithmetic."""
    of_words = any(_has_words(truth(term)) for term in terms)
    solver = z3.SolverFor("QF_BV") if of_words else z3.Solver()
    solver.set("timeout", 1000 * SECONDS)
    return solver


def _has_words(term):
    waiting, seen = [term], set()
    while waiting:
        here = waiting.pop()
        if z3.is_bv(here):
            return True
        if here.get_id() not in seen:
            seen.add(here.get_id())
            waiting += here.children()
    return False


def _number(value):
    return value.as_signed_long() if z3.is_bv_value(value) else value.as_long() if z3.is_int_value(value) else value


def truth(claim):
    """The solver's term of a claim."""
    return claim.term if isinstance(claim, Flag) else z3.BoolVal(claim) if isinstance(claim, bool | np.bool_) else claim


# ------------------------------------------------------------------------------------------------------ words and flags


class Flag:
    """The truth of a comparison; asked for it by ``if``, both answers are followed (``outcomes``)."""

    def __init__(self, term):
        self.term = term

    def __bool__(self):
        return _Trail.current.decide(self.term)

    def __and__(self, other):
        return Flag(z3.And(self.term, truth(other)))

    def __or__(self, other):
        return Flag(z3.Or(self.term, truth(other)))

    def __invert__(self):
        return Flag(z3.Not(self.term))

    def as_word(self, width=64):
        """1 or 0."""
        return Word(z3.If(self.term, z3.BitVecVal(1, width), z3.BitVecVal(0, width)))

    def __rmul__(self, number):
        return self.as_word() * number


class Word:
    """An integer of ``width`` bits, as NumPy and processors have it; also the array that holds it alone."""

    shape, size, ndim = (1,), 1, 1
    __array_ufunc__ = None  # NumPy's own scalars leave operators to this class

    def __init__(self, term, signed=True):
        self.term, self.signed = term, signed
        self.width = term.size()

    def widened(self, width):
        """The same number in more bits; in fewer, its lowest bits, as a cast keeps them."""
        more = width - self.width
        if more <= 0:
            return Word(z3.Extract(width - 1, 0, self.term), self.signed)
        return Word((z3.SignExt if self.signed else z3.ZeroExt)(more, self.term), self.signed)

    def astype(self, dtype):
        """What a NumPy cast keeps, in the width that holds it."""
        kind = np.dtype(getattr(dtype, "kind_of_integer", dtype))
        return Word(self.widened(8 * kind.itemsize).term, kind.kind == "i")

    def _two(self, other):
        """Both operands in the wider one's width, which for plain numbers is this one's."""
        if isinstance(other, Flag):
            other = other.as_word(self.width)
        if not isinstance(other, Word):
            return self, Word(z3.BitVecVal(int(other), self.width), self.signed)
        width = max(self.width, other.width)
        return self.widened(width), other.widened(width)

    def _made(self, other, make):
        one, two = self._two(other)
        return Word(make(one.term, two.term), self.signed)

    def _asked(self, other, signed, unsigned):
        one, two = self._two(other)
        return Flag((signed if self.signed else unsigned)(one.term, two.term))

    def __add__(self, other):
        return self._made(other, lambda a, b: a + b)

    def __sub__(self, other):
        return self._made(other, lambda a, b: a - b)

    def __rsub__(self, other):
        return self._made(other, lambda a, b: b - a)

    def __mul__(self, other):
        return self._made(other, self.multiply)

    multiply = staticmethod(lambda a, b: a * b)

    def __and__(self, other):
        return self._made(other, lambda a, b: a & b)

    def __or__(self, other):
        return self._made(other, lambda a, b: a | b)

    def __xor__(self, other):
        return self._made(other, lambda a, b: a ^ b)

    def __lshift__(self, other):
        return self._made(other, lambda a, b: a << b)

    def __rlshift__(self, other):
        return self._made(other, lambda a, b: b << a)

    def __rshift__(self, other):
        return self._made(other, (lambda a, b: a >> b) if self.signed else z3.LShR)

    def __mod__(self, other):
        """As Python has it: the sign is the divisor's."""
        return self._made(other, lambda a, b: a % b)

    __radd__, __rmul__, __rand__, __ror__ = __add__, __mul__, __and__, __or__

    def __neg__(self):
        return Word(-self.term, self.signed)

    def __invert__(self):
        return Word(~self.term, self.signed)

    def __lt__(self, other):
        return self._asked(other, lambda a, b: a < b, z3.ULT)

    def __le__(self, other):
        return self._asked(other, lambda a, b: a <= b, z3.ULE)

    def __gt__(self, other):
        return self._asked(other, lambda a, b: a > b, z3.UGT)

    def __ge__(self, other):
        return self._asked(other, lambda a, b: a >= b, z3.UGE)

    def __eq__(self, other):
        return self._asked(other, lambda a, b: a == b, lambda a, b: a == b)

    def __ne__(self, other):
        return self._asked(other, lambda a, b: a != b, lambda a, b: a != b)

    __hash__ = None

    def __bool__(self):
        return bool(self != 0)

    def __iter__(self):
        return iter((self,))

    def min(self):
        """Of the array that holds it alone."""
        return self

    max = min

    def bit_length(self):
        """Python's, of a number >= 0."""
        length = Word(z3.BitVecVal(0, self.width))
        for bit in range(self.width):
            length = chosen(self >= 1 << bit, Word(z3.BitVecVal(bit + 1, self.width)), length) if bit < 63 else length
        return length


def word(name, width=64, signed=True):
    """Any integer of that width."""
    return Word(z3.BitVec(name, width), signed)


def number(value, width=64):
    """One integer of that width."""
    return Word(z3.BitVecVal(value, width))


def within(value, lo, hi):
    """The assumption ``lo <= value <= hi``."""
    return (value >= lo) & (value <= hi)


def chosen(flag, yes, no):
    """``yes`` where the flag is set, else ``no``."""
    if not isinstance(flag, Flag):
        return yes if flag else no
    yes, no = (value if isinstance(value, Word) else number(value) for value in (yes, no))
    width = max(yes.width, no.width)
    return Word(z3.If(flag.term, yes.widened(width).term, no.widened(width).term), yes.signed)


@contextmanager
def any_product(bits):
    """Within it, a product of two symbols is any number of that many bits, the same for the same two.

    What is proved so holds for products, where they have no more bits; a counterexample would prove nothing.
    """
    exact, products = Word.multiply, {}

    def multiply(a, b):
        if z3.is_bv_value(a) or z3.is_bv_value(b):
            return exact(a, b)
        fresh = z3.ZeroExt(a.size() - bits, z3.BitVec(f"product{len(products)}", bits))
        return products.setdefault((a.get_id(), b.get_id()), (fresh, a, b))[0]

    Word.multiply = staticmethod(multiply)
    try:
        yield
    finally:
        Word.multiply = staticmethod(exact)


class Cells:
    """An array of one element, whatever the index: what kernels read and write."""

    def __init__(self, value=None, shape=(1, 1)):
        self.value, self.shape = value, shape
        self.size = 0 if value is None else 1

    def __getitem__(self, index):
        return self.value

    def __setitem__(self, index, value):
        self.value = value


class Row:
    """An array's last axis: indexed by a symbol, by a number, or by a tuple of numbers behind an ellipsis."""

    def __init__(self, values):
        self.values = list(values)

    def __getitem__(self, index):
        if isinstance(index, tuple) and index[0] is Ellipsis:
            return Row(self.values[n] for n in index[1])
        index = index[-1] if isinstance(index, tuple) else index
        if not isinstance(index, Word):
            return self.values[index]
        found = self.values[0]
        for n, value in enumerate(self.values[1:], 1):
            found = chosen(index == n, value, found)
        return found


# --------------------------------------------------------------------------------------------------- NumPy for symbols


def _is_symbolic(*values):
    return any(isinstance(value, Word | Flag | Row) for value in values)


def _cast(dtype):
    def cast(value):
        return value.astype(dtype) if isinstance(value, Word) else dtype(value)

    cast.kind_of_integer = dtype
    return cast


class SymbolicNumpy:
    """The few functions of NumPy that the functions under proof call; whatever is no symbol goes to NumPy itself."""

    def __getattr__(self, name):
        return getattr(np, name)

    int64, uint64, int32, int16 = (staticmethod(_cast(kind)) for kind in (np.int64, np.uint64, np.int32, np.int16))

    @staticmethod
    def asarray(value, dtype=None):
        return value if _is_symbolic(value) else np.asarray(value)

    @staticmethod
    def where(flag, yes, no):
        return chosen(flag, yes, no) if _is_symbolic(flag, yes, no) else np.where(flag, yes, no)

    @staticmethod
    def maximum(a, b):
        return chosen(a > b, a, b) if _is_symbolic(a, b) else np.maximum(a, b)

    @staticmethod
    def minimum(a, b):
        return chosen(a < b, a, b) if _is_symbolic(a, b) else np.minimum(a, b)

    @classmethod
    def clip(cls, value, lo, hi):
        return cls.minimum(cls.maximum(value, lo), hi)

    @staticmethod
    def abs(value):
        return chosen(value < 0, -value, value)

    @staticmethod
    def zeros_like(value):
        return number(0, value.width)

    @staticmethod
    def stack(values, axis):
        return Row(values)

    @staticmethod
    def moveaxis(row, source, destination):
        return row

    @staticmethod
    def choose(index, row):
        return row[index]

    @staticmethod
    def broadcast_to(value, shape):
        return value

    @staticmethod
    def array(values):
        (value,) = values
        return value

    @staticmethod
    def any(flag):
        return flag

    @staticmethod
    def count_nonzero(flag):
        return flag.as_word()


def in_symbols(module, **instead):
    """A module's own functions, with the symbolic NumPy in the place of NumPy, and ``instead`` for other names."""
    names = vars(module) | {"np": SymbolicNumpy(), "int": _integer} | instead
    for name, value in vars(module).items():
        function = getattr(value, "py_func", value)
        own = isinstance(function, types.FunctionType) and function.__module__ == module.__name__
        if own and name not in instead:
            names[name] = types.FunctionType(function.__code__, names, name, function.__defaults__)
    return types.SimpleNamespace(**{name: value for name, value in names.items() if not name.startswith("__")})


def _integer(value):
    """``int`` of a symbol is the symbol."""
    return value if isinstance(value, Word) else int(value)


# ------------------------------------------------------------------------------------------------------- ways through


@dataclass
class _Trail:
    """One way through a function: the answers that it was given, and the ways that branch off."""

    assumptions: list
    answers: list
    conditions: list = field(default_factory=list)
    branches: list = field(default_factory=list)
    current = None

    def decide(self, term):
        term = z3.simplify(term)
        if z3.is_true(term) or z3.is_false(term):
            return z3.is_true(term)
        place = len(self.conditions)
        if place == len(self.answers):
            known = [*self.assumptions, *self.conditions]
            open_ = [answer for answer in (True, False) if consistent(*known, term if answer else z3.Not(term))]
            self.branches += [[*self.answers, answer] for answer in open_[1:]]
            self.answers = [*self.answers, open_[0]]
        answer = self.answers[place]
        self.conditions.append(term if answer else z3.Not(term))
        return answer


def outcomes(run, *assumptions):
    """(condition, what ``run()`` returns or raises) of every way through it that the assumptions leave open."""
    waiting = [[]]
    while waiting:
        trail = _Trail([truth(a) for a in assumptions], waiting.pop())
        _Trail.current = trail
        try:
            result = run()
        except ValueError as error:
            result = error
        finally:
            _Trail.current = None
        waiting += trail.branches
        yield Flag(z3.And(*trail.conditions)), result

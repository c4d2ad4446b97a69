"""A convolution in plain Python integers whose parts can be replaced: a second opinion on faults of its sums."""

import numpy as np
from golden_cases import cases_of, conv_case
from networks import every_op

from refengine.golden.diagnose.hypotheses import HYPOTHESES, named
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

CASES = {
    "ternary": conv_case(0),
    "strided": conv_case(1, strides=(2, 1), pads=(1, 0, 2, 1)),
    "clusters": conv_case(5, inputs=7, cluster=2),
    "signed": conv_case(2, signed_input=True, weight_format="int4", cluster=2),
    "grouped": conv_case(3, inputs=4, outputs=4, group=2, cluster=1),
    "int8": conv_case(4, weight_format="int8", kernel=(2, 2), pads=(1, 0, 0, 1)),
}
SAT16 = lambda value: max(-(2**15), min(2**15 - 1, value))  # noqa: E731  (a word for the tables below)


class Plain:
    """A convolution in plain integers whose parts can be replaced, one by one."""

    def __init__(self, case):
        layer, (x,) = case.layer, case.operands
        self.x, self.count, self.shape = x.tolist(), len(x), case.shape
        self.H, self.W, self.C = x.shape[1:]
        self.w = layer.constants["weight"].tolist()
        self.s = layer.constants["scale"].tolist()
        self.b = layer.constants["bias"].tolist()
        self.O, self.I, self.KH, self.KW = layer.constants["weight"].shape
        self.group, self.cluster = layer.attributes["group"], layer.attributes["cluster"]
        self.strides, self.pads = layer.attributes["strides"], layer.attributes["pads"]
        self.bits = {"ternary": 2, "int4": 4, "int8": 8}[layer.weight_format]
        self.signed = x.dtype == np.int8
        self.start, self.outside = (0, 0), lambda row, column, c, n: 0
        self.code = lambda o, i, ky, kx: self.w[o][i][ky][kx]
        self.scale = lambda o, i: self.s[o][i // self.cluster]
        self.bias = lambda o: self.b[o]
        self.pixel = lambda n, row, column, c: self.x[n][row][column][c]
        self.first = lambda o: o // (self.O // self.group) * self.I
        self.held = lambda acc: acc
        self.partial = lambda value: value
        self.finished = lambda acc: acc

    def read(self, n, row, column, c):
        inside = 0 <= row < self.H and 0 <= column < self.W
        return self.pixel(n, row, column, c) if inside else self.outside(row, column, c, n)

    def element(self, n, y, z, o):
        acc = self.bias(o)
        top, left = (
            y * self.strides[0] - self.pads[0] + self.start[0],
            z * self.strides[1] - self.pads[1] + self.start[1],
        )
        for g in range(-(-self.I // self.cluster)):
            members = range(g * self.cluster, min((g + 1) * self.cluster, self.I))
            terms = [
                (self.scale(o, i), self.read(n, top + ky, left + kx, self.first(o) + i) * self.code(o, i, ky, kx))
                for i in members for ky in range(self.KH) for kx in range(self.KW)
            ]  # fmt: skip
            if len({scale for scale, _ in terms}) == 1:
                acc = self.held(acc + terms[0][0] * self.partial(sum(term for _, term in terms)))
            else:
                acc = self.held(acc + sum(scale * term for scale, term in terms))
        return self.finished(acc)

    def result(self):
        places = np.ndindex(self.count, *self.shape)
        return np.array([self.element(*place) for place in places]).reshape(self.count, *self.shape)


def stored_by_tap(p, o):
    return [p.w[o][i][ky][kx] for ky in range(p.KH) for kx in range(p.KW) for i in range(p.I)]


def low(value, bits, signed=True):
    """The lowest bits of an integer."""
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def sets(**changed):
    """A fault: attributes of ``Plain``, functions of it where they are functions of a ``Plain``."""

    def fault(plain):
        vars(plain).update({name: make(plain) for name, make in changed.items()})

    return fault


def recoded(change):
    """Another code at each place of the weights: (plain, o, i, ky, kx) -> code."""
    return sets(code=lambda p: lambda o, i, ky, kx: change(p, o, i, ky, kx))


def decoded(**table):
    names = {"minus": -1, "zero": 0, "plus": 1}
    return recoded(lambda p, o, i, ky, kx: {names[name]: value for name, value in table.items()}[p.w[o][i][ky][kx]])


def stored(lanes, inner):
    """Codes of words of ``lanes`` in reverse order: a code's address, its mirror in the word, and back to a place."""

    def change(p, o, i, ky, kx):
        sizes = (p.I, p.KH, p.KW) if inner == "taps" else (p.KH, p.KW, p.I)
        a, b, c = (i, ky, kx) if inner == "taps" else (ky, kx, i)
        address = ((o * sizes[0] + a) * sizes[1] + b) * sizes[2] + c
        if address < p.O * p.I * p.KH * p.KW // lanes * lanes:
            address += lanes - 1 - 2 * (address % lanes)
        address, c = divmod(address, sizes[2])
        address, b = divmod(address, sizes[1])
        o, a = divmod(address, sizes[0])
        i, ky, kx = (a, b, c) if inner == "taps" else (c, a, b)
        return p.w[o][i][ky][kx]

    return recoded(change)


def mirrored(value, bits):
    return low(int(format(value % 2**bits, f"0{bits}b")[::-1], 2), bits)


def flat_scale(p, o, g, by):
    values = [value for row in p.s for value in row]
    return values[(o * len(p.s[0]) + g + by) % len(values)]


def scaled(change):
    """Another scale code for each cluster: (plain, o, g) -> scale."""
    return sets(scale=lambda p: lambda o, i: change(p, o, i // p.cluster))


def pixels(change):
    return sets(pixel=lambda p: lambda n, row, column, c: change(p, n, row, column, c))


def outside(value):
    return sets(outside=lambda p: lambda row, column, c, n: value)


def assert_fault_is(name, fault):
    """The hypothesis gives what a fault of ``Plain`` gives, in every case to which it can happen, one at least."""
    applied = 0
    for case in CASES.values():
        machine = named(name)(machine_of(case))
        if machine is None:
            continue
        plain = Plain(case)
        fault(plain)
        np.testing.assert_array_equal(recompute(machine, ["accumulator"])["accumulator"], plain.result())
        applied += 1
    assert applied


def of(op, seed=1):
    return next(case for case, _ in cases_of(every_op(seed=seed)) if case.layer.op == op)


def values(case, name, stage="accumulator"):
    return recompute(HYPOTHESES[name](machine_of(case)), [stage])[stage]

"""Rows of steps as kernels read them: a field each, channels of panels, and where pixels lie."""

import numpy as np
import pytest
from kernels_rows import Row
from numba import njit, types
from numba.extending import intrinsic

from refengine.kernels.fast import step
from refengine.kernels.lanes import number, store

OTHER_NAMES = ["CHAINS", "PLACES", "RUN", "PIXEL_BYTES", "SOURCE_CHANNELS", "CODE_TABLES", "EVENT_TABLES"]
APART = {"I32", "I64", "KINDS", "FIELDS", "USED", "_EVERY", "_READING", "_SUMMING", *OTHER_NAMES}
NAMES = [name for name in vars(step) if name.isupper() and name not in APART]
KINDS = ["CONV", "CLUSTERS", "CROSSED", "DEPTHWISE", "LARGEST", "LOOKUP", "COPY", "FILL"]


def test_every_field_has_a_number_and_a_line_of_explanation():
    fields = [name for name in NAMES if name not in KINDS]
    assert sorted(getattr(step, name) for name in fields) == list(range(step.FIELDS))
    assert all(name in step.__doc__ for name in [*fields, *OTHER_NAMES])


def test_every_kind_says_which_numbers_it_has():
    assert {*step.USED} == {*step.KINDS}
    assert set().union(*step.USED.values()) == {*range(step.FIELDS)}


def test_kinds_are_told_apart():
    """The walker takes all kinds up to DEPTHWISE for those that accumulate."""
    assert [getattr(step, name) for name in KINDS] == list(step.KINDS) == list(range(len(KINDS)))
    assert [name for name in KINDS if getattr(step, name) <= step.DEPTHWISE] == KINDS[:4]


@intrinsic
def read_row(context, row, panel, to):
    """All fields, then the first channel of a panel."""

    def generate(context, builder, signature, arguments):
        row, panel, to = arguments
        values = [step.field(builder, row, name) for name in range(step.FIELDS)]
        for n, value in enumerate([*values, step.first_channel(builder, row, panel)]):
            store(builder, value, builder.add(to, number(8 * n)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@njit
def call_read_row(row, panel, to):
    read_row(row, panel, to)


@pytest.mark.parametrize("panel", [0, 1, 7])
def test_fields_and_first_channels(panel):
    row = Row({name: 1000 - 3 * name for name in range(step.FIELDS)} | {step.CHANNEL: 96, step.WIDTH: 32})
    found = np.zeros(step.FIELDS + 1, np.int64)
    call_read_row(row.address, panel, found.ctypes.data)
    assert found[:-1].tolist() == row.numbers.tolist()
    assert found[-1] == 96 + 32 * panel


@intrinsic
def read_places(context, base, starts, pixel, to):
    def generate(context, builder, signature, arguments):
        *where, to = arguments
        for n, value in enumerate(step.places(builder, *where, 3)):
            store(builder, value, builder.add(to, number(8 * n)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@njit
def call_read_places(base, starts, pixel, to):
    read_places(base, starts, pixel, to)


@pytest.mark.parametrize("pixel", [0, 1, 4])
def test_places_are_a_base_and_a_table_of_32_bits(pixel):
    """Places may lie before the base; addresses have 64 bits."""
    starts = np.array([7, -9, 2**31 - 1, -(2**31), 0, 5, 5], np.int32)
    found, base = np.zeros(3, np.int64), 2**45
    call_read_places(base, starts.ctypes.data, pixel, found.ctypes.data)
    assert found.tolist() == [base + int(start) for start in starts[pixel : pixel + 3]]

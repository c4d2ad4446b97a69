"""What steps have in common: which table rescales, what is kept of the last layer, borders that are filled."""

import plans
import pytest
from walked_steps import KINDS, Row, compiled, small_conv

from refengine.engine.fast.steps import steps_of
from refengine.kernels.fast import step


@pytest.mark.parametrize(
    ("changed", "counted", "traced", "tables"),
    [
        ({}, False, (), "T"),
        ({}, True, (), "L"),
        ({}, False, ("001_conv",), "TS"),
        ({"accumulator_bits": 20, "accumulator_policy": "wrap"}, False, (), "E"),
        ({"accumulator_bits": 20, "accumulator_policy": "saturate"}, True, (), "E"),
    ],
)
def test_which_tables_a_step_has(changed, counted, traced, tables):
    compiler = compiled(small_conv(**changed), 1, counted, traced)
    (fields,) = steps_of(compiler, compiler.network.layers[1])
    row = Row(fields)
    found = {"T": row.table, "L": row.later_table, "E": row.exact_table, "S": row.sums}
    assert "".join(name for name, address in found.items() if address) == tables
    assert row.accumulator_bits == changed.get("accumulator_bits", 32)
    assert row.saturates == (changed.get("accumulator_policy") == "saturate")


def test_the_last_layer_keeps_its_sums_and_makes_no_codes():
    compiler = compiled(small_conv(), 2)
    (fields,) = steps_of(compiler, compiler.network.layers[-1])
    row = Row(fields)
    assert row.sums == compiler.accumulators["002_gap"].ctypes.data
    assert not any((row.table, row.later_table, row.exact_table))
    assert (row.taps, row.pixels, row.width, row.panel_count) == (10, 2, 16, 1)


@pytest.mark.parametrize("shared", [False, True])
def test_borders_are_filled_where_places_are_shared(shared):
    """First, and only of tensors that have one."""
    network = plans.conv_network(1)
    compiler = compiled(network, 1, shared=shared)
    for layer in network.layers[:-1]:
        kinds = [KINDS[fields[step.KIND]] for fields in steps_of(compiler, layer)]
        has_border = any(compiler.buffers[layer.name].border)
        assert has_border == (layer.name != "002_conv")
        fills = kinds.count("FILL")
        assert kinds[:fills] == ["FILL"] * fills
        assert (fills > 0) == (shared and has_border)

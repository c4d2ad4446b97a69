"""What operators share occurs with every one of them."""

import pytest
from conform_customers import some

from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS


@pytest.mark.parametrize("op", [op for op in OPS if OPS[op].ACCUMULATES])
def test_every_operator_that_accumulates_has_all_that_any_has(op):
    """Every rounding; residuals, dynamic operands, residuals and results, and logits but of the input layer."""
    cases = some(1, f"layer_{op}").values()
    steps = [case.parameters["requantize"] for case in cases if case.parameters["requantize"]]
    assert {step["rounding"] for step in steps} == {*ROUNDINGS}
    if op == "lookup":  # Lookup2 allows it no more
        assert any(case.parameters["requantize"] is None for case in cases)
    elif op != "input":
        assert {"residual", "residual_d", "input_0_d"} <= {name for case in cases for name in case.inputs}
        assert any(step["dynamic"] for step in steps)
        assert any(case.parameters["requantize"] is None for case in cases)


def test_bounds_are_of_every_operator_that_accumulates():
    found = {(case.parameters["op"], tuple(case.parameters["ranges"][0])) for case in some(1, "bound").values()}
    assert {op for op, _ in found} >= {op for op in OPS if OPS[op].ACCUMULATES} - {"lookup"}
    assert {ends for _, ends in found} >= {(0, 255), (-128, 127), (-128 << 7, 127 << 7)}

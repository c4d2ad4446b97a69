"""Constants: what NumPy says a node gives, and bounds on what it may cost."""

import numpy as np
import pytest
from onnx_models import node

from refengine.errors import NetworkError
from refengine.interop.onnx.constants import FOLDED, MAX_GROWTH, fold, reshaped, squeezed, unsqueezed
from refengine.optional import installed

ARITHMETIC = {"Add", "Sub", "Div"}  # as Mul
ONLY_SEE = {"Constant", "Identity", "Reshape", "Shape", "Slice", "Squeeze", "Transpose", "Unsqueeze", *ARITHMETIC}


def folded(made, operands):
    return fold(made, operands, lambda node, size: None)


def integers(*values):
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("made", "operands", "wanted"),
    [
        (node("Gather", axis=0), [integers(7, 8, 9), np.int64(1)], 8),
        (node("Concat", axis=0), [integers(1), integers(2, 3)], [1, 2, 3]),
        (node("Unsqueeze", axes=(0,)), [np.int64(4)], [4]),
        (node("Unsqueeze"), [integers(4), integers(1)], [[4]]),
        (node("Squeeze"), [np.ones((1, 2, 1), np.int64)], [1, 1]),
        (node("Slice"), [integers(1, 2, 3, 4), integers(-1), integers(-(2**63)), integers(0), integers(-2)], [4, 2]),
        (node("Slice", starts=(1,), ends=(3,)), [integers(1, 2, 3, 4)], [2, 3]),
        (node("Div"), [integers(-7, 7), integers(2, -2)], [-3, -3]),
        (node("Mul"), [integers(3), integers(2)], [6]),
        (node("Cast", to=1), [integers(3)], [3.0]),
        (node("Reshape"), [np.arange(6), integers(0, -1)], None),
        (node("ConstantOfShape", value=np.array([5])), [integers(2)], [5, 5]),
        (node("Constant", value_ints=(1, 2)), [], [1, 2]),
        (node("Shape", start=1), [np.ones((2, 3, 4))], [3, 4]),
        (node("Transpose"), [np.ones((2, 3))], np.ones((3, 2))),
        (node("ReduceMean", axes=(-1,), keepdims=0), [np.array([[1.0, 2.0], [3.0, 6.0]])], [1.5, 4.5]),
        (node("ReduceMean"), [np.array([[1.0, 2.0], [3.0, 6.0]]), integers(0)], [[2.0, 4.0]]),
        (node("ReduceMean"), [np.array([[1.0, 2.0], [3.0, 6.0]])], [[3.0]]),
        (node("ReduceMean", noop_with_empty_axes=1), [np.array([1.0, 2.0])], [1.0, 2.0]),
        (
            node("BatchNormalization", epsilon=0.5),
            [
                np.ones((2, 2, 3)),
                np.array([2.0, 3.0]),
                np.array([0.5, 7.0]),
                np.array([0.0, 1.0]),
                np.array([3.5, 9.0]),
            ],
            [[[1.5] * 3, [7.0] * 3]] * 2,
        ),
    ],
)
def test_folded_values_are_those_of_onnx(made, operands, wanted):
    got = folded(made, [np.asarray(operand) for operand in operands]) if wanted is not None else None
    if wanted is None:
        assert folded(made, [operands[0].reshape(2, 3), operands[1]]).shape == (2, 3)
    else:
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("made", "operands", "complaint"),
    [
        (node("ConstantOfShape"), [integers(2**40)], f"{2**40} numbers, at most {MAX_GROWTH}"),
        (node("Expand"), [np.ones(1), integers(2**20, 2**20)], "numbers, at most"),
        (node("Add"), [np.ones((2**10, 1)), np.ones((1, 2**10))], "numbers, at most"),
        (node("Gather"), [np.ones((2, 2**12)), np.zeros(2**10, np.int64)], "numbers, at most"),
        (node("Div"), [integers(1), integers(0)], "division by 0"),
        (node("Reshape"), [np.ones(6), integers(4)], r"\(6,\) does not become \(4,\)"),
        (node("Reshape"), [np.ones(6), integers(-2, -3)], "does not become"),
        (node("Concat"), [integers(1)], "cannot be computed"),
        (node("Concat"), [integers(1)], "the attribute 'axis' is missing"),
        (node("Cast", to=99), [integers(1)], "the attribute 99 is missing or has a value that is not known"),
        (node("Add"), [integers(1)], "has 1 operands, needed 2"),
        (node("Add"), [integers(1), None], "cannot be computed$"),
        (node("Squeeze"), [integers(1)] * 3, "has 3 operands, needed 1 to 2"),
        (node("Slice", starts=(1,), ends=(3, 4)), [integers(1)], "1 starts, 2 ends, 1 axes and 1 steps"),
        (node("Constant", value="text"), [], "no array of numbers"),
        (node("Sin"), [np.ones(1)], "reads constants alone"),
        (node("ReduceMean", axes=(2,)), [np.ones((1, 1))], "axis 2 does not exist among 2"),
        (node("BatchNormalization", training_mode=1), [np.ones((1, 1))] * 5, "is in training mode"),
    ],
)
def test_refusals_name_the_node(made, operands, complaint):
    with pytest.raises(NetworkError, match=rf"^node '/net/{made.outputs[0]}/{made.op}' \({made.op}\): .*{complaint}"):
        folded(made, operands)


def test_every_byte_is_charged_before_it_is_there():
    """What a charge refuses is not computed; what it lets through is as large as was said, or smaller."""
    cases = [
        (node("Concat", axis=0), [np.ones(3), np.ones(4)]),
        (node("Cast", to=11), [np.ones(5, np.uint8)]),
        (node("Mul"), [np.ones((3, 1), np.float32), np.ones((1, 4))]),
        (node("Gather"), [np.ones((2, 3)), np.zeros(5, np.int64)]),
        (node("ConstantOfShape"), [integers(3, 4)]),
        (node("Expand"), [np.ones(1), integers(6)]),
        (node("Sqrt"), [np.ones(7, np.float32)]),
        (node("ReduceMean"), [np.ones((3, 4), np.float32), integers(0)]),
        (node("BatchNormalization"), [np.ones((3, 2, 4), np.float32), *[np.ones(2, np.float32)] * 4]),
    ]
    assert {made.op for made, _ in cases} >= {*FOLDED} - ONLY_SEE
    for made, operands in cases:
        charged = []
        result = fold(made, operands, lambda node, size, charged=charged: charged.append(size))
        assert result.nbytes <= sum(charged), made.op

        def refuse(node, size):
            raise node.error("too much")

        with pytest.raises(NetworkError, match="too much"):
            fold(made, operands, refuse)


def test_shapes_follow_onnx():
    assert reshaped((2, 3, 4), integers(0, -1)) == (2, 12)
    assert reshaped((2, 0), integers(0, 2), keep_zero=True) == (0, 2)
    assert unsqueezed((3,), (0, -1)) == (1, 3, 1)
    assert squeezed((1, 3, 1), (-1,)) == (1, 3)
    for wrong in (lambda: unsqueezed((3,), (0, 0)), lambda: squeezed((3,), (0,)), lambda: squeezed((1,), (4,))):
        with pytest.raises(ValueError, match="ax"):
            wrong()


@pytest.mark.skipif(not installed("onnx"), reason="onnx is missing")
def test_onnx_s_own_tests_agree():
    import onnx_nodes

    rows = onnx_nodes.table()
    assert {op: row.wrong for op, row in rows.items() if row.wrong} == {}
    assert sum(row.same for op, row in rows.items() if op in FOLDED) > 50

"""The ONNX presets against ONNX Runtime and the reference evaluator (contract Arith).

A 1x1 QLinearConv of a zero input has its bias as accumulator, and its weights' scales are multiplier / 2**shift.
"""

import numpy as np
import pytest

from refengine.numbers.arith import ARITHMETICS, requantize_as
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.requantize import Requantize

onnx = pytest.importorskip("onnx", reason="the owner's check needs onnx: pip install '.[bench]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="the owner's check needs onnxruntime: pip install '.[bench]'")
reference = pytest.importorskip("onnx.reference")

COUNT = 4000


def near_ties(seed, powers_of_two=False):
    """Accumulators whose codes are near a tie, of every length up to 32 bits, with multipliers and shifts."""
    rng = np.random.default_rng(seed)
    shift = rng.integers(6, 36, COUNT)
    multiplier = np.ones(COUNT, np.int64) if powers_of_two else rng.integers(128, 256, COUNT)
    wanted = (2 * rng.integers(-300, 300, COUNT) + 1 << shift >> 1) // multiplier + rng.integers(-2, 3, COUNT)
    inside = np.abs(wanted) < 2**31
    return np.where(inside, wanted, rng.integers(-(2**31), 2**31, COUNT)).astype(np.int32), multiplier, shift


def model_of(nodes, inputs, fmt, shape, constants):
    """A model of a few nodes, its constants as initializers."""
    kind = {"int8": onnx.TensorProto.INT8, "uint8": onnx.TensorProto.UINT8}[fmt.name]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        inputs,
        [onnx.helper.make_tensor_value_info("y", kind, shape)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9), kind


def qlinear_conv(acc, multiplier, shift, fmt, zero_point=0):
    scales = (multiplier * 2.0 ** -shift.astype(float)).astype(np.float32)
    one, zero = np.float32(1), fmt.dtype(0)
    weight = np.ones((len(acc), 1, 1, 1), np.int8)
    constants = {"xs": one, "xz": zero, "w": weight, "ws": scales, "wz": np.zeros(len(acc), np.int8)}
    constants |= {"ys": one, "yz": fmt.dtype(zero_point), "b": acc}
    node = onnx.helper.make_node("QLinearConv", ["x", *constants], ["y"])
    constants = {name: np.asarray(value) for name, value in constants.items()}
    kind = {"int8": onnx.TensorProto.INT8, "uint8": onnx.TensorProto.UINT8}[fmt.name]
    x = onnx.helper.make_tensor_value_info("x", kind, [1, 1, 1, 1])
    model, _ = model_of([node], [x], fmt, [1, len(acc), 1, 1], constants)
    return model, {"x": np.zeros((1, 1, 1, 1), fmt.dtype)}


def run_in_runtime(model, feeds):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0].ravel()


def run_in_reference(model, feeds):
    return reference.ReferenceEvaluator(model).run(None, feeds)[0].ravel()


def by(name, acc, multiplier, shift, fmt):
    p = Requantize(multiplier, shift, None, "half_up", fmt, "none", fmt.lo, fmt.hi)
    return requantize_as(acc[None], p, ARITHMETICS[name])[0]


@pytest.mark.parametrize("fmt", [INT8, UINT8], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("seed", range(3))
def test_qlinear_conv_gives_the_codes_of_onnx(fmt, seed):
    """ONNX Runtime multiplies in single precision, the reference evaluator does not lose a bit."""
    acc, multiplier, shift = near_ties(seed)
    model, feeds = qlinear_conv(acc, multiplier, shift, fmt)
    runtime, exact = (by(name, acc, multiplier, shift, fmt) for name in ("onnxruntime", "onnx-reference"))
    np.testing.assert_array_equal(run_in_runtime(model, feeds), runtime)
    np.testing.assert_array_equal(run_in_reference(model, feeds), exact)
    assert np.count_nonzero(runtime != exact) > COUNT // 200  # the cases are ones in which it matters


@pytest.mark.parametrize("fmt", [INT8, UINT8], ids=lambda fmt: fmt.name)
def test_quantize_linear_gives_the_codes_of_onnx(fmt):
    """Of what single precision holds, by powers of two: no other rounding than the one to even."""
    acc, multiplier, shift = near_ties(7, powers_of_two=True)
    acc = (acc >> 8).astype(np.int32)
    constants = {"s": (2.0**shift).astype(np.float32), "z": np.zeros(COUNT, fmt.dtype)}
    node = onnx.helper.make_node("QuantizeLinear", ["x", *constants], ["y"], axis=1)
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, COUNT])
    model, _ = model_of([node], [x], fmt, [1, COUNT], constants)
    feeds = {"x": acc[None].astype(np.float32)}
    for run in (run_in_runtime, run_in_reference):
        np.testing.assert_array_equal(run(model, feeds), by("onnx", acc, multiplier, shift, fmt))


def test_an_odd_zero_point_tells_the_two_apart():
    """Added before the rounding it changes which tie is even (Arith7); this package has no zero points."""
    acc = np.arange(-39, 41, 2, dtype=np.int32)
    halves = np.ones_like(acc, np.int64), np.ones_like(acc, np.int64)
    for zero_point, different in ((0, 0), (1, len(acc))):
        model, feeds = qlinear_conv(acc, *halves, INT8, zero_point)
        assert np.count_nonzero(run_in_runtime(model, feeds) != run_in_reference(model, feeds)) == different

"""Integer networks as QONNX, run by qonnx's own executor: the codes of every layer; what cannot be said is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import dynamic, every_op, plain_requantize, random_images, seeded, small, with_layer

from refengine import optional
from refengine.engine.run import run
from refengine.errors import NetworkError
from refengine.interop.onnx.export_qonnx import thresholds, to_qonnx
from refengine.numbers.formats import UINT8
from refengine.numbers.rounding import DOUBLE_ROUND, MODES
from refengine.ops.requantize import rescale_reference
from refengine.runs.digest import stages_of

needs_qonnx = pytest.mark.skipif(not optional.installed("qonnx"), reason="qonnx is missing")
needs_onnx = pytest.mark.skipif(not optional.installed("onnx"), reason="onnx is missing")
EXACT = (*MODES, DOUBLE_ROUND)
OPS = ["conv", "lookup", "maxpool", "pad_channels", "gather_channels", "avgpool", "mul", "batchnorm", "concat", "fc"]


def without_residuals(network):
    """The network with every residual taken away, and accumulators that wrap made wide."""
    for layer in network.layers:
        step = layer.requantize
        changed = {} if step is None else {"requantize": replace(step, residual_shift=None), "residual": None}
        if layer.accumulator_policy == "wrap":
            changed |= {"accumulator_bits": 32, "accumulator_policy": "error"}
        network = with_layer(network, layer.name, **changed)
    return network


def assert_qonnx_agrees(network, count=2):
    """Every accumulator and code of every layer, and the logits; how many integers that were."""
    images = random_images(network, count)
    wanted = {}

    def observe(layer, operands, result):
        wanted.update({f"{layer.name}.{stage}": array for stage, array in stages_of(layer, result)})

    logits = run(network, images, "reference", observe)
    with optional.quiet():
        wrapper = optional.package("qonnx.core.modelwrapper").ModelWrapper(to_qonnx(network, count))
        execute = optional.package("qonnx.core.onnx_exec").execute_onnx
        shaped = wrapper.transform(optional.package("qonnx.transformation.infer_shapes").InferShapes())
        pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
        found = execute(shaped, {"image": pixels}, return_full_exec_context=True)
    np.testing.assert_array_equal(found["logits"], logits)
    for name, array in wanted.items():
        got = found[name].transpose(0, 2, 3, 1) if found[name].ndim == 4 else found[name]
        np.testing.assert_array_equal(got, array, name)
    return sum(array.size for array in wanted.values())


@needs_qonnx
@pytest.mark.parametrize("rounding", EXACT)
def test_the_executor_gives_the_same_codes_in_every_rounding(rounding):
    assert assert_qonnx_agrees(without_residuals(seeded(5, OPS, (rounding,)))) > 100


@needs_qonnx
@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_random_networks_agree(seed):
    rng = np.random.default_rng(seed)
    network = without_residuals(seeded(seed, [str(op) for op in rng.permutation(OPS)[:6]], EXACT))
    try:
        to_qonnx(network)
    except NetworkError as error:
        assert "beyond the 2**24" in str(error)  # noqa: PT017  (some draws are larger than the dialect)
        return
    assert_qonnx_agrees(network)


@given(
    st.sampled_from(EXACT), st.integers(0, 40), st.lists(st.integers(0, 255), min_size=2, max_size=2), st.integers(0, 7)
)
def test_thresholds_count_up_to_the_code(rounding, shift, multiplier, seed):
    network = small()
    step = replace(plain_requantize(UINT8), rounding=rounding, multiplier=np.array(multiplier), shift=np.array([shift]))
    network = with_layer(network, "001_conv", requantize=step)
    layer = network.layers[1]
    steps = thresholds(network, layer)
    lo, hi = network.bounds[layer.name]
    acc = np.random.default_rng(seed).integers(lo, hi + 1, (50, 2)).astype(np.int32)
    acc = np.concatenate([acc, lo[None].astype(np.int32), hi[None].astype(np.int32)])
    counted = step.lo + (acc[:, :, None] >= steps[None]).sum(axis=2)
    np.testing.assert_array_equal(counted, rescale_reference(acc, step)[0])


@needs_onnx
def test_every_node_is_in_the_dialect():
    model = to_qonnx(without_residuals(seeded(5, OPS, ("half_up",))), 3)
    assert {node.op_type for node in model.graph.node if node.domain} == {"MultiThreshold"}
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 3


def test_what_cannot_be_said_is_refused_by_layer():
    network = every_op()
    (name, *_) = [layer.name for layer in network.layers if layer.residual is not None]
    with pytest.raises(NetworkError, match=rf"^layer '{name}' \(\w+\): .* cannot say a residual"):
        to_qonnx(network)
    with pytest.raises(NetworkError, match="cannot say stochastic rounding"):
        to_qonnx(without_residuals(every_op("stochastic")))
    with pytest.raises(NetworkError, match="QONNX needs a network of static exponents"):
        to_qonnx(dynamic())
    wraps = with_layer(small(), "001_conv", accumulator_bits=16, accumulator_policy="wrap")
    with pytest.raises(NetworkError, match=r"^layer '001_conv' \(conv\): .* cannot say an accumulator that wraps"):
        to_qonnx(wraps)
    bias = {**small().layers[1].constants, "bias": np.array([2**24, 0], np.int32)}
    with pytest.raises(NetworkError, match=r"^layer '001_conv' .* sums up to [\d,]+, beyond the 2\*\*24"):
        to_qonnx(with_layer(small(), "001_conv", constants=bias))
    with pytest.raises(NetworkError, match="has no codes, so no thresholds"):
        thresholds(small(), small().layers[-1])

"""Integer networks as ONNX: standard operators on integers alone, and every rounding at the ends of what it may meet.

That every layer's integers are right is tested where they are compared, in tests/golden/test_crosscheck.py.
"""

from dataclasses import replace

import numpy as np
import oracle
import pytest
from networks import dynamic, every_op, plain_requantize, random_images, small, with_layer

from refengine import CONTRACT, optional
from refengine.engine.run import run
from refengine.errors import NetworkError, RefengineError
from refengine.interop.onnx.engines import engine
from refengine.interop.onnx.export_int import (
    LOGITS,
    OPSET,
    PASS,
    SUMS,
    check_exportable,
    properties,
    serialized,
    to_onnx,
)
from refengine.network.int_network import IntNetwork
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.rounding import DOUBLE_ROUND, MODES
from refengine.ops import OPS

needs_onnx = pytest.mark.skipif(not optional.installed("onnx"), reason="onnx is missing")
needs_onnxruntime = pytest.mark.skipif(
    not (optional.installed("onnx") and optional.installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)

EXACT = (*MODES, DOUBLE_ROUND)
INTEGER_OPERATORS = set(
    """
    Add Cast Clip Concat ConvInteger Div Flatten Gather Less MatMulInteger MaxPool Mod Mul Pad ReduceSum Sub Transpose
    Where
    """.split()  # noqa: SIM905  (a list of 18 words reads worse)
)


def test_every_operator_has_its_nodes():
    assert {name for name in OPS if OPS[name].ACCUMULATES} == {*SUMS}
    assert {name for name in OPS if not OPS[name].ACCUMULATES} == {*PASS}


# ------------------------------------------------------------------------------------------------------ what is written


@needs_onnx
@pytest.mark.parametrize("rounding", EXACT)
def test_no_tensor_holds_floats_and_every_operator_is_a_standard_one(rounding):
    onnx = optional.package("onnx")
    model = onnx.shape_inference.infer_shapes(to_onnx(every_op(rounding), layers=True), strict_mode=True)
    graph, kinds = model.graph, onnx.TensorProto
    inferred = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input, *graph.output)}
    stored = {constant.name: constant.data_type for constant in graph.initializer}
    made = {name for node in graph.node for name in node.output}
    assert made <= {*inferred}
    integers = {kinds.UINT8, kinds.INT8, kinds.INT32, kinds.INT64, kinds.BOOL}
    assert {tensor.elem_type for tensor in inferred.values()} | {*stored.values()} <= integers
    assert {node.op_type for node in graph.node} <= INTEGER_OPERATORS
    assert {node.domain for node in graph.node} == {""}


@needs_onnx
def test_the_model_is_valid_and_says_what_it_is():
    network = every_op()
    model = to_onnx(network)
    optional.package("onnx.checker").check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert {one.key: one.value for one in model.metadata_props} == properties(network)
    assert (properties(network)["model_hash"], properties(network)["contract"]) == (network.hash, str(CONTRACT))
    (image,), (logits,) = model.graph.input, model.graph.output
    sizes = [[axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim] for one in (image, logits)]
    assert sizes == [["N", *network.input_shape], ["N", network.classes]]
    assert (image.name, logits.name) == ("image", LOGITS)


@needs_onnx
def test_outputs_are_called_as_in_a_dump_and_have_the_network_s_shapes():
    network = every_op()
    outputs = {one.name: one.type.tensor_type for one in to_onnx(network, layers=True).graph.output}
    for layer in network.layers:
        accumulates = OPS[layer.op].ACCUMULATES
        stages = ["accumulator"] * accumulates + ["code"] * (not accumulates or layer.requantize is not None)
        for stage in stages:
            shape = [axis.dim_value for axis in outputs.pop(f"{layer.name}.{stage}").shape.dim[1:]]
            assert tuple(shape[1:] + shape[:1]) == network.shapes[layer.name]
    assert {*outputs} == {LOGITS}


@needs_onnx
def test_nodes_are_called_after_their_layers():
    network = every_op()
    known = {layer.name for layer in network.layers} | {LOGITS}
    names = [node.name for node in to_onnx(network).graph.node]
    assert len(set(names)) == len(names)
    assert {name.partition("/")[0].removesuffix(".code").removesuffix(".accumulator") for name in names} == known


@needs_onnx
def test_the_same_network_gives_the_same_bytes():
    one, other = (serialized(to_onnx(every_op(), layers=True)) for _ in range(2))
    assert one == other
    assert one != serialized(to_onnx(every_op(seed=341), layers=True))


# ----------------------------------------------------------------------------------------------------------- arithmetic


PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def rescaling(multiplier, shift, rounding, bias):
    """A network of one layer: 16x16 pixels, ``(pixel * 256 + bias) * multiplier`` shifted and clipped."""
    step = plain_requantize(INT8, multiplier=np.array([multiplier]), shift=np.array([shift]), rounding=rounding)
    layer = replace(small().layers[0], constants={"bias": np.array([bias], np.int32)}, requantize=step)
    return IntNetwork("rescaling", PIXELS.shape[1:], 256, "gray", (layer,))


@needs_onnxruntime
@pytest.mark.parametrize("rounding", EXACT)
@pytest.mark.parametrize(
    ("multiplier", "shift", "bias"),
    [
        (1, 9, -(2**15)),  # every other pixel is a tie
        (3, 10, -(2**15)),
        (1, 0, -(2**15)),
        (2**31 - 1, 62, -(2**31)),  # the lowest total that there is, and the longest shift
        (2**31 - 1, 62, 2**31 - 1 - 255 * 256),
        (2**31 - 1, 47, -(2**15)),
        (2**30, 38, -(2**15)),  # beyond 31 double_round nudges
        (0, 62, 5),
    ],
)
def test_rounding_to_the_ends_of_the_contract(rounding, multiplier, shift, bias):
    """Against Python's integers, which have no width."""
    got = engine("onnxruntime", to_onnx(rescaling(multiplier, shift, rounding, bias))).run(PIXELS)[LOGITS]
    sums = [(pixel << 8) + bias for pixel in range(256)]
    assert got.tolist() == [[oracle.requantize(acc, multiplier, shift, rounding, -128, 127) for acc in sums]]


@needs_onnxruntime
@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_weights_that_exceed_a_byte_are_two_limbs(fmt):
    """An int4 code times its scale is up to 889; codes that come in may be signed or not."""
    weight, scale = np.array([[7, -7], [5, 6]], np.int8), np.array([[127, 126], [127, 1]], np.int8)
    constants = {"weight": weight, "scale": scale, "bias": np.array([9, -9], np.int32)}
    codes = plain_requantize(fmt, multiplier=np.array([1, 1]), shift=np.array([1, 2]))
    network = with_layer(small(), "001_conv", requantize=codes)
    network = with_layer(network, "002_fc", constants=constants, attributes={"cluster": 1}, weight_format="int4")
    model = to_onnx(network)
    assert {"002_fc/high", "002_fc/low"} < {node.name for node in model.graph.node}
    pixels = random_images(network, 200)
    np.testing.assert_array_equal(engine("onnxruntime", model).run(pixels)[LOGITS], run(network, pixels, "reference"))


@needs_onnxruntime
@pytest.mark.parametrize("policy", ["wrap", "saturate"])
def test_narrow_accumulators_are_exported(policy):
    """16 bits for sums of 17, a pixel times 256 being one."""
    step = plain_requantize(INT8, shift=np.array([8]))
    layer = replace(rescaling(1, 8, "half_up", 0).layers[0], accumulator_bits=16, accumulator_policy=policy)
    network = IntNetwork("narrow", PIXELS.shape[1:], 256, "gray", (replace(layer, requantize=step),))
    sums = [oracle.confine(pixel << 8, 16, policy) for pixel in range(256)]
    got = engine("onnxruntime", to_onnx(network, layers=True)).run(PIXELS)
    assert got["000_input.accumulator"].ravel().tolist() == sums
    assert got[LOGITS].tolist() == [[oracle.requantize(acc, 1, 8, "half_up", -128, 127) for acc in sums]]


# ------------------------------------------------------------------------------------------------------------- refusals


def test_stochastic_rounding_is_refused_by_name():
    with pytest.raises(
        NetworkError, match=r"layer '001_conv' \(conv\) rounds stochastic, by draws that no ONNX operator"
    ):
        check_exportable(with_layer(small(), "001_conv", requantize=plain_requantize(rounding="stochastic")))


def test_dynamic_exponents_are_refused_by_name():
    with pytest.raises(NetworkError, match=r"has a dynamic exponent, .*; the export to ONNX needs"):
        to_onnx(dynamic())


def test_without_onnx_one_line_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "import_module", missing)
    with pytest.raises(RefengineError, match=r'onnx.* cannot be imported .*; needed: pip install "refengine\[onnx\]"'):
        to_onnx(every_op())

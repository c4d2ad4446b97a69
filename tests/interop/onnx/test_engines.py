"""Programs that run ONNX models: the same door, and one line where one of them is unknown, missing or at a loss."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from networks import plain_requantize, small

from refengine import optional
from refengine.errors import RefengineError
from refengine.interop.onnx.engines import ENGINES, engine
from refengine.interop.onnx.export_int import IMAGE, LOGITS, to_onnx
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.formats import INT8
from refengine.ops import maxpool

pytestmark = pytest.mark.skipif(
    not (optional.installed("onnx") and optional.installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_gives_every_output_by_name(name):
    model = to_onnx(small(), layers=True)
    made = engine(name, model)
    assert (made.name, made.version) == (name, optional.package(name.split("-")[0]).__version__)
    found = made.run(np.zeros((3, 2, 2, 1), np.uint8))
    assert [*found] == [output.name for output in model.graph.output]
    assert {array.shape[0] for array in found.values()} == {3}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_padding_never_wins_a_maximum(name, strides):
    """Negative codes, and a stride of 1, at which the reference's own short cut fails on integers."""
    window = {"kernel_shape": (2, 2), "strides": strides, "pads": (1, 0, 0, 1), "ceil_mode": False}
    shape = maxpool.output_shape((2, 2, 1), **window)
    below = replace(
        small().layers[0], constants={"bias": np.array([-(2**15)], np.int32)}, requantize=plain_requantize(INT8)
    )
    pool = IntLayer("001_pool", "maxpool", ("000_input",), 0, attributes=window)
    network = IntNetwork("pool", (2, 2, 1), prod(shape), "gray", (below, pool))
    pixels = np.random.default_rng(0).integers(0, 128, (5, 2, 2, 1)).astype(np.uint8)
    codes = (pixels.astype(np.int16) - 128).astype(np.int8)
    wanted = maxpool.reference(codes, **window).reshape(5, -1)
    assert wanted.max() < 0
    np.testing.assert_array_equal(engine(name, to_onnx(network)).run(pixels)[LOGITS], wanted)


def test_an_unknown_engine_lists_the_known_ones():
    with pytest.raises(RefengineError, match="engine 'abacus' is unknown; available: onnxruntime, onnx-reference"):
        engine("abacus", None)


@pytest.mark.parametrize("name", ENGINES)
def test_a_model_that_cannot_run_is_one_line(name):
    model = to_onnx(small())
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(RefengineError) as caught:
        engine(name, model).run(np.zeros((1, 2, 2, 1), np.uint8))
    assert str(caught.value).startswith(f"{name} cannot run the model: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ENGINES)
def test_images_that_do_not_fit_are_one_line(name):
    model = to_onnx(small())
    with pytest.raises(RefengineError, match=f"{name} cannot run the model"):
        engine(name, model).run(np.zeros((1, 2, 2, 3, 1), np.uint8))
    assert model.graph.input[0].name == IMAGE


@pytest.mark.parametrize("name", ENGINES)
def test_a_missing_engine_is_one_line(name, monkeypatch):
    model = to_onnx(small())

    def missing(module):
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(optional, "import_module", missing)
    with pytest.raises(RefengineError, match=r'cannot be imported .*; needed: pip install "refengine\[onnx\]"'):
        engine(name, model)

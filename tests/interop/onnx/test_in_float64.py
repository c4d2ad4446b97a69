"""The reference in float64: every float32 of the file is one, and what cannot be run is None."""

import numpy as np
import pytest
from onnx_models import as_bytes, classifier, floats, graph, node

from refengine import optional
from refengine.interop.onnx.in_float64 import logits_in_float64

if not optional.installed("onnx"):
    pytest.skip("onnx is missing", allow_module_level=True)


def test_a_third_is_one_of_float64(tmp_path):
    """Casts and constants inside the graph stay as wide."""
    nodes = [node("Constant", value_float=3.0), node("Cast", "x", to=1), node("Div", "cast", "constant"),
             node("Div", "div", "seven", out="y")]  # fmt: skip
    (tmp_path / "net.onnx").write_bytes(as_bytes(graph(nodes, {"seven": np.float32(7)}, (1, 3, 2, 2), opset=13)))
    x = floats(1, 3, 2, 2)
    found = logits_in_float64(tmp_path / "net.onnx", "y", [x, x])
    assert (found.dtype, found.shape) == (np.float64, (2, 3, 2, 2))
    np.testing.assert_allclose(found[:1], x.astype(np.float64) / 3 / 7, rtol=1e-15)


def test_inner_tensors_can_be_asked_for_and_missing_ones_are_none(tmp_path):
    (tmp_path / "net.onnx").write_bytes(as_bytes(classifier()))
    x = floats(2, 3, 6, 5)
    assert logits_in_float64(tmp_path / "net.onnx", "logits", [x]).shape == (2, 5)
    assert logits_in_float64(tmp_path / "net.onnx", "nowhere", [x]) is None
    assert logits_in_float64(tmp_path / "no.onnx", "logits", [x]) is None

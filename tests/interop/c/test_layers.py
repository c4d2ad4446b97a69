"""Layers in C: every operator has its emitter, and what cannot be expressed is refused by name."""

import numpy as np
import pytest
from networks import every_op, made_dynamic, small, with_layer

from refengine.errors import NetworkError, RangeError
from refengine.interop.c import layers
from refengine.interop.c.layers import OPERATORS, emitted, naming, partial_sums_fit
from refengine.interop.c.memory import memory
from refengine.interop.c.model import to_c
from refengine.network.int_network import IntLayer
from refengine.ops import OPS


def test_every_operator_has_an_emitter():
    assert OPERATORS.keys() == OPS.keys()


def test_an_operator_without_one_is_refused_in_a_line_that_names_it(monkeypatch):
    monkeypatch.delitem(layers.OPERATORS, "maxpool")
    with pytest.raises(NetworkError, match=r"layer '\d+_maxpool' \(maxpool\): the export to C does not know"):
        to_c(every_op(), "model")


def test_each_layer_is_computed_by_one_call_in_order_but_a_concat_that_has_one_an_input():
    network = every_op()
    names = naming(network, memory(network), "packed")
    for layer in network.layers:
        calls = emitted(layer, names).calls
        assert len(calls) == (len(layer.inputs) if layer.op == "concat" else 1)
        assert all(call.startswith(f"{layer.op}(&r, &layer_") for call in calls)


def test_a_sum_that_no_bound_covers_is_refused():
    """A cluster of scale 0 adds nothing to the accumulator, and its own sum may be of any size."""
    network = small()
    conv = network.layer("001_conv")
    partial_sums_fit(conv, network)
    nothing = {**conv.constants, "scale": np.zeros((2, 1), np.int8)}
    partial_sums_fit(with_layer(network, "001_conv", constants=nothing).layer("001_conv"), network)
    with pytest.raises(RangeError, match=r"'001_fc' \(fc\): the sum of a cluster of scale 0 can reach 2487168000"):
        to_c(of_scale_0(), "model")


def of_scale_0():
    """600 values of up to 255 * 2**7, weights of 127, and nothing of it in the logit."""
    pixels, fc = small().layers[0], small().layers[2]
    constants = {
        "weight": np.full((1, 600), 127, np.int8),
        "scale": np.zeros((1, 1), np.int8),
        "bias": np.zeros(1, np.int32),
    }
    changed = {"name": "001_fc", "constants": constants, "inputs": (pixels.name,), "attributes": {"cluster": 600}}
    last = IntLayer(**{**vars(fc), **changed, "weight_exponent": np.zeros(1, np.int64)})
    return made_dynamic(small(classes=1, input_shape=(20, 30, 1), layers=(pixels, last)), pixels.name, 7)

"""Steps carry what ``kernels/fast/step.py`` says: walked in plain NumPy, number by number, they are the definition; and
some layers have none."""

import networks
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st
from walked_steps import assert_steps_are_the_definition, compiled, kinds_of

from refengine.engine.fast.steps import steps_of
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.numbers.rounding import ROUNDINGS

BY_OPERATOR = {
    "input": {"LOOKUP"},
    "lookup": {"LOOKUP"},
    "gather_channels": {"COPY"},
    "mul": set(),
    "maxpool": {"LARGEST"},
    "concat": {"COPY"},
    "flatten": {"COPY"},
    "pad_channels": {"COPY", "FILL"},
    "fc": {"CONV"},
    "add": {"DEPTHWISE"},
    "batchnorm": {"DEPTHWISE"},
    "requantize": {"DEPTHWISE"},
    "avgpool": {"DEPTHWISE"},
    "global_avgpool": {"DEPTHWISE"},
    "conv": {"CONV", "CLUSTERS", "CROSSED", "DEPTHWISE"},
}


@pytest.mark.parametrize("rounding", [rounding for rounding in ROUNDINGS if rounding != "stochastic"])
@pytest.mark.parametrize("shared", [False, True])
def test_steps_of_every_operator_are_the_definition(rounding, shared):
    network = networks.every_op(rounding)
    seen = assert_steps_are_the_definition(network, networks.random_images(network, 2), shared=shared)
    assert {"DEPTHWISE", "LARGEST", "LOOKUP", "COPY", *(["FILL"] if shared else [])} < seen


@given(networks.int_networks(steps=6), st.booleans(), st.booleans(), st.booleans())
def test_steps_of_random_networks_are_the_definition(network, wide, shared, counted):
    network = plans.widened(network) if wide else network
    assert_steps_are_the_definition(network, networks.random_images(network, 2), shared=shared, counted=counted)


@pytest.mark.parametrize("seed", range(10))
def test_each_operator_has_its_kind(seed):
    network = plans.widened(networks.every_op(seed=seed))
    compiler = compiled(network, 2)
    for layer in network.layers:
        rows = steps_of(compiler, layer)
        if rows is None:
            assert layer.op in ("avgpool", "mul")
        else:
            assert kinds_of(rows) <= BY_OPERATOR[layer.op], layer.name


def test_stochastic_rounding_has_no_step():
    network = networks.every_op("stochastic")
    compiler = compiled(network, 2)
    for layer in network.layers:
        drawn = layer.requantize is not None
        assert (steps_of(compiler, layer) is None) == drawn, layer.name


@pytest.mark.parametrize(("fmt", "covered"), [(UINT8, True), (INT8, True), (INT32, False)])
def test_a_last_layer_of_a_format_that_is_none_of_activations(fmt, covered):
    network = networks.small()
    network = networks.with_layer(network, "002_fc", requantize=networks.plain_requantize(fmt))
    assert (steps_of(compiled(network, 1), network.layers[-1]) is not None) is covered

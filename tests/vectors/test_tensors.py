"""Which tensors a pack has: every constant and every stage, with widths that hold what is in them."""

import networks
import numpy as np
import pytest

from refengine.engine.run import run
from refengine.network.total_bounds import total_ends
from refengine.numbers.formats import signed_bits
from refengine.ops import OPS
from refengine.vectors.tensors import CONSTANTS, PARTS, constant, feeders, tensors_of


def everything(network, count=2, partial=None):
    return tensors_of(network, count, {layer.name: PARTS for layer in network.layers}, partial)


def test_every_constant_of_any_layer_is_among_them():
    assert {name for operator in OPS.values() for name in operator.CONSTANTS} <= set(CONSTANTS)


@pytest.mark.parametrize("seed", [9, 340, 908])
def test_all_of_a_network(seed):
    """Each array of the network once, with its type and shape, and nothing that is not there."""
    network = networks.every_op(seed=seed)
    found = {tensor.name: tensor for tensor in everything(network)}
    wanted = {}
    for layer in network.layers:
        wanted |= {f"{layer.name}/{name}": array for name, array in layer.constants.items()}
        for name in ("multiplier", "shift", "residual_shift"):
            array = getattr(layer.requantize, name, None)
            wanted |= {} if array is None else {f"{layer.name}/{name}": array}
    assert {name for name in found if name.split("/")[-1] in CONSTANTS} == set(wanted)
    for name, array in wanted.items():
        tensor = found[name]
        assert (tensor.shape, tensor.dtype, len(tensor.axes)) == (array.shape, array.dtype.name, array.ndim)
        assert array is constant(network.layer(tensor.layer), tensor.part)
        low = -(2 ** (tensor.bits - 1)) if tensor.signed else 0
        assert low <= array.min() <= array.max() < low + 2**tensor.bits


def test_stages_are_those_of_a_run():
    network = networks.every_op(seed=9)
    found = {tensor.name: tensor for tensor in everything(network, 3)}
    seen = set()

    def observe(layer, operands, result):
        stages = {} if result.accumulator is None else {"accumulator": result.accumulator}
        stages |= {"code": result.result} if result.accumulator is None or layer.requantize is not None else {}
        for stage, array in stages.items():
            tensor = found[f"{layer.name}/{stage}"]
            assert (tensor.shape, tensor.dtype, len(tensor.axes)) == (array.shape, array.dtype.name, array.ndim)
            seen.add(tensor.name)
        seen.update({f"{layer.name}/total"} if layer.requantize is not None else {})

    run(network, networks.random_images(network, 3), "reference", observe)
    assert seen == {name for name, tensor in found.items() if tensor.has_images and tensor.layer is not None}
    assert found["logits"].shape == (3, network.classes)


def test_widths_and_exponents_of_the_small_network_are_those_by_hand():
    """By hand, for the small network."""
    tensors = {tensor.name: tensor for tensor in everything(networks.small(), partial="001_conv")}
    said = {name: (t.axes, t.bits, t.signed, t.exponent, t.ternary) for name, t in tensors.items()}
    assert said["images"] == ("nhwc", 8, False, None, False)
    assert said["001_conv/weight"] == ("oihw", 2, True, None, True)
    assert said["001_conv/scale"] == ("og", 7, False, (-4, -5), False)
    assert said["001_conv/bias"] == ("o", 32, True, (-4, -5), False)
    assert said["001_conv/multiplier"] == ("c", 3, False, None, False)
    assert said["000_input/multiplier"] == ("c", 3, False, None, False)
    assert said["001_conv/shift"] == ("c", 6, False, None, False)
    assert said["001_conv/partial_sums"] == ("nhwcg", 32, True, None, False)
    assert tensors["001_conv/partial_sums"].shape == (2, 1, 1, 2, 1)
    assert said["001_conv/accumulator"] == ("nhwc", 32, True, (-4, -5), False)
    lo, hi = total_ends(networks.small(), networks.small().layer("conv"))
    assert said["001_conv/total"] == ("nhwc", signed_bits(lo, hi), True, (-5, -4), False)
    assert said["001_conv/code"] == ("nhwc", 8, True, -2, False)
    assert said["002_fc/weight"] == ("oi", 8, True, None, False)
    assert said["002_fc/accumulator"] == ("nc", 32, True, (-6, -6), False)
    assert said["logits"] == ("nc", 32, True, -6, False)


@pytest.mark.parametrize("op", ["avgpool", "global_avgpool"])
def test_sums_of_nine_pixels_have_no_power_of_two(op):
    """Neither as accumulators nor as logits."""
    found = {tensor.name: tensor.exponent for tensor in everything(networks.averaging(op))}
    assert found["logits"] is found[f"001_{op}/accumulator"] is None


def test_sums_of_four_pixels_have_one():
    network = networks.averaging()
    small = networks.small(input_shape=(2, 2, 1), layers=network.layers, classes=1)
    found = {tensor.name: tensor.exponent for tensor in everything(small)}
    assert found["logits"] == found["001_global_avgpool/accumulator"] == -2


def test_a_narrow_accumulator_has_its_own_width():
    network = networks.with_layer(networks.small(), "001_conv", accumulator_bits=20, accumulator_policy="wrap")
    (found,) = [tensor for tensor in everything(network) if tensor.name == "001_conv/accumulator"]
    assert found.bits == 20


def test_exponents_are_what_the_integers_are_worth():
    """A code times 2**exponent is near its total times the total's exponent: half a step, where nothing is clipped."""
    network = networks.every_op("half_up", 340)
    images = networks.random_images(network, 2)
    tensors = {tensor.name: tensor for tensor in everything(network)}
    checked = 0

    def observe(layer, operands, result):
        nonlocal checked
        if layer.requantize is None or layer.residual is not None:
            return
        step, codes = layer.requantize, result.result.astype(float)
        total = tensors[f"{layer.name}/total"]
        unit = np.broadcast_to(np.array(total.exponent), result.result.shape[-1])
        reals = result.accumulator.astype(float) * step.multiplier * 2.0**unit
        inside = (codes > step.lo) & (codes < step.hi)
        error = np.abs(codes * 2.0**layer.exponent - reals)[inside]
        assert (error <= 0.5 * 2.0**layer.exponent).all()
        checked += inside.sum()

    run(network, images, "reference", observe)
    assert checked > 100


def test_a_layer_is_fed_by_its_inputs_and_its_residual():
    network = networks.every_op(seed=340)
    for layer in network.layers:
        assert {*feeders(layer)} == {*layer.inputs} | ({layer.residual} - {None})

"""The fast plan gives the definition's bits: every accumulator, code and count of every layer of all kinds of networks,
whatever the batch, the threads, the memory, the process and the instruction set."""

import copy
import dataclasses
import multiprocessing
import os
import pickle
import platform
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import plans
import pytest
from everyday import everyday
from hypothesis import given
from hypothesis import strategies as st

import refengine.engine.fast.plan as plan_module
from refengine.engine.fast.packing import table
from refengine.engine.fast.plan import Plan
from refengine.engine.run import run
from refengine.errors import NetworkError, RangeError
from refengine.kernels import INSTRUCTION_SET_OPTION
from refengine.kernels.fast.epilogue import LIFT
from refengine.kernels.fast.plan import TARGET
from refengine.kernels.instruction_sets import TARGETS, runnable
from refengine.network.batches import image_batches, map_batches
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images
from refengine.network.int_network import IntLayer
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.numbers.rounding import ROUNDINGS
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.fixture(autouse=True, scope="module")
def share_everything():
    """The networks of these tests are too small for a plan to share their work out by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "_WORTH_A_THREAD", 0)
        yield


ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120  # seconds after which another process counts as hanging

# ------------------------------------------------------------------------------------------------------ random networks


@given(
    network=networks.int_networks(steps=7),
    wide=st.booleans(),
    images=st.integers(1, 3),
    threads=st.integers(1, 3),
    shared=st.booleans(),
    first_image=st.sampled_from([0, 7]),
    seed=st.integers(0, 99),
)
def test_random_networks_give_the_integers_of_the_definition(network, wide, images, threads, shared, first_image, seed):
    """A full batch, then a short one: nothing of the first survives; all layers shown, some, or none."""
    if wide:
        network = plans.widened(network)
    names = [layer.name for layer in network.layers]
    chosen = np.random.default_rng(seed).random(len(names)) < 0.3
    some = [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]
    full, short = networks.random_images(network, images + 1, seed), networks.random_images(network, images, seed + 1)
    wanted = [plans.defined(network, pixels, first_image) for pixels in (full, short)]
    with plans.sharing(shared):
        made = [
            (Plan(network, images + 1, threads=threads, observed=observed, counted=counted), observed, counted)
            for observed, counted in ((names, True), (some, False), ([], True), ([], False))
        ]
    for pixels, expected in zip((full, short), wanted, strict=True):
        for plan, observed, counted in made:
            plans.assert_run(plan, pixels, expected, observed, first_image)
            if counted:
                assert plan.events() == plans.events_of(expected[1])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_operator_gives_the_integers_of_the_definition(rounding, shared, threads):
    network = networks.every_op(rounding)
    with plans.sharing(shared):
        plans.check(network, networks.random_images(network, 3), threads=threads, first_image=2)


@pytest.mark.parametrize("seed", range(12))
def test_every_operator_in_32_bits(seed):
    network = plans.widened(networks.every_op(seed=seed))
    with plans.sharing(seed % 2):
        plans.check(network, networks.random_images(network, 3, seed), threads=1 + seed % 3)


# ------------------------------------------------------------------------------------------------------- dense products


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("weight_format", everyday(["ternary", "int8", "int4"], 3))
def test_every_rounding_and_format(weight_format, rounding, fmt, residual):
    network = plans.conv_network(1, weight_format, rounding, fmt, residual)
    plans.check(network, networks.random_images(network, 2, 2), first_image=5)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 15, 16, 31])
def test_every_width_of_multiplier(bits, residual):
    network = plans.conv_network(4, residual=residual, multiplier_bits=bits)
    plans.check(network, networks.random_images(network, 2, 3))


@pytest.mark.parametrize("weight_format", ["ternary", "int4"])
@pytest.mark.parametrize("channels", [1, 15, 16, 17, 48, 64, 80, 130])
def test_every_width_of_panel(channels, weight_format):
    network = plans.conv_network(2, weight_format, channels=channels)
    plans.check(network, networks.random_images(network, 1, 3))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("weight_format", ["ternary", "int4", "int8"])
@pytest.mark.parametrize("shift", [5, 8])
def test_small_shifts_lift_the_accumulator(shift, weight_format, fmt, kernel):
    """Many codes are clipped; some must not be, or the test would see nothing."""
    network = plans.lifted_network(weight_format, fmt, kernel, shift)
    layer = network.layers[2]
    assert table(network, layer, layer.requantize, 0)[LIFT, :37].all()
    images = networks.random_images(network, 2, 3) // 16
    codes = plans.defined(network, images)[1]["002_conv"][1].result
    assert np.count_nonzero((codes > fmt.lo) & (codes < fmt.hi)) > 5
    plans.check(network, images)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("far", [30, 40, 50, 62])
def test_channels_of_very_different_shifts(far, residual):
    network = plans.conv_network(7, fmt=INT8, residual=residual, channels=20)
    step = network.layers[2].requantize
    shift = step.shift.copy()
    shift[::3] = min(far, 53) if residual else far
    step = replace(step, shift=shift, residual_shift=shift if residual else None)
    network = networks.with_layer(network, "002_conv", requantize=step)
    plans.check(network, networks.random_images(network, 2, 3))


@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_one_multiplier_for_all_channels(fmt, rounding):
    network = plans.conv_network(9, "int4", rounding, fmt)
    step = network.layers[2].requantize
    one = {name: getattr(step, name)[:1].copy() for name in ("multiplier", "shift", "residual_shift")}
    network = networks.with_layer(network, "002_conv", requantize=replace(step, **one))
    plans.check(network, networks.random_images(network, 2, 3))


@pytest.mark.parametrize("activation", [("relu", 0, 127), ("clip", 0, 50), ("none", -128, 127)], ids=lambda a: a[0])
def test_activations_clip_and_do_not_saturate(activation):
    network = plans.lifted_network("ternary", INT8)
    name, lo, hi = activation
    step = replace(network.layers[2].requantize, activation=name, lo=lo, hi=hi)
    network = networks.with_layer(network, "002_conv", requantize=step)
    plans.check(network, networks.random_images(network, 2, 3))


@pytest.mark.parametrize("strides", [(1, 2), (2, 1), (3, 3)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (2, 0, 1, 3), (3, 3, 3, 3)])
def test_strides_and_paddings(strides, pads):
    network = plans.conv_network(11, residual=False, channels=18)
    attributes = {**network.layers[2].attributes, "strides": strides, "pads": pads}
    network = networks.with_layer(network, "002_conv", attributes=attributes)
    plans.check(network, networks.random_images(network, 2, 3))


# ------------------------------------------------------------------------------------------------------------ in groups


@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
@pytest.mark.parametrize("channels", [1, 3, 16, 35])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_depthwise_convolutions(channels, rounding, fmt):
    network = plans.depthwise_network(6, channels, rounding, fmt)
    plans.check(network, networks.random_images(network, 2, 3))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(
    ("channels", "group"), everyday([(8, 2), (24, 2), (40, 4), (20, 4), (72, 2), (24, 12), (34, 17), (80, 40)], 2)
)
def test_grouped_convolutions(channels, group, depth, fmt, shared):
    """Groups within a vector, across vectors and across panels."""
    network = plans.grouped_network(channels, channels, group, depth, fmt=fmt)
    with plans.sharing(shared):
        plans.check(network, networks.random_images(network, 2, 3), threads=2)


@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("weight_format", ["ternary", "int4", "int8"])
@pytest.mark.parametrize("kernel", [1, 2])
def test_grouped_kernels_and_weights(weight_format, kernel, fmt):
    network = plans.grouped_network(5, 36, 4, 1, weight_format, fmt, kernel)
    plans.check(network, networks.random_images(network, 2, 3))


@pytest.mark.parametrize("channels", [5, 16, 33])
def test_two_filters_for_each_channel(channels):
    network = plans.grouped_network(channels, channels, channels, 2, fmt=INT8)
    plans.check(network, networks.random_images(network, 2, 3))


# ------------------------------------------------------------------------------------------------------ other operators


def conv(growing, outputs, **where):
    inputs = growing.known[growing.last].shape[2]
    where = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1} | where
    growing.weighted("conv", outputs, inputs, (3, 3), **where)


def window(kernel, strides, pads=(0, 0, 0, 0), ceil_mode=False):
    return {"kernel_shape": kernel, "strides": strides, "pads": pads, "ceil_mode": ceil_mode}


def of_format(fmt, seed, build, shape=(6, 7, 3)):
    """A grown network whose layer of index 1, a convolution of 20 channels, gives ``fmt``."""

    def append(growing):
        pick, growing.pick = growing.pick, lambda options: _with_format(options, fmt)
        conv(growing, 20)
        growing.pick = pick
        build(growing)

    network = plans.widened(plans.grown(seed, shape, append))
    assert network.formats[network.layers[1].name] is fmt
    return network


def _with_format(options, fmt):
    formats = [o for o in options if isinstance(o, tuple) and o[0] is fmt and o[1] == "none"]
    return [*formats, options[0]][0]


@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "pool",
    [
        window((2, 2), (2, 2)),
        window((3, 2), (1, 1)),
        window((2, 3), (2, 3), ceil_mode=True),
        window((2, 3), (4, 4), ceil_mode=True),
        window((4, 7), (3, 1), ceil_mode=True),
        window((3, 3), (9, 9), (1, 1, 0, 0)),
        window((3, 3), (2, 2), (1, 1, 1, 1)),
        window((2, 2), (1, 2), (1, 0, 0, 1), ceil_mode=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("op", ["avgpool", "maxpool"])
def test_pools(op, pool, seed, fmt):
    """Windows of one size or several, with padding and beyond it."""

    def build(growing):
        how = growing.passing if op == "maxpool" else growing.accumulating
        how(op, [growing.last], **pool)

    network = of_format(fmt, seed, build)
    with plans.sharing(seed == 0):
        plans.check(network, networks.random_images(network, 2, seed))


@pytest.mark.parametrize("shape", [(6, 7, 3), (1, 1, 1), (5, 1, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_fc_on_images_and_on_vectors(seed, shape):
    def build(growing):
        growing.weighted("fc", 21, int(np.prod(growing.known[growing.last].shape)), ())
        growing.weighted("fc", 70, 21, ())

    network = of_format(INT8, seed, build, shape)
    plans.check(network, networks.random_images(network, 3, seed), threads=2)


def test_fc_straight_on_the_pixels():
    network = plans.grown(3, (5, 4, 3), lambda growing: growing.weighted("fc", 7, 60, ()))
    plans.check(network, networks.random_images(network, 3))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("channels", [(13, 7), (1, 1), (16, 5), (40, 33)])
def test_concatenations_of_odd_channel_counts(channels, shared):
    """Of two tensors, of more than two, and of one with itself."""

    def append(growing):
        growing.passing("concat", ["000_input", "000_input"])
        growing.pick = lambda options: options[0]
        conv(growing, channels[0])
        first = growing.last
        conv(growing, channels[1])
        growing.passing("concat", [growing.last, first])
        growing.passing("concat", [growing.last, first, growing.last])
        conv(growing, 9)

    network = plans.grown(channels[0], (5, 4, 3), append)
    with plans.sharing(shared):
        plans.check(network, networks.random_images(network, 2), threads=2)


@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("ends", [(0, 0), (1, 0), (0, 3), (5, 9), (17, 40)])
def test_channels_of_zeros(ends, fmt):
    """In places that other tensors have used before."""

    def build(growing):
        growing.passing("pad_channels", [growing.last], before=ends[0], after=ends[1])
        conv(growing, 6)

    network = of_format(fmt, 1, build)
    with plans.sharing(True):
        plans.check(network, networks.random_images(network, 2), threads=2)


@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_flattened_images(fmt):
    def build(growing):
        growing.passing("flatten", [growing.last])
        growing.accumulating("batchnorm", [growing.last], batchnorm(growing))
        growing.passing("flatten", [growing.last])

    network = of_format(fmt, 2, build)
    plans.check(network, networks.random_images(network, 3), threads=2)


def batchnorm(growing):
    channels = growing.known[growing.last].shape[-1]
    sign = growing.rng.integers(-1, 2, channels, np.int8)
    return {"sign": sign, "bias": growing.rng.integers(-5000, 5000, channels, np.int32)}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("seed", range(6))
def test_sums_of_tensors_that_are_read_with_different_borders(seed, fmt, shared):
    """Operands of one format or two; one is padded by another reader, or both are one."""

    def build(growing):
        first = growing.last
        conv(growing, 20)
        second = growing.last
        conv(growing, 4, pads=(2, 0, 3, 1))
        operands = [second, first] if seed % 2 else [first, first]
        exponents = [growing.known[name].exponent for name in operands]
        shifts = tuple(exponent - min(exponents) for exponent in exponents)
        growing.accumulating("add", operands, shifts=shifts)
        growing.accumulating("requantize", [growing.last])

    network = of_format(fmt, seed, build)
    with plans.sharing(shared):
        plans.check(network, networks.random_images(network, 2, seed), threads=2)


@pytest.mark.parametrize("shift", [0, 14, 15, 20])
def test_sums_with_any_shift(shift):
    """Beyond 14 no step covers the layer."""
    small = networks.small()
    coarse = replace(small.layers[1], name="001_conv", exponent=shift)
    fine = replace(small.layers[1], name="002_conv", exponent=0)
    step = networks.plain_requantize(INT8, multiplier=np.array([3]), shift=np.array([shift + 1]))
    added = IntLayer("003_add", "add", ("001_conv", "002_conv"), shift, {}, {"shifts": (shift, 0)}, step)
    last = replace(small.layers[2], name="004_fc", inputs=("003_add",))
    network = networks.small(layers=(small.layers[0], coarse, fine, added, last))
    plans.check(network, networks.random_images(network, 9))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
def test_every_pixel_value_gives_the_integers_of_the_definition(flip, fmt, rounding):
    """Every pixel value in every channel, of images that do not lie one after the other in memory."""
    step = networks.plain_requantize(
        fmt, multiplier=np.array([300, 77, 511]), shift=np.array([9, 7, 9]), rounding=rounding
    )
    bias = {"bias": np.array([-100, 3, -60], np.int32)}
    first = IntLayer("000_input", "input", (), 0, bias, {"flip": flip}, step)
    last = replace(networks.small().layers[0], name="001_gap", op="global_avgpool", inputs=("000_input",),
                   constants={}, attributes={}, requantize=None)  # fmt: skip
    channels = "BGR" if flip else "RGB"
    network = networks.small(input_shape=(8, 12, 3), classes=3, channels=channels, layers=(first, last))
    pixels = np.arange(8 * 12 * 3 * 2).reshape(2, 8, 3, 12).astype(np.uint8).swapaxes(2, 3)
    assert {*pixels.ravel()} == {*range(256)}
    plans.check(network, pixels)
    pixels.setflags(write=False)
    plans.check(network, pixels[:, :, ::-1])


# ------------------------------------------------------------------------------------- narrow accumulators, last layers


@pytest.mark.parametrize("policy", ["wrap", "saturate"])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
@pytest.mark.parametrize("kind", ["ternary", "int4", "depthwise", "last"])
def test_narrow_accumulators(kind, rounding, fmt, policy):
    """Sums that leave 16 bits, in layers that go on and in the one whose sums are the logits."""
    narrow = {"accumulator_bits": 16, "accumulator_policy": policy}
    if kind == "depthwise":
        network, name = plans.depthwise_network(6, 19, rounding, fmt), "002_conv"
    else:
        network = plans.conv_network(1, kind if kind != "last" else "ternary", rounding, fmt, channels=19)
        name = "003_gap" if kind == "last" else "002_conv"
    if kind == "last":
        network = ending_in_fc(network)
        name = network.layers[-1].name
    if kind == "depthwise":
        constants = {**network.layers[2].constants, "bias": np.arange(-9, 10, dtype=np.int32) * 4000}
        network = networks.with_layer(network, name, constants=constants)
    network = networks.with_layer(network, name, **narrow)
    images = networks.random_images(network, 3, 2)
    overflowed = plans.defined(network, images)[1][name][1].overflowed
    assert overflowed > 0
    plans.check(network, images)


def ending_in_fc(network):
    """The global average replaced by an fc on the image, whose sums are large."""
    *layers, mean = network.layers
    inputs = int(np.prod(network.shapes[layers[-1].name]))
    rng = np.random.default_rng(3)
    weight = rng.integers(-127, 128, (5, inputs)).astype(np.int8)
    constants = {"weight": weight, "scale": np.ones((5, 1), np.int8), "bias": np.zeros(5, np.int32)}
    last = replace(mean, op="fc", constants=constants, attributes={"cluster": inputs}, weight_format="int8",
                   weight_exponent=np.zeros(5, np.int64))  # fmt: skip
    return replace(network, classes=5, layers=(*layers, last))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("fmt", [UINT8, INT8, INT32])
@pytest.mark.parametrize("rounding", ["half_up", "half_even", "stochastic"])
def test_a_last_layer_that_requantizes(rounding, fmt, threads):
    """To codes, or to a format that is none of activations."""
    network = ending_in_fc(plans.conv_network(1, rounding=rounding, channels=19))
    step = networks.plain_requantize(fmt, multiplier=np.array([3]), shift=np.array([12]), rounding=rounding)
    network = networks.with_layer(network, network.layers[-1].name, requantize=step)
    plans.check(network, networks.random_images(network, 3, 2), threads=threads, first_image=3)


@pytest.mark.parametrize("op", ["input", "conv", "maxpool", "concat", "pad_channels", "flatten", "add", "batchnorm"])
@pytest.mark.parametrize("shared", [False, True])
def test_networks_that_end_in_codes(op, shared):
    """Whatever the last layer is, its codes are the logits."""
    network = networks.every_op(seed=9)
    position = next(n for n, layer in enumerate(network.layers) if layer.op == op)
    layers = network.layers[: position + 1]
    if layers[-1].weight_exponent is not None:
        layers = (*layers[:-1], replace(layers[-1], weight_exponent=layers[-1].weight_exponent * 0 - 9))
    classes = int(np.prod(network.shapes[layers[-1].name]))
    network = replace(network, classes=classes, layers=layers)
    with plans.sharing(shared):
        plans.check(network, networks.random_images(network, 3))


def test_a_network_that_is_only_an_input():
    network = networks.small()
    first = replace(network.layers[0], requantize=None)
    network = networks.small(classes=4, layers=(first,))
    plans.check(network, networks.random_images(network, 3))


# ------------------------------------------------------------------------------------------------------ batches, memory


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_a_plan_forgets_the_images_before(shared, threads):
    network = plans.conv_network(3, "int4", fmt=INT8)
    pixels = networks.random_images(network, 4, 4)
    names = [layer.name for layer in network.layers]
    with plans.sharing(shared):
        plan = Plan(network, 4, threads=threads, observed=names)
    plan.run(255 - pixels)
    for part in (pixels, pixels[:1], pixels[2:], pixels):
        plans.assert_run(plan, part, plans.defined(network, part), names)


def test_results_that_were_shown_stay_as_they_were():
    """An observer may keep what it saw: the next run does not write into it, unless the plan says so of its sums."""
    network = networks.small()
    names = [layer.name for layer in network.layers]
    plan = Plan(network, 2, observed=names)
    pixels = networks.random_images(network, 2)
    logits, found = plans.seen(lambda observe: plan.run(pixels, 0, observe))
    codes = {name: result.result.copy() for name, (_, result) in found.items() if result.result.dtype != np.int32}
    plan.run(255 - pixels)
    for name, before in codes.items():
        np.testing.assert_array_equal(found[name][1].result, before)
    np.testing.assert_array_equal(logits, plans.defined(network, pixels)[0])


def test_more_images_than_the_plan_holds():
    network = networks.small()
    with pytest.raises(RangeError, match="the plan is for 2 images at a time, found 3"):
        Plan(network, 2).run(networks.random_images(network, 3, 0))


def test_images_of_another_size():
    with pytest.raises(RangeError, match="the network reads uint8"):
        Plan(networks.small(), 2).run(np.zeros((2, 3, 3, 1), np.uint8))


def test_events_of_a_plan_that_does_not_count():
    network = networks.small()
    plan = Plan(network, 1)
    plan.run(networks.random_images(network, 1))
    with pytest.raises(RangeError, match="this plan counts no events"):
        plan.events()


def test_memory_does_not_grow_with_depth():
    """Forty equal layers need what four need, if nobody looks at them; and those that are looked at are kept."""
    with plans.sharing(True):
        few, many = (Plan(plans.deep(blocks), 2).memory for blocks in (4, 40))
    assert many == few
    assert Plan(plans.deep(40), 2).memory > 5 * many


def test_observed_layers_survive_where_memory_is_used_again():
    network = plans.deep(6, channels=5, shape=(5, 6, 1))
    pixels = networks.random_images(network, 2)
    wanted = plans.defined(network, pixels)
    with plans.sharing(True):
        for name in ("000_first", "001_conv", "004_conv", "000_input"):
            plan = Plan(network, 2, observed=[name])
            assert plan.memory < Plan(network, 2, observed=list(wanted[1])).memory
            plan.run(255 - pixels)
            plans.assert_run(plan, pixels, wanted, [name])


# ------------------------------------------------------------------------------------------------ threads and processes


def test_plans_side_by_side():
    network = plans.conv_network(5)
    pixels = networks.random_images(network, 24, 6)
    made = {}

    def work(numbered):
        first, part = numbered
        return made.setdefault(first, Plan(network, 4, threads=2)).run(part, first)

    got = np.concatenate(list(map_batches(work, image_batches(pixels, 4), 3)))
    np.testing.assert_array_equal(got, run(network, pixels))


@pytest.mark.parametrize("threads", [2, 7])
def test_more_threads_than_work(threads):
    network = networks.small()
    plans.check(network, networks.random_images(network, 1), threads=threads)


def test_many_runs_of_a_plan_for_two_threads():
    """Small steps, so that threads meet all the time."""
    network = networks.every_op()
    pixels = networks.random_images(network, 2)
    plan, wanted = Plan(network, 2, threads=2), run(network, pixels)
    for _ in range(300):
        np.testing.assert_array_equal(plan.run(pixels), wanted)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
may_fork = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@needs_fork
@may_fork
@pytest.mark.parametrize("threads", [1, 2])
def test_a_plan_goes_on_in_a_forked_child(threads):
    """The same object, after the parent has used it; and the parent goes on too."""
    network = plans.conv_network(5, "int4")
    pixels = networks.random_images(network, 3)
    plan = Plan(network, 3, threads=threads)
    wanted = plan.run(pixels)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=lambda: sender.send(plan.run(pixels)))
    child.start()
    try:
        assert receiver.poll(PATIENCE), "the child hangs"
        np.testing.assert_array_equal(receiver.recv(), wanted)
        np.testing.assert_array_equal(plan.run(pixels), wanted)
    finally:
        child.kill()
        child.join()
    np.testing.assert_array_equal(wanted, run(network, pixels, "reference"))


@may_fork
@pytest.mark.parametrize("how", [pytest.param("fork", marks=needs_fork), "spawn"])
@pytest.mark.parametrize("pool", [pytest.param("Pool", marks=pytest.mark.slow), "ProcessPoolExecutor"])
def test_plans_in_pools_of_processes(how, pool):
    """After the parent has used two threads."""
    network = plans.conv_network(5, "int4")
    pixels = networks.random_images(network, 2)
    wanted = plans.logits_of(network, pixels)
    context = multiprocessing.get_context(how)
    if pool == "Pool":
        with context.Pool(2) as workers:
            waiting = [workers.apply_async(plans.logits_of, (network, pixels)) for _ in range(3)]
            found = [answer.get(PATIENCE) for answer in waiting]
    else:
        with ProcessPoolExecutor(2, mp_context=context) as workers:
            found = [answer.result(PATIENCE) for answer in [workers.submit(plans.logits_of, network, pixels)] * 3]
    for logits in found:
        np.testing.assert_array_equal(logits, wanted)


# ----------------------------------------------------------------------------------------------------- instruction sets

CHOSEN = (
    "width or forgets or lift or in_32_bits or two_filters or test_inputs or (rounding_and_format and half_even) "
    "or (depthwise_convolutions and half_up) or (grouped_convolutions and 24-12)"
)


def run_chosen_tests(target, **more):
    """Tests of this file in a process that is told to use another instruction set."""
    if target not in {able.name for able in runnable()}:
        pytest.skip(f"this processor has no {target}")
    told = f"from refengine.kernels.fast.plan import TARGET; assert TARGET.name == {target!r}; import pytest, sys; "
    script = f"{told} sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {__file__!r}, '-k', {CHOSEN!r}]))"
    environment = {**os.environ, INSTRUCTION_SET_OPTION: target, **more}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_every_instruction_set_passes_these_tests(target):
    if target == TARGET.name:
        pytest.skip("all tests of this process use this instruction set")
    run_chosen_tests(target)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="this processor is no x86")
@pytest.mark.parametrize("target", ["avx2", "generic"])
def test_a_processor_without_avx512(target):
    """The compiler may use nothing that a Haswell of 2013 lacks."""
    without = "+avx2,+fma,-avx512f,-avx512vl,-avx512bw,-avx512vnni,-avxvnni"
    run_chosen_tests(target, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=without)


# -------------------------------------------------------------------------------------------------------- real networks

MNIST, CIFAR, LARGE = "mnist-test", "cifar10-test-1017", "imagenet-like-300"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images", "step", "scheme"),
    [
        ("cnn_ccexam_mnist", MNIST, 1, Scheme(weights="int8")),
        ("cnn_ccexam_mnist", MNIST, 1, Scheme(weights="int4", accumulator_bits=18, accumulator_policy="wrap")),
        ("resnet8_mlperf_tiny_cifar10", CIFAR, 1, Scheme(weights="int4", rounding="half_even")),
        ("resnet20_cifar10", CIFAR, 1, Scheme()),
        ("resnet56_cifar10", CIFAR, 1, Scheme(weights="int4", cluster=16)),
        ("squeezenet_v11_imagenet", LARGE, 1, Scheme()),
        ("efficientnet_lite0_imagenet", LARGE, 2, Scheme(weights="int4", activations="int8")),
        ("opennsfw_resnet50_1by2", LARGE, 2, Scheme(rounding="half_away")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_real_networks_give_the_integers_of_the_definition(name, images, step, scheme):
    """Every layer of a few images (of large ones every second pixel), a full batch and a short one."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    with open_images(DATA / f"{images}.h5") as file:
        pixels = file.read(0, 3)[:, ::step, ::step]
    scheme = dataclasses.replace(scheme, method="optimal")  # fast; which codes does not matter here
    network = quantize(read_float_network(DATA / f"{name}.h5"), pixels, scheme, threads=2)
    names = [layer.name for layer in network.layers]
    wanted = plans.defined(network, pixels, backend="kernels")
    plan = Plan(network, 3, threads=2, observed=names)
    plans.assert_run(plan, pixels, wanted, names)
    assert plan.events() == plans.events_of(wanted[1])
    with plans.sharing(True):
        fast = Plan(network, 3)
    for count in (3, 1):
        np.testing.assert_array_equal(fast.run(pixels[:count]), wanted[0][:count])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_and_pickles_of_plans_give_the_same_integers(again):
    """Of networks, whose formats are then other objects, and of plans, whose steps name memory by its address."""
    network = networks.every_op()
    pixels = networks.random_images(network, 2, 8)
    wanted = run(network, pixels, "reference")
    assert np.array_equal(Plan(again(network), 2).run(pixels), wanted)
    plan = Plan(network, 2, counted=True)
    plan.run(255 - pixels)
    second = again(plan)
    assert np.array_equal(second.run(pixels), wanted)
    assert plan.events() != second.events()


@pytest.mark.parametrize(("images", "threads"), [(0, 1), (-1, 1), (1, 0)])
def test_counts_below_one_are_refused(images, threads):
    with pytest.raises(RangeError, match="a plan is for at least 1 image and 1 thread"):
        Plan(networks.small(), images, threads=threads)


def test_a_run_of_no_images_is_refused():
    network = networks.small()
    with pytest.raises(RangeError, match="0 images are to be run"):
        Plan(network, 2).run(networks.random_images(network, 2, 0)[:0])


def test_a_layer_that_does_not_exist_cannot_be_observed():
    with pytest.raises(NetworkError, match="0 layers are called 'nope'"):
        Plan(networks.small(), 1, observed=["nope"])


def test_little_work_is_not_shared_out(monkeypatch):
    network = networks.small()
    for products, threads in ((plans.products(network), 3), (plans.products(network) + 1, 1)):
        monkeypatch.setattr(plan_module, "_WORTH_A_THREAD", products)
        assert Plan(network, 1, threads=3)._threads == threads


def test_an_interrupt_leaves_nobody_at_work(monkeypatch):
    """Whatever happens to the leading thread, the others have ended when the exception arrives."""
    network = networks.every_op()
    plan = Plan(network, 2, threads=3)
    walk, begun = plan_module.kernel.walk, []

    def interrupted(*arguments):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        begun.append(threading.current_thread())
        walk(*arguments)

    monkeypatch.setattr(plan_module.kernel, "walk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plan.run(networks.random_images(network, 2, 1))
    assert len(begun) == 2
    assert not any(thread.is_alive() for thread in begun)

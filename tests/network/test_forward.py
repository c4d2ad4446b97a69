"""The float runner against plain Python loops in float64, and against the known accuracy of real networks."""

import gc
import itertools
import math
import weakref
from pathlib import Path

import float_networks
import numpy as np
import pytest
from float_networks import every_op, floats, gated, layer
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.network import forward as runner
from refengine.network.float_file import read_float_network
from refengine.network.float_network import FloatNetwork, shapes
from refengine.network.forward import forward, normalise
from refengine.network.images import open_images

DATA = Path(__file__).parents[3] / "shared" / "data"


# ---- the oracle: one image as a dict from (y, x, channel) to float, written from the table of docs/formats.md


def oracle(network, image):
    """Every layer's output for one image, as dicts from index to float."""
    tensors = {}
    for step in network.layers:
        operands = [tensors[name] for name in step.inputs]
        if step.op == "input":
            order = [2, 1, 0] if network.channels == "BGR" else range(image.shape[2])
            tensors[step.name] = {
                (y, x, c): (float(image[y, x, source]) - network.mean[c]) / network.std[c]
                for c, source in enumerate(order)
                for y in range(image.shape[0])
                for x in range(image.shape[1])
            }
        else:
            tensors[step.name] = globals().get("oracle_" + step.op, oracle_activation)(step, *operands)
    return tensors


def extent(x):
    """Sizes of a dense index range."""
    return tuple(max(index[axis] for index in x) + 1 for axis in range(len(next(iter(x)))))


def positions(size, kernel, stride, before, after, ceil_mode):
    """First pixel of each window along one axis."""
    last = size + after - kernel  # of a window that stays inside the padded image
    starts = []
    start = -before
    while start <= last or (ceil_mode and start < last + stride and start < size):
        starts.append(start)
        start += stride
    return starts


def windows(layer, x, kernel, ceil_mode=False):
    """(oy, ox, [(ky, kx, iy, ix) of the pixels inside the image]) for each window."""
    (height, width, _), (sy, sx) = extent(x), layer.attributes["strides"]
    down, across = layer.attributes.get("dilations", (1, 1))
    top, left, bottom, right = layer.attributes["pads"]
    rows = positions(height, down * (kernel[0] - 1) + 1, sy, top, bottom, ceil_mode)
    columns = positions(width, across * (kernel[1] - 1) + 1, sx, left, right, ceil_mode)
    for (oy, y), (ox, first) in itertools.product(enumerate(rows), enumerate(columns)):
        taps = itertools.product(range(kernel[0]), range(kernel[1]))
        seen = [(i, j, y + down * i, first + across * j) for i, j in taps]
        yield oy, ox, [tap for tap in seen if 0 <= tap[2] < height and 0 <= tap[3] < width]


def oracle_conv(layer, x):
    weight = layer.constants["weight"].astype(float)
    bias = layer.constants.get("bias", np.zeros(len(weight)))
    outputs, inputs = len(weight) // layer.attributes["group"], weight.shape[1]
    return {
        (oy, ox, o): float(bias[o])
        + sum(
            x[iy, ix, o // outputs * inputs + i] * weight[o, i, ky, kx]
            for ky, kx, iy, ix in inside
            for i in range(inputs)
        )
        for oy, ox, inside in windows(layer, x, weight.shape[2:])
        for o in range(len(weight))
    }


def oracle_batchnorm(layer, x):
    gamma, beta, mean, var = (layer.constants[n].astype(float) for n in ("gamma", "beta", "mean", "var"))
    epsilon = layer.attributes["epsilon"]
    return {i: (v - mean[i[-1]]) / math.sqrt(var[i[-1]] + epsilon) * gamma[i[-1]] + beta[i[-1]] for i, v in x.items()}


def oracle_relu(layer, x):
    return {index: min(max(value, 0.0), layer.attributes.get("max", math.inf)) for index, value in x.items()}


def oracle_add(layer, x, y):
    return {index: x[index] + y[index] for index in x}


def oracle_mul(layer, x, y):
    pixel = extent(y)[:2] == (1, 1) if len(extent(y)) == 3 else False
    return {index: value * y[(0, 0, index[2]) if pixel else index] for index, value in x.items()}


def oracle_gather_channels(layer, x):
    order = layer.constants["order"].astype(int).tolist()
    places = {index[:-1] for index in x}
    return {(*place, c): x[(*place, source)] for place in places for c, source in enumerate(order)}


def oracle_activation(layer, x):
    attributes, slopes = layer.attributes, layer.constants.get("slope")
    functions = {
        "prelu": lambda v, c: v if v >= 0 else v * float(slopes[c]),
        "clip": lambda v, c: min(max(v, attributes["low"]), attributes["high"]),
        "elu": lambda v, c: v if v >= 0 else attributes["alpha"] * (math.exp(v) - 1),
        "sigmoid": lambda v, c: 1 / (1 + math.exp(-v)),
        "silu": lambda v, c: v / (1 + math.exp(-v)),
        "tanh": lambda v, c: math.tanh(v),
        "hard_sigmoid": lambda v, c: min(max(attributes["alpha"] * v + attributes["beta"], 0), 1),
        "hard_swish": lambda v, c: v * min(max(v + 3, 0), 6) / 6,
        "erf": lambda v, c: math.erf(v),
        "softplus": lambda v, c: math.log1p(math.exp(v)),
        "mish": lambda v, c: v * math.tanh(math.log1p(math.exp(v))),
        "gelu": lambda v, c: v * (1 + (
            math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)) if attributes["tanh"] else math.erf(v / 2**0.5)
        )) / 2,
    }  # fmt: skip
    return {index: functions[layer.op](value, index[-1]) for index, value in x.items()}


def oracle_concat(layer, *xs):
    joined, first = {}, 0
    for x in xs:
        joined.update({(*index[:-1], first + index[-1]): value for index, value in x.items()})
        first += extent(x)[-1]
    return joined


def oracle_pool(layer, x, reduce):
    kernel, ceil_mode = layer.attributes["kernel_shape"], layer.attributes["ceil_mode"]
    return {
        (oy, ox, c): reduce([x[iy, ix, c] for _, _, iy, ix in inside])
        for oy, ox, inside in windows(layer, x, kernel, ceil_mode)
        for c in range(extent(x)[2])
    }


def oracle_maxpool(layer, x):
    return oracle_pool(layer, x, max)


def oracle_avgpool(layer, x):
    return oracle_pool(layer, x, lambda values: sum(values) / len(values))


def oracle_global_avgpool(layer, x):
    height, width, channels = extent(x)
    pixels = list(itertools.product(range(height), range(width)))
    return {(0, 0, c): sum(x[y, z, c] for y, z in pixels) / len(pixels) for c in range(channels)}


def oracle_pad_channels(layer, x):
    height, width, channels = extent(x)
    before, after = layer.attributes["before"], layer.attributes["after"]
    every = itertools.product(range(height), range(width), range(before + channels + after))
    return {(y, z, c): x.get((y, z, c - before), 0.0) for y, z, c in every}


def oracle_flatten(layer, x):
    if len(next(iter(x))) == 1:
        return x
    height, width, _ = extent(x)
    return {((c * height + y) * width + z,): value for (y, z, c), value in x.items()}


def oracle_fc(layer, x):
    flat, weight = oracle_flatten(layer, x), layer.constants["weight"].astype(float)
    bias = layer.constants.get("bias", np.zeros(len(weight)))
    return {
        (o,): float(bias[o]) + sum(value * weight[o, k] for (k,), value in flat.items()) for o in range(len(weight))
    }


# ---- properties


def images_for(network, count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape), np.uint8)


def observed(network, images):
    tensors = {}
    logits = forward(network, images, lambda layer, tensor: tensors.update({layer.name: tensor.copy()}))
    return logits, tensors


def assert_is_oracle(network, images):
    """Every layer of every image is what the loops give, but for float32."""
    logits, tensors = observed(network, images)
    assert list(tensors) == [layer.name for layer in network.layers]
    assert logits.dtype == np.float32
    assert logits.shape == (len(images), network.classes)
    for n, image in enumerate(images):
        for name, expected in oracle(network, image).items():
            found = tensors[name][n]
            assert found.dtype == np.float32
            assert found.shape == extent(expected) == shapes(network)[name], name
            wanted = np.array([expected[index] for index in np.ndindex(found.shape)]).reshape(found.shape)
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * (1 + abs(wanted).max()), err_msg=name)


@pytest.mark.parametrize("network", [every_op(), gated()], ids=["every_op", "gated"])
def test_every_op_is_the_oracle(network):
    assert_is_oracle(network, images_for(network, 2))


@given(float_networks.networks(), st.integers(0, 99))
def test_random_networks_are_the_oracle(network, seed):
    assert_is_oracle(network, images_for(network, 1, seed))


@pytest.mark.parametrize("group", [1, 2, 3, 6])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_convolutions_by_group_are_those_of_plain_loops(group, kernel, strides):
    rng = np.random.default_rng(group)
    spread = layer(1, "conv", ["000_input"], {"weight": floats(rng, 6, 3, 1, 1)}, **plain(group=1))
    weight = floats(rng, 12, 6 // group, *kernel)
    tested = layer(2, "conv", ["001_conv"], {"weight": weight}, strides=strides, pads=(2, 0, 1, 3), group=group)
    pooled = layer(3, "global_avgpool", ["002_conv"])
    network = rgb((spread, tested, pooled), (6, 7, 3), 12)
    assert_is_oracle(network, images_for(network, 1))


@pytest.mark.parametrize("op", ["maxpool", "avgpool"])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("size", range(3, 9))
def test_pools_at_every_size(op, ceil_mode, size):
    window = {"kernel_shape": (3, 2), "strides": (2, 3), "pads": (1, 0, 2, 1), "ceil_mode": ceil_mode}
    network = rgb((layer(1, op, ["000_input"], **window), layer(2, "global_avgpool", [f"001_{op}"])), (size, 9, 3), 3)
    assert_is_oracle(network, images_for(network, 1))


def test_padding_never_wins_a_maximum():
    """All pixels are negative: zeros of a padding would win."""
    window = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": False}
    layers = (layer(1, "maxpool", ["000_input"], **window), layer(2, "global_avgpool", ["001_maxpool"]))
    network = rgb(layers, (2, 2, 3), 3, mean=(100.0,) * 3)
    _, tensors = observed(network, np.full((1, 2, 2, 3), 7, np.uint8))
    assert (tensors["001_maxpool"] == -93).all()


def plain(**changes):
    return {"strides": (1, 1), "pads": (0, 0, 0, 0), **changes}


def rgb(layers, input_shape, classes, mean=(0.0,) * 3, std=(1.0,) * 3, channels="RGB"):
    return FloatNetwork("n", input_shape, classes, mean, std, channels, (layer(0, "input"), *layers))


def test_normalise_flips_for_bgr_and_mean_is_in_the_networks_order():
    pixels = np.array([[[[10, 20, 40]]]], np.uint8)
    for channels, expected in (("RGB", [9, 9, 9.25]), ("BGR", [39, 9, 1.75])):
        pool = (layer(1, "global_avgpool", ["000_input"]),)
        network = rgb(pool, (1, 1, 3), 3, (1.0, 2.0, 3.0), (1.0, 2.0, 4.0), channels)
        assert normalise(network, pixels).tolist() == [[[expected]]]
        assert forward(network, pixels).tolist() == [expected]


def test_an_image_does_not_see_its_neighbours(monkeypatch):
    network = every_op()
    images = images_for(network, 9)
    whole = forward(network, images)
    alone = np.concatenate([forward(network, image[None]) for image in images])
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(runner, "BLOCK_BYTES", 20_000)  # blocks of a few images instead of one block
    np.testing.assert_allclose(forward(network, images), whole, rtol=1e-4, atol=1e-4)


def test_no_images_no_logits():
    assert forward(every_op(), images_for(every_op(), 0)).shape == (0, 5)


@pytest.mark.parametrize(
    "images", [np.zeros((1, 7, 6, 3)), np.zeros((7, 6, 3), np.uint8), np.zeros((1, 6, 7, 3), np.uint8)]
)
def test_images_that_do_not_fit(images):
    with pytest.raises(NetworkError, match=r"network 'every_op' needs uint8 \(N, 7, 6, 3\)"):
        forward(every_op(), images)


def test_images_are_left_alone_and_tensors_are_not_changed_later():
    """Each tensor that an observer saw is the same at the end of the run."""
    network = every_op()
    images = images_for(network, 2)
    before = images.copy()
    seen = []
    forward(network, images, lambda layer, tensor: seen.append((layer.name, tensor, tensor.copy())))
    np.testing.assert_array_equal(images, before)
    for name, tensor, copy in seen:
        np.testing.assert_array_equal(tensor, copy, err_msg=name)


def test_tensors_are_freed_after_their_last_use():
    network = every_op()
    alive, most = [], {}
    gc.freeze()  # what other tests left is not looked through each time

    def count(layer, tensor):
        gc.collect()
        alive.append((layer.name, weakref.ref(tensor)))
        most[layer.name] = {name for name, reference in alive if reference() is not None}

    forward(network, images_for(network, 2), count)
    gc.unfreeze()
    assert most["004_conv"] == {"003_relu", "004_conv"}
    assert most["006_conv"] == {"003_relu", "005_add", "006_conv"}
    assert most["009_pad_channels"] == {"008_maxpool", "009_pad_channels"}


def test_overflow_is_refused_by_name():
    huge = np.full((3, 3, 1, 1), 3e38, np.float32)
    layers = (
        layer(1, "conv", ["000_input"], {"weight": huge}, **plain(group=1)),
        layer(2, "global_avgpool", ["001_conv"]),
    )
    network = rgb(layers, (1, 1, 3), 3)
    with pytest.raises(NetworkError, match=r"layer '001_conv' \(conv\) gives NaN or infinity"):
        forward(network, np.full((1, 1, 1, 3), 255, np.uint8))


# ---- real networks


@pytest.mark.parametrize(
    ("network", "images", "limit", "right"),
    [
        ("resnet8_mlperf_tiny_cifar10", "cifar10-test-1017", None, 895),
        ("cnn_ccexam_mnist", "mnist-test", 1000, 988),
    ],
)
def test_real_networks_reach_their_known_counts(network, images, limit, right):
    if not DATA.is_dir():
        pytest.skip(f"no real networks: there is no folder {DATA.name} in shared/ beside the repository")
    model = read_float_network(DATA / f"{network}.h5")
    with open_images(DATA / f"{images}.h5") as opened:
        batches = opened.batches(100, limit)
        found = sum(int((forward(model, x).argmax(axis=1) == labels).sum()) for _, x, labels in batches)
    assert found == right

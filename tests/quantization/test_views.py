"""Further images and views of them: what they show, when a layer gets them, and that they run as images do."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import floats, layer
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.run import run
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization import calibration_set, reconstruct, views
from refengine.quantization import quantize as quantizer
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import MOST_VIEWS, Scheme
from refengine.quantization.views import view, views_needed

SIDE = 64
QUICK = Scheme(weights="int4")


def network(side=SIDE, outputs=8):
    """input -> conv of stride 8 -> relu -> conv -> relu -> add of the first relu -> global pool -> fc."""
    rng = np.random.default_rng(3)
    wide = {"strides": (8, 8), "pads": (0, 0, 0, 0), "group": 1}
    same = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    layers = (
        layer(0, "input"),
        layer(
            1, "conv", ["000_input"], {"weight": floats(rng, outputs, 1, 8, 8), "bias": floats(rng, outputs)}, **wide
        ),
        layer(2, "relu", ["001_conv"]),
        layer(3, "conv", ["002_relu"], {"weight": floats(rng, outputs, outputs, 3, 3)}, **same),
        layer(4, "relu", ["003_conv"]),
        layer(5, "add", ["004_relu", "002_relu"]),
        layer(6, "global_avgpool", ["005_add"]),
        layer(7, "fc", ["006_global_avgpool"], {"weight": floats(rng, 4, outputs), "bias": floats(rng, 4)}),
    )
    return FloatNetwork("views", (side, side, 1), 4, (128.0,), (64.0,), "gray", layers)


def pixels(count, side=SIDE):
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 1)).astype(np.uint8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, MOST_VIEWS - 1))
def test_every_pixel_of_a_view_is_the_one_that_the_definition_names(height, width, number):
    image = np.arange(height * width, dtype=np.int64).reshape(1, height, width, 1).astype(np.uint8)
    sign, mirrored = (-1 if number % 2 else 1) * (number >= 2), number % 2
    wanted = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            row = min(max(y + sign * (height // 16), 0), height - 1)
            column = min(max(x - sign * (width // 16), 0), width - 1)
            wanted[0, y, x, 0] = image[0, row, width - 1 - column if mirrored else column, 0]
    assert np.array_equal(view(image, number), wanted)


def test_there_is_no_fifth_view():
    with pytest.raises(ValueError, match="views 0 to 3, found 4"):
        view(pixels(1), 4)


@given(st.integers(1, 5000), st.integers(1, 10**6))
def test_as_few_views_as_give_16_windows_a_tap(taps, windows):
    needed = views_needed(windows, taps)
    assert needed * windows >= 16 * taps
    assert needed == 1 or (needed - 1) * windows < 16 * taps


def walked(monkeypatch, images, scheme):
    """The walk before each group of a quantization, and the model that is made."""
    seen = {}

    def recording(walk, group, layers):
        seen[group.core.name] = wider = views.with_views(walk, group, layers)
        return wider

    monkeypatch.setattr(quantizer, "with_views", recording)
    return seen, quantize(network(images.shape[1]), images, scheme, threads=2)


@pytest.mark.parametrize("exponents", ["mse", "dynamic"])
def test_views_run_through_the_finished_layers_as_images_do(monkeypatch, exponents):
    """8 images give 512 windows, 8 for each of 64 taps, then 7 for each of 72; the fc has 8 for 8 taps."""
    images = pixels(8)
    seen, model = walked(monkeypatch, images, replace(QUICK, exponents=exponents))
    assert [seen[name].views for name in ("001_conv", "003_conv", "007_fc")] == [2, 3, 4]
    assert model.made_with["views_seen"] == "4"
    everything = np.concatenate([view(images, number) for number in range(4)])
    values, sums = {}, {}
    run(model, everything, observe=lambda layer, operands, result: values.update({layer.name: result.values}))
    forward(network(), everything, lambda layer, tensor: sums.update({layer.name: tensor.copy()}))
    for walk in seen.values():
        for name, tensor in walk.tensors.items():
            count = walk.views * len(images)
            assert np.array_equal(tensor.codes, values[tensor.layer][:count]), name
            assert np.allclose(walk.float_side.output(name), sums[name][:count], atol=1e-5), name


@pytest.mark.parametrize(("side", "wanted"), [(SIDE, [64.0, 64.0, 8.0]), (56, [392.0, 392.0, 8.0])])
def test_windows_of_one_image_are_alike_where_images_are_large(monkeypatch, side, wanted):
    """64 windows of each of 8 large images count as 64, 49 of each of 8 small ones as 392; the fc sees one an image."""
    counts, ridge = [], reconstruct.Ridge

    def recording(covariance, count):
        counts.append(count)
        return ridge(covariance, count)

    monkeypatch.setattr(reconstruct, "Ridge", recording)
    quantize(network(side), pixels(8, side), replace(QUICK, views=1))
    assert counts == wanted


def test_two_threads_give_the_codes_of_one():
    images = pixels(8)
    assert quantize(network(), images, QUICK, threads=1).hash == quantize(network(), images, QUICK, threads=2).hash


@pytest.mark.parametrize(
    ("scheme", "side", "count"),
    [
        (replace(QUICK, views=1), SIDE, 8),
        (replace(QUICK, method="optimal"), SIDE, 8),
        (QUICK, 56, 8),
        (QUICK, SIDE, 128),
    ],
    ids=["one view wanted", "weights by themselves", "small images", "windows enough"],
)
def test_images_stay_alone(monkeypatch, scheme, side, count):
    seen, model = walked(monkeypatch, pixels(count, side), scheme)
    assert {walk.views for walk in seen.values()} == {1}
    assert model.made_with["views_seen"] == "1"


def test_memory_bounds_the_views(monkeypatch):
    """The input has 4,096 numbers an image, the second convolution and what it reads 512."""
    monkeypatch.setattr(calibration_set, "MOST_NUMBERS", 4 * 4096)
    seen, _ = walked(monkeypatch, pixels(14), QUICK)
    assert [(walk.seen, walk.views) for walk in seen.values()][1:3] == [(4, 1), (28, 2)]


@pytest.mark.parametrize("calibrated", [True, False])
def test_images_without_room_join_later(monkeypatch, calibrated):
    """Five of seven have room before the first convolution; then all have, in further views where these are of use."""
    images, scheme = pixels(7), replace(QUICK, method="calibrated" if calibrated else "optimal", reestimate=False)
    monkeypatch.setattr(calibration_set, "MOST_NUMBERS", 5 * 4096)
    seen, model = walked(monkeypatch, images, scheme)
    assert [walk.seen for walk in seen.values()] == ([5, 5, 21, 21, 21, 28] if calibrated else [5, 5, 7, 7, 7, 7])
    assert model.made_with["calibration_images"] == "7"
    in_order = images[[0, 1, 2, 4, 5, 3, 6]]
    everything = np.concatenate([view(in_order, number) for number in range(4 if calibrated else 1)])
    values = {}
    run(model, everything, observe=lambda layer, operands, result: values.update({layer.name: result.values}))
    for walk in seen.values():
        for tensor in walk.tensors.values():
            assert np.array_equal(tensor.codes, values[tensor.layer][: walk.seen])


def test_moments_are_those_of_images_that_have_room(monkeypatch):
    images, scheme = pixels(7), replace(QUICK, method="optimal", reestimate=True)
    alone = quantize(network(), images[[0, 1, 2, 4, 5]], scheme)
    monkeypatch.setattr(calibration_set, "MOST_NUMBERS", 5 * 4096)
    assert quantize(network(), images, scheme).hash == alone.hash


@given(st.integers(1, 6), st.data())
def test_samples_come_view_by_view(count, data):
    first = data.draw(st.integers(0, 4 * count - 1))
    end = data.draw(st.integers(first + 1, 4 * count))
    images = np.arange(count * 20, dtype=np.uint8).reshape(count, 4, 5, 1)
    wanted = [view(images[number % count][None], number // count)[0] for number in range(first, end)]
    assert np.array_equal(views._of_all_views(images, first, end), wanted)


def test_views_help_unseen_images():
    """The integers are nearer to the floats on images that nobody was calibrated on."""
    images, others = pixels(6), pixels(200)[6:]
    wanted = forward(network(), others)

    def lost(scheme):
        model = quantize(network(), images, scheme)
        logits = run(model, others) * 2.0 ** model.layers[-1].exponent
        return ((logits - wanted) ** 2).mean()

    assert lost(replace(QUICK, weights="ternary", cluster=8)) < lost(
        replace(QUICK, weights="ternary", cluster=8, views=1)
    )

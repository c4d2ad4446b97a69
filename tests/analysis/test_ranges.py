"""Accumulator ranges are what the NumPy definitions compute, and what is seen never leaves a bound."""

import io

import networks
import numpy as np
import pytest
from hypothesis import example, given

from refengine.analysis.ranges import Span, accumulator_ranges, constant_channels, figures, total_bound
from refengine.analysis.terms import accumulates
from refengine.analysis.worst_case_files import stimuli, stimulus_files
from refengine.engine.run import run
from refengine.errors import NetworkError, RangeError
from refengine.network.images import open_images, write_images
from refengine.numbers.formats import signed_bits
from refengine.ops import OPS


def seen(network, images, first_image=0):
    """By layer: ends of whole sums and of totals, in plain integers; values, saturations and overflows."""
    found = {}

    def observe(layer, operands, result):
        if not accumulates(layer):
            return
        sums = OPS[layer.op].reference(*operands, **layer.arguments)
        totals = None
        if layer.requantize is not None:
            step, index = layer.requantize, np.ndindex(*sums.shape)
            totals = [
                int(result.accumulator[n]) * int(step.multiplier[n[-1] % len(step.multiplier)])
                + (
                    0
                    if result.residual is None
                    else int(result.residual[n]) << int(step.residual_shift[n[-1] % len(step.residual_shift)])
                )
                for n in index
            ]
        found[layer.name] = (
            (int(sums.min()), int(sums.max())),
            None if totals is None else (min(totals), max(totals)),
            (sums.size, *result.saturated, result.overflowed),
        )

    run(network, images, "reference", observe, first_image)
    return found


@given(networks.int_networks(steps=4))
@example(networks.every_op())
def test_it_books_what_the_definitions_compute(network):
    images = networks.random_images(network, 3)
    wanted = seen(network, images, 2)
    entries = accumulator_ranges(network, images, backend="reference", first_image=2, threads=2)
    assert [entry.layer for entry in entries] == [*wanted]
    for entry in entries:
        total = None if entry.total is None else (entry.total.lo, entry.total.hi)
        assert ((entry.sums.lo, entry.sums.hi), total, tuple(vars(entry.events).values())) == wanted[entry.layer]
        assert entry.bound.lo <= entry.sums.lo <= entry.sums.hi <= entry.bound.hi
        if entry.total is not None:
            assert entry.total_bound.lo <= entry.total.lo <= entry.total.hi <= entry.total_bound.hi
        assert entry.headroom_seen == entry.bits - signed_bits(*wanted[entry.layer][0])
        assert entry.headroom_bound <= entry.headroom_seen


def test_neither_threads_nor_backends_change_it():
    network = networks.every_op("stochastic")
    images = networks.random_images(network, 5)
    one = accumulator_ranges(network, images, backend="reference")
    for backend, threads in (("fast", 1), ("kernels", 3), ("reference", 4)):
        assert accumulator_ranges(network, images, backend=backend, threads=threads) == one


def test_chosen_layers_and_progress():
    network, steps = networks.every_op(), []
    entries = accumulator_ranges(
        network,
        networks.random_images(network, 3),
        layers=[network.layers[1], network.layers[5]],
        backend="reference",
        progress=lambda *what: steps.append(what),
    )
    assert [entry.layer for entry in entries] == [
        layer.name for layer in (network.layers[1], network.layers[5]) if accumulates(layer)
    ]
    assert steps == [(3, 3)]


def test_a_narrow_accumulator_is_booked_by_its_whole_sum():
    """High water is where the sum went, not what the accumulator kept of it."""
    network = networks.small()
    weight = np.full((2, 2), 127, np.int8)
    fc = {**network.layers[2].constants, "weight": weight, "bias": np.array([0, 30000], np.int32)}
    for policy in ("wrap", "saturate"):
        narrow = networks.with_layer(network, "002_fc", constants=fc, accumulator_bits=16, accumulator_policy=policy)
        images = np.zeros((1, 2, 2, 1), np.uint8)
        images[0, 1, 1] = 255
        entry = accumulator_ranges(narrow, images, backend="reference")[-1]
        assert entry.sums.hi > 2**15
        assert entry.headroom_seen < 0
        assert entry.events.overflowed > 0


def test_the_bound_of_totals_is_attained_by_the_stimuli():
    network = networks.small()
    layer = network.layer("conv")
    step, found = layer.requantize, total_bound(network, layer)
    files = stimulus_files(network, layer, stimuli(network, layer))
    content = np.load(io.BytesIO(files[f"{layer.name}.npz"]))
    assert content["total"].min() >= found.lo
    assert content["total"].max() <= found.hi
    lo, hi = network.bounds[layer.name]
    assert found == Span(int((lo * step.multiplier).min()), int((hi * step.multiplier).max()))
    assert total_bound(network, network.layer("fc")) is None


def with_a_dead_channel():
    """``small`` whose second channel lies far behind a ReLU, under a bias that nearly fills INT32."""
    network = networks.small()
    conv = network.layer("conv")
    constants = {**conv.constants, "bias": np.array([10, -(2**30) - 5], np.int32)}
    step = networks.plain_requantize(multiplier=np.array([5, 1]), shift=np.array([3, 10]), activation="relu", lo=0)
    return networks.with_layer(network, "001_conv", constants=constants, requantize=step)


def test_a_constant_channel_does_not_widen_the_others():
    network = with_a_dead_channel()
    entry = accumulator_ranges(network, networks.random_images(network, 2))[1]
    lo, hi = network.bounds["001_conv"]
    assert (entry.bound.bits, entry.constant) == (32, 1)
    assert entry.varying_bound == Span(int(lo[0]), int(hi[0]))
    assert figures(entry)["varying_bound"]["bits"] == signed_bits(int(lo[0]), int(hi[0])) < 20
    assert figures(entry)["constant_channels"] == 1


def test_layers_without_constant_channels_and_with_nothing_else():
    network = networks.small()
    for entry in accumulator_ranges(network, networks.random_images(network, 2)):
        assert (entry.constant, entry.varying_bound) == (0, entry.bound)
    conv = network.layer("conv")
    zero = {name: array * 0 if name != "scale" else array for name, array in conv.constants.items()}
    entry = accumulator_ranges(
        networks.with_layer(network, "001_conv", constants=zero), networks.random_images(network, 2)
    )[1]
    assert (entry.constant, entry.varying_bound) == (2, None)
    assert figures(entry)["varying_bound"] is None


@given(networks.int_networks(steps=3))
def test_what_varies_is_held_by_the_narrower_bound(network):
    """Sums of every channel that gives two codes somewhere lie within it."""
    images = networks.random_images(network, 3)
    constant, entries = (
        constant_channels(network),
        {entry.layer: entry for entry in accumulator_ranges(network, images)},
    )

    def observe(layer, operands, result):
        codes = result.result.reshape(-1, result.result.shape[-1])
        moving = (codes != codes[0]).any(axis=0)
        assert not (moving & constant[layer.name]).any()
        if accumulates(layer) and moving.any():
            sums = OPS[layer.op].reference(*operands, **layer.arguments).reshape(-1, len(moving))[:, moving]
            span = entries[layer.name].varying_bound
            assert span.lo <= sums.min() <= sums.max() <= span.hi

    run(network, images, "reference", observe)


def test_dynamic_exponents_call_nothing_constant():
    network = networks.dynamic()
    assert not any(channels.any() for channels in constant_channels(network).values())
    for entry in accumulator_ranges(network, networks.random_images(network, 2)):
        assert entry.varying_bound == entry.bound


def test_layers_that_only_pass_codes_are_refused():
    network = networks.every_op()
    passing = [layer for layer in network.layers if not accumulates(layer)]
    assert passing
    with pytest.raises(NetworkError, match="no chosen layer accumulates"):
        accumulator_ranges(network, networks.random_images(network, 1), layers=passing)


def test_figures_are_plain():
    network = networks.small()
    entry = accumulator_ranges(network, networks.random_images(network, 2), backend="reference")[-1]
    figure = figures(entry)
    assert figure["sums"] == {"lo": entry.sums.lo, "hi": entry.sums.hi, "bits": entry.sums.bits}
    assert figure["total"] is None
    assert figure["values"] == 4


def test_images_of_another_shape_are_refused():
    with pytest.raises(RangeError, match="images are"):
        accumulator_ranges(networks.small(), np.zeros((1, 3, 3, 1), np.uint8))


def test_a_part_of_a_file_is_booked_a_batch_at_a_time(tmp_path, monkeypatch):
    """The same as its images in memory, without ever reading more than a batch at once."""
    network = networks.small()
    images = networks.random_images(network, 40)
    write_images(tmp_path / "images.h5", images, None)
    monkeypatch.setattr("refengine.analysis.observed.batch_size", lambda _: 4)
    with open_images(tmp_path / "images.h5", labels_required=False) as file:
        read, asked = file.read, []
        monkeypatch.setattr(file, "read", lambda start, stop: asked.append((start, stop)) or read(start, stop))
        found = accumulator_ranges(network, file, only=range(7, 33), first_image=7)
    assert found == accumulator_ranges(network, images[7:33], first_image=7)
    assert sorted(asked)[0][0] == 7
    assert sorted(asked)[-1][1] == 33
    assert max(stop - start for start, stop in asked) <= 4
    with pytest.raises(RangeError, match="0 images"):
        accumulator_ranges(network, images, only=range(3, 3))

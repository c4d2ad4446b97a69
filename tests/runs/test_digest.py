"""Digests: one number a layer that any change of any integer changes, and nothing else."""

import hashlib
from pathlib import Path

import networks
import numpy as np
import pytest

from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images, write_images
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.runs.digest import digests
from refengine.runs.predict import BACKENDS

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def by_the_formula(network, images):
    """The docstring of ``digests``, literally."""
    stages = {}

    def observe(layer, operands, result):
        named = [("accumulator", result.accumulator)] if result.accumulator is not None else []
        if layer.requantize is not None or result.accumulator is None:
            if network.dynamic[layer.name]:
                named.append(("exponent", (layer.exponent + result.coarser[:, None]).astype(np.int32)))
            named.append(("code", result.result))
        stages[layer.name] = named

    run(network, images, "reference", observe)
    return {name: hashlib.sha256("".join(map(line, named)).encode()).hexdigest() for name, named in stages.items()}


def line(named):
    stage, array = named
    letter = {"int32": "<i4", "uint8": "|u1", "int8": "|i1"}[array.dtype.name]
    each = [hashlib.sha256(array[n].astype(letter).tobytes()).digest() for n in range(len(array))]
    shape = "x".join(map(str, array.shape[1:]))
    return f"{stage} {letter} {shape} {len(array)} {hashlib.sha256(b''.join(each)).hexdigest()}\n"


@pytest.mark.parametrize("rounding", ["half_even", "stochastic"])
def test_digests_are_what_they_say(rounding):
    network = networks.every_op(rounding)
    images = networks.random_images(network, 5)
    found = digests(network, images)
    assert list(found) == [layer.name for layer in network.layers]
    assert found == by_the_formula(network, images)


@pytest.mark.parametrize("backend", BACKENDS)
def test_digests_tell_dynamic_exponents(backend):
    """Each image's exponent, after its accumulators and before its codes."""
    network = networks.dynamic()
    images = networks.random_images(network, 5)
    assert digests(network, images, backend, batch=2) == by_the_formula(network, images)


@pytest.mark.parametrize("rounding", ["half_up", "stochastic"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (3, 2), (64, 1), (2, 3)])
def test_neither_batch_threads_nor_backend_enter(rounding, backend, batch, threads):
    network = networks.every_op(rounding)
    images = networks.random_images(network, 8)
    assert digests(network, images, backend, batch, threads) == digests(network, images, "reference")


def test_digests_of_the_small_network_are_the_same_for_ever():
    """If this fails, a number or the recipe changed."""
    image = np.array([[[[7], [5]], [[8], [9]]]], np.uint8)
    assert digests(networks.small(), image) == PINNED


PINNED = {
    "000_input": "26eb1d2116acccc5c71d67327d3df5eb57ffdabbc0d23fcdd18a2cfb6f4925bf",
    "001_conv": "c416efae71393ae8d65775aa45e089c52247e6fb83c0f87de40689dbcb8cccef",
    "002_fc": "609700b451633f140d1c2651eefdc7ec5bfefd3f4782bef13cffa717a00191d9",
}


def test_images_in_a_file_give_the_same(tmp_path):
    network = networks.every_op()
    images = networks.random_images(network, 5)
    write_images(tmp_path / "images.h5", images, None)
    with open_images(tmp_path / "images.h5", labels_required=False) as opened:
        assert digests(network, opened, batch=2) == digests(network, images)


def test_one_integer_changes_its_layer_and_what_reads_it():
    """Another bias in the last layer changes the last digest alone; another pixel changes the first."""
    network = networks.every_op()
    images = networks.random_images(network, 3)
    last = network.layers[-1]
    bias = last.constants["bias"].copy()
    bias[0] += 1
    other = networks.with_layer(network, last.name, constants={**last.constants, "bias": bias})
    before, after = digests(network, images), digests(other, images)
    assert [name for name in before if before[name] != after[name]] == [last.name]
    images[2, 0, 0, 0] ^= 1
    assert digests(network, images)["000_input"] != before["000_input"]


def test_order_and_number_of_images_count():
    network = networks.every_op()
    images = networks.random_images(network, 4)
    first = digests(network, images)["000_input"]
    assert digests(network, images[::-1])["000_input"] != first
    assert digests(network, images[:3])["000_input"] != first


def test_the_position_in_the_run_counts_for_stochastic_rounding_alone():
    images = networks.random_images(networks.every_op(), 4)
    for rounding, alike in (("floor", True), ("stochastic", False)):
        network = networks.every_op(rounding)
        assert (digests(network, images, first_image=5) == digests(network, images)) is alike


def test_progress_is_told():
    network = networks.small()
    told = []
    digests(
        network, networks.random_images(network, 5), batch=2, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_what_cannot_be_run_is_refused():
    network = networks.small()
    with pytest.raises(RangeError, match="0 images"):
        digests(network, networks.random_images(network, 0))
    with pytest.raises(RangeError, match="the network reads uint8"):
        digests(network, np.zeros((1, 3, 3, 1), np.uint8))
    with pytest.raises(RangeError, match="backend 'gpu' is unknown"):
        digests(network, networks.random_images(network, 1), "gpu")


@pytest.mark.parametrize("weights", ["ternary", "int4"])
def test_a_real_network_gives_the_same_digests_on_every_backend(weights):
    """A ResNet-8 of the data folder, quantized here on a few images."""
    names = ("resnet8_mlperf_tiny_cifar10.h5", "cifar10-train-5085.h5", "cifar10-test-1017.h5")
    missing = [name for name in names if not (DATA / name).exists()]
    if missing:
        pytest.skip(f"real networks and images are looked for in {DATA}, there is no {missing[0]}")
    with open_images(DATA / names[1]) as calibration, open_images(DATA / names[2]) as test:
        network = quantize(
            read_float_network(DATA / names[0]), calibration.read(0, 16), Scheme(weights=weights, method="paper")
        )
        images = test.read(0, 4)
    wanted = digests(network, images, "reference", batch=3)
    assert digests(network, images, "kernels", threads=2) == wanted
    assert digests(network, images, "fast", threads=2) == wanted

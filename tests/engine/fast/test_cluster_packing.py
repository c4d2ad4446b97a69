"""Chains: every product once and under its scale, sums that stay in 16 bits, and who is left to the dense tile."""

from dataclasses import replace

import networks
import numpy as np
import pytest
from kernels_rows import Row, compiled, name_of, sums_of

from refengine.engine.fast.cluster_packing import chains_of, fits, packed_clusters
from refengine.kernels.fast import step
from refengine.kernels.fast.cluster_tile import CROSSED, TOP, ClusterTile, CrossedTile
from refengine.kernels.instruction_sets import TARGETS, runnable
from refengine.ops.conv import clusters_of, integer_weights, reference

BY_NAME = {target.name: target for target in TARGETS}
GEOMETRIES = [
    # outputs, inputs, kernel, cluster, stored
    (40, 32, (1, 1), 4, 32),
    (33, 20, (1, 1), 4, 32),
    (20, 40, (1, 1), 16, 48),
    (20, 24, (3, 3), 4, 32),
    (20, 22, (2, 3), 8, 32),
    (20, 30, (3, 3), 64, 32),
    (16, 3, (7, 7), 4, 4),
]


def conv(outputs, inputs, kernel, cluster, codes=(-7, 8), scales=(60, 128), group=1):
    rng = np.random.default_rng(outputs * inputs + cluster)
    layer = networks.small().layers[1]
    constants = {
        "weight": rng.integers(*codes, (outputs, inputs, *kernel)).astype(np.int8),
        "scale": rng.integers(*scales, (outputs, clusters_of(inputs, cluster))).astype(np.int8),
        "bias": np.zeros(outputs, np.int32),
    }
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": group, "cluster": cluster}
    return replace(layer, op="conv", constants=constants, attributes=attributes)


def constant(layer, code, scale):
    """The layer with all codes and all scales alike."""
    weight, scales = (np.full_like(layer.constants[name], v) for name, v in (("weight", code), ("scale", scale)))
    return replace(layer, constants={**layer.constants, "weight": weight, "scale": scales})


@pytest.mark.parametrize("name", ["avx512vnni", "avx2"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_panels_and_offsets_are_the_weights(geometry, name):
    """Codes times the factors of their words, put back where the offsets point, are the integer weights."""
    *shape, stored = geometry
    layer, target = conv(*shape), BY_NAME[name]
    outputs, inputs, (kernel_h, kernel_w), cluster = shape
    row_bytes, width = 10 * stored, 16
    chains = chains_of(layer, stored, target)
    assert chains.crossed == (kernel_h * kernel_w == 1 and cluster == 4)
    count = -(-outputs // width)
    panels = packed_clusters(layer, chains, target, 0, width, count)
    factors = np.ascontiguousarray(panels[:, :, 0]).view(np.int16).transpose(0, 2, 1, 3).reshape(count * width, -1, 2)
    codes = panels[:, :, 1:].transpose(0, 3, 1, 2, 4).reshape(count * width, *chains.places.shape[:2], -1)
    offsets = chains.offsets(kernel_w, stored, row_bytes)
    order = np.array(CROSSED) if chains.crossed else np.arange(4)
    window = np.zeros((count * width, kernel_h * row_bytes), np.int64)
    for chain, place, byte in np.ndindex(*codes.shape[1:]):
        word = byte % 4 // 2 if chains.crossed or target.pairs else 0
        products = codes[:, chain, place, byte].astype(np.int64) * factors[:, chain, word]
        window[:, offsets[chain, place] + order[byte]] += products
    found = window.reshape(-1, kernel_h, row_bytes)[..., : kernel_w * stored].reshape(-1, kernel_h, kernel_w, stored)
    wanted = integer_weights(layer.constants["weight"], layer.constants["scale"], cluster).transpose(0, 2, 3, 1)
    assert np.array_equal(found[:outputs, ..., :inputs], wanted)
    assert np.abs(found).sum() == np.abs(wanted).sum() == np.abs(window).sum()


@pytest.mark.parametrize("target", [target for target in runnable() if target.cluster_tiles], ids=name_of)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_tiles_over_packed_clusters_are_a_convolution(geometry, target):
    *shape, stored = geometry
    layer, pixels = conv(*shape), 11
    outputs, inputs, (kernel_h, kernel_w), _ = shape
    chains, width = chains_of(layer, stored, target), target.cluster_widths[0]
    count, across = -(-outputs // width), kernel_w + pixels - 1
    image = np.random.default_rng(outputs).choice([0, 1, 254, 255], (1, kernel_h, across + 2, stored)).astype(np.uint8)
    offsets = chains.offsets(kernel_w, stored, image[0, 0].size)
    panels = packed_clusters(layer, chains, target, 0, width, count)
    row = Row(
        {
            step.IMAGES: image,
            step.STARTS: (stored * np.arange(pixels)).astype(np.int32),
            step.TAPS: offsets.shape[0],
            step.LENGTH: offsets.shape[1],
            step.OFFSETS: offsets,
            step.PANELS: panels,
            step.PANEL_BYTES: panels[0].size,
            step.WIDTH: width,
            step.INITIAL: np.zeros(count * width, np.int32),
        }
    )
    call = compiled(
        target, *(target.crossed_tiles, CrossedTile) if chains.crossed else (target.cluster_tiles, ClusterTile)
    )
    found = np.concatenate([sums_of(call, row, 0, pixels, panel) for panel in range(count)], axis=1)
    wanted = reference(image[:, :, :across, :inputs], **layer.arguments)
    assert np.array_equal(found[:, :outputs], wanted[0, 0])
    assert not found[:, outputs:].any()


def test_panels_begin_where_they_are_asked_to():
    layer, target = conv(48, 32, (1, 1), 16), BY_NAME["avx512vnni"]
    chains = chains_of(layer, 32, target)
    whole = packed_clusters(layer, chains, target, 0, 16, 3)
    assert np.array_equal(packed_clusters(layer, chains, target, 16, 16, 2), whole[1:])


@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni", "avx512", "avx2"])
@pytest.mark.parametrize("code", [1, 7, -7])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_no_word_of_a_chain_leaves_its_bits(geometry, code, name):
    *shape, stored = geometry
    target = BY_NAME[name]
    layer = constant(conv(*shape), code, 127)
    chains = chains_of(layer, stored, target)
    if chains is None:
        assert not target.pairs
        return
    codes = packed_clusters(layer, chains, target, 0, 16, 1)[:, :, 1:].astype(int)
    words = 2 if chains.crossed or target.pairs else 1
    codes = codes.reshape(*codes.shape[:-1], words, 4 // words)
    assert np.abs(codes.sum(axis=(2, 5))).max() <= TOP


@pytest.mark.parametrize(
    ("layer", "stored", "with_dot", "with_pairs"),
    [
        (conv(16, 32, (1, 1), 4), 32, True, True),
        (conv(16, 32, (1, 1), 16), 32, True, True),
        (conv(16, 32, (3, 3), 4), 32, True, True),
        (conv(16, 32, (3, 3), 4, codes=(-1, 2)), 32, False, True),
        (conv(16, 32, (3, 3), 4, scales=(0, 19)), 32, False, True),
        (conv(16, 32, (3, 3), 32, codes=(-127, 128), scales=(1, 2)), 32, False, False),
        (conv(16, 32, (3, 3), 6), 32, False, False),
        (conv(16, 16, (3, 3), 4, group=2), 32, False, False),
        (conv(16, 3, (1, 1), 4), 4, True, True),
    ],
)
def test_clusters_are_kept_apart_where_that_is_faster(layer, stored, with_dot, with_pairs):
    assert fits(layer, stored, BY_NAME["avx512vnni"]) == fits(layer, stored, BY_NAME["avxvnni"]) == with_dot
    assert fits(layer, stored, BY_NAME["avx2"]) == with_pairs
    assert not fits(layer, stored, BY_NAME["generic"])


def test_an_operator_without_a_kernel_is_left_alone():
    layer = conv(16, 32, (1, 1), 4)
    assert not fits(replace(layer, op="fc"), 32, BY_NAME["avx2"])

"""Cluster tiles of every instruction set here: sums equal NumPy's, at the ends of what 16 bits hold too."""

import numpy as np
import pytest
from kernels_rows import EXTREMES, UNTOUCHED, Row, aligned, compiled, finish_table, name_of, sums_of, wrapped

from refengine.kernels.fast import step
from refengine.kernels.fast.cluster_tile import CROSSED, TOP, ClusterTile, CrossedTile
from refengine.kernels.instruction_sets import runnable

WITH_TILES = [target for target in runnable() if target.cluster_tiles]
WITHOUT = [target for target in runnable() if not target.cluster_tiles]
SHAPES = pytest.mark.parametrize(
    ("target", "shape"), [(target, shape) for target in WITH_TILES for shape in target.cluster_tiles], ids=name_of
)
TILES = pytest.mark.parametrize("tile", [ClusterTile, CrossedTile], ids=name_of)
PIXELS = 36
FIRST_CHANNEL = 16
MIDDLE = 300


def packed(target, tile, scales, codes):
    """scales (panels, chains, 2 or 1, width), codes (panels, chains, places, bytes, width) -> int8 (panels, bytes)."""
    panels, chains, places, size, width = codes.shape
    if tile is CrossedTile:
        codes = codes[:, :, :, CROSSED]
    factors = np.zeros((panels, chains, width, 2), np.int16)
    factors[..., 0] = scales[:, :, 0]
    if tile is CrossedTile:
        factors[..., 1] = scales[:, :, 1]
    elif target.pairs:
        factors[..., 1] = scales[:, :, 0]
    fours = codes.reshape(panels, chains, places * size // 4, 4, width).transpose(0, 1, 2, 4, 3)
    return np.concatenate([factors.view(np.int8)[:, :, None], fours], axis=2).reshape(panels, -1)


class Layer:
    """A step and what it should compute; scales and codes as for ``packed``, initial int32 (STORED)."""

    def __init__(self, target, tile, image, starts, offsets, scales, codes, initial=None):
        self.target, self.tile, self.image = target, tile, aligned(image)
        self.starts, self.offsets, self.scales, self.codes = starts, offsets, scales, codes
        panels, width = len(codes), codes.shape[-1]
        stored = FIRST_CHANNEL + panels * width + 16
        self.initial = np.zeros(stored, np.int32) if initial is None else initial
        weights = packed(target, tile, scales, codes)
        self.fields = {
            step.IMAGES: self.image.ctypes.data + MIDDLE,
            step.STARTS: starts.astype(np.int32),
            step.TAPS: offsets.shape[0],
            step.LENGTH: offsets.shape[1],
            step.OFFSETS: offsets.astype(np.int32),
            step.PANELS: weights,
            step.PANEL_BYTES: weights.shape[1],
            step.WIDTH: width,
            step.CHANNEL: FIRST_CHANNEL,
            step.INITIAL: self.initial,
            step.STORED: stored,
        }

    def call(self):
        crossed = self.tile is CrossedTile
        return compiled(self.target, self.target.crossed_tiles if crossed else self.target.cluster_tiles, self.tile)

    def wanted(self, first, end, panel):
        """The formula, in 64 bits: a chain's bytes belong to one scale or, half by half, to two."""
        scales, codes = self.scales[panel].astype(np.int64), self.codes[panel].astype(np.int64)
        chains, places, size, width = codes.shape
        where = MIDDLE + self.starts[first:end, None, None, None] + self.offsets[:, :, None] + np.arange(size)
        halves = self.image[where].reshape(end - first, chains, places, scales.shape[1], -1).astype(np.int64)
        shares = codes.reshape(chains, places, scales.shape[1], -1, width)
        channel = FIRST_CHANNEL + panel * width
        return self.initial[channel : channel + width] + np.einsum("icphk,cphko,cho->io", halves, shares, scales)


def agree(layer, counts):
    row = Row(layer.fields)
    for count in counts:
        first, panel = count % 6, count % len(layer.codes)
        found = sums_of(layer.call(), row, first, first + count, panel, gap=count % 3)
        assert np.array_equal(found, wrapped(layer.wanted(first, first + count, panel))), count
    return True


def size_of(tile):
    """Bytes of a place."""
    return 8 if tile is CrossedTile else 4


def random_layer(target, shape, tile, panels=3, chains=5):
    rng = np.random.default_rng(target.lanes * shape[1])
    width, size, crossed = shape[1] * target.lanes, size_of(tile), tile is CrossedTile
    places = 1 if crossed else 3
    return Layer(
        target,
        tile,
        rng.choice(EXTREMES, 900).astype(np.uint8),
        rng.integers(-200, 200, PIXELS),
        rng.integers(-90, 190, (chains, places)),
        rng.integers(0, 128, (panels, chains, 2 if crossed else 1, width)),
        rng.integers(-7, 8, (panels, chains, places, size, width)).astype(np.int8),
        rng.integers(-(2**31), 2**31, FIRST_CHANNEL + panels * width + 16).astype(np.int32),
    )


@TILES
@SHAPES
def test_tiles_add_scaled_clusters(target, shape, tile):
    """Any number of pixels, wherever they begin, in any panel; initial values are anything, and sums wrap."""
    assert agree(random_layer(target, shape, tile), range(1, 31))


@TILES
@SHAPES
def test_clusters_become_codes_in_the_same_block(target, shape, tile):
    layer = random_layer(target, shape, tile, panels=1)
    layer.initial[:] = 0
    stored = layer.fields[step.STORED]
    codes = np.full((PIXELS, stored), UNTOUCHED, np.uint8)
    row = Row(
        layer.fields
        | {
            step.INITIAL: layer.initial,
            step.TABLE: finish_table(np.full(stored, 2**14), 23, zero=128),
            step.CODES: codes.ctypes.data,
            step.CODE_STARTS: (stored * np.arange(PIXELS)).astype(np.int32),
            step.HI: 255,
        }
    )
    layer.call()(row.address, 0, PIXELS, 0, 0, 0)
    width = layer.fields[step.WIDTH]
    wanted = np.clip(((layer.wanted(0, PIXELS, 0) + (1 << 8)) >> 9) + 128, 0, 255)
    assert np.array_equal(codes[:, FIRST_CHANNEL : FIRST_CHANNEL + width], wanted)
    codes[:, FIRST_CHANNEL : FIRST_CHANNEL + width] = UNTOUCHED
    assert (codes == UNTOUCHED).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("code", [1, 7])
@SHAPES
def test_the_longest_chains_of_the_largest_numbers(target, shape, code, sign):
    """All activations 255, all codes alike, all scales 127, chains as long as TOP allows."""
    width, chains, places = shape[1] * target.lanes, 3, TOP // (code * (2 if target.pairs else 4))
    offsets = np.broadcast_to(4 * np.arange(places), (chains, places))
    scales = np.full((1, chains, 1, width), 127)
    codes = np.full((1, chains, places, 4, width), sign * code, np.int8)
    image = np.full(MIDDLE + 4 * places + 8, 255, np.uint8)
    assert agree(Layer(target, ClusterTile, image, np.zeros(PIXELS, int), offsets, scales, codes), [11, 30])


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("code", [1, 7, TOP // 4])
@SHAPES
def test_neither_of_two_crossed_clusters_reaches_the_other(target, shape, code, signs):
    width, chains = shape[1] * target.lanes, 2
    scales = np.stack([np.full((1, chains, width), 127), np.full((1, chains, width), 126)], axis=2)
    codes = np.full((1, chains, 1, 8, width), code, np.int8)
    codes[..., :4, :] *= signs[0]
    codes[..., 4:, :] *= signs[1]
    image, offsets = np.full(MIDDLE + 100, 255, np.uint8), np.array([[0], [8]])
    assert agree(Layer(target, CrossedTile, image, np.arange(PIXELS), offsets, scales, codes), [11, 30])


@TILES
@SHAPES
def test_every_code_stands_in_its_place(target, shape, tile):
    """One code at a time, powers of two as activations."""
    width, size = shape[1] * target.lanes, size_of(tile)
    image = np.zeros(MIDDLE + 8, np.uint8)
    image[MIDDLE:] = 1 << np.arange(8)
    offsets = np.arange(0, 8, size)[:, None]
    scales = np.arange(1, 1 + 8 // size * (size // 4) * width).reshape(1, 8 // size, size // 4, width) % 127
    codes = np.zeros((1, len(offsets), 1, size, width), np.int8)
    for lane in range(width):
        codes[..., lane % size, lane] = 1
    assert agree(Layer(target, tile, image, np.zeros(PIXELS, int), offsets, scales, codes), [1, 11])


@SHAPES
def test_many_chains_wrap_as_32_bits_do(target, shape):
    """Beyond what 32 bits hold: the totals are the only sums that may."""
    width, chains, places = shape[1] * target.lanes, 600, TOP // 28
    scales = np.full((1, chains, 1, width), 127)
    codes = np.full((1, chains, places, 4, width), 7, np.int8)
    layer = Layer(
        target,
        ClusterTile,
        np.full(MIDDLE + 100, 255, np.uint8),
        np.zeros(PIXELS, int),
        np.zeros((chains, places), int),
        scales,
        codes,
    )
    assert layer.wanted(0, 1, 0).max() > 2**31
    assert agree(layer, [11])


@TILES
@pytest.mark.parametrize("target", WITHOUT, ids=name_of)
def test_a_target_without_cluster_tiles_has_a_block_that_does_nothing(target, tile):
    codes = np.full((PIXELS, 256), UNTOUCHED, np.uint8)
    layer = random_layer(target, target.tiles[0], tile)
    starts = np.zeros(PIXELS, np.int32)
    row = Row(layer.fields | {step.TABLE: 1, step.CODES: codes.ctypes.data, step.CODE_STARTS: starts})
    assert (sums_of(layer.call(), row, 0, 20, 0) == UNTOUCHED).all()
    assert (codes == UNTOUCHED).all()

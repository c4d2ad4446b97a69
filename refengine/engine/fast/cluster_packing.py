"""Which convolutions keep their clusters apart, and what ``kernels/fast/cluster_tile.py`` reads of them.

Codes are cut into chains, which the tile multiplies by a scale each.  A chain is a whole cluster if its sums surely fit
16 bits: the codes themselves are looked at, and activations are taken to be anything from 0 to 255.  Where they do not
fit, clusters are cut into two chains, or three, and so on, all of one length, filled up with codes 0.

What it costs is counted in dot products, each of which takes 4 bytes of a pixel:

    straight    every place 1, every chain 1 more        1x1: N=4  2.0, N=8 1.5, N=16 1.25; 3x3: N=4  1.11, N=16 1.08
    crossed     3 for two clusters                       1x1: N=4  1.5
    limbs       every place 1, for each limb             2.0 where a product of scale and code exceeds 8 bits, else 1.0

These are also the times that were measured, as multiples of the dense tile's with one limb: within 3 % on 16 lanes and
within 10 % on 8.  Crossed is for 1x1 kernels with clusters of 4.  Where an instruction set adds pairs, the
dense tile multiplies words, half as many at a time, whatever the weights: its places cost 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...kernels.fast.cluster_tile import CROSSED, TOP
from ...kernels.instruction_sets import Target
from ...network.int_network import IntLayer
from ...numbers.formats import INT8_WEIGHT
from ...ops.conv import clusters_of, integer_weights
from .buffers import VECTOR

_BYTES = 4
_PAIR = 8
_CHAIN_COST = 1
_WORDS_COST = 2


@dataclass(frozen=True, eq=False)
class Chains:
    """How a layer's codes are cut: ``places`` int64 (chains, places, 2), each a tap and the first of its channels.

    Taps count row by row; -1 is a place that only fills up.  ``cluster`` int64 (chains): whose scale a chain has,
    crossed the first of two.
    """

    crossed: bool
    places: np.ndarray
    cluster: np.ndarray

    @property
    def place_bytes(self) -> int:
        """How many neighbouring bytes of a pixel a place is."""
        return _PAIR if self.crossed else _BYTES

    @property
    def cost(self) -> int:
        """What a tile costs, in dot products a sum."""
        chains, places = self.places.shape[:2]
        return chains * (places * self.place_bytes // _BYTES + _CHAIN_COST)

    def offsets(self, kernel_w: int, stored: int, row_bytes: int) -> np.ndarray:
        """Where each place lies from its window's beginning, for rows of ``row_bytes``: int32 (chains, places)."""
        tap, channel = np.maximum(self.places[..., 0], 0), self.places[..., 1]
        return (tap // kernel_w * row_bytes + tap % kernel_w * stored + channel).astype(np.int32)


def fits(layer: IntLayer, stored: int, target: Target) -> bool:
    """Whether the tile that keeps clusters apart computes this layer, and faster than the dense one."""
    return chains_of(layer, stored, target) is not None


def chains_of(layer: IntLayer, stored: int, target: Target) -> Chains | None:
    """How to cut a convolution of ``stored`` channels a pixel; None where the dense tile is faster, or needed."""
    if layer.op != "conv" or layer.attributes["group"] != 1 or not target.cluster_tiles:
        return None
    weight, cluster = layer.constants["weight"], layer.attributes["cluster"]
    if cluster % _BYTES and clusters_of(weight.shape[1], cluster) > 1:
        return None
    dense = _dense_cost(layer, stored, target)
    if dense is None:
        return None
    for chains in _candidates(weight, cluster, stored):
        if chains.cost >= dense:
            return None
        if _stays_in_words(weight, chains, target):
            return chains
    return None


def packed_clusters(layer: IntLayer, chains: Chains, target: Target, first: int, width: int, count: int) -> np.ndarray:
    """Factors and codes of ``count`` panels from output ``first`` on: int8 (count, chains, 1 + places, width, 4).

    A place of 8 bytes counts as two.
    """
    codes = _codes(layer.constants["weight"][first : first + width * count], chains)
    factors = _factors(layer.constants["scale"][first : first + width * count], chains, target)
    outputs, number, places = codes.shape[:3]
    rows = np.zeros((width * count, number, 1 + places, _BYTES), np.int8)
    rows[:outputs, :, 0] = factors.view(np.int8)
    rows[:outputs, :, 1:] = codes
    return rows.reshape(count, width, number, 1 + places, _BYTES).transpose(0, 2, 3, 1, 4)


def _dense_cost(layer: IntLayer, stored: int, target: Target) -> int | None:
    """What the dense tile costs, in dot products a sum; None where nothing is faster: one limb, by an instruction."""
    weight, scale = layer.constants["weight"], layer.constants["scale"]
    peak = np.abs(integer_weights(weight, scale, layer.attributes["cluster"])).max(initial=0)
    cost = _WORDS_COST if target.pairs else 1 if peak <= INT8_WEIGHT.hi else 2
    if cost == 1:
        return None
    kernel_h, kernel_w = weight.shape[2:]
    dots = kernel_h * -(-kernel_w * stored // VECTOR) * VECTOR // _BYTES
    return dots * cost


def _candidates(weight: np.ndarray, cluster: int, stored: int) -> Iterator[Chains]:
    """Ways to cut, fewest chains first."""
    inputs, taps = weight.shape[1], weight.shape[2] * weight.shape[3]
    if taps == 1 and cluster == _BYTES and inputs > cluster and stored % _PAIR == 0:
        channels = np.arange(0, inputs, _PAIR)
        places = np.stack([np.zeros_like(channels), channels], axis=1)
        yield Chains(True, places[:, None], channels // cluster)
        return
    longest = taps * -(-min(cluster, inputs) // _BYTES)
    lengths = {-(-longest // pieces) for pieces in range(1, longest + 1)}
    for length in sorted(lengths, reverse=True):
        yield _straight(inputs, taps, cluster, length)


def _straight(inputs: int, taps: int, cluster: int, length: int) -> Chains:
    """Chains of ``length`` places: tap by tap, and in a tap channel by channel."""
    chains, owners = [], []
    for number, first in enumerate(range(0, inputs, cluster)):
        channels = np.arange(first, min(first + cluster, inputs), _BYTES)
        places = np.stack(np.meshgrid(np.arange(taps), channels, indexing="ij"), axis=-1).reshape(-1, 2)
        filled = np.full((-(-len(places) // length) * length, 2), (-1, first))
        filled[: len(places)] = places
        chains.append(filled.reshape(-1, length, 2))
        owners += [number] * len(chains[-1])
    return Chains(False, np.concatenate(chains), np.array(owners))


def _codes(weight: np.ndarray, chains: Chains) -> np.ndarray:
    """Codes in the order in which a tile reads them: int8 (O, chains, places of 4 bytes, 4)."""
    outputs, inputs = weight.shape[:2]
    size = chains.place_bytes
    taps = np.zeros((outputs, weight[0, 0].size + 1, -(-inputs // size) * size), np.int8)
    taps[:, :-1, :inputs] = weight.reshape(outputs, inputs, -1).transpose(0, 2, 1)
    tap, channel = chains.places[..., 0], chains.places[..., 1]
    codes = taps[:, tap[..., None], channel[..., None] + np.arange(size)]
    if chains.crossed:
        codes = codes[..., CROSSED]
    return codes.reshape(outputs, len(chains.places), -1, _BYTES)


def _stays_in_words(weight: np.ndarray, chains: Chains, target: Target) -> bool:
    """Whether no sum of a chain can leave 16 bits: of all its products or, in words, of each word's."""
    codes = _codes(weight, chains)
    words = codes.reshape(*codes.shape[:3], 2 if chains.crossed or target.pairs else 1, -1)
    above, below = (ends.sum(axis=(2, 4), dtype=np.int64) for ends in (np.maximum(words, 0), np.minimum(words, 0)))
    return max(int(above.max()), -int(below.min())) <= TOP


def _factors(scale: np.ndarray, chains: Chains, target: Target) -> np.ndarray:
    """What the low and the high word of each chain are multiplied by: int16 (O, chains, 2)."""
    low = scale[:, chains.cluster].astype(np.int16)
    if chains.crossed:
        beyond = np.pad(scale, ((0, 0), (0, 1)))
        return np.stack([low, beyond[:, chains.cluster + 1].astype(np.int16)], axis=-1)
    return np.stack([low, low if target.pairs else np.zeros_like(low)], axis=-1)

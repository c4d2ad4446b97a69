"""How often the arithmetics of other designs differ from this network's own, and from each other, on given images.

    single   every layer reads golden inputs: what one layer's arithmetic does, and nothing of the layers before it
    entire   the whole network runs in each arithmetic: what is left of it at the logits

Arithmetics of the same rule give the same integers, so each rule is computed once.  In ``single`` the accumulators are
computed once for all of them; ``entire`` is one run a rule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..engine.run import Observer, Result, check_images, run
from ..errors import NetworkError, RangeError
from ..network.batches import Images, batch_size, image_batches, image_count
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.accumulator import confine
from ..numbers.arith import ARITHMETICS, Arithmetic, arithmetic_named, requantize_as
from ..ops import OPS
from ..runs.trace import choose_layers, roundings

OWN = "own"
COMMON = tuple(name for name in ARITHMETICS if not name.startswith("ap-fixed-") or name == "ap-fixed-default")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rule:
    """Arithmetics that give the same integers; ``arithmetic`` is None for the model's own."""

    names: tuple[str, ...]
    text: str
    arithmetic: Arithmetic | None


@dataclass(frozen=True, eq=False)
class Divergence:
    """The counts, pair by pair: arrays int64 (rules, rules), symmetric, 0 on the diagonal.

    single: for each layer that requantizes, codes that differ when it reads golden inputs, of ``outputs`` codes.
    logits, classes: what differs after a run of the whole network, of ``number_of_logits`` and of ``count`` images.
    correct: how many predicted classes are the labels, for each rule; None without labels.
    """

    rules: tuple[Rule, ...]
    count: int
    outputs: Mapping[str, int]
    single: Mapping[str, np.ndarray]
    logits: np.ndarray
    classes: np.ndarray
    correct: tuple[int, ...] | None
    number_of_logits: int

    @property
    def single_total(self) -> np.ndarray:
        """``single``, all layers together."""
        return sum(self.single.values(), np.zeros((len(self.rules), len(self.rules)), np.int64))

    def as_json(self) -> dict[str, Any]:
        """Every count, in types that JSON knows."""
        return {
            "rules": [{"names": list(rule.names), "rule": rule.text} for rule in self.rules],
            "count": self.count,
            "single": {
                "outputs": dict(self.outputs),
                "layers": {name: pairs.tolist() for name, pairs in self.single.items()},
                "total": self.single_total.tolist(),
            },
            "entire": {
                "logits": self.number_of_logits,
                "logits_differ": self.logits.tolist(),
                "classes_differ": self.classes.tolist(),
                "correct": None if self.correct is None else list(self.correct),
            },
        }


def divergence(
    network: IntNetwork,
    images: Images,
    names: Sequence[str] = COMMON,
    *,
    layers: Sequence[str] | None = None,
    labels: np.ndarray | None = None,
    batch: int | None = None,
    first_image: int = 0,
    progress: Progress | None = None,
) -> Divergence:
    """Run uint8 images (N, H, W, C) through the network in its own arithmetic and in those of other designs.

    ``names``: of ARITHMETICS.  ``layers``: names or shell patterns, the layers that ``single`` counts; None: all.
    ``labels``: int (N), or None.  ``first_image``: the first image's number in the run, for stochastic rounding.
    ``progress(done, total)`` is called after each batch.  RangeError for an unknown name, images that the network
    cannot read, or another number of labels; NetworkError for a layer that does not exist, or where none rounds.
    """
    network.require_static("arith")
    rules = rules_of(network, names)
    if labels is not None and len(labels) != image_count(images):
        raise RangeError(f"there are {len(labels)} labels for {image_count(images)} images, needed one for each")
    chosen = [layer for layer in choose_layers(network, layers) if layer.requantize is not None]
    if not chosen:
        raise NetworkError("no chosen layer rounds, so no arithmetic can differ there")
    counts = _Counts(len(rules), [layer.name for layer in chosen])
    for first, pixels in image_batches(images, batch_size(network) if batch is None else batch):
        check_images(network, pixels)
        own = run(network, pixels, observe=_counting(rules, counts), first_image=first_image + first)
        logits = [own if rule.arithmetic is None else run_as(network, pixels, rule.arithmetic) for rule in rules]
        counts.add_logits(logits, None if labels is None else labels[first : first + len(pixels)])
        if progress is not None:
            progress(counts.images, image_count(images))
    correct = None if labels is None else tuple(counts.correct.tolist())
    return Divergence(
        rules, counts.images, counts.outputs, counts.single, counts.logits, counts.classes, correct, counts.numbers
    )


def rules_of(network: IntNetwork, names: Sequence[str]) -> tuple[Rule, ...]:
    """The model's own arithmetic, then the named ones, those of one rule together; RangeError for an unknown name."""
    modes = roundings(network)
    text = f"{' and '.join(modes)}, saturate" if modes else "nothing is requantized"
    grouped: dict[str, list[Arithmetic]] = {}
    for name in dict.fromkeys(names):
        arithmetic = arithmetic_named(name)
        grouped.setdefault(arithmetic.rule, []).append(arithmetic)
    alike = grouped.pop(text, []) if len(modes) == 1 else []
    own = Rule((OWN, *(arithmetic.name for arithmetic in alike)), text, None)
    return own, *(Rule(tuple(a.name for a in group), rule, group[0]) for rule, group in grouped.items())


def run_as(network: IntNetwork, images: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """Push a batch through the network in another design's arithmetic: uint8 (N, H, W, C) -> int32 (N, classes).

    Accumulators are the contract's; every requantization is ``requantize_as``.
    """
    tensors: dict[str, np.ndarray] = {}
    for layer, needed in _with_needs(network):
        operands = [tensors[name] for name in layer.inputs] or [images]
        residual = None if layer.residual is None else tensors[layer.residual]
        value = OPS[layer.op].kernels(*operands, **layer.arguments)
        if layer.accumulator_bits < 32 and OPS[layer.op].ACCUMULATES:
            value, _ = confine(value, layer.accumulator_bits, layer.accumulator_policy)
        if layer.requantize is not None:
            value = requantize_as(value, layer.requantize, arithmetic, residual)
        tensors = {name: array for name, array in {**tensors, layer.name: value}.items() if name in needed}
    return value.reshape(len(images), -1).astype(np.int32)


def _with_needs(network: IntNetwork) -> Iterator[tuple[IntLayer, frozenset[str]]]:
    """Each layer, and the names that layers after it read."""
    for position, layer in enumerate(network.layers):
        later = network.layers[position + 1 :]
        yield layer, frozenset(name for reader in later for name in (*reader.inputs, reader.residual) if name)


def _counting(rules: Sequence[Rule], counts: "_Counts") -> Observer:
    """An observer of a golden run that requantizes each chosen layer's accumulators by every rule."""

    def observe(layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
        if layer.name in counts.single and layer.requantize is not None and result.accumulator is not None:
            codes = [
                result.result
                if rule.arithmetic is None
                else requantize_as(result.accumulator, layer.requantize, rule.arithmetic, result.residual)
                for rule in rules
            ]
            counts.add_layer(layer.name, codes)

    return observe


class _Counts:
    """The counters while batches come in."""

    def __init__(self, rules: int, layers: Sequence[str]) -> None:
        size = (rules, rules)
        self.images = self.numbers = 0
        self.outputs = dict.fromkeys(layers, 0)
        self.single = {name: np.zeros(size, np.int64) for name in layers}
        self.logits, self.classes = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.correct = np.zeros(rules, np.int64)

    def add_layer(self, name: str, codes: Sequence[np.ndarray]) -> None:
        self.outputs[name] += codes[0].size
        self.single[name] += differing_pairs(codes)

    def add_logits(self, logits: Sequence[np.ndarray], labels: np.ndarray | None) -> None:
        """Logits int32 (N, classes) of each rule; the answer is the largest, ties to the lowest class (contract L)."""
        answers = [array.argmax(axis=1) for array in logits]
        self.images += len(logits[0])
        self.numbers += logits[0].size
        self.logits += differing_pairs(logits)
        self.classes += differing_pairs(answers)
        if labels is not None:
            self.correct += [np.count_nonzero(answer == labels) for answer in answers]


def differing_pairs(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """In how many elements any two of the arrays differ: arrays of one shape -> int64 (len, len).

    >>> differing_pairs([np.array([1, 2, 3]), np.array([1, 2, 4]), np.array([0, 0, 0])]).tolist()
    [[0, 1, 3], [1, 0, 3], [3, 3, 0]]
    """
    pairs = np.zeros((len(arrays), len(arrays)), np.int64)
    for one, other in combinations(range(len(arrays)), 2):
        pairs[one, other] = pairs[other, one] = np.count_nonzero(arrays[one] != arrays[other])
    return pairs

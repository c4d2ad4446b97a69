"""evaluate: how many images a network of integers gets right, beside the float network it was made from.

Everything is counted in integers, batch by batch, so neither the batch size nor the number of threads changes a result.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..engine.events import Events
from ..engine.run import check_images
from ..errors import RangeError
from ..network.batches import Images, batch_size, image_batches, image_count, map_batches
from ..network.float_network import FloatNetwork, with_input_shape
from ..network.forward import forward
from ..network.images import LabelledImages
from ..network.int_network import IntNetwork
from ..network.units import worth
from ..runs.predict import Predictor, backend_for, images_a_batch, predictor
from ..runs.trace import roundings
from .cost import network_cost
from .loss import divergences
from .paired import Z95, Paired

Progress = Callable[[int, int], None]

TOP = 5


@dataclass(frozen=True)
class Hits:
    """How many labels were the first, and among the first five, of the logits."""

    first: int = 0
    five: int = 0

    def __add__(self, other: "Hits") -> "Hits":
        return Hits(self.first + other.first, self.five + other.five)


@dataclass(frozen=True)
class Evaluation:
    """The outcome: counts, and the fractions that follow from them.

    ``correct_top5`` and its kin are None where a network has fewer than six classes, since any guess would be right.
    ``float_correct``, ``agreeing`` (images of which both networks say the same class) and ``only_float`` (images that
    the float network alone gets right) are None without a float network.  ``layers``: events of every layer that
    accumulates.  ``ranks`` int64 (N): how many classes come before each image's label, so that outcomes can be
    compared image by image.  ``kl``: the mean divergence from the float network's probabilities (``loss``), whose last
    digits depend on how images were grouped, as the floats' do; None without a float network.
    """

    network: str
    model_hash: str
    contract: int
    rounding: tuple[str, ...]
    backend: str
    count: int
    correct: int
    correct_top5: int | None
    float_correct: int | None
    float_correct_top5: int | None
    agreeing: int | None
    only_float: int | None
    multiplications_replaced: float
    layers: Mapping[str, Events] = field(default_factory=dict)
    seconds: float = 0.0
    ranks: np.ndarray | None = field(default=None, repr=False, compare=False)
    kl: float | None = field(default=None, compare=False)

    @property
    def top1(self) -> float:
        """Share of the images whose label has the largest logit; ties go to the lowest class (contract L)."""
        return self.correct / self.count

    @property
    def top5(self) -> float | None:
        """Share of the images whose label is among the five largest logits."""
        return self._share(self.correct_top5)

    @property
    def float_top1(self) -> float | None:
        """``top1`` of the float network."""
        return self._share(self.float_correct)

    @property
    def float_top5(self) -> float | None:
        """``top5`` of the float network."""
        return self._share(self.float_correct_top5)

    @property
    def agreement(self) -> float | None:
        """Share of the images of which both networks say the same class."""
        return self._share(self.agreeing)

    @property
    def only_integers(self) -> int | None:
        """Images that the integer network alone gets right."""
        if self.float_correct is None or self.only_float is None:
            return None
        return self.correct - self.float_correct + self.only_float

    @property
    def paired(self) -> Paired | None:
        """Both networks image by image, the integer one first; None without a float network."""
        if self.only_integers is None or self.only_float is None:
            return None
        return Paired(self.count, self.only_integers, self.only_float)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of ``top1``."""
        return wilson(self.correct, self.count)

    @property
    def saturated(self) -> int | None:
        """Values clipped to their format, all layers together; None where they were not counted."""
        if not self.layers:
            return None
        return sum(events.saturated_low + events.saturated_high for events in self.layers.values())

    @property
    def overflowed(self) -> int | None:
        """Sums that did not fit into a narrow accumulator, all layers together; None where they were not counted."""
        if not self.layers:
            return None
        return sum(events.overflowed for events in self.layers.values())

    def _share(self, part: int | None) -> float | None:
        return None if part is None else part / self.count

    def as_json(self) -> dict[str, Any]:
        """Every field but the ranks, and every fraction, in types that JSON knows."""
        shares = ("top1", "top5", "float_top1", "float_top5", "agreement", "only_integers", "saturated", "overflowed")
        fields = {name: value for name, value in asdict(self).items() if name != "ranks"}
        paired = self.paired
        return {
            **fields,
            **{name: getattr(self, name) for name in shares},
            "rounding": list(self.rounding),
            "interval95": list(self.interval),
            "difference": None if paired is None else paired.difference,
            "difference_interval95": None if paired is None else list(paired.interval),
        }


def evaluate(
    network: IntNetwork,
    images: LabelledImages | tuple[np.ndarray, np.ndarray],
    *,
    float_network: FloatNetwork | None = None,
    backend: str = "fast",
    batch: int | None = None,
    threads: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
    elsewhere: "Counting | None" = None,
) -> Evaluation:
    """Run labelled images through ``network``, and through ``float_network`` if there is one.

    images: an opened file, or uint8 (N, H, W, C) with labels int (N).  Only the first ``limit`` are taken.  A float
    network of another height and width is made for the images', as ``quantize`` does.  ``progress(done, total)`` is
    called after each batch.  ``elsewhere`` counts batches of (number of the first image, images, labels) in place of
    this process, and gives the counters in the same order.  RangeError for images without labels, labels that are no
    class, images that the network cannot read, or none at all.
    """
    pixels, labels = _with_labels(images)
    count = image_count(pixels) if limit is None else min(limit, image_count(pixels))
    check_labels(labels, image_count(pixels), network.classes)
    float_network = None if float_network is None else fitted(float_network, network)
    start = time.perf_counter()
    size = images_a_batch(count, threads, batch_size(network) if batch is None else batch)
    predict = predictor(network, backend, size, counted=True)

    def work(batch: Batch) -> Counts:
        return count_batch(network, float_network, batch, predict)

    sums = Counts()
    numbered = image_batches(pixels, size, count)
    batches = ((first, part, labels[first : first + len(part)]) for first, part in numbered)
    for counts in map_batches(work, batches, threads) if elsewhere is None else elsewhere(batches):
        sums += counts
        if progress is not None:
            progress(sums.count, count)
    return _evaluation(
        network, float_network is not None, backend_for(network, backend), sums, time.perf_counter() - start
    )


def fitted(float_network: FloatNetwork, network: IntNetwork) -> FloatNetwork:
    """The float network for images of the other's height and width; RangeError where their classes differ."""
    if float_network.classes != network.classes:
        raise RangeError(f"the float network has {float_network.classes} classes, the other {network.classes}")
    if tuple(float_network.input_shape[:2]) == tuple(network.input_shape[:2]):
        return float_network
    return with_input_shape(float_network, network.input_shape[:2])


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share; it holds the share, stays within 0..1 and is honest for few trials.

    >>> [round(end, 4) for end in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    z2, share = Z95 * Z95, successes / trials
    middle = (successes + z2 / 2) / (trials + z2)
    half = Z95 * math.sqrt(successes * (trials - successes) / trials + z2 / 4) / (trials + z2)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label: those of larger logits, and equal ones of lower number (contract L).

    logits (N, classes), labels int (N) -> int64 (N).

    >>> ranks(np.array([[5, 7, 7], [5, 7, 7]]), np.array([1, 2])).tolist()
    [0, 1]
    """
    own = logits[np.arange(len(logits)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    return ((logits > own) | ((logits == own) & earlier)).sum(axis=1)


@dataclass(frozen=True)
class Counts:
    """The counters of one batch, and the ranks of its labels; they add up, those of the first images first."""

    count: int = 0
    hits: Hits = Hits()
    float_hits: Hits = Hits()
    agreeing: int = 0
    only_float: int = 0
    layers: Mapping[str, Events] = field(default_factory=dict)
    ranks: tuple[np.ndarray, ...] = ()
    divergences: tuple[np.ndarray, ...] = ()

    def __add__(self, other: "Counts") -> "Counts":
        layers = {name: self.layers.get(name, Events()) + events for name, events in other.layers.items()}
        return Counts(
            self.count + other.count,
            self.hits + other.hits,
            self.float_hits + other.float_hits,
            self.agreeing + other.agreeing,
            self.only_float + other.only_float,
            layers,
            self.ranks + other.ranks,
            self.divergences + other.divergences,
        )


Batch = tuple[int, np.ndarray, np.ndarray]
Counting = Callable[[Iterable[Batch]], Iterator[Counts]]


def count_batch(network: IntNetwork, float_network: FloatNetwork | None, batch: Batch, predict: Predictor) -> Counts:
    """Run one batch: number of the first image, uint8 images (N, H, W, C), labels int (N)."""
    first, pixels, labels = batch
    check_images(network, pixels)
    prediction = predict(pixels, first, None)
    places = ranks(prediction.logits, labels)
    counts = Counts(len(pixels), hits(places), layers=prediction.events, ranks=(places,))
    if float_network is None:
        return counts
    real = forward(float_network, pixels)
    agreeing = int(np.count_nonzero(prediction.logits.argmax(axis=1) == real.argmax(axis=1)))
    real_places = ranks(real, labels)
    only_float = int(np.count_nonzero((real_places == 0) & (places > 0)))
    apart = (divergences(real, worth(network, network.layers[-1], prediction.logits)),)
    return replace(counts, float_hits=hits(real_places), agreeing=agreeing, only_float=only_float, divergences=apart)


def hits(places: np.ndarray) -> Hits:
    """How many of the ``ranks`` are 0, and how many below 5."""
    return Hits(int(np.count_nonzero(places == 0)), int(np.count_nonzero(places < TOP)))


def _evaluation(network: IntNetwork, compared: bool, backend: str, sums: Counts, seconds: float) -> Evaluation:
    ranked = network.classes > TOP
    return Evaluation(
        network=network.name,
        model_hash=network.hash,
        contract=network.contract,
        rounding=roundings(network),
        backend=backend,
        count=sums.count,
        correct=sums.hits.first,
        correct_top5=sums.hits.five if ranked else None,
        float_correct=sums.float_hits.first if compared else None,
        float_correct_top5=sums.float_hits.five if compared and ranked else None,
        agreeing=sums.agreeing if compared else None,
        only_float=sums.only_float if compared else None,
        multiplications_replaced=network_cost(network).multiplications_replaced,
        layers=sums.layers,
        seconds=seconds,
        ranks=np.concatenate(sums.ranks),
        kl=float(np.concatenate(sums.divergences).mean()) if compared else None,
    )


def _with_labels(images: LabelledImages | tuple[np.ndarray, np.ndarray]) -> tuple[Images, np.ndarray]:
    """Images and their labels; RangeError if the file has none."""
    if not isinstance(images, LabelledImages):
        pixels, labels = images
        return pixels, np.asarray(labels)
    if images.labels is None:
        raise RangeError(f"{images.file}: has no labels, an evaluation needs them")
    return images, images.labels


def check_labels(labels: np.ndarray, count: int, classes: int) -> None:
    """RangeError unless there is a class number for each of ``count`` images."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != count:
        raise RangeError(f"labels are {labels.dtype} {labels.shape}, needed one integer for each of {count} images")
    if count and (labels.min() < 0 or labels.max() >= classes):
        raise RangeError(f"labels lie in {labels.min()}..{labels.max()}, the network has classes 0..{classes - 1}")

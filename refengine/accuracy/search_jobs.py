"""The jobs of a search: how sensitive the float network is to one layer, and what one whole plan really loses.

Labels are never looked at.  A part of the calibration images is held out: codes are chosen on the others, and what
they lose against the float network is measured on these.  A job is named by the SHA-256 of its definition: the
contents of the two files, how many images, the layer or the plan, and the version of everything.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .. import CONTRACT, __version__
from ..errors import RangeError
from ..network.batches import batch_size
from ..network.float_file import read_float_network
from ..network.float_network import FloatNetwork, with_input_shape
from ..network.forward import forward
from ..network.images import evenly_spaced, open_images
from ..network.resume import resumed, tensors_at
from ..network.units import worth
from ..quantization.calibration_set import calibration_set
from ..quantization.fuse import Group, fuse
from ..quantization.one_thread import one_thread
from ..quantization.plan import Plan, Weights
from ..quantization.probe import Seen, error_of, noisy_sums, option_errors
from ..quantization.quantize import quantize
from ..quantization.scheme import Scheme
from ..runs.predict import predictor
from .cost import network_cost
from .energy import HOROWITZ, energy
from .jobs import sha256_of, unpacked
from .loss import loss

VERSION = 1
MOST_JUDGES = 512
_SHARE = 3  # one of so many images judges
_FEW = 32  # images of a layer's job; more to fit by where these have fewer than two windows for each tap
_JUDGING, _JUDGED_PIXELS = (24, 256), 2**18  # images that judge a layer: the fewest, the most, and pixels between
_USUAL_ERROR = 0.05  # of the noise, where no option says how large it should be
_FLOAT_BATCH = 16


# ----------------------------------------------------------------------------------------------------------- what to do


@dataclass(frozen=True)
class Sources:
    """Paths of the float network and of the images."""

    network: str
    calibration: str


@dataclass(frozen=True)
class Given:
    """The two files by their SHA-256 (hex), and how many images are there, calibrate (``fit``) and judge."""

    network: str
    calibration: str
    available: int
    fit: int
    judge: int

    def fit_images(self) -> np.ndarray:
        """Numbers of the images to calibrate on: evenly spaced over those that do not judge."""
        others = np.setdiff1d(np.arange(self.available), self.judge_images())
        numbers: np.ndarray = others[evenly_spaced(len(others), self.fit)]
        return numbers

    def judge_images(self) -> np.ndarray:
        """Numbers of the images that judge, evenly spaced."""
        return evenly_spaced(self.available, self.judge)


@dataclass(frozen=True)
class SearchJob:
    """One layer's sensitivity to ``options``, each a text as 'ternary:4', or (``layer`` is None) one plan's loss.

    options of a plan: the weights of each layer, in order.
    """

    given: Given
    layer: str | None
    options: tuple[str, ...]

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that the result depends on, in types that JSON knows."""
        fixed = {"search": VERSION, "refengine": __version__, "contract": CONTRACT}
        return json.loads(json.dumps({**fixed, **asdict(self)}))

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of the definition: the name of the job and of its result."""
        return hashlib.sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()


def weights_of(text: str) -> Weights:
    """The weights that ``str`` wrote.

    >>> weights_of("ternary:16"), str(weights_of("int8"))
    (Weights(format='ternary', cluster=16), 'int8')
    """
    fmt, _, cluster = text.partition(":")
    return Weights(fmt, int(cluster or 1))


def given_of(sources: Sources, wanted: int | None = None) -> Given:
    """What a search of the two files works with; RangeError where there are too few images or they do not fit."""
    network = read_float_network(sources.network)
    with open_images(sources.calibration, labels_required=False) as file:
        available, shape = file.count, file.shape
    if shape[2] != network.input_shape[2]:
        raise RangeError(f"calibration images have {shape[2]} channels, network {network.name!r} reads another number")
    judge = min(available // _SHARE, MOST_JUDGES)
    if judge < 1:
        raise RangeError(f"a search needs {_SHARE} images or more, to calibrate and to judge; found {available}")
    fit = len(calibration_set(network, shape[:2], available - judge, wanted))
    return Given(sha256_of(sources.network), sha256_of(sources.calibration), available, fit, judge)


# --------------------------------------------------------------------------------------------------------- what it gave


@dataclass(frozen=True)
class Sensitivity:
    """A layer: the ``errors`` of its options, and what the network loses by noise with an error of ``disturbed``."""

    errors: tuple[float, ...]
    disturbed: float
    kl: float
    points: float
    seconds: float

    def loss(self, error: float) -> float:
        """The divergence that an error of the layer costs: in proportion."""
        return self.kl * error / self.disturbed if self.disturbed > 0 else 0.0


@dataclass(frozen=True)
class Trial:
    """A plan quantized and run: its loss on the images that judge, its costs for one image, its model."""

    kl: float
    points: float
    differing: int
    count: int
    replaced: float
    picojoules: float
    constant_bytes: int
    model_hash: str
    seconds: float


# ---------------------------------------------------------------------------------------------------------------- doing


@dataclass(frozen=True, eq=False)
class Material:
    """What the jobs work on: the network's file, the images to calibrate on and those that judge, uint8."""

    network: bytes
    fit: np.ndarray
    judge: np.ndarray


@lru_cache(maxsize=1)
def material(sources: Sources, given: Given) -> Material:
    """What the jobs with the same ``given`` need."""
    with open_images(sources.calibration, labels_required=False) as file:
        fit, judge = file.take(given.fit_images()), file.take(given.judge_images())
    return Material(Path(sources.network).read_bytes(), fit, judge)


@one_thread()
def run_material(job: SearchJob, given: Material, threads: int = 1) -> Sensitivity | Trial:
    """Do a job."""
    network, real = _floats(given)
    if job.layer is None:
        return tried(job, network, given, real, threads)
    return sensitivity(job, network, given, real, threads)


def run_sources(job: SearchJob, sources: Sources, threads: int = 1) -> Sensitivity | Trial:
    """Do a job on the files themselves."""
    return run_material(job, material(sources, job.given), threads)


@lru_cache(maxsize=1)
def _floats(given: Material) -> tuple[FloatNetwork, np.ndarray]:
    """The float network for the images' size, and its logits for those that judge; kept for the jobs that follow."""
    with unpacked(given.network) as path:
        network = read_float_network(path)
    if given.fit.shape[1:3] != tuple(network.input_shape[:2]):
        network = with_input_shape(network, given.fit.shape[1:3])
    starts = range(0, len(given.judge), _FLOAT_BATCH)
    parts = [forward(network, given.judge[first : first + _FLOAT_BATCH]) for first in starts]
    return network, np.concatenate(parts)


def plan_of_job(job: SearchJob, network: FloatNetwork) -> Plan:
    """The plan that a job without a layer tries."""
    names = [group.core.name for group in fuse(network) if group.weighted]
    return Plan(network.name, tuple(zip(names, map(weights_of, job.options), strict=True)))


def tried(job: SearchJob, network: FloatNetwork, given: Material, real: np.ndarray, threads: int = 1) -> Trial:
    """Quantize a plan and see what it loses."""
    start = time.perf_counter()
    judge = given.judge
    model = quantize(network, given.fit, Scheme(), threads=threads, plan=plan_of_job(job, network))
    size = min(len(judge), batch_size(model))
    predict = predictor(model, "fast", size, threads=threads)
    parts = [predict(judge[first : first + size], first, None).logits for first in range(0, len(judge), size)]
    lost, cost = loss(real, worth(model, model.layers[-1], np.concatenate(parts))), network_cost(model)
    return Trial(
        **vars(lost),
        replaced=cost.multiplications_replaced,
        picojoules=energy(cost.layers, HOROWITZ).total,
        constant_bytes=cost.storage.total,
        model_hash=model.hash,
        seconds=time.perf_counter() - start,
    )


def sensitivity(
    job: SearchJob, network: FloatNetwork, given: Material, real: np.ndarray, threads: int = 1
) -> Sensitivity:
    """The errors of a layer's options, and what noise of the size of the middle one costs the network."""
    start = time.perf_counter()
    group = next(group for group in fuse(network) if group.core.name == job.layer)
    few = _judging(given.judge)
    tensors = tensors_at(network, given.judge[few], group.core.name)
    unseen = _seen(group, tensors)
    seen = _seen(group, tensors_at(network, given.fit[_enough(group, len(given.fit), unseen)], group.core.name))
    options = [weights_of(text) for text in job.options]
    errors = option_errors(group, seen, unseen, options, threads)
    sums = noisy_sums(group, seen, unseen, _usual(options, errors), threads)
    lost = loss(real[few], resumed(network, {**tensors, group.core.name: sums}, group.core.name))
    return Sensitivity(errors, error_of(group, unseen, sums), lost.kl, lost.points, time.perf_counter() - start)


def _usual(options: Sequence[Weights], errors: Sequence[float]) -> float:
    """The error of the middle one of the ternary options, as large as the noise is to be."""
    ternary = sorted(error for weights, error in zip(options, errors, strict=True) if weights.format == "ternary")
    return ternary[len(ternary) // 2] if ternary and ternary[len(ternary) // 2] > 0 else _USUAL_ERROR


def _judging(images: np.ndarray) -> np.ndarray:
    """Numbers of the images that a layer is judged by: fewer where they are large."""
    fewest, most = _JUDGING
    count = max(fewest, min(most, _JUDGED_PIXELS // prod(images.shape[1:3])))
    return evenly_spaced(len(images), min(len(images), count))


def _enough(group: Group, available: int, seen: Seen) -> np.ndarray:
    """Numbers of as many images as give two windows for each tap of the layer, 32 at least."""
    pixels, taps = prod(seen.sums.shape[1:-1]), group.core.constants["weight"][0].size
    return evenly_spaced(available, min(available, max(_FEW, -(-2 * taps // pixels))))


def _seen(group: Group, tensors: dict[str, np.ndarray]) -> Seen:
    residual = None if group.residual is None else tensors.get(group.residual)
    return Seen(tensors[group.inputs[0]], tensors[group.core.name], residual)

"""One job of a sweep: quantize a network by one scheme, run every image, and record all that may be asked afterwards.

A job is named by the SHA-256 of its definition: the scheme, the contents of the three files, how many images, and the
version of everything that could change a figure.  So a result is found again, and never taken for another's.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .. import CONTRACT, __version__
from ..engine.events import Events
from ..errors import FileError, RangeError, RefengineError
from ..network.batches import Images, image_batches, image_count
from ..network.float_file import read_float_network
from ..network.float_network import FloatNetwork, with_input_shape
from ..network.forward import forward
from ..network.images import LabelledImages, evenly_spaced, open_images
from ..network.int_network import IntNetwork, accumulator_bits_needed
from ..quantization.calibration_set import calibration_set
from ..quantization.quantize import quantize
from ..quantization.scheme import Scheme
from ..text import printable
from .evaluate import TOP, check_labels, evaluate, hits, ranks
from .quality import sqnr

VERSION = 2
QUALITY_IMAGES = 8
_FLOAT_BATCH = 16

Labelled = LabelledImages | tuple[np.ndarray, np.ndarray]


# ----------------------------------------------------------------------------------------------------------- what to do


@dataclass(frozen=True)
class Files:
    """Paths of the float network, the images to calibrate on, and the labelled images to run."""

    network: str
    calibration: str
    images: str


@dataclass(frozen=True)
class Job:
    """A scheme (None: the float network itself) on files known by their SHA-256 (hex).

    calibration_images: how many, evenly spaced.  count: how many of the labelled images, from the first on.
    """

    scheme: Scheme | None
    network: str
    calibration: str
    images: str
    calibration_images: int
    count: int

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that the result depends on, in types that JSON knows."""
        fixed = {"version": VERSION, "refengine": __version__, "contract": CONTRACT}
        # through JSON, so that a definition equals the one that was read back
        return json.loads(json.dumps({**fixed, **asdict(self)}))

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of the definition: the name of the job and of its result."""
        return hashlib.sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()


def jobs_for(
    schemes: tuple[Scheme, ...], files: Files, calibration_images: int | None = None, limit: int | None = None
) -> tuple[Job, ...]:
    """The float network's job and one for each scheme, calibrated on as many images as ``calibration_set`` takes.

    FileError, NetworkError or RangeError where the files do not fit together, before any work is done.
    """
    network = read_float_network(files.network)
    with open_images(files.calibration, labels_required=False) as calibration, open_images(files.images) as images:
        if images.shape != calibration.shape:
            raise RangeError(
                f"{images.file}: images are {_size(images.shape)}, the calibration images {_size(calibration.shape)}"
            )
        check_labels(np.asarray(images.labels), images.count, network.classes)
        count = images.count if limit is None else min(limit, images.count)
        used = len(calibration_set(network, calibration.shape[:2], calibration.count, calibration_images))
    names = {name: sha256_of(path) for name, path in vars(files).items()}
    return tuple(Job(scheme, **names, calibration_images=used, count=count) for scheme in (None, *schemes))


def sha256_of(path: str) -> str:
    """SHA-256 (hex) of a file's bytes; FileError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FileError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


# --------------------------------------------------------------------------------------------------------- what it gave


@dataclass(frozen=True)
class LayerRecord:
    """One integer layer of a job.

    exponent: a code is worth 2**exponent.  accumulator_bits: what its sums can need at most, None where codes pass
    through; declared_bits: what its accumulator has.  values, saturated_low, saturated_high, overflowed: events over
    all images.  sqnr: dB, None where it covers no float layer, or there is no signal or no noise.
    """

    name: str
    op: str
    covers: tuple[str, ...]
    format: str
    exponent: int
    weight_format: str | None
    accumulator_bits: int | None
    declared_bits: int | None
    values: int
    saturated_low: int
    saturated_high: int
    overflowed: int
    sqnr: float | None

    @property
    def saturated(self) -> float:
        """Share of the layer's values that were clipped to their format."""
        return (self.saturated_low + self.saturated_high) / self.values if self.values else 0.0


@dataclass(frozen=True, eq=False)
class Record:
    """What a job gave: counts, and bit by bit which images were right; or, with ``error``, why there is nothing.

    right: bool (count).  correct_top5 is None for fewer than six classes.  ``seconds``, by the clock on the wall, and
    nothing else differs from one run of the same job to the next.
    """

    network: str
    count: int = 0
    correct: int = 0
    correct_top5: int | None = None
    right: np.ndarray | None = None
    multiplications_replaced: float | None = None
    model_hash: str | None = None
    layers: tuple[LayerRecord, ...] = ()
    made_with: Mapping[str, str] | None = None
    seconds: float = 0.0
    error: str | None = None

    @property
    def saturated(self) -> int:
        """Values clipped to their format, all layers together."""
        return sum(layer.saturated_low + layer.saturated_high for layer in self.layers)

    @property
    def overflowed(self) -> int:
        """Sums that did not fit into a narrow accumulator, all layers together."""
        return sum(layer.overflowed for layer in self.layers)


# ---------------------------------------------------------------------------------------------------------------- doing


def run_job(
    job: Job,
    network: FloatNetwork,
    calibration: np.ndarray,
    images: Labelled,
    threads: int = 1,
) -> Record:
    """Do a job on uint8 calibration images (N, H, W, C) and labelled images; the number of threads changes no figure.

    What the network or the scheme makes impossible is a record with an error; FileError where a file is damaged.
    """
    start = time.perf_counter()
    try:
        if job.scheme is None:
            record = _float_record(job, network, images)
        else:
            record = _integer_record(job, job.scheme, network, calibration, images, threads)
    except FileError:
        raise
    except RefengineError as error:
        record = Record(network.name, error=str(error))
    return replace(record, seconds=time.perf_counter() - start)


def run_files(job: Job, files: Files, threads: int = 1) -> Record:
    """Do a job on the files themselves."""
    network = read_float_network(files.network)
    with open_images(files.images) as images:
        return run_job(job, network, calibration_images(files, job), images, threads)


def calibration_images(files: Files, job: Job) -> np.ndarray:
    """The job's calibration images, uint8 (N, H, W, C)."""
    with open_images(files.calibration, labels_required=False) as file:
        return file.take(evenly_spaced(file.count, job.calibration_images))


def _integer_record(
    job: Job, scheme: Scheme, network: FloatNetwork, calibration: np.ndarray, images: Labelled, threads: int
) -> Record:
    model = quantize(network, calibration, scheme, threads=threads)
    outcome = evaluate(model, images, limit=job.count, threads=threads)
    few = calibration[evenly_spaced(len(calibration), QUALITY_IMAGES)]
    quality = sqnr(_sized(network, few), model, few)
    return Record(
        network.name,
        outcome.count,
        outcome.correct,
        outcome.correct_top5,
        np.asarray(outcome.ranks) == 0,
        outcome.multiplications_replaced,
        model.hash,
        tuple(_layers(model, outcome.layers, quality)),
        dict(model.made_with),
    )


def _layers(model: IntNetwork, events: Mapping[str, Events], quality: Mapping[str, float]) -> Iterator[LayerRecord]:
    for layer in model.layers:
        bound = model.bounds.get(layer.name)
        yield LayerRecord(
            name=layer.name,
            op=layer.op,
            covers=layer.covers,
            format=model.formats[layer.name].name,
            exponent=layer.exponent,
            weight_format=layer.weight_format,
            accumulator_bits=None if bound is None else accumulator_bits_needed(*bound),
            declared_bits=None if bound is None else layer.accumulator_bits,
            sqnr=quality.get(layer.name),
            **vars(events.get(layer.name, Events())),
        )


def _float_record(job: Job, network: FloatNetwork, images: Labelled) -> Record:
    """The float network's own counts."""
    pixels: Images = images if isinstance(images, LabelledImages) else images[0]
    labels = np.asarray(images.labels if isinstance(images, LabelledImages) else images[1])
    check_labels(labels, image_count(pixels), network.classes)
    places = []
    for first, part in image_batches(pixels, _FLOAT_BATCH, job.count):
        places.append(ranks(forward(_sized(network, part), part), labels[first : first + len(part)]))
    found = hits(np.concatenate(places))
    five = found.five if network.classes > TOP else None
    return Record(network.name, job.count, found.first, five, np.concatenate(places) == 0)


def _sized(network: FloatNetwork, images: np.ndarray) -> FloatNetwork:
    """The network for images of this height and width, as ``quantize`` makes it."""
    if images.shape[1:3] == tuple(network.input_shape[:2]):
        return network
    return with_input_shape(network, images.shape[1:3])


# ----------------------------------------------------------------------------------------------------------- travelling


@dataclass(frozen=True, eq=False)
class Content:
    """What the files hold, for a process that cannot open them: the network's file, and arrays of images and labels."""

    network: bytes
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray


def content_of(files: Files, job: Job) -> Content:
    """What any job with the same files and counts needs."""
    with open_images(files.images) as images:
        pixels, labels = images.read(0, job.count), np.asarray(images.labels)[: job.count]
    return Content(Path(files.network).read_bytes(), calibration_images(files, job), pixels, labels)


def run_content(job: Job, content: Content, threads: int = 1) -> Record:
    """Do a job on content that came from elsewhere."""
    with unpacked(content.network) as path:
        network = read_float_network(path)
    return run_job(job, network, content.calibration, (content.images, content.labels), threads)


@contextmanager
def unpacked(content: bytes) -> Iterator[Path]:
    """A file with this content, for the length of a ``with`` block: HDF5 files are read from disks alone."""
    with TemporaryDirectory(prefix="refengine-") as folder:
        path = Path(folder) / "content.h5"
        path.write_bytes(content)
        yield path

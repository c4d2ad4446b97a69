"""A dump: the integers of a run, in any format, read lazily through a common interface.

Images are the first axis of every array.  Nothing is read before it is asked for: arrays are read in blocks of images.
A single array that cannot be used is ``Damaged``, and the others are there.  An array that is there in several forms
is ``Forms``: the first is judged, and the others must hold the same integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import FileError
from ...runs.trace import STAGES
from ...text import shown
from ...vectors.reader import Address
from .expected import Expected, of_array
from .fitted import Fitted, marks_of
from .reading import RESULT

IMAGES = "images"
TRACE, FOLDER, ARCHIVE, HDF5, VECTORS, MEMORY = "trace", "folder", "npz", "hdf5", "vectors", "memory"
WAVES = "waves"

Array = np.ndarray[Any, Any]


class Values(Protocol):
    """One stage of one layer: (N, ...) integers, read in blocks of images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """An integer type in native byte order."""
        ...

    @property
    def chunk_rows(self) -> int:
        """Images that are stored together, so that reading fewer at a time costs more."""
        ...

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        ...


@dataclass(frozen=True, eq=False)
class Dump:
    """The integers of a run: ``arrays[layer][stage]``, layers in order of execution as far as that is known.

    file: the name that messages print.  kind: trace, folder, npz, hdf5, vectors, waves or memory.  count: images.
    first_image, model_hash, images_sha256, images: None where the dump does not say.  model: the file of the network
    that travels with the dump.  files: what the integers of (layer, stage) are read from, where each has a file of its
    own.  logits: what the last layer gives, where the dump holds that apart.  notes: what a reader should know.
    expected: of a vector pack, what its manifest says of a stage.  asked: the golden's layer that one file alone is of.
    passed_over: what is there and was not read, by name, and why.  ignored: names of what ``ignore`` left out.  inputs:
    layers of a vector pack that are there because the others read their codes; given: those whose codes are of no
    image, and do not follow from each other.
    """

    file: str
    kind: str
    arrays: Mapping[str, Mapping[str, Values]]
    count: int
    first_image: int | None = None
    model_hash: str | None = None
    images_sha256: str | None = None
    images: Values | None = None
    model: Path | None = None
    ordered: bool = True
    path: Path | None = None
    files: Mapping[tuple[str, str], Path] | None = None
    address: Callable[..., Address] | None = None
    notes: tuple[str, ...] = ()
    logits: Values | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    inputs: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    expected: Callable[[str, str], Expected] | None = None
    asked: tuple[str, ...] = ()

    def expects(self, layer: str, stage: str) -> Expected:
        """What is to be known of an array before another dump's is read; FileError if the dump does not hold it."""
        values = self.values(layer, stage)
        return of_array(values.shape, values.dtype) if self.expected is None else self.expected(layer, stage)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order of execution where ``ordered``, otherwise sorted."""
        return tuple(self.arrays)

    def stages(self, layer: str) -> tuple[str, ...]:
        """The stages of a layer, in the order in which hardware computes them; FileError for an unknown layer."""
        if layer not in self.arrays:
            raise FileError(f"{self.file}: has no layer {shown(layer)}")
        return tuple(self.arrays[layer])

    def values(self, layer: str, stage: str) -> Values:
        """One stage of one layer, nothing read yet; FileError if the dump does not hold it."""
        if stage not in self.stages(layer):
            raise FileError(f"{self.file}: layer {shown(layer)} has no stage {shown(stage)}")
        return self.arrays[layer][stage]

    def shape(self, layer: str, stage: str) -> tuple[int, ...]:
        """(N, ...)."""
        return self.values(layer, stage).shape

    def dtype(self, layer: str, stage: str) -> np.dtype[Any]:
        """An integer type."""
        return self.values(layer, stage).dtype

    def read(self, layer: str, stage: str, start: int, stop: int) -> Array:
        """Images start..stop-1; FileError where they do not exist or are damaged."""
        return self.values(layer, stage).read(start, stop)

    def address_of(self, layer: str, stage: str, n: int, *index: int) -> Address | None:
        """File, word and bit of one integer in a vector pack; None in other dumps."""
        return None if self.address is None else self.address(layer, stage, n, *index)

    def where(self, layer: str, stage: str, n: int, *index: int) -> str | None:
        """Where one integer stands in a file of numbers, or when it came; None in other dumps."""
        held = self.arrays.get(layer, {})
        values = held.get(stage, held.get(RESULT))
        values = values.judged if isinstance(values, Forms) else values
        return f"{values.source.place}, {values.where(n, *index)}" if isinstance(values, Fitted) else None


def in_memory(arrays: Mapping[str, Mapping[str, Array]], **known: Any) -> Dump:
    """A dump of arrays that are there already: layer -> stage -> integers (N, ...)."""
    held = {
        layer: {stage: Held(array) for stage, array in by_order(stages).items()} for layer, stages in arrays.items()
    }
    count = max((values.shape[0] for stages in held.values() for values in stages.values()), default=0)
    return Dump(**{"file": "memory", "kind": MEMORY, "arrays": held, "count": count, **known})


@dataclass(frozen=True, eq=False)
class Held:
    """Values that are in memory."""

    array: Array
    chunk_rows: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy has it."""
        return self.array.dtype

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.array[start:stop]


@dataclass(frozen=True, eq=False)
class Damaged:
    """An array that cannot be used: ``why`` names its file, and reading it raises that FileError."""

    why: str
    shape: tuple[int, ...] = (0,)
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    chunk_rows: int = 1

    def read(self, start: int, stop: int) -> Array:
        """FileError."""
        raise FileError(self.why)


@dataclass(frozen=True, eq=False)
class Forms:
    """One array that a dump holds in several forms: ``judged`` is read, each of ``others`` must hold the same integers.

    place, and the first of each of the others: what messages call a form.
    """

    judged: Values
    place: str
    others: tuple[tuple[str, Values], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the form that is judged."""
        return self.judged.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the form that is judged."""
        return self.judged.dtype

    @property
    def chunk_rows(self) -> int:
        """As much as any form stores together."""
        return max([self.judged.chunk_rows, *(form.chunk_rows for _, form in self.others)])

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1 of the form that is judged."""
        return self.judged.read(start, stop)


def checked(opened: Callable[[], Values]) -> Values:
    """What ``opened`` gives, or what is wrong with it."""
    try:
        return opened()
    except FileError as error:
        return Damaged(str(error))


def one_or_more(forms: Sequence[tuple[str, Values]]) -> Values:
    """One form of an array as it is, several as ``Forms``; one that is damaged stands for all of them."""
    damaged = next((values for _, values in forms if isinstance(values, Damaged)), None)
    if len(forms) == 1 or damaged is not None:
        return damaged or forms[0][1]
    return Forms(forms[0][1], forms[0][0], tuple(forms[1:]))


def other_forms(values: Values) -> tuple[tuple[str, Values], ...]:
    """Further forms of an array, each with its place; what wraps ``Forms`` has ``others`` too."""
    found: tuple[tuple[str, Values], ...] = getattr(values, "others", ())
    return found


def contradiction(values: Values, start: int, stop: int, block: Array) -> str | None:
    """Which other form of an array holds other integers than ``block``; FileError where one cannot be read."""
    for place, form in other_forms(values):
        if marks_of(form, start, stop) is not None or not np.array_equal(form.read(start, stop), block):
            return f"{place} is another form of what was judged, and holds other integers"
    return None


def by_order(stages: Mapping[str, Any]) -> dict[str, Any]:
    """The same stages in the order in which hardware computes them, the nameless result last.

    >>> list(by_order({"code": 0, "result": 1, "accumulator": 2}))
    ['accumulator', 'code', 'result']
    """
    return {stage: stages[stage] for stage in (*STAGES, RESULT) if stage in stages}


def layer_and_stage(name: str) -> tuple[str, str]:
    """What an array's name means; names of layers may hold dots.

    >>> [layer_and_stage(name) for name in ("1.conv", "1.conv.code", "1.conv/total")]
    [('1.conv', 'result'), ('1.conv', 'code'), ('1.conv', 'total')]
    """
    for separator in "/.":
        layer, found, stage = name.rpartition(separator)
        if found and stage in STAGES:
            return layer, stage
    return name, RESULT

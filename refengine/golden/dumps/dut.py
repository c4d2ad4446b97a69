"""A DUT's dump, read with the golden beside it: files of numbers, rows and packed words get the golden's shape.

with open_dump("vectors") as golden, open_dut("simulation", golden) as dut:
    compare(golden, dut)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...runs.trace import STAGES
from ...text import PathLike, printable, shown
from .chosen import NO_READER, begins_with
from .dump import IMAGES, VECTORS, WAVES, Damaged, Dump, Forms, Values, layer_and_stage, one_or_more
from .expected import Expected, of_array
from .fit import WholeFloats, fitted_array, fitted_words
from .fitted import Complaint, Fitted
from .layer_names import bare, dut_names, means, nearest, some
from .number_files import NumberFile, fitted_file, is_number_file
from .open_dump import open_dump
from .reading import RESULT, Reading
from .side_files import complaint_of, side_names, sides_of
from .waves import is_waves, open_waves, sampled

_NPY_MAGIC = b"\x93NUMPY"


@contextmanager
def open_dut(
    path: PathLike, golden: Dump, reading: Reading | None = None, ignore: Sequence[str] = ()
) -> Iterator[Dump]:
    """Open what a device wrote for the length of a ``with`` block; FileError if nothing in it can be read."""
    wanted = reading or Reading()
    place = Path(path)
    if wanted.handshake is not None or (is_waves(place) and place.is_file()):
        yield _waves(place, golden, wanted)
        return
    name = name_of(place, golden, wanted) if _is_one_array(place) else None
    with open_dump(path, ignore, as_written=False, name=name) as dump:
        found = fitted(dump, golden, wanted)
        yield found if name is None else replace(found, asked=(layer_and_stage(name)[0],))


def _is_one_array(path: Path) -> bool:
    """Whether a file is one array, or one row of numbers."""
    return (
        path.is_file()
        and (begins_with(path, _NPY_MAGIC) or is_number_file(path.name))
        and not begins_with(path, b"PK\x03\x04", b"\x89HDF")
    )


def _waves(path: Path, golden: Dump, reading: Reading) -> Dump:
    """The words that passed a handshake, as a dump of one layer."""
    place = printable(path)
    if reading.handshake is None:
        raise RangeError(f"{place}: holds waves, --clock, --valid and --data SIGNAL say what is sampled")
    layer = _chosen(golden, reading) or _only(golden)
    if layer is None:
        raise FileError(f"{place}: of which layer is it? --layer says it; the golden has {some(golden.layers, 4)}")
    words, notes = sampled(open_waves(path), reading.handshake)
    held: dict[str, Values] = {}
    for name, source in words.items():
        stage = name if name != RESULT or reading.stage is None else reading.stage
        if stage not in (*STAGES, RESULT):
            raise RangeError(f"--data {shown(stage)}=SIGNAL: is no stage; stages: {', '.join(STAGES)}")
        expected = _expected(golden, layer, stage)
        if expected is None:
            raise FileError(f"{golden.file}: layer {shown(layer)} has no stage {shown(stage)}")
        held[stage], said = fitted_words(source, expected, reading)
        notes += said
        if source.masks is not None:
            unknown = source.masks.any(axis=1)
            count = int(unknown.sum())
            have = "1 word has" if count == 1 else f"{count} words have"
            notes.append(
                f"{source.place}: {have} unknown bits (x or z), the first is {source.where(int(unknown.argmax()))}"
            )
    count = max(values.shape[0] for values in held.values())
    return Dump(place, WAVES, {layer: held}, count, ordered=False, path=path, notes=tuple(notes), asked=(layer,))


def name_of(path: Path, golden: Dump, reading: Reading) -> str:
    """LAYER.STAGE of a file that is the whole dump: by the options, its name, or because there is one layer alone."""
    layer, stage = layer_and_stage(path.stem)
    if stage == RESULT and layer in STAGES:
        layer, stage = path.absolute().parent.name, layer
    named = _layer_of(golden, layer, reading)
    chosen = _chosen(golden, reading) or named or _only(golden)
    if chosen is None:
        layers = some(golden.layers, 4)
        raise FileError(f"{printable(path)}: of which layer is it? --layer says it; the golden has {layers}")
    if named is not None and named != chosen:
        raise FileError(f"{printable(path)}: is called after layer {shown(named)}, --layer says {shown(chosen)}")
    if reading.stage is not None and stage != RESULT and reading.stage not in (stage, RESULT):
        raise FileError(f"{printable(path)}: is called after stage {stage}, --stage says {reading.stage}")
    if stage == RESULT and reading.stage is not None:
        stage = reading.stage
    return chosen if stage == RESULT else f"{chosen}.{stage}"


def _chosen(golden: Dump, reading: Reading) -> str | None:
    if reading.layer is None:
        return None
    found = [layer for layer in golden.layers if reading.layer in (layer, bare(layer))]
    found = found or [layer for layer in golden.layers if means(reading.layer, layer)]
    if len(found) != 1:
        like = nearest(reading.layer, golden.layers)
        proposed = "" if like is None else f"; the nearest is {shown(like)}"
        raise RangeError(
            f"--layer {shown(reading.layer)} means {len(found)} layers of the golden, needed one{proposed}"
        )
    return found[0]


def _layer_of(golden: Dump, name: str, reading: Reading) -> str | None:
    """The golden's layer of a name, None where it has none."""
    mapped = {there: here for here, there in reading.names.items()}
    found = [layer for layer in golden.layers if mapped.get(name, name) in (layer, bare(layer)) or bare(name) == layer]
    return found[0] if len(found) == 1 else None


def _only(golden: Dump) -> str | None:
    """The one layer that a golden judges."""
    judged = [layer for layer in golden.layers if layer not in golden.inputs]
    return judged[0] if len(judged) == 1 else None


# --------------------------------------------------------------------------------------------------------------- shapes


def fitted(dump: Dump, golden: Dump, reading: Reading) -> Dump:
    """The dump with its arrays in the shapes of the golden's, and with notes on how each was read.

    RangeError for an order of a vector pack, whose manifest says how its arrays lie.
    """
    if dump.kind == VECTORS:
        if reading.order is not None:
            raise RangeError(
                f"--order {reading.order.name}: {dump.file} is a vector pack, whose manifest says how its arrays lie"
            )
        return dump
    sides = sides_of(dump.arrays)
    side_layers = {*sides}
    names = dut_names(golden.layers, [layer for layer in dump.layers if layer not in sides], reading.names)
    back = {there: here for here, there in names.items()}
    notes: list[str] = []
    passed = dict(dump.passed_over)
    arrays: dict[str, dict[str, Values]] = {}
    for layer, stages in dump.arrays.items():
        if layer in side_layers:
            continue
        here = back.get(layer, layer)
        for stage, values in stages.items():
            expected = _expected(golden, here, stage)
            if expected is None and _has_file(values):
                passed[_name_in(dump, values)] = NO_READER
                continue
            fit = values if expected is None else _fit(values, expected, reading, stage, notes)
            for name in side_names(layer, stage):
                side = sides.pop(name, None) if expected is not None and _complains(fit) else None
                fit = fit if side is None or expected is None else _complaining(fit, complaint_of(side, expected))
            arrays.setdefault(layer, {})[stage] = fit
    passed |= {_name_in(dump, side): NO_READER for side in sides.values()}
    if not arrays:
        raise FileError(f"{dump.file}: holds nothing that the golden has ({some([*passed])}: not read)")
    images = dump.images
    if images is not None and golden.images is not None:
        known = of_array(golden.images.shape, golden.images.dtype)
        images = _fit(images, known, reading, IMAGES, notes)
    elif images is not None and _has_file(images):
        passed[_name_in(dump, images)] = NO_READER
        images = None
    count = max(values.shape[0] for stages in arrays.values() for values in stages.values())
    said = (*dump.notes, *dict.fromkeys(notes))
    return replace(dump, arrays=arrays, images=images, count=count, notes=said, passed_over=passed)


def _complains(values: Values) -> bool:
    """Whether values can carry a complaint."""
    return isinstance(values.judged if isinstance(values, Forms) else values, Fitted)


def _complaining(values: Values, complaint: Complaint | None) -> Values:
    """The same values with one complaint more."""
    if complaint is None:
        return values
    if isinstance(values, Forms):
        return replace(values, judged=_complaining(values.judged, complaint))
    return replace(values, complaints=(*values.complaints, complaint)) if isinstance(values, Fitted) else values


def _expected(golden: Dump, layer: str, stage: str) -> Expected | None:
    held: Mapping[str, Values] = golden.arrays.get(layer, {})
    for name in (stage, *(("code", "accumulator") if stage == RESULT else ())):
        if name in held:
            return None if isinstance(held[name], Damaged) else golden.expects(layer, name)
    if RESULT in held and stage in ("code", "accumulator"):
        return None if isinstance(held[RESULT], Damaged) else golden.expects(layer, RESULT)
    return None


def _has_file(values: Values) -> bool:
    return isinstance(values, NumberFile) or (isinstance(values, Forms) and isinstance(values.judged, NumberFile))


def _name_in(dump: Dump, values: Any) -> str:
    place: str = values.place
    return place.removeprefix(f"{dump.file}/")


def _fit(values: Values, expected: Expected, reading: Reading, stage: str, notes: list[str]) -> Values:
    """One array, or each of its forms."""
    if isinstance(values, Forms):
        forms = [
            (place, _fit(form, expected, reading, stage, notes))
            for place, form in ((values.place, values.judged), *values.others)
        ]
        return one_or_more(forms)
    if isinstance(values, Damaged):
        return values
    try:
        if isinstance(values, NumberFile):
            found, said = fitted_file(values, expected, reading, stage)
        else:
            place = getattr(values, "place", None)
            place = place if isinstance(place, str) else stage
            values = _without_floats(values, place, reading, notes)
            found, said = fitted_array(values, place, expected, reading)
    except FileError as error:
        return Damaged(str(error))
    notes.extend(said)
    return found


def _without_floats(values: Values, place: str, reading: Reading, notes: list[str]) -> Values:
    """Integers; FileError, with the remedy, for floats that no option allows."""
    if values.dtype.kind != "f":
        return values
    whole = WholeFloats(values, place)
    if reading.any_integer_type:
        notes.append(f"{place}: holds {values.dtype}, read as integers")
        return whole
    rows = max(1, (1 << 22) * values.shape[0] // max(1, int(np.prod(values.shape))))
    for start in range(0, values.shape[0], rows):
        whole.read(start, min(start + rows, values.shape[0]))
    raise FileError(
        f"{place}: holds {values.dtype}, needed integers; all are whole numbers: --any-integer-type compares them"
    )

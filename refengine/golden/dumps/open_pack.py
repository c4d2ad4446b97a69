"""A dump that is a vector pack: the golden as it was written, or what a DUT made of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ...errors import FileError
from ...ops import OPS
from ...text import printable, shown
from ...vectors.manifest import MANIFEST
from ...vectors.reader import Vectors, open_vectors
from ...vectors.tensors import LOGITS
from .chosen import Chosen, files_below
from .dump import IMAGES, VECTORS, Dump, Values, checked, one_or_more
from .expected import of_entry
from .layer_names import some
from .number_files import fitted_pack_file
from .reading import Reading

CONSTANT_CHANGED = "changed since it was written, and nothing that a layer gives"
_RADIX = {"readmemh": 16, "readmemb": 2, "hex": 16, "dat": 10}
_WRITTEN_BY_SIMULATORS = (*_RADIX, "coe", "mif")


def open_pack(path: Path, chosen: Chosen, stack: ExitStack, as_written: bool) -> Dump:
    """A pack as it was written, or what a DUT made of one."""
    pack = stack.enter_context(open_vectors(path, as_written))
    if as_written:
        pack.verify()
    changed = () if as_written else pack.changed()
    arrays: dict[str, dict[str, Values]] = {}
    said: list[str] = []
    for layer in pack.layers:
        found = {stage: _forms(pack, f"{layer}/{stage}", changed, chosen, said) for stage in pack.stages(layer)}
        held = {stage: values for stage, values in found.items() if values is not None}
        if held:
            arrays[layer] = held
    images, logits = (
        _forms(pack, tensor, changed, chosen, said) if pack.holds(tensor) else None for tensor in (IMAGES, LOGITS)
    )
    inputs = frozenset(_inputs(pack))
    own = {MANIFEST, *(stored.file for stored in pack.files)}
    for file in files_below(path, chosen.name):
        if file not in own:
            chosen.pass_over(file, "not a file of the pack")
    judged = {f"{layer}/{stage}" for layer in pack.layers for stage in pack.stages(layer)} | {IMAGES, LOGITS}
    for file in changed:
        if file.rpartition(".")[0] not in judged:
            chosen.pass_over(file, CONSTANT_CHANGED)
    read = [file for file in changed if file.rpartition(".")[0] in judged and file not in chosen.known["ignored"]]
    notes = (f"{chosen.name}: {some(read)}: changed since it was written, judged as it is",) if read else ()
    return Dump(
        chosen.name,
        VECTORS,
        arrays,
        pack.count,
        pack.first_image,
        pack.model_hash,
        pack.images_sha256,
        images,
        pack.model if pack.is_there(pack.model.name) else None,
        path=path,
        address=pack.address_of,
        notes=(*notes, *said),
        logits=logits,
        inputs=inputs,
        given=frozenset() if pack.holds(IMAGES) else inputs,
        expected=lambda layer, stage: of_entry(pack.entry(f"{layer}/{stage}")),
        **chosen.known,
    )


def _inputs(pack: Vectors) -> Iterator[str]:
    """Layers that a pack holds as inputs of others alone: without their sums, or without what they read."""
    there = pack.layers
    if not pack.holds(IMAGES):
        yield from there[:-1]  # the codes of all but the last one were given
        return
    for layer in pack.manifest.layers:
        name, op, inputs, residual = (layer.get(key) for key in ("name", "op", "inputs", "residual"))
        if name not in there:
            continue
        if op not in (*OPS,) or not isinstance(inputs, list):
            raise FileError(
                f"{pack.file}/{MANIFEST}: layer {shown(name)}: needed 'op' and 'inputs' of a known operator"
            )
        sums = OPS[op].ACCUMULATES and "accumulator" not in pack.stages(name)
        if sums or not all(read in there for read in (*inputs, residual) if read is not None):
            yield name


def _forms(pack: Vectors, tensor: str, changed: Sequence[str], chosen: Chosen, said: list[str]) -> Values | None:
    """A tensor of a pack in every format whose file is there, those first that were changed; None where none is."""

    def opened(fmt: str) -> Values:
        file = files[fmt]
        if file not in changed or fmt not in _WRITTEN_BY_SIMULATORS:
            return pack.tensor(tensor, fmt)
        place = f"{chosen.name}/{printable(file)}"
        found, notes = fitted_pack_file(pack.path / file, place, pack.entry(tensor), Reading(radix=_RADIX.get(fmt)))
        said.extend(notes)
        return found

    files = {fmt: stored.file for fmt, stored in pack.entry(tensor).files.items() if pack.is_there(stored.file)}
    taken = (fmt for fmt in files if chosen.takes(files[fmt], tensor))
    formats = sorted(taken, key=lambda fmt: files[fmt] not in changed)
    forms = [(f"{chosen.name}/{printable(files[fmt])}", checked(partial(opened, fmt))) for fmt in formats]
    return one_or_more(forms) if forms else None

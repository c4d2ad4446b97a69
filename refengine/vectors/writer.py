"""Vectors: a folder with everything that a testbench reads: pixels, constants, every stage of every layer, logits.

Each tensor (``vectors/tensors.py``) is written in the formats chosen, packed into words (``vectors/words.py``) as a
``Layout`` says, with a manifest that says it all again and the integer network itself.  Elements of an image lie one
after the other in the layout's order of axes; every image begins with a new word.

``write_vectors`` runs the network once, into a trace inside the unfinished folder, and streams from there into the
files, so memory stays bounded by a batch.  Files are not synchronised with the disk one by one, which would take longer
than writing them: after a loss of power the digests of the manifest tell.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import FileError, NetworkError, RangeError
from ..network.batches import Images, image_count
from ..network.int_file import write_int_network
from ..network.int_network import IntLayer, IntNetwork
from ..runs.trace import Trace, choose_layers, open_trace, roundings, write_trace
from ..text import PathLike, printable, shown
from . import npy, readmem
from .layout import Layout, check_patterns
from .manifest import MANIFEST, MODEL, Entry, Manifest, Stored, read_manifest, sha256_of, to_json
from .parameters import FILE, as_c, parameters
from .reader import Address, Vectors, open_vectors
from .size import check_room
from .stream import ENDING, check_stream, side_memory, side_words
from .tensors import IMAGES, PARTS, Tensor, constant, feeders, tensors_of
from .text_formats import FORMATS, NPY, TEXT_FORMATS, C, extension
from .whole_folder import check_folder, write_folder
from .words import Packing, pack

__all__ = ["Address", "Layout", "Vectors", "check_pack", "check_target", "open_vectors", "write_vectors"]

_ELEMENTS_AT_ONCE = 1 << 22

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]


def write_vectors(
    network: IntNetwork,
    images: Images,
    directory: PathLike,
    *,
    formats: Sequence[str] = (NPY, "readmemh"),
    layout: Layout | None = None,
    layers: Sequence[str] | None = None,
    partial_sums_of: str | None = None,
    stream: bool = False,
    first_image: int = 0,
    backend: str = "fast",
    threads: int = 1,
    batch: int | None = None,
    inputs: Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Run uint8 images (N, H, W, C) and write a pack; the folder appears whole or not at all.

    ``layers``: names or shell patterns; of the layers that the chosen ones read, the codes are written too.  Images,
    logits and the network are always there, in C also the layers' parameters (``vectors/parameters.py``).  ``stream``:
    beside each tensor of images a file of tkeep and tlast (``vectors/stream.py``).  ``progress(done, total)`` counts
    tensors.  RangeError for an unknown format or a layout that a tensor does not fit, NetworkError for an unknown
    layer, FileError where ``directory`` is not empty (``overwrite`` replaces a pack, and nothing else), cannot be
    written, or lies on a disk without the room.
    """
    network.require_static("a vector pack")
    layout = Layout() if layout is None else layout
    chosen_formats = _checked_formats(formats)
    wanted, partial = _wanted(network, layers, partial_sums_of)
    tensors = tensors_of(network, image_count(images), wanted, partial)
    check_patterns(layout, tensors)
    packings = [(tensor, layout.order(tensor), layout.packing(tensor)) for tensor in tensors]
    if stream:
        _check_streams(packings)
    with write_folder(directory, inputs, check_pack if overwrite else None) as folder:
        write_int_network(network, folder / MODEL)
        planned = [Entry(tensor, order, packing, {}) for tensor, order, packing in packings]
        check_room(directory, planned, chosen_formats, (folder / MODEL).stat().st_size, stream)
        run = folder / "run.h5"
        write_trace(
            network, images, run, layers=[*wanted], partial_sums_of=partial, backend=backend, batch=batch,
            first_image=first_image, threads=threads,
        )  # fmt: skip
        entries = []
        with open_trace(run) as trace:
            for entry in planned:
                blocks = functools.partial(_blocks, network, trace, entry.tensor)
                entries.append(_write_tensor(blocks, entry, chosen_formats, folder, stream))
                if progress is not None:
                    progress(len(entries), len(planned))
            headers = [name for name, parts in wanted.items() if parts == PARTS and C in chosen_formats]
            known = trace.count, trace.first_image, trace.images_sha256
            manifest = _manifest_of(
                network, *known, chosen_formats, tuple(entries), _stored(folder, MODEL),
                tuple(_write_parameters(network, name, folder) for name in headers),
            )  # fmt: skip
        run.unlink()
        (folder / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
    return manifest


def write_layer_vectors(
    network: IntNetwork,
    layer: IntLayer,
    stages: Mapping[str, Array],
    folder: Path,
    model: Path,
    *,
    formats: Sequence[str] = (NPY, "readmemh"),
    layout: Layout | None = None,
    stream: bool = False,
) -> Manifest:
    """Write a pack of one layer whose input codes are given, and come from no image, into a new folder.

    ``stages``: LAYER/STAGE -> integers (N, ...): the codes of every layer that ``layer`` reads, and its own stages.
    The pack is that of ``write_vectors`` with this layer chosen, but for images and logits, which are not there; what a
    pattern of ``layout`` means may be in other packs.  ``model``: the network's file in another pack, of which this one
    gets a link, or a copy where the disk has no links.  RangeError for an unknown format, or a layout that a tensor
    does not fit.
    """
    layout = Layout() if layout is None else layout
    chosen_formats = _checked_formats(formats)
    count = len(next(iter(stages.values())))
    wanted, _ = _wanted(network, [layer.name], None)
    tensors = [tensor for tensor in tensors_of(network, count, wanted) if tensor.layer is not None]
    folder.mkdir()
    try:
        os.link(model, folder / MODEL)
    except OSError:
        shutil.copyfile(model, folder / MODEL)
    entries = []
    for tensor in tensors:
        array = stages[tensor.name] if tensor.has_images else constant(layer, tensor.part)[None]
        entry = Entry(tensor, layout.order(tensor), layout.packing(tensor), {})
        entries.append(_write_tensor(functools.partial(iter, [array]), entry, chosen_formats, folder, stream))
    manifest = _manifest_of(network, count, 0, None, chosen_formats, tuple(entries), _stored(folder, MODEL), ())
    (folder / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
    return manifest


def check_target(directory: PathLike, inputs: Iterable[PathLike] = (), overwrite: bool = False) -> None:
    """FileError, before any work is done, if ``write_vectors`` would refuse the folder."""
    check_folder(directory, inputs, check_pack if overwrite else None)


def check_pack(folder: PathLike) -> None:
    """FileError unless a folder is a pack with nothing in it that is not the pack's, so that it may be replaced."""
    manifest = read_manifest(folder)
    own = {MANIFEST, *(stored.file for stored in manifest.every_file)}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in own:
            raise FileError(f"{printable(os.fspath(folder))}: holds {shown(name)}, which is not of the pack; kept")


def _checked_formats(formats: Sequence[str]) -> tuple[str, ...]:
    for name in formats:
        if name not in FORMATS:
            raise RangeError(f"format {name!r} is unknown; available: {', '.join(FORMATS)}")
    if not formats:
        raise RangeError(f"no format is chosen; available: {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(formats))


def _wanted(
    network: IntNetwork, patterns: Sequence[str] | None, partial_sums_of: str | None
) -> tuple[dict[str, Sequence[str]], str | None]:
    """layer -> parts to write, in order of execution; and the layer of the partial sums by its full name."""
    partial = None if partial_sums_of is None else network.layer(partial_sums_of).name
    if partial is not None and "weight" not in network.layer(partial).constants:
        raise NetworkError(f"layer {partial!r} ({network.layer(partial).op}) has no clusters, and no partial sums")
    chosen = [layer.name for layer in choose_layers(network, patterns)]
    chosen += [partial] if partial is not None else []
    read = {name for name in chosen for name in feeders(network.layer(name))}
    wanted: dict[str, Sequence[str]] = {}
    for layer in network.layers:
        if layer.name in chosen:
            wanted[layer.name] = PARTS
        elif layer.name in read:
            wanted[layer.name] = ("code",)
    return wanted, partial


def _check_streams(packings: Iterable[tuple[Tensor, str, Packing]]) -> None:
    for tensor, _, packing in packings:
        try:
            if tensor.has_images:
                check_stream(packing)
        except RangeError as error:
            raise RangeError(f"{tensor.name}: {error}") from None


def _write_tensor(
    blocks: Callable[[], Iterable[Array]], entry: Entry, formats: Sequence[str], folder: Path, stream: bool
) -> Entry:
    """The tensor, some images at a time or one block (1, ...), in every format, and what goes beside its stream.

    It returns the entry with its files.
    """
    tensor, files = entry.tensor, {}
    for name in formats:
        path = f"{tensor.name}{extension(name)}"
        (folder / path).parent.mkdir(exist_ok=True)
        with open(folder / path, "wb") as file:
            out = _Measured(file)
            if name == NPY:
                npy.write(out, tensor.dtype, tensor.shape, blocks())
            else:
                TEXT_FORMATS[name].write(out, entry.memory, words_of(blocks(), entry))
        files[name] = Stored(path, out.size, out.digest.hexdigest())
    beside = _write_side(entry, folder) if stream and tensor.has_images else None
    return Entry(tensor, entry.order, entry.packing, files, beside)


def _write_parameters(network: IntNetwork, layer: str, folder: Path) -> Stored:
    name = f"{layer}/{FILE}"
    (folder / layer).mkdir(exist_ok=True)
    (folder / name).write_text(as_c(layer, parameters(network, network.layer(layer))), encoding="utf-8")
    return _stored(folder, name)


def _write_side(entry: Entry, folder: Path) -> Stored:
    path = f"{entry.tensor.name}{ENDING}"
    with open(folder / path, "wb") as file:
        out = _Measured(file)
        words = side_words(entry.packing, entry.block, entry.blocks)
        readmem.write_hex(out, side_memory(entry.memory.identifier, entry.packing, entry.memory.words), words)
    return Stored(path, out.size, out.digest.hexdigest())


def _blocks(network: IntNetwork, trace: Trace, tensor: Tensor) -> Iterator[Array]:
    """The tensor, some images at a time; a constant as one block (1, ...)."""
    if not tensor.has_images:
        yield constant(network.layer(str(tensor.layer)), tensor.part)[None]
        return
    if tensor.layer is None:
        stored = trace.images if tensor.part == IMAGES else trace.logits
    else:
        stored = trace.stage(tensor.layer, tensor.part)
    size = max(1, _ELEMENTS_AT_ONCE // int(np.prod(tensor.block_shape)))
    for start in range(0, tensor.shape[0], size):
        yield stored.read(start, min(start + size, tensor.shape[0]))


def words_of(blocks: Iterable[Array], entry: Entry) -> Iterator[Array]:
    """The words of blocks (k, ...), block after block."""
    for several in blocks:
        for block in several:
            try:
                yield from pack(entry.stored(block), entry.packing)
            except RangeError as error:
                raise RangeError(f"{entry.tensor.name}: {error}") from None


class _Measured:
    """A file whose size and digest are known when it is written."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.digest.update(data)
        self._file.write(data)
        return len(data)


def _stored(folder: Path, name: str) -> Stored:
    return Stored(name, (folder / name).stat().st_size, sha256_of(folder / name))


def _manifest_of(
    network: IntNetwork,
    count: int,
    first_image: int,
    images_sha256: str | None,
    formats: tuple[str, ...],
    entries: tuple[Entry, ...],
    model: Stored,
    headers: tuple[Stored, ...],
) -> Manifest:
    return Manifest(
        refengine=__version__,
        contract=network.contract,
        network=network.name,
        model_hash=network.hash,
        roundings=roundings(network),
        count=count,
        first_image=first_image,
        images_sha256=images_sha256,
        formats=formats,
        model=model,
        layers=tuple(_layer_record(network, layer) for layer in network.layers),
        entries=entries,
        parameters=headers,
    )


def _layer_record(network: IntNetwork, layer: IntLayer) -> dict[str, Any]:
    """What a testbench must know of a layer beside its tensors."""
    step = layer.requantize
    rounds = None if step is None else {name: getattr(step, name) for name in ("rounding", "activation", "lo", "hi")}
    return {
        "name": layer.name,
        "op": layer.op,
        "inputs": layer.inputs,
        "residual": layer.residual,
        "attributes": dict(layer.attributes),
        "output_shape": network.shapes[layer.name],
        "format": network.formats[layer.name].name,
        "exponent": layer.exponent,
        "weight_format": layer.weight_format,
        "accumulator_bits": layer.accumulator_bits,
        "accumulator_policy": layer.accumulator_policy,
        "requantize": rounds and {**rounds, "seed": step.seed if step is not None else 0},
    }

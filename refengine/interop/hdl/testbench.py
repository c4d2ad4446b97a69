"""A folder in which ``make`` simulates one layer against a vector pack: parameters, testbench, DUT and Makefile.

layer_pkg.sv, layer_pkg.vhd             the layer's numbers, and the files and words of its tensors in the pack
testbench.sv, testbench.vhd or .py      streams the layer's inputs with random pauses, dumps its results
dut.sv, dut.vhd                         a stub with the ports, or the reference layer
Makefile                                builds, simulates and calls ``refengine compare``; fails unless it says EQUAL

A line of a piece that ends in ``//: STAGE`` is kept only where the layer has that stage; ``@WORD@`` is a value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import FileError, NetworkError, RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import TERNARY
from ...text import PathLike, shown
from ...vectors.manifest import Entry
from ...vectors.parameters import Groups, Values, as_systemverilog, as_vhdl, parameters
from ...vectors.reader import Vectors, open_vectors
from ...vectors.tensors import CONSTANTS, IMAGES
from ...vectors.whole_folder import write_folder
from ...vectors.words import TWOS_COMPLEMENT

PIECES = Path(__file__).with_name("pieces")
PACKAGE = "layer_pkg"
_SYSTEMVERILOG = {f"{PACKAGE}.sv": "", "testbench.sv": "testbench.sv", "dut.sv": "dut.sv"}
SIMULATORS: Mapping[str, Mapping[str, str]] = {  # file of the folder -> piece
    "icarus": {**_SYSTEMVERILOG, "Makefile": "icarus.mk"},
    "verilator": {**_SYSTEMVERILOG, "Makefile": "verilator.mk"},
    "ghdl": {f"{PACKAGE}.vhd": "", "testbench.vhd": "testbench.vhd", "dut.vhd": "dut.vhd", "Makefile": "ghdl.mk"},
    "cocotb": {f"{PACKAGE}.sv": "", "testbench.py": "cocotb.txt", "dut.sv": "dut.sv", "Makefile": "cocotb.mk"},
}
STAGES = ("accumulator", "total", "code")
FORMAT = "readmemh"

_OF_A_STAGE = re.compile(r"^(.*?) *(?://|--|#): (\w+)\n", re.MULTILINE)
_WORD = re.compile(r"@([A-Z_]+)@")
_PLAIN = re.compile(r"[-+.,/\w@~=\[\] ]+", re.ASCII)  # texts that every language, make and the shell take as they are
_NO_WORDS: Values = {"FILE": "", "WORDS": 1, "WORD_W": 8, "LANES": 1, "LANE_W": 8}


@dataclass(frozen=True)
class Driven:
    """A layer that a testbench drives: the tensors of its pack.  residual: what the residual is read from, if any."""

    network: IntNetwork
    layer: IntLayer
    pack: Vectors
    stages: tuple[str, ...]
    read: Entry
    residual: Entry | None
    constants: Mapping[str, Entry]


def write_testbench(
    pack: PathLike, directory: PathLike, layer: str, simulator: str, *, reference: bool = False, lanes: int = 1
) -> dict[str, str]:
    """Write the files of ``files_of_testbench`` into a new or empty folder, which appears whole or not at all.

    FileError for what is no pack and for a folder that has something in it, so that no DUT is ever overwritten.
    """
    with open_vectors(pack) as vectors, write_folder(directory, [pack]) as folder:
        files = files_of_testbench(vectors, layer, simulator, directory, reference, lanes)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="ascii")
    return files


def files_of_testbench(
    pack: Vectors, name: str, simulator: str, folder: PathLike, reference: bool = False, lanes: int = 1
) -> dict[str, str]:
    """Names and texts of the files of a testbench that is to lie in ``folder``.

    ``lanes``: results that the DUT gives on a beat.  ``reference``: the project's own layer in the place of a stub.
    NetworkError for a layer that cannot be driven, FileError for a pack that lacks its tensors, RangeError for an
    unknown simulator, for lanes that do not divide the channels, and for names that a language cannot hold.
    """
    if simulator not in SIMULATORS:
        raise RangeError(f"simulator {shown(simulator)} is unknown; available: {', '.join(SIMULATORS)}")
    driven = _driven(pack, name)
    channels = driven.network.shapes[driven.layer.name][-1]
    if lanes < 1 or channels % lanes:
        raise RangeError(f"{lanes} results a beat do not divide the {channels} channels of layer {driven.layer.name!r}")
    if reference:
        _check_reference(driven, lanes)
    where = os.path.relpath(os.path.realpath(pack.path), os.path.realpath(folder))
    for text in (where, driven.layer.name):
        if not _PLAIN.fullmatch(text):
            raise RangeError(f"{shown(text)} cannot stand in a testbench: needs letters, digits and -+.,/_@~=[]")
    where = Path(where).as_posix()
    groups = _groups(driven, where, lanes)
    words = _words_of(driven, groups, where)
    return {
        file: _text(file, piece, groups, words, driven.stages, reference)
        for file, piece in SIMULATORS[simulator].items()
    }


def _driven(pack: Vectors, name: str) -> Driven:
    """The layer and its tensors; NetworkError where it reads two layers, FileError where something is not there."""
    network = pack.network()
    layer = network.layer(name)
    if len(layer.inputs) > 1:
        raise NetworkError(
            f"layer {layer.name!r} ({layer.op}) reads {len(layer.inputs)} layers, a testbench streams one"
        )
    if FORMAT not in pack.manifest.formats:
        raise FileError(f"{pack.file}: is not written as {FORMAT}, which a testbench reads (vectors --format {FORMAT})")
    entries = {entry.tensor.name: entry for entry in pack.manifest.entries}
    read = f"{layer.inputs[0]}/code" if layer.inputs else IMAGES
    residual = None if layer.residual is None else f"{layer.residual}/code"
    stages = tuple(stage for stage in STAGES if f"{layer.name}/{stage}" in entries)
    if not stages or read not in entries:
        raise FileError(f"{pack.file}: has not all of layer {layer.name!r} (vectors --layer {layer.name})")
    constants = {part: entries[f"{layer.name}/{part}"] for part in CONSTANTS if f"{layer.name}/{part}" in entries}
    return Driven(
        network, layer, pack, stages, entries[read], None if residual is None else entries[residual], constants
    )


def _check_reference(driven: Driven, lanes: int) -> None:
    """NetworkError or FileError where the reference layer is not this layer, or does not read such words."""
    layer, step = driven.layer, driven.layer.requantize
    reason = None
    if layer.op != "conv" or layer.weight_format != TERNARY.name or step is None:
        reason = "is no ternary convolution with a requantization"
    elif layer.attributes["group"] != 1:
        reason = "has groups"
    elif layer.accumulator_bits != 32 or step.rounding != "half_up":
        reason = "has a narrow accumulator, or another rounding than half_up"
    if reason is not None:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}) {reason}; the reference layer is not that")
    if lanes != 1:
        raise RangeError(f"the reference layer gives one result a beat, asked for {lanes}")
    for entry in (driven.read, driven.residual, *driven.constants.values()):
        if entry is None:
            continue
        packing, several = entry.packing, entry in (driven.read, driven.residual, driven.constants["weight"])
        wide = packing.elements == 1 or (several and packing.elements)
        order = entry.tensor.has_images and entry.order != entry.tensor.axes
        if not wide or order or (packing.first, packing.endian) != ("low", "little"):
            raise FileError(
                f"{driven.pack.file}: the reference layer cannot read {entry.tensor.name} packed so; needed "
                "a word for each constant, several codes a word at most, the first low, images as n h w c"
            )
        if packing.code_map not in (None, TWOS_COMPLEMENT):
            raise FileError(f"{driven.pack.file}: the reference layer reads ternary codes in two's complement alone")


# ----------------------------------------------------------------------------------------------------------- parameters


def _groups(driven: Driven, where: str, lanes: int) -> Groups:
    layer = driven.layer
    images: Values = {"LAYER": layer.name, "IMAGES": driven.pack.count, "LANES": lanes}
    streams = {**_words("X", driven.read, where), **_words("R", driven.residual, where)}
    constants = [_words(part.upper(), entry, where) for part, entry in driven.constants.items()]
    if driven.residual is None:
        constants.append(_words("RESIDUAL_SHIFT", None, where))
    groups = {
        "layer, images, and results that the DUT gives on a beat": images,
        **parameters(driven.network, layer),
        "streams: words of an image, codes of a word, bits from one code to the next": streams,
        "constants: words in all, integers of a word": {
            name: value for one in constants for name, value in one.items()
        },
        "from one weight to the next": _steps(driven.constants.get("weight")),
    }
    return {name: values for name, values in groups.items() if values}


def _words(prefix: str, entry: Entry | None, where: str) -> Values:
    if entry is None:
        return {f"{prefix}_{name}": value for name, value in _NO_WORDS.items()}
    packing = entry.packing
    return {
        f"{prefix}_FILE": f"{where}/{entry.files[FORMAT].file}",
        f"{prefix}_WORDS": entry.block_words,
        f"{prefix}_WORD_W": packing.word_bits,
        f"{prefix}_LANES": packing.elements,
        f"{prefix}_LANE_W": packing.lane_bits,
    }


def _steps(weight: Entry | None) -> Values:
    """How far apart two weights lie that are one apart along an axis."""
    found: dict[str, int | str] = {}
    length = dict(zip(weight.tensor.axes, weight.tensor.shape, strict=True)) if weight is not None else {}
    step = 1
    for axis in reversed(weight.order if weight is not None else ""):
        found[f"WEIGHT_STEP_{axis.upper()}"] = step
        step *= length[axis]
    return found


# ---------------------------------------------------------------------------------------------------------------- texts


def _text(
    file: str, piece: str, groups: Groups, words: Mapping[str, str], stages: Sequence[str], reference: bool
) -> str:
    if piece == "":
        comment, write = ("--", as_vhdl) if file.endswith(".vhd") else ("//", as_systemverilog)
        return f"{comment} made by refengine testbench of model {words['MODEL_HASH']}\n{write(PACKAGE, groups)}"
    chosen = piece if not piece.startswith("dut.") else f"{'reference' if reference else 'stub'}{Path(piece).suffix}"
    text = (PIECES / chosen).read_text(encoding="ascii")
    text = _OF_A_STAGE.sub(lambda line: f"{line[1]}\n" if line[2] in stages else "", text)
    return _WORD.sub(lambda word: words[word[1]], text)


def _words_of(driven: Driven, groups: Groups, where: str) -> dict[str, str]:
    """What stands for the words of a piece: every parameter, the pack, and how compare is to read the dump."""
    numbers = {name: str(value) for values in groups.values() for name, value in values.items()}
    code = driven.pack.entry(f"{driven.layer.name}/{driven.stages[-1]}")
    options = " --order NHWC" if code.tensor.axes == "nhwc" != code.order else ""
    return {**numbers, "PACK": where, "OPTIONS": options, "MODEL_HASH": driven.pack.model_hash}

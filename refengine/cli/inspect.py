"""``refengine inspect``: says what a file is and what is in it.

A reader makes the figures, which ``--json`` writes as they are; a printer makes text and tables of the same figures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import FileError
from ..network.float_file import FORMAT as FLOAT_NETWORK
from ..network.float_file import read_float_network
from ..network.images import FORMAT as IMAGES
from ..network.images import open_images
from ..network.int_file import FORMAT as INT_NETWORK
from ..network.int_file import read_int_network
from ..network.read_hdf5 import open_checked
from ..runs.trace import FORMAT as TRACE
from ..runs.trace import Trace, TraceLayer, open_trace, roundings
from ..text import printable
from ..vectors.manifest import FORMAT as PACK
from ..vectors.manifest import MANIFEST, Entry
from ..vectors.reader import open_vectors
from ..vectors.tensors import AXES
from . import console, options
from .layers import FLOAT_HEADS, HEADS, ends, float_layers, float_row, int_layers, int_row, times

Figures = dict[str, Any]


@click.command("inspect")
@click.argument("file", metavar="FILE")
@options.json_file
def command(file: str, json_path: str | None) -> None:
    """Print what a file contains: a network, images, a trace or a vector pack.

    For an integer network: each layer's output and what its codes are worth (code * 2^e), its weights, the bits that
    its accumulator needs at most, and its requantization.  For a vector pack, the SHA-256 of every file is checked.
    """
    console.check_outputs([file], json_path)
    kind = PACK if (Path(file) / MANIFEST).exists() else _kind_of(file)
    read, show = _KINDS[kind]
    figures = {"file": file, "format": kind, **read(file)}
    if not console.write_json(json_path, "inspect", figures, [file]):
        show(figures)


def _kind_of(file: str) -> str:
    if Path(file).is_dir():
        raise FileError(f"{printable(file)}: is a folder without {MANIFEST}, an HDF5 file or a vector pack was needed")
    with open_checked(file, {name: {1} for name in _KINDS if name != PACK}) as root:
        return root.text("format")


# ----------------------------------------------------------------------------------------------------------- networks


def _int_network(file: str) -> Figures:
    from ..kernels.instruction_sets import chosen_target  # here, because it loads the compiler

    network = read_int_network(file)
    return {
        "instruction_set": chosen_target().name,
        "name": network.name,
        "model_hash": network.hash,
        "contract": network.contract,
        "input_shape": list(network.input_shape),
        "channels": network.channels,
        "classes": network.classes,
        "rounding": list(roundings(network)),
        "made_with": dict(network.made_with),
        "layers": int_layers(network),
    }


def _show_int_network(figures: Figures) -> None:
    console.say(f"{figures['file']}: network of integers {_network(figures)}")
    _show_origin(figures)
    console.say(f"made with {', '.join(f'{key} {value}' for key, value in figures['made_with'].items() if value)}")
    console.say(f"on this processor the fast plan uses the instruction set {figures['instruction_set']}")
    console.show_table(console.table(HEADS, map(int_row, figures["layers"])))


def _float_network(file: str) -> Figures:
    network = read_float_network(file)
    layers = float_layers(network)
    return {
        "name": network.name,
        "input_shape": list(network.input_shape),
        "channels": network.channels,
        "classes": network.classes,
        "mean": list(network.mean),
        "std": list(network.std),
        "source": network.source,
        "licence": network.licence,
        "parameters": sum(layer["parameters"] for layer in layers),
        "layers": layers,
    }


def _show_float_network(figures: Figures) -> None:
    console.say(f"{figures['file']}: float network {_network(figures)}")
    console.say(f"{figures['parameters']:,} parameters; source: {figures['source']}; licence: {figures['licence']}")
    console.show_table(console.table(FLOAT_HEADS, map(float_row, figures["layers"])))


def _network(figures: Figures) -> str:
    name, shape = figures["name"], times(figures["input_shape"])
    return f"{name!r}, images {shape} {figures['channels']}, {figures['classes']} classes"


def _show_origin(figures: Figures) -> None:
    console.say(f"model {figures['model_hash']}")
    console.say(f"contract {figures['contract']}, rounding {', '.join(figures['rounding']) or 'none'}")


# --------------------------------------------------------------------------------------------------- images and traces


def _labelled_images(file: str) -> Figures:
    with open_images(file, labels_required=False) as images:
        labels, names = images.labels, images.class_names
        return {
            "count": images.count,
            "shape": list(images.shape),
            "labels": labels is not None,
            "class_names": None if names is None else list(names),
            "classes": [] if labels is None else _classes(labels, names),
        }


def _classes(labels: np.ndarray, names: Sequence[str] | None) -> list[Figures]:
    """The classes that occur, and how often."""
    return [
        {"class": number, "name": names[number] if names else None, "images": count}
        for number, count in zip(*(found.tolist() for found in np.unique(labels, return_counts=True)), strict=True)
    ]


def _show_labelled_images(figures: Figures) -> None:
    what = "labelled images" if figures["labels"] else "images without labels"
    console.say(f"{figures['file']}: {figures['count']} {what}, {times(figures['shape'])}")
    if figures["classes"]:
        console.show_table(console.table(("class>", "name", "images>"), (row.values() for row in figures["classes"])))


def _trace(file: str) -> Figures:
    with open_trace(file) as trace:
        layers = [
            {
                "name": layer.name,
                "op": layer.op,
                "format": layer.format,
                "exponent": layer.exponent,
                "exponents": _exponents(trace, layer),
                "stages": {stage: list(trace.stage(layer.name, stage).shape[1:]) for stage in layer.stages},
            }
            for layer in map(trace.layer, trace.layers)
        ]
        return {
            "network": trace.network,
            "model_hash": trace.model_hash,
            "contract": trace.contract,
            "rounding": list(trace.roundings),
            "backend": trace.backend,
            "made_by": trace.refengine,
            "count": trace.count,
            "first_image": trace.first_image,
            "images_sha256": trace.images_sha256,
            "layers": layers,
        }


def _exponents(trace: Trace, layer: TraceLayer) -> list[int] | None:
    """The lowest and the highest exponent of the layer's codes, which may be dynamic; None for the sums of a pool."""
    if layer.op in ("avgpool", "global_avgpool") and "code" not in layer.stages:
        return None
    if "exponent" not in layer.stages:
        return [layer.exponent] * 2
    chosen = trace.stage(layer.name, "exponent").whole()
    return [int(chosen.min()), int(chosen.max())]


def _show_trace(figures: Figures) -> None:
    last = figures["first_image"] + figures["count"] - 1
    console.say(f"{figures['file']}: trace of images {figures['first_image']}..{last} through {figures['network']!r}")
    _show_origin(figures)
    console.say(f"images sha256 {figures['images_sha256']}")
    console.show_table(console.table(("layer", "op", "codes", "2^>", "stages"), map(_trace_row, figures["layers"])))


def _trace_row(layer: Figures) -> list[object]:
    stages = ", ".join(f"{stage} {times(shape)}" for stage, shape in layer["stages"].items())
    exponents = layer["exponents"] and ends(layer["exponents"])
    return [layer["name"], layer["op"], layer["format"], exponents, stages]


# ------------------------------------------------------------------------------------------------------- vector packs


def _pack(folder: str) -> Figures:
    with open_vectors(folder) as pack:
        pack.verify()
        manifest = pack.manifest
    stored = manifest.every_file[1:]
    return {
        "network": manifest.network,
        "model_hash": manifest.model_hash,
        "contract": manifest.contract,
        "rounding": list(manifest.roundings),
        "made_by": manifest.refengine,
        "count": manifest.count,
        "first_image": manifest.first_image,
        "images_sha256": manifest.images_sha256,
        "formats": list(manifest.formats),
        "files": len(stored) + 2,
        "bytes": sum(file.size for file in [*stored, manifest.model]),
        "layers": [{name: layer.get(name) for name in ("name", "op", "output_shape")} for layer in manifest.layers],
        "tensors": [_tensor(entry) for entry in manifest.entries],
    }


def _tensor(entry: Entry) -> Figures:
    tensor, packing = entry.tensor, entry.packing
    return {
        "name": tensor.name,
        "layer": tensor.layer,
        "part": tensor.part,
        "shape": list(tensor.shape),
        "order": entry.order,
        "bits": tensor.bits,
        "signed": tensor.signed,
        "word_bits": packing.word_bits,
        "elements_per_word": packing.elements or None,
        "words": entry.blocks * entry.block_words,
    }


def _show_pack(figures: Figures) -> None:
    from ..vectors.size import amount

    last = figures["first_image"] + figures["count"] - 1
    what = "images " if figures["images_sha256"] else "given codes, "
    console.say(
        f"{figures['file']}: vector pack of {what}{figures['first_image']}..{last} through {figures['network']!r}, "
        f"as {', '.join(figures['formats'])}, {figures['files']} files, {amount(figures['bytes'])}"
    )
    _show_origin(figures)
    if figures["images_sha256"]:
        console.say(f"images sha256 {figures['images_sha256']}")
    layers = {layer["name"]: layer for layer in figures["layers"]}
    tensors = figures["tensors"]
    rows = [_pack_row(None, [tensor for tensor in tensors if tensor["layer"] is None])]
    for name, layer in layers.items():
        held = [tensor for tensor in tensors if tensor["layer"] == name]
        if held:
            rows.append(_pack_row(layer, held))
    console.show_table(console.table(("layer", "op", "output", "constants", "of each image"), rows))
    console.say(
        "bits of each integer, 'in' those of a word where it is wider, and the order of the axes where it is another"
    )
    console.say("every file is as it was written: sizes and SHA-256 are the manifest's")


def _pack_row(layer: Figures | None, tensors: Sequence[Figures]) -> list[object]:
    def words(of_images: bool) -> str:
        return ", ".join(_in_words(one) for one in tensors if one["order"].startswith("n") == of_images)

    if layer is None:
        return [None, None, None, words(False), words(True)]
    shape = layer["output_shape"]
    return [layer["name"], layer["op"], times(shape) if isinstance(shape, list) else None, words(False), words(True)]


def _in_words(tensor: Figures) -> str:
    """``weight 2 in 8 ohwi``: the bits, those of a word, and the order."""
    said = f"{tensor['part']} {tensor['bits']}"
    if tensor["word_bits"] != tensor["bits"]:
        said += f" in {tensor['word_bits']}"
    return said if tensor["order"] in AXES else f"{said} {tensor['order']}"


_KINDS = {
    INT_NETWORK: (_int_network, _show_int_network),
    FLOAT_NETWORK: (_float_network, _show_float_network),
    IMAGES: (_labelled_images, _show_labelled_images),
    TRACE: (_trace, _show_trace),
    PACK: (_pack, _show_pack),
}

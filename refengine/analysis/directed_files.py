"""Directed stimuli as vector packs: few images for a whole network, and the worst cases of each layer.

    DIR/images              the chosen images, through the whole network
    DIR/worst_case/LAYER    codes that drive the layer's sum to the low (0) and to the high end (1) of its bound, and
                            what it makes of them; a pack of that layer alone, without images and logits

Each is a vector pack, so that a testbench reads it, and ``compare`` judges what comes of it, as any other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..network.batches import Images, image_count
from ..network.images import LabelledImages
from ..network.int_network import IntLayer, IntNetwork
from ..runs.trace import choose_layers
from ..text import PathLike, printable, shown
from ..vectors.layout import Layout, without_others
from ..vectors.manifest import MODEL, Manifest
from ..vectors.tensors import PARTS, tensors_of
from ..vectors.text_formats import NPY
from ..vectors.whole_folder import check_folder, write_folder
from ..vectors.writer import check_pack, write_layer_vectors, write_vectors
from .coverage import LayerCoverage, Seen, accumulating, coverage, judged, look
from .directed import cover, points_of_images
from .intervals import reach
from .observed import Progress
from .worst_case import Stimulus, proven
from .worst_case_files import stimuli, stimulus_arrays

IMAGES, WORST_CASE = "images", "worst_case"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Directed:
    """What was written, and what it reaches.

    chosen: numbers of the images, out of ``looked_at``.  by_images, by_worst_case: what the chosen images and the worst
    cases exercise, layer by layer.  attained: layers whose worst cases come to both ends of their bound.  manifests: of
    all packs, that of the images first.
    """

    chosen: tuple[int, ...]
    looked_at: int
    by_images: tuple[LayerCoverage, ...]
    by_worst_case: tuple[LayerCoverage, ...]
    attained: tuple[str, ...]
    manifests: tuple[Manifest, ...]

    @property
    def missed(self) -> dict[str, tuple[str, ...]]:
        """Layer -> its points that nothing reaches, without layers of which everything is reached."""
        both = zip(self.by_images, self.by_worst_case, strict=True)
        missed = {one.layer: tuple(name for name in one.missed if name in other.missed) for one, other in both}
        return {layer: names for layer, names in missed.items() if names}


def write_directed(
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
    only: range | None = None,
    backend: str = "fast",
    threads: int = 1,
    inputs: Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Directed:
    """Write the fewest images that reach what all of ``only`` (None: all) do, and each layer's worst cases.

    images uint8 (N, H, W, C).  ``layers``: names or shell patterns, as of ``write_vectors``, whose errors these are;
    NetworkError where none of them accumulates.  ``progress(done, total)`` counts images looked at.
    """
    network.require_static("a vector pack")
    check_folder(directory, inputs, check_directed if overwrite else None)
    chosen_layers = choose_layers(network, layers)
    judged_layers = accumulating(network, chosen_layers)
    numbers = range(image_count(images)) if only is None else only
    reached = points_of_images(
        network, images, layers=judged_layers, threads=threads, progress=progress, first_image=first_image, only=only
    )
    chosen = cover(reached)
    pixels = _taken(images, chosen)
    layout = Layout() if layout is None else layout
    with write_folder(directory, inputs, check_directed if overwrite else None) as folder:
        manifests = [
            write_vectors(
                network, pixels, folder / IMAGES, layers=layers, partial_sums_of=partial_sums_of, backend=backend,
                threads=threads, formats=formats, layout=layout, stream=stream,
            )
        ]  # fmt: skip
        (folder / WORST_CASE).mkdir()
        worst = {layer.name: _worst_cases(network, layer) for layer in judged_layers}
        for layer in judged_layers:
            manifests.append(_write_worst_case(network, layer, worst[layer.name], folder, formats, layout, stream))
    possible = reach(network)
    seen = {layer.name: _seen(network, layer, worst[layer.name]) for layer in judged_layers}
    return Directed(
        chosen,
        len(numbers),
        coverage(network, pixels, layers=judged_layers, backend=backend, threads=threads),
        tuple(judged(network, layer, seen[layer.name], possible[layer.name]) for layer in judged_layers),
        tuple(name for name, ends in worst.items() if all(one.attains for one in ends)),
        tuple(manifests),
    )


def check_directed(folder: PathLike) -> None:
    """FileError unless a folder is what ``write_directed`` writes and nothing else, so that it may be replaced."""
    path, name = Path(folder), printable(os.fspath(folder))
    packs = {path / IMAGES}
    if (path / WORST_CASE).is_dir():
        packs |= {*(path / WORST_CASE).iterdir()}
    for one in packs:
        check_pack(one)
    for one in (*path.iterdir(), *(path / WORST_CASE).iterdir()):
        if one not in (*packs, path / WORST_CASE):
            raise FileError(f"{name}: holds {shown(one.relative_to(path).as_posix())}, which is of no pack; kept")


def _taken(images: Images, numbers: Sequence[int]) -> Array:
    return images.take(numbers) if isinstance(images, LabelledImages) else images[[*numbers]]


def _worst_cases(network: IntNetwork, layer: IntLayer) -> tuple[Stimulus, ...]:
    """Both ends; a residual that is an input too, and has one code only, is that input."""
    found = stimuli(network, layer)
    if layer.residual not in layer.inputs:
        return found
    number = layer.inputs.index(layer.residual)
    return tuple(replace(one, residual=one.operands[number]) for one in found)


def _seen(network: IntNetwork, layer: IntLayer, found: Sequence[Stimulus]) -> Seen:
    """What a layer's worst cases come to."""
    position = network.layers.index(layer)
    seen = [look(layer, one.operands, proven(layer, one, position)) for one in found]
    return reduce(or_, seen)


def _write_worst_case(
    network: IntNetwork,
    layer: IntLayer,
    found: Sequence[Stimulus],
    folder: Path,
    formats: Sequence[str],
    layout: Layout,
    stream: bool,
) -> Manifest:
    """The pack of one layer; of an input layer, which reads pixels, one of images."""
    target, arrays = folder / WORST_CASE / layer.name, stimulus_arrays(network, layer, found)
    if not layer.inputs:
        own = without_others(layout, tensors_of(network, len(found), {layer.name: PARTS}))
        return write_vectors(
            network, arrays["input_0"], target, layers=[layer.name], formats=formats, layout=own, stream=stream
        )
    stages = {f"{layer.name}/{part}": array for part, array in arrays.items()}
    stages |= {f"{name}/code": arrays[f"input_{number}"] for number, name in enumerate(layer.inputs)}
    if layer.residual is not None:
        stages[f"{layer.residual}/code"] = arrays["residual"]
    return write_layer_vectors(
        network, layer, stages, target, folder / IMAGES / MODEL, formats=formats, layout=layout, stream=stream
    )


# -------------------------------------------------------------------------------------------------------------- report


def sentences(found: Directed, directory: PathLike) -> tuple[str, ...]:
    """What the images and the worst cases reach, and what neither does."""
    name, layers = printable(os.fspath(directory)), len(found.by_images)
    points = {(one.layer, point) for one in found.by_images for point in (*one.reached, *one.missed)}
    images, worst = _reached(found.by_images), _reached(found.by_worst_case)
    numbers = ", ".join(map(str, found.chosen))
    missed = "; ".join(f"{layer}: {', '.join(names)}" for layer, names in found.missed.items())
    return (
        f"{name}/{IMAGES}: {_counted(len(found.chosen), 'image')} of {found.looked_at} ({numbers}), the fewest found, "
        f"reach{'' if len(found.chosen) > 1 else 'es'} "
        f"what all of them do: {len(images):,} of {_counted(len(points), 'point')} of the arithmetic",
        f"{name}/{WORST_CASE}: inputs of {_counted(layers, 'layer')} reach {len(worst - images):,} more; the sums come "
        f"to both ends of their bound in {len(found.attained)}",
        f"reached by nothing: {missed}" if missed else "every point is reached",
    )


def figures(found: Directed) -> dict[str, Any]:
    """The same in types that JSON knows."""
    both = zip(found.by_images, found.by_worst_case, strict=True)
    return {
        "images": [*found.chosen],
        "of": found.looked_at,
        "layers": [
            {
                "layer": one.layer,
                "by_images": [*one.reached],
                "by_worst_case": [*other.reached],
                "missed": [*found.missed.get(one.layer, ())],
                "bits_seen": max(one.bits_seen, other.bits_seen),
                "bits_bound": one.bits_bound,
                "attained": one.layer in found.attained,
            }
            for one, other in both
        ],
    }


def _reached(layers: Sequence[LayerCoverage]) -> set[tuple[str, str]]:
    return {(one.layer, point) for one in layers for point in one.reached}


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"

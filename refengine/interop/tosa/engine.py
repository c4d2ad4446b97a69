"""TOSA's reference model, by which the layers of an integer network run one by one, or the whole network in one run.

The model comes with the package tosa-tools, whose pinned dependencies need an environment of their own.  Nothing of it
is imported: its program reads a graph as JSON and tensors as .npy files.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...errors import RefengineError
from ...network.int_network import IntLayer, IntNetwork
from .building import signed, unsigned
from .export_layer import CODE, LayerGraph, layer_graph, left_out
from .export_network import IMAGE, LOGITS, to_tosa
from .requantize import no_rescale

TOSA = "tosa"
WHOLE = "tosa-network"
VARIABLE = "TOSA_PYTHON"
INSTALL = "python -m venv tosa && tosa/bin/pip install tosa-tools, then --tosa-python tosa/bin/python"
NEEDED = f"the interpreter of an environment with tosa-tools, as --tosa-python or {VARIABLE}"

Array = np.ndarray[Any, Any]

_PROGRAM, _SCHEMA, _WRITER = "tosa_reference_model", "tosa.fbs", "flatc"
_PACKAGES = ("lib*/python*/site-packages", "Lib/site-packages")  # the second on Windows
_WIDTH_OF_A_REASON = 200


@dataclass(frozen=True)
class ReferenceModel:
    """The program and the schema of its graphs."""

    program: Path
    schema: Path

    @cached_property
    def version(self) -> str:
        """What it calls itself; it then fails, for want of a graph."""
        called = re.search(r"version (\S+)", self._ran(["--version"])[1])
        if called is None:
            raise RefengineError(f"{self.program.name} says no version; needed: {NEEDED}")
        return called[1]

    def outputs(self, graph: LayerGraph, inputs: Sequence[Array], what: str) -> dict[str, Array]:
        """The graph on its inputs: stage -> integers; RefengineError, naming ``what``, where it cannot run."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            for tensor, array in zip(graph.inputs, inputs, strict=True):
                np.save(folder / f"{tensor}.npy", array)
            case = {
                "tosa_file": "graph.json",
                "ifm_name": graph.inputs,
                "ifm_file": [f"{tensor}.npy" for tensor in graph.inputs],
                "ofm_name": [*graph.outputs.values()],
                "ofm_file": [f"{stage}.npy" for stage in graph.outputs],
                "expected_return_code": 0,
                "expected_failure": False,
            }
            (folder / "graph.json").write_text(json.dumps(graph.document))
            (folder / "case.json").write_text(json.dumps(case))
            code, said = self._ran(["--operator_fbs", str(self.schema), "--test_desc", str(folder / "case.json")])
            if code:
                raise RefengineError(f"{TOSA} cannot run {what}: {_reason(said)}")
            return {stage: _written(folder / f"{stage}.npy", what) for stage in graph.outputs}

    def flatbuffer(self, document: Mapping[str, Any]) -> bytes:
        """A graph as the bytes of a ``.tosa`` file, by the compiler of schemas that lies beside the program."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "graph.json").write_text(json.dumps(document))
            writer = ReferenceModel(self.program.with_name(_WRITER + self.program.suffix), self.schema)
            code, said = writer._ran(["--binary", "-o", name, str(self.schema), str(folder / "graph.json")])
            if code:
                raise RefengineError(f"{TOSA} cannot write the graph: {_reason(said)}")
            return (folder / "graph.tosa").read_bytes()

    def _ran(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Its exit status, and what it said."""
        environment = {**environ, "PATH": ""}  # where it fails it calls a debugger, and waits for it
        try:
            done = subprocess.run(
                [str(self.program), *arguments], capture_output=True, text=True, errors="replace", env=environment
            )
        except OSError as error:
            raise RefengineError(f"{TOSA} cannot be started ({error.strerror}); needed: {NEEDED}") from None
        return done.returncode, done.stdout + done.stderr


def reference_model(python: str | PathLike[str] | None = None) -> ReferenceModel:
    """That of the environment whose interpreter is ``python``, or what ``TOSA_PYTHON`` says.

    RefengineError where neither names one with tosa-tools.
    """
    named = python or environ.get(VARIABLE)
    if not named:
        raise RefengineError(f"{TOSA} is in no known environment; needed: {NEEDED} ({INSTALL})")
    environment = Path(named).absolute().parent.parent
    for packages in _PACKAGES:
        for program in sorted(environment.glob(f"{packages}/bin/{_PROGRAM}*")):
            return ReferenceModel(program, program.parent / _SCHEMA)
    raise RefengineError(f"{str(named)[:80]!r} is in no environment with tosa-tools; needed: {NEEDED}")


class TosaEngine:
    """A network's layers, each of which runs alone on codes that are given to it.

    left_out: "LAYER.STAGE" that TOSA cannot express -> why.  by_int64: layers whose codes are not RESCALE's -> why.
    """

    def __init__(self, network: IntNetwork, model: ReferenceModel, threads: int = 1) -> None:
        """NetworkError for dynamic exponents; RefengineError for a program that does not start."""
        network.require_static("the crosscheck with TOSA")
        self._network, self._model, self._threads = network, model, threads
        self.name, self.version = TOSA, model.version
        self.left_out = {
            f"{layer.name}.{stage}": why for layer in network.layers for stage, why in left_out(layer).items()
        }
        why_not = {layer.name: no_rescale(network, layer) for layer in network.layers if not left_out(layer)}
        self.by_int64 = {name: why for name, why in why_not.items() if why is not None}

    def run(self, pixels: Array, codes: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
        """Every layer on uint8 images (N, H, W, C) or the ``codes`` (N, ..., C) of the layers that it reads.

        -> layer -> stage -> integers (N, ..., C).  RefengineError where one cannot run.
        """

        def work(layer: IntLayer) -> dict[str, Array]:
            read = [codes[name] for name in layer.inputs] or [pixels]
            if layer.residual is not None and not left_out(layer):
                read.append(codes[layer.residual])
            graph = layer_graph(self._network, layer, len(pixels))
            found = self._model.outputs(graph, [signed(array) for array in read], f"layer {layer.name!r} ({layer.op})")
            if CODE in found and self._network.formats[layer.name].dtype == np.uint8:
                found[CODE] = unsigned(found[CODE])
            return found

        with ThreadPoolExecutor(self._threads) as pool:
            found = pool.map(work, self._network.layers)
            return dict(zip((layer.name for layer in self._network.layers), found, strict=True))


class TosaNetwork:
    """A whole network, which runs from its pixels to its logits at once."""

    def __init__(self, network: IntNetwork, model: ReferenceModel) -> None:
        """NetworkError, naming the layer, for what TOSA cannot say."""
        to_tosa(network)
        self._network, self._model = network, model
        self.name, self.version = WHOLE, model.version

    def run(self, pixels: Array) -> tuple[dict[str, dict[str, Array]], Array]:
        """On uint8 images (N, H, W, C): layer -> stage -> integers (N, ..., C), and the logits (N, classes)."""
        document = to_tosa(self._network, len(pixels), layers=True)
        (region,) = document["regions"]
        names = region["blocks"][0]["outputs"]
        outputs = {f"output{number}": name for number, name in enumerate(names)}
        found = self._model.outputs(LayerGraph(document, (IMAGE,), outputs), [signed(pixels)], "the network")
        values = {name: found[file] for file, name in outputs.items()}
        stages: dict[str, dict[str, Array]] = {layer.name: {} for layer in self._network.layers}
        for name in names[:-1]:
            layer, _, stage = name.rpartition(".")
            unsigned_codes = stage == CODE and self._network.formats[layer].dtype == np.uint8
            stages[layer][stage] = unsigned(values[name]) if unsigned_codes else values[name]
        return stages, values[LOGITS]


def _written(file: Path, what: str) -> Array:
    try:
        array: Array = np.load(file)
    except (OSError, ValueError):
        raise RefengineError(f"{TOSA} cannot run {what}: it wrote no {file.stem}") from None
    return array


def _reason(text: str) -> str:
    """What a failed run says of itself, in one line."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith("WARNING")] or ["no reason given"]
    return "; ".join(said)[:_WIDTH_OF_A_REASON]

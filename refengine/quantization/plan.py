"""Plan: the format and cluster size of every layer's weights, by layer name, and the file that people read it in.

    {"format": "refengine-plan", "version": 1, "network": "resnet20", "layers": {
      "001_conv1": {"weights": "int8"},
      "004_layer1.0.conv1": {"weights": "ternary", "cluster": 16}}}

A plan names every layer with weights of one network, and no other; its other choices are those of a ``Scheme``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import FileError, SchemeError
from ..numbers.formats import INT8_WEIGHT, WEIGHT_FORMATS
from ..text import PathLike, printable, shown
from .scheme import Scheme

FORMAT, VERSION = "refengine-plan", 1
LARGEST_CLUSTER = 65536
MAX_BYTES = 1 << 24
SAID_BY_A_PLAN = ("weights", "cluster", "first", "last", "layers")
_SHOWN = 3  # names that a message tells


@dataclass(frozen=True, order=True)
class Weights:
    """A layer's weight format (ternary, int4, int8) and how many filters share a scale; int8 has none: cluster 1.

    SchemeError for another format or a cluster outside 1..65536.
    """

    format: str
    cluster: int = 1

    def __post_init__(self) -> None:
        if self.format not in WEIGHT_FORMATS:
            raise SchemeError(f"weights are {shown(self.format)}; available: {', '.join(WEIGHT_FORMATS)}")
        if type(self.cluster) is not int or not 1 <= self.cluster <= LARGEST_CLUSTER:
            raise SchemeError(f"a cluster has 1 to {LARGEST_CLUSTER} filters, found {shown(self.cluster)}")
        if self.format == INT8_WEIGHT.name and self.cluster != 1:
            raise SchemeError(f"int8 weights have no clusters, found cluster {self.cluster}")

    def __str__(self) -> str:
        return self.format if self.format == INT8_WEIGHT.name else f"{self.format}:{self.cluster}"


@dataclass(frozen=True)
class Plan:
    """Each layer's weights in the order of execution, for the float network of this name."""

    network: str
    layers: tuple[tuple[str, Weights], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.layers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SchemeError(f"plan has layer {shown(twice)} twice")

    def described(self) -> str:
        """The plan in one line: ``001_conv1=int8, 004_layer1.0.conv1=ternary:16``."""
        return ", ".join(f"{name}={weights}" for name, weights in self.layers)


def check_fits(plan: Plan, network: str, names: Iterable[str]) -> None:
    """SchemeError unless the plan names the ``names`` of the network's layers with weights, each one and no other."""
    known, planned = [*names], [name for name, _ in plan.layers]
    unknown = [name for name in planned if name not in set(known)]
    missing = [name for name in known if name not in set(planned)]
    if unknown or missing:
        made_for = f", it was made for {shown(plan.network)}" if plan.network != network else ""
        wrong = [f"{what} {_listed(found)}" for what, found in (("unknown", unknown), ("missing", missing)) if found]
        raise SchemeError(f"plan does not fit network {shown(network)}{made_for}: layers {', '.join(wrong)}")


def check_alone(plan: Plan | None, scheme: Scheme) -> None:
    """SchemeError where a plan and the scheme both say which weights layers have."""
    if plan is None:
        return
    defaults = {field.name: field.default for field in fields(Scheme)}
    for name in SAID_BY_A_PLAN:
        if getattr(scheme, name) != defaults[name]:
            raise SchemeError(f"{name} is {shown(getattr(scheme, name))}, but the plan says each layer's weights")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(shown, names[:_SHOWN])) + more


# ------------------------------------------------------------------------------------------------------------ the file


def plan_text(plan: Plan) -> str:
    """The plan as JSON, a line for each layer."""
    head = {"format": FORMAT, "version": VERSION, "network": plan.network}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(_entry(weights))}" for name, weights in plan.layers)
    return f'{json.dumps(head)[:-1]}, "layers": {{\n{lines}\n}}}}\n'


def _entry(weights: Weights) -> dict[str, Any]:
    cluster = {} if weights.format == INT8_WEIGHT.name else {"cluster": weights.cluster}
    return {"weights": weights.format, **cluster}


def read_plan(path: PathLike) -> Plan:
    """The plan in a file; FileError, naming the layer, where it is none."""
    name = printable(path)
    try:
        if not Path(path).is_file():
            wrong = "it is no file" if Path(path).exists() else "there is no such file"
            raise FileError(f"{name}: cannot be read, {wrong}")
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FileError(f"{name}: has more than {MAX_BYTES} bytes, no plan is so large")
        told = json.loads(content, object_pairs_hook=_once)
    except FileError:
        raise
    except SchemeError as error:
        raise FileError(f"{name}: {error}") from error
    except OSError as error:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError):
        raise FileError(f"{name}: is no JSON, needed a plan as 'refengine search' writes it") from None
    return plan_of(told, name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names differ: the last of two would win in silence."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise SchemeError(f"has {shown(next(name for name in names if names.count(name) > 1))} twice")
    return made


def plan_of(told: object, name: str = "plan") -> Plan:
    """The plan of what JSON holds; FileError, naming the layer, where it is none."""
    if not isinstance(told, Mapping) or (told.get("format"), told.get("version")) != (FORMAT, VERSION):
        raise FileError(f"{name}: is no plan of this version, needed format {FORMAT}, version {VERSION}")
    network, layers = told.get("network"), told.get("layers")
    if not isinstance(network, str) or not isinstance(layers, Mapping) or not layers:
        raise FileError(f"{name}: needed 'network', a name, and 'layers', an entry for each layer with weights")
    if extra := set(told) - {"format", "version", "network", "layers"}:
        raise FileError(f"{name}: has {shown(min(extra))}, which no plan has")
    return Plan(network, tuple((str(layer), _weights(entry, f"{name}, layer {shown(layer)}"))
                               for layer, entry in layers.items()))  # fmt: skip


def _weights(entry: object, place: str) -> Weights:
    if not isinstance(entry, Mapping) or not {"weights"} <= set(entry) <= {"weights", "cluster"}:
        raise FileError(f'{place}: is {shown(entry)}, needed as {{"weights": "ternary", "cluster": 4}}')
    if entry["weights"] in WEIGHT_FORMATS and ("cluster" in entry) == (entry["weights"] == INT8_WEIGHT.name):
        raise FileError(f"{place}: ternary and int4 weights need a cluster, int8 weights have none")
    try:
        return Weights(str(entry["weights"]), entry.get("cluster", 1))
    except SchemeError as error:
        raise FileError(f"{place}: {error}") from error

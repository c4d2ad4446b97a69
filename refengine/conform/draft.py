"""Model files as plain data, valid or not, written without the checks of ``network/int_file.py``.

A draft is what formats.md lays out, member by member; its hash is computed from the draft by contract V4, so that a
file is wrong in what was changed and in nothing else.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..network.int_file import FORMAT, VERSION
from ..network.int_network import IntNetwork

Members = dict[str, Any]
FLAGS = ("flip", "ceil_mode")
_OF_LAYERS = {
    "op",
    "inputs",
    "residual",
    "exponent",
    "accumulator_bits",
    "accumulator_policy",
    "weight_format",
    "covers",
}
_OF_REQUANTIZE = ("rounding", "format", "activation", "lo", "hi", "seed")


@dataclass
class Group:
    """A layer or its requantization: attributes and datasets by name."""

    attributes: Members = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    requantize: Group | None = None


@dataclass
class Draft:
    """A model file: root attributes but for the hash, and layers by key.  hash: None for the right one."""

    root: Members
    layers: dict[str, Group]
    hash: str | None = None

    def changed(self, change: Callable[[Draft], object]) -> Draft:
        """A copy to which ``change`` was done."""
        made = copy.deepcopy(self)
        change(made)
        return made


def draft_of(network: IntNetwork) -> Draft:
    """The file of a network."""
    names = ("contract", "name", "input_shape", "classes", "channels")
    root = {"format": FORMAT, "version": VERSION, **{name: getattr(network, name) for name in names}}
    return Draft(
        {**root, "input_shape": list(network.input_shape)}, {layer.name: _group(layer) for layer in network.layers}
    )


def _group(layer: Any) -> Group:
    names = ("op", "exponent", "residual", "weight_format", "accumulator_bits", "accumulator_policy")
    told = {name: getattr(layer, name) for name in names}
    told = {**told, "inputs": json.dumps(layer.inputs), "covers": json.dumps(layer.covers)}
    told |= {name: list(value) if isinstance(value, tuple) else int(value) for name, value in layer.attributes.items()}
    made = Group({name: value for name, value in told.items() if value is not None})
    arrays = {**layer.constants, "weight_exponent": layer.weight_exponent}
    made.arrays = {name: array.copy() for name, array in arrays.items() if array is not None}
    if layer.requantize is not None:
        step = layer.requantize
        words = {name: getattr(step, name) for name in ("rounding", "activation", "lo", "hi", "seed", "dynamic")}
        steps = {name: getattr(step, name) for name in ("multiplier", "shift", "residual_shift")}
        arrays = {name: array.copy() for name, array in steps.items() if array is not None}
        made.requantize = Group({**words, "format": step.format.name}, arrays)
    return made


def hash_of(draft: Draft) -> str:
    """SHA-256 of what decides a bit (contract V4); KeyError where the draft lacks something that is in it."""
    root = draft.root
    digest = hashlib.sha256()
    digest.update(json.dumps([root["contract"], *root["input_shape"], root["classes"], root["channels"]]).encode())
    for name, layer in draft.layers.items():
        told = layer.attributes
        attributes = {
            key: bool(value) if key in FLAGS else value for key, value in told.items() if key not in _OF_LAYERS
        }
        step = layer.requantize
        record = {
            "name": name,
            "op": told["op"],
            "inputs": json.loads(told["inputs"]),
            "residual": told.get("residual"),
            "exponent": told["exponent"],
            "attributes": attributes,
            "weight_format": told.get("weight_format"),
            "accumulator": [told["accumulator_bits"], told["accumulator_policy"]],
            "requantize": None
            if step is None
            else [*(step.attributes[key] for key in _OF_REQUANTIZE), step.attributes["dynamic"] or False],
        }
        digest.update(json.dumps(record, sort_keys=True).encode())
        arrays = {**layer.arrays, **(step.arrays if step is not None else {})}
        for key, array in sorted(arrays.items()):
            stored = np.asarray(array).astype(_hashed_type(key))
            digest.update(f"{key} {stored.dtype.str} {stored.shape}".encode() + stored.tobytes())
    return digest.hexdigest()


def _hashed_type(name: str) -> np.dtype[Any]:
    types = {"weight": "i1", "scale": "i1", "sign": "i1", "table": "<i2", "bias": "<i4", "order": "<i4"}
    return np.dtype(types.get(name, "<i8"))


def write_draft(draft: Draft, path: Path) -> None:
    """The file; where what is hashed is missing or no JSON, it has the hash of nothing."""
    stored = draft.hash
    if stored is None:
        stored = hashlib.sha256().hexdigest()
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            stored = hash_of(draft)
    with h5py.File(path, "w") as file:
        _put(file, Group({**draft.root, "hash": stored}))
        file.create_group("made_with")
        layers = file.create_group("layers")
        for name, layer in draft.layers.items():
            group = layers.create_group(name)
            _put(group, layer)
            if layer.requantize is not None:
                _put(group.create_group("requantize"), layer.requantize)


def _put(place: h5py.Group, group: Group) -> None:
    for name, value in sorted(group.attributes.items()):
        place.attrs[name] = value if isinstance(value, str | np.ndarray) else np.asarray(value, "<i8")
    for name, array in sorted(group.arrays.items()):
        place.create_dataset(name, data=np.asarray(array), track_times=False)


def members(draft: Draft) -> Mapping[str, Group]:
    """Layers by key, and their requantizations as ``KEY/requantize``."""
    found = dict(draft.layers)
    found |= {f"{key}/requantize": one.requantize for key, one in draft.layers.items() if one.requantize is not None}
    return found

"""Float networks in HDF5 files (docs/formats.md, ``format = "refengine-float"``)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import NetworkError
from ..text import PathLike, printable, shown
from .float_layer import LAYER_OPS, MAX_SIDE, Attribute, FloatLayer
from .float_network import CHANNELS, MAX_CLASSES, FloatNetwork
from .layer_keys import check_rising, in_order
from .read_hdf5 import CheckedGroup, open_checked
from .write_hdf5 import put_array, put_attributes, write_atomically

FORMAT = "refengine-float"
PLAIN, DILATED = 1, 2  # versions: readers of the first would take a dilated convolution for a plain one


def read_float_network(path: PathLike) -> FloatNetwork:
    """Read a float network; FileError if the file is not one, NetworkError if its layers do not fit together.

    Attributes that the layout does not know are ignored; datasets that it does not know are refused, because a network
    without them might be another network.
    """
    with open_checked(path, {FORMAT: {PLAIN, DILATED}}) as root:
        group = root.group("layers")
        try:
            return FloatNetwork(
                name=root.text("name"),
                input_shape=root.integers("input_shape", 3, 1, MAX_SIDE),  # type: ignore[arg-type]
                classes=root.integer("classes", 1, MAX_CLASSES),
                mean=root.reals("mean", None),
                std=root.reals("std", None),
                channels=_channels(root),
                layers=tuple(_read_layer(group.group(name), name) for name in in_order(group)),
                source=root.text("source", ""),
                licence=root.text("licence", ""),
            )
        except NetworkError as error:
            raise NetworkError(f"{root.file}: {error}") from None


def _channels(root: CheckedGroup) -> str:
    channels = root.text("channels")
    if channels not in CHANNELS:
        raise root.error(f"attribute 'channels' is {shown(channels)}, needed one of {', '.join(CHANNELS)}")
    return channels


def _read_layer(group: CheckedGroup, key: str) -> FloatLayer:
    """One layer; FileError where its group is not what the table says for its op."""
    name = group.text("op")
    if name not in LAYER_OPS:
        raise group.error(f"attribute 'op' is {shown(name)}, known are: {', '.join(sorted(LAYER_OPS))}")
    op = LAYER_OPS[name]
    for child in group.names():
        if child not in op.constants:
            raise group.error(
                f"is not known for op {name!r}, which has {', '.join(op.constants) or 'no datasets'}", child
            )
    constants = {
        constant: _read_constant(group, constant, len(rule.axes))
        for constant, rule in op.constants.items()
        if rule.needed or group.has(constant)
    }
    attributes = {
        attribute: _read_attribute(group, attribute, rule)
        for attribute, rule in op.attributes.items()
        if rule.needed or group.has_attribute(attribute)
    }
    return FloatLayer(key, name, group.json_texts("inputs"), constants, attributes)


def _read_constant(group: CheckedGroup, name: str, rank: int) -> np.ndarray[Any, Any]:
    array = group.array(name, np.float32, (None,) * rank)
    array.flags.writeable = False
    return array


def _read_attribute(group: CheckedGroup, name: str, rule: Attribute) -> Any:
    if rule.kind == "real":
        return group.real(name)
    if rule.kind == "flag":
        return bool(group.integer(name, 0, 1))
    low, high = int(rule.low), int(rule.high)
    if rule.kind == "integer":
        return group.integer(name, low, high)
    return group.integers(name, rule.length, low, high)


def write_float_network(network: FloatNetwork, path: PathLike, inputs: Iterable[PathLike] = ()) -> None:
    """Write a network so that ``read_float_network`` gives it back; FileError if ``path`` cannot be written.

    NetworkError if layers are not called by increasing numbers, as '004_conv1'.
    """
    check_rising((layer.name for layer in network.layers), printable(os.fspath(path)))
    with write_atomically(path, inputs) as file:
        dilated = any("dilations" in layer.attributes for layer in network.layers)
        put_attributes(file, {"format": FORMAT, "version": DILATED if dilated else PLAIN})
        names = ("name", "input_shape", "classes", "mean", "std", "channels", "source", "licence")
        put_attributes(file, {name: getattr(network, name) for name in names})
        layers = file.create_group("layers")
        for layer in network.layers:
            group = layers.create_group(layer.name)
            put_attributes(group, {"op": layer.op, "inputs": json.dumps(layer.inputs), **layer.attributes})
            for name, array in layer.constants.items():
                put_array(group, name, array)

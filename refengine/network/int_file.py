"""Integer networks in HDF5 files (docs/formats.md, ``format = "refengine-int"``).

The file holds every integer of an IntNetwork and the hash over them, which is computed again when the file is read: a
file that was changed in one bit is refused.  The same network gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

from ..errors import FileError, NetworkError, RefengineError
from ..numbers.formats import INT32, OUTPUT_FORMATS
from ..numbers.requantize import MAX_DYNAMIC, Requantize
from ..ops import OPS
from ..ops.interface import FLAG, MAX_ATTRIBUTE, Attribute, Constant
from ..text import PathLike, printable, shown
from .int_network import CHANNELS, MAX_EXPONENT, IntLayer, IntNetwork
from .layer_keys import check_rising, in_order
from .read_hdf5 import CheckedGroup, open_checked
from .write_hdf5 import put_array, put_attributes, write_atomically

FORMAT, VERSION = "refengine-int", 1

MAX_CLASSES = 1 << 20

_STEPS = ("multiplier", "shift", "residual_shift")
_OF_LAYERS = (
    "op",
    "inputs",
    "residual",
    "exponent",
    "accumulator_bits",
    "accumulator_policy",
    "weight_format",
    "covers",
)
_OF_REQUANTIZE = ("rounding", "format", "activation", "lo", "hi", "seed", "dynamic")


# ------------------------------------------------------------------------------------------------------------- writing


def write_int_network(network: IntNetwork, path: PathLike, inputs: Iterable[PathLike] = ()) -> None:
    """Write a network so that ``read_int_network`` gives it back; FileError if ``path`` cannot be written.

    NetworkError if layers are not called by increasing numbers, as '004_conv1'.  ``inputs`` are files that must not be
    overwritten.
    """
    check_rising((layer.name for layer in network.layers), printable(os.fspath(path)))
    with write_atomically(path, inputs) as file:
        put_attributes(file, {"format": FORMAT, "version": VERSION})
        names = ("contract", "name", "input_shape", "classes", "channels", "hash")
        put_attributes(file, {name: getattr(network, name) for name in names})
        put_attributes(file.create_group("made_with"), network.made_with)
        layers = file.create_group("layers")
        for layer in network.layers:
            _write_layer(layers.create_group(layer.name), layer)


def _write_layer(group: h5py.Group, layer: IntLayer) -> None:
    names = ("op", "exponent", "residual", "weight_format", "accumulator_bits", "accumulator_policy")
    put_attributes(group, {name: getattr(layer, name) for name in names})
    put_attributes(group, {"inputs": json.dumps(layer.inputs), "covers": json.dumps(layer.covers)})
    put_attributes(group, layer.attributes)
    for name, array in sorted({**layer.constants, "weight_exponent": layer.weight_exponent}.items()):
        if array is not None:
            put_array(group, name, array)
    if layer.requantize is not None:
        _write_requantize(group.create_group("requantize"), layer.requantize)


def _write_requantize(group: h5py.Group, step: Requantize) -> None:
    names = ("rounding", "activation", "lo", "hi", "seed", "dynamic")
    put_attributes(group, {"format": step.format.name, **{name: getattr(step, name) for name in names}})
    for name in _STEPS:
        if getattr(step, name) is not None:
            put_array(group, name, getattr(step, name))


# ------------------------------------------------------------------------------------------------------------- reading


def read_int_network(path: PathLike) -> IntNetwork:
    """Read and validate an integer network.

    FileError if the file is not one, is damaged, or its integers are not those that it was written with; NetworkError
    if its layers do not fit together or can overflow.
    """
    with open_checked(path, {FORMAT: {VERSION}}) as root:
        _check_members(root, ("layers", "made_with"))
        layers = root.group("layers")
        network = _build(root, tuple(_read_layer(layers.group(key), key) for key in in_order(layers)))
        stored = root.text("hash")
        if stored != network.hash:
            raise root.error(f"the file was changed after it was written: hash {network.hash}, stored {shown(stored)}")
        return network


def _build(root: CheckedGroup, layers: tuple[IntLayer, ...]) -> IntNetwork:
    """The network, its own validation passed; NetworkError names the file."""
    channels = root.text("channels")
    if channels not in CHANNELS:
        raise root.error(f"attribute 'channels' is {shown(channels)}, needed one of {', '.join(CHANNELS)}")
    height, width, count = root.integers("input_shape", 3, 1, MAX_ATTRIBUTE)
    if count != CHANNELS[channels]:
        raise root.error(f"attribute 'input_shape' has {count} channels, {channels} images have {CHANNELS[channels]}")
    made_with = root.group("made_with")
    try:
        return IntNetwork(
            name=root.text("name"),
            input_shape=(height, width, count),
            classes=root.integer("classes", 1, MAX_CLASSES),
            channels=channels,
            layers=layers,
            made_with={name: made_with.text(name) for name in made_with.attribute_names()},
            contract=root.integer("contract", 0, INT32.hi),
        )
    except FileError:
        raise
    except RefengineError as error:
        raise NetworkError(f"{root.file}: {error}") from None
    except (ValueError, ArithmeticError, MemoryError) as error:  # windows and sums of absurd size
        raise NetworkError(f"{root.file}: its layers are too large to be checked ({type(error).__name__})") from None


def _read_layer(group: CheckedGroup, key: str) -> IntLayer:
    """One layer; FileError where its group is not what the tables of ``int_network`` say for its op."""
    op = group.text("op")
    if op not in OPS:
        raise group.error(f"attribute 'op' is {shown(op)}, known are: {', '.join(sorted(OPS))}")
    constants, attributes = OPS[op].CONSTANTS, OPS[op].ATTRIBUTES
    _check_members(group, (*constants, "weight_exponent", "requantize"))
    _check_attribute_names(group, (*_OF_LAYERS, *attributes))
    exponents = _read_array(group, "weight_exponent", np.int64, 1) if group.has("weight_exponent") else None
    if exponents is not None and exponents.size and (exponents.min() < -MAX_EXPONENT or exponents.max() > MAX_EXPONENT):
        raise group.error(f"holds exponents outside {-MAX_EXPONENT}..{MAX_EXPONENT}", "weight_exponent")
    return IntLayer(
        name=key,
        op=op,
        inputs=group.json_texts("inputs"),
        exponent=group.integer("exponent", -MAX_EXPONENT, MAX_EXPONENT),
        constants={name: _read_constant(group, name, constant) for name, constant in constants.items()},
        attributes={name: _read_attribute(group, name, attribute) for name, attribute in attributes.items()},
        requantize=_read_requantize(group.group("requantize")) if group.has("requantize") else None,
        residual=group.text("residual", None),
        weight_format=group.text("weight_format", None),
        weight_exponent=exponents,
        accumulator_bits=group.integer("accumulator_bits", 1, 32),
        accumulator_policy=group.text("accumulator_policy"),
        covers=group.json_texts("covers"),
    )


def _read_constant(group: CheckedGroup, name: str, constant: Constant) -> np.ndarray[Any, Any]:
    """An operator's constant in the type of its codes; weights of every format are int8."""
    dtype = np.int8 if constant.format is None else constant.format.dtype
    return _read_array(group, name, dtype, constant.dimensions)


def _read_array(group: CheckedGroup, name: str, dtype: Any, rank: int) -> np.ndarray[Any, Any]:
    return group.array(name, dtype, (None,) * rank)


def _read_attribute(group: CheckedGroup, name: str, attribute: Attribute) -> Any:
    """An operator's attribute in the type that it declares; its range is the network's affair."""
    if attribute is FLAG:
        return bool(group.integer(name, 0, 1))
    if attribute.count is None:
        return group.integer(name, 0, MAX_ATTRIBUTE)
    return group.integers(name, attribute.count, 0, MAX_ATTRIBUTE)


def _read_requantize(group: CheckedGroup) -> Requantize:
    """One requantization; FileError where its numbers are not what the contract allows."""
    _check_members(group, _STEPS)
    _check_attribute_names(group, _OF_REQUANTIZE)
    fmt = group.text("format")
    if fmt not in OUTPUT_FORMATS:
        raise group.error(f"attribute 'format' is {shown(fmt)}, known are: {', '.join(OUTPUT_FORMATS)}")
    arrays = {name: _read_array(group, name, np.int64, 1) for name in _STEPS if name in _STEPS[:2] or group.has(name)}
    try:
        return Requantize(
            multiplier=arrays["multiplier"],
            shift=arrays["shift"],
            residual_shift=arrays.get("residual_shift"),
            rounding=group.text("rounding"),
            format=OUTPUT_FORMATS[fmt],
            activation=group.text("activation"),
            lo=group.integer("lo", INT32.lo, INT32.hi),
            hi=group.integer("hi", INT32.lo, INT32.hi),
            seed=group.integer("seed", 0, 2**63 - 1),
            dynamic=group.integer("dynamic", 0, MAX_DYNAMIC),
        )
    except FileError:
        raise
    except RefengineError as error:
        raise group.error(str(error)) from None


def _check_members(group: CheckedGroup, known: Iterable[str]) -> None:
    """Refuse members that the layout does not name: a network without them might be another network."""
    for name in group.names():
        if name not in known:
            raise group.error(f"is not known here, known are: {', '.join(known)}", name)


def _check_attribute_names(group: CheckedGroup, known: Iterable[str]) -> None:
    """Refuse attributes that the layout does not name, as its members."""
    for name in group.attribute_names():
        if name not in known:
            raise group.error(f"has an attribute {shown(name)}, known here are: {', '.join(known)}")

"""IntNetwork: a network in which every number is an integer, checked once when it is built.

Everything that decides a bit is here: codes, scales, biases, multipliers, shifts, clips, rounding, accumulator widths.
Exponents say what a code is worth and take no part in the arithmetic; what an image may add to one does.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from .. import CONTRACT
from ..errors import AccumulatorOverflow, NetworkError, RangeError, RefengineError
from ..numbers.accumulator import check_accumulator
from ..numbers.formats import (
    ACTIVATION_FORMATS,
    INT32,
    WEIGHT_FORMATS,
    CodeFormat,
    check_codes,
    signed_bits,
)
from ..numbers.requantize import MAX_TOTAL, Requantize
from ..ops import OPS
from ..ops.interface import bound_of
from ..text import PathLike

CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
MAX_EXPONENT = 4096
PIXELS = (0, 255)
_LISTED = 8  # names of layers in a refusal


@dataclass(frozen=True, eq=False)
class IntLayer:
    """One operator with its integers, and the requantization that ends it.

    ``requantize`` is None where codes pass through unchanged, and in the last layer, whose accumulators are the
    logits.  ``exponent`` is that of the result.  weight_exponent int64 (O): the unit of a scale code.  ``covers``
    names the float layers that this one computes.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    exponent: int
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    requantize: Requantize | None = None
    residual: str | None = None
    weight_format: str | None = None
    weight_exponent: np.ndarray | None = None
    accumulator_bits: int = 32
    accumulator_policy: str = "error"
    covers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        arrays = [*self.constants.values(), self.weight_exponent]
        if self.requantize is not None:
            arrays += [self.requantize.multiplier, self.requantize.shift, self.requantize.residual_shift]
        for array in arrays:
            if array is not None:
                array.setflags(write=False)

    @property
    def arguments(self) -> dict:
        """Constants and attributes, as the operator's functions take them."""
        return {**self.constants, **self.attributes}


@dataclass(frozen=True, eq=False)
class IntNetwork:
    """Layers in execution order, the last one giving the logits.

    ``channels`` is the order of the images that come in (RGB, BGR or gray, as in the float network: images are stored
    RGB and a BGR network flips them itself).  ``made_with`` is free text about origin and scheme, no part of the hash.
    Building one validates it: NetworkError, RangeError or AccumulatorOverflow, naming the layer.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    channels: str
    layers: tuple[IntLayer, ...]
    made_with: Mapping[str, str] = field(default_factory=dict)
    contract: int = CONTRACT

    def __post_init__(self) -> None:
        if self.contract != CONTRACT:
            raise NetworkError(f"made under contract {self.contract}, this engine keeps contract {CONTRACT}")
        if self.channels not in CHANNELS or self.input_shape[2] != CHANNELS[self.channels]:
            raise NetworkError(
                f"channels {self.channels!r} do not fit images of {self.input_shape[2]}; "
                f"known are: {', '.join(f'{name} ({count})' for name, count in CHANNELS.items())}"
            )
        if not self.layers or self.layers[0].op != "input":
            raise NetworkError("the first layer of a network is its input")
        flip = self.layers[0].attributes.get("flip")
        if flip is not (self.channels == "BGR"):
            raise NetworkError(f"flip of the input is {flip!r} for {self.channels} images, needed 1 for BGR alone")
        seen: dict[str, IntLayer] = {}
        for position, layer in enumerate(self.layers):
            try:
                _check_layer(layer, seen, position == len(self.layers) - 1)
            except RefengineError as error:
                raise type(error)(f"layer {layer.name!r} ({layer.op}): {error}") from None
            seen[layer.name] = layer
        self.formats, self.dynamic, self.bounds  # noqa: B018  (computing them refuses what does not fit)
        size = int(np.prod(self.shapes[self.layers[-1].name]))
        if size != self.classes:
            raise NetworkError(f"the last layer gives {size} numbers, the network has {self.classes} classes")

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each layer's result for one image."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self.layers:
            inputs = [shapes[name] for name in layer.inputs] or [self.input_shape]
            try:
                shapes[layer.name] = tuple(OPS[layer.op].output_shape(*inputs, **layer.arguments))
            except RefengineError as error:
                raise NetworkError(f"layer {layer.name!r} ({layer.op}): {error}") from None
            if layer.residual is not None and shapes[layer.residual] != shapes[layer.name]:
                raise NetworkError(
                    f"layer {layer.name!r} ({layer.op}): its result {shapes[layer.name]} "
                    f"and its residual {shapes[layer.residual]} differ in shape"
                )
        return shapes

    @cached_property
    def formats(self) -> dict[str, CodeFormat]:
        """Format of each layer's result."""
        formats: dict[str, CodeFormat] = {}
        for layer in self.layers:
            if layer.requantize is not None:
                formats[layer.name] = layer.requantize.format
            elif OPS[layer.op].ACCUMULATES:
                formats[layer.name] = INT32
            else:
                found = {formats[name].name: formats[name] for name in layer.inputs}
                if len(found) > 1:
                    raise NetworkError(f"layer {layer.name!r} ({layer.op}): joins codes of formats {', '.join(found)}")
                formats[layer.name] = formats[layer.inputs[0]]
        return formats

    @cached_property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Lowest and highest code that each layer's result can hold."""
        ranges: dict[str, tuple[int, int]] = {}
        for layer in self.layers:
            if layer.requantize is not None:
                ranges[layer.name] = (layer.requantize.lo, layer.requantize.hi)
            elif OPS[layer.op].ACCUMULATES:
                ranges[layer.name] = (INT32.lo, INT32.hi)
            else:
                ends = [ranges[name] for name in layer.inputs]
                padded = [(0, 0)] if OPS[layer.op].PADS else []
                ranges[layer.name] = (min(lo for lo, _ in ends + padded), max(hi for _, hi in ends + padded))
        return ranges

    @cached_property
    def dynamic(self) -> dict[str, int]:
        """By how much at most the exponent of an image's result exceeds its layer's, 0 where it cannot (contract D)."""
        dynamic: dict[str, int] = {}
        for layer in self.layers:
            found = [dynamic[name] for name in layer.inputs]
            if OPS[layer.op].ACCUMULATES:
                dynamic[layer.name] = 0 if layer.requantize is None else layer.requantize.dynamic
            elif len(found) > 1 and any(found):
                chosen = next(name for name in layer.inputs if dynamic[name])
                raise NetworkError(
                    f"layer {layer.name!r} ({layer.op}): joins codes, and those of {chosen!r} are dynamic"
                )
            else:
                dynamic[layer.name] = found[0]
        if dynamic[self.layers[-1].name]:
            raise NetworkError(f"layer {self.layers[-1].name!r} gives the logits, whose exponent cannot be dynamic")
        return dynamic

    def require_static(self, who: str) -> None:
        """NetworkError, naming the first layer whose exponent is dynamic, for ``who`` does not know what that means."""
        for layer in self.layers:
            if self.dynamic[layer.name]:
                raise NetworkError(
                    f"layer {layer.name!r} ({layer.op}) has a dynamic exponent, chosen for each image; "
                    f"{who} needs a network of static exponents"
                )

    @cached_property
    def read_ranges(self) -> dict[str, tuple[int, int]]:
        """Lowest and highest integer that later layers read of each result (contract D4)."""
        return {name: (lo << self.dynamic[name], hi << self.dynamic[name]) for name, (lo, hi) in self.ranges.items()}

    @cached_property
    def bounds(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Ends that any partial sum of an accumulating layer can reach, per channel (contract A2)."""
        bounds = {}
        for layer in self.layers:
            if OPS[layer.op].ACCUMULATES:
                ranges = [_with_zero(self.read_ranges[name]) for name in layer.inputs] or [PIXELS]
                shape = self.shapes[layer.inputs[0]] if layer.inputs else self.input_shape
                bounds[layer.name] = bound_of(OPS[layer.op])(*ranges, shape=shape, **layer.arguments)
                lo, hi = bounds[layer.name]
                residual = (0, 0) if layer.residual is None else self.read_ranges[layer.residual]
                _check_bound(layer, lo, hi, self.shapes[layer.name][-1], residual)
        return bounds

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image: a product for each weight and output pixel."""
        weighted = [layer for layer in self.layers if "weight" in layer.constants]
        return sum(layer.constants["weight"].size * prod(self.shapes[layer.name][:-1]) for layer in weighted)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything that decides a bit or says what it is worth; names a model in traces and reports."""
        digest = hashlib.sha256()
        head = [self.contract, *self.input_shape, self.classes, self.channels]
        digest.update(json.dumps(head).encode())
        for layer in self.layers:
            _digest_layer(digest, layer)
        return digest.hexdigest()

    def save(self, path: PathLike) -> None:
        """Write the network to an HDF5 file, which ``refengine.load`` reads; FileError where that cannot be done."""
        from .int_file import write_int_network  # here, because that file reads this one

        write_int_network(self, path)

    def layer(self, name: str) -> IntLayer:
        """The layer of that name, or the only one whose name without its number, or whose number that is.

        NetworkError otherwise, with the known names, the nearest first.
        """
        for called in (str, _without_number, _number):
            found = [layer for layer in self.layers if called(layer.name) == name]
            if found:
                break
        if len(found) != 1:
            known = nearest_first(name, [layer.name for layer in found or self.layers])
            more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
            raise NetworkError(
                f"{len(found)} layers are called {name!r}; layers: {', '.join(known[:_LISTED])}{more}"
            )  # fmt: skip
        return found[0]


def _without_number(name: str) -> str:
    return name.split("_", 1)[-1]


def _number(name: str) -> str:
    return name.split("_", 1)[0]


def nearest_first(name: str, known: Sequence[str]) -> list[str]:
    """Names of layers, those in front that look like ``name`` with or without their number.

    >>> nearest_first("conv1.2", ["000_input", "001_conv1", "002_pool", "003_conv1.1"])
    ['003_conv1.1', '001_conv1', '000_input', '002_pool']
    """
    called = {**{_without_number(one): one for one in known}, **{one: one for one in known}}
    near = [called[close] for close in get_close_matches(name, called, _LISTED)]
    return list(dict.fromkeys([*near, *known]))


def accumulator_bits_needed(lo: np.ndarray, hi: np.ndarray) -> int:
    """The narrowest accumulator that holds every partial sum."""
    return signed_bits(int(lo.min()), int(hi.max()))


def _with_zero(ends: tuple[int, int]) -> tuple[int, int]:
    return min(ends[0], 0), max(ends[1], 0)


def _check_layer(layer: IntLayer, seen: Mapping[str, IntLayer], last: bool) -> None:
    if layer.op not in OPS:
        raise NetworkError(f"operator {layer.op!r} is unknown; available: {', '.join(OPS)}")
    if layer.name in seen:
        raise NetworkError("its name occurs twice")
    for name in (*layer.inputs, *([layer.residual] if layer.residual is not None else [])):
        if name not in seen:
            raise NetworkError(f"reads {name!r}, which is no earlier layer")
    wanted = OPS[layer.op].INPUTS
    if len(layer.inputs) != wanted and (wanted is not None or not layer.inputs):
        raise NetworkError(f"reads {len(layer.inputs)} layers, needs {'at least one' if wanted is None else wanted}")
    if (layer.op == "input") != (not seen):
        raise NetworkError("a network has one input, its first layer")
    _check_attributes(layer)
    _check_constants(layer)
    _check_exponents(layer, seen)
    if type(layer.accumulator_bits) is not int:
        raise NetworkError(f"accumulator_bits is {layer.accumulator_bits!r}, needs an integer")
    check_accumulator(layer.accumulator_bits, layer.accumulator_policy)
    accumulates = OPS[layer.op].ACCUMULATES
    if not accumulates and (layer.requantize is not None or layer.residual is not None):
        raise NetworkError("passes codes through and cannot requantize")
    if accumulates and layer.requantize is None and not last:
        raise NetworkError("accumulates and needs a requantization: only the last layer's accumulators are logits")
    if layer.requantize is not None and layer.requantize.format.name not in ACTIVATION_FORMATS and not last:
        raise NetworkError(f"gives {layer.requantize.format.name}, later layers read {' or '.join(ACTIVATION_FORMATS)}")
    if layer.requantize is None and layer.weight_exponent is not None and len(set(layer.weight_exponent.tolist())) > 1:
        raise NetworkError("gives the logits, which need one weight_exponent for all classes")
    if layer.residual is not None and (layer.requantize is None or layer.requantize.residual_shift is None):
        raise NetworkError("has a residual and no residual_shift")
    if layer.residual is None and layer.requantize is not None and layer.requantize.residual_shift is not None:
        raise NetworkError("has a residual_shift and no residual")
    if layer.requantize is not None:
        _check_clip(layer.requantize)
    if layer.op == "lookup":
        _check_table(layer.constants["table"], layer.requantize)


def _check_clip(step: Requantize) -> None:
    """The ends of the clip are those that the activation says (contract Q3)."""
    lo = step.format.lo if step.activation == "none" else 0
    if step.lo != lo or (step.activation != "clip" and step.hi != step.format.hi):
        ends = f"{lo}..{step.format.hi}" if step.activation != "clip" else "0 to at most the format's end"
        raise RangeError(f"activation {step.activation!r} has the clip {step.lo}..{step.hi}, needed {ends}")


def _check_table(table: np.ndarray, step: Requantize | None) -> None:
    """What a table gives are codes already: the requantization changes none of them (contract Lookup2)."""
    if step is None:
        return
    identity = {*step.multiplier.tolist()} == {1} and {*step.shift.tolist()} == {0} and not step.dynamic
    if not identity or step.residual_shift is not None:
        raise NetworkError("needs the multiplier 1, the shift 0, no residual and a static exponent")
    if int(table.min()) < step.lo or int(table.max()) > step.hi or step.activation != "none":
        raise RangeError(
            f"table holds {int(table.min())}..{int(table.max())}, the requantization has {step.activation!r} and "
            f"{step.lo}..{step.hi}; needed 'none' and a format of all entries"
        )


def _check_attributes(layer: IntLayer) -> None:
    wanted = OPS[layer.op].ATTRIBUTES
    if set(layer.attributes) != set(wanted):
        raise NetworkError(f"attributes are {sorted(layer.attributes)}, needs {sorted(wanted)}")
    for name, attribute in wanted.items():
        if not attribute.allows(layer.attributes[name]):
            raise NetworkError(f"attribute {name} is {layer.attributes[name]!r}, needed {attribute}")


def _check_constants(layer: IntLayer) -> None:
    wanted = OPS[layer.op].CONSTANTS
    if set(layer.constants) != set(wanted):
        raise NetworkError(f"constants are {sorted(layer.constants)}, needs {sorted(wanted)}")
    weighted = [name for name, constant in wanted.items() if constant.format is None]
    if weighted and layer.weight_format not in WEIGHT_FORMATS:
        raise NetworkError(f"weight format {layer.weight_format!r} is unknown; available: {', '.join(WEIGHT_FORMATS)}")
    if not weighted and (layer.weight_format is not None or layer.weight_exponent is not None):
        raise NetworkError("has a weight_format or weight_exponent and no weights")
    for name, constant in wanted.items():
        array = layer.constants[name]
        check_codes(array, constant.format or WEIGHT_FORMATS[str(layer.weight_format)], name)
        if array.ndim != constant.dimensions or not array.size:
            needed = f"{constant.dimensions} dimension{'s' if constant.dimensions > 1 else ''}"
            raise NetworkError(f"{name} has shape {array.shape}, needs {needed}, none of them 0")
    for name in weighted:
        weight = layer.constants[name]
        exponent = layer.weight_exponent
        if exponent is None or exponent.dtype != np.int64 or exponent.shape != weight.shape[:1]:
            raise NetworkError(f"weight_exponent is one int64 for each of {len(weight)} output channels")
        if np.abs(exponent).max() > MAX_EXPONENT:
            raise NetworkError(f"weight_exponent lies in -{MAX_EXPONENT}..{MAX_EXPONENT}")


def _check_exponents(layer: IntLayer, seen: Mapping[str, IntLayer]) -> None:
    """What is added, joined or passed through must mean the same thing."""
    if type(layer.exponent) is not int or abs(layer.exponent) > MAX_EXPONENT:
        raise NetworkError(f"exponent is {layer.exponent!r}, needs an integer in -{MAX_EXPONENT}..{MAX_EXPONENT}")
    exponents = [seen[name].exponent for name in layer.inputs]
    if layer.op == "add":
        wanted = tuple(exponent - min(exponents) for exponent in exponents)
        if layer.attributes["shifts"] != wanted:
            raise NetworkError(f"shifts {layer.attributes['shifts']} do not align exponents {exponents}: {wanted} do")
    elif not OPS[layer.op].ACCUMULATES and set(exponents) != {layer.exponent}:
        raise NetworkError(f"joins or passes codes of exponents {exponents} under the exponent {layer.exponent}")
    if layer.residual is not None and layer.requantize is not None and layer.requantize.residual_shift is not None:
        wanted_shift = layer.requantize.shift + (seen[layer.residual].exponent - layer.exponent)
        found, one_each = layer.requantize.residual_shift, {len(wanted_shift), len(layer.requantize.residual_shift)}
        if (len(one_each) > 1 and 1 not in one_each) or np.any(found != wanted_shift):  # one entry stands for all
            raise NetworkError("residual_shift does not bring the residual to the unit of the product")


def _check_bound(layer: IntLayer, lo: np.ndarray, hi: np.ndarray, channels: int, residual: tuple[int, int]) -> None:
    """Refuse accumulators that can overflow (contract A1, A2) and requantizations that leave int64 (Q1)."""
    needed = accumulator_bits_needed(lo, hi)
    limit = layer.accumulator_bits if layer.accumulator_policy == "error" else INT32.bits
    if needed > limit:
        raise AccumulatorOverflow(
            f"layer {layer.name!r} ({layer.op}): sums can reach {int(lo.min())}..{int(hi.max())}, "
            f"which needs {needed} bits; its accumulator has {limit}"
        )
    if layer.requantize is None:
        return
    step = layer.requantize
    for what in ("multiplier", "shift", "residual_shift"):
        values = getattr(step, what)
        if values is not None and len(values) not in (1, channels):
            raise NetworkError(f"layer {layer.name!r}: {what} has {len(values)} entries for {channels} channels")
    arrays = (lo, hi, step.multiplier, np.array([0]) if step.residual_shift is None else step.residual_shift)
    for c, (low, high, factor, shift) in enumerate(zip(*(_of_channels(a, channels) for a in arrays), strict=True)):
        ends = low * factor + (residual[0] << shift), high * factor + (residual[1] << shift)
        peak = max(map(abs, ends))
        if peak > MAX_TOTAL:
            what = f"sums before rounding can reach {peak}, the contract ends at 2**62 (channel {c})"
            raise RangeError(f"layer {layer.name!r}: {what}")


def _of_channels(array: np.ndarray, channels: int) -> list[int]:
    """An entry for each channel as Python's integers, which do not overflow."""
    return array.tolist() * (channels if len(array) == 1 else 1)


def _digest_layer(digest: "hashlib._Hash", layer: IntLayer) -> None:
    step = layer.requantize
    record = {
        "name": layer.name,
        "op": layer.op,
        "inputs": layer.inputs,
        "residual": layer.residual,
        "exponent": layer.exponent,
        "attributes": dict(layer.attributes),
        "weight_format": layer.weight_format,
        "accumulator": [layer.accumulator_bits, layer.accumulator_policy],
        "requantize": step
        and [step.rounding, step.format.name, step.activation, step.lo, step.hi, step.seed, step.dynamic or False],
    }  # False, not 0: the hashes of static layers are older than the number
    digest.update(json.dumps(record, sort_keys=True).encode())
    arrays = {**layer.constants, "weight_exponent": layer.weight_exponent}
    if step is not None:
        arrays |= {"multiplier": step.multiplier, "shift": step.shift, "residual_shift": step.residual_shift}
    for name, array in sorted(arrays.items()):
        if array is not None:
            little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            digest.update(f"{name} {little_endian.dtype.str} {array.shape}".encode() + little_endian.tobytes())

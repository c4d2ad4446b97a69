"""The four model files that the conformance suite changes, and the ways in which it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import INT8, UINT8, CodeFormat
from ..numbers.requantize import Requantize
from .draft import Draft, Group, draft_of, members

Change = Callable[[Draft], object]
PLAIN, RESIDUAL, POOLS, DYNAMIC = "plain", "residual", "pools", "dynamic"


@cache
def bases() -> dict[str, Draft]:
    """The networks that are changed, by name."""
    return {name: draft_of(make()) for name, make in _BASES.items()}


def _step(fmt: CodeFormat, multiplier: int, shift: int, residual_shift: int | None = None, **more: Any) -> Requantize:
    left = None if residual_shift is None else np.array([residual_shift])
    fields = {"rounding": "half_up", "format": fmt, "activation": "none", "lo": fmt.lo, "hi": fmt.hi, **more}
    return Requantize(np.array([multiplier]), np.array([shift]), left, **fields)


def _input(channels: int, flip: bool = False) -> IntLayer:
    bias = np.zeros(channels, np.int32)
    return IntLayer("000_input", "input", (), 0, {"bias": bias}, {"flip": flip}, _step(UINT8, 1, 8))


def _weights(name: str, op: str, reads: str, shape: Sequence[int], fmt: str, cluster: int, **fields: Any) -> IntLayer:
    """Codes -1, 0, 1 in turns, scales 1, 2, 3, ..."""
    outputs, inputs = shape[:2]
    weight = (np.arange(np.prod(shape)) % 3 - 1).reshape(shape).astype(np.int8)
    scale = np.arange(1, outputs * -(-inputs // cluster) + 1).reshape(outputs, -1).astype(np.int8)
    constants: dict[str, Any] = {"weight": weight, "scale": scale, "bias": np.arange(outputs, dtype=np.int32)}
    exponents = np.zeros(outputs, np.int64)
    return IntLayer(
        name, op, (reads,), fields.pop("exponent", 0), constants, {**fields.pop("attributes", {}), "cluster": cluster},
        weight_format=fmt, weight_exponent=exponents, **fields,
    )  # fmt: skip


_SAME = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}


def _plain() -> IntNetwork:
    conv = _weights(
        "001_conv", "conv", "000_input", (3, 1, 3, 3), "int4", 1, attributes=_SAME, requantize=_step(INT8, 5, 6)
    )
    fc = _weights("002_fc", "fc", "001_conv", (2, 48), "int8", 48)
    return IntNetwork("plain", (4, 4, 1), 2, "gray", (_input(1), conv, fc))


def _residual() -> IntNetwork:
    step = _step(INT8, 3, 5, 6, rounding="stochastic", seed=7)
    conv = _weights(
        "001_conv", "conv", "000_input", (3, 3, 3, 3), "ternary", 2,
        attributes=_SAME, requantize=step, residual="000_input", exponent=-1,
    )  # fmt: skip
    add = IntLayer("002_add", "add", ("001_conv", "000_input"), 0, {}, {"shifts": (0, 1)}, _step(UINT8, 1, 1))
    flat = IntLayer("003_flatten", "flatten", ("002_add",), 0)
    fc = _weights("004_fc", "fc", "003_flatten", (2, 12), "int8", 12)
    return IntNetwork("residual", (2, 2, 3), 2, "RGB", (_input(3), conv, add, flat, fc))


def _pools() -> IntNetwork:
    window = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (1, 0, 0, 1), "ceil_mode": False}
    sign: dict[str, Any] = {"sign": np.array([1, -1, 0] * 2, np.int8), "bias": np.arange(6, dtype=np.int32)}
    layers = (
        _input(3, flip=True),
        IntLayer("001_maxpool", "maxpool", ("000_input",), 0, attributes=window),
        IntLayer("002_avgpool", "avgpool", ("000_input",), 0, attributes=window, requantize=_step(UINT8, 1, 2)),
        IntLayer("003_concat", "concat", ("001_maxpool", "002_avgpool"), 0),
        IntLayer("004_batchnorm", "batchnorm", ("003_concat",), 0, sign, {}, _step(INT8, 3, 10)),
        IntLayer("005_pad", "pad_channels", ("004_batchnorm",), 0, attributes={"before": 1, "after": 1}),
        IntLayer("006_pool", "global_avgpool", ("005_pad",), 0, requantize=_step(INT8, 57, 9)),
        IntLayer("007_out", "requantize", ("006_pool",), 0, requantize=_step(UINT8, 1, 1, activation="relu", lo=0)),
    )
    return IntNetwork("pools", (3, 3, 3), 8, "BGR", layers)


def _dynamic() -> IntNetwork:
    conv = _weights(
        "001_conv",
        "conv",
        "000_input",
        (3, 1, 3, 3),
        "ternary",
        1,
        attributes=_SAME,
        requantize=_step(INT8, 5, 3, dynamic=3),
    )
    flat = IntLayer("002_flatten", "flatten", ("001_conv",), 0)
    fc = _weights("003_fc", "fc", "002_flatten", (2, 27), "int8", 27)
    return IntNetwork("dynamic", (3, 3, 1), 2, "gray", (_input(1), conv, flat, fc))


_BASES = {PLAIN: _plain, RESIDUAL: _residual, POOLS: _pools, DYNAMIC: _dynamic}


# ------------------------------------------------------------------------------------------------------------- changes


def root(name: str, value: Any) -> Change:
    return lambda draft: draft.root.__setitem__(name, value)


def attribute(key: str, name: str, value: Any) -> Change:
    return lambda draft: members(draft)[key].attributes.__setitem__(name, value)


def without(key: str, name: str) -> Change:
    def change(draft: Draft) -> None:
        group = members(draft)[key]
        (group.attributes if name in group.attributes else group.arrays).pop(name)

    return change


def array(key: str, name: str, value: Any) -> Change:
    return lambda draft: members(draft)[key].arrays.__setitem__(name, np.asarray(value))


def element(key: str, name: str, value: int, dtype: str | None = None) -> Change:
    """The last element of an array, in a wider type where its own does not hold the value."""

    def change(draft: Draft) -> None:
        arrays = members(draft)[key].arrays
        array = arrays[name].astype(dtype or arrays[name].dtype)
        array.reshape(-1)[-1] = value
        arrays[name] = array

    return change


def all_of(*changes: Change) -> Change:
    return lambda draft: [change(draft) for change in changes]


def renamed(names: dict[str, str]) -> Change:
    """Layers under other keys, which readers of them name too."""

    def change(draft: Draft) -> None:
        for layer in draft.layers.values():
            inputs = json.loads(layer.attributes["inputs"])
            layer.attributes["inputs"] = json.dumps([names.get(name, name) for name in inputs])
        draft.layers = {names.get(key, key): layer for key, layer in draft.layers.items()}

    return change


def step_group(key: str, group: Group | None) -> Change:
    return lambda draft: draft.layers[key].__setattr__("requantize", group)


def inputs_are(key: str, *names: str) -> Change:
    return attribute(key, "inputs", json.dumps(names))


def formatted(key: str, name: str, lo: int, hi: int) -> Change:
    place = f"{key}/requantize"
    return all_of(*(attribute(place, what, value) for what, value in (("format", name), ("lo", lo), ("hi", hi))))


def in_order(draft: Draft) -> None:
    draft.layers = dict(sorted(draft.layers.items()))


def stored_as(key: str, name: str, dtype: str) -> Change:
    """An array in another type; floats lie between the integers."""

    def change(draft: Draft) -> None:
        arrays = draft.layers[key].arrays
        arrays[name] = arrays[name].astype(dtype)
        if arrays[name].dtype.kind == "f":
            arrays[name] += np.float32(0.5)

    return change


def reshaped(key: str, name: str, shape: tuple[int, ...]) -> Change:
    def change(draft: Draft) -> None:
        arrays = draft.layers[key].arrays
        arrays[name] = np.zeros(shape, arrays[name].dtype)

    return change


def of_one_channel(draft: Draft) -> None:
    """``plain`` with one output channel, as many as the residual has: the fc follows."""
    conv, fc = draft.layers["001_conv"], draft.layers["002_fc"]
    conv.arrays = {name: array[-1:].copy() for name, array in conv.arrays.items()}
    fc.arrays["weight"] = fc.arrays["weight"][:, :16].copy()


def without_root(name: str) -> Change:
    """A root attribute less."""
    return lambda draft: draft.root.pop(name)


def hashed(text: str) -> Change:
    """Another hash than the right one."""
    return lambda draft: draft.__setattr__("hash", text)

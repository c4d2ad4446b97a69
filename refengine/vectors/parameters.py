"""A layer's numbers for hardware and firmware: dimensions, pads, strides, widths, clip and shifts, by name, in groups.

``as_c``, ``as_systemverilog`` and ``as_vhdl`` write the same names and values in three languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import INT8
from ..ops.conv import clusters_of
from ..text import printable
from .memory import identifier
from .tensors import PARTS, tensors_of

FILE = "parameters.h"

Values = Mapping[str, int | str]
Groups = Mapping[str, Values]

_WINDOW = ("KERNEL_H", "KERNEL_W", "STRIDE_H", "STRIDE_W", "PAD_TOP", "PAD_LEFT", "PAD_BOTTOM", "PAD_RIGHT")
_WIDTHS = {
    "weight": "WEIGHT_W",
    "scale": "SCALE_W",
    "bias": "BIAS_W",
    "multiplier": "MULTIPLIER_W",
    "shift": "SHIFT_W",
    "accumulator": "ACC_W",
    "total": "TOTAL_W",
    "code": "CODE_W",
}


def parameters(network: IntNetwork, layer: IntLayer) -> Groups:
    """Groups of names and integers; a flag is 0 or 1, and what the layer does not have is not there.

    A vector (K,) is one pixel of K channels.  Pads, strides and clusters are those of the contract (section Conv),
    widths those of a vector pack, the clip and the shifts those of the requantization (Q).
    """
    groups = {
        "input": _shape(network.shapes[layer.inputs[0]], "IN_", "INPUTS") if layer.inputs else {},
        "result": _shape(network.shapes[layer.name], "OUT_", "OUTPUTS"),
        "window": _window(layer),
        "clusters": _clusters(layer),
        "codes": _codes(network, layer),
        "bits": _bits(network, layer),
        "requantization": _requantization(layer),
    }
    return {name: values for name, values in groups.items() if values}


def _shape(shape: tuple[int, ...], prefix: str, channels: str) -> Values:
    height, width, count = (1, 1, *shape) if len(shape) == 1 else shape
    return {f"{prefix}HEIGHT": height, f"{prefix}WIDTH": width, channels: count}


def _window(layer: IntLayer) -> Values:
    attributes = layer.attributes
    if "strides" not in attributes:
        return {}
    kernel = attributes["kernel_shape"] if "kernel_shape" in attributes else layer.constants["weight"].shape[2:]
    return dict(zip(_WINDOW, (*kernel, *attributes["strides"], *attributes["pads"]), strict=True))


def _clusters(layer: IntLayer) -> Values:
    if "weight" not in layer.constants:
        return {}
    groups, cluster = layer.attributes.get("group", 1), layer.attributes["cluster"]
    inputs = layer.constants["weight"].shape[1]
    return {"GROUPS": groups, "CLUSTER": min(cluster, inputs), "CLUSTERS": clusters_of(inputs, cluster)}


def _codes(network: IntNetwork, layer: IntLayer) -> Values:
    """Signs and exponents: a code is worth 2**exponent."""
    signed = {name: int(network.formats[name] == INT8) for name in network.formats}
    found: dict[str, int | str] = {}
    if layer.inputs:
        found["INPUT_SIGNED"] = signed[layer.inputs[0]]
        found["INPUT_EXPONENT"] = network.layer(layer.inputs[0]).exponent
    found["HAS_RESIDUAL"] = int(layer.residual is not None)
    found["RESIDUAL_SIGNED"] = 0 if layer.residual is None else signed[layer.residual]
    return {**found, "OUTPUT_SIGNED": signed[layer.name], "OUTPUT_EXPONENT": layer.exponent}


def _bits(network: IntNetwork, layer: IntLayer) -> Values:
    tensors = {tensor.part: tensor for tensor in tensors_of(network, 1, {layer.name: PARTS}) if tensor.layer}
    return {name: tensors[part].bits for part, name in _WIDTHS.items() if part in tensors}


def _requantization(layer: IntLayer) -> Values:
    step = layer.requantize
    if step is None:
        return {}
    found = {
        "CLIP_LO": step.lo,
        "CLIP_HI": step.hi,
        "SHIFT_MIN": int(step.shift.min()),
        "SHIFT_MAX": int(step.shift.max()),
    }
    if step.residual_shift is not None:
        found["RESIDUAL_SHIFT_MAX"] = int(step.residual_shift.max())
    return found


# ----------------------------------------------------------------------------------------------------------- languages


def as_c(layer: str, groups: Groups) -> str:
    """A header of macros, named as the arrays of the layer are.

    >>> print(as_c("003_conv", {"result": {"OUTPUTS": 16}}))
    /* made by refengine vectors: 003_conv */
    #ifndef L003_CONV_PARAMETERS_H
    #define L003_CONV_PARAMETERS_H
    <BLANKLINE>
    /* result */
    #define L003_CONV_OUTPUTS 16
    <BLANKLINE>
    #endif
    <BLANKLINE>
    """
    prefix = identifier(layer).upper()

    def lines() -> Iterator[str]:
        yield f"/* made by refengine vectors: {printable(layer).replace('*/', '* /')} */"
        yield f"#ifndef {prefix}_PARAMETERS_H"
        yield f"#define {prefix}_PARAMETERS_H"
        for group, values in groups.items():
            yield f"\n/* {group} */"
            yield from (f"#define {prefix}_{name} {_in_c(value)}" for name, value in values.items())
        yield "\n#endif\n"

    return "\n".join(lines())


def as_systemverilog(package: str, groups: Groups) -> str:
    """A package of local parameters; texts must have no quotes.

    >>> print(as_systemverilog("layer_pkg", {"result": {"OUTPUTS": 16, "LAYER": "003_conv"}}))
    `timescale 1ns / 1ps
    <BLANKLINE>
    package layer_pkg;
      // result
      localparam int OUTPUTS = 16;
      localparam LAYER = "003_conv";
    endpackage
    <BLANKLINE>
    """
    lines = _declared(groups, "//", lambda name, value: f"localparam {_sv_type(value)}{name} = {_quoted(value)};")
    return f"`timescale 1ns / 1ps\n\npackage {package};\n" + "".join(lines) + "endpackage\n"


def as_vhdl(package: str, groups: Groups) -> str:
    """A package of constants; texts must have no quotes.

    >>> print(as_vhdl("layer_pkg", {"result": {"OUTPUTS": 16, "LAYER": "003_conv"}}))
    package layer_pkg is
      -- result
      constant OUTPUTS : integer := 16;
      constant LAYER : string := "003_conv";
    end package;
    <BLANKLINE>
    """
    lines = _declared(groups, "--", lambda name, value: f"constant {name} : {_vhdl_type(value)} := {_quoted(value)};")
    return f"package {package} is\n" + "".join(lines) + "end package;\n"


def _declared(groups: Groups, comment: str, declaration: Callable[[str, int | str], str]) -> Iterator[str]:
    for group, values in groups.items():
        yield f"  {comment} {group}\n"
        yield from (f"  {declaration(name, value)}\n" for name, value in values.items())


def _quoted(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _sv_type(value: int | str) -> str:
    return "" if isinstance(value, str) else "int "


def _vhdl_type(value: int | str) -> str:
    return "string" if isinstance(value, str) else "integer"


def _in_c(value: int | str) -> str:
    return f"({value})" if isinstance(value, int) and value < 0 else _quoted(value)

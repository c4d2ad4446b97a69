"""SystemVerilog calls the C model: a package of DPI-C imports, a checker of any layer, and an example testbench.

STEM_dpi.c      the model, and functions of plain integers that give what its last run gave
STEM_pkg.sv     package NAME_pkg: the imports, and the layers' numbers
STEM_check.sv   module NAME_check: compares values of a DUT as they come
STEM_tb.sv      module NAME_tb: drives a DUT of one ternary convolution (where the network has one)
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import NetworkError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import INT8, TERNARY
from ...ops.conv import clusters_of
from .layers import Naming, image_shape
from .model import CModel
from .pieces import named, piece

_MARK = "  // PARAMETERS\n"


def dpi_names(stem: str) -> list[str]:
    """What the files are called."""
    return [f"{stem}_dpi.c", f"{stem}_pkg.sv", f"{stem}_check.sv", f"{stem}_tb.sv"]


def dpi_files(made: CModel, layer: str | None = None) -> dict[str, str]:
    """The texts by file name; ``layer``: which one the testbench drives, the first that it can unless told.

    NetworkError for a layer that is not there, or that the testbench cannot drive.
    """
    network = made.names.network
    chosen = _chosen(network, layer)
    bodies = [
        _glue(made),
        piece("pkg", ".sv").replace(_MARK, _numbers(made.names)),
        piece("check", ".sv"),
        None if chosen is None else piece("tb", ".sv").replace(_MARK, _parameters(chosen, made.names)),
    ]
    texts = zip(dpi_names(made.stem), bodies, strict=True)
    return {file: named(body, made.name) for file, body in texts if body is not None}


def _chosen(network: IntNetwork, name: str | None) -> IntLayer | None:
    if name is None:
        return next((layer for layer in network.layers if obstacle(network, layer) is None), None)
    layer = network.layer(name)
    found = obstacle(network, layer)
    if found is not None:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}) {found}; the example testbench cannot drive it")
    return layer


def obstacle(network: IntNetwork, layer: IntLayer) -> str | None:
    """Why the example testbench cannot drive a layer, or None."""
    step = layer.requantize
    if layer.op != "conv" or layer.weight_format != TERNARY.name or step is None:
        return "is no ternary convolution with a requantization"
    if layer.attributes["group"] != 1 or layer.constants["weight"].shape[1] % layer.attributes["cluster"]:
        return "has groups, or a cluster that is shorter than the others"
    if layer.accumulator_bits != 32 or step.rounding != "half_up":
        return "has a narrow accumulator, or another rounding than half_up"
    if any(network.dynamic[name] for name in (layer.name, *layer.inputs, *_residual(layer))):
        return "has a dynamic exponent, or reads one"
    return None


def _residual(layer: IntLayer) -> tuple[str, ...]:
    return () if layer.residual is None else (layer.residual,)


def _glue(made: CModel) -> str:
    """The C file: the model itself, whose tables are static, and what the piece needs to know of it."""
    names = made.names
    weighted = any("weight" in layer.constants for layer in names.network.layers)
    exponents = ", ".join(str(layer.exponent) for layer in names.network.layers)
    rows = "".join(f"    {{{', '.join(_pointers(layer, names, weighted))}}},\n" for layer in names.network.layers)
    return (
        f"/* {made.name} for SystemVerilog: compile this file in the place of {made.stem}.c, which it contains. */\n"
        f'#include "{made.stem}.c"\n\n'
        f"#define WEIGHTED {int(weighted)}\n\n"
        f"static const int32_t EXPONENTS[] = {{{exponents}}};\n\n"
        "static const struct {\n"
        "    const step *step;\n"
        + ("    const weights *weights;\n    size_t codes;\n" if weighted else "")
        + f"}} CONSTANTS[] = {{\n{rows}}};\n\n"
        + piece("dpi")
    )


def _pointers(layer: IntLayer, names: Naming, weighted: bool) -> Iterator[str]:
    own = names.identifiers[layer.name]
    yield "NULL" if layer.requantize is None else f"&step_{own}"
    if weighted and "weight" in layer.constants:
        yield f"&conv_{own}.w" if layer.op == "conv" else f"&fc_{own}"
        yield str(layer.constants["weight"].size)
    elif weighted:
        yield from ("NULL", "0")


def _numbers(names: Naming) -> str:
    """Every layer's position, as a constant of the package."""
    own = enumerate(names.identifiers.values())
    return "".join(f"  localparam int LAYER_{one.upper()} = {position};\n" for position, one in own)


def _parameters(layer: IntLayer, names: Naming) -> str:
    """The local parameters of the testbench for one layer."""
    step, weight = layer.requantize, layer.constants["weight"]
    if step is None:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}) gives no codes")
    network, (source,) = names.network, layer.inputs
    height, width, inputs = image_shape(network.shapes[source])
    out_height, out_width, outputs = image_shape(network.shapes[layer.name])
    (stride_h, stride_w), (top, left, _, _) = layer.attributes["strides"], layer.attributes["pads"]
    image_height, image_width, channels = network.input_shape
    residual = layer.residual
    numbers = {
        "LAYER": f"LAYER_{names.identifiers[layer.name].upper()}",
        "SOURCE": f"LAYER_{names.identifiers[source].upper()}",
        "RESIDUAL": "0" if residual is None else f"LAYER_{names.identifiers[residual].upper()}",
        "PIXELS": image_height * image_width * channels,
        "HEIGHT": height,
        "WIDTH": width,
        "INPUTS": inputs,
        "OUTPUTS": outputs,
        "KERNEL_H": weight.shape[2],
        "KERNEL_W": weight.shape[3],
        "STRIDE_H": stride_h,
        "STRIDE_W": stride_w,
        "PAD_TOP": top,
        "PAD_LEFT": left,
        "OUT_HEIGHT": out_height,
        "OUT_WIDTH": out_width,
        "CLUSTER": inputs // clusters_of(inputs, layer.attributes["cluster"]),
        "CODE_W": 8,
        "SCALE_W": 7,
        "ACC_W": layer.accumulator_bits,
        "MULTIPLIER_W": max(1, int(step.multiplier.max()).bit_length()),
        "SHIFT_W": 6,
        "CLIP_LO": step.lo,
        "CLIP_HI": step.hi,
    }
    bits = {
        "INPUT_SIGNED": network.formats[source] == INT8,
        "OUTPUT_SIGNED": step.format == INT8,
        "HAS_RESIDUAL": residual is not None,
        "RESIDUAL_SIGNED": residual is not None and network.formats[residual] == INT8,
    }
    lines = [f"  localparam int {name} = {value};\n" for name, value in numbers.items()]
    return "".join([*lines, *(f"  localparam bit {name} = {int(value)};\n" for name, value in bits.items())])

"""``refengine export``: a network as ONNX, of integers or of floats as it is, or as TOSA or C."""

from pathlib import Path
from typing import Any

import click

from ..errors import NetworkError
from ..interop.tosa.engine import VARIABLE
from ..network.float_network import FloatNetwork
from ..network.int_network import IntNetwork
from ..network.network_file import read_network
from . import console, options

_FORMS = ("packed", "bytes")


@click.command("export")
@click.argument("network", metavar="NETWORK.h5")
@click.argument("output", metavar="OUT.onnx|OUT.qonnx|OUT.tosa|OUT.c")
@click.option("--layers", is_flag=True, help="ONNX, TOSA: give every layer's accumulators and codes as outputs too.")
@click.option("--batch", type=options.POSITIVE, metavar="N", help="TOSA, QONNX: images a run, 1 unless told.")
@click.option(
    "--tosa-python",
    envvar=VARIABLE,
    show_envvar=True,
    metavar="FILE",
    help="TOSA: the interpreter of an environment with tosa-tools.",
)
@click.option("--name", metavar="NAME", help="C: what functions begin with; the name of the file unless told.")
@click.option("--weights", type=click.Choice(_FORMS), help="C: weight codes packed, by default, or bytes.")
@click.option("--dpi", is_flag=True, help="C: write a SystemVerilog package and an example testbench, too.")
@click.option("--layer", metavar="LAYER", help="C: the layer that the testbench checks.")
@options.json_file
def command(
    network: str,
    output: str,
    layers: bool,
    batch: int | None,
    tosa_python: str | None,
    name: str | None,
    weights: str | None,
    dpi: bool,
    layer: str | None,
    json_path: str | None,
) -> None:
    """Export a network to ONNX, or an integer network to QONNX, TOSA or C.

    An integer network in ONNX has standard operators on integers alone, and the same bits in every layer.  It reads
    uint8 pixels (N, H, W, C) as in the image file and returns int32 logits (N, classes).  Dynamic exponents and
    stochastic rounding are refused.  'refengine crosscheck' runs it in other engines and compares every integer.

    In TOSA an integer network is one graph, a flatbuffer that tosa-tools writes: from int8 pixels (N, H, W, C), 128
    less than those of the image file, to int32 logits, in integers alone.  The number of images is fixed.

    In QONNX an integer network has float tensors that hold integers, and thresholds: from float32 pixels 0..255
    (N, C, H, W) to float32 logits.  Residuals and sums beyond 2**24 are refused.

    A float network in ONNX reads normalised float32 (N, C, H, W); 'convert' reads it back.

    In C an integer network becomes OUT.c and OUT.h: C99 without allocation, NAME_run(image, logits, taps), every
    integer of every layer.  With --dpi, SystemVerilog calls it: OUT_dpi.c, OUT_pkg.sv, OUT_check.sv and OUT_tb.sv.
    """
    kind = Path(output).suffix.lower()
    if batch is not None and kind not in (".tosa", ".qonnx"):
        raise NetworkError(f"{output}: --batch is for TOSA and QONNX, the file must end in .tosa or .qonnx")
    if kind == ".qonnx" and layers:
        raise NetworkError(f"{output}: --layers is for ONNX and TOSA, QONNX has every layer's tensors by name")
    if kind == ".c":
        if layers:
            raise NetworkError(f"{output}: --layers is for ONNX and TOSA, a C model shows its layers to callbacks")
        if layer is not None and not dpi:
            raise NetworkError(f"{output}: --layer needs --dpi")
        _to_c(network, output, name, weights or _FORMS[0], (dpi, layer), json_path)
    else:
        if dpi or any(given is not None for given in (name, weights, layer)):
            raise NetworkError(f"{output}: --name, --weights, --dpi and --layer are for C, the file must end in .c")
        if kind == ".tosa":
            _to_tosa(network, output, layers, (batch or 1, tosa_python), json_path)
        elif kind == ".qonnx":
            _to_qonnx(network, output, batch or 1, json_path)
        else:
            _to_onnx(network, output, layers, json_path)


# ---------------------------------------------------------------------------------------------------------------- ONNX


def _to_onnx(network: str, output: str, layers: bool, json_path: str | None) -> None:
    from ..interop.onnx.export_int import serialized

    console.check_outputs([network], json_path, output)
    if Path(output).suffix.lower() != ".onnx":
        raise NetworkError(f"{output}: its ending says the format, needed .onnx, .qonnx, .tosa or .c")
    read = read_network(network)
    if isinstance(read, IntNetwork):
        made, figures, line = _of_integers(read, layers)
    elif layers:
        raise NetworkError(f"{network} holds a network of floats: --layers needs an integer network")
    else:
        made, figures, line = _of_floats(read)
    content = serialized(made)
    console.write_file(output, content, [network])
    nodes, outputs = len(made.graph.node), len(made.graph.output)
    opset = made.opset_import[0].version
    figures |= {"output": output, "opset": opset, "nodes": nodes, "outputs": outputs, "bytes": len(content)}
    if not console.write_json(json_path, "export", figures, [network]):
        console.say(line)
        shown = "" if outputs == 1 else f"{outputs} outputs, "
        console.say(f"{output}: opset {opset}, {nodes} nodes, {shown}{len(content):,} bytes")


def _to_qonnx(network: str, output: str, images: int, json_path: str | None) -> None:
    from ..interop.onnx.export_int import serialized
    from ..interop.onnx.export_qonnx import to_qonnx

    console.check_outputs([network], json_path, output)
    read = read_network(network)
    if not isinstance(read, IntNetwork):
        raise NetworkError(f"{network} holds a network of floats: QONNX needs an integer network")
    made = to_qonnx(read, images)
    content = serialized(made)
    console.write_file(output, content, [network])
    figures = {"model_hash": read.hash, "output": output, "batch": images, "nodes": len(made.graph.node)}
    if not console.write_json(json_path, "export", figures | {"bytes": len(content)}, [network]):
        console.say(_model_line(read))
        console.say(f"{output}: batch {images}, {len(made.graph.node)} nodes, {len(content):,} bytes")


def _of_integers(network: IntNetwork, layers: bool) -> tuple[Any, dict[str, Any], str]:
    from ..interop.onnx.export_int import to_onnx

    return to_onnx(network, layers), {"model_hash": network.hash}, _model_line(network)


def _of_floats(network: FloatNetwork) -> tuple[Any, dict[str, Any], str]:
    from ..interop.onnx.export_float import to_onnx

    mean, std = (",".join(map(repr, values)) for values in (network.mean, network.std))
    line = f"network {network.name}; back by: convert --mean {mean} --std {std} --channels {network.channels}"
    figures = {"name": network.name, "mean": network.mean, "std": network.std, "channels": network.channels}
    return to_onnx(network, "N"), figures, line


def _model_line(network: IntNetwork) -> str:
    return f"model {network.hash}, contract {network.contract}"


# ---------------------------------------------------------------------------------------------------------------- TOSA


def _to_tosa(network: str, output: str, layers: bool, given: tuple[int, str | None], json_path: str | None) -> None:
    from ..interop.tosa.engine import reference_model
    from ..interop.tosa.export_network import to_tosa

    console.check_outputs([network], json_path, output)
    read = read_network(network)
    if not isinstance(read, IntNetwork):
        raise NetworkError(f"{network} holds a network of floats: TOSA needs an integer network")
    images, python = given
    document = to_tosa(read, images, layers)
    content = reference_model(python).flatbuffer(document)
    console.write_file(output, content, [network])
    block = document["regions"][0]["blocks"][0]
    counts = {"operators": len(block["operators"]), "outputs": len(block["outputs"]), "bytes": len(content)}
    figures = {"model_hash": read.hash, "output": output, "batch": images, **counts}
    if not console.write_json(json_path, "export", figures, [network]):
        console.say(_model_line(read))
        console.say(f"{output}: batch {images}, {counts['operators']} operators, {len(content):,} bytes")


# ------------------------------------------------------------------------------------------------------------------- C


def _to_c(
    network: str, output: str, name: str | None, weights: str, dpi: tuple[bool, str | None], json_path: str | None
) -> None:
    from ..interop.c.dpi import dpi_files, dpi_names
    from ..interop.c.identifiers import name_from
    from ..interop.c.model import to_c

    path = Path(output)
    names = [path.name, f"{path.stem}.h", *(dpi_names(path.stem) if dpi[0] else [])]
    console.check_outputs([network], json_path, *(str(path.with_name(file)) for file in names))
    read = read_network(network)
    if not isinstance(read, IntNetwork):
        raise NetworkError(f"{network} holds a network of floats: C needs an integer network")
    made = to_c(read, name_from(path.stem) if name is None else name, weights, path.stem)
    texts = {f"{path.stem}.h": made.header, **(dpi_files(made, dpi[1]) if dpi[0] else {}), path.name: made.source}
    files = {str(path.with_name(file)): text.encode("ascii") for file, text in texts.items()}
    for file, content in files.items():  # the model itself at last, so that it never stands without its header
        console.write_file(file, content, [network])
    sizes = {"arena_bytes": made.memory.bytes, "table_bytes": made.table_bytes}
    figures = {"model_hash": read.hash, "output": output, "name": made.name, "files": [*files], **sizes}
    if not console.write_json(json_path, "export", figures, [network]):
        console.say(_model_line(read))
        console.say(
            f"{', '.join(files)}: {made.name}_run, arena {made.memory.bytes:,} bytes, tables {made.table_bytes:,} bytes"
        )

"""``refengine export``: a network as ONNX, of integers or of floats as it is."""

from typing import Any

import click

from ..errors import NetworkError
from ..network.float_network import FloatNetwork
from ..network.int_network import IntNetwork
from ..network.network_file import read_network
from . import console, options


@click.command("export")
@click.argument("network", metavar="NETWORK.h5")
@click.argument("output", metavar="OUT.onnx")
@click.option("--layers", is_flag=True, help="Give every layer's accumulators and codes as outputs too.")
@options.json_file
def command(network, output, layers, json_path) -> None:
    """Write a network as ONNX.

    An integer network becomes standard operators on integers alone, the same bits in every layer.  It reads uint8
    pixels (N, H, W, C) as the image file has them and gives int32 logits (N, classes).  Dynamic exponents and
    stochastic rounding are refused.  'refengine crosscheck' runs it elsewhere and compares every integer.

    A float network becomes a float one, which reads normalised float32 (N, C, H, W); 'convert' brings it back.
    """
    from ..interop.onnx.export_int import serialized

    console.check_outputs([network], json_path, output)
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


def _of_integers(network: IntNetwork, layers: bool) -> tuple[Any, dict[str, Any], str]:
    from ..interop.onnx.export_int import to_onnx

    line = f"model {network.hash}, contract {network.contract}"
    return to_onnx(network, layers), {"model_hash": network.hash}, line


def _of_floats(network: FloatNetwork) -> tuple[Any, dict[str, Any], str]:
    from ..interop.onnx.export_float import to_onnx

    mean, std = (",".join(map(repr, values)) for values in (network.mean, network.std))
    line = f"network {network.name}; back by: convert --mean {mean} --std {std} --channels {network.channels}"
    figures = {"name": network.name, "mean": network.mean, "std": network.std, "channels": network.channels}
    return to_onnx(network, "N"), figures, line

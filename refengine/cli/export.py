"""``refengine export``: an integer network as ONNX."""

import click

from ..network.int_file import read_int_network
from . import console, options


@click.command("export")
@click.argument("model", metavar="MODEL.h5")
@click.argument("output", metavar="OUT.onnx")
@click.option("--layers", is_flag=True, help="Give every layer's accumulators and codes as outputs too.")
@options.json_file
def command(model, output, layers, json_path) -> None:
    """Write an integer network as ONNX: standard operators, integers alone, the same bits in every layer.

    It reads uint8 pixels (N, H, W, C) as the image file has them and gives int32 logits (N, classes).  Dynamic
    exponents and stochastic rounding are refused.  'refengine crosscheck' runs it elsewhere and compares every integer.
    """
    from ..interop.onnx_int import OPSET, serialized, to_onnx

    console.check_outputs([model], json_path, output)
    network = read_int_network(model)
    made = to_onnx(network, layers)
    content = serialized(made)
    console.write_file(output, content, [model])
    figures = {
        "model_hash": network.hash,
        "output": output,
        "opset": OPSET,
        "nodes": len(made.graph.node),
        "outputs": len(made.graph.output),
        "bytes": len(content),
    }
    if not console.write_json(json_path, "export", figures, [model]):
        console.say(f"model {network.hash}, contract {network.contract}")
        outputs = "" if len(made.graph.output) == 1 else f"{len(made.graph.output)} outputs, "
        console.say(f"{output}: opset {OPSET}, {len(made.graph.node)} nodes, {outputs}{len(content):,} bytes")

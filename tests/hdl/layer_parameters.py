"""From a vector pack to a testbench: the parameters of one layer, as ternary_conv_tb.sv includes them.

    python layer_parameters.py PACK LAYER > layer.svh

Nothing but the manifest is read, with nothing of refengine: this is the side of whoever builds the hardware.
"""

import json
import sys
from pathlib import Path

SIGNED = ("int8",)


class Pack:
    """The manifest of a pack, by names."""

    def __init__(self, folder):
        self.folder = Path(folder)
        manifest = json.loads((self.folder / "manifest.json").read_text())
        self.count = manifest["count"]
        self.layers = {layer["name"]: layer for layer in manifest["layers"]}
        self.tensors = {tensor["name"]: tensor for tensor in manifest["tensors"]}


def parameters(pack, name):
    """Names and values that the testbench needs; refuses a layer or a packing that the hardware cannot take."""
    layer = pack.layers[name]
    refuse(layer["op"] != "conv" or layer["weight_format"] != "ternary", "is no ternary convolution")
    weight = pack.tensors[f"{name}/weight"]
    (source,), residual, step = layer["inputs"], layer["residual"], layer["requantize"]
    outputs, inputs, kernel_h, kernel_w = weight["shape"]
    cluster, (stride_h, stride_w), (top, left, _, _) = (layer["attributes"][k] for k in ("cluster", "strides", "pads"))
    codes = pack.tensors[f"{source}/code"]
    refuse(layer["attributes"]["group"] != 1 or inputs % cluster, f"has groups, or a cluster shorter than {cluster}")
    refuse(layer["accumulator_bits"] != 32 or step["rounding"] != "half_up", "needs another accumulator or rounding")
    refuse(weight["packing"]["order"] != "ohwi", "needs weights in the order ohwi")
    for tensor in (weight, codes):
        packing = tensor["packing"]
        lanes = (packing["elements_per_word"], packing["lane_bits"], packing["first"], packing["endian"])
        refuse(lanes != (cluster, tensor["bits"], "low", "little"), f"needs {cluster} elements in a word, low first")
    signed = {layer: pack.layers[layer]["format"] in SIGNED for layer in (name, source, residual) if layer is not None}
    height, width, _ = pack.layers[source]["output_shape"]
    out_height, out_width, _ = layer["output_shape"]
    return {
        "LAYER": name,
        "SOURCE": source,
        "RESIDUAL": residual or "",
        "IMAGES": pack.count,
        "HEIGHT": height,
        "WIDTH": width,
        "INPUTS": inputs,
        "OUTPUTS": outputs,
        "KERNEL_H": kernel_h,
        "KERNEL_W": kernel_w,
        "STRIDE_H": stride_h,
        "STRIDE_W": stride_w,
        "PAD_TOP": top,
        "PAD_LEFT": left,
        "OUT_HEIGHT": out_height,
        "OUT_WIDTH": out_width,
        "CLUSTER": cluster,
        "CODE_W": codes["bits"],
        "SCALE_W": pack.tensors[f"{name}/scale"]["bits"],
        "ACC_W": layer["accumulator_bits"],
        "MULTIPLIER_W": pack.tensors[f"{name}/multiplier"]["bits"],
        "SHIFT_W": pack.tensors[f"{name}/shift"]["bits"],
        "ONE_FACTOR": pack.tensors[f"{name}/multiplier"]["shape"] == [1],
        "INPUT_SIGNED": signed[source],
        "OUTPUT_SIGNED": signed[name],
        "HAS_RESIDUAL": residual is not None,
        "RESIDUAL_SIGNED": signed.get(residual, False),
        "CLIP_LO": step["lo"],
        "CLIP_HI": step["hi"],
    }


def refuse(problem, sentence):
    """Stop with one line."""
    if problem:
        sys.exit(f"layer_parameters.py: the layer {sentence}")


def as_systemverilog(values):
    """Local parameters, one a line."""
    kinds = {str: "", bool: "bit ", int: "int "}
    shown = {str: '"{}"'.format, bool: lambda value: str(int(value)), int: str}
    return "".join(
        f"localparam {kinds[type(value)]}{name} = {shown[type(value)](value)};\n" for name, value in values.items()
    )


if __name__ == "__main__":
    sys.stdout.write(as_systemverilog(parameters(Pack(sys.argv[1]), sys.argv[2])))

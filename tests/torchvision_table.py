"""torchvision's classification families: from PyTorch and ONNX to integers that other engines agree on.

Each family's network has seeded weights and goes all the way: converted from the module and from its ONNX export,
quantized to int8, run, exported, crosschecked in ONNX Runtime.  As a program it prints the table of docs/interop.md;
``--timm`` prints that of timm's families, and names choose some of the rows, or any network of timm's:

    PYTHONPATH=.:tests python tests/torchvision_table.py
    PYTHONPATH=.:tests python tests/torchvision_table.py --timm
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refengine.errors import RefengineError
from refengine.golden.crosscheck import crosscheck
from refengine.interop.onnx.convert import Preprocessing, convert_file
from refengine.interop.torch.convert import from_torch
from refengine.network.forward import forward
from refengine.network.units import result_divisor
from refengine.optional import package, quiet
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.runs.predict import predictor

MEAN, STD = (127.5,) * 3, (64.0,) * 3
IMAGES, CROSSCHECKED = 64, 2
# family -> its network, and the side of its images: the smallest that its pools divide
FAMILIES = {
    "AlexNet": ("alexnet", 224),
    "ConvNeXt": ("convnext_tiny", 64),
    "DenseNet": ("densenet121", 64),
    "EfficientNet": ("efficientnet_b0", 96),
    "GoogLeNet": ("googlenet", 64),
    "Inception v3": ("inception_v3", 160),
    "MNASNet": ("mnasnet1_0", 64),
    "MobileNet v2": ("mobilenet_v2", 64),
    "MobileNet v3": ("mobilenet_v3_large", 96),
    "RegNet X": ("regnet_x_400mf", 64),
    "RegNet Y": ("regnet_y_400mf", 64),
    "ResNet": ("resnet50", 64),
    "ResNeXt": ("resnext50_32x4d", 64),
    "ShuffleNet v2": ("shufflenet_v2_x1_0", 64),
    "SqueezeNet": ("squeezenet1_1", 64),
    "VGG": ("vgg11", 224),
    "Wide ResNet": ("wide_resnet50_2", 64),
}
OPTIONS = {name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")}
# timm's: network -> the side of its images
TIMM = dict.fromkeys(
    (
        "repvgg_a0", "mobileone_s0", "ghostnet_050", "repghostnet_050", "mobilenetv4_conv_small", "tinynet_e",
        "hardcorenas_a", "fbnetc_100", "semnasnet_050", "lcnet_050", "efficientnet_lite0", "mixnet_s", "rexnet_100",
        "dla34", "ese_vovnet19b_dw", "cs3darknet_s", "darknet53", "hgnetv2_b0", "selecsls42", "res2net50_14w_8s",
        "dpn68", "regnetz_005", "ecaresnet26t", "seresnet18", "resnetv2_50", "nf_resnet50", "starnet_s1",
        "resnest14d", "skresnet18", "hrnet_w18_small",
    ),
    64,
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ networks


def photographs(count, side, seed):
    """Dead leaves: shaded discs over one another, their sizes by a power law, as edges in photographs are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    made = np.empty((count, side, side, 3), np.uint8)
    for image in made:
        scene = np.broadcast_to(rng.uniform(0, 255, 3), image.shape).copy()
        for _ in range(120):
            radius = min(side * 0.02 * (1 - rng.uniform(0, 0.998)) ** -0.5, side)
            y, x = rng.uniform(-radius, side + radius, 2)
            colour = rng.uniform(0, 255) + rng.normal(0, 30, 3)
            slopes = rng.normal(0, 30, 2) / side
            inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            scene[inside] = colour + ((rows - y) * slopes[0] + (columns - x) * slopes[1])[inside][:, None]
        image[:] = np.clip(np.rint(scene + rng.normal(0, 3, scene.shape)), 0, 255)
    return made


def tensors(images):
    """What a module reads."""
    torch = package("torch")
    return torch.from_numpy(((images.transpose(0, 3, 1, 2) - MEAN[0]) / STD[0]).astype(np.float32))


def branch_ends(module):
    """The last batch norm of each residual branch."""
    for block in module.modules():
        norms = [part for part in block.modules() if type(part).__name__ == "BatchNorm2d"]
        kind = type(block).__name__
        if kind == "ResBottleneckBlock":
            norms = [part for part in block.f.modules() if type(part).__name__ == "BatchNorm2d"]
        if kind in ("BasicBlock", "Bottleneck") and hasattr(block, "bn2"):
            yield block.bn3 if hasattr(block, "bn3") else block.bn2
        elif kind == "ResBottleneckBlock" or getattr(block, "use_res_connect", getattr(block, "apply_residual", False)):
            yield norms[-1]
        elif getattr(block, "has_skip", False):  # timm's inverted residuals, whose norms have activations
            yield [part for part in block.modules() if type(part).__name__ == "BatchNormAct2d"][-1]


def give_statistics(module, images, centre):
    """Uniform weights of He's variance; gammas in 3/4..5/4, betas about ``centre``; mean and variance as measured.

    What ends a residual branch is 0.3 times as large.  One pass over the images in training mode measures.
    """
    torch = package("torch")
    draw = torch.Generator().manual_seed(1)
    ends = {*branch_ends(module)}
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
                bound = (6 / part.weight[0].numel()) ** 0.5
                part.weight.uniform_(-bound, bound, generator=draw)
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = None
                part.reset_running_stats()
                size = 0.3 if part in ends else 1.0
                part.weight.uniform_(0.75 * size, 1.25 * size, generator=draw)
                part.bias.normal_(centre * size, 0.2 * size, generator=draw)
        for part in module.modules():
            part.training = isinstance(part, torch.nn.BatchNorm2d)
        module(tensors(images))
    return module.eval()


def torchvision_models():
    """The definitions; operators of detectors, which its compiled part may lack for this PyTorch, are declared."""
    torch = package("torch")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        except RuntimeError:  # it is there already
            continue
    return package("torchvision").models


# -------------------------------------------------------------------------------------------------------- measurements


@dataclass(frozen=True)
class Row:
    """A family's way: layers, largest relative differences of float logits, signal to noise in dB, the crosscheck."""

    family: str
    network: str
    side: int
    layers: int = 0
    from_torch: float = 0.0
    from_onnx: float = 0.0
    snr: float = 0.0
    about_mean: float = 0.0
    float_scales: float = 0.0
    integers: int = 0
    different: int = 0
    refused: str = ""


def decibels(reference, found):
    """Signal to noise of the logits, and of their distance from each class's mean over the images."""
    noise = ((found - reference) ** 2).sum()
    signals = (reference**2).sum(), ((reference - reference.mean(axis=0)) ** 2).sum()
    return tuple(float(10 * np.log10(signal / noise)) for signal in signals)


def with_float_scales(module, images):
    """Logits with every weight and every operand of a module in 8 bits, whose scales are any floats.

    Weights by output channel, symmetric; operands by tensor, each image batch's own range, any zero point.
    """
    torch = package("torch")
    kinds = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.SiLU, torch.nn.Hardswish, torch.nn.Sigmoid)

    def rounded(part, operands):
        low, high = operands[0].amin().clamp(max=0), operands[0].amax().clamp(min=0)
        step = (high - low) / 255
        return (torch.round(operands[0] / step) * step,)

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
                step = part.weight.abs().flatten(1).amax(1).clamp(min=1e-30) / 127
                step = step.reshape(-1, *[1] * (part.weight.dim() - 1))
                part.weight.copy_(torch.round(part.weight / step) * step)
            if isinstance(part, kinds):
                part.register_forward_pre_hook(rounded)
        return module(tensors(images)).double().numpy()


def in_slices(function, images):
    """Float64 logits, a few images at a time."""
    return np.concatenate([np.asarray(function(images[i : i + 8]), np.float64) for i in range(0, len(images), 8)])


def exported(module, side):
    """The network of the module's ONNX export."""
    torch = package("torch")
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "network.onnx"
        torch.onnx.export(module, (torch.zeros(1, 3, side, side),), path, external_data=False, dynamo=True)
        return convert_file(path, Preprocessing(MEAN, STD)).network


def definition(family, of_timm):
    """(name, side of its images, module) of a family, with weights that are made anew."""
    torch, models = package("torch"), torchvision_models()
    torch.manual_seed(0)
    if of_timm:
        with quiet():
            return family, TIMM.get(family, 64), package("timm").create_model(family, pretrained=False)
    name, side = FAMILIES[family]
    return name, side, getattr(models, name)(weights=None, **OPTIONS.get(name, {}))


def row(family, centre, of_timm=False):
    """All of a family's way; what refuses it, if something does."""
    torch = package("torch")
    name, side, module = definition(family, of_timm)
    calibration, images = photographs(IMAGES if side < 200 else 16, side, 1), photographs(IMAGES, side, 2)
    module = give_statistics(module, calibration, centre)
    try:
        network = from_torch(module, torch.zeros(1, 3, side, side), MEAN, STD)
        again = exported(module, side)
        model = quantize(network, calibration, Scheme(weights="int8", method="paper"))
        (checked,) = crosscheck(model, images[:CROSSCHECKED], ["onnxruntime"])
    except RefengineError as error:
        return Row(family, name, side, refused=str(error))
    with torch.no_grad():
        wanted = in_slices(lambda part: module(tensors(part)), images)
    largest = np.abs(wanted).max()
    differences = (
        np.abs(in_slices(lambda x, n=one: forward(n, x), images[:8]) - wanted[:8]) for one in (network, again)
    )
    logits = predictor(model, "fast", 8)
    last = model.layers[-1]
    unit = 2.0**last.exponent / result_divisor(model, last)
    found = in_slices(lambda part: logits(part, 0).logits * unit, images)
    ideal = in_slices(lambda part: with_float_scales(module, part), images)
    return Row(
        family, name, side, len(model.layers), *(float(each.max() / largest) for each in differences),
        *decibels(wanted, found), decibels(wanted, ideal)[0], checked.values, checked.different,
    )  # fmt: skip


def as_markdown(row):
    """A line of the table; timm's networks are families of their own."""
    family = "" if row.family == row.network else f"| {row.family} "
    head = f"{family}| `{row.network}` | {row.side} |"
    if row.refused:
        return f"{head} refused: {row.refused[:150]} | | | | | | |"
    floats = f"{row.from_torch:.0e} | {row.from_onnx:.0e}"
    noise = f"{row.snr:.1f} | {row.about_mean:.1f} | {row.float_scales:.1f}"
    return f"{head} {row.layers} | {floats} | {noise} | {row.integers:,} | {row.different} |"


COLUMNS = (
    "family", "network", "pixels", "layers", "from PyTorch", "from ONNX", "SNR, dB", "about the mean", "float scales",
    "integers", "different",
)  # fmt: skip


def main(arguments):
    """Print a table, line by line as they are measured."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--timm", action="store_true")
    parser.add_argument("--centre", type=float, default=2.0, help="mean of the batch norms' betas")
    given = parser.parse_args(arguments)
    package("torch").set_num_threads(1)
    columns = COLUMNS[1:] if given.timm else COLUMNS
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for family in given.names or (TIMM if given.timm else FAMILIES):
        print(as_markdown(row(family, given.centre, given.timm)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

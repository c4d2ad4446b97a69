"""``refengine quantize``: a float network and calibration images in, an integer network out."""

import time
from typing import Any

import click

from ..api.quantize import quantize
from ..errors import SchemeError
from ..network.float_file import read_float_network
from ..network.int_file import write_int_network
from ..network.int_network import IntNetwork
from ..numbers.accumulator import POLICIES
from ..numbers.formats import ACTIVATION_FORMATS, WEIGHT_FORMATS
from ..numbers.rounding import ROUNDINGS
from ..quantization.plan import SAID_BY_A_PLAN
from ..quantization.scheme import EXPONENTS, METHODS, SCALE_EXPONENTS, Scheme
from . import console, options
from .layers import int_layers


def _scheme_option(name: str, choices: Any = None, **keywords: Any) -> Any:
    """An option that sets the scheme's field of its name, and has that field's default."""
    field = name.lstrip("-").replace("-", "_")
    kind = click.Choice(list(choices)) if choices else int
    return click.option(name, field, type=kind, default=getattr(Scheme, field), show_default=True, **keywords)


@click.command("quantize")
@click.argument("network", metavar="NET.h5")
@click.option("--calibration", required=True, metavar="IMAGES.h5", help="Images to calibrate on; labels are not used.")
@click.option("-o", "--output", required=True, metavar="OUT.h5", help="Where to write the integer network.")
@_scheme_option("--weights", WEIGHT_FORMATS, help="Weight format of the middle layers.")
@_scheme_option("--cluster", metavar="N", help="Filters (input channels of one output) that share a scale.")
@_scheme_option(
    "--method", METHODS, help="How codes and scales are chosen: on the calibration images, or by the weights alone."
)
@_scheme_option("--first", WEIGHT_FORMATS, help="Weight format of the first layer with weights.")
@_scheme_option("--last", WEIGHT_FORMATS, help="Weight format of the last layer with weights.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATTERN=FORMAT",
    help="Weight format by layer name, shell pattern or role (first, last, depthwise, pointwise); the last one wins.",
)
@_scheme_option("--scale-exponent", SCALE_EXPONENTS, help="Scales share one exponent per output channel or per layer.")
@_scheme_option("--activations", ACTIVATION_FORMATS, help="Format after a ReLU.")
@_scheme_option(
    "--exponents",
    EXPONENTS,
    help="Output exponents: reach every calibrated value (max), lose least in the mean square (mse), "
    "or be chosen for each image (dynamic).",
)
@click.option(
    "--reestimate/--no-reestimate",
    default=None,
    help="Re-estimate batch norm on the calibration images.  "
    "[default: if any layer is ternary, unless the method is calibrated, which moves biases instead]",
)
@click.option(
    "--equalize/--no-equalize",
    default=Scheme.equalize,
    show_default=True,
    help="Bring the channels of a tensor to like ranges first, by powers of two; the floats stay the same.",
)
@_scheme_option(
    "--views",
    metavar="V",
    help="Views of each calibration image, mirrored and moved, for layers that see few windows: 1 (the image) to 4.",
)
@_scheme_option("--multiplier-bits", metavar="B", help="Width of the multipliers, 1 (pure shifts) to 15.")
@_scheme_option("--rounding", ROUNDINGS, help="How every requantization rounds.")
@_scheme_option("--seed", metavar="S", help="Key of stochastic rounding.")
@click.option(
    "--arith",
    metavar="NAME",
    help="Round as another design does, with multipliers no wider than its own ('refengine arith --list').",
)
@_scheme_option("--accumulator-bits", metavar="B", help="Width of the accumulators, 16 to 32.")
@_scheme_option("--accumulator-policy", POLICIES, help="What a sum does that does not fit.")
@click.option(
    "--plan",
    "plan_path",
    metavar="PLAN.json",
    help="The weight format and cluster of each layer, as 'refengine search' writes it.",
)
@options.calibration_images
@options.threads
@options.json_file
def command(
    network: str,
    calibration: str,
    output: str,
    threads: int,
    json_path: str | None,
    plan_path: str | None,
    layers: Any,
    **fields: Any,
) -> None:
    """Quantize a float network to an integer one.

    Output exponents, and by default codes and biases, are calibrated on images.  If the images have another height
    and width than the network, the integer network takes theirs, if its layers allow it.  Patterns of --layer match
    the float network's layer names, with or without their numbers.

    The result depends on the two files and the options alone.  Every trace and report names it by its hash.
    """
    inputs = [network, calibration, *([] if plan_path is None else [plan_path])]
    chosen = tuple(_pair(text) for text in layers)
    _check_alone(plan_path)
    console.check_outputs(inputs, json_path, output)
    float_network = read_float_network(network)
    fields |= {name: None for name in ("rounding", "multiplier_bits") if not _is_given(name)}  # --arith may say them
    start = time.perf_counter()
    with console.progress("quantize") as show:
        made = quantize(
            float_network,
            calibration,
            **fields,
            layers=chosen,
            plan=plan_path,
            threads=threads,
            progress=show,
            warn=console.complain,
        )
    seconds = time.perf_counter() - start
    write_int_network(made, output, inputs)
    images = int(made.made_with["calibration_images"])
    figures = {
        "output": output,
        "model_hash": made.hash,
        "calibration_images": images,
        "seconds": seconds,
        "made_with": dict(made.made_with),
        "layers": int_layers(made),
    }
    if not console.write_json(json_path, "quantize", figures, inputs):
        if made.input_shape != float_network.input_shape:
            sizes = (f"{height}x{width}" for height, width, _ in (made.input_shape, float_network.input_shape))
            console.say("made for the calibration images' {}; the float network's own size is {}".format(*sizes))
        console.say(f"{output}: {len(made.layers)} layers, {_formats(made)}, {images} calibration images")
        if odd := made.made_with.get("not_normalising"):
            console.say(f"batch norms that do not normalise these images, treated as folded: {odd.count(',') + 1}")
        console.say(f"model {made.hash}, contract {made.contract}, {seconds:.1f} s")


def _pair(text: str) -> tuple[str, str]:
    pattern, equals, fmt = text.rpartition("=")
    if not equals or not pattern:
        raise SchemeError(f"--layer is {text!r}, needed PATTERN=FORMAT, as 'layer2.*=int4'")
    return pattern, fmt


def _check_alone(plan: str | None) -> None:
    """SchemeError where a plan and an option both say which weights layers have, even if they say the same."""
    given = ["--layer" if name == "layers" else f"--{name}" for name in SAID_BY_A_PLAN if _is_given(name)]
    if plan is not None and given:
        raise SchemeError(f"--plan says the weights of every layer, {', '.join(given)} cannot be given beside it")


def _is_given(option: str) -> bool:
    """Whether an option was written, not left at its default."""
    return click.get_current_context().get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE


def _formats(network: IntNetwork) -> str:
    """How many layers have which weights: '17 ternary, 2 int8'."""
    formats = [layer.weight_format for layer in network.layers if layer.weight_format is not None]
    return ", ".join(f"{formats.count(name)} {name}" for name in WEIGHT_FORMATS if name in formats)

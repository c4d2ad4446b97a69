"""refengine quantize: options reach the scheme, and nothing is written where something is wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from everyday import everyday
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.cli.main import verbs
from refengine.network.float_file import read_float_network, write_float_network
from refengine.network.images import evenly_spaced, open_images, write_images
from refengine.network.int_file import read_int_network
from refengine.quantization.fuse import fuse
from refengine.quantization.plan import Plan, Weights, plan_text
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

CALL = ("quantize", "net.h5", "--calibration", "images.h5", "-o", "out.h5")


def quantized(scheme, count=12):
    """What the public function makes of the files."""
    with open_images("images.h5") as images:
        pixels = images.take(evenly_spaced(images.count, count))
    return quantize(read_float_network("net.h5"), pixels, scheme)


def test_the_defaults_are_the_scheme_s(files):
    outcome = refengine(*CALL)
    assert (outcome.code, outcome.err) == (0, "")
    network = read_int_network("out.h5")
    assert network.hash == quantized(Scheme()).hash
    assert network.hash in outcome.out
    assert outcome.out.startswith("out.h5: ")
    assert "12 calibration images" in outcome.out


@pytest.mark.parametrize(
    ("options", "fields"),
    everyday(
        [
            (["--weights", "int8"], {"weights": "int8"}),
            (["--weights", "int4", "--cluster", "2"], {"weights": "int4", "cluster": 2}),
            (["--method", "optimal", "--first", "int4"], {"method": "optimal", "first": "int4"}),
            (["--last", "ternary", "--scale-exponent", "layer"], {"last": "ternary", "scale_exponent": "layer"}),
            (["--layer", "004_conv=int8", "--layer", "fc=int4"], {"layers": (("004_conv", "int8"), ("fc", "int4"))}),
            (["--activations", "int8", "--exponents", "max"], {"activations": "int8", "exponents": "max"}),
            (["--no-reestimate"], {"reestimate": False}),
            (["--reestimate", "--weights", "int8"], {"reestimate": True, "weights": "int8"}),
            (["--no-equalize"], {"equalize": False}),
            (["--views", "1"], {"views": 1}),
            (["--multiplier-bits", "1"], {"multiplier_bits": 1}),
            (["--rounding", "stochastic", "--seed", "7"], {"rounding": "stochastic", "seed": 7}),
            (
                ["--accumulator-bits", "18", "--accumulator-policy", "wrap"],
                {"accumulator_bits": 18, "accumulator_policy": "wrap"},
            ),
            (["--threads", "1"], {}),
        ],
        2,
    ),
)
def test_options_are_fields_of_the_scheme(files, options, fields):
    assert refengine(*CALL, *options).code == 0
    network = read_int_network("out.h5")
    assert network.hash == quantized(Scheme(**fields)).hash
    assert dict(network.made_with).items() >= Scheme(**fields).described().items()


def test_batch_norms_that_do_not_normalise_are_counted(files):
    network = read_float_network("net.h5")
    odd = {"mean": np.float32(0), "var": np.float32(1e-6)}
    layers = tuple(
        replace(
            step,
            constants={name: np.full_like(a, odd[name]) if name in odd else a for name, a in step.constants.items()},
        )
        if step.op == "batchnorm"
        else step
        for step in network.layers
    )
    write_float_network(replace(network, layers=layers), "net.h5", [])
    said = "batch norms that do not normalise these images, treated as folded: 1\n"
    assert said in refengine(*CALL, "--method", "paper").out
    assert said not in refengine(*CALL).out


def test_calibration_images_are_evenly_spaced(files):
    assert refengine(*CALL, "--calibration-images", "5").code == 0
    assert read_int_network("out.h5").hash == quantized(Scheme(), count=5).hash


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (lambda seen: seen[[0] * 5], "all 5 calibration images are the same: "),
        (lambda seen: seen[:1], "there is one calibration image: "),
        (lambda seen: seen * 0, "calibration images are the same: "),
        (
            lambda seen: seen * 0 + np.arange(len(seen), dtype=np.uint8)[:, None, None, None],
            "every calibration image is of one colour: ",
        ),
    ],
)
def test_images_that_say_next_to_nothing_are_complained_of(files, images, said):
    """One line, and the network is made: an image or two are no mistake in a test of the tools."""
    with open_images("images.h5") as file:
        write_images("dull.h5", images(file.read(0, file.count)), None)
    outcome = refengine("quantize", "net.h5", "--calibration", "dull.h5", "-o", "out.h5")
    assert outcome.code == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("refengine: ")
    assert said in line


def test_the_help_says_when_batch_norm_is_re_estimated():
    """Not by the default method, which contract F8 has move biases."""
    told = " ".join(refengine("quantize", "--help").out.split())
    assert "if any layer is ternary, unless the method is calibrated, which moves biases instead" in told


@pytest.mark.parametrize(("method", "done"), [("calibrated", "no"), ("paper", "yes")])
def test_the_model_says_whether_it_was(files, method, done):
    assert refengine(*CALL, "--method", method).code == 0
    made_with = read_int_network("out.h5").made_with
    assert made_with["reestimate"] == "if any layer is ternary, unless calibrated"
    assert made_with["reestimated"] == done


def test_calibration_needs_no_labels(files):
    assert refengine("quantize", "net.h5", "--calibration", "unlabelled.h5", "-o", "out.h5").code == 0
    assert read_int_network("out.h5").hash == quantized(Scheme()).hash


def test_json_describes_the_model_that_was_written(files):
    outcome = refengine(*CALL, "--json", "-")
    figures = outcome.json
    network = read_int_network("out.h5")
    assert (figures["report"], figures["model_hash"]) == ("quantize", network.hash)
    assert (figures["calibration_images"], figures["made_with"]["cluster"]) == (12, "4")
    assert [layer["name"] for layer in figures["layers"]] == [layer.name for layer in network.layers]
    assert refengine(*CALL, "--json", "figures.json").code == 0
    assert json.loads((files / "figures.json").read_text())["model_hash"] == network.hash


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--cluster", "0"], "a cluster has 1 to 65536 filters, found 0"),
        (["--layer", "conv1"], "needed PATTERN=FORMAT"),
        (["--layer", "conv1=int2"], "'int2'; available: ternary, int4, int8"),
        (["--multiplier-bits", "16"], "1 to 15"),
        (["--accumulator-bits", "40"], "16 to 32 bits, found 40"),
        (["--seed", "-1"], "0..2**63-1"),
        (["-o", "net.h5"], "is also read from"),
        (["-o", "images.h5"], "is also read from"),
        (["-o", "nowhere/out.h5"], "there is no folder"),
        (["-o", "."], "is not a regular file"),
        (["--json", "out.h5"], "would be written twice"),
        (["--json", "net.h5"], "is also read from"),
        (["--calibration", "net.h5"], "'refengine-float', needed 'refengine-images'"),
        (["--accumulator-bits", "16"], "its accumulator has 16"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_an_unknown_choice_lists_the_known_ones(files):
    result = CliRunner().invoke(verbs, [*CALL, "--rounding", "bankers"])
    assert result.exit_code == 2
    assert "half_even" in result.stderr


@pytest.mark.parametrize("name", ["net.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL)


def test_an_existing_result_survives_a_failure(files):
    (files / "out.h5").write_text("older result")
    refusal(*CALL, "--accumulator-bits", "16")
    assert (files / "out.h5").read_text() == "older result"
    assert refengine(*CALL).code == 0
    assert read_int_network("out.h5").layers


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--arith", "nvdla"], {"rounding": "half_away"}),
        (["--arith", "tosa-double"], {"rounding": "double_round"}),
        (["--arith", "onnx", "--multiplier-bits", "12"], {"rounding": "half_even", "multiplier_bits": 12}),
        (["--arith", "ristretto"], {"rounding": "half_away", "multiplier_bits": 1}),
        (["--arith", "dory", "--rounding", "floor"], {"rounding": "floor"}),
    ],
)
def test_another_design_s_arithmetic_is_a_rounding_and_a_width(files, options, fields):
    """A preset that a layer can express sets two fields of the scheme; a written option must agree with it."""
    assert refengine(*CALL, *options).code == 0
    assert read_int_network("out.h5").hash == quantized(Scheme(**fields)).hash


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--arith", "tpu"], "arithmetic 'tpu' is unknown; available: tosa, "),
        (
            ["--arith", "ap-fixed-default"],
            "arith ap-fixed-default: its overflow is 'wrap', and a layer can only satur",
        ),
        (["--arith", "tflite"], "it rounds twice, by its multiplier's width"),
        (["--arith", "onnxruntime"], "its product is float32"),
        (["--arith", "tflite"], "'refengine arith' counts what it would change"),
        (["--arith", "tosa", "--rounding", "floor"], "arith tosa rounds half_up, rounding is floor"),
        (["--arith", "gemmini", "--multiplier-bits", "8"], "has multiplier_bits up to 1, multiplier_bits is 8"),
    ],
)
def test_an_arithmetic_that_no_layer_has_is_refused(files, options, needle):
    assert needle in refusal(*CALL, *options)
    assert not (files / "out.h5").exists()


def test_a_plan_s_file_and_what_cannot_stand_beside_it(files):
    names = [group.core.name for group in fuse(read_float_network("net.h5")) if group.weighted]
    plan = Plan("any", tuple((name, Weights("int4", 2)) for name in names))
    (files / "plan.json").write_text(plan_text(plan))
    call = ("quantize", "net.h5", "--calibration", "unlabelled.h5", "-o", "out.h5", "--plan", "plan.json")
    made = refengine(*call, "--json", "-").json
    assert {layer["weights"]["format"] for layer in made["layers"] if layer["weights"]} == {"int4"}
    assert made["made_with"]["plan"] == plan.described()
    line = refusal(*call, "--weights", "ternary", "--layer", "first=int8")
    assert "--plan says the weights of every layer, --weights, --layer cannot be given beside it" in line
    (files / "plan.json").write_text(plan_text(Plan("any", (("001_x", Weights("int8")),))))
    assert "layers unknown '001_x', missing " in refusal(*call)
    (files / "plan.json").write_text("x")
    assert "plan.json: is no JSON" in refusal(*call)

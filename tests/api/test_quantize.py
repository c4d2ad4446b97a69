"""quantize: the public function is the quantizer with every field of the scheme by its name."""

import inspect
import warnings
from dataclasses import fields

import numpy as np
import pytest
from calibrated import pixels
from sweeps import seven

import refengine
from refengine.errors import RangeError, SchemeError
from refengine.network.float_file import read_float_network
from refengine.network.images import write_images
from refengine.quantization.plan import Plan, Weights, plan_text
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

BY_ARITH = {"rounding", "multiplier_bits"}


def test_every_field_of_the_scheme_is_an_argument_with_its_default():
    arguments = inspect.signature(refengine.quantize).parameters
    defaults = {field.name: field.default for field in fields(Scheme)}
    assert {name: arguments[name].default for name in defaults if name not in BY_ARITH} == {
        name: value for name, value in defaults.items() if name not in BY_ARITH
    }
    assert {arguments[name].default for name in BY_ARITH} == {None}


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"weights": "int4", "cluster": 2},
        {"layers": {"fc": "int4"}},
        {"layers": (("fc", "int4"), ("fc", "int8"))},
        {"method": "paper", "reestimate": False},
        {"rounding": "half_even", "multiplier_bits": 12},
        {"rounding": "stochastic", "seed": 5},
        {"first": "ternary", "last": "int4", "activations": "int8", "exponents": "max", "scale_exponent": "layer"},
        {"accumulator_bits": 18, "accumulator_policy": "wrap"},
    ],
)
def test_arguments_are_fields_of_the_scheme(files, chosen):
    pixels = refengine.load("images.h5")[:]
    layers = chosen.get("layers", ())
    scheme = Scheme(**{**chosen, "layers": tuple(layers.items()) if isinstance(layers, dict) else layers})
    expected = quantize(read_float_network("net.h5"), pixels, scheme)
    found = refengine.quantize("net.h5", pixels, **chosen)
    assert (found.hash, found.made_with) == (expected.hash, expected.made_with)


def test_images_in_every_form_give_the_same_integers(files):
    images = refengine.load("images.h5")
    forms = ["images.h5", images, images[:]]
    assert len({refengine.quantize("net.h5", form, calibration_images=5).hash for form in forms}) == 1
    assert refengine.quantize("net.h5", images, calibration_images=5).made_with["calibration_images"] == "5"


def test_an_arithmetic_chooses_rounding_and_width(files):
    images = refengine.load("images.h5")
    made = refengine.quantize("net.h5", images, arith="ristretto").made_with
    assert (made["rounding"], made["multiplier_bits"]) == ("half_away", "1")
    made = refengine.quantize("net.h5", images, arith="onnx", multiplier_bits=12).made_with
    assert (made["rounding"], made["multiplier_bits"]) == ("half_even", "12")
    with pytest.raises(SchemeError, match="arith tosa rounds half_up, rounding is floor"):
        refengine.quantize("net.h5", images, arith="tosa", rounding="floor")
    with pytest.raises(SchemeError, match="arith gemmini has multiplier_bits up to 1, multiplier_bits is 8"):
        refengine.quantize("net.h5", images, arith="gemmini", multiplier_bits=8)
    with pytest.raises(SchemeError, match="arith tflite: it rounds twice"):
        refengine.quantize("net.h5", images, arith="tflite")


def test_images_that_show_nothing_are_a_warning_in_the_caller_s_file(files):
    one = refengine.load("images.h5")[:1]
    with pytest.warns(UserWarning, match="there is one calibration image: ") as seen:
        refengine.quantize("net.h5", one)
    assert seen[0].filename == __file__
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refengine.quantize("net.h5", one, warn=told.append)
    assert len(told) == 1


def test_progress_names_each_layer(files):
    seen = []
    refengine.quantize("net.h5", "images.h5", progress=lambda *row: seen.append(row))
    assert {name for _, _, name in seen} <= {layer.name for layer in refengine.load("net.h5").layers}
    assert "fc" in {name.split("_", 1)[1] for _, _, name in seen}
    assert all(0 <= done < total for done, total, _ in seen)


@pytest.mark.parametrize(
    ("images", "needle"),
    [
        (np.zeros((2, 8, 8, 3)), "found float64 of shape"),
        (np.zeros((8, 8, 3), np.uint8), "found uint8 of shape"),
        (np.zeros((0, 8, 8, 3), np.uint8), "found uint8 of shape"),
        (np.zeros((2, 8, 8, 1), np.uint8), "calibration images have 1 channels"),
    ],
)
def test_what_is_no_calibration_set_is_refused(files, images, needle):
    with pytest.raises(SchemeError, match=needle):
        refengine.quantize("net.h5", images, warn=lambda line: None)


def test_an_integer_network_is_not_quantized_again(files):
    with pytest.raises(RangeError, match="network is a IntNetwork"):
        refengine.quantize(refengine.load("model.h5"), "images.h5")


def test_calibration_needs_no_labels(files):
    write_images("bare.h5", refengine.load("images.h5")[:], None)
    found = [refengine.quantize("net.h5", name) for name in ("images.h5", "bare.h5")]
    assert found[0].hash == found[1].hash


def test_a_plan_may_be_a_path_or_an_object_and_stands_alone(tmp_path):
    network = seven()
    images = pixels(network)
    plan = Plan("seven", tuple((name, Weights("int4", 2)) for name in ("001_conv", "003_conv", "006_fc")))
    (tmp_path / "plan.json").write_text(plan_text(plan))
    one, other = (
        refengine.quantize(network, images, plan=given, threads=1) for given in (plan, tmp_path / "plan.json")
    )
    assert one.hash == other.hash
    with pytest.raises(SchemeError, match="cluster is 8, but the plan says each layer's weights"):
        refengine.quantize(network, images, plan=plan, cluster=8)

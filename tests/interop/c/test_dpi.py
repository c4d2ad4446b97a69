"""SystemVerilog calls the C model: a right DUT passes in Verilator, a wrong one is reported at its first value."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_models import WARNINGS, Case, missing, wanted
from golden_cases import conv_case
from networks import averaging, dynamic, every_op, random_images, small, with_layer

from refengine.errors import NetworkError
from refengine.interop.c.dpi import dpi_files, dpi_names, obstacle
from refengine.interop.c.model import to_c
from refengine.numbers.requantize import clip
from refengine.numbers.rounding import round_shift

pytestmark = pytest.mark.slow

HDL = Path(__file__).resolve().parents[2] / "hdl"
DUT = [HDL / name for name in ("planted_bugs.sv", "ternary_conv.sv", "dut.sv")]
BUGS = re.findall(r"^    ([A-Z_0-9]+),", (HDL / "planted_bugs.sv").read_text(), re.MULTILINE)
LAYER = "003_conv"
SHAPES = {
    "stride 1, residual": {"residual": True, "finer": 1},
    "stride 2, signed codes": {"strides": (2, 2), "size": (7, 6), "activation": "none", "signed": True, "shift": 15},
    "ReLU6, one tap": {"kernel": (1, 1), "pads": (0, 0, 0, 0), "activation": "clip", "top": 80, "shift": 15},
}
SAID = re.compile(
    rf"layer {LAYER}, (\w+) \(y (\d+), x (\d+), c (\d+)\): golden (-?\d+), got (-?\d+), value number (\d+)"
)


def has_verilator_5():
    if missing("verilator", "make", "g++", "gcc"):
        return False
    version = subprocess.run(["verilator", "--version"], capture_output=True, text=True, timeout=60).stdout
    return re.match(r"Verilator [5-9]\.", version) is not None


VERILATOR = pytest.mark.skipif(
    not has_verilator_5(), reason="not installed: verilator 5 or later, with make, g++ and gcc"
)


def network_of(shape):
    return conv_case(7, inputs=8, outputs=5, cluster=4, **SHAPES[shape]).network


def written(network, folder, layer=None):
    made = to_c(network, "net")
    for name, text in ({"net.c": made.source, "net.h": made.header} | dpi_files(made, layer)).items():
        (folder / name).write_text(text)


def command(*arguments, cwd):
    done = subprocess.run([*map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def verilated(folder):
    """The simulation; every warning of both compilers is an error."""
    command("gcc", *WARNINGS, "-c", "net_dpi.c", cwd=folder)
    sources = ["net_pkg.sv", "net_check.sv", "net_tb.sv", *DUT, folder / "net_dpi.o"]
    options = ["--binary", "--timing", "-Wall", "-CFLAGS", "-O0", "--top", "net_tb", "-Mdir", "objects", "-o", "sim"]
    command("verilator", *options, *sources, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def simulations(tmp_path_factory):
    """Each shape's network, an image for it, and the folder of its simulation."""
    if not has_verilator_5():
        pytest.skip("not installed: verilator 5 or later, with make, g++ and gcc")
    made = {}
    for shape in SHAPES:
        network, folder = network_of(shape), tmp_path_factory.mktemp("dpi")
        written(network, folder)
        image = random_images(network, 1)
        (folder / "image.memh").write_text("\n".join(f"{pixel:02x}" for pixel in image.ravel()))
        made[shape] = (Case(network, image), verilated(folder))
    return made


def simulated(folder, *plusargs):
    done = subprocess.run(["objects/sim", *plusargs], cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@VERILATOR
@pytest.mark.parametrize("shape", SHAPES)
def test_a_right_dut_passes_on_every_image(simulations, shape):
    case, folder = simulations[shape]
    size = int(np.prod(case.network.shapes[LAYER]))
    for arguments, images in (([], 1), (["+images=3", "+seed=9"], 3), (["+image=image.memh"], 1)):
        code, said = simulated(folder, *arguments)
        assert code == 0, said
        assert f"layer {LAYER}: all {images * size} values of {images} images are right" in said


def first_wrong(bug, case):
    """Stage and index of the first value that the planted bug changes, found without the hardware."""
    stages = {stage: array[0] for stage, array in wanted(replace(case, first_image=0))[0][LAYER].items()}
    layer = case.network.layer(LAYER)
    step = layer.requantize
    if bug == "ROUND_FLOOR":
        floored = clip(round_shift(stages["totals"], step.shift, "floor"), step)
        return "code", int(np.flatnonzero(floored.ravel() != stages["codes"].ravel())[0])
    if bug == "BIAS_MISSING":
        return "accumulator", int(np.flatnonzero(layer.constants["bias"])[0])
    assert bug == "RESIDUAL_MISSING"
    products = stages["accumulators"].astype(np.int64) * step.multiplier
    return "total", int(np.flatnonzero(products.ravel() != stages["totals"].ravel())[0])


@VERILATOR
@pytest.mark.parametrize(
    ("shape", "bug"),
    [
        ("stride 1, residual", "ROUND_FLOOR"),
        ("stride 1, residual", "BIAS_MISSING"),
        ("stride 1, residual", "RESIDUAL_MISSING"),
        ("stride 2, signed codes", "ROUND_FLOOR"),
        ("ReLU6, one tap", "ROUND_FLOOR"),
    ],
)
def test_a_wrong_dut_is_reported_at_its_first_wrong_value(simulations, shape, bug):
    case, folder = simulations[shape]
    code, said = simulated(folder, "+image=image.memh", f"+bug={BUGS.index(bug)}")
    assert code != 0
    stage, y, x, c, _, _, number = SAID.search(said).groups()
    _, width, channels = case.network.shapes[LAYER]
    assert (stage, int(number)) == first_wrong(bug, case)
    assert (int(y) * width + int(x)) * channels + int(c) == int(number)


@VERILATOR
@pytest.mark.parametrize(
    "bug",
    [
        "SHIFT_MORE",
        "MULTIPLIER_SIGNED",
        "SCALE_NEXT_CLUSTER",
        "CODE_SIGN",
        "WEIGHT_LANES",
        "KERNEL_FLIPPED",
        "LAST_CLUSTER",
        "RESIDUAL_UNSHIFTED",
        "PADDING_128",
        "OUTPUT_REVERSED",
        "WINDOW_LATE",
    ],
)
def test_every_other_planted_bug_fails_with_what_the_model_has_there(simulations, bug):
    case, folder = simulations["stride 1, residual"]
    code, said = simulated(folder, "+image=image.memh", f"+bug={BUGS.index(bug)}")
    assert code != 0
    stage, y, x, c, golden, got, _ = SAID.search(said).groups()
    stages = wanted(replace(case, first_image=0))[0][LAYER]
    assert int(golden) == int(stages[f"{stage}s"][0, int(y), int(x), int(c)])
    assert got != golden


@VERILATOR
def test_values_that_do_not_come_are_noticed(tmp_path):
    written(network_of("ReLU6, one tap"), tmp_path)
    text = (tmp_path / "net_tb.sv").read_text()
    assert text.count(".valid(y_valid)") == 1
    (tmp_path / "net_tb.sv").write_text(text.replace(".valid(y_valid)", ".valid(y_valid && y_address != RESULTS - 1)"))
    code, said = simulated(verilated(tmp_path))
    assert code != 0
    assert f"layer {LAYER}, value (y 4, x 4, c 4): came 0 times in 1 images" in said


# ---------------------------------------------------------------------------------------------------------- the texts


@pytest.mark.skipif(bool(missing("gcc", "clang")), reason=missing("gcc", "clang"))
@pytest.mark.parametrize("network", [every_op(), dynamic(), averaging(), small()])
def test_the_glue_compiles_without_a_warning(network, tmp_path):
    written(network, tmp_path)
    for compiler in ("gcc", "clang"):
        command(compiler, *WARNINGS, "-c", "net_dpi.c", cwd=tmp_path)


def test_files_are_called_after_the_model():
    network = network_of("stride 1, residual")
    made = to_c(network, "net", stem="my-net")
    assert [*dpi_files(made)] == dpi_names("my-net")
    assert '#include "my-net.c"' in dpi_files(made)["my-net_dpi.c"]


def test_a_network_without_such_a_layer_has_no_testbench_but_a_package():
    assert [*dpi_files(to_c(averaging(), "net"))] == dpi_names("net")[:3]


@pytest.mark.parametrize(
    ("layer", "reason"), [("005_fc", "no ternary convolution"), ("001_read", "no ternary convolution")]
)
def test_a_layer_that_the_testbench_cannot_drive_is_refused(layer, reason):
    with pytest.raises(NetworkError, match=f"'{layer}' .* {reason}.*the example testbench cannot drive it"):
        dpi_files(to_c(network_of("stride 1, residual"), "net"), layer)


def test_what_the_hardware_cannot_do_is_an_obstacle():
    network = network_of("stride 1, residual")
    layer = network.layer(LAYER)
    assert obstacle(network, layer) is None
    for changed, words in (
        ({"accumulator_bits": 24, "accumulator_policy": "wrap"}, "narrow accumulator"),
        ({"requantize": type(layer.requantize)(**{**vars(layer.requantize), "rounding": "floor"})}, "another rounding"),
    ):
        other = with_layer(network, LAYER, **changed)
        assert words in obstacle(other, other.layer(LAYER))
    grouped = conv_case(7, inputs=8, outputs=4, cluster=4, group=2).network
    assert "has groups" in obstacle(grouped, grouped.layer(LAYER))
    changed = dynamic()
    assert all(obstacle(changed, layer) for layer in changed.layers)


def test_the_package_knows_every_layer():
    network = every_op()
    package = dpi_files(to_c(network, "net"))["net_pkg.sv"]
    numbers = re.findall(r"localparam int LAYER_(\w+) = (\d+);", package)
    assert [(name.lower(), int(number)) for name, number in numbers] == [
        (layer.name, position) for position, layer in enumerate(network.layers)
    ]

"""A testbench that refengine writes: with the reference layer make passes in four simulators, with a mistake it fails.

A mistake is one line of the reference layer changed, as a person would get it wrong, in SystemVerilog and in VHDL.
Where a simulator is not installed its tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from everyday import everyday
from golden_cases import conv_case
from networks import every_op, random_images, small
from verbs import refengine

from refengine.errors import FileError, NetworkError, RangeError
from refengine.golden.diagnose.hypotheses import named
from refengine.interop.hdl.testbench import PIECES, SIMULATORS, files_of_testbench, write_testbench
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.vectors.reader import open_vectors
from refengine.vectors.writer import Layout, write_vectors

ROOT = Path(__file__).resolve().parents[3]
NEEDED = {
    "icarus": ("make", "iverilog", "vvp"),
    "verilator": ("make", "verilator", "g++"),
    "ghdl": ("make", "ghdl"),
    "cocotb": ("make", "iverilog", "vvp", "cocotb-config"),
}
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # cocotb-config stands beside Python


def old_verilator():
    version = subprocess.run(["verilator", "--version"], capture_output=True, text=True, timeout=60).stdout
    return re.match(r"Verilator [5-9]\.", version) is None


def obstacle(simulator):
    """Why a simulator cannot be used here, or None."""
    absent = [program for program in NEEDED[simulator] if shutil.which(program, path=PATH) is None]
    if simulator == "cocotb" and find_spec("cocotb") is None:
        absent.append("cocotb")
    if not absent and simulator == "verilator" and old_verilator():
        absent.append("verilator 5 or later")
    return f"not installed: {', '.join(absent)}" if absent else None


def simulators(marks=()):
    """All four as parameters, those that are missing skipped with the reason."""
    reasons = {simulator: obstacle(simulator) for simulator in SIMULATORS}
    skips = {name: pytest.mark.skipif(reason is not None, reason=str(reason)) for name, reason in reasons.items()}
    return [pytest.param(name, marks=[skip, *marks]) for name, skip in skips.items()]


ICARUS = pytest.mark.skipif(obstacle("icarus") is not None, reason=str(obstacle("icarus")))


def make(folder, *variables):
    """Exit code and text of make."""
    verb = f"{sys.executable} -m refengine"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": PATH}
    command = ["make", f"REFENGINE={verb}", *variables]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, env=environment)
    return done.returncode, done.stdout + done.stderr


def judged(folder, pack, layer):
    """What compare says of the dump that a run of make left, as figures."""
    return refengine("compare", pack, folder / "dump", "--layer", layer, "--json", "-").json


# --------------------------------------------------------------------------------------------------------- small layers

SHAPES = {
    "residual, signed codes": {
        "signed_input": True,
        "activation": "none",
        "signed": True,
        "residual": True,
        "finer": 2,
    },
    "stride 2, a short cluster": {"inputs": 7, "strides": (2, 2), "size": (7, 6)},
    "uneven": {"kernel": (3, 2), "strides": (2, 1), "pads": (0, 1, 2, 0), "size": (6, 5), "residual": True},
    "one tap, ReLU6": {"kernel": (1, 1), "pads": (0, 0, 0, 0), "activation": "clip", "top": 80, "shift": 15},
}
LAYER = "003_conv"
PACKED = Layout(orders=["ohwi"], word_bits_of=[(f"{LAYER}/weight", 8), ("*/code", 32)])


def pack_of(shape, folder, layout=None):
    network = conv_case(7, **{"inputs": 8, "outputs": 5, "cluster": 4, **SHAPES[shape]}).network
    write_vectors(network, random_images(network, 2), folder / "pack", layers=[LAYER], layout=layout)
    return folder / "pack"


@ICARUS
@pytest.mark.parametrize("layout", everyday([PACKED, None], 2), ids=["packed", "a code a word"])
def test_make_passes_in_icarus(tmp_path, layout):
    pack = pack_of("residual, signed codes", tmp_path, layout)
    write_testbench(pack, tmp_path / "tb", LAYER, "icarus", reference=True)
    code, said = make(tmp_path / "tb")
    assert code == 0, said
    assert "EQUAL: 1 layer, 750 values, 2 images" in said
    assert "arning" not in said


@ICARUS
def test_make_fails_in_icarus_with_layer_element_and_cause(tmp_path):
    pack = pack_of("residual, signed codes", tmp_path)
    write_testbench(pack, tmp_path / "tb", LAYER, "icarus", reference=True)
    spoil(tmp_path / "tb", "kernel_transposed")
    code, said = make(tmp_path / "tb")
    assert code != 0
    assert f"first difference: layer {LAYER}, stage accumulator" in said
    assert f"cause: {LAYER}: {named('kernel_transposed').sentence}" in said


@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators())
@pytest.mark.parametrize("shape", SHAPES)
def test_make_passes_whatever_the_pauses(shape, simulator, tmp_path):
    pack = pack_of(shape, tmp_path)
    write_testbench(pack, tmp_path / "tb", LAYER, simulator, reference=True)
    for variables in ((), ("SEED=2", "STALL=0"), ("SEED=3", "STALL=90")):
        code, said = make(tmp_path / "tb", *variables)
        assert code == 0, said
        assert "EQUAL: 1 layer, " in said


@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators())
@pytest.mark.parametrize("lanes", [1, 5])
def test_a_stub_builds_without_warnings_and_fails(simulator, lanes, tmp_path):
    """It takes nothing and gives nothing, and the simulation ends all the same."""
    pack = pack_of("uneven", tmp_path)
    write_testbench(pack, tmp_path / "tb", LAYER, simulator, lanes=lanes)
    code, said = make(tmp_path / "tb", "TIMEOUT=1000")
    assert code != 0
    assert re.search(rf"\b0 of {2 * 3 * 5 * 5 // lanes} results came, then nothing for 1000 clocks", said), said
    assert "EQUAL" not in said
    assert not re.search(r"%Warning|: warning|:warning", said), said


UNSTABLE = {  # the lowest bit of a code is wrong as long as nobody takes it
    ".sv": ("y_code = CODE_W'(clipped);", "y_code = CODE_W'(clipped) ^ CODE_W'(!y_ready);"),
    ".vhd": (
        "y_code <= std_logic_vector(rounded(CODE_W - 1 downto 0));",
        "y_code <= std_logic_vector(rounded(CODE_W - 1 downto 0)) xor (CODE_W - 2 downto 0 => '0') & not y_ready;",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators())
def test_a_result_that_changes_while_it_waits_fails(simulator, tmp_path):
    pack = pack_of("residual, signed codes", tmp_path)
    write_testbench(pack, tmp_path / "tb", LAYER, simulator, reference=True)
    (dut,) = (tmp_path / "tb").glob("dut.*")
    text = dut.read_text()
    right, wrong = UNSTABLE[dut.suffix]
    assert text.count(right) == 1
    dut.write_text(text.replace(right, wrong))
    code, said = make(tmp_path / "tb", "STALL=80")
    assert code != 0
    assert "y_code changed before y_ready came" in said


# -------------------------------------------------------------------------------------------------- the shipped network

LAYERS = {"stride 1": "002_layer1.0.conv1", "residual": "003_layer1.0.conv2", "stride 2": "008_layer2.0.conv1"}
BUGGY = LAYERS["stride 2"]

# hypothesis of the diagnosis -> (in SystemVerilog, wrong; in VHDL, wrong)
BUGS = {
    "rounding_offset_halved": (
        "half = (ROUND_W'(1) <<< shift) >>> 1;", "half = (ROUND_W'(1) <<< shift) >>> 2;",
        "shift_left(to_signed(1, ROUND_W), shift), 1);", "shift_left(to_signed(1, ROUND_W), shift), 2);",
    ),
    "shift_less": (
        "SHIFT_W'(shifts[o%SHIFT_WORDS]);", "SHIFT_W'(shifts[o%SHIFT_WORDS]) - 1;",
        "shift := shifts(o mod SHIFT_WORDS);", "shift := shifts(o mod SHIFT_WORDS) - 1;",
    ),
    "scale_of_next_cluster": (
        "scales[o*CLUSTERS+g]", "scales[o*CLUSTERS+(g+1)%CLUSTERS]",
        "scales(o * CLUSTERS + g)", "scales(o * CLUSTERS + (g + 1) mod CLUSTERS)",
    ),
    "cluster_missing": (
        "+ ACC_W'(sum) *", "+ (g == CLUSTERS - 1 ? ACC_W'(0) : ACC_W'(sum)) *",
        "to_signed(sum, ACC_W)", "to_signed(sum * boolean'pos(g < CLUSTERS - 1), ACC_W)",
    ),
    "bias_missing": (
        "g == 0 ? ACC_W'(biases[o])", "g == 0 ? ACC_W'(0)",
        "to_signed(biases(o), ACC_W)", "to_signed(0, ACC_W)",
    ),
    "bias_of_next_channel": (
        "biases[o]", "biases[(o+1)%OUTPUTS]",
        "biases(o)", "biases((o + 1) mod OUTPUTS)",
    ),
    "kernel_transposed": (
        "ky * WEIGHT_STEP_H + kx * WEIGHT_STEP_W", "kx * WEIGHT_STEP_H + ky * WEIGHT_STEP_W",
        "ky * WEIGHT_STEP_H + kx * WEIGHT_STEP_W", "kx * WEIGHT_STEP_H + ky * WEIGHT_STEP_W",
    ),
    "weights_of_next_output": (
        "o * WEIGHT_STEP_O", "(o + 1) % OUTPUTS * WEIGHT_STEP_O",
        "o * WEIGHT_STEP_O", "(o + 1) mod OUTPUTS * WEIGHT_STEP_O",
    ),
    "ternary_minus_lost": ("2'b11: sum", "2'b10: sum", "when -1 =>", "when -2 =>"),
    "windows_right": ("kx - PAD_LEFT;", "kx - PAD_LEFT + 1;", "kx - PAD_LEFT;", "kx - PAD_LEFT + 1;"),
}  # fmt: skip
SOLVED = {"cluster_missing": "cluster_missing=3"}


def spoil(folder, bug):
    """Plant a mistake in the reference layer."""
    right, wrong = BUGS[bug][:2] if (folder / "dut.sv").exists() else BUGS[bug][2:]
    (dut,) = folder.glob("dut.*")
    text = dut.read_text()
    assert text.count(right) == 1, bug
    dut.write_text(text.replace(right, wrong))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A pack of three layers of the shipped network, and an image of noise, which reaches what a shirt does not."""
    network = read_float_network(ROOT / "weights" / "resnet20-fashion.h5")
    with open_images(ROOT / "weights" / "fashion-calibration-1000.h5") as images:
        made = quantize(network, images.read(0, 20), Scheme(weights="ternary", method="paper", cluster=4))
    noise = 255 * np.random.default_rng(0).integers(0, 2, (1, 28, 28, 1), np.uint8)
    folder = tmp_path_factory.mktemp("shipped")
    write_vectors(made, noise, folder / "pack", layers=[*LAYERS.values()])
    return folder / "pack"


@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators())
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_of_the_shipped_network_pass(shipped, layer, simulator, tmp_path):
    write_testbench(shipped, tmp_path / "tb", LAYERS[layer], simulator, reference=True)
    code, said = make(tmp_path / "tb")
    assert code == 0, said
    values = 3 * (14 * 14 * 32 if layer == "stride 2" else 28 * 28 * 16)
    assert f"EQUAL: 1 layer, {values:,} values" in said


@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators())
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_fails_with_layer_element_and_cause(shipped, bug, simulator, tmp_path):
    write_testbench(shipped, tmp_path / "tb", BUGGY, simulator, reference=True)
    spoil(tmp_path / "tb", bug)
    code, said = make(tmp_path / "tb")
    assert code != 0
    report = judged(tmp_path / "tb", shipped, BUGGY)
    layer = next(one for one in report["layers"] if one["name"] == BUGGY)
    assert report["faulty_layers"] == [BUGGY]
    assert layer["cause"]["cause"] == SOLVED.get(bug, bug)
    assert layer["cause"]["certain"]
    assert f"cause: {BUGGY}: {layer['cause']['sentence']}" in said
    stage, place, wanted, got = first_wrong(tmp_path / "tb" / "dump", shipped / BUGGY)
    first = report["first"]
    assert (first["layer"], first["stage"], tuple(first["index"])) == (BUGGY, stage, place)
    assert f"first difference: layer {BUGGY}, stage {stage}" in said
    assert re.search(rf"golden {wanted} = .*\n?.*got {got} = ", said), said


def first_wrong(dump, golden):
    """Stage, place and both values of the first wrong integer, by a few lines of plain Python."""
    for stage in ("accumulator", "total", "code"):
        wanted = np.load(golden / f"{stage}.npy")
        (file,) = dump.glob(f"*.{stage}.mem?")
        binary = file.suffix == ".memb"
        bits = json_bits(golden.parent, f"{golden.name}/{stage}")
        words = [int(word, 2 if binary else 16) for word in re.sub(r"//.*", "", file.read_text()).split()]
        numbers = [word - (1 << bits if wanted.dtype.kind == "i" and word >> (bits - 1) & 1 else 0) for word in words]
        got = np.array(numbers).reshape(wanted.shape)
        places = np.argwhere(wanted != got)
        if len(places):
            place = tuple(places[0].tolist())
            return stage, place, int(wanted[place]), int(got[place])
    return None


def json_bits(pack, name):
    tensors = json.loads((pack / "manifest.json").read_text())["tensors"]
    return next(tensor["bits"] for tensor in tensors if tensor["name"] == name)


# ------------------------------------------------------------------------------------------------------------ the files


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return pack_of("uneven", tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("reference", [False, True])
def test_every_piece_is_used_and_no_word_is_left(plain, simulator, reference, tmp_path):
    files = write_testbench(plain, tmp_path / "tb", LAYER, simulator, reference=reference)
    assert {path.name for path in (tmp_path / "tb").iterdir()} == {*files} == {*SIMULATORS[simulator]}
    for text in files.values():
        assert not re.search(r"@[A-Z_]+@|(//|--|#): \w+$", text, re.MULTILINE)
    used = {piece for of in SIMULATORS.values() for piece in of.values() if piece and not piece.startswith("dut.")}
    assert {path.name for path in PIECES.iterdir()} == used | {
        f"{kind}.{language}" for kind in ("stub", "reference") for language in ("sv", "vhd")
    }


def test_a_layer_without_codes_has_no_ports_for_them(tmp_path):
    """The last layer gives accumulators alone."""
    network = small()
    last = network.layers[-1].name
    write_vectors(network, random_images(network, 1), tmp_path / "pack", layers=[last])
    files = write_testbench(tmp_path / "pack", tmp_path / "tb", last, "ghdl")
    assert "y_accumulator" in files["dut.vhd"]
    for word in ("y_code", "y_total", "CODE_W", "TOTAL_W"):
        assert not re.search(rf"\b{word}\b", files["dut.vhd"] + files["testbench.vhd"])


def test_the_files_of_the_pack_are_named_from_where_the_testbench_lies(plain, tmp_path):
    with open_vectors(plain) as pack:
        near = files_of_testbench(pack, LAYER, "icarus", plain.parent / "tb")
        deep = files_of_testbench(pack, LAYER, "icarus", plain.parent / "a" / "b")
    assert f'WEIGHT_FILE = "../pack/{LAYER}/weight.memh"' in near["layer_pkg.sv"]
    assert "PACK = ../../pack\n" in deep["Makefile"]


REFUSED = {
    "unknown simulator": ({"simulator": "modelsim"}, RangeError, "'modelsim' is unknown; available: icarus, verilator"),
    "unknown layer": ({"layer": "conv9"}, NetworkError, "'conv9'"),
    "lanes": ({"lanes": 2}, RangeError, "2 results a beat do not divide the 5 channels"),
    "lanes of the reference": ({"lanes": 5, "reference": True}, RangeError, "gives one result a beat, asked for 5"),
    "no convolution": ({"layer": "000_input", "reference": True}, FileError, "has not all of layer '000_input'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_driven_is_refused(plain, case, tmp_path):
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=re.escape(message)):
        write_testbench(plain, tmp_path / "tb", **{"layer": LAYER, "simulator": "icarus", **options})
    assert not (tmp_path / "tb").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["npy"]}, "is not written as readmemh"),
        ({"layout": Layout(word_bits=32, straddle=True)}, "the reference layer cannot read"),
        ({"layout": Layout(orders=["nchw"])}, "the reference layer cannot read"),
        ({"layout": Layout(code_map="offset")}, "ternary codes in two's complement alone"),
    ],
)
def test_packs_that_the_reference_layer_cannot_read_are_refused(options, message, tmp_path):
    network = conv_case(7, inputs=8, outputs=5, cluster=4).network
    write_vectors(network, random_images(network, 1), tmp_path / "pack", layers=[LAYER], **options)
    with pytest.raises(FileError, match=message):
        write_testbench(tmp_path / "pack", tmp_path / "tb", LAYER, "icarus", reference=True)


def test_layers_that_are_not_the_reference_layer_are_refused(tmp_path):
    """Each operator gets a stub, or a sentence that says why not."""
    network = every_op()
    write_vectors(network, random_images(network, 1), tmp_path / "pack")
    with open_vectors(tmp_path / "pack") as pack:
        for layer in network.layers:
            if len(layer.inputs) > 1:
                with pytest.raises(NetworkError, match=rf"reads {len(layer.inputs)} layers"):
                    files_of_testbench(pack, layer.name, "icarus", tmp_path / "tb")
                continue
            assert files_of_testbench(pack, layer.name, "icarus", tmp_path / "tb")
            if layer.weight_format != "ternary" or layer.op != "conv":
                with pytest.raises(NetworkError, match="is no ternary convolution"):
                    files_of_testbench(pack, layer.name, "icarus", tmp_path / "tb", reference=True)


def test_paths_that_a_makefile_cannot_hold_are_refused(tmp_path):
    (tmp_path / "50$ off").mkdir()
    pack = pack_of("uneven", tmp_path / "50$ off")
    with pytest.raises(RangeError, match=r"cannot stand in a testbench"):
        write_testbench(pack, tmp_path / "tb", LAYER, "icarus")


def test_a_testbench_never_overwrites(plain, tmp_path):
    (tmp_path / "dut.sv").write_text("mine")
    with pytest.raises(FileError, match="is not empty"):
        write_testbench(plain, tmp_path, LAYER, "icarus")
    assert (tmp_path / "dut.sv").read_text() == "mine"

"""A layer in SystemVerilog, in real simulators, against its golden: right where it is right, and named where it is not.

``ternary_conv.sv`` is what a hardware engineer builds.  It reads the words of a vector pack, and what it computes is
compared as any DUT's dump is.  Then it makes the mistakes of ``planted_bugs.sv``, one at a time, and the comparison
must say: the layer, the first element, and why.  Where a simulator is not installed its tests are skipped.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from golden_cases import conv_case
from hdl import layer_parameters
from networks import random_images
from verbs import refengine

from refengine.golden.compare.compare import compare
from refengine.golden.compare.pairs import Rules
from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import is_hypothesis, named
from refengine.golden.dumps.dut import open_dut
from refengine.golden.dumps.open_dump import open_dump
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images
from refengine.optional import installed
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.vectors.writer import Layout, write_vectors

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCES = [HERE / name for name in ("planted_bugs.sv", "ternary_conv.sv", "ternary_conv_tb.sv")]
LAYER = "003_layer1.0.conv2"
STAGES = ("accumulator", "total", "code")
BUGS = re.findall(r"^    ([A-Z_0-9]+)[, ]", SOURCES[0].read_text(), re.MULTILINE)

# bug -> what must be named: alone and certain where there is one name; where there are more, nothing tells them apart
CAUSES = {
    "ROUND_HALF_HALVED": ["rounding_offset_halved"],
    "SHIFT_LESS": ["shift_less"],
    "SHIFT_MORE": ["shift_more"],
    "WRAP": ["wraps"],
    "NO_CLIP": ["wraps_unclipped"],
    "RELU_MISSING": ["relu_missing"],
    "MULTIPLIER_SIGNED": ["multiplier_signed"],
    "SUM_ZERO_EXTENDED": ["sum_zero_extended=15"],
    "SCALE_NEXT_CLUSTER": ["scale_of_next_cluster"],
    "SCALE_ADDRESS": ["scale_of_next_address"],
    "SCALE_SIGNED": ["scale_7_bits"],
    "CLUSTER_LATE": ["cluster_late"],
    "CODE_MINUS_LOST": ["ternary_minus_lost"],
    "CODE_OFFSET": ["ternary_rotated_back"],
    "CODE_SIGN": ["weights_negated"],
    "KERNEL_TRANSPOSED": ["kernel_transposed"],
    "KERNEL_FLIPPED": ["kernel_flipped"],
    "WEIGHTS_NEXT_OUTPUT": ["weights_of_next_output"],
    "BIAS_MISSING": ["bias_missing"],
    "BIAS_NEXT_CHANNEL": ["bias_of_next_channel"],
    "RESIDUAL_MISSING": ["residual_missing"],
    "RESIDUAL_UNSHIFTED": ["residual_unshifted"],
    "PADDING_128": ["padding_128"],
    "INPUT_OTHER_SIGN": ["first_input_other_sign"],
    "ACCUMULATOR_16": ["accumulator_wraps=16"],
    "LAST_ROW": ["input_last_row_missing"],
    "WINDOW_LATE": ["windows_right"],
    "OUTPUT_REVERSED": ["channels_reversed"],
    "LAST_CLUSTER": ["cluster_missing=3"],
    # a ReLU hides what the modes do to negative sums, and a residual of whole units is no reason to round twice
    "ROUND_FLOOR": ["rounds_floor", "rounds_toward_zero", "product_floored_first"],
    # one sum that is a whole number of units tells them apart: it rises by a unit where half is added twice (ALONE)
    "ROUND_HALF_TWICE": ["rounds_ceil", "rounds_away_from_zero", "rounding_offset_twice"],
    # one word is one cluster here, so that both orders are the same one
    "WEIGHT_LANES": ["words_of_4_channels_reversed", "cluster_reversed"],
    # a residual is never negative here, so that it does not matter which of both is clipped
    "RESIDUAL_AFTER_CLIP": ["residual_after_clip", "relu_before_residual"],
    # of two images the one before is the first
    "STALE_ROW": ["input_row_of_image_before=27", "input_row_of_first_image=27"],
}
# the layer and the element are right, and no hypothesis is this one: nothing is called certain, if the sums are dumped
NO_HYPOTHESIS: dict[str, str] = {}
# what may be named alone: whether the sums tell it from the others is up to the last bits of the network's weights
ALONE = {"ROUND_HALF_TWICE": ["rounding_offset_twice"]}
# hardware that adds the residual after the clip has no sum before the rounding that could be dumped
WITHOUT_TOTAL = ("RESIDUAL_AFTER_CLIP",)


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def has_verilator_5():
    found = shutil.which("verilator")
    if found is None:
        return False
    version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60).stdout
    return re.match(r"Verilator [5-9]\.", version) is not None


ICARUS = needs("iverilog", "vvp")
READERS_OF_WAVES = pytest.mark.skipif(not installed("vcd"), reason="not installed: refengine[waves]")
VERILATOR = pytest.mark.skipif(
    not has_verilator_5() or not shutil.which("make") or not shutil.which("g++"),
    reason="not installed: verilator 5 or later, with make and g++",
)


def command(*arguments, cwd):
    done = subprocess.run([*map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def written(network, images, layer, folder):
    """A pack with the words that the testbench reads, and the parameters of the layer beside it."""
    read, cluster = network.layer(layer).inputs[0], network.layer(layer).attributes["cluster"]
    widths = [(f"{layer}/weight", 2 * cluster), (f"{read}/code", 8 * cluster)]
    write_vectors(network, images, folder / "pack", layers=[layer], layout=Layout(orders=["ohwi"], word_bits_of=widths))
    parameters = layer_parameters.parameters(layer_parameters.Pack(folder / "pack"), layer)
    (folder / "layer.svh").write_text(layer_parameters.as_systemverilog(parameters))


def built_by_icarus(folder):
    said = command("iverilog", "-g2012", "-Wall", "-I.", "-s", "ternary_conv_tb", "-o", "sim.vvp", *SOURCES, cwd=folder)
    assert said == ""
    return ["vvp", "sim.vvp"]


def built_by_verilator(folder, traces=""):
    """Every warning is an error.  traces: the option for waves, if any."""
    command(
        "verilator", "--binary", "--timing", "-Wall", "-CFLAGS", "-O1", "-I.", "--top", "ternary_conv_tb",
        "-Mdir", f"objects{traces}", "-o", "sim", *([traces] if traces else []), *SOURCES, cwd=folder,
    )  # fmt: skip
    return [f"objects{traces}/sim"]


def simulated(simulator, folder, bug="NONE", *options):
    """The folder that a run dumped its results into, as compare reads it."""
    (folder / bug).mkdir(exist_ok=True)
    said = command(*simulator, "+pack=pack", f"+out={bug}", f"+bug={BUGS.index(bug)}", *options, cwd=folder)
    assert "WARNING" not in said
    return folder / bug


def stages_of(dump, golden, layer=LAYER, stages=STAGES):
    """What was dumped, by a few lines of plain Python: stage -> integers in the shape and type of the pack's array."""
    found = {}
    for stage in stages:
        wanted = np.load(golden / layer / f"{stage}.npy")
        text = re.sub(r"//.*", "", (dump / f"{layer}.{stage}.memh").read_text())
        words = [(int(word, 16), 4 * len(word)) for word in text.split()]
        signed = wanted.dtype.kind == "i"
        numbers = [word - (1 << bits if signed and word >> (bits - 1) else 0) for word, bits in words]
        found[stage] = np.array(numbers).astype(wanted.dtype).reshape(-1, *wanted.shape[1:])
    return found


@pytest.fixture(scope="module")
def network():
    """The shipped network; by ``mse`` some codes leave the ends of their clip, so that the clip is tested too."""
    shipped = read_float_network(ROOT / "weights" / "resnet20-fashion.h5")
    with open_images(ROOT / "weights" / "fashion-calibration-1000.h5") as images:
        return quantize(shipped, images.read(0, 200), Scheme(weights="ternary", cluster=4, exponents="mse"))


@pytest.fixture(scope="module")
def layer(network, tmp_path_factory):
    """Folder of the pack: an image of noise, which reaches all ends, and a shirt."""
    noise = 255 * np.random.default_rng(0).integers(0, 2, (1, 28, 28, 1), np.uint8)
    with open_images(ROOT / "weights" / "fashion-test-10000.h5") as images:
        shirt = images.read(95, 96)
    folder = tmp_path_factory.mktemp("layer")
    written(network, np.concatenate([noise, shirt]), LAYER, folder)
    return folder


@pytest.fixture(scope="module")
def verilated(layer):
    return built_by_verilator(layer)


def assert_agrees(golden, dut, layer=LAYER):
    """Integer by integer, and by the comparison; how many integers there were."""
    values = 0
    for stage, got in stages_of(dut, golden / "pack", layer).items():
        wanted = np.load(golden / "pack" / layer / f"{stage}.npy")
        np.testing.assert_array_equal(got, wanted)
        values += got.size
    return values


def test_every_bug_is_in_a_table():
    assert sorted(BUGS) == sorted(["NONE", *CAUSES, *NO_HYPOTHESIS])
    assert all(is_hypothesis(name) for names in CAUSES.values() for name in names)
    hardware = SOURCES[1].read_text()
    assert all(re.search(rf"\b{bug}\b", hardware) for bug in BUGS[1:])


@VERILATOR
def test_the_layer_agrees_in_verilator(layer, verilated):
    dut = simulated(verilated, layer)
    assert assert_agrees(layer, dut) == 2 * 3 * 28 * 28 * 16
    with open_dump(layer / "pack") as golden, open_dut(dut, golden) as dump:
        found = compare(golden, dump)
    assert found.equal, found
    assert [report.layer for report in found.compared] == [LAYER]


def first_difference(golden, dut, stages):
    """Stage, place and both values, the plain way."""
    for stage, got in stages_of(dut, golden / "pack", stages=stages).items():
        wanted = np.load(golden / "pack" / LAYER / f"{stage}.npy")
        places = np.argwhere(wanted != got)
        if len(places):
            place = tuple(places[0].tolist())
            return stage, place, int(wanted[place]), int(got[place])
    return None


@VERILATOR
@pytest.mark.parametrize("bug", [*CAUSES, *NO_HYPOTHESIS])
def test_a_planted_bug_is_found_and_named(layer, verilated, network, bug):
    dut = simulated(verilated, layer, bug)
    stages = [stage for stage in STAGES if bug not in WITHOUT_TOTAL or stage != "total"]
    with open_dump(layer / "pack") as golden, open_dut(dut, golden) as dump:
        found = compare(golden, dump, Rules(stages=tuple(stages)), network, diagnose)
    assert not found.equal
    assert [layer.layer for layer in found.faulty_layers] == [LAYER]
    report, stage = found.first
    element = stage.entire.first
    assert report.layer == LAYER
    assert (stage.stage, element.index, element.wanted, element.got) == first_difference(layer, dut, stages)
    cause = found.faulty_layers[0].cause
    if bug in CAUSES:
        assert {*CAUSES[bug]} <= {*cause.names} or sorted(cause.names) == ALONE.get(bug), cause
        assert cause.cause in CAUSES[bug] or not cause.certain, cause
        assert named(cause.cause).sentence in cause.sentence
    else:
        assert not cause.certain, cause


@VERILATOR
def test_the_verb_says_it(layer, verilated):
    """By the command line: exit code, layer, element, every bit, cause, and where the words lie."""
    right, wrong = (simulated(verilated, layer, bug) for bug in ("NONE", "SCALE_NEXT_CLUSTER"))
    same = refengine("compare", layer / "pack", right)
    assert (same.code, "\nEQUAL: 1 layer, " in same.out) == (0, True), same
    outcome = refengine("compare", layer / "pack", wrong)
    stage, (n, y, x, c), wanted, got = first_difference(layer, wrong, STAGES)
    assert outcome.code == 1
    assert f"first difference: layer {LAYER}, stage {stage}" in outcome.out
    assert f"(n {n}, y {y}, x {x}, c {c}): golden {wanted} = " in outcome.out
    assert f", got {got} = " in outcome.out
    assert f"{LAYER}: scale of the next cluster: this reproduces all" in outcome.out


# --------------------------------------------------------------------------------------- by each simulator's own means

WAVES = ["--clock", "ternary_conv_tb.clock", "--valid", "y_valid", "--layer", "003_conv"]
DATA = ["--data", "accumulator=y_accumulator", "--data", "total=y_total", "--data", "code=y_code"]


@pytest.fixture(scope="module")
def small_layer(tmp_path_factory):
    """Folder of a pack of a small layer with signed codes, of two images."""
    folder = tmp_path_factory.mktemp("small")
    made = small("signed codes")
    written(made, random_images(made, 2), "003_conv", folder)
    return folder


def assert_read_as_it_is(pack, right, wrong, *options, values=750):
    """By the command line: EQUAL, and DIFFERENT with the layer that goes wrong; what was printed."""
    same = refengine("compare", pack, right, *options)
    assert same.code == 0, same
    assert f"EQUAL: 1 layer, {values} values" in same.out
    different = refengine("compare", pack, wrong, *options)
    assert different.code == 1, different
    assert "DIFFERENT: " in different.out
    assert "003_conv goes wrong by itself" in different.out
    return different.out


SIMULATORS = [
    pytest.param(built_by_icarus, id="Icarus", marks=ICARUS),
    pytest.param(built_by_verilator, id="Verilator", marks=VERILATOR),
]


@pytest.mark.parametrize("build", SIMULATORS)
@pytest.mark.parametrize("form", ["$writememh", "$fwrite"])
def test_files_of_a_simulator_are_read_as_they_are(small_layer, build, form):
    simulator, options = build(small_layer), ["+text"] if form == "$fwrite" else []
    for bug in ("NONE", "ROUND_FLOOR"):
        shutil.rmtree(small_layer / bug, ignore_errors=True)
    right, wrong = (simulated(simulator, small_layer, bug, *options) for bug in ("NONE", "ROUND_FLOOR"))
    assert {path.suffix for path in right.iterdir()} == {".txt" if options else ".memh"}
    assert_read_as_it_is(small_layer / "pack", right, wrong)
    (code,) = right.glob("*.code.*")
    assert refengine("compare", small_layer / "pack", code).code == 0


@pytest.mark.parametrize(
    ("build", "traces", "ending"),
    [
        pytest.param(built_by_icarus, "", "vcd", id="Icarus, VCD", marks=ICARUS),
        pytest.param(built_by_icarus, "", "fst", id="Icarus, FST", marks=ICARUS),
        pytest.param(built_by_verilator, "--trace", "vcd", id="Verilator, VCD", marks=VERILATOR),
        pytest.param(built_by_verilator, "--trace-fst", "fst", id="Verilator, FST", marks=VERILATOR),
    ],
)
def test_waves_of_a_simulator_are_sampled(small_layer, build, traces, ending):
    pytest.importorskip("vcd" if ending == "vcd" else "pylibfst", reason="not installed: refengine[waves]")
    simulator = build(small_layer) if not traces else build(small_layer, traces)
    fst = ["-fst"] if build is built_by_icarus and ending == "fst" else []
    for bug in ("NONE", "SCALE_NEXT_CLUSTER"):
        simulated([*simulator, *fst], small_layer, bug, f"+waves={bug}.{ending}")
    right, wrong = (small_layer / f"{bug}.{ending}" for bug in ("NONE", "SCALE_NEXT_CLUSTER"))
    said = assert_read_as_it_is(small_layer / "pack", right, wrong, *WAVES, *DATA)
    assert re.search(r"^  DUT: .*y_accumulator, word \d+, time \d+ ps$", said, re.MULTILINE), said
    said = assert_read_as_it_is(
        small_layer / "pack", right, wrong, *WAVES, "--stage", "code", "--data", "y_code", values=250
    )
    assert re.search(r"^  DUT: .*y_code, word \d+, time \d+ ps$", said, re.MULTILINE), said


GHDL = needs("ghdl")


@GHDL
@pytest.mark.parametrize("ending", ["txt", "vcd", "fst"])
def test_what_ghdl_writes_is_read(small_layer, ending, tmp_path):
    """By textio, and as waves; the layer's last step, in VHDL."""
    if ending != "txt":
        pytest.importorskip("vcd" if ending == "vcd" else "pylibfst", reason="not installed: refengine[waves]")
    pack = small_layer / "pack"
    tensors = layer_parameters.Pack(pack).tensors
    step = layer_parameters.Pack(pack).layers["003_conv"]["requantize"]
    total, shift = (tensors[f"003_conv/{part}"] for part in ("total", "shift"))
    generics = {
        "TOTALS": pack / "003_conv" / "total.memh", "SHIFTS": pack / "003_conv" / "shift.memh",
        "WORDS": total["packing"]["words"], "CHANNELS": shift["shape"][0],
        "TOTAL_W": total["bits"], "SHIFT_W": shift["bits"], "LO": step["lo"], "HI": step["hi"],
    }  # fmt: skip
    command("ghdl", "-a", "--std=08", HERE / "requantize.vhd", cwd=tmp_path)
    command("ghdl", "-e", "--std=08", "requantize", cwd=tmp_path)
    for name, floor in (("right", "false"), ("wrong", "true")):
        (tmp_path / name).mkdir()
        given = {**generics, "RESULTS": f"{name}/003_conv.code.txt", "FLOOR": floor}
        waves = [] if ending == "txt" else [f"--{ending}={name}.{ending}"]
        options = [f"-g{key}={value}" for key, value in given.items()]
        command("ghdl", "-r", "--std=08", "requantize", *options, *waves, cwd=tmp_path)
    if ending == "txt":
        assert_read_as_it_is(pack, tmp_path / "right", tmp_path / "wrong", values=250)
        return
    signals = ["--clock", "clock", "--valid", "valid", "--data", "code=code"]
    assert_read_as_it_is(pack, *(tmp_path / f"{name}.{ending}" for name in ("right", "wrong")), *signals, values=250)


# ----------------------------------------------------------------------------------------------------- other parameters

SHAPES = {
    "signed codes": {"signed_input": True, "activation": "none", "signed": True, "residual": True, "finer": 2},
    "stride 2": {"strides": (2, 2), "size": (7, 6)},
    "uneven": {"kernel": (3, 2), "strides": (2, 1), "pads": (0, 1, 2, 0), "size": (6, 5), "residual": True},
    "one tap": {"kernel": (1, 1), "pads": (0, 0, 0, 0), "residual": True},
    "one cluster": {"cluster": 8},
    "relu6": {"activation": "clip", "top": 80, "cluster": 2},
}


def small(shape):
    """A small convolution with random codes, by name."""
    options = {"count": 2, "inputs": 8, "outputs": 5, "cluster": 4, "size": (5, 5), **SHAPES[shape]}
    return conv_case(7, **options).network


@ICARUS
@pytest.mark.parametrize("shape", SHAPES)
def test_other_layers_agree_in_icarus(shape, tmp_path):
    made = small(shape)
    written(made, random_images(made, 2), "003_conv", tmp_path)
    dut = simulated(built_by_icarus(tmp_path), tmp_path)
    assert assert_agrees(tmp_path, dut, "003_conv") >= 2 * 3 * 4 * 3 * 5


@ICARUS
@VERILATOR
def test_both_simulators_make_the_same_mistakes(tmp_path):
    made = small("signed codes")
    written(made, random_images(made, 2), "003_conv", tmp_path)
    icarus, verilator = built_by_icarus(tmp_path), built_by_verilator(tmp_path)
    for bug in BUGS[::3]:
        one, other = (
            stages_of(simulated(simulator, tmp_path, bug), tmp_path / "pack", "003_conv")
            for simulator in (icarus, verilator)
        )
        for stage in STAGES:
            np.testing.assert_array_equal(one[stage], other[stage], err_msg=f"{bug} {stage}")


# ------------------------------------------------------------------------------------------------------------ the page

PAGE = (ROOT / "docs" / "golden.md").read_text(encoding="utf-8")

LESS_WORK = {"quantize": ["--calibration-images", "100", "--method", "paper"]}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Folder in which every command of docs/golden.md was run in order, and {command: (exit code, what it printed)}."""
    folder, outcomes = tmp_path_factory.mktemp("page"), {}
    for name in ("weights", "tests"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in [line[2:] for block in blocks("console") for line in block.splitlines()]:
            program, *arguments = shlex.split(line)
            if program == "refengine":
                outcome = refengine(*arguments, *LESS_WORK.get(arguments[0], []))
                outcomes[line] = outcome.code, outcome.out + outcome.err
            else:
                line_here = line.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
                line_here = line_here.replace("PYTHONPATH=tests ", f"PYTHONPATH=tests:{shlex.quote(str(ROOT))} ", 1)
                done = subprocess.run(line_here, shell=True, capture_output=True, text=True, timeout=300)
                outcomes[line] = done.returncode, done.stdout + done.stderr
    return folder, outcomes


@ICARUS
@READERS_OF_WAVES
def test_every_command_of_the_page_runs(page):
    """The comparison with the bug is the one that differs."""
    differ = {"refengine compare vectors wrong"}
    codes = {line: code for line, (code, _) in page[1].items()}
    assert codes == {line: int(line in differ) for line in codes}
    assert len(codes) > 12


@ICARUS
def test_the_layer_of_the_page_agrees_in_icarus(page):
    """More than 10,000 integers of the shipped network, quantized as by default, but for fewer images."""
    folder, _ = page
    values = 0
    for stage in STAGES:
        got = stages_of(folder / "right", folder / "vectors")[stage]
        wanted = np.load(folder / "vectors" / LAYER / f"{stage}.npy")
        np.testing.assert_array_equal(got, wanted)
        values += got.size
    assert values == 3 * 28 * 28 * 16 > 10_000


@ICARUS
@READERS_OF_WAVES
def test_the_page_shows_what_is_printed(page):
    """Every line, figures and widths left out, which depend on floats of the quantization."""

    def pattern(text):
        return [re.sub(r" +", " ", re.sub(r"-?[\d,]*\d", "#", line)).strip() for line in text.splitlines()]

    printed = pattern("\n".join(out for _, out in page[1].values()))
    for line in pattern("\n".join(blocks("text"))):
        assert line == "..." or any(there.startswith(line.removesuffix("...")) for there in printed), line


def test_the_page_has_every_bug():
    """With the names that the tests demand."""
    rows = dict(re.findall(r"^\| `([A-Z_0-9]+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert [*rows] == BUGS[1:]
    for bug, names in CAUSES.items():
        assert re.findall("`(.*?)`", rows[bug]) == names
        assert rows[bug].endswith("certain") == (len(names) == 1)
    assert all(NO_HYPOTHESIS[bug] in rows[bug] for bug in NO_HYPOTHESIS)
    assert f"Bug {BUGS.index('SCALE_NEXT_CLUSTER')} reads the scale of the next cluster." in PAGE


# ---------------------------------------------------------------------------------------------------------- scoreboards


@ICARUS
@pytest.mark.skipif(find_spec("cocotb") is None, reason="not installed: cocotb")
@pytest.mark.parametrize(("bug", "code"), [("NONE", 0), ("SUM_ZERO_EXTENDED", 1)])
def test_the_example_for_cocotb(tmp_path, bug, code):
    made = small("signed codes")
    written(made, random_images(made, 2), "003_conv", tmp_path)
    run = [sys.executable, HERE / "example_cocotb" / "run.py", tmp_path / "pack", "003_conv", tmp_path / "work"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*run, str(BUGS.index(bug))], capture_output=True, text=True, timeout=300, env=environment)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert ("003_conv accumulator: all 250 are right" in said) == (code == 0)
    assert ("of 250 differ, first (n 0, " in said) == (code == 1)


# ------------------------------------------------------------------------------------------------------ the small print


def test_a_layer_that_the_hardware_cannot_take_is_refused(tmp_path):
    """In one line that says why."""
    made = small("one tap")
    images, folders = random_images(made, 1), [tmp_path / name for name in ("plain", "ordered")]
    for folder, orders in zip(folders, ([], ["ohwi"]), strict=True):
        write_vectors(made, images, folder, layout=Layout(orders=orders))
    for folder, layer, reason in (
        (folders[0], "003_conv", "needs weights in the order ohwi"),
        (folders[1], "003_conv", "needs 4 elements in a word"),
        (folders[1], "001_read", "is no ternary convolution"),
        (folders[1], "004_pool", "is no ternary convolution"),
    ):
        with pytest.raises(SystemExit, match=f"layer_parameters.py: the layer {reason}"):
            layer_parameters.parameters(layer_parameters.Pack(folder), layer)


@VERILATOR
def test_the_sources_have_no_warnings(layer):
    """The layer alone too, as synthesis sees it."""
    for top, sources in (("ternary_conv", SOURCES[:2]), ("ternary_conv_tb", SOURCES)):
        command("verilator", "--lint-only", "--timing", "-Wall", "-I.", "--top", top, *sources, cwd=layer)

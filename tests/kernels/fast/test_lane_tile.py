"""Tiles of every instruction set of 64-bit ARM: sums are NumPy's products in 64 bits.

On ARM as the tests of other tiles.  Elsewhere each is compiled for its processor, linked to a C program that holds one
layer, and run by an emulator, where compiler and emulator are installed.
"""

import shutil
import subprocess

import inner_loops
import numpy as np
import pytest
from kernels_rows import EXTREMES, FIRST_CHANNEL, MIDDLE, DenseLayer, aligned, compiled, name_of, sums_of, wrapped

from refengine.kernels.fast import step
from refengine.kernels.fast.lane_tile import LaneTile, beginning
from refengine.kernels.fast.tile import UNROLL
from refengine.kernels.instruction_sets import LANES, TARGETS, runnable

SHAPES = [(target, shape) for target in runnable() if target.dense == LANES for shape in target.tiles]
LENGTHS = [4, 12, 4 * UNROLL, 4 * UNROLL + 4, 12 * UNROLL + 8]
WEIGHTS = {
    1: [-127, -126, -1, 0, 1, 127],
    2: [-889, -888, -129, -128, -65, -64, -1, 0, 63, 64, 127, 128, 888, 889],
}
PIXELS = 36
PANELS = 3


def limbs_of(weights, limbs):
    """int (...) -> int8 (limbs, ...) with weights = 128 * high + low, or the weights themselves."""
    high = (weights + 64) >> 7
    parts = [weights] if limbs == 1 else [high, weights - 128 * high]
    found = np.stack(parts).astype(np.int8)
    assert np.array_equal(found, np.stack(parts))
    return found


def packed(weights, limbs):
    """Weights (bytes, panels, width) -> int8 (panels, limbs, bytes / 4, width, 4)."""
    length, panels, width = weights.shape
    fours = limbs_of(weights, limbs).reshape(limbs, length // 4, 4, panels, width)
    return np.ascontiguousarray(fours.transpose(3, 0, 1, 4, 2))


class LaneLayer(DenseLayer):
    """A layer whose step begins with what the target's activations have too little."""

    def __init__(self, target, image, starts, offsets, length, weights, initial):
        super().__init__(image, starts, offsets, length, weights, initial, packed)
        begun = initial.astype(np.int64)
        if target.signed:
            own = beginning(weights.reshape(len(weights), -1).T)
            begun[-1, FIRST_CHANNEL : FIRST_CHANNEL + own.size] += own
        self.begun = aligned(wrapped(begun))
        self.row.numbers[step.INITIAL] = self.begun.ctypes.data


def random_layer(target, width, limbs, length, places=3):
    rng = np.random.default_rng(width + limbs + length)
    return LaneLayer(
        target,
        rng.choice(EXTREMES, 1000).astype(np.uint8),
        rng.integers(-300, 300, PIXELS),
        rng.integers(-200, 100, places),
        length,
        rng.choice(WEIGHTS[limbs], (places * length, PANELS, width)),
        rng.integers(-(2**31), 2**31, (limbs, FIRST_CHANNEL + PANELS * width + 16)).astype(np.int32),
    )


@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_tiles_are_a_matrix_product(target, shape, length, limbs):
    """Any number of pixels, wherever they begin; initial values are anything, and sums wrap as 32 bits do."""
    layer = random_layer(target, shape[1] * target.lanes, limbs, length)
    call = compiled(target, target.tiles, LaneTile)
    for count in range(1, 31):
        first, panel = count % 6, count % PANELS
        found = sums_of(call, layer.row, first, first + count, panel, gap=count % 3)
        assert np.array_equal(found, wrapped(layer.wanted(first, first + count, panel))), count


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("limbs", "top", "places"), [(1, 127, 259), (2, 889, 37)])
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_the_largest_sums_of_32_bits(target, shape, limbs, top, places, sign):
    """All activations 255 and all weights alike, as many as 32 bits hold of them."""
    width, length = shape[1] * target.lanes, 256
    weights = np.full((places * length, 1, width), sign * top)
    initial = np.zeros((limbs, FIRST_CHANNEL + width), np.int32)
    layer = LaneLayer(
        target, np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial
    )
    wanted = layer.wanted(0, 9, 0)
    assert 2**31 - 2**24 < np.abs(wanted).max() < 2**31
    assert np.array_equal(sums_of(compiled(target, target.tiles, LaneTile), layer.row, 0, 9, 0), wanted)


@pytest.mark.parametrize("bias", [2**31 + 5, 3 * 2**31, -(2**31) - 1])
@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_a_bias_beyond_32_bits_ends_right_where_the_sum_does(target, shape, limbs, bias):
    width, length, top = shape[1] * target.lanes, 64, WEIGHTS[limbs][-1]
    weights = np.full((length, 1, width), -top if bias > 0 else top)
    places = abs(bias) // (255 * top * length)
    weights = np.tile(weights, (places, 1, 1))
    initial = np.zeros((limbs, FIRST_CHANNEL + width), np.int32)
    initial[-1] = wrapped(bias)
    layer = LaneLayer(
        target, np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial
    )
    wanted = bias - int(initial[-1, 0]) + layer.wanted(0, 9, 0)
    assert np.abs(wanted).max() < 2**31
    assert np.array_equal(sums_of(compiled(target, target.tiles, LaneTile), layer.row, 0, 9, 0), wanted)


@pytest.mark.parametrize("target", dict(SHAPES), ids=name_of)
def test_a_window_without_places_is_what_it_begins_with(target):
    layer = random_layer(target, target.widths[0], 1, 8, places=1)
    layer.row.numbers[step.TAPS] = 0
    found = sums_of(compiled(target, target.tiles, LaneTile), layer.row, 0, 7, 1)
    channel = FIRST_CHANNEL + target.widths[0]
    assert np.array_equal(found, np.tile(layer.initial[0, channel : channel + target.widths[0]], (7, 1)))


# -------------------------------------------------------------------------------------------------------- by emulation

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
WITHOUT = [program for program in (COMPILER, EMULATOR) if shutil.which(program) is None]
ARM = [target for target in TARGETS if target.dense == LANES]
PROCESSOR = {"neon": "cortex-a72", "neondot": "neoverse-n1", "neonusdot": "max"}
MAIN = """
void block(long row, long first, long end, long panel, long sums, long stride);
int main(void)
{
    static int sums[4096];
    long row[] = { @ROW };
    @CALLS
    return 0;
}
"""
CALL = """
    block((long)row, @FIRST, @END, @PANEL, (long)sums, 4 * @WIDTH);
    fwrite(sums, 4, @COUNT * @WIDTH, stdout);
"""


def constant_array(name, array):
    """An array as C writes it, each integer as it is stored."""
    kind = {1: "char", 2: "short", 4: "int"}[array.itemsize]
    numbers = ",".join(map(str, array.ravel().view(f"u{array.itemsize}").tolist()))
    return f"static const unsigned {kind} {name}[] __attribute__((aligned(64))) = {{ {numbers} }};"


def c_program(layer, calls):
    """The layer's arrays, its step with their addresses, and a call for each (first, end, panel)."""
    fields = layer.row.fields | {step.INITIAL: layer.begun}
    arrays = {f"a{name}": value for name, value in fields.items() if isinstance(value, np.ndarray)}
    numbers = [f"(long)a{name}" if f"a{name}" in arrays else str(fields.get(name, 0)) for name in range(step.FIELDS)]
    numbers[step.IMAGES] = f"(long)image + {MIDDLE}"
    texts = [constant_array(name, array) for name, array in (arrays | {"image": layer.image}).items()]
    body = MAIN.replace("@ROW", ", ".join(numbers))
    parts = []
    for first, end, panel in calls:
        values = {"@FIRST": first, "@END": end, "@PANEL": panel, "@WIDTH": fields[step.WIDTH], "@COUNT": end - first}
        text = CALL
        for word, value in values.items():
            text = text.replace(word, str(value))
        parts.append(text)
    return "\n".join(["#include <stdio.h>", *texts, body.replace("@CALLS", "".join(parts))])


def emulated(target, program, folder):
    """What the program writes: int32."""
    machine, module = inner_loops.compiled(target, target.tiles)
    (folder / "block.o").write_bytes(machine.emit_object(module))
    (folder / "main.c").write_text(program, encoding="utf-8")
    options = ["-O1", "-static", "-o", "main", "main.c", "block.o"]
    subprocess.run([COMPILER, *options], cwd=folder, check=True, timeout=60)
    command = [EMULATOR, "-cpu", PROCESSOR[target.name], "./main"]
    done = subprocess.run(command, cwd=folder, check=True, timeout=60, capture_output=True)
    return np.frombuffer(done.stdout, np.int32)


@pytest.mark.slow
@pytest.mark.skipif(bool(WITHOUT), reason=f"not installed: {', '.join(WITHOUT)}")
@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize("target", ARM, ids=name_of)
def test_emulated_tiles_are_a_matrix_product(target, limbs, tmp_path):
    """Any number of pixels, bytes in fours of rounds and in what is left, all ends; the processor has nothing more."""
    layer = random_layer(target, target.widths[0], limbs, 12 * UNROLL + 8)
    calls = [(count % 6, count % 6 + count, count % PANELS) for count in range(1, 31)]
    found = emulated(target, c_program(layer, calls), tmp_path)
    wanted = [wrapped(layer.wanted(*call)).ravel() for call in calls]
    assert np.array_equal(found, np.concatenate(wanted))


@pytest.mark.slow
@pytest.mark.skipif(bool(WITHOUT), reason=f"not installed: {', '.join(WITHOUT)}")
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("target", ARM, ids=name_of)
@pytest.mark.parametrize("activation", [0, 255])
def test_emulated_tiles_at_the_ends_of_words(target, sign, activation, tmp_path):
    """All activations and all weights at one end: less 128, two products are 2 * 128 * 127."""
    width, length, places = target.widths[0], 256, 9
    image, weights = np.full(1000, activation, np.uint8), np.full((places * length, 1, width), sign * 127)
    initial = np.zeros((1, FIRST_CHANNEL + width), np.int32)
    layer = LaneLayer(target, image, np.arange(9), np.zeros(places, int), length, weights, initial)
    found = emulated(target, c_program(layer, [(0, 9, 0)]), tmp_path)
    assert np.array_equal(found, wrapped(layer.wanted(0, 9, 0)).ravel())

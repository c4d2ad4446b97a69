"""Layers for the tiles of 64-bit ARM, and programs that run them on any machine that has a compiler and an emulator."""

import shutil
import subprocess

import inner_loops
import numpy as np
import pytest
from kernels_rows import EXTREMES, FIRST_CHANNEL, MIDDLE, DenseLayer, aligned, packed, wrapped

from refengine.kernels.fast import step
from refengine.kernels.fast.lane_tile import beginning
from refengine.kernels.instruction_sets import HALVES, LANES, TARGETS

WEIGHTS = {
    1: [-127, -126, -1, 0, 1, 127],
    2: [-889, -888, -129, -128, -65, -64, -1, 0, 63, 64, 127, 128, 888, 889],
}
PIXELS = 36
PANELS = 3


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


# -------------------------------------------------------------------------------------------------------- by emulation

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
WITHOUT = [program for program in (COMPILER, EMULATOR) if shutil.which(program) is None]
ARM = [target for target in TARGETS if target.dense in (LANES, HALVES)]
needs_emulator = pytest.mark.skipif(bool(WITHOUT), reason=f"not installed: {', '.join(WITHOUT)}")
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

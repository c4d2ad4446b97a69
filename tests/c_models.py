"""Integer networks as compiled C models, for tests: every integer that their taps give, beside the definition.

By hand, from the root of the repository; exit code 1 where an integer differs:

    python tests/c_models.py random 500 [--compiler clang] [--seed 0]
    python tests/c_models.py model MODEL.h5 IMAGES.h5 [--count 2]
    python tests/c_models.py speed MODEL.h5 IMAGES.h5 [--count 10]
    python tests/c_models.py passport [--compiler riscv64-linux-gnu-gcc --emulator qemu-riscv64]

``speed`` takes the C model, ``kernels`` and the fast plan in turns, an image at a time in one thread: medians.
``driver`` is a program of all models together: it runs their images and writes what each layer's taps saw.
"""

import argparse
import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refengine.conform import passport
from refengine.conform.small_networks import small_networks
from refengine.engine.run import run
from refengine.interop.c.model import to_c
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network
from refengine.network.int_network import IntNetwork
from refengine.numbers.accumulator import POLICIES
from refengine.numbers.requantize import total
from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS
from refengine.runs.predict import predictor
from refengine.runs.trace import partial_sums

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Werror"]
SANITIZERS = ["-g", "-O0", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
STAGES = ("partial_sums", "accumulators", "totals", "exponent", "codes")
FIRST_IMAGE = 7  # the number of the first image, which stochastic rounding looks at

_DRIVER = """\
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

{includes}

enum {{ STAGES = 5 }};

/* what the taps of one model have seen of one image: for each layer and stage, one number for each element */
typedef struct {{ int64_t **stage; size_t *sizes; }} record;

static void put(const record *seen, int layer, int stage, size_t index, int64_t value)
{{
    const size_t place = (size_t)layer * STAGES + (size_t)stage;
    if (index >= seen->sizes[place] || seen->stage[place][index] != INT64_MIN)
        exit(3); /* beyond the layer, or seen twice */
    seen->stage[place][index] = value;
}}

static void partial_sums(void *c, int layer, size_t first, size_t step, size_t count, const int32_t *values)
{{
    for (size_t k = 0; k < count; k++)
        put(c, layer, 0, first + k * step, values[k]);
}}

static void accumulators(void *c, int layer, size_t first, size_t count, const int32_t *values)
{{
    for (size_t k = 0; k < count; k++)
        put(c, layer, 1, first + k, values[k]);
}}

static void totals(void *c, int layer, size_t first, size_t count, const int64_t *values)
{{
    for (size_t k = 0; k < count; k++)
        put(c, layer, 2, first + k, values[k]);
}}

static void exponent(void *c, int layer, int32_t value)
{{
    put(c, layer, 3, 0, value);
}}

static void codes(void *c, int layer, size_t first, size_t count, const int32_t *values)
{{
    for (size_t k = 0; k < count; k++)
        put(c, layer, 4, first + k, values[k]);
}}

#define RUN(NAME, UPPER, IMAGES, FIRST, INPUT, OUTPUT)                                                        \\
    do {{                                                                                                      \\
        size_t sizes[UPPER##_LAYERS * STAGES];                                                                \\
        int64_t *stage[UPPER##_LAYERS * STAGES];                                                              \\
        record seen = {{stage, sizes}};                                                                        \\
        const NAME##_taps taps = {{&seen, partial_sums, accumulators, totals, exponent, codes}};               \\
        static uint8_t image[UPPER##_HEIGHT * UPPER##_WIDTH * UPPER##_CHANNELS];                              \\
        static int32_t logits[UPPER##_CLASSES], again[UPPER##_CLASSES];                                       \\
        static NAME##_arena arena;                                                                            \\
        for (size_t n = 0; n < (IMAGES); n++) {{                                                               \\
            for (size_t l = 0; l < UPPER##_LAYERS; l++) {{                                                     \\
                const NAME##_layer *at = &NAME##_layers[l];                                                   \\
                const size_t size = (size_t)at->height * at->width * at->channels;                            \\
                const size_t of[STAGES] = {{size * at->clusters, at->has_accumulators * size,                  \\
                                           at->has_totals * size, at->has_exponent, at->has_codes * size}};   \\
                for (size_t s = 0; s < STAGES; s++) {{                                                         \\
                    sizes[l * STAGES + s] = of[s];                                                            \\
                    stage[l * STAGES + s] = malloc((of[s] + 1) * sizeof(int64_t));                            \\
                    for (size_t k = 0; k < of[s]; k++)                                                        \\
                        stage[l * STAGES + s][k] = INT64_MIN;                                                 \\
                }}                                                                                             \\
            }}                                                                                                 \\
            if (fread(image, 1, sizeof image, INPUT) != sizeof image)                                         \\
                return 4;                                                                                     \\
            memset(&arena, (int)(0xA5 + n), sizeof arena); /* nothing in it may matter */                     \\
            if (NAME##_run_in(&arena, (FIRST) + n, image, logits, &taps) != 0 ||                              \\
                NAME##_run_in(&arena, (FIRST) + n, image, again, NULL) != 0 ||                                \\
                memcmp(logits, again, sizeof logits) != 0)                                                    \\
                return 5;                                                                                     \\
            for (size_t k = 0; k < UPPER##_LAYERS * STAGES; k++) {{                                            \\
                fwrite(stage[k], sizeof(int64_t), sizes[k], OUTPUT);                                          \\
                free(stage[k]);                                                                               \\
            }}                                                                                                 \\
            for (size_t k = 0; k < UPPER##_CLASSES; k++) {{                                                    \\
                const int64_t logit = logits[k];                                                              \\
                fwrite(&logit, sizeof logit, 1, OUTPUT);                                                      \\
            }}                                                                                                 \\
        }}                                                                                                     \\
    }} while (0)

int main(int argc, char **argv)
{{
    FILE *input = fopen(argc > 1 ? argv[1] : "images.bin", "rb");
    FILE *output = fopen(argc > 2 ? argv[2] : "seen.bin", "wb");
    if (input == NULL || output == NULL)
        return 2;
{runs}
    return fclose(output) == 0 ? 0 : 6;
}}
"""


@dataclass(frozen=True)
class Case:
    """A network and images for it, the first of which has that number."""

    network: IntNetwork
    images: np.ndarray
    first_image: int = FIRST_IMAGE


@dataclass(frozen=True)
class Wrong:
    """The first element that differs: which model, image, layer, stage, place, and both integers."""

    model: int
    image: int
    layer: str
    stage: str
    place: tuple
    wanted: int
    got: int


def write_models(cases, folder, weights="packed"):
    """Models, driver and images of all cases."""
    includes, runs = ["#include <string.h>"], []
    for number, case in enumerate(cases):
        name = f"m{number}"
        made = to_c(case.network, name, weights)
        (folder / f"{name}.c").write_text(made.source)
        (folder / f"{name}.h").write_text(made.header)
        includes.append(f'#include "{name}.h"')
        runs.append(f"    RUN({name}, {name.upper()}, {len(case.images)}u, {case.first_image}u, input, output);")
    (folder / "driver.c").write_text(_DRIVER.format(includes="\n".join(includes), runs="\n".join(runs)))
    (folder / "images.bin").write_bytes(b"".join(case.images.tobytes() for case in cases))


def compiled(folder, compiler="gcc", options=(), jobs=1):
    """The driver as a program; every warning is an error."""
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [compiler, *WARNINGS, *options]
    waiting, running = sources, []
    while waiting or running:
        while waiting and len(running) < jobs:
            source, waiting = waiting[0], waiting[1:]
            running.append(subprocess.Popen([*command, "-c", source], cwd=folder, stderr=subprocess.PIPE, text=True))
        done = running.pop(0)
        _, said = done.communicate(timeout=600)
        assert done.returncode == 0, said
    objects = [f"{Path(source).stem}.o" for source in sources]
    link = subprocess.run([*command, *objects, "-o", "driver"], cwd=folder, capture_output=True, text=True, timeout=600)
    assert link.returncode == 0, link.stderr
    return [str(folder / "driver")]


def seen_by_taps(folder, program):
    """Run the driver: all numbers that it wrote, in its order."""
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return np.fromfile(folder / "seen.bin", "<i8")


def wanted(case, backend="reference"):
    """Every stage of every layer by the definition: {layer: {stage: int64 (N, ...)}}, and the logits."""
    stages = {}

    def observe(layer, operands, result):
        found = stages.setdefault(layer.name, {})
        if "scale" in layer.constants:
            images = [partial_sums(layer, operands[0][n : n + 1], backend) for n in range(len(operands[0]))]
            found["partial_sums"] = np.concatenate(images)
        if result.accumulator is not None:
            found["accumulators"] = result.accumulator
        if layer.requantize is not None:
            found["totals"] = total(result.accumulator, layer.requantize, result.residual)
        if result.coarser is not None:
            found["exponent"] = layer.exponent + result.coarser[:, None]
        if result.accumulator is None or layer.requantize is not None:
            found["codes"] = result.result

    logits = run(case.network, case.images, backend, observe, case.first_image)
    return stages, logits


def sizes_of(network, layer):
    """Shape of each stage of a layer for one image, of those that it has, in the order of the driver."""
    shape, step = network.shapes[layer.name], layer.requantize
    accumulates = OPS[layer.op].ACCUMULATES
    clusters = layer.constants["scale"].shape[1:] if "scale" in layer.constants else None
    sizes = {
        "partial_sums": None if clusters is None else (*shape, *clusters),
        "accumulators": shape if accumulates else None,
        "totals": None if step is None else shape,
        "exponent": (1,) if network.dynamic[layer.name] else None,
        "codes": None if accumulates and step is None else shape,
    }
    return {stage: size for stage, size in sizes.items() if size is not None}


def given(cases, seen):
    """What the driver wrote, case by case: {layer: {stage: int64 (N, ...)}}, and the logits."""
    place = 0
    for case in cases:
        network = case.network
        images = []
        for _ in case.images:
            found = {}
            for name, stage, size in [
                *((layer.name, *one) for layer in network.layers for one in sizes_of(network, layer).items()),
                ("", "logits", (network.classes,)),
            ]:
                found[name, stage] = seen[place : place + np.prod(size)].reshape(size)
                place += int(np.prod(size))
            images.append(found)
        yield {key: np.stack([found[key] for found in images]) for key in images[0]}
    assert place == len(seen), "the driver wrote another number of integers than the models have"


def differences(cases, seen, backend="reference"):
    """How many integers were compared, by stage, and the first that differs in each case that has one."""
    counts, wrong, place = Counter(), [], 0
    for model, case in enumerate(cases):
        stages, logits = wanted(case, backend)
        for n in range(len(case.images)):
            for layer in [layer.name for layer in case.network.layers] + [None]:
                for stage in STAGES if layer is not None else ("logits",):
                    golden = logits if layer is None else stages[layer].get(stage)
                    if golden is None:
                        continue
                    golden = golden[n]
                    got = seen[place : place + golden.size].reshape(golden.shape)
                    place += golden.size
                    counts[stage] += golden.size
                    if not np.array_equal(got, golden) and not (wrong and wrong[-1].model == model):
                        where = tuple(int(axis[0]) for axis in np.nonzero(got != golden))
                        wrong.append(Wrong(model, n, layer, stage, where, int(golden[where]), int(got[where])))
    assert place == len(seen), "the driver wrote another number of integers than the definition has"
    return counts, wrong


def checked(cases, folder, compiler="gcc", options=(), emulator=(), weights="packed", jobs=1, backend="reference"):
    """Compile and run the cases, and compare: as ``differences``."""
    write_models(cases, folder, weights)
    program = compiled(folder, compiler, options, jobs)
    return differences(cases, seen_by_taps(folder, [*emulator, *program]), backend)


_MIDDLE = (
    "conv", "conv", "conv", "add", "maxpool", "concat", "avgpool", "requantize", "pad_channels", "batchnorm", "lookup",
    "gather_channels", "mul",
)  # fmt: skip


def random_cases(count, first=0, images=2):
    """Random networks of every operator, rounding and policy, every third one dynamic."""
    import networks

    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        middle = [str(op) for op in rng.choice([*_MIDDLE], int(rng.integers(1, 8)))]
        end = [[], ["global_avgpool"], ["flatten"], ["fc"], ["fc", "batchnorm"]][int(rng.integers(5))]
        network = networks.seeded(seed, [*middle, *end])
        if seed % 3 == 0:
            for layer in network.layers:
                most, finer = int(rng.choice([7, 3, 1, 0])), int(rng.integers(8))
                network = networks.made_dynamic(network, layer.name, most, finer)
        yield Case(network, networks.random_images(network, images, seed))


def kinds(cases):
    """How often operators, roundings, policies and the rest occur in the layers of the cases."""
    found = Counter()
    for layer in (layer for case in cases for layer in case.network.layers):
        found[layer.op] += 1
        found[layer.weight_format or "no weights"] += 1
        found["residual"] += layer.residual is not None
        if layer.accumulator_bits < 32:
            found[f"policy {layer.accumulator_policy}"] += 1
        if layer.requantize is not None:
            found[layer.requantize.rounding] += 1
            found["dynamic"] += layer.requantize.dynamic > 0
            found["multiplier of 31 bits"] += int(layer.requantize.multiplier.max()) >= 2**29
    return found


WANTED_KINDS = (*ROUNDINGS, *(f"policy {policy}" for policy in POLICIES), "residual", "dynamic")


def _random(arguments):
    counts, wrong, found = Counter(), [], Counter()
    for first in range(arguments.seed, arguments.seed + arguments.count, 50):
        cases = [*random_cases(min(50, arguments.seed + arguments.count - first), first)]
        with tempfile.TemporaryDirectory() as folder:
            more, bad = checked(cases, Path(folder), arguments.compiler, SANITIZERS, jobs=2)
        counts, found, wrong = counts + more, found + kinds(cases), wrong + bad
        print(f"{first + len(cases) - arguments.seed} networks, {sum(counts.values()):,} integers, {len(wrong)} wrong")
        for one in bad:
            print(f"  seed {first + one.model}: {one}")
    print(", ".join(f"{kind} {count}" for kind, count in sorted(found.items())))
    print(", ".join(f"{stage} {count:,}" for stage, count in counts.items()))
    return bool(wrong)


def _model(arguments):
    network = read_int_network(arguments.model)
    with open_images(arguments.images) as images:
        case = Case(network, images.read(0, arguments.count))
    with tempfile.TemporaryDirectory() as folder:
        options = ["-O2"]
        counts, wrong = checked([case], Path(folder), arguments.compiler, options, backend="kernels")
    print(f"{arguments.model}: {arguments.count} images, {sum(counts.values()):,} integers, {len(wrong)} wrong")
    for one in wrong:
        print(f"  {one}")
    return bool(wrong)


def _speed(arguments):
    network = read_int_network(arguments.model)
    with open_images(arguments.images) as images:
        pixels = images.read(0, arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        model, code_bytes = _library(network, Path(folder), arguments.compiler)
    logits = np.zeros(network.classes, np.int32)
    pointers = [image.ctypes.data for image in pixels]
    fast = predictor(network, "fast", 1)
    engines = {
        "C": lambda n: model.net_run(ctypes.c_void_p(pointers[n]), ctypes.c_void_p(logits.ctypes.data), None),
        "kernels": lambda n: run(network, pixels[n : n + 1], "kernels"),
        "fast": lambda n: fast(pixels[n : n + 1], 0, None),
    }
    seconds = {name: [] for name in engines}
    for n in [0, *range(len(pixels))]:  # the first round warms up
        for name, engine in engines.items():
            begin = time.perf_counter()
            engine(n)
            seconds[name].append(time.perf_counter() - begin)
    times = {name: np.array(found[1:]) * 1000 for name, found in seconds.items()}
    print(f"{arguments.model}: {len(pixels)} rounds, {arguments.compiler} -O2")
    for name, found in times.items():
        ratio = np.median(times["C"] / found)
        print(f"  {name:8} median {np.median(found):8.2f} ms, best {found.min():8.2f} ms, C over it {ratio:.2f}")
    made = to_c(network, "net")
    print(f"  code {code_bytes:,} bytes, tables {made.table_bytes:,} bytes, arena {made.memory.bytes:,} bytes")
    return False


def _library(network, folder, compiler):
    """The C model as a loaded library, and the bytes of its machine code (all but the tables)."""
    made = to_c(network, "net")
    (folder / "net.c").write_text(made.source)
    (folder / "net.h").write_text(made.header)
    subprocess.run([compiler, *WARNINGS, "-O2", "-fno-pic", "-c", "net.c"], cwd=folder, check=True)
    sections = subprocess.run(["size", "-A", "net.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    code_bytes = sum(int(line.split()[1]) for line in sections.splitlines() if line.startswith(".text"))
    subprocess.run([compiler, "-std=c99", "-O2", "-fPIC", "-shared", "net.c", "-o", "net.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "net.so")), code_bytes


def passport_of(cases, seen):
    """The digest of ``refengine passport`` from what the models of the small networks gave."""
    words = {"accumulators": ("accumulator", np.int32), "exponent": ("exponent", np.int32)}
    computed = []
    for case, found in zip(cases, given(cases, seen), strict=True):
        formats = case.network.formats
        stages = {
            (name, words.get(stage, ("code", None))[0]): array.astype(words.get(stage, (0, formats[name].dtype))[1])
            for (name, stage), array in found.items()
            if name and stage in (*words, "codes")
        }
        computed.append((case.network, stages, found["", "logits"].astype(np.int32)))
    return passport.digest(computed)


def small_cases():
    """The networks of ``refengine passport``, whose images are numbered from 0."""
    return [Case(small.network, small.images, 0) for small in small_networks()]


def _passport(arguments):
    cases = small_cases()
    with tempfile.TemporaryDirectory() as folder:
        write_models(cases, Path(folder))
        program = compiled(Path(folder), arguments.compiler, ["-O2", "-static"], jobs=2)
        found = passport_of(cases, seen_by_taps(Path(folder), [*arguments.emulator.split(), *program]))
    print(f"{arguments.compiler}: {found}, {'agrees' if found == passport.DIGEST else 'DIFFERS'}")
    return found != passport.DIGEST


def missing(*programs):
    """Why tests that need these programs are skipped, empty where all are there."""
    absent = [program for program in programs if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    random = verbs.add_parser("random")
    random.add_argument("count", type=int)
    random.add_argument("--seed", type=int, default=0)
    random.set_defaults(run=_random)
    model = verbs.add_parser("model")
    model.add_argument("model")
    model.add_argument("images")
    model.add_argument("--count", type=int, default=2)
    model.set_defaults(run=_model)
    speed = verbs.add_parser("speed")
    speed.add_argument("model")
    speed.add_argument("images")
    speed.add_argument("--count", type=int, default=10)
    speed.set_defaults(run=_speed)
    digest = verbs.add_parser("passport")
    digest.add_argument("--emulator", default="")
    digest.set_defaults(run=_passport)
    for verb in (random, model, speed, digest):
        verb.add_argument("--compiler", default="gcc")
    arguments = parser.parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())

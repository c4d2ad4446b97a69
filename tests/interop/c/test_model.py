"""The C model gives every integer of the definition: without warnings, under sanitizers, on other machines."""

import subprocess
from dataclasses import replace

import c_models
import numpy as np
import pytest
from c_models import SANITIZERS, WANTED_KINDS, WARNINGS, Case, checked, compiled, kinds, missing, random_cases
from everyday import everyday
from networks import averaging, dynamic, every_op, random_images, seeded, small, with_layer

from refengine.interop.c.memory import memory
from refengine.interop.c.model import to_c
from refengine.numbers.formats import INT32
from refengine.numbers.requantize import Requantize
from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS

SEEDS = 24

CROSS = {
    "aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64"),
    "riscv64": ("riscv64-linux-gnu-gcc", "qemu-riscv64"),
    "arm, 32 bits": ("arm-linux-gnueabihf-gcc", "qemu-arm"),
}


def needs(*programs):
    return pytest.mark.skipif(bool(missing(*programs)), reason=missing(*programs))


def every_rounding():
    """A network with every operator for each rounding, static and dynamic."""
    networks = [every_op(rounding) for rounding in ROUNDINGS] + [dynamic(rounding=rounding) for rounding in ROUNDINGS]
    return [Case(network, random_images(network, 2)) for network in networks]


def special_ends():
    """Last layers that are none of the random ones': codes as logits, in bytes or INT32, passed through or averaged."""
    plain = small()
    fc = plain.layers[-1]
    step = Requantize(np.array([3]), np.array([1]), None, "half_even", INT32, "none", -(2**31), 2**31 - 1)
    requantized = with_layer(plain, fc.name, requantize=step)
    conv, pixels = plain.layers[1], plain.layers[0]
    ends_in_codes = small(layers=(pixels, conv), classes=2)
    flat = replace(fc, name="002_flatten", op="flatten", inputs=(conv.name,), exponent=conv.exponent, constants={},
                   attributes={}, weight_format=None, weight_exponent=None)  # fmt: skip
    passing = small(layers=(pixels, conv, flat), classes=2)
    networks = [plain, requantized, ends_in_codes, passing, averaging(), averaging("avgpool")]
    return [Case(network, random_images(network, 3)) for network in networks]


def agree(cases, folder, *arguments, **options):
    counts, wrong = checked(cases, folder, *arguments, **options)
    assert not wrong, wrong[:3]
    assert all(counts[stage] for stage in (*c_models.STAGES, "logits"))
    return counts


@pytest.mark.slow
@needs("gcc")
def test_random_networks_agree_under_sanitizers(tmp_path):
    """All operators, roundings and policies occur; ``python tests/c_models.py random 500`` runs more of them."""
    cases = [*random_cases(SEEDS)]
    found = kinds(cases)
    assert all(found[kind] for kind in (*WANTED_KINDS, *OPS, "ternary", "int4", "int8")), found
    assert sum(agree(cases, tmp_path, "gcc", SANITIZERS, jobs=2).values()) > 10_000


@needs("clang")
def test_every_operator_agrees_in_every_rounding(tmp_path):
    assert sum(agree(every_rounding(), tmp_path, "clang", SANITIZERS, jobs=2).values()) > 10_000


@needs("gcc")
@pytest.mark.parametrize("weights", everyday(["packed", "bytes"], 2))
def test_other_ends_agree_in_both_forms_of_weights(weights, tmp_path):
    cases = [*special_ends(), Case(every_op(), random_images(every_op(), 2))]
    counts, wrong = checked(cases, tmp_path, "gcc", ["-O2"], weights=weights)
    assert not wrong, wrong[:3]
    assert counts["logits"] > 20


@pytest.mark.parametrize("machine", [pytest.param(machine, marks=pytest.mark.slow) for machine in CROSS])
def test_other_machines_give_the_same_integers(machine, tmp_path):
    compiler, emulator = CROSS[machine]
    if missing(compiler, emulator):
        pytest.skip(missing(compiler, emulator))
    cases = [*random_cases(6), Case(dynamic(), random_images(dynamic(), 2))]
    agree(cases, tmp_path, compiler, ["-O2", "-static"], [emulator])


PLANTED = {
    "a rounding": ("addend = half;", "addend = half / 2;", "codes"),
    "a clip": ("rounded > s->hi ? s->hi", "rounded > s->hi ? s->hi - 1", "codes"),
    "a total": ("(int64_t)1 << s->residual_shift[c", "(int64_t)2 << s->residual_shift[c", "totals"),
    "an accumulator": ("* (int32_t)256 + bias[c]", "* (int32_t)256 - bias[c]", "accumulators"),
    "a partial sum": ("(int32_t)weight * x[p]", "(int32_t)(weight | 1) * x[p]", "partial_sums"),
    "an exponent": ("d > l->dynamic ? l->dynamic", "d > 1 ? 1", "exponent"),
    "a pool": ("code > largest ? code : largest", "code < largest ? code : largest", "codes"),
}


@needs("gcc")
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_noticed_at_the_stage_where_it_is(planted, tmp_path):
    """The comparison can fail: one expression of the C file is changed, and its own stage is the first that differs."""
    case = Case(dynamic(), random_images(dynamic(), 4))
    right, wrong, stage = PLANTED[planted]
    c_models.write_models([case], tmp_path)
    source = (tmp_path / "m0.c").read_text()
    assert source.count(right) == 1
    (tmp_path / "m0.c").write_text(source.replace(right, wrong))
    _, found = c_models.differences([case], c_models.seen_by_taps(tmp_path, compiled(tmp_path)))
    assert [one.stage for one in found] == [stage], found


_CALLER = """\
#include "net.h"
#include <stdio.h>

int main(void)
{
    static net_arena arena;
    static uint8_t image[NET_HEIGHT * NET_WIDTH * NET_CHANNELS];
    static int32_t logits[NET_CLASSES];
    const int ends[] = {net_run(NULL, logits, NULL), net_run(image, NULL, NULL),
                        net_run_in(NULL, 0, image, logits, NULL), net_run(image, logits, NULL),
                        net_run_in(&arena, 0, image, logits, NULL)};
    for (int k = 0; k < 5; k++)
        printf("%d ", ends[k]);
    printf("%u\\n", (unsigned)sizeof arena);
    return 0;
}
"""


@needs("gcc")
@pytest.mark.parametrize("network", [every_op(), dynamic(), small(), averaging()])
def test_missing_arguments_are_refused_and_the_arena_has_the_size_that_was_announced(network, tmp_path):
    made = to_c(network, "net")
    for name, text in (("net.c", made.source), ("net.h", made.header), ("main.c", _CALLER)):
        (tmp_path / name).write_text(text)
    printed = subprocess.run(compiled(tmp_path), capture_output=True, text=True, timeout=60).stdout
    assert printed.split() == ["1", "1", "1", "0", "0", str(memory(network).bytes)]


@needs("gcc", "nm")
def test_nothing_is_called_but_memcpy_and_memset(tmp_path):
    """No allocation, no library, no state but the one arena, which a caller can do without."""
    made = to_c(dynamic(), "net")
    (tmp_path / "net.c").write_text(made.source)
    (tmp_path / "net.h").write_text(made.header)
    for options, writable in (([], 1), (["-DNET_NO_ARENA"], 0)):
        command = ["gcc", *WARNINGS, "-fno-pic", "-fno-pie", *options, "-c", "net.c"]
        assert subprocess.run(command, cwd=tmp_path, timeout=60).returncode == 0
        symbols = subprocess.run(["nm", "net.o"], cwd=tmp_path, capture_output=True, text=True, timeout=60).stdout
        kinds_of = [line.split()[-2:] for line in symbols.splitlines()]
        assert {name for kind, name in kinds_of if kind == "U"} <= {"memcpy", "memset"}
        assert sum(kind in "bBdDcC" for kind, _ in kinds_of) == writable


def test_the_same_network_gives_the_same_text():
    one, other = (to_c(seeded(5, ["conv", "fc"]), "net") for _ in range(2))
    assert (one.source, one.header) == (other.source, other.header)


def test_the_top_says_which_network_by_which_contract_under_which_licence():
    made = to_c(small(made_with={"licence": "BSD */ int x;", "source": "a paper"}), "net")
    top = made.source.partition("*/")[0]
    assert "cc -std=c99 -O2 -c my-net.c" in to_c(small(), "net", stem="my-net").source
    for wanted in (small().hash, "contract       1 ", "BSD * / int x;", "a paper", "cc -std=c99", "2 x 2 x 1, gray"):
        assert wanted in top
    assert "not stated in the model" in to_c(small(), "net").source.partition("*/")[0]

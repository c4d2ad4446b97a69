"""Instruction sets: what is chosen, what is refused."""

import platform

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from refengine.errors import RangeError
from refengine.kernels import INSTRUCTION_SET_OPTION, instruction_sets
from refengine.kernels.cache import cache_folder
from refengine.kernels.instruction_sets import TARGETS, chosen_target, runnable
from refengine.kernels.lanes import I32, load, store, vector


def test_the_best_runnable_target_is_chosen(monkeypatch):
    monkeypatch.delenv(INSTRUCTION_SET_OPTION, raising=False)
    assert chosen_target() is runnable()[0]
    assert runnable()[-1].name == "generic"
    assert [target for target in TARGETS if target in runnable()] == list(runnable())


@pytest.mark.parametrize("target", runnable(), ids=lambda target: target.name)
def test_a_target_can_be_named(monkeypatch, target):
    monkeypatch.setenv(INSTRUCTION_SET_OPTION, target.name)
    assert chosen_target() is target


@pytest.mark.parametrize("name", ["abacus", "AVX2"])
def test_what_is_no_target_is_refused(monkeypatch, name):
    monkeypatch.setenv(INSTRUCTION_SET_OPTION, name)
    with pytest.raises(RangeError, match=f"REFENGINE_INSTRUCTION_SET is '{name}', this processor has: .*generic"):
        chosen_target()


def test_each_target_has_a_cache_of_its_own(monkeypatch):
    folders = []
    for name in ("", *(target.name for target in runnable())):
        monkeypatch.setenv(INSTRUCTION_SET_OPTION, name)
        folders.append(cache_folder())
    assert folders[0] == folders[1]
    assert len(set(folders)) == len(runnable())


def test_instruction_sets_go_from_wide_to_plain():
    arm = ["neonusdot", "neondot", "neon"]
    assert [target.name for target in TARGETS] == ["avx512vnni", "avxvnni", "avx512", "avx2", *arm, "generic"]


def test_a_processor_without_a_dot_product_climbs_to_avx2(monkeypatch):
    pretended(monkeypatch, "x86_64", {"avx2": True, "sse4.2": True})
    assert [target.name for target in runnable()] == ["avx2", "generic"]


def pretended(monkeypatch, machine, features, told=""):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(instruction_sets, "get_host_cpu_features", lambda: features)
    monkeypatch.setenv("NUMBA_CPU_FEATURES", told)


@pytest.mark.parametrize(
    ("features", "told", "first"),
    [
        ({}, "", "neon"),
        ({"dotprod": True}, "", "neondot"),
        ({"dotprod": True, "i8mm": True}, "", "neonusdot"),
        ({"dotprod": True, "i8mm": False}, "", "neondot"),
        ({}, "+dotprod, +i8mm", "neonusdot"),
        ({"dotprod": True, "i8mm": True}, "-dotprod", "neon"),
    ],
)
@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_arm_climbs_as_far_as_code_is_made_for_it(monkeypatch, machine, features, told, first):
    """What Numba is told counts: LLVM makes no code beyond it."""
    pretended(monkeypatch, machine, features, told)
    names = ["neonusdot", "neondot", "neon", "generic"]
    assert [target.name for target in runnable()] == names[names.index(first) :]


def test_arm_of_32_bits_has_other_instructions(monkeypatch):
    pretended(monkeypatch, "armv7l", {"neon": True, "dotprod": True})
    assert [target.name for target in runnable()] == ["generic"]


def test_small_codes_in_pairs_are_for_those_without_a_dot_product():
    assert {target.name for target in TARGETS if target.pairs} == {"avx512", "avx2"}
    without = {target.name for target in TARGETS if target.dot is instruction_sets.generic}
    assert without == {"avx512", "avx2", "generic"}
    assert [target.cluster_widths for target in TARGETS] == [(32, 16), (16,), (32, 16), (16,), (), (), (), ()]


def test_both_cluster_tiles_read_panels_of_the_same_widths():
    for target in TARGETS:
        assert {width for _, width in target.cluster_tiles} == {width for _, width in target.crossed_tiles}


PAIRING = [target for target in runnable() if target.cluster_tiles]


@pytest.mark.parametrize("target", PAIRING, ids=lambda target: target.name)
def test_pairs_of_bytes_and_of_words(target):
    """Up to the last product that fits 16 bits, on either side."""
    lanes = target.lanes
    ends = np.array([0, 1, 127, 128, 254, 255], np.uint8)
    activations = np.resize(ends, 4 * lanes)
    weights = np.resize(np.array([64, 64, -64, -64, 7, -7, -1], np.int8), 4 * lanes)
    factors = np.resize(np.array([127, 126, 0, -127], np.int16), 2 * lanes)
    sums = np.arange(lanes, dtype=np.int32) + np.iinfo(np.int32).min

    @intrinsic
    def emitted(context, activations, weights, factors, sums):
        def generate(context, builder, signature, arguments):
            kind = vector(I32, lanes)
            a, w, f, s = (load(builder, address, kind) for address in arguments)
            words = instruction_sets.byte_pairs(builder, a, w, lanes)
            store(builder, instruction_sets.word_pairs(builder, s, words, f, lanes), arguments[3])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    @njit
    def call(activations, weights, factors, sums):
        emitted(activations, weights, factors, sums)

    words = (activations.astype(np.int64) * weights).reshape(-1, 2).sum(axis=1)
    assert np.abs(words).max() < 2**15
    wanted = (sums + (words * factors).reshape(-1, 2).sum(axis=1)).astype(np.int32)
    call(activations.ctypes.data, weights.ctypes.data, factors.ctypes.data, sums.ctypes.data)
    assert np.array_equal(sums, wanted)

"""The passport: one digest by every backend, which a wrong integer anywhere changes; also by the C export."""

import c_models
import numpy as np
import pytest
from c_models import missing

from refengine.conform import passport as module
from refengine.conform.passport import DIGEST, Line, digest, machine, passport
from refengine.conform.small_networks import small_networks
from refengine.ops import requantize
from refengine.ops.requantize import rescale_kernels


def test_the_definitions_give_the_stored_digest():
    assert digest(module._computed("reference", 1, 1, 4)) == DIGEST


@pytest.mark.slow
def test_kernels_give_it_whatever_the_threads_and_batches():
    lines = [*passport(["kernels"])]
    assert {line.backend for line in lines} == {"kernels"}
    assert len({(line.threads, line.batch) for line in lines}) == 3
    assert all(line.agrees for line in lines)


@pytest.mark.slow
def test_every_instruction_set_gives_it():
    from refengine.kernels.instruction_sets import runnable

    lines = [*passport(["fast"])]
    assert {line.instruction_set for line in lines} == {target.name for target in runnable()}
    assert all(line.agrees for line in lines)


@pytest.mark.slow
def test_this_processes_plan_gives_it():
    assert digest(module._computed("fast", 2, 2, 3)) == DIGEST


@pytest.mark.slow
def test_one_code_that_is_another_changes_it(monkeypatch):
    """Of one network, one layer, one image."""

    def wrong(acc, *arguments):
        codes, saturated = rescale_kernels(acc, *arguments)
        if codes.shape == (4, 6, 5, 4) and codes.dtype == np.int8:
            codes[3, 5, 4, 3] ^= 1
        return codes, saturated

    from refengine.engine import run

    monkeypatch.setitem(run._REQUANTIZE, "kernels", (requantize.coarser_kernels, wrong))
    assert digest(module._computed("kernels", 1, 1, 4)) != DIGEST


def test_every_part_is_digested():
    """Another hash, layer, stage, type, shape, integer or logit: another digest."""
    network = small_networks()[0].network
    codes, logits = np.array([[1, 2]], np.int8), np.array([[3]], np.int32)
    stages = {("a", "code"): codes}
    found = [
        digest([(one, array, numbers)])
        for one, array, numbers in (
            (network, stages, logits),
            (small_networks()[1].network, stages, logits),
            (network, {("b", "code"): codes}, logits),
            (network, {("a", "accumulator"): codes}, logits),
            (network, {("a", "code"): codes.astype(np.uint8)}, logits),
            (network, {("a", "code"): codes.T}, logits),
            (network, {("a", "code"): codes + np.int8(1)}, logits),
            (network, stages, logits + 1),
        )
    ]
    assert len({*found}) == len(found)


def test_the_machine_is_described():
    assert {*machine()} == {"machine", "system", "python", "numpy", "numba", "llvmlite"}
    assert not Line("reference", "", 1, 1, 7, "0" * 64).agrees


@pytest.mark.slow
@pytest.mark.skipif(bool(missing("gcc")), reason=missing("gcc"))
def test_the_c_export_gives_it(tmp_path):
    """Accumulators, exponents, codes and logits as the taps of compiled models see them."""
    cases = c_models.small_cases()
    c_models.write_models(cases, tmp_path)
    seen = c_models.seen_by_taps(tmp_path, c_models.compiled(tmp_path, "gcc", ["-O1"], 2))
    assert c_models.passport_of(cases, seen) == DIGEST
    seen[0] += 1  # an accumulator
    assert c_models.passport_of(cases, seen) != DIGEST

"""Implementations take the conformance suite: the oracle, the kernels, the plan, C, ONNX Runtime, TOSA's model.

Each is right in every case, and a bug that is planted in it is found: by a case, its clause, the first element.
Everyday runs take a share of the cases; ``pytest -m slow`` takes them all.
"""

import numpy as np
import oracle
import pytest
from c_models import missing
from conform_customers import (
    by_c,
    by_onnx,
    by_oracle,
    by_run,
    by_tosa,
    clause_counts,
    every_case,
    judged,
    some,
    suite_of,
)
from tosa_tools import needs_tosa

from refengine.conform.answers import answer
from refengine.conform.file_cases import file_cases
from refengine.conform.folder import Suite
from refengine.conform.network_cases import GROUP
from refengine.conform.suite import answer_of, is_layer
from refengine.conform.verify import DIFFERENT, EQUAL, verify
from refengine.ops import conv
from refengine.optional import installed
from refengine.runs.predict import predictor

needs_gcc = pytest.mark.skipif(bool(missing("gcc")), reason=missing("gcc"))
needs_onnx = pytest.mark.skipif(
    not (installed("onnx") and installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)

SHARES = [pytest.param(23, id="a share"), pytest.param(1, id="all", marks=pytest.mark.slow)]
SMALL_SHARES = [pytest.param(150, id="a share"), pytest.param(1, id="all", marks=pytest.mark.slow)]


def layers(step):
    """Every ``step``-th case of a layer."""
    chosen = [(name, case) for name, case in every_case().items() if is_layer(case.group)]
    return dict(chosen[::step])


def of(*groups, step=1):
    return some(step, *groups)


def assert_right(found, count):
    assert (found.verdict, found.failures) == (EQUAL, ())
    assert sum(group.passed for group in found.groups) == count


# -------------------------------------------------------------------------------------------------------------- oracle


@pytest.mark.parametrize("step", SHARES)
def test_the_oracle_passes(step, tmp_path):
    """Every group but whole networks, every expected integer: from the contract by plain Python integers."""
    chosen = {name: case for name, case in some(step).items() if case.group != GROUP}
    assert_right(judged({name: by_oracle(case) for name, case in chosen.items()}, tmp_path, chosen), len(chosen))


def test_ties_that_the_oracle_rounds_away_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(oracle.ROUNDINGS, "half_even", oracle.ROUNDINGS["half_up"])
    chosen = of("round_shift", step=5)
    found = judged({name: by_oracle(case) for name, case in chosen.items()}, tmp_path, chosen)
    assert found.verdict == DIFFERENT
    assert all(one.why.startswith("half_even") and one.clauses == ("R1", "R2", "R3") for one in found.failures)
    first = found.failures[0]
    case = chosen[first.case]
    shift, t = case.parameters["shift"], case.inputs["t"]
    right = answer(case)["rounded"]
    at = int(first.said.split("[")[1].split("]")[0])
    assert (t[at] % 2**shift, right[at] % 2) == (2 ** (shift - 1), 0)  # a tie whose even neighbour lies below
    assert first.said.startswith(f"rounded[{at}]: expected {right[at]}, got {right[at] + 1}; ")


def test_a_narrow_accumulator_that_the_oracle_clips_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(oracle, "confine", lambda value, bits, policy: min(max(value, -(2 ** (bits - 1))), 2**31 - 1))
    chosen = of("confine")
    found = judged({name: by_oracle(case) for name, case in chosen.items()}, tmp_path, chosen)
    assert {*found.clauses} == {"A3", "A4", "A5"}


# ------------------------------------------------------------------------------------------------------------- kernels


@pytest.mark.parametrize("step", SHARES)
def test_the_kernels_pass(step, tmp_path):
    chosen = some(step)
    assert_right(
        judged({name: answer_of(case, "kernels") for name, case in chosen.items()}, tmp_path, chosen), len(chosen)
    )


def test_a_kernel_that_forgets_the_last_cluster_is_found(tmp_path, monkeypatch):
    """It is found where the last cluster is shorter: what it multiplies by its scale ends one tap too early."""
    right = conv.signed_taps

    def wrong(weight, cluster):
        taps, starts = right(weight, cluster)
        if weight.shape[1] % cluster:
            starts[-1] = starts[-2]
        return taps, starts

    monkeypatch.setattr(conv, "signed_taps", wrong)
    chosen = of("layer_conv", step=2)
    found = judged({name: answer_of(case, "kernels") for name, case in chosen.items()}, tmp_path, chosen)
    assert found.verdict == DIFFERENT
    assert all("ternary" in one.why and {"C1", "C5"} & {*one.clauses} for one in found.failures)
    assert found.failures[0].said.startswith("partial_sums[")
    assert any(one.why.endswith("the last cluster is shorter") for one in found.failures)


@pytest.mark.parametrize("step", SHARES)
def test_the_fast_plan_passes_on_networks_around_the_layers(step, tmp_path):
    chosen, compute = layers(step), by_run("fast")
    assert_right(judged({name: compute(case) for name, case in chosen.items()}, tmp_path, chosen), len(chosen))


def test_every_layer_passes_in_the_network_around_it(tmp_path):
    """By the definitions, whole: the codes that the network's pixels make are the case's own."""
    chosen, compute = layers(3), by_run("reference")
    assert_right(judged({name: compute(case) for name, case in chosen.items()}, tmp_path, chosen), len(chosen))


def test_whole_networks_pass_by_the_plan(tmp_path):
    """A plan that gives logits alone: the results of layers are skipped."""
    from refengine.conform.network_cases import network_of

    chosen, results = of(GROUP), {}
    for name, case in chosen.items():
        small = network_of(case)
        predict = predictor(small.network, "fast", 2)
        parts = [
            predict(small.images[n : n + 2], case.parameters["first_image"] + n, None).logits.copy()
            for n in range(0, len(small.images), 2)
        ]
        results[name] = {"logits": np.concatenate(parts)}
    assert_right(judged(results, tmp_path, chosen), len(chosen))


# ------------------------------------------------------------------------------------------------------------------- C


@needs_gcc
@pytest.mark.parametrize("step", SMALL_SHARES)
def test_the_c_export_passes(step, tmp_path):
    """Partial sums, accumulators, totals, codes and d of every layer, by what the taps of the models see."""
    chosen, folder = layers(step), tmp_path / "results"
    folder.mkdir()
    names = [*chosen]
    results = {}
    for first in range(0, len(names), 100):
        part = tmp_path / f"models{first}"
        part.mkdir()
        results |= by_c({name: chosen[name] for name in names[first : first + 100]}, part, options=["-O0"])
    assert_right(judged(results, folder, chosen), len(chosen))


PLANTED_IN_C = {
    "a pool that takes the smallest": (
        ("layer_maxpool",),
        ("code > largest ? code : largest", "code < largest ? code : largest"),
        ("Maxpool1", "code["),
    ),
    "a bias that is subtracted": (
        ("layer_input",),
        ("* (int32_t)256 + bias[c]", "* (int32_t)256 - bias[c]"),
        ("Input1", "accumulator["),
    ),
}


@needs_gcc
@pytest.mark.parametrize("planted", PLANTED_IN_C)
def test_a_bug_in_the_c_model_is_found(planted, tmp_path):
    groups, change, (clause, said) = PLANTED_IN_C[planted]
    chosen = of(*groups, step=30)
    results = by_c(chosen, tmp_path, change)
    (tmp_path / "results").mkdir()
    found = judged(results, tmp_path / "results", chosen)
    assert found.verdict == DIFFERENT
    assert all(clause in one.clauses or "W1" in one.clauses or "D5" in one.clauses for one in found.failures)
    assert found.failures[0].said.startswith(said)
    assert ": expected " in found.failures[0].said


# -------------------------------------------------------------------------------------------------- engines of others


@needs_onnx
@pytest.mark.parametrize("step", SHARES)
def test_onnx_runtime_passes(step, tmp_path):
    """Where the export knows the layer: no stochastic rounding and no dynamic exponents."""
    chosen = layers(step)
    given = {name: by_onnx(case) for name, case in chosen.items()}
    results = {name: found for name, found in given.items() if found is not None}
    assert len(results) > len(chosen) / 2
    assert_right(judged(results, tmp_path, chosen), len(results))


@needs_onnx
def test_a_bias_that_is_one_too_large_in_onnx_is_found(tmp_path):
    from onnx import numpy_helper

    def change(model, layer):
        for stored in model.graph.initializer:
            if stored.name == f"{layer}/bias":
                bias = numpy_helper.to_array(stored).copy()
                bias.reshape(-1)[0] += 1
                stored.CopyFrom(numpy_helper.from_array(bias, stored.name))

    chosen = of("layer_fc", step=20)
    given = {name: by_onnx(case, change) for name, case in chosen.items()}
    found = judged({name: one for name, one in given.items() if one is not None}, tmp_path, chosen)
    assert found.verdict == DIFFERENT
    assert found.failures[0].said.startswith("accumulator[0, 0]: expected ")


@needs_tosa
@pytest.mark.parametrize("step", SMALL_SHARES)
def test_tosa_passes(step, tmp_path):
    """Where TOSA's operators express the layer."""
    chosen = layers(step)
    given = {name: by_tosa(case) for name, case in chosen.items()}
    results = {name: found for name, found in given.items() if found}
    assert len(results) > len(chosen) / 2
    assert_right(judged(results, tmp_path, chosen), len(results))


@needs_tosa
def test_a_code_that_tosa_rounds_otherwise_is_found(tmp_path):
    def change(found):
        return {**found, "code": np.where(found["code"] == 3, 2, found["code"])} if "code" in found else found

    chosen = of("layer_requantize", step=40)
    given = {name: by_tosa(case, change) for name, case in chosen.items()}
    found = judged({name: one for name, one in given.items() if one}, tmp_path, chosen)
    assert found.verdict == DIFFERENT
    assert all("expected 3, got 2" in one.said for one in found.failures)


# --------------------------------------------------------------------------------------------------------------- files


def test_a_reader_that_believes_the_hash_is_found(tmp_path):
    """A reader that checks all but V4 accepts what must be refused, and only that."""
    models = [*file_cases()]
    suite = Suite(1, {}, {}, suite_of({}, models).models)
    told = [(one, one.accept or one.clauses == ("V4", "P2")) for one in suite.models]
    lines = [f"{one.file} {'accepted' if accepted else 'refused'}" for one, accepted in told]
    (tmp_path / "models.txt").write_text("\n".join(lines))
    found = verify(suite, tmp_path)
    assert found.verdict == DIFFERENT
    assert {*found.clauses} == {"V4", "P2"}
    assert {one.said for one in found.failures} == {"must be refused, was accepted"}


def test_shares_of_all_groups_are_taken():
    """The everyday share has cases of every group of layers and most clauses of them."""
    assert {case.group for case in layers(23).values()} == {case.group for case in layers(1).values()}
    counted = clause_counts(layers(23))
    assert sum(count > 0 for count in counted.values()) > 40

"""The table of hypotheses: complete, distinct, and each of them different from the contract somewhere."""

import numpy as np
from golden_cases import cases_of, conv_case
from networks import every_op, seeded

from refengine.golden.diagnose.hypotheses import _TABLES as TABLES
from refengine.golden.diagnose.hypotheses import FAMILIES, GROUPS, HYPOTHESES, faulty, is_hypothesis, named, rows
from refengine.golden.diagnose.machine import machine_of, stages_of_case
from refengine.golden.diagnose.recompute import recompute
from refengine.numbers.rounding import STOCHASTIC

SHIFTED, ADDING = 5, ["requantize", "requantize", "add"]  # an addition of two exponents


def test_no_name_and_no_sentence_occurs_twice():
    every = [entry for group in GROUPS for entry in TABLES[group]()]
    assert len({name for name, _, _ in every}) == len(every) == len(HYPOTHESES)
    assert len({sentence for _, sentence, _ in every}) == len(every)
    assert {*TABLES} == {*GROUPS}


def test_the_rows_of_the_table():
    every = {**HYPOTHESES, **FAMILIES}
    assert sorted(name for _, name, _ in rows()) == sorted(every)
    assert [*dict.fromkeys(group for group, _, _ in rows())] == [*GROUPS]
    assert all((group, sentence) == (every[name].group, every[name].sentence) for group, name, sentence in rows())


def test_a_name_leads_to_its_hypothesis():
    assert all(named(name) is hypothesis for name, hypothesis in HYPOTHESES.items())
    assert named("tap_dropped=2,1").name == "tap_dropped=2,1"
    assert is_hypothesis("tap_dropped=2,1")
    assert not is_hypothesis("stale_image")


def test_every_hypothesis_differs_from_the_contract_somewhere():
    """A fault that changes nothing anywhere could never be found."""
    silent = {*HYPOTHESES}
    families = [every_op(seed=seed) for seed in (1, 2, 3, 7)]
    families += [seeded(11, ["conv", "avgpool"], ("half_up",)), seeded(8, ["maxpool"]), seeded(SHIFTED, ADDING)]
    cases = [case for network in families for case, _ in cases_of(network, 2)]
    cases += [case for case, _ in cases_of(seeded(3, ["conv"], (STOCHASTIC,)), 2, first_image=5)]
    for seed in range(3):
        cases.append(conv_case(seed, residual=True, activation="none", signed=True, finer=seed))
        cases.append(conv_case(seed, residual=True, finer=2 * seed))
    large = {"count": 4, "inputs": 16, "outputs": 8, "size": (8, 8), "shift": 14}
    cases += [conv_case(4, weight_format=fmt, **large) for fmt in ("int4", "int8")]
    cases += [conv_case(5, activation="clip", top=80), conv_case(6, strides=(2, 1))]
    cases += [conv_case(7, accumulator=(16, "wrap")), conv_case(8, inputs=4, outputs=4, group=2)]
    cases.append(conv_case(9, inputs=3, residual=True))
    for case in cases:
        golden = recompute(machine_of(case), stages_of_case(case))
        for name in [*silent]:
            machine = faulty(case, name)
            if machine is None:
                continue
            found = recompute(machine, [*golden], None, [*golden])
            if any(not np.array_equal(found[stage], golden[stage]) for stage in golden):
                silent.discard(name)
    # these need biases, sums, products or shifts larger than any here
    silent -= {"product_in_float32", "double_round"}
    assert not silent


def test_faults_in_a_row():
    case = conv_case()
    both = recompute(faulty(case, "bias_missing", "channels_reversed"), ["accumulator"], None, ["accumulator"])
    one = recompute(faulty(case, "bias_missing"), ["accumulator"])["accumulator"]
    np.testing.assert_array_equal(both["accumulator"], one[..., ::-1])
    assert faulty(case, "bias_missing", "padding_wins") is None

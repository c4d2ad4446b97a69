"""Hypotheses with numbers: the numbers are found, the faults are what they say in plain integers, and are named."""

from inspect import signature

import numpy as np
import pytest
from everyday import everyday
from golden_cases import assert_as_planted, cases_of, conv_case
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation.faults import FAULTS
from networks import every_op

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.evidence import Evidence, sample_of
from refengine.golden.diagnose.hypotheses import FAMILIES, candidates, faulty, named
from refengine.golden.diagnose.hypotheses_numbers import _first_where
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute

CASE = conv_case(3, count=3, size=(7, 7), inputs=5, outputs=6, shift=14)
STRIDED = conv_case(4, count=3, size=(9, 6), strides=(2, 1), pads=(1, 0, 1, 2), inputs=5, outputs=6, shift=14)
SIGNED = conv_case(5, count=3, size=(6, 6), signed_input=True, weight_format="int4", inputs=4, outputs=6, shift=15)
CASES = {"plain": CASE, "strided": STRIDED, "signed": SIGNED}
GOLDEN = {name: recompute(machine_of(case), STAGES) for name, case in CASES.items()}


def convolved(case, images, outside=0, without=None, bits=None):
    """Accumulators in plain integers; ``without``: a tap; ``bits``: the width of unsigned cluster sums."""
    layer = case.layer
    weight, scale, bias = (layer.constants[name].tolist() for name in ("weight", "scale", "bias"))
    cluster, strides, pads = (layer.attributes[name] for name in ("cluster", "strides", "pads"))
    images = images.tolist()
    height, width, channels = len(images[0]), len(images[0][0]), len(images[0][0][0])
    made = np.zeros((len(images), *case.shape), object)
    for n, y, x, o in np.ndindex(made.shape):
        acc = bias[o]
        for group in range(-(-channels // cluster)):
            partial = 0
            for i in range(group * cluster, min((group + 1) * cluster, channels)):
                for ky, kx in np.ndindex(len(weight[0][0]), len(weight[0][0][0])):
                    row, column = y * strides[0] - pads[0] + ky, x * strides[1] - pads[1] + kx
                    inside = 0 <= row < height and 0 <= column < width
                    code = images[n][row][column][i] if inside else outside
                    partial += 0 if (ky, kx) == without else code * weight[o][i][ky][kx]
            acc += (partial if bits is None else partial % 2**bits) * scale[o][group]
        made[n, y, x, o] = acc
    return made.astype(np.int64)


def computed(case, name, stages=STAGES):
    return recompute(faulty(case, name), stages)


def found(case, dump):
    """Names of the members that a dump gives reason for."""
    sample = sample_of(Evidence(case, dump), 256)
    return [hypothesis.name for hypothesis in candidates(sample) if "=" in hypothesis.name]


@pytest.mark.parametrize("name", CASES)
def test_members_in_plain_integers(name):
    case, x = CASES[name], CASES[name].operands[0]
    above, before, first = x.copy(), x.copy(), x.copy()
    above[:, 3] = x[:, 2]
    before[1:, 3] = x[:-1, 3]
    first[:, 3] = x[0, 3]
    for member, made in {
        "tap_dropped=2,1": convolved(case, x, without=(2, 1)),
        "padding_constant=-7": convolved(case, x, outside=-7),
        "padding_constant=200": convolved(case, x, outside=200),
        "sum_zero_extended=13": convolved(case, x, bits=13),
        "input_row_repeated=3": convolved(case, above),
        "input_row_of_image_before=3": convolved(case, before),
        "input_row_of_first_image=3": convolved(case, first),
    }.items():
        np.testing.assert_array_equal(computed(case, member)["accumulator"], made, err_msg=member)


@settings(max_examples=6, deadline=None)
@given(st.sampled_from([*CASES]), st.integers(-128, 255), st.sampled_from(STAGES))
def test_the_constant_of_a_padding_is_solved_for(name, constant, stage):
    """From sums exactly; from codes within what the rounding leaves open.  Nothing is found that is not tried whole."""
    case, member = CASES[name], f"padding_constant={constant}"
    got = computed(case, member)[stage]
    if np.array_equal(got, GOLDEN[name][stage]) or constant in (0, 127, 128, -128, 255):
        return
    solved = [one for one in found(case, {stage: got}) if one.startswith("padding_constant")]
    if stage == "code":
        assert member in solved or not solved, "so many constants fit that none is worth a name"
    else:
        assert solved == [member]
        assert diagnose(case, stage, got).cause == member


@pytest.mark.parametrize("name", everyday(CASES, 3))
def test_every_tap_is_named(name):
    case = CASES[name]
    for row, column in ((0, 0), (1, 2), (2, 1)):
        member = f"tap_dropped={row},{column}"
        said = diagnose(case, None, computed(case, member))
        assert (said.cause, said.certain) == (member, True)
        assert f"the kernel's tap in row {row}, column {column} is left out" in said.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("source", ["input_row_repeated", "input_row_of_image_before", "input_row_of_first_image"])
def test_every_stale_row_is_named(name, source):
    """Only rows that every wrong value reads are tried."""
    case, kernel = CASES[name], 3
    for row in range(1, case.operands[0].shape[1]):
        member = f"{source}={row}"
        dump = computed(case, member)
        if all(np.array_equal(dump[stage], GOLDEN[name][stage]) for stage in STAGES):
            continue
        tried = [one for one in found(case, dump) if one.startswith(source)]
        assert member in tried
        assert len(tried) <= kernel
        said = diagnose(case, None, dump)
        assert member in {match.name for match in said.ranked if match.exact}
        assert not said.certain or said.cause == member


@pytest.mark.parametrize("bits", [10, 12, 15, 18])
def test_the_width_of_an_unsigned_sum(bits):
    """A carry of 2**bits times a scale: wider numbers than that cannot have made the difference."""
    member = f"sum_zero_extended={bits}"
    dump = computed(CASE, member)
    tried = [int(one.split("=")[1]) for one in found(CASE, dump) if one.startswith("sum_zero_extended")]
    assert bits in tried
    assert max(tried) <= bits + 1, "no scale of these is a multiple of 4"
    said = diagnose(CASE, None, dump)
    assert member in {match.name for match in said.ranked if match.exact}


def test_a_row_of_a_pool_and_of_codes_that_pass():
    cases, member = {case.layer.op: case for case, _ in cases_of(every_op(seed=7), 3)}, "input_row_repeated=1"
    for op in ("maxpool", "avgpool", "pad_channels", "concat"):
        case, stage = cases[op], "code"
        got = computed(case, member, [stage])[stage]
        golden = recompute(machine_of(case), [stage])[stage]
        assert np.array_equal(got, golden) or member in found(case, {stage: got}), op


def test_nothing_is_tried_without_reason():
    """No padding, no kernel, no row that could be stale."""
    bare = conv_case(6, kernel=(1, 1), pads=(0, 0, 0, 0), count=1, size=(4, 4))
    golden = recompute(machine_of(bare), ["accumulator"])["accumulator"]
    assert found(bare, {"accumulator": golden + 1}) == []
    everywhere = found(CASE, {"accumulator": GOLDEN["plain"]["accumulator"] + 1})
    assert {one.split("=")[0] for one in everywhere} == {"tap_dropped"}


def test_members_have_names_and_words():
    for family in FAMILIES.values():
        words = family.words
        numbers = [1, 4, 1, 1][: len(signature(words).parameters) if callable(words) else max(1, words.count("{}"))]
        member = named(f"{family.name}={','.join(map(str, numbers))}")
        said = words(*numbers) if callable(words) else words.format(*numbers)
        assert (member.group, member.sentence) == (family.group, said)


@given(st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 600), st.integers(-400, 1000)), min_size=1))
def test_bisection_is_a_search(rows):
    low = np.array([start for start, _, _ in rows])
    high = np.array([start + size for start, size, _ in rows])
    edge = np.array([edge for _, _, edge in rows])
    wanted = [next((n for n in range(a, b + 1) if n >= e), b + 1) for a, b, e in zip(low, high, edge, strict=True)]
    assert _first_where(lambda steps: steps >= edge, low, high).tolist() == wanted


WIDE = conv_case(11, count=2, size=(10, 9), inputs=8, outputs=8, cluster=4, shift=14)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("pad_mirror", "padding_reads=5,1"),
        ("pad_left_edge", "padding_reads=1,0"),
        ("pad_next_row", "padding_reads=4,3"),
        ("input_bit_low", "input_bits=2,0"),
        ("input_bit_high", "input_bits=0,1"),
        ("input_5_bits", "input_narrow=5"),
        ("input_3_cut", "input_bits_lost=3"),
        ("input_pitch", "input_pitch=8"),
    ],
)
def test_what_comes_in_and_what_lies_around_it(fault, name):
    assert_as_planted(WIDE, fault, name)
    found = diagnose(WIDE, None, FAULTS[fault].stages(WIDE))
    assert (found.cause, found.certain) == (name, True), found.sentence


def test_padding_of_every_side_is_what_numpy_pads():
    x = WIDE.operands[0]
    for how, mode in enumerate(("edge", "reflect", "wrap")):
        for sides, which in enumerate(((0,), (1,), (2,), (3,), (1, 3), (0, 1, 2, 3))):
            machine = named(f"padding_reads={sides},{how}")(machine_of(WIDE))
            whole = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
            for side in {0, 1, 2, 3} - {*which}:
                place = {0: np.s_[:, 0], 1: np.s_[:, :, 0], 2: np.s_[:, -1], 3: np.s_[:, :, -1]}[side]
                whole[place] = 0
            np.testing.assert_array_equal(machine.operands[0], whole)


def test_signed_codes_keep_their_type_with_a_bit_stuck():
    machine = named("input_bits=7,0")(machine_of(SIGNED))
    np.testing.assert_array_equal(machine.operands[0], SIGNED.operands[0] & 127)
    machine = named("input_bits=7,1")(machine_of(SIGNED))
    assert machine.operands[0].dtype == np.int8
    np.testing.assert_array_equal(machine.operands[0].view(np.uint8), SIGNED.operands[0].view(np.uint8) | 128)


@pytest.mark.parametrize("divisor", [37, 50, 64])
def test_an_average_of_another_number_of_pixels(divisor):
    """Of 8 x 6 pixels, divided by another number: by a multiplier made for it, or by a shift."""
    network = conv_case(3, size=(8, 6), outputs=12).network
    case = next(case for case, _ in cases_of(network, 8) if case.layer.op == "global_avgpool")
    step, acc = case.layer.requantize, case.operands[0].astype(np.int64).sum(axis=(1, 2))
    acc = acc.reshape(len(acc), *case.shape)
    multiplier = [(2 * int(value) * 48 + divisor) // (2 * divisor) for value in step.multiplier]
    total = acc * np.array(multiplier)
    codes = ((total + (1 << step.shift >> 1)) >> step.shift).clip(step.lo, step.hi)
    dump = {"accumulator": acc, "total": total, "code": codes}
    found = diagnose(case, None, dump)
    assert f"average_divisor={divisor},0" in {match.name for match in found.ranked if match.exact}, found.sentence

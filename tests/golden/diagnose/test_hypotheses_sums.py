"""Faults of sums, each stated a second time as an index or a number in plain Python integers."""

import numpy as np
import pytest
from golden_cases import assert_as_planted, cases_of, conv_case
from networks import seeded
from plain_convolution import (
    CASES,
    SAT16,
    Plain,
    assert_fault_is,
    low,
    of,
    pixels,
    scaled,
    sets,
    values,
)

from refengine.golden.diagnose.hypotheses import HYPOTHESES, named
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

FAULTS = {
    "bias_missing": sets(bias=lambda p: lambda o: 0),
    "bias_doubled": sets(bias=lambda p: lambda o: p.b[o] + p.b[o]),
    "bias_halved": sets(bias=lambda p: lambda o: p.b[o] // 2),
    "bias_negated": sets(bias=lambda p: lambda o: -p.b[o]),
    "bias_of_next_channel": sets(bias=lambda p: lambda o: p.b[(o + 1) % p.O]),
    "bias_of_previous_channel": sets(bias=lambda p: lambda o: p.b[o - 1]),
    "bias_of_channel_0": sets(bias=lambda p: lambda o: p.b[0]),
    "bias_16_unsigned": sets(bias=lambda p: lambda o: p.b[o] % 65536),
    "bias_wraps=16": sets(bias=lambda p: lambda o: low(p.b[o], 16)),
    "bias_wraps=24": sets(bias=lambda p: lambda o: low(p.b[o], 24)),
    "first_input_other_sign": pixels(lambda p, n, y, z, c: low(p.x[n][y][z][c], 8, not p.signed)),
    "input_last_row_missing": pixels(lambda p, n, y, z, c: 0 if y == p.H - 1 else p.x[n][y][z][c]),
    "input_first_row_missing": pixels(lambda p, n, y, z, c: p.x[n][y][z][c] if y else 0),
    "input_last_column_missing": pixels(lambda p, n, y, z, c: 0 if z == p.W - 1 else p.x[n][y][z][c]),
    "input_first_column_missing": pixels(lambda p, n, y, z, c: p.x[n][y][z][c] if z else 0),
    "input_turned": pixels(lambda p, n, y, z, c: p.x[n][z][y][c]),
    "input_channels_reversed": pixels(lambda p, n, y, z, c: p.x[n][y][z][p.C - 1 - c]),
    "input_channels_rotated": pixels(lambda p, n, y, z, c: p.x[n][y][z][c - 1]),
    "group_0_for_all": sets(first=lambda p: lambda o: 0),
    "accumulator_twice": sets(finished=lambda p: lambda acc: 2 * acc),
    "products_twice": scaled(lambda p, o, g: 2 * p.s[o][g]),
    "bias_low_bits_lost=3": sets(bias=lambda p: lambda o: p.b[o] // 8 * 8),
    "bias_rounded=3": sets(bias=lambda p: lambda o: (p.b[o] + 4) // 8 * 8),
    **{
        f"accumulator_wraps={bits}": sets(finished=lambda p, bits=bits: lambda acc: low(acc, bits))
        for bits in (16, 18, 20, 24)
    },
    "accumulator_saturates=16": sets(finished=lambda p: SAT16),
    "accumulator_saturates_stepwise=8,0,16": sets(held=lambda p: SAT16),
    "partial_sums_wrap=8,0,8": sets(partial=lambda p: lambda value: low(value, 8)),
    "partial_sums_saturate=8,0,8": sets(partial=lambda p: lambda value: max(-128, min(127, value))),
    "partial_sums_saturate=8,0,12": sets(partial=lambda p: lambda value: max(-2048, min(2047, value))),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_sums_is_what_it_says(name):
    assert_fault_is(name, FAULTS[name])


def test_faults_of_additions_are_what_they_say():
    network = seeded(5, ["requantize", "requantize", "add"])
    case = next(case for case, _ in cases_of(network) if case.layer.op == "add")
    a, b = (codes.astype(int) for codes in case.operands)
    left, right = case.layer.attributes["shifts"]
    assert left != right
    np.testing.assert_array_equal(values(case, "add_shifts_exchanged"), a * 2**right + b * 2**left)
    np.testing.assert_array_equal(values(case, "add_without_first"), b * 2**right)
    np.testing.assert_array_equal(values(case, "add_without_second"), a * 2**left)


def test_faults_of_joins_are_what_they_say():
    case = of("concat")
    np.testing.assert_array_equal(values(case, "concat_reversed", "code"), np.concatenate(case.operands[::-1], axis=-1))
    case = of("pad_channels")
    before = case.layer.attributes["before"]
    found = values(case, "channel_pads_exchanged", "code")
    start = case.layer.attributes["after"]
    np.testing.assert_array_equal(found[..., start : found.shape[-1] - before], case.operands[0])


def test_faults_of_inputs_are_what_they_say():
    case = of("input")
    flip, bias = case.layer.attributes["flip"], case.layer.constants["bias"].astype(int)
    ordered = case.operands[0].astype(int)[..., :: 1 if flip else -1]
    np.testing.assert_array_equal(values(case, "input_bgr"), ordered * 256 + bias)


def test_faults_of_batch_norms_are_what_they_say():
    case = next(case for case in (of("batchnorm", seed) for seed in range(1, 20)) if case.layer.accumulator_bits == 32)
    x, (sign, bias) = (
        case.operands[0].astype(int),
        (case.layer.constants[name].astype(int) for name in ("sign", "bias")),
    )
    np.testing.assert_array_equal(values(case, "sign_missing"), abs(sign) * x * 256 + bias)
    np.testing.assert_array_equal(values(case, "sign_negated"), -sign * x * 256 + bias)


def test_faults_of_flattening_are_what_they_say():
    for op in ("flatten", "fc"):
        for case, _ in cases_of(seeded(5, ["conv", "flatten", "fc"] if op == "fc" else ["conv", "flatten"])):
            if case.layer.op != op or HYPOTHESES["flattened_h_w_c"](machine_of(case)) is None:
                continue
            if op == "flatten":
                machine = HYPOTHESES["flattened_h_w_c"](machine_of(case))
                found = recompute(machine, ["code"], None, ["code"])["code"]
                np.testing.assert_array_equal(found, case.operands[0].reshape(len(found), -1))
            elif case.operands[0].ndim == 2:
                height, width, channels = case.network.shapes[case.network.layer(case.layer.inputs[0]).inputs[0]]
                weight = case.layer.constants["weight"].astype(int)
                weight = weight * case.layer.constants["scale"].astype(int)[
                    :, np.arange(weight.shape[1]) // case.layer.attributes["cluster"]
                ]  # fmt: skip
                sums = np.array(
                    [
                        [
                            sum(
                                int(image[(c * height + y) * width + x]) * int(row[(y * width + x) * channels + c])
                                for y in range(height) for x in range(width) for c in range(channels)
                            )
                            for row in weight
                        ]
                        for image in case.operands[0]
                    ]
                )  # fmt: skip
                found = recompute(
                    HYPOTHESES["flattened_h_w_c"](machine_of(case)), ["accumulator"]
                )["accumulator"]  # fmt: skip
                if case.layer.accumulator_bits == 32:
                    np.testing.assert_array_equal(found, sums + case.layer.constants["bias"])


def test_what_cannot_happen_to_a_layer_is_no_hypothesis():
    """Nothing to pad, no stride, no batch norm, no narrow accumulator."""
    case = conv_case(pads=(0, 0, 0, 0))
    for name in ("padding_127", "pads_exchanged", "stride_phase", "padding_wins", "sign_missing", "input_bgr"):
        assert HYPOTHESES[name](machine_of(case)) is None
    for name in ("accumulator_other_policy", "accumulator_32", "group_0_for_all", "concat_reversed"):
        assert HYPOTHESES[name](machine_of(case)) is None


@pytest.mark.parametrize(("policy", "other"), [("wrap", "saturate"), ("saturate", "wrap")])
def test_the_policy_of_a_narrow_accumulator(policy, other):
    case = conv_case(accumulator=(16, policy))
    wide = Plain(case).result()
    expected = {
        "wrap": [low(int(value), 16) for value in wide.flat],
        "saturate": [SAT16(int(value)) for value in wide.flat],
    }
    assert expected["wrap"] != expected["saturate"]
    assert values(case, "accumulator_other_policy").reshape(-1).tolist() == expected[other]
    np.testing.assert_array_equal(values(case, "accumulator_32"), wide)


@pytest.mark.parametrize("name", CASES)
def test_an_accumulator_that_is_not_cleared(name):
    """Each sum goes on from the one before: of the image, the pixel or the channel."""
    case = CASES[name]
    sums = Plain(case).result().tolist()
    images, height, width, channels = len(sums), *case.shape
    for n, y, x, c in np.ndindex(images, height, width, channels):
        kept = {
            "accumulator_kept_images": sum(sums[m][y][x][c] for m in range(n + 1)),
            "accumulator_kept_channels": sum(sums[n][y][x][: c + 1]),
            "accumulator_kept_pixels": sum(
                sums[n][v][u][c] for v in range(height) for u in range(width) if (v, u) <= (y, x)
            ),
        }
        if (y, x) == (height - 1, width - 1):
            for hypothesis, value in kept.items():
                assert values(case, hypothesis)[n, y, x, c] == low(value, 32)
    where = np.arange(0, images * height * width * channels, 3)
    for hypothesis in kept:
        machine = HYPOTHESES[hypothesis](machine_of(case))
        picked = recompute(machine, ["accumulator"], where)["accumulator"]
        np.testing.assert_array_equal(picked, values(case, hypothesis).reshape(-1)[where])


def test_a_maximum_of_bytes_of_the_other_sign_stays_a_byte():
    """What only passes leaves as the byte that came in."""
    case = of("maxpool")
    signed = case.operands[0].dtype == np.int8
    np.testing.assert_array_equal(
        values(case, "first_input_other_sign", "code"),
        recompute(HYPOTHESES["maximum_other_sign"](machine_of(case)), ["code"])["code"],
    )
    assert values(case, "first_input_other_sign", "code").min() >= (-128 if signed else 0)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("acc_row", "accumulator_kept_rows"),
        ("acc_last", "accumulator_keeps_last_row"),
        ("acc_loaded_once", "accumulator_kept_channels_bias_once"),
        ("weights_by_input", "weights_stored_i_o"),
    ],
)
def test_sums_and_weights_as_they_were_planted(fault, name):
    assert_as_planted(conv_case(5, inputs=6, outputs=4, cluster=2), fault, name)


@pytest.mark.parametrize("over", ["channel", "pixel", "row", "result", "image"])
def test_what_an_accumulator_keeps(over):
    """Sums in plain integers, one after the other in the order of its runs."""
    case = conv_case(2, count=3, size=(4, 3), outputs=4)
    sums = recompute(machine_of(case), ["accumulator"])["accumulator"]
    bias = case.layer.constants["bias"].tolist()
    order = {"channel": (0, 1, 2, 3), "pixel": (0, 3, 1, 2), "row": (0, 3, 1, 2), "result": (0, 1, 2, 3),
             "image": (3, 1, 2, 0)}[over]  # fmt: skip
    length = {"channel": 4, "pixel": 12, "row": 3, "result": 48, "image": 3}[over]
    turned = np.transpose(sums, order)
    channel = np.transpose(np.broadcast_to(np.arange(4), sums.shape), order).reshape(-1, length).tolist()
    for name, kept in (
        (f"accumulator_kept_{over}s", lambda run, c, i: sum(run[: i + 1])),
        (f"accumulator_keeps_last_{over}", lambda run, c, i: run[i] + (run[i - 1] if i else 0)),
        (
            f"accumulator_kept_{over}s_bias_once",
            lambda run, c, i: sum(v - bias[k] for v, k in zip(run[: i + 1], c, strict=False)) + bias[c[0]],
        ),
    ):
        wanted = [
            [kept(run, c, i) for i in range(length)]
            for run, c in zip(turned.reshape(-1, length).tolist(), channel, strict=True)
        ]
        found = recompute(named(name)(machine_of(case)), ["accumulator"])["accumulator"]
        np.testing.assert_array_equal(np.transpose(found, order).reshape(-1, length), wanted, name)

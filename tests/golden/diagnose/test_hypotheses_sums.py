"""Faults of sums, each stated a second time as an index or a number in plain Python integers."""

import numpy as np
import oracle
import pytest
from golden_cases import assert_as_planted, cases_of, conv_case
from networks import every_op, seeded

from refengine.golden.diagnose.hypotheses import HYPOTHESES, named
from refengine.golden.diagnose.machine import machine_of, recompute

CASES = {
    "ternary": conv_case(0),
    "strided": conv_case(1, strides=(2, 1), pads=(1, 0, 2, 1)),
    "clusters": conv_case(5, inputs=7, cluster=2),
    "signed": conv_case(2, signed_input=True, weight_format="int4", cluster=2),
    "grouped": conv_case(3, inputs=4, outputs=4, group=2, cluster=1),
    "int8": conv_case(4, weight_format="int8", kernel=(2, 2), pads=(1, 0, 0, 1)),
}
SAT16 = lambda value: max(-(2**15), min(2**15 - 1, value))  # noqa: E731  (a word for the tables below)


class Plain:
    """A convolution in plain integers whose parts can be replaced, one by one."""

    def __init__(self, case):
        layer, (x,) = case.layer, case.operands
        self.x, self.count, self.shape = x.tolist(), len(x), case.shape
        self.H, self.W, self.C = x.shape[1:]
        self.w = layer.constants["weight"].tolist()
        self.s = layer.constants["scale"].tolist()
        self.b = layer.constants["bias"].tolist()
        self.O, self.I, self.KH, self.KW = layer.constants["weight"].shape
        self.group, self.cluster = layer.attributes["group"], layer.attributes["cluster"]
        self.strides, self.pads = layer.attributes["strides"], layer.attributes["pads"]
        self.bits = {"ternary": 2, "int4": 4, "int8": 8}[layer.weight_format]
        self.signed = x.dtype == np.int8
        self.start, self.outside = (0, 0), lambda row, column, c, n: 0
        self.code = lambda o, i, ky, kx: self.w[o][i][ky][kx]
        self.scale = lambda o, i: self.s[o][i // self.cluster]
        self.bias = lambda o: self.b[o]
        self.pixel = lambda n, row, column, c: self.x[n][row][column][c]
        self.first = lambda o: o // (self.O // self.group) * self.I
        self.held = lambda acc: acc
        self.partial = lambda value: value
        self.finished = lambda acc: acc

    def read(self, n, row, column, c):
        inside = 0 <= row < self.H and 0 <= column < self.W
        return self.pixel(n, row, column, c) if inside else self.outside(row, column, c, n)

    def element(self, n, y, z, o):
        acc = self.bias(o)
        top, left = (
            y * self.strides[0] - self.pads[0] + self.start[0],
            z * self.strides[1] - self.pads[1] + self.start[1],
        )
        for g in range(-(-self.I // self.cluster)):
            members = range(g * self.cluster, min((g + 1) * self.cluster, self.I))
            terms = [
                (self.scale(o, i), self.read(n, top + ky, left + kx, self.first(o) + i) * self.code(o, i, ky, kx))
                for i in members for ky in range(self.KH) for kx in range(self.KW)
            ]  # fmt: skip
            if len({scale for scale, _ in terms}) == 1:
                acc = self.held(acc + terms[0][0] * self.partial(sum(term for _, term in terms)))
            else:
                acc = self.held(acc + sum(scale * term for scale, term in terms))
        return self.finished(acc)

    def result(self):
        places = np.ndindex(self.count, *self.shape)
        return np.array([self.element(*place) for place in places]).reshape(self.count, *self.shape)


def stored_by_tap(p, o):
    return [p.w[o][i][ky][kx] for ky in range(p.KH) for kx in range(p.KW) for i in range(p.I)]


def low(value, bits, signed=True):
    """The lowest bits of an integer."""
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def sets(**changed):
    """A fault: attributes of ``Plain``, functions of it where they are functions of a ``Plain``."""

    def fault(plain):
        vars(plain).update({name: make(plain) for name, make in changed.items()})

    return fault


def recoded(change):
    """Another code at each place of the weights: (plain, o, i, ky, kx) -> code."""
    return sets(code=lambda p: lambda o, i, ky, kx: change(p, o, i, ky, kx))


def decoded(**table):
    names = {"minus": -1, "zero": 0, "plus": 1}
    return recoded(lambda p, o, i, ky, kx: {names[name]: value for name, value in table.items()}[p.w[o][i][ky][kx]])


def stored(lanes, inner):
    """Codes of words of ``lanes`` in reverse order: a code's address, its mirror in the word, and back to a place."""

    def change(p, o, i, ky, kx):
        sizes = (p.I, p.KH, p.KW) if inner == "taps" else (p.KH, p.KW, p.I)
        a, b, c = (i, ky, kx) if inner == "taps" else (ky, kx, i)
        address = ((o * sizes[0] + a) * sizes[1] + b) * sizes[2] + c
        if address < p.O * p.I * p.KH * p.KW // lanes * lanes:
            address += lanes - 1 - 2 * (address % lanes)
        address, c = divmod(address, sizes[2])
        address, b = divmod(address, sizes[1])
        o, a = divmod(address, sizes[0])
        i, ky, kx = (a, b, c) if inner == "taps" else (c, a, b)
        return p.w[o][i][ky][kx]

    return recoded(change)


def mirrored(value, bits):
    return low(int(format(value % 2**bits, f"0{bits}b")[::-1], 2), bits)


def flat_scale(p, o, g, by):
    values = [value for row in p.s for value in row]
    return values[(o * len(p.s[0]) + g + by) % len(values)]


def scaled(change):
    """Another scale code for each cluster: (plain, o, g) -> scale."""
    return sets(scale=lambda p: lambda o, i: change(p, o, i // p.cluster))


def pixels(change):
    return sets(pixel=lambda p: lambda n, row, column, c: change(p, n, row, column, c))


def outside(value):
    return sets(outside=lambda p: lambda row, column, c, n: value)


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
    "padding_127": outside(127),
    "padding_128": outside(128),
    "padding_minus_128": outside(-128),
    "padding_255": outside(255),
    "padding_edge": sets(
        outside=lambda p: lambda y, z, c, n: p.x[n][min(max(y, 0), p.H - 1)][min(max(z, 0), p.W - 1)][c]
    ),
    "padding_lowest": sets(outside=lambda p: lambda y, z, c, n: -128 if p.signed else 0),
    "pads_exchanged": sets(pads=lambda p: (p.pads[2], p.pads[3], p.pads[0], p.pads[1])),
    "pads_after": sets(pads=lambda p: (0, 0)),
    "pads_before": sets(pads=lambda p: (p.pads[0] + p.pads[2], p.pads[1] + p.pads[3])),
    "pads_turned": sets(pads=lambda p: (p.pads[1], p.pads[0])),
    "windows_down": sets(start=lambda p: (1, 0)),
    "windows_up": sets(start=lambda p: (-1, 0)),
    "windows_right": sets(start=lambda p: (0, 1)),
    "windows_left": sets(start=lambda p: (0, -1)),
    "stride_phase": sets(start=lambda p: tuple(1 if stride > 1 else 0 for stride in p.strides)),
    "strides_turned": sets(strides=lambda p: (p.strides[1], p.strides[0])),
    "kernel_flipped": recoded(lambda p, o, i, ky, kx: p.w[o][i][p.KH - 1 - ky][p.KW - 1 - kx]),
    "kernel_rows_flipped": recoded(lambda p, o, i, ky, kx: p.w[o][i][p.KH - 1 - ky][kx]),
    "kernel_columns_flipped": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][p.KW - 1 - kx]),
    "kernel_transposed": recoded(lambda p, o, i, ky, kx: p.w[o][i][kx][ky]),
    "weights_negated": recoded(lambda p, o, i, ky, kx: -p.w[o][i][ky][kx]),
    "weights_of_next_output": recoded(lambda p, o, i, ky, kx: p.w[(o + 1) % p.O][i][ky][kx]),
    "weights_of_previous_output": recoded(lambda p, o, i, ky, kx: p.w[o - 1][i][ky][kx]),
    "weights_unsigned": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] % 2**p.bits),
    "weight_bits_reversed": recoded(lambda p, o, i, ky, kx: mirrored(p.w[o][i][ky][kx], p.bits)),
    "ternary_zero_is_plus": decoded(minus=-1, zero=1, plus=0),
    "ternary_zero_is_minus": decoded(minus=0, zero=-1, plus=1),
    "ternary_rotated": decoded(minus=0, zero=1, plus=-1),
    "ternary_rotated_back": decoded(minus=1, zero=-1, plus=0),
    "ternary_sign_lost": decoded(minus=1, zero=0, plus=1),
    "ternary_minus_lost": decoded(minus=0, zero=0, plus=1),
    "ternary_plus_lost": decoded(minus=-1, zero=0, plus=0),
    "ternary_low_bit_only": decoded(minus=-2, zero=0, plus=1),
    **{f"words_of_{n}_{inner}_reversed": stored(n, inner) for n in (2, 4, 8, 16) for inner in ("taps", "channels")},
    "scale_of_next_cluster": scaled(lambda p, o, g: p.s[o][(g + 1) % len(p.s[o])]),
    "scale_of_previous_cluster": scaled(lambda p, o, g: p.s[o][g - 1]),
    "scale_of_next_address": scaled(lambda p, o, g: flat_scale(p, o, g, 1)),
    "scale_of_previous_address": scaled(lambda p, o, g: flat_scale(p, o, g, -1)),
    "scale_of_next_output": scaled(lambda p, o, g: p.s[(o + 1) % p.O][g]),
    "scale_of_previous_output": scaled(lambda p, o, g: p.s[o - 1][g]),
    "scale_of_cluster_0": scaled(lambda p, o, g: p.s[o][0]),
    "scale_turned": scaled(
        lambda p, o, g: [p.s[k][h] for h in range(len(p.s[0])) for k in range(p.O)][o * len(p.s[0]) + g]
    ),
    "scale_missing": scaled(lambda p, o, g: 1),
    "scale_7_bits": scaled(lambda p, o, g: low(p.s[o][g], 7)),
    "scale_low_6_bits": scaled(lambda p, o, g: p.s[o][g] % 64),
    "cluster_late": sets(scale=lambda p: lambda o, i: p.s[o][max(i - 1, 0) // p.cluster]),
    "cluster_early": sets(scale=lambda p: lambda o, i: p.s[o][min(i + 1, p.I - 1) // p.cluster]),
    "cluster_reversed": recoded(
        lambda p, o, i, ky, kx: p.w[o][
            i // p.cluster * p.cluster + min(p.cluster, p.I - i // p.cluster * p.cluster) - 1 - i % p.cluster
        ][ky][kx]
    ),
    "accumulator_twice": sets(finished=lambda p: lambda acc: 2 * acc),
    "products_twice": scaled(lambda p, o, g: 2 * p.s[o][g]),
    "weights_halved": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] >> 1),
    "weights_read_by_channel": recoded(
        lambda p, o, i, ky, kx: stored_by_tap(p, o)[(i * p.KH + ky) * p.KW + kx]
    ),
    "weights_read_by_tap": recoded(
        lambda p, o, i, ky, kx: [w for channel in p.w[o] for row in channel for w in row][(ky * p.KW + kx) * p.I + i]
    ),
    "cluster_missing=0": sets(scale=lambda p: lambda o, i: p.s[o][i // p.cluster] if i >= p.cluster else 0),
    "input_channel_missing=1": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] if i != 1 else 0),
    "kernel_line_dropped=1,0": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] if kx else 0),
    "scale_outputs_order=0,1": scaled(lambda p, o, g: p.s[o ^ 1 if o ^ 1 < p.O else o][g]),
    "weight_inputs_order=5,1": recoded(lambda p, o, i, ky, kx: p.w[o][p.I - 1 - i][ky][kx]),
    "bias_order=2,1": sets(bias=lambda p: lambda o: p.b[min(o + 1, p.O - 1)]),
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
    applied = 0
    for case in CASES.values():
        machine = named(name)(machine_of(case))
        if machine is None:
            continue
        plain = Plain(case)
        FAULTS[name](plain)
        np.testing.assert_array_equal(recompute(machine, ["accumulator"])["accumulator"], plain.result())
        applied += 1
    assert applied


def test_plain_is_the_layer():
    """The second opinion, without a fault."""
    for case in CASES.values():
        np.testing.assert_array_equal(recompute(machine_of(case), ["accumulator"])["accumulator"], Plain(case).result())


def of(op, seed=1):
    return next(case for case, _ in cases_of(every_op(seed=seed)) if case.layer.op == op)


def values(case, name, stage="accumulator"):
    return recompute(HYPOTHESES[name](machine_of(case)), [stage])[stage]


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


def windows_of(case):
    """{(n, y, x, c): [code or None where the window leaves the image]}."""
    (x,), a = case.operands, case.layer.attributes
    found = {}
    for n, y, z, c in np.ndindex(len(x), *case.shape):
        rows = [y * a["strides"][0] - a["pads"][0] + k for k in range(a["kernel_shape"][0])]
        columns = [z * a["strides"][1] - a["pads"][1] + k for k in range(a["kernel_shape"][1])]
        found[n, y, z, c] = [
            int(x[n, r, q, c]) if 0 <= r < x.shape[1] and 0 <= q < x.shape[2] else None for r in rows for q in columns
        ]
    return found


POOL_FAULTS = {
    "padding_wins": lambda window, signed: max(0 if code is None else code for code in window),
    "minimum": lambda window, signed: min(code for code in window if code is not None),
    "first_of_window": lambda window, signed: next(code for code in window if code is not None),
    "maximum_other_sign": lambda window, signed: max(
        (code for code in window if code is not None), key=lambda code: low(code, 8, not signed)
    ),
}


@pytest.mark.parametrize("name", POOL_FAULTS)
def test_faults_of_maximum_pools_are_what_they_say(name):
    for seed in range(1, 9):
        case = of("maxpool", seed)
        signed = case.operands[0].dtype == np.int8
        found = values(case, name, "code")
        for place, window in windows_of(case).items():
            assert found[place] == POOL_FAULTS[name](window, signed)


def test_faults_of_average_pools_are_what_they_say():
    full = cut = 0
    for seed in range(1, 15):
        case = of("avgpool", seed)
        machine = machine_of(case)
        golden = recompute(machine, ["accumulator"])["accumulator"]
        for place, window in windows_of(case).items():
            codes = [code for code in window if code is not None]
            if not sum(codes):
                continue
            common = int(golden[place]) * len(codes) // sum(codes)
            assert values(case, "average_cut")[place] == sum(codes) // len(codes) * common
            cut += 1
            if HYPOTHESES["average_of_full_window"](machine) is not None:
                assert values(case, "average_of_full_window")[place] * len(window) == sum(codes) * common
                full += 1
            break
    assert full
    assert cut


def test_padding_with_what_black_becomes():
    """The first convolution pads the raw image; the code of pixel 0 is that of the oracle."""
    applied = 0
    for case, _ in cases_of(seeded(11, ["conv"], ("half_up",)), 2):
        machine = HYPOTHESES["padding_black"](machine_of(case))
        if machine is None:
            continue
        step, bias = case.network.layers[0].requantize, case.network.layers[0].constants["bias"]
        for c, fill in enumerate(np.broadcast_to(machine.fill, len(bias))):
            multiplier, shift = (int(values[c % len(values)]) for values in (step.multiplier, step.shift))
            assert fill == oracle.requantize(int(bias[c]), multiplier, shift, "half_up", step.lo, step.hi)
            applied += 1
    assert applied


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


@pytest.mark.parametrize(("fault", "name"), [("pool_maximum", "maximum_for_average"),
                                             ("pool_short", "average_without_last")])  # fmt: skip
def test_averages_as_they_were_planted(fault, name):
    network = conv_case(3, size=(6, 5), outputs=8).network
    case = next(case for case, _ in cases_of(network, 2) if case.layer.op == "global_avgpool")
    assert_as_planted(case, fault, name)


def test_weights_read_by_input_are_those_stored_by_output():
    case = conv_case(5, inputs=6, outputs=4, cluster=2)
    back = named("weights_stored_i_o")(named("weights_read_i_o")(machine_of(case)))
    np.testing.assert_array_equal(back.constants["weight"], machine_of(case).constants["weight"])


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

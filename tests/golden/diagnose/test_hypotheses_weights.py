"""Faults of weights and scales, each stated a second time as an index or a number in plain Python integers."""

import numpy as np
import pytest
from everyday import everyday
from golden_cases import conv_case
from plain_convolution import (
    assert_fault_is,
    decoded,
    flat_scale,
    low,
    mirrored,
    recoded,
    scaled,
    sets,
    stored,
    stored_by_tap,
)

from refengine.golden.diagnose.hypotheses import named
from refengine.golden.diagnose.machine import machine_of

FAULTS = {
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
    "weights_halved": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] >> 1),
    "weights_read_by_channel": recoded(
        lambda p, o, i, ky, kx: stored_by_tap(p, o)[(i * p.KH + ky) * p.KW + kx]
    ),
    "weights_read_by_tap": recoded(
        lambda p, o, i, ky, kx: [w for channel in p.w[o] for row in channel for w in row][(ky * p.KW + kx) * p.I + i]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", everyday(FAULTS, 2))
def test_a_fault_of_weights_is_what_it_says(name):
    assert_fault_is(name, FAULTS[name])


def test_weights_read_by_input_are_those_stored_by_output():
    case = conv_case(5, inputs=6, outputs=4, cluster=2)
    back = named("weights_stored_i_o")(named("weights_read_i_o")(machine_of(case)))
    np.testing.assert_array_equal(back.constants["weight"], machine_of(case).constants["weight"])

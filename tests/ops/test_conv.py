"""Convolution of codes (contract C1-C5, A2, section Conv).

The definition is held against the oracle, the kernels against the definition, and what must be true of any convolution
is tried on the kernels, so that no opinion stands alone.
"""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.numbers.formats import INT4, INT8_WEIGHT, SCALE, TERNARY, UINT8
from refengine.ops import conv

FORMATS = pytest.mark.parametrize("w_format", [TERNARY, INT4, INT8_WEIGHT], ids=["ternary", "int4", "int8"])
BOTH = pytest.mark.parametrize("run", [conv.reference, conv.kernels], ids=["reference", "kernels"])


def pixel(**changed):
    """Keywords of a 1x1 convolution without padding."""
    return {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1} | changed


@FORMATS
@given(data=st.data())
def test_reference_is_the_contract(w_format, data):
    """Every accumulator, against unbounded integers."""
    x, case = data.draw(strategies.conv_cases(w_format))
    acc = conv.reference(x, **case)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == conv.output_shape(x.shape[1:], **case)
    assert dict(np.ndenumerate(acc)) == oracle.conv(x, **case)


@FORMATS
@given(data=st.data())
def test_kernels_equal_the_reference(w_format, data):
    """Both kernels where the codes are ternary, the dense one for all."""
    x, case = data.draw(strategies.conv_cases(w_format))
    expected = conv.reference(x, **case)
    for acc in (conv.kernels(x, **case), conv.dense(x, **case)):
        assert acc.dtype == np.int32
        np.testing.assert_array_equal(acc, expected)


@given(strategies.conv_cases(TERNARY))
def test_partial_sums_are_those_of_the_definition(case):
    """P by definition, by the ternary kernel, and as the additions and subtractions that they are (C3)."""
    x, keywords = case
    where = {name: keywords[name] for name in ("weight", "strides", "pads", "group", "cluster")}
    partial = conv.partial_sums(x, **where)
    assert dict(np.ndenumerate(partial)) == oracle.conv_partial_sums(x, **where)
    acc, from_kernel = conv.ternary(x, **keywords)
    assert from_kernel.dtype == np.int32
    np.testing.assert_array_equal(from_kernel, partial)
    np.testing.assert_array_equal(acc, keywords["bias"] + (keywords["scale"].astype(np.int64) * partial).sum(axis=-1))
    added, subtracted = (
        conv.partial_sums(x, **where | {"weight": (keywords["weight"] == sign).astype(np.int8)}) for sign in (1, -1)
    )
    np.testing.assert_array_equal(partial, added - subtracted)


@given(strategies.conv_cases())
def test_partial_sums_do_not_ask_for_what_they_do_not_use(case):
    """Scale and bias may be handed in with the rest of a layer."""
    x, keywords = case
    bare = {name: value for name, value in keywords.items() if name not in ("scale", "bias")}
    np.testing.assert_array_equal(conv.partial_sums(x, **keywords), conv.partial_sums(x, **bare))


@given(strategies.conv_cases())
def test_integer_weights_give_the_same_accumulators(case):
    """scale * code as an ordinary weight, one cluster of scale 1 (C5)."""
    x, keywords = case
    weight = conv.integer_weights(keywords["weight"], keywords["scale"], keywords["cluster"])
    for index, value in np.ndenumerate(keywords["weight"]):
        o, i = index[:2]
        assert weight[index] == int(value) * int(keywords["scale"][o, i // keywords["cluster"]])
    plain = {"weight": weight, "scale": np.ones((len(weight), 1), np.int8), "cluster": weight.shape[1]}
    np.testing.assert_array_equal(conv.reference(x, **keywords | plain), conv.reference(x, **keywords))


@BOTH
@given(case=strategies.conv_cases())
def test_an_image_does_not_see_its_neighbours(run, case):
    """Batches of one, again and again, equal the batch (P1)."""
    x, keywords = case
    whole = run(x, **keywords)
    for n in range(len(x)):
        np.testing.assert_array_equal(run(x[n : n + 1], **keywords)[0], whole[n])


@given(case=strategies.conv_cases())
def test_padding_is_explicit_zeros(case):
    """An image with a border of code 0 needs no padding (W3)."""
    x, keywords = case
    top, left, bottom, right = keywords["pads"]
    bordered = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    np.testing.assert_array_equal(
        conv.kernels(bordered, **keywords | {"pads": (0, 0, 0, 0)}), conv.kernels(x, **keywords)
    )


@given(case=strategies.conv_cases())
def test_a_stride_skips(case):
    """Strides take every s-th row and column of the result without them (W1)."""
    x, keywords = case
    sy, sx = keywords["strides"]
    dense = conv.kernels(x, **keywords | {"strides": (1, 1)})
    np.testing.assert_array_equal(conv.kernels(x, **keywords), dense[:, ::sy, ::sx])


@given(case=strategies.conv_cases(), data=st.data())
def test_output_channels_do_not_see_each_other(case, data):
    """Groups alone, and output channels alone, give their part of the result (C2)."""
    x, keywords = case
    group, outputs = keywords["group"], len(keywords["weight"])
    inputs = keywords["weight"].shape[1]
    o = data.draw(st.integers(0, outputs - 1))
    first = o // (outputs // group) * inputs
    alone = {name: keywords[name][o : o + 1] for name in ("weight", "scale", "bias")}
    acc = conv.kernels(x[..., first : first + inputs], **keywords | alone | {"group": 1})
    np.testing.assert_array_equal(acc[..., 0], conv.kernels(x, **keywords)[..., o])


@given(case=strategies.conv_cases(), random=st.randoms(use_true_random=False))
def test_channels_of_a_cluster_may_change_places(case, random):
    """Together with their weights, and inside their cluster, the order of channels does not count (A2)."""
    x, keywords = case
    inputs, cluster = keywords["weight"].shape[1], keywords["cluster"]
    order = []
    for first in range(0, inputs, cluster):
        members = list(range(first, min(first + cluster, inputs)))
        random.shuffle(members)
        order += members
    shuffled = [q * inputs + i for q in range(keywords["group"]) for i in order]
    acc = conv.kernels(x[..., shuffled], **keywords | {"weight": keywords["weight"][:, order]})
    np.testing.assert_array_equal(acc, conv.kernels(x, **keywords))


@given(st.data())
def test_channels_of_two_clusters_may_not(data):
    """A pair swapped across a border of clusters changes the sum by the difference of the scales (C1)."""
    inputs = data.draw(st.integers(2, 7))
    cluster = data.draw(st.integers(1, inputs - 1))
    border = data.draw(st.sampled_from(range(cluster, inputs, cluster)))
    w_format = data.draw(st.sampled_from([TERNARY, INT4]))
    x = data.draw(strategies.codes(UINT8, inputs)).astype(np.int64)
    weight = data.draw(strategies.codes(w_format, inputs))
    scale = data.draw(strategies.codes(SCALE, -(-inputs // cluster))).astype(np.int64)
    swapped = [*range(border - 1), border, border - 1, *range(border + 1, inputs)]
    before, after = (
        conv.kernels(
            x[order].astype(np.uint8).reshape(1, 1, 1, -1),
            weight=weight[order].reshape(1, -1, 1, 1),
            scale=scale.astype(np.int8)[None],
            bias=np.zeros(1, np.int32),
            cluster=cluster,
            **pixel(),
        ).item()
        for order in (list(range(inputs)), swapped)
    )
    step = scale[border // cluster] - scale[border // cluster - 1]
    assert after - before == step * (x[border - 1] * weight[border - 1] - x[border] * weight[border])


@given(strategies.conv_cases())
def test_bound_is_the_contract(case):
    """Highest and lowest sum of any subset of terms (A2)."""
    x, keywords = case
    codes = (-128, 127) if x.dtype == np.int8 else (0, 255)
    lo, hi = conv.bound(codes, shape=x.shape[1:], **keywords)
    where = {name: keywords[name] for name in ("weight", "scale", "bias", "cluster")}
    assert list(zip(lo.tolist(), hi.tolist(), strict=True)) == oracle.conv_bound(codes, **where)
    acc = conv.reference(x, **keywords)
    assert (lo <= acc).all()
    assert (acc <= hi).all()


@given(case=strategies.conv_cases(), data=st.data())
def test_bound_is_reached(case, data):
    """The worst image of a channel, and no other, brings its sum to the end of the bound."""
    x, keywords = case
    _, inputs, height, width = keywords["weight"].shape
    codes = (-128, 127) if x.dtype == np.int8 else (0, 255)
    o = data.draw(st.integers(0, len(keywords["weight"]) - 1))
    alone = {name: keywords[name][o : o + 1] for name in ("weight", "scale", "bias")}
    alone["bias"] = np.abs(alone["bias"])
    products = conv.integer_weights(alone["weight"], alone["scale"], keywords["cluster"])[0]
    worst = np.where(products > 0, codes[1], codes[0]).transpose(1, 2, 0)[None].astype(x.dtype)
    assert worst.shape == (1, height, width, inputs)
    _, hi = conv.bound(codes, cluster=keywords["cluster"], **alone)
    assert conv.kernels(worst, cluster=keywords["cluster"], **alone, **pixel()).ravel().tolist() == hi.tolist()


@BOTH
@pytest.mark.parametrize("w_format", [TERNARY, INT4], ids=["ternary", "int4"])
@pytest.mark.parametrize("end", ["lo", "hi"])
def test_the_ends_of_int32_are_reached(run, w_format, end):
    """A bias that leaves exactly the room that the products take: no step on the way leaves int32."""
    weight = np.tile(np.array([w_format.hi, w_format.lo], np.int8), 50).reshape(1, 100, 1, 1)
    scale = np.full((1, 25), 127, np.int8)
    peak = 50 * 127 * w_format.hi * 255
    bias, wanted = (2**31 - 1 - peak, 2**31 - 1) if end == "hi" else (peak - 2**31, -(2**31))
    towards = weight.ravel() > 0 if end == "hi" else weight.ravel() < 0
    x = np.where(towards, 255, 0).astype(np.uint8)[None, None, None]
    arguments = {"weight": weight, "scale": scale, "bias": np.array([bias], np.int32), "cluster": 4}
    assert run(x, **arguments, **pixel()).ravel().tolist() == [wanted]
    ends = conv.bound((0, 255), **arguments)
    assert ends[1 if end == "hi" else 0].tolist() == [wanted]


@pytest.mark.parametrize("w_format", [TERNARY, INT4], ids=["ternary", "int4"])
@pytest.mark.parametrize("group", [1, 3])
def test_images_of_more_pixels_than_a_kernel_takes_at_once(w_format, group):
    """Several hundred output pixels, no round number of them."""
    rng = np.random.default_rng(group)
    x = rng.integers(0, 256, (2, 23, 29, 3 * group), dtype=np.uint8)
    arguments = {
        "weight": rng.integers(w_format.lo, w_format.hi + 1, (2 * group, 3, 3, 2)).astype(np.int8),
        "scale": rng.integers(0, 128, (2 * group, 2)).astype(np.int8),
        "bias": rng.integers(-1000, 1000, 2 * group).astype(np.int32),
        "cluster": 2,
    } | pixel(pads=(1, 0, 2, 1), group=group)
    np.testing.assert_array_equal(conv.kernels(x, **arguments), conv.reference(x, **arguments))


def test_an_asymmetric_kernel_at_an_asymmetric_stride():
    """Worked by hand: rows 0 and 2 of columns 1 and 2, minus three times the pixel above them."""
    x = np.arange(1, 13, dtype=np.uint8).reshape(1, 4, 3, 1)
    weight = np.array([[[[-1, 0], [0, 1]]]], np.int8)
    window = pixel(strides=(2, 1), pads=(1, 0, 0, 0))
    arguments = {"weight": weight, "scale": np.array([[3]], np.int8), "bias": np.array([1], np.int32), "cluster": 1}
    expected = [[1 + 3 * 2, 1 + 3 * 3], [1 + 3 * (8 - 4), 1 + 3 * (9 - 5)]]
    assert conv.reference(x, **arguments, **window)[0, :, :, 0].tolist() == expected


REFUSED = {
    "channels": ((4, 4, 3), {}, "input of shape (4, 4, 3) has not the 4 channels that the weights expect"),
    "dimensions": ((16,), {}, "input of shape (16,) has not the 4 channels that the weights expect"),
    "groups": ((4, 4, 4), {"weight": (3, 2, 1, 1), "group": 2}, "3 output channels do not divide into 2 groups"),
    "scale": ((4, 4, 4), {"cluster": 3}, "scale has shape (2, 1), clusters of 3 need (2, 2)"),
    "bias": ((4, 4, 4), {"bias": (3,)}, "bias has shape (3,), 2 output channels need (2,)"),
    "kernel": ((2, 2, 4), {"weight": (2, 4, 3, 1)}, "a kernel of 3 does not fit into 2 + 0 + 0 pixels"),
}


@pytest.mark.parametrize(("shape", "changed", "message"), REFUSED.values(), ids=REFUSED)
def test_operands_that_do_not_meet_are_refused(shape, changed, message):
    """The message says what is and what was needed."""
    shapes = {"weight": (2, 4, 1, 1), "scale": (2, 1), "bias": (2,)}
    arrays = {name: np.zeros(changed.get(name, default), np.int8) for name, default in shapes.items()}
    window = {"cluster": 4, **pixel()} | {name: changed[name] for name in ("cluster", "group") if name in changed}
    with pytest.raises(NetworkError) as caught:
        conv.output_shape(shape, **arrays, **window)
    assert str(caught.value) == message


def test_a_weight_is_ternary_up_to_one():
    for codes, ternary in (
        ([0, 0], True),
        ([1, 0], True),
        ([0, -1], True),
        ([2, 0], False),
        ([0, -2], False),
        ([], True),
    ):
        assert conv.is_ternary(np.array(codes, np.int8).reshape(1, -1, 1, 1)) == ternary, codes


def test_the_ends_of_a_bound_are_int64():
    weight, scale, bias = np.ones((2, 4, 1, 1), np.int8), np.ones((2, 1), np.uint8), np.array([5, -5], np.int32)
    lo, hi = conv.bound((0, 255), weight=weight, scale=scale, bias=bias, cluster=4)
    assert lo.dtype == hi.dtype == np.int64

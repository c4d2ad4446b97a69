"""IntNetwork: what it refuses, and by which name; the bounds that make every order of summation legal; the hash."""

from dataclasses import replace

import networks
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.engine.run import run
from refengine.errors import AccumulatorOverflow, NetworkError, RangeError, RefengineError
from refengine.network.int_network import IntLayer, IntNetwork, accumulator_bits_needed
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.ops import OPS

PIXEL = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}


def refused(error, text, build):
    """``build`` raises exactly that class, in one line that holds the text."""
    with pytest.raises(RefengineError) as caught:
        build()
    assert type(caught.value) is error
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(name, /, **fields):
    """The small network with one layer's fields changed."""
    return networks.with_layer(networks.small(), name, **fields)


def conv_with(**fields):
    """The small network with other attributes of its convolution."""
    return changed("001_conv", attributes={**networks.small().layers[1].attributes, **fields})


def fc_with(**constants):
    """The small network with other constants of its fc."""
    return changed("002_fc", constants={**networks.small().layers[2].constants, **constants})


def with_middle(*layers, classes=2):
    """input, the given layers, and an fc of as many inputs as the last of them has numbers."""
    network = networks.small()
    shape = {"000_input": (2, 2, 1)}
    for layer in layers:
        inputs = [shape[name] for name in layer.inputs] or [()]
        shape[layer.name] = OPS[layer.op].output_shape(*inputs, **layer.arguments)
    last = list(shape)[-1]
    size = int(np.prod(shape[last]))
    constants = {
        "weight": np.ones((classes, size), np.int8),
        "scale": np.ones((classes, 1), np.int8),
        "bias": np.zeros(classes, np.int32),
    }
    fc = replace(network.layers[2], inputs=(last,), constants=constants, attributes={"cluster": size})
    return networks.small(layers=(network.layers[0], *layers, fc))


def requantized(name, inputs, exponent=0, fmt=UINT8, **fields):
    return IntLayer(name, "requantize", inputs, exponent, requantize=networks.plain_requantize(fmt, **fields))


# ---------------------------------------------------------------------------------------------------------- structure


def test_the_small_network_is_as_it_says():
    """Shapes, formats, ranges and the numbers it gives, worked out by hand."""
    network = networks.small()
    assert network.shapes == {"000_input": (2, 2, 1), "001_conv": (1, 1, 2), "002_fc": (2,)}
    assert [fmt.name for fmt in network.formats.values()] == ["uint8", "int8", "int32"]
    assert network.ranges["001_conv"] == (-128, 127)
    # acc = 10 + 3 * (7 - 5 + 9) = 43 and -20 + 5 * (-7 - 5 + 8) = -40; codes (43 * 5 + 4) >> 3 and (-40 * 2 + 2) >> 2
    image = np.array([[[[7], [5]], [[8], [9]]]], np.uint8)
    assert run(network, image).tolist() == [[100 * 27 - 50 * -20 + 7, -127 * 27 + 3 * -20]]


@pytest.mark.parametrize(
    ("error", "text", "fields"),
    [
        (NetworkError, "contract 2, this engine keeps contract 1", {"contract": 2}),
        (NetworkError, "the first layer of a network is its input", {"layers": ()}),
        (NetworkError, "the first layer of a network is its input", {"layers": networks.small().layers[1:]}),
        (NetworkError, "gives 2 numbers, the network has 3 classes", {"classes": 3}),
        (NetworkError, "channels 'gray' do not fit images of 3", {"input_shape": (2, 2, 3)}),
        (NetworkError, "layer '001_conv' (conv): a kernel of 2 does not fit", {"input_shape": (1, 2, 1)}),
        (NetworkError, "layer '002_fc' (fc): input of shape (1, 1, 4)", {"input_shape": (3, 2, 1)}),
    ],
)
def test_networks_that_do_not_fit_together(error, text, fields):
    refused(error, text, lambda: networks.small(**fields))


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        (
            "layer '002_fc' (lstm): operator 'lstm' is unknown; available: input, conv",
            "002_fc",
            {"op": "lstm"},
        ),
        ("layer '000_input' (fc): its name occurs twice", "002_fc", {"name": "000_input"}),
        ("reads '009_conv', which is no earlier layer", "002_fc", {"inputs": ("009_conv",)}),
        ("reads '002_fc', which is no earlier layer", "002_fc", {"inputs": ("002_fc",)}),
        ("reads '002_fc', which is no earlier layer", "001_conv", {"inputs": ("002_fc",)}),
        ("reads '003', which is no earlier layer", "001_conv", {"residual": "003"}),
        ("layer '001_conv' (conv): reads 2 layers, needs 1", "001_conv", {"inputs": ("000_input", "000_input")}),
        ("layer '001_conv' (conv): reads 0 layers, needs 1", "001_conv", {"inputs": ()}),
        ("layer '001_conv' (conv): has a residual and no residual_shift", "001_conv", {"residual": "000_input"}),
        ("layer '002_fc' (fc): has a residual and no residual_shift", "002_fc", {"residual": "001_conv"}),
        ("layer '001_conv' (conv): accumulates and needs a requantization", "001_conv", {"requantize": None}),
        ("attributes are [], needs ['cluster']", "002_fc", {"attributes": {}}),
        ("attributes are ['cluster', 'flip'], needs", "002_fc", {"attributes": {"cluster": 2, "flip": False}}),
        ("constants are [], needs ['bias', 'scale', 'weight']", "002_fc", {"constants": {}}),
        ("weight format 'int2' is unknown; available: ternary, int4, int8", "002_fc", {"weight_format": "int2"}),
        ("weight format None is unknown", "002_fc", {"weight_format": None}),
        ("weight_exponent is one int64 for each of 2", "002_fc", {"weight_exponent": None}),
        ("gives the logits, which need one weight_exponent", "002_fc", {"weight_exponent": np.array([-4, -5])}),
        ("weight_exponent is one int64 for each of 2", "002_fc", {"weight_exponent": np.zeros(3, np.int64)}),
        ("weight_exponent is one int64 for each of 2", "002_fc", {"weight_exponent": np.zeros(2, np.int32)}),
    ],
)
def test_a_layer_is_refused_by_its_name(text, name, fields):
    refused(NetworkError, text, lambda: changed(name, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"strides": (0, 1)},
        {"strides": (1,)},
        {"strides": [1, 1]},
        {"strides": (1, 1.0)},
        {"strides": (1, 65537)},
        {"pads": (0, 0, 0, -1)},
        {"pads": (0, 0)},
        {"group": 0},
        {"group": True},
        {"group": "1"},
        {"cluster": 0},
        {"cluster": 65537},
        {"cluster": None},
    ],
    ids=str,
)
def test_an_attribute_that_cannot_be(fields):
    """By layer, attribute and value."""
    [(name, value)] = fields.items()
    text = f"layer '001_conv' (conv): attribute {name} is {value!r}, needed "
    refused(NetworkError, text, lambda: conv_with(**fields))


@pytest.mark.parametrize(
    ("error", "text", "constants"),
    [
        (RangeError, "weight: int8 codes are stored as int8, found int16", {"weight": np.zeros((2, 2), np.int16)}),
        (RangeError, "weight: int8 codes lie in -127..127, found -128..0", {"weight": np.diag([-128, 0]).astype("i1")}),
        (RangeError, "scale: scale codes lie in 0..127, found -1..-1", {"scale": np.full((2, 1), -1, np.int8)}),
        (RangeError, "bias: int32 codes are stored as int32", {"bias": np.zeros(2)}),
        (NetworkError, "weight has shape (2, 2, 1), needs 2 dimensions", {"weight": np.zeros((2, 2, 1), np.int8)}),
        (NetworkError, "weight has shape (2, 0), needs 2 dimensions, none", {"weight": np.zeros((2, 0), np.int8)}),
        (NetworkError, "scale has shape (2, 2), clusters of 2 need (2, 1)", {"scale": np.zeros((2, 2), np.int8)}),
        (NetworkError, "bias has shape (3,), 2 output channels need (2,)", {"bias": np.zeros(3, np.int32)}),
    ],
)
def test_constants_that_are_no_codes_or_do_not_fit(error, text, constants):
    refused(error, f"layer '002_fc' (fc): {text}", lambda: fc_with(**constants))


def test_ternary_codes_are_three():
    weight = networks.small().layers[1].constants["weight"] * 2
    constants = {**networks.small().layers[1].constants, "weight": weight}
    text = "layer '001_conv' (conv): weight: ternary codes lie in -1..1, found -2..2"
    refused(RangeError, text, lambda: changed("001_conv", constants=constants))


def test_groups_divide_the_outputs():
    weight = np.ones((3, 1, 1, 1), np.int8)
    conv = IntLayer(
        "002_conv",
        "conv",
        ("001_conv",),
        0,
        {"weight": weight, "scale": np.ones((3, 1), np.int8), "bias": np.zeros(3, np.int32)},
        {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 2, "cluster": 1},
        networks.plain_requantize(),
        weight_format="ternary",
        weight_exponent=np.zeros(3, np.int64),
    )
    layers = (*networks.small().layers[:2], conv)
    text = "layer '002_conv' (conv): 3 output channels do not divide into 2 groups"
    refused(NetworkError, text, lambda: networks.small(layers=layers))


def test_accumulators_are_not_codes():
    """Nobody reads accumulators, and nobody requantizes what has none."""
    layers = (*networks.small().layers, IntLayer("003_flatten", "flatten", ("002_fc",), -6))
    text = "layer '002_fc' (fc): accumulates and needs a requantization: only the last layer's accumulators are logits"
    refused(NetworkError, text, lambda: networks.small(layers=layers))
    flatten = IntLayer("001_flatten", "flatten", ("000_input",), 0, requantize=networks.plain_requantize())
    refused(NetworkError, "layer '001_flatten' (flatten): passes codes through", lambda: with_middle(flatten))


def test_one_input_and_it_comes_first():
    layers = (networks.small().layers[0], replace(networks.small().layers[0], name="001_input"))
    refused(NetworkError, "layer '001_input' (input): a network has one input", lambda: networks.small(layers=layers))


def test_a_concat_joins_something():
    concat = IntLayer("001_concat", "concat", (), 0)
    text = "layer '001_concat' (concat): reads 0 layers, needs at least one"
    refused(NetworkError, text, lambda: networks.small(layers=(networks.small().layers[0], concat)))


# ----------------------------------------------------------------------------------------- numbers mean the same thing


def test_exponents_of_what_is_added_joined_or_passed():
    """Shifts align what is added; joined and passed codes keep their exponent; a residual meets its product."""
    coarser = requantized("001_requantize", ("000_input",), 2)
    both = ("000_input", "001_requantize")
    add = IntLayer("002_add", "add", both, 0, attributes={"shifts": (0, 2)}, requantize=networks.plain_requantize())
    assert with_middle(coarser, add).shapes["002_add"] == (2, 2, 1)
    wrong = replace(add, attributes={"shifts": (1, 2)})
    refused(
        NetworkError,
        "layer '002_add' (add): shifts (1, 2) do not align exponents [0, 2]: (0, 2) do",
        lambda: with_middle(coarser, wrong),
    )
    concat = IntLayer("002_concat", "concat", both, 0)
    text = "layer '002_concat' (concat): joins or passes codes of exponents [0, 2] under the exponent 0"
    refused(NetworkError, text, lambda: with_middle(coarser, concat))
    pool = IntLayer("001_maxpool", "maxpool", ("000_input",), 1, attributes=PIXEL)
    text = "layer '001_maxpool' (maxpool): joins or passes codes of exponents [0] under the exponent 1"
    refused(NetworkError, text, lambda: with_middle(pool))
    step = networks.plain_requantize(shift=np.array([3]), residual_shift=np.array([2]))
    residual = IntLayer("001_r", "requantize", ("000_input",), 1, requantize=step, residual="000_input")
    assert with_middle(residual).layers[1].residual == "000_input"
    text = "layer '001_r' (requantize): residual_shift does not bring the residual"
    refused(NetworkError, text, lambda: with_middle(replace(residual, exponent=0)))
    text = "layer '001_r' (requantize): has a residual_shift and no residual"
    refused(NetworkError, text, lambda: with_middle(replace(residual, residual=None)))


def test_a_residual_has_the_shape_of_the_result():
    pool = IntLayer("001_pool", "global_avgpool", ("000_input",), 0, requantize=networks.plain_requantize())
    step = networks.plain_requantize(shift=np.array([3]), residual_shift=np.array([3]))
    last = IntLayer("002_r", "requantize", ("001_pool",), 0, requantize=step, residual="000_input")
    text = "layer '002_r' (requantize): its result (1, 1, 1) and its residual (2, 2, 1) differ in shape"
    refused(NetworkError, text, lambda: with_middle(pool, last))


def test_formats_of_what_is_joined():
    """uint8 and int8 codes side by side would be int16."""
    signed = requantized("001_requantize", ("000_input",), fmt=INT8)
    concat = IntLayer("002_concat", "concat", ("000_input", "001_requantize"), 0)
    refused(NetworkError, "layer '002_concat' (concat)", lambda: with_middle(signed, concat))


def test_only_the_last_layer_may_give_int32():
    wide = requantized("001_requantize", ("000_input",), fmt=INT32, multiplier=np.array([1000]))
    refused(NetworkError, "layer '001_requantize' (requantize)", lambda: with_middle(wide))


@pytest.mark.parametrize("what", ["multiplier", "shift"])
def test_requantization_has_one_entry_a_channel_or_one(what):
    step = networks.plain_requantize(**{what: np.array([1, 1, 1])})
    text = f"layer '001_conv': {what} has 3 entries for 2 channels"
    refused(NetworkError, text, lambda: changed("001_conv", requantize=step))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("rounding 'nearest' is unknown; available: floor", {"rounding": "nearest"}),
        ("multiplier lies in 0..2147483647, found -1..-1", {"multiplier": np.array([-1])}),
        ("multiplier is one int64 a channel, found int32", {"multiplier": np.array([1], np.int32)}),
        ("multiplier is one int64 a channel, found int64 of shape (1, 1)", {"multiplier": np.array([[1]])}),
        ("shift lies in 0..62, found 63..63", {"shift": np.array([63])}),
        ("residual_shift lies in 0..53, found 54..54", {"residual_shift": np.array([54])}),
        ("activation 'gelu' is unknown; available: none, relu, clip", {"activation": "gelu"}),
        ("the clip 5..4 leaves uint8", {"lo": 5, "hi": 4}),
        ("the clip -1..255 leaves uint8, 0..255", {"lo": -1}),
        ("dynamic exponents differ by 0..7, found 8", {"dynamic": 8}),
        ("dynamic exponents differ by 0..7, found -1", {"dynamic": -1}),
        ("dynamic exponents differ by 0..7, found True", {"dynamic": True}),
        ("need a clip that ends with the format, found 0..6", {"dynamic": 1, "activation": "clip", "hi": 6}),
        ("need a clip that ends with the format, found 0..254", {"dynamic": 1, "activation": "relu", "hi": 254}),
        ("shift and dynamic come to 63, needed at most 62", {"dynamic": 7, "shift": np.array([3, 56])}),
    ],
)
def test_requantizations_that_the_contract_does_not_know(text, fields):
    refused(RangeError, text, lambda: networks.plain_requantize(**fields))


# -------------------------------------------------------------------------------------------------- dynamic exponents


def test_what_images_may_choose_is_passed_on_and_ends_where_layers_compute():
    """Pooling, padding and flattening pass it on, a static layer ends it (contract D5)."""
    window = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}
    first, conv, last = networks.small().layers
    layers = (
        first,
        with_fields(conv, requantize=replace(conv.requantize, dynamic=4)),
        IntLayer("002_pool", "maxpool", ("001_conv",), -2, attributes=window),
        IntLayer("003_pad", "pad_channels", ("002_pool",), -2, attributes={"before": 0, "after": 0}),
        with_fields(last, name="004_fc", inputs=("003_pad",)),
    )
    network = networks.small(layers=layers)
    assert [*network.dynamic.values()] == [0, 4, 4, 4, 0]
    assert network.ranges["003_pad"] == (-128, 127)
    assert network.read_ranges["003_pad"] == (-128 << 4, 127 << 4)
    static = networks.small().bounds["002_fc"]
    for wide, narrow, bias in zip(network.bounds["004_fc"], static, ([0, 0], [7, 0]), strict=True):
        assert (wide - bias).tolist() == ((narrow - bias) << 4).tolist()
    with pytest.raises(
        NetworkError, match=r"layer '001_conv' \(conv\) has a dynamic exponent.*; lint needs a network of"
    ):
        network.require_static("lint")
    networks.small().require_static("lint")


def with_fields(layer, **changed):
    return IntLayer(**{**vars(layer), **changed})


def test_a_concat_joins_one_exponent():
    first, conv, last = networks.small().layers
    conv = with_fields(conv, requantize=replace(conv.requantize, dynamic=1))
    join = IntLayer("002_concat", "concat", ("001_conv", "001_conv"), -2)
    text = "layer '002_concat' (concat): joins codes, and those of '001_conv' are dynamic"
    refused(NetworkError, text, lambda: networks.small(layers=(first, conv, join, last)))


def test_logits_have_one_exponent():
    """Neither a last layer of codes nor one that passes codes on may be dynamic."""
    first, conv, _ = networks.small().layers
    exponents = {"weight_exponent": np.array([-4, -4])}
    conv = with_fields(conv, requantize=replace(conv.requantize, dynamic=1), **exponents)
    for more in ((), (IntLayer("002_flatten", "flatten", ("001_conv",), -2),)):
        text = f"layer {(conv, *more)[-1].name!r} gives the logits, whose exponent cannot be dynamic"
        refused(NetworkError, text, lambda more=more: networks.small(layers=(first, conv, *more)))


def test_wider_values_need_wider_accumulators():
    """The bound takes the factor 2**dynamic: a sum that fits its 16 bits does so no more (contract D4, A2)."""
    network = networks.with_layer(networks.small(), "002_fc", accumulator_bits=17)
    step = network.layers[1].requantize
    networks.with_layer(network, "001_conv", requantize=replace(step, dynamic=1))
    with pytest.raises(AccumulatorOverflow, match=r"layer '002_fc' \(fc\): sums can reach .*; its accumulator has 17"):
        networks.with_layer(network, "001_conv", requantize=replace(step, dynamic=7))


def test_a_wide_residual_counts_in_the_total():
    """Q1's limit of 2**62, with a residual of 15 bits."""
    first, _, last = networks.small().layers
    wide = with_fields(first, exponent=40, requantize=replace(first.requantize, dynamic=7))
    taken = with_fields(last, name="003_fc", inputs=("002_requantize",), constants=last.constants)
    step = networks.plain_requantize(INT8, shift=np.array([0]), residual_shift=np.array([40]))

    def build(shift):
        again = replace(step, shift=np.array([shift]), residual_shift=np.array([40 + shift]))
        second = IntLayer("001_requantize", "requantize", ("000_input",), 0, requantize=networks.plain_requantize(INT8))
        third = IntLayer("002_requantize", "requantize", ("001_requantize",), 0, requantize=again, residual="000_input")
        return networks.small(layers=(wide, second, third, with_fields(taken, constants=fc_of(4))))

    assert build(6).dynamic["000_input"] == 7
    refused(RangeError, "layer '002_requantize': sums before rounding can reach", lambda: build(8))


def fc_of(inputs):
    weight = np.ones((2, inputs), np.int8)
    return {"weight": weight, "scale": np.ones((2, -(-inputs // 2)), np.int8), "bias": np.zeros(2, np.int32)}


def test_the_hash_of_a_static_layer_is_older_than_the_choice():
    """The number that has ever been hashed for it is the JSON ``false``; what a layer may choose is in the hash."""
    step = networks.small().layers[1].requantize
    hashes = {
        networks.with_layer(networks.small(), "001_conv", requantize=replace(step, dynamic=d)).hash for d in range(4)
    }
    assert len(hashes) == 4
    assert networks.small().hash == "1df4b290cf6d16d00cc24c7176863630268f3190ff79d8e8f4ee99cc3eef9259"


# ------------------------------------------------------------------------------------------------------------- bounds


def test_a_layer_that_can_overflow_is_refused_by_name():
    """White pixels, weights and scales of 127, and a bias that brings the sum to 2**31 - 1 exactly, or one further."""
    inputs = 522
    network = networks.small()
    constants = {
        "weight": np.full((1, inputs), 127, np.int8),
        "scale": np.full((1, 1), 127, np.int8),
        "bias": np.array([2**31 - 1 - 255 * 127 * 127 * inputs], np.int32),
    }

    def build(bias):
        fc = replace(
            network.layers[2],
            name="001_fc",
            inputs=("000_input",),
            constants={**constants, "bias": constants["bias"] + np.int32(bias)},
            attributes={"cluster": inputs},
            weight_exponent=np.zeros(1, np.int64),
        )
        return networks.small(input_shape=(inputs, 1, 1), classes=1, layers=(network.layers[0], fc))

    white = np.full((1, inputs, 1, 1), 255, np.uint8)
    assert run(build(0), white).tolist() == [[2**31 - 1]]
    text = "layer '001_fc' (fc): sums can reach 0..2147483648, which needs 33 bits; its accumulator has 32"
    refused(AccumulatorOverflow, text, lambda: build(1))


@pytest.mark.parametrize("policy", ["wrap", "saturate", "error"])
def test_a_narrow_accumulator_is_refused_only_where_the_policy_is_error(policy):
    """The fc of the small network, with a bias that takes it beyond 16 bits."""
    assert accumulator_bits_needed(*networks.small().bounds["002_fc"]) == 16
    wider = {**networks.small().layers[2].constants, "bias": np.array([2**15, 0], np.int32)}

    def build(bits):
        return changed("002_fc", constants=wider, accumulator_bits=bits, accumulator_policy=policy)

    assert build(17).layers[2].accumulator_bits == 17
    if policy == "error":
        text = "layer '002_fc' (fc): sums can reach -19150..51868, which needs 17 bits; its accumulator has 16"
        refused(AccumulatorOverflow, text, lambda: build(16))
    else:
        assert build(16).layers[2].accumulator_bits == 16


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("an accumulator has 16 to 32 bits, found 15", {"accumulator_bits": 15}),
        ("an accumulator has 16 to 32 bits, found 33", {"accumulator_bits": 33}),
        ("accumulator policy 'clamp' is unknown; available: error, wrap, saturate", {"accumulator_policy": "clamp"}),
    ],
)
def test_accumulators_that_the_contract_does_not_know(text, fields):
    refused(RangeError, f"layer '002_fc' (fc): {text}", lambda: changed("002_fc", **fields))


def test_sums_before_rounding_end_at_62_bits():
    """The multiplier is part of the bound (Q1)."""
    step = networks.plain_requantize(multiplier=np.array([2**31 - 1]))
    biased = {**networks.small().layers[1].constants, "bias": np.array([2**31 - 2000, 0], np.int32)}
    fields = {"constants": biased, "requantize": step}
    assert changed("001_conv", **fields)
    step = replace(step, residual_shift=np.array([53]), shift=np.array([53]))
    conv = {"weight": np.ones((1, 1, 1, 1), np.int8), "scale": np.ones((1, 1), np.int8)}
    layer = replace(
        networks.small().layers[1],
        constants={**conv, "bias": np.array([2**31 - 1 - 255], np.int32)},
        weight_exponent=np.zeros(1, np.int64),
        requantize=step,
        exponent=0,
        residual="000_input",
    )
    layers = (networks.small().layers[0], layer)
    text = f"layer '001_conv': sums before rounding can reach {(2**31 - 1) ** 2 + (255 << 53)}, the contract ends"
    refused(RangeError, text, lambda: networks.small(layers=layers, classes=4))


@st.composite
def conv_on_pixels(draw):
    """A network whose first convolution reads pixels as they are, and that convolution."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    growing = networks.Growing(lambda options: draw(st.sampled_from(options)), rng, ("half_up",))
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 3]))
    growing.layers.append(
        IntLayer(
            "000_input",
            "input",
            (),
            0,
            {"bias": np.zeros(shape[2], np.int32)},
            {"flip": False},
            networks.plain_requantize(),
        )
    )
    growing.known["000_input"] = networks.Known(shape, 0, UINT8, 0, 255, rng.integers(0, 256, (2, *shape), np.uint8))
    growing.weighted("conv", 2, shape[2], shape[:2], strides=(1, 1), pads=(0, 0, 0, 0), group=1)
    channels = {1: "gray", 3: "RGB"}[shape[2]]
    return growing.network(shape, 2, channels)


@given(conv_on_pixels(), st.integers(0, 2**32 - 1))
def test_no_partial_sum_in_any_order_leaves_the_bounds(network, seed):
    """The terms of every sum, shuffled: each prefix stays within the bound of its channel (A2)."""
    rng = np.random.default_rng(seed)
    conv = network.layers[1]
    pixels = networks.random_images(network, 1, seed)[0].astype(np.int64).transpose(2, 0, 1)
    los, his = network.bounds[conv.name]
    for o, weights in enumerate(weights_of(conv)):
        terms = np.append((weights * pixels).ravel(), conv.constants["bias"][o])
        prefixes = np.cumsum(rng.permutation(terms))
        assert los[o] <= min(prefixes) <= max(prefixes) <= his[o]


@given(conv_on_pixels())
def test_a_crafted_image_attains_the_bounds(network):
    """White where the weight pulls towards the end, black elsewhere: the end is reached, but for a contrary bias."""
    conv = network.layers[1]
    los, his = network.bounds[conv.name]
    seen = {}
    for o, weights in enumerate(weights_of(conv)):
        for ends, wanted in ((his, weights > 0), (los, weights < 0)):
            image = (255 * wanted).astype(np.uint8).transpose(1, 2, 0)[None]
            run(network, image, "reference", lambda layer, _, result: seen.__setitem__(layer.name, result))
            bias = int(conv.constants["bias"][o])
            helps = bias > 0 if ends is his else bias < 0
            acc = int(OPS["conv"].reference(image, **conv.arguments)[0, 0, 0, o])
            assert acc == int(ends[o]) + (0 if helps else bias)
            assert conv.accumulator_bits < 32 or acc == int(seen[conv.name].accumulator[0, 0, 0, o])


def weights_of(conv):
    """scale * code, int64 (O, I, KH, KW), by a loop."""
    weight = conv.constants["weight"].astype(np.int64)
    for o, i in np.ndindex(weight.shape[:2]):
        weight[o, i] *= int(conv.constants["scale"][o, i // conv.attributes["cluster"]])
    return weight


# --------------------------------------------------------------------------------------------------------------- hash


def test_the_hash_is_the_same_for_ever():
    """If this fails, numbers or their record changed: that is another contract."""
    assert networks.small().hash == "1df4b290cf6d16d00cc24c7176863630268f3190ff79d8e8f4ee99cc3eef9259"


def test_names_and_origin_are_no_part_of_the_hash():
    network = networks.small(name="another", made_with={})
    network = networks.with_layer(network, "001_conv", covers=("x",))
    assert network.hash == networks.small().hash


def variants(network):
    """Every network that differs in one integer or one choice, as far as it is legal."""
    for layer in network.layers:
        for change in (*changes_of_arrays(layer), *changes_of_choices(layer)):
            try:
                yield layer.name, change, networks.with_layer(network, layer.name, **change)
            except (NetworkError, RangeError, AccumulatorOverflow):
                continue


def changes_of_arrays(layer):
    for name, array in layer.constants.items():
        for other in one_more(array):
            yield {"constants": {**layer.constants, name: other}}
    if layer.weight_exponent is not None:
        yield from ({"weight_exponent": other} for other in one_more(layer.weight_exponent))
    if layer.requantize is not None:
        for name in ("multiplier", "shift"):
            for other in one_more(getattr(layer.requantize, name)):
                yield {"requantize": replace(layer.requantize, **{name: other})}


def one_more(array):
    """Copies of the array with 1 added to, or taken from, one element."""
    for index in np.ndindex(array.shape):
        for step in (1, -1):
            other = array.copy()
            other[index] += step
            yield other


def changes_of_choices(layer):
    yield {"exponent": layer.exponent + 1}
    yield {"accumulator_bits": 31}
    yield {"accumulator_policy": "wrap"}
    yield {"weight_format": "int8"} if layer.weight_format == "ternary" else {}
    for name, value in layer.attributes.items():
        other = not value if isinstance(value, bool) else 2 if value == 1 else value
        yield {"attributes": {**layer.attributes, name: other}} if other != value else {}
    if layer.requantize is not None:
        step = layer.requantize
        for field, value in (("rounding", "floor"), ("seed", 1)):
            yield {"requantize": replace(step, **{field: value})}
        yield {"requantize": replace(step, activation="relu", lo=0)}
        yield {"requantize": replace(step, activation="clip", lo=0)}
        yield {"requantize": replace(step, activation="clip", lo=0, hi=step.hi - 1)}


def test_the_hash_changes_with_any_integer():
    """Every single change gives a hash of its own."""
    network = networks.small()
    hashes = {network.hash: None}
    count = 0
    for name, change, other in variants(network):
        if change:
            assert other.hash not in hashes, (name, change, hashes[other.hash])
            hashes[other.hash] = name, change
            count += 1
    assert count > 60


def test_the_hash_does_not_look_at_memory():
    """Order in memory is no integer."""
    weight = networks.small().layers[2].constants["weight"]
    assert fc_with(weight=np.asfortranarray(weight)).hash == networks.small().hash


# ------------------------------------------------------------------------------------------------------------- access


def test_a_layer_is_found_by_name_with_or_without_its_number():
    network = networks.every_op()
    assert network.layer("001_conv").name == "001_conv"
    assert network.layer("add").op == "add"
    refused(NetworkError, "0 layers are called 'pool'; layers: 005_maxpool, 007_avgpool", lambda: network.layer("pool"))
    refused(NetworkError, "3 layers are called 'conv'", lambda: network.layer("conv"))


def test_a_layer_is_found_by_its_number_alone():
    network = networks.every_op()
    assert [network.layer(layer.name[:3]) for layer in network.layers] == [*network.layers]
    refused(NetworkError, "0 layers are called '999'", lambda: network.layer("999"))
    refused(NetworkError, "0 layers are called '1'", lambda: network.layer("1"))


def test_an_unknown_layer_has_the_nearest_names_first():
    network = networks.every_op()
    with pytest.raises(NetworkError) as refusal:
        network.layer("concatt")
    known = str(refusal.value).partition("; layers: ")[2]
    assert known.split("_", 1)[1].startswith("concat")
    listed = known.partition(" and ")[0].split(", ")
    assert len(listed) == min(8, len(network.layers))
    assert {*listed} <= {*network.shapes}
    assert ("more" in known) == (len(network.layers) > 8)


def test_arrays_are_frozen():
    network = networks.every_op()
    for layer in network.layers:
        step = layer.requantize
        arrays = [*layer.constants.values(), layer.weight_exponent]
        arrays += [step.multiplier, step.shift, step.residual_shift] if step else []
        assert not any(array.flags.writeable for array in arrays if array is not None)


@given(networks.int_networks())
def test_random_networks_are_legal_and_hash_alike_when_built_again(network):
    again = IntNetwork(**networks.fields_of(network))
    assert again.hash == network.hash
    assert set(again.bounds) == {layer.name for layer in again.layers if OPS[layer.op].ACCUMULATES}


# ----------------------------------------------------------------------------------------------------------- validity


@pytest.mark.parametrize(
    ("fmt", "activation", "lo", "hi"),
    [
        (INT8, "relu", -1, 127), (INT8, "relu", 0, 100), (UINT8, "relu", 1, 255), (INT8, "none", -100, 127),
        (INT8, "none", -128, 126), (UINT8, "none", 1, 255), (UINT8, "clip", 3, 9), (INT8, "clip", -9, -3),
        (INT8, "clip", -128, 6),
    ],
)  # fmt: skip
def test_a_clip_that_is_not_its_activations_is_refused(fmt, activation, lo, hi):
    """Contract Q3: ReLU is 0 to the end of the format, ReLU6 begins at 0, and without activation the format decides."""
    step = replace(networks.plain_requantize(fmt), activation=activation, lo=lo, hi=hi)
    refused(
        RangeError, f"activation '{activation}' has the clip {lo}..{hi}", lambda: changed("001_conv", requantize=step)
    )


@pytest.mark.parametrize(("channels", "flip"), [("BGR", False), ("RGB", True), ("gray", True)])
def test_a_flip_that_contradicts_the_channels_is_refused(channels, flip):
    """Contract Input1."""
    shape = (2, 2, 1 if channels == "gray" else 3)
    first = replace(networks.small().layers[0], attributes={"flip": flip})
    layers = (first, *networks.small().layers[1:])
    refused(
        NetworkError, "flip of the input", lambda: networks.small(channels=channels, input_shape=shape, layers=layers)
    )


def test_a_weight_format_without_weights_is_refused():
    refused(NetworkError, "and no weights", lambda: changed("000_input", weight_format="int8"))
    refused(NetworkError, "and no weights", lambda: changed("000_input", weight_exponent=np.zeros(1, np.int64)))


def with_residual(multiplier, shift, residual_shift, bias=(10, -20), dynamic=0):
    """The small network's convolution with its own result's shape as residual: (1, 1, 2) codes of a second one."""
    first, conv, fc = networks.small().layers
    step = networks.plain_requantize(INT8, multiplier=np.array([5, 2]), shift=np.array([3, 2]))
    other = replace(conv, name="001_other", exponent=0, requantize=replace(step, dynamic=dynamic))
    step = networks.plain_requantize(
        INT8, multiplier=np.array(multiplier), shift=np.array(shift), residual_shift=np.array(residual_shift)
    )
    constants = {**conv.constants, "bias": np.array(bias, np.int32)}
    taken = {"exponent": 0, "residual": other.name, "requantize": step, "constants": constants}
    return networks.small(
        layers=(first, other, replace(conv, name="002_conv", **taken), replace(fc, name="003_fc", inputs=("002_conv",)))
    )


def test_totals_are_bounded_channel_by_channel():
    """Contract Q1: the widest product and the longest residual of different channels never meet in one total."""
    wide = with_residual([2**31 - 1, 1], [0, 47], [0, 47], bias=(2**30, 0), dynamic=7)
    lo, hi = (end.tolist() for end in wide.bounds["002_conv"])
    assert hi[0] * (2**31 - 1) + (2**14 << 47) > 2**62  # as if both were in one channel
    assert max(hi[0] * (2**31 - 1) + (127 << 7), hi[1] + (127 << 54), -lo[1] + (128 << 54)) <= 2**62
    images = networks.random_images(wide, 8)
    assert np.array_equal(run(wide, images, "reference"), run(wide, images, "kernels"))


@given(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), st.tuples(st.integers(-(2**30), 2**30),
       st.integers(-(2**30), 2**30)), st.tuples(st.integers(30, 53), st.integers(30, 53)))  # fmt: skip
@example((1, 1), (0, 0), (48, 48))
@example((1, 1), (0, 0), (30, 49))
@example((2**31 - 1, 0), (2**30, 0), (40, 48))
def test_the_bound_of_totals_is_that_of_plain_integers(multiplier, bias, shift):
    """An oracle: |total| of each channel's worst accumulator with its worst residual of 15 bits, against 2**62."""
    bounds = with_residual([1, 1], [0, 0], [0, 0], bias, dynamic=7).bounds["002_conv"]
    peaks = [
        max(abs(int(lo) * m + (-128 << s + 7)), abs(int(hi) * m + (127 << s + 7)))
        for lo, hi, m, s in zip(*bounds, multiplier, shift, strict=True)
    ]
    if max(peaks) <= 2**62:
        network = with_residual(list(multiplier), list(shift), list(shift), bias, dynamic=7)
        images = networks.random_images(network, 2)
        assert np.array_equal(run(network, images, "reference"), run(network, images, "kernels"))
    else:
        text = f"sums before rounding can reach {next(peak for peak in peaks if peak > 2**62)}, the contract"
        refused(RangeError, text, lambda: with_residual(list(multiplier), list(shift), list(shift), bias, dynamic=7))


@pytest.mark.parametrize(("shift", "residual_shift"), [([3, 3], [3]), ([3], [3, 3]), ([3], [3]), ([3, 3], [3, 3])])
def test_one_entry_stands_for_all_channels(shift, residual_shift):
    """The same codes however shifts are stored (formats.md), by every backend."""
    network, whole = with_residual([9, 8], shift, residual_shift), with_residual([9, 8], [3, 3], [3, 3])
    images = networks.random_images(network, 5)
    for backend in ("reference", "kernels"):
        assert np.array_equal(run(network, images, backend), run(whole, images, backend))
    refused(NetworkError, "does not bring", lambda: with_residual([9, 8], [3, 4], [3]))
    refused(NetworkError, "does not bring", lambda: with_residual([9, 8], [3], [3, 4]))

"""Small integer networks for tests: fixed ones, and a Hypothesis strategy for random ones.

A network is grown by ``grow``, which asks ``pick`` for every choice of structure and ``rng`` for every array; so the
same code serves Hypothesis, which shrinks the choices, and plain seeds.  A few images run along while it grows, and
shifts are chosen by what they give, so that codes neither vanish nor all saturate.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from refengine.errors import RefengineError
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.accumulator import confine
from refengine.numbers.formats import INT8, UINT8, WEIGHT_FORMATS, signed_bits
from refengine.numbers.requantize import Requantize
from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS
from refengine.ops.requantize import rescale_reference

ACCUMULATORS = ((32, "error"), (0, "error"), (16, "wrap"), (18, "wrap"), (16, "saturate"), (20, "saturate"))
PASSING = ("maxpool", "concat", "pad_channels", "flatten", "gather_channels")
WEIGHTED = ("conv", "fc", "batchnorm")


@dataclass(frozen=True)
class Known:
    """What a later layer must know of a tensor."""

    shape: tuple
    exponent: int
    format: object
    lo: int
    hi: int
    codes: np.ndarray


class Growing:
    """A network that grows at its end."""

    def __init__(self, pick, rng, roundings):
        self.pick, self.rng, self.roundings = pick, rng, roundings
        self.layers, self.known = [], {}

    @property
    def last(self):
        return self.layers[-1].name

    def name(self, op):
        return f"{len(self.layers):03d}_{op}"

    def passing(self, op, inputs, constants=None, **attributes):
        """Append a layer that leaves codes as they are."""
        exponent = self.known[inputs[0]].exponent
        made = IntLayer(self.name(op), op, tuple(inputs), exponent, constants or {}, attributes)
        attributes = {**(constants or {}), **attributes}
        sources = [self.known[name] for name in inputs]
        shape = tuple(OPS[op].output_shape(*(source.shape for source in sources), **attributes))
        lo, hi = min(s.lo for s in sources), max(s.hi for s in sources)
        if op == "pad_channels":
            lo, hi = min(lo, 0), max(hi, 0)
        self.layers.append(made)
        codes = OPS[op].reference(*(source.codes for source in sources), **attributes)
        self.known[made.name] = Known(shape, made.exponent, sources[0].format, lo, hi, codes)

    def accumulating(self, op, inputs, constants=None, image=None, logits=False, **attributes):
        """Append a layer that accumulates and requantizes, or gives the logits."""
        constants = constants or {}
        weight_format = attributes.pop("weight_format", None)
        arguments = {**constants, **attributes}
        shapes = [self.known[name].shape for name in inputs] or [image]
        ranges = [(min(k.lo, 0), max(k.hi, 0)) for k in (self.known[name] for name in inputs)] or [(0, 255)]
        shape = tuple(OPS[op].output_shape(*shapes, **arguments))
        lo, hi = OPS[op].bound(*ranges, shape=shapes[0], **arguments)
        lo, hi = int(lo.min()), int(hi.max())
        bits, policy = self.pick(ACCUMULATORS) if op in WEIGHTED else (32, "error")
        unit = min((self.known[name].exponent for name in inputs), default=0) - 9  # of the logits of an fc
        made = IntLayer(
            self.name(op),
            op,
            tuple(inputs),
            exponent=unit if logits else -3,
            constants=constants,
            attributes=attributes,
            weight_format=weight_format,
            weight_exponent=None if weight_format is None else np.arange(len(constants["weight"])) * (not logits) - 9,
            accumulator_bits=bits or max(16, signed_bits(lo, hi)),
            accumulator_policy=policy,
            covers=(op,),
        )
        if not logits:
            operands = [self.known[name].codes for name in inputs] or [self.rng.integers(0, 256, (4, *image), np.uint8)]
            acc = confine(OPS[op].reference(*operands, **arguments), made.accumulator_bits, made.accumulator_policy)[0]
            made = self.requantized(made, shape, acc)
            step = made.requantize
            residual = None if made.residual is None else self.known[made.residual].codes
            codes, _ = rescale_reference(acc, step, residual)
            self.known[made.name] = Known(shape, made.exponent, step.format, step.lo, step.hi, codes)
        self.layers.append(made)

    def requantized(self, layer, shape, acc):
        """The layer with a requantization that brings sums like ``acc`` to some hundred codes, and maybe a residual."""
        if layer.op == "lookup":
            fmt, one = (INT8 if layer.constants["table"].min() < 0 else UINT8), np.ones(1, np.int64)
            step = Requantize(one, one - 1, None, self.pick(self.roundings), fmt, "none", fmt.lo, fmt.hi)
            return IntLayer(**{**vars(layer), "requantize": step})
        pick, rng, channels = self.pick, self.rng, shape[-1]
        residual = pick([None, *(name for name in self.known if self.known[name].shape == shape)])
        bits = pick([8, 1, 30] if residual is None else [8, 1])
        count = pick([channels, 1])
        multiplier = rng.integers(0 if bits > 1 else 1, 2**bits, count)
        widest = (int(np.abs(acc.astype(np.int64)).max()) * max(int(multiplier.max()), 1)).bit_length()
        shift = np.clip(widest - 8 + rng.integers(-1, 2, count), 0, 40)
        fmt, activation = pick([(UINT8, "relu"), (INT8, "none"), (UINT8, "clip"), (UINT8, "none"), (INT8, "clip")])
        exponent = pick([-3, -2, 0])
        shifts = None
        if residual is not None:
            exponent = self.known[residual].exponent + min(pick([0, 1, -2]), int(shift.min()))
            shifts = shift + (self.known[residual].exponent - exponent)
        step = Requantize(
            multiplier,
            shift,
            shifts,
            pick(self.roundings),
            fmt,
            activation,
            fmt.lo if activation == "none" else 0,
            int(rng.integers(20, fmt.hi)) if activation == "clip" else fmt.hi,
            seed=int(rng.integers(2**62)),
        )
        return IntLayer(**{**vars(layer), "exponent": exponent, "requantize": step, "residual": residual})

    def weighted(self, op, outputs, inputs, kernel, logits=False, weight_format=None, apart=1, **attributes):
        """Append a conv or fc with random codes, many of them 0, and all but those of every ``apart``-th tap."""
        fmt = WEIGHT_FORMATS[weight_format or self.pick(["ternary", "int4", "int8"])]
        cluster = inputs if fmt.name == "int8" else self.pick([1, 2, inputs, inputs + 1])
        scale_shape = (outputs, -(-inputs // cluster))
        scale = np.ones(scale_shape, np.int8) if fmt.name == "int8" else self.rng.integers(0, 128, scale_shape, np.int8)
        weight = self.rng.integers(fmt.lo, fmt.hi, (outputs, inputs, *kernel), np.int8, endpoint=True)
        if apart > 1:
            taps = weight[:, :, ::apart, ::apart].copy()
            weight[:] = 0
            weight[:, :, ::apart, ::apart] = taps
        constants = {"weight": weight, "scale": scale, "bias": self.rng.integers(-999, 1000, outputs, np.int32)}
        attributes |= {"cluster": cluster, "weight_format": fmt.name}
        self.accumulating(op, [self.last], constants, logits=logits, **attributes)

    def network(self, shape, classes, channels):
        """The finished network: the last layer is an fc that gives the logits."""
        self.weighted("fc", classes, int(np.prod(self.known[self.last].shape)), (), logits=True)
        return IntNetwork("random", shape, classes, channels, tuple(self.layers), {"scheme": "none", "origin": "tests"})


def grow(pick, rng, ops, roundings=ROUNDINGS):
    """A network with an input, layers of the operators that ``ops`` yields, and a last fc."""
    channels = pick(["RGB", "BGR", "gray"])
    count = 1 if channels == "gray" else 3
    shape = (pick([4, 1, 2, 6]), pick([4, 1, 3, 5]), count)
    growing = Growing(pick, rng, roundings)
    bias = rng.integers(-(2**15), 1, count, np.int32)
    growing.accumulating("input", [], {"bias": bias}, image=shape, flip=channels == "BGR")
    for op in ops:
        STEPS[op](growing)
    return growing.network(shape, pick([3, 1, 7]), channels)


def _conv(growing):
    shape = growing.known[growing.last].shape
    if len(shape) != 3:
        return
    pick = growing.pick
    group = pick([g for g in range(1, shape[2] + 1) if shape[2] % g == 0])
    kernel = tuple(pick([k for k in (3, 1, 2) if k <= side]) for side in shape[:2])
    where = {"strides": (pick([1, 2]), pick([1, 3])), "pads": tuple(pick([1, 0, 2]) for _ in range(4)), "group": group}
    growing.weighted("conv", group * pick([2, 1, 4 // group or 1]), shape[2] // group, kernel, **where)


def _dilated(growing):
    """A convolution with zeros between its taps (contract T7)."""
    shape = growing.known[growing.last].shape
    if len(shape) == 3:
        where = {"strides": (growing.pick([1, 2]), 1), "pads": (2, 2, growing.pick([2, 1]), 2), "group": 1}
        growing.weighted("conv", growing.pick([2, 4]), shape[2], (3, 3), apart=2, **where)


def _fc(growing):
    growing.weighted("fc", growing.pick([4, 1]), int(np.prod(growing.known[growing.last].shape)), ())


def _batchnorm(growing):
    channels = growing.known[growing.last].shape[-1]
    sign = growing.rng.integers(-1, 2, channels, np.int8)
    bias = growing.rng.integers(-5000, 5000, channels, np.int32)
    growing.accumulating("batchnorm", [growing.last], {"sign": sign, "bias": bias})


def _add(growing):
    known, last = growing.known, growing.last
    other = growing.pick([name for name in known if known[name].shape == known[last].shape])
    exponents = known[last].exponent, known[other].exponent
    growing.accumulating("add", [last, other], shifts=tuple(e - min(exponents) for e in exponents))


def _pool(op):
    def append(growing):
        shape = growing.known[growing.last].shape
        if len(shape) != 3:
            return
        pick = growing.pick
        kernel = tuple(pick([k for k in (2, 3, 1) if k <= side]) for side in shape[:2])
        window = {
            "kernel_shape": kernel,
            "strides": (pick([1, 2, 3]), pick([2, 1])),
            "pads": tuple(min(pick([0, 1, 2]), kernel[axis % 2] - 1) for axis in range(4)),
            "ceil_mode": pick([False, True]),
        }
        how = growing.passing if op == "maxpool" else growing.accumulating
        how(op, [growing.last], **window)

    return append


def _concat(growing):
    known, last = growing.known, growing.last

    def like(name):
        one, other = known[name], known[last]
        return (one.shape[:-1], one.exponent, one.format) == (other.shape[:-1], other.exponent, other.format)

    partners = [name for name in known if like(name)]
    growing.passing("concat", [last, *growing.pick([[growing.pick(partners)], [], [last, partners[0]]])])


def _pad_channels(growing):
    if len(growing.known[growing.last].shape) == 3:
        growing.passing("pad_channels", [growing.last], before=growing.pick([0, 1]), after=growing.pick([2, 0]))


def _global_avgpool(growing):
    if len(growing.known[growing.last].shape) == 3:
        growing.accumulating("global_avgpool", [growing.last])


def _lookup(growing):
    fmt, known = growing.pick([UINT8, INT8]), growing.known[growing.last]
    count = growing.pick([1, known.shape[-1]])
    table = growing.rng.integers(fmt.lo, fmt.hi, (count, 256), np.int16, endpoint=True)
    growing.accumulating("lookup", [growing.last], {"table": table})


def _gather_channels(growing):
    channels = growing.known[growing.last].shape[-1]
    order = growing.rng.permutation(channels).astype(np.int32)
    if growing.pick([False, True]):
        order = growing.rng.integers(0, channels, growing.pick([1, 5]), np.int32)
    growing.passing("gather_channels", [growing.last], {"order": order})


def _mul(growing):
    known, last = growing.known, growing.last
    shape = known[last].shape
    fitting = (shape, (1, 1, shape[-1])) if len(shape) == 3 else (shape,)
    growing.accumulating("mul", [last, growing.pick([name for name in known if known[name].shape in fitting])])


STEPS = {
    "lookup": _lookup,
    "gather_channels": _gather_channels,
    "mul": _mul,
    "conv": _conv,
    "dilated": _dilated,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "maxpool": _pool("maxpool"),
    "avgpool": _pool("avgpool"),
    "concat": _concat,
    "pad_channels": _pad_channels,
    "flatten": lambda growing: growing.passing("flatten", [growing.last]),
    "global_avgpool": _global_avgpool,
    "requantize": lambda growing: growing.accumulating("requantize", [growing.last]),
}
_NEW = ("mul", "lookup", "gather_channels")
_COMMON = (*_NEW, "conv", "conv", "add", "maxpool", "concat", "avgpool", "requantize", "pad_channels", "batchnorm")


@st.composite
def int_networks(draw, steps=5, roundings=ROUNDINGS):
    """Valid networks of up to ``steps`` random layers between input and last fc, on images of a few pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ops = draw(st.lists(st.sampled_from(_COMMON), max_size=steps))
    ops += draw(st.sampled_from([[], ["global_avgpool"], ["flatten"], ["fc"]]))
    return grow(lambda options: draw(st.sampled_from(options)), rng, ops, roundings)


@st.composite
def dynamic_networks(draw, steps=5, roundings=ROUNDINGS):
    """The same with dynamic exponents in every layer that can have them, and whose readers have room for its values."""
    network = draw(int_networks(steps, roundings))
    for layer in network.layers:
        network = made_dynamic(network, layer.name, draw(st.sampled_from([7, 3, 1, 0])), draw(st.integers(0, 7)))
    return network


def made_dynamic(network, name, dynamic, finer=0):
    """The network with that layer dynamic, its codes 2**finer times finer; as it was where that cannot be."""
    step = network.layer(name).requantize
    if step is None or not dynamic:
        return network
    finer = min(finer, *(int(s.min()) for s in (step.shift, step.residual_shift) if s is not None))
    left = None if step.residual_shift is None else step.residual_shift - finer
    try:
        changed = replace(step, shift=step.shift - finer, residual_shift=left, dynamic=dynamic)
        return with_layer(network, name, requantize=changed)
    except RefengineError:
        return network


def dynamic(seed=340, rounding="half_up"):
    """Every operator, with as many dynamic exponents as there can be."""
    network = every_op(rounding, seed)
    for layer in network.layers:
        network = made_dynamic(network, layer.name, 5, 3)
    return network


def seeded(seed, ops, roundings=ROUNDINGS):
    """A network of the given operators, every other choice made by a seed."""
    rng = np.random.default_rng(seed)
    return grow(lambda options: options[rng.integers(len(options))], rng, ops, roundings)


def every_op(rounding="half_up", seed=340):
    """A network in which every operator occurs, all of one rounding."""
    ops = ["conv", "conv", "add", "concat", "maxpool", "pad_channels", "avgpool", *_NEW, "batchnorm", "conv"]
    return seeded(seed, [*ops, "requantize", "global_avgpool", "flatten", "fc"], (rounding,))


def random_images(network, count, seed=0):
    """uint8 images (count, H, W, C) for a network, black and white pixels among them."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.integers(-60, 316, (count, *network.input_shape)), 0, 255).astype(np.uint8)


def plain_requantize(fmt=UINT8, **changed):
    """Divide by 256 and clip to the format."""
    fields = {"multiplier": np.array([1]), "shift": np.array([8]), "residual_shift": None, "rounding": "half_up"}
    fields |= {"format": fmt, "activation": "none", "lo": fmt.lo, "hi": fmt.hi}
    return Requantize(**fields | changed)


def small(**changed):
    """A hand-made network of 2x2 gray images: pixels as they are, a ternary conv, an fc of two classes."""
    conv = {
        "weight": np.array([[[[1, -1], [0, 1]]], [[[-1, -1], [1, 0]]]], np.int8),
        "scale": np.array([[3], [5]], np.int8),
        "bias": np.array([10, -20], np.int32),
    }
    fc = {
        "weight": np.array([[100, -50], [-127, 3]], np.int8),
        "scale": np.array([[1], [1]], np.int8),
        "bias": np.array([7, 0], np.int32),
    }
    layers = (
        IntLayer("000_input", "input", (), 0, {"bias": np.array([0], np.int32)}, {"flip": False}, plain_requantize()),
        IntLayer(
            "001_conv",
            "conv",
            ("000_input",),
            -2,
            conv,
            {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1, "cluster": 1},
            plain_requantize(INT8, multiplier=np.array([5, 2]), shift=np.array([3, 2])),
            weight_format="ternary",
            weight_exponent=np.array([-4, -5]),
            covers=("001_conv", "002_bn"),
        ),
        IntLayer(
            "002_fc",
            "fc",
            ("001_conv",),
            -6,
            fc,
            {"cluster": 2},
            weight_format="int8",
            weight_exponent=np.array([-4, -4]),
        ),
    )
    fields = {"name": "small", "input_shape": (2, 2, 1), "classes": 2, "channels": "gray", "layers": layers}
    return IntNetwork(**fields | {"made_with": {"scheme": "by hand", "origin": "tests"}} | changed)


def averaging(op="global_avgpool"):
    """Pixels, 3x3 of them, and their average as the logit: a sum of nine, each worth a ninth."""
    window = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}
    image = small().layers[0]
    last = IntLayer(f"001_{op}", op, (image.name,), image.exponent, attributes=window if op == "avgpool" else {})
    return small(input_shape=(3, 3, 1), layers=(image, last), classes=1)


def with_fc_on(shape):
    """An input of that shape and an fc of one class on its first pixel: large images, few weights."""
    network = small()
    window = {"kernel_shape": (1, 1), "strides": shape[:2], "pads": (0, 0, 0, 0), "ceil_mode": False}
    pool = IntLayer("001_pool", "maxpool", ("000_input",), 0, attributes=window)
    constants = {"weight": np.ones((1, 1), np.int8), "scale": np.ones((1, 1), np.int8), "bias": np.zeros(1, np.int32)}
    fields = {"inputs": ("001_pool",), "constants": constants, "attributes": {"cluster": 1}}
    fc = IntLayer(**{**vars(network.layers[2]), **fields, "weight_exponent": np.zeros(1, np.int64)})
    return small(input_shape=shape, classes=1, layers=(network.layers[0], pool, fc))


def with_layer(network, name, /, **changed):
    """The network with fields of one layer changed; arrays are copied before they are frozen."""
    layers = [IntLayer(**{**vars(layer), **changed}) if layer.name == name else layer for layer in network.layers]
    return IntNetwork(**{**fields_of(network), "layers": tuple(layers)})


def fields_of(network):
    """The arguments that build the network again (its cached properties left out)."""
    names = ("name", "input_shape", "classes", "channels", "layers", "made_with", "contract")
    return {name: getattr(network, name) for name in names}

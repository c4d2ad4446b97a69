"""Scheme: every choice that turns a float network into an integer one, in one frozen record."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from ..errors import SchemeError
from ..numbers.accumulator import check_accumulator
from ..numbers.formats import ACTIVATION_FORMATS, WEIGHT_FORMATS
from ..numbers.rounding import check_rounding
from .clusters import METHODS as DATA_FREE

CALIBRATED = "calibrated"
METHODS = (CALIBRATED, *DATA_FREE)
SCALE_EXPONENTS = ("channel", "layer")
EXPONENTS = ("max", "mse", "dynamic")
MOST_VIEWS = 4
ROLES = ("first", "last", "depthwise", "pointwise")


@dataclass(frozen=True)
class Scheme:
    """How to quantize.

    weights, first, last: weight formats (ternary, int4, int8) of the middle layers, the first and the last weighted
    layer.  layers: (pattern, format) pairs that override them, a later pair winning; a pattern is a shell pattern for
    layer names, with or without their number, or one of the roles first, last, depthwise, pointwise.  cluster: filters
    that share a scale.  method: how ternary codes are chosen.  scale_exponent: one for each output ``channel`` or one a
    ``layer``.  activations: format after a ReLU.  exponents: ``max`` (the smallest that does not saturate the
    calibrated range), ``mse`` (the one that loses least) or ``dynamic`` (each image chooses, in the layers that can let
    it; ``max`` in the others).  reestimate: re-estimate batch norm on the calibration images, and correct mean and
    variance where it is folded already; None: if any layer is ternary, unless the method is calibrated, which moves
    biases instead.  equalize: bring channels to like ranges first, by powers of two, which changes no float.
    views: how many views of a calibration image, mirrored and moved, layers may see that windows are too few for.
    """

    weights: str = "ternary"
    cluster: int = 4
    method: str = CALIBRATED
    first: str = "int8"
    last: str = "int8"
    layers: tuple[tuple[str, str], ...] = ()
    scale_exponent: str = "channel"
    activations: str = "uint8"
    exponents: str = "mse"
    reestimate: bool | None = None
    equalize: bool = True
    views: int = MOST_VIEWS
    multiplier_bits: int = 8
    rounding: str = "half_up"
    seed: int = 0
    accumulator_bits: int = 32
    accumulator_policy: str = "error"

    def __post_init__(self) -> None:
        choices: tuple[tuple[str, str, Collection[str]], ...] = (
            ("weights", self.weights, WEIGHT_FORMATS),
            ("first", self.first, WEIGHT_FORMATS),
            ("last", self.last, WEIGHT_FORMATS),
            *((f"layer pattern {pattern!r}", fmt, WEIGHT_FORMATS) for pattern, fmt in self.layers),
            ("method", self.method, METHODS),
            ("scale_exponent", self.scale_exponent, SCALE_EXPONENTS),
            ("activations", self.activations, ACTIVATION_FORMATS),
            ("exponents", self.exponents, EXPONENTS),
        )
        for what, value, known in choices:
            if value not in known:
                raise SchemeError(f"{what} is {value!r}; available: {', '.join(known)}")
        if not 1 <= self.cluster <= 65536:
            raise SchemeError(f"a cluster has 1 to 65536 filters, found {self.cluster}")
        if not 1 <= self.views <= MOST_VIEWS:
            raise SchemeError(f"an image has 1 to {MOST_VIEWS} views, found {self.views}")
        if not 0 <= self.seed < 2**63:
            raise SchemeError(f"a seed lies in 0..2**63-1, found {self.seed}")
        if not 1 <= self.multiplier_bits <= 15:
            raise SchemeError(f"quantize derives multipliers of 1 to 15 bits, found {self.multiplier_bits}")
        check_rounding(self.rounding)
        check_accumulator(self.accumulator_bits, self.accumulator_policy)

    def format_of(self, name: str, roles: tuple[str, ...]) -> str:
        """Weight format of the layer ``name`` that plays ``roles``."""
        chosen = self.first if "first" in roles else self.last if "last" in roles else self.weights
        for pattern, fmt in self.layers:
            if matches(pattern, name, roles):
                chosen = fmt
        return chosen

    def described(self) -> dict[str, str]:
        """Every field as text, for the model file and reports."""
        layers = ", ".join(f"{pattern}={fmt}" for pattern, fmt in self.layers)
        reestimate = {None: "if any layer is ternary, unless calibrated", True: "yes", False: "no"}[self.reestimate]
        words = {"layers": layers or "none", "reestimate": reestimate, "equalize": "yes" if self.equalize else "no"}
        return {key: words.get(key, str(value)) for key, value in asdict(self).items()}


def stem(name: str) -> str:
    """A layer's name without the number that orders it.

    >>> stem("004_layer1.0.conv1")
    'layer1.0.conv1'
    """
    number, _, rest = name.partition("_")
    return rest if number.isdigit() and rest else name


def matches(pattern: str, name: str, roles: tuple[str, ...]) -> bool:
    """Whether a scheme's pattern means this layer."""
    return pattern in roles if pattern in ROLES else fnmatchcase(name, pattern) or fnmatchcase(stem(name), pattern)

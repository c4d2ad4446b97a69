"""refengine: a convolutional network in nothing but integers, every bit defined.

    >>> import refengine as re
    >>> network = re.load("weights/resnet20-fashion.h5")
    >>> network.name, network.classes
    ('resnet20-fashion', 10)

``load``, ``quantize``, ``run``, ``trace``, ``evaluate``, ``compare`` and ``explain`` are imported when they are first
used, so ``import refengine`` alone loads neither NumPy nor Numba nor HDF5.

Floors, imports only point down; a name is a path:

    numbers       formats, rounding, requantization: all that rounds or clips
    kernels       Numba: sums of integers, fast
    ops           one operator a file: formula, NumPy definition, the call of its kernel
    network       float and integer networks, their validation and their files
    engine        run, and the fast plan
    runs          runs over many images on any backend: logits, traces, digests
    quantization  from float to integer
    vectors       tensors as files that simulators, synthesis and firmware read, and back
    interop       networks and images of others
    bench         speed beside production engines
    accuracy      evaluate, cost, sweep, report
    analysis      explain, lint, ranges, worst cases: no device under test involved
    golden        crosscheck, dumps, diagnose, compare: the workflow of who builds the network elsewhere
    conform       cases for other implementations of the contract, and a verdict on them; the passport
    api           the public functions, one a file
    cli           a verb a file
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api.compare import Judgement, compare
    from .api.evaluate import evaluate
    from .api.explain import explain
    from .api.image_file import ImageFile
    from .api.load import load
    from .api.quantize import quantize
    from .api.run import run
    from .api.trace import trace
    from .api.trace_file import TraceFile
    from .errors import RefengineError
    from .network.float_network import FloatNetwork
    from .network.int_network import IntNetwork

__version__ = "0.1.0"
CONTRACT = 1

_HOMES = {
    "load": "api.load",
    "quantize": "api.quantize",
    "run": "api.run",
    "trace": "api.trace",
    "evaluate": "api.evaluate",
    "compare": "api.compare",
    "explain": "api.explain",
    "FloatNetwork": "network.float_network",
    "ImageFile": "api.image_file",
    "IntNetwork": "network.int_network",
    "Judgement": "api.compare",
    "RefengineError": "errors",
    "TraceFile": "api.trace_file",
}

__all__ = [  # noqa: RUF022  (the functions in the order in which they are used)
    "load",
    "quantize",
    "run",
    "trace",
    "evaluate",
    "compare",
    "explain",
    "FloatNetwork",
    "ImageFile",
    "IntNetwork",
    "Judgement",
    "RefengineError",
    "TraceFile",
    "CONTRACT",
    "__version__",
]


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

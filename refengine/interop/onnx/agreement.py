"""A converted network beside ONNX Runtime on the file that it was: the same images, the logits of both.

How far may they be apart?  Sums of float32 in another order differ, by how much depends on the network: on terms that
cancel, and on how far a small change travels.  So that is measured, by running the network a few times more with every
number of its layers moved by about 2^-20 of itself, some ten times what float32 rounds away; a difference that is
larger than what this does to the logits is no rounding of ours.  Of ONNX Runtime's it may be: it sums a mean of many
numbers one after the other in float32.  So where the two disagree, ONNX's reference implementation judges in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import NetworkError
from ...network.float_network import FloatNetwork
from ...network.forward import forward
from ...optional import package, quiet
from ...text import PathLike
from .convert import Converted
from .in_float64 import logits_in_float64
from .wire import put

EXTRA = 'pip install "refengine[onnx]"'
NUDGE, TIMES = 2.0**-20, 4  # how far a constant is moved, as a part of itself, and how often
ROUNDING = 2.0**-20  # of the largest logit: of a network that has no constants
SQUARES = (1, 4, 16, 64)  # sides, in pixels
_ONLY_FATAL = 4
_FOLDER_OF_ARRAYS = "session.model_external_initializers_file_folder_path"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Agreement:
    """Of how many images, the largest difference of a logit, the largest that float32 explains, the largest logit.

    ``judged``: how many of the images differ by more than that from ONNX Runtime's logits, and were compared with those
    of ONNX's reference in float64 instead.
    """

    images: int
    difference: float
    allowed: float
    largest: float
    judged: int = 0


def agreement(path: PathLike, converted: Converted, count: int = 8, seed: int = 0) -> Agreement:
    """Run both on at least ``count`` random images.

    RefengineError where ONNX Runtime is missing, NetworkError where it refuses the file or gives other logits.
    """
    network, batch, rng = converted.network, converted.batch, np.random.default_rng(seed)
    count = -(-count // batch) * batch
    pixels = random_images(rng, count, network.input_shape)
    ours = forward(network, pixels)
    theirs = _runtime_logits(path, converted, pixels).reshape(ours.shape)
    largest = float(np.abs(ours).max())
    moved = max(float(np.abs(ours - forward(_nudged(network, rng), pixels)).max()) for _ in range(TIMES))
    allowed = max(moved, ROUNDING * largest)
    difference = np.abs(ours - theirs).max(axis=1)
    judged = np.repeat(~(difference.reshape(-1, batch).max(axis=1) <= allowed), batch)  # NaN too
    if judged.any():
        exact = logits_in_float64(path, converted.logits, _batches(converted, pixels[judged]))
        if exact is None:
            judged[:] = False
        else:
            difference[judged] = np.abs(ours[judged] - exact.reshape(-1, ours.shape[1])).max(axis=1)
    found = Agreement(count, float(difference.max()), allowed, largest, int(judged.sum()))
    if not found.difference <= found.allowed:  # NaN too
        raise NetworkError(
            f"the converted network's logits differ by up to {found.difference:.2e} from ONNX Runtime's, the largest "
            f"of which is {largest:.3g}; at most {found.allowed:.2e} was needed; nothing is written"
        )
    return found


def random_images(rng: np.random.Generator, count: int, shape: tuple[int, int, int]) -> Array:
    """uint8 (N, H, W, C) of squares in random colours, from noise to areas, every other four of them pale.

    Noise alone is one image again and again to a network that averages: what it reaches then is reached by few.
    """
    height, width, channels = shape
    made = np.empty((count, *shape), np.uint8)
    for number in range(count):
        side = SQUARES[number % len(SQUARES)]
        colours = rng.integers(0, 256, (-(-height // side), -(-width // side), channels)).astype(np.uint8)
        if number // len(SQUARES) % 2:
            colours = colours // 4 + rng.integers(0, 193, channels).astype(np.uint8)
        made[number] = colours.repeat(side, 0).repeat(side, 1)[:height, :width]
    return made


def _nudged(network: FloatNetwork, rng: np.random.Generator) -> FloatNetwork:
    """The network with each number of its layers moved a little, by itself and together with those of its output."""
    layers = []
    for layer in network.layers:
        constants = {}
        for name, array in layer.constants.items():
            together = rng.uniform(-NUDGE, NUDGE, (len(array), *[1] * (array.ndim - 1)))
            alone = rng.uniform(-NUDGE, NUDGE, array.shape)
            moved = (array * (1 + together + alone)).astype(np.float32)
            constants[name] = array if layer.op == "gather_channels" else moved  # whose numbers are names
        layers.append(replace(layer, constants=constants))
    return replace(network, layers=tuple(layers))


def graph_input(converted: Converted, pixels: Array) -> Array:
    """uint8 images (N, H, W, C) as the float32 that the ONNX graph reads, in its order of axes."""
    flipped = pixels[..., ::-1] if converted.network.channels == "BGR" else pixels
    x = (flipped - np.array(converted.mean, np.float32)) / np.array(converted.std, np.float32)
    return np.ascontiguousarray(x if converted.nhwc else x.transpose(0, 3, 1, 2))


def _batches(converted: Converted, pixels: Array) -> list[Array]:
    size = converted.batch
    return [graph_input(converted, pixels[start : start + size]) for start in range(0, len(pixels), size)]


def _runtime_logits(path: PathLike, converted: Converted, pixels: Array) -> Array:
    runtime = package("onnxruntime", EXTRA)
    state = package("onnxruntime.capi.onnxruntime_pybind11_state", EXTRA)
    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
    options = runtime.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    options.add_session_config_entry(_FOLDER_OF_ARRAYS, str(Path(path).resolve().parent))
    model = Path(path).read_bytes()
    if converted.dropped:  # more fields behind a message are more of the message: one more output of the graph
        model += put(7, put(12, put(1, converted.logits.encode())))
    try:
        with quiet():
            session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name
            results = [session.run([converted.logits], {name: batch}) for batch in _batches(converted, pixels)]
            return np.concatenate([logits for (logits,) in results])
    except errors as error:
        raise NetworkError(f"ONNX Runtime refuses it ({' '.join(str(error).split())[:200]})") from error

"""A converted network beside ONNX Runtime on the file that it was: the same random images, the logits of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NetworkError
from ..network.forward import forward
from ..network.hdf5 import PathLike
from .onnx_convert import Converted
from .onnx_wire import put
from .packages import package, quiet

EXTRA = 'pip install "refengine[onnx]"'
TOLERANCE = 1e-4  # of the largest number of any layer; sums of float32 in another order differ by a hundredth of that
_ONLY_FATAL = 4
_FOLDER_OF_ARRAYS = "session.model_external_initializers_file_folder_path"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Agreement:
    """Of how many images, the largest difference of a logit, and what is the largest that float32 explains."""

    images: int
    difference: float
    allowed: float


def agreement(path: PathLike, converted: Converted, count: int = 4, seed: int = 0) -> Agreement:
    """Run both on at least ``count`` images of random pixels.

    RefengineError where ONNX Runtime is missing, NetworkError where it refuses the file or gives other logits.
    """
    network, batch = converted.network, converted.batch
    count = -(-count // batch) * batch
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape)).astype(np.uint8)
    largest = [0.0]
    ours = forward(network, pixels, lambda layer, tensor: largest.append(float(np.abs(tensor).max())))
    theirs = _runtime_logits(path, converted, pixels).reshape(ours.shape)
    difference = float(np.abs(ours - theirs).max())
    found = Agreement(count, difference, TOLERANCE * max(largest))
    if not found.difference <= found.allowed:  # NaN too
        raise NetworkError(
            f"the converted network's logits differ by up to {difference:.3g} from ONNX Runtime's, "
            f"at most {found.allowed:.3g} was needed; nothing is written"
        )
    return found


def graph_input(converted: Converted, pixels: Array) -> Array:
    """uint8 images (N, H, W, C) as the float32 that the ONNX graph reads, in its order of axes."""
    flipped = pixels[..., ::-1] if converted.network.channels == "BGR" else pixels
    x = (flipped - np.array(converted.mean, np.float32)) / np.array(converted.std, np.float32)
    return np.ascontiguousarray(x if converted.nhwc else x.transpose(0, 3, 1, 2))


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
            name, size = session.get_inputs()[0].name, converted.batch
            batches = [pixels[start : start + size] for start in range(0, len(pixels), size)]
            results = [session.run([converted.logits], {name: graph_input(converted, part)}) for part in batches]
            return np.concatenate([logits for (logits,) in results])
    except errors as error:
        raise NetworkError(f"ONNX Runtime refuses it ({' '.join(str(error).split())[:200]})") from error

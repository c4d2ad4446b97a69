"""Integer networks for the benchmark, made once: what was quantized before is read from the cache folder.

A model lies beside the compiled kernels, checked as they are (``kernels/cache.py``), under a name that hashes all that
it is made from: the float network, the images, the scheme, and the sources of the rooms that quantize.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RefengineError
from ..network.float_network import FloatNetwork
from ..network.int_file import read_int_network, write_int_network
from ..network.int_network import IntNetwork
from ..quantization.quantize import Progress, quantize
from ..quantization.scheme import Scheme

_PACKAGE = Path(__file__).parent.parent
_ROOMS = ("numbers", "kernels", "ops", "network", "engine", "quantization")

Array = np.ndarray[Any, Any]


def quantized(
    network: FloatNetwork, images: Array, scheme: Scheme, progress: Progress | None = None, threads: int = 1
) -> IntNetwork:
    """``quantize``, or what it gave the last time."""
    from ..kernels import cache  # here, because it loads the compiler

    try:
        store = cache.Store(cache.cache_folder().with_name("models"))
    except (RuntimeError, OSError):
        return quantize(network, images, scheme, progress, threads)
    name = f"{_digest(network, images, scheme)}.model"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.h5")
        kept = store.read(name)
        if kept is not None:
            path.write_bytes(kept)
            try:
                return read_int_network(path)
            except RefengineError:
                pass  # of another version; made again
        model = quantize(network, images, scheme, progress, threads)
        write_int_network(model, path)
        store.write(name, path.read_bytes())
    return model


def _digest(network: FloatNetwork, images: Array, scheme: Scheme) -> str:
    """SHA-256 of everything that the integer network depends on."""
    from ..kernels.cache import sources_digest  # here, because it loads the compiler

    digest = hashlib.sha256(b"".join(sources_digest(_PACKAGE / room) for room in _ROOMS))
    head = (network.name, network.input_shape, network.mean, network.std, network.channels, network.source)
    digest.update(repr((head, images.shape, scheme)).encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    for layer in network.layers:
        digest.update(repr((layer.name, layer.op, layer.inputs, sorted(layer.attributes.items()))).encode())
        for name, array in sorted(layer.constants.items()):
            digest.update(repr((name, array.shape)).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

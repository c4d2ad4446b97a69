"""Production int8 engines, each made by its own standard tool from the same float network and images.

    openvino      NNCF post-training quantization, INT8, latency hint, one stream
    onnxruntime   quantize_static: QDQ, u8 activations, s8 weights a channel, after its own pre-processing
    torch         FX static quantization for the x86 engine, traced and frozen, channels last

An engine is handed float images as it wants them: the conversion from pixels is done beforehand, by ``prepare``, and is
not in its time, an advantage over refengine, whose time begins with the pixels.  Threads are set exactly, everything
else is as it comes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RefengineError
from ..interop.onnx.export_float import IMAGE, LOGITS, onnx_input, to_onnx
from ..interop.torch.export_float import to_torch
from ..network.float_network import FloatNetwork
from ..optional import package, quiet

Array = np.ndarray[Any, Any]
Loaded = tuple[Callable[[Array], Any], Callable[[Any], Array]]  # prepare and run


@dataclass(frozen=True)
class Peer:
    """An int8 engine for one network, batch and number of threads.

    ``prepare`` turns float32 images (batch, C, H, W), as ``onnx_input`` makes them, into what ``run`` takes; ``run``
    gives float32 logits (batch, classes).  ``write`` stores the int8 model in a folder, from which ``LOADERS`` make
    ``prepare`` and ``run`` again.
    """

    name: str
    version: str
    prepare: Callable[[Array], Any]
    run: Callable[[Any], Array]
    write: Callable[[Path], object] | None = None


def peer(name: str, network: FloatNetwork, images: Array, batch: int = 1, threads: int = 1) -> Peer:
    """The engine ``name`` of ``PEERS`` for batches of ``batch`` images, calibrated on uint8 images (N, H, W, C).

    RefengineError if it is unknown, is not installed, or cannot take the network.
    """
    if name not in PEERS:
        raise RefengineError(f"engine {name[:80]!r} is unknown; available: {', '.join(PEERS)}")
    calibration = onnx_input(network, images)
    try:
        with quiet():
            return PEERS[name](network, calibration, batch, threads)
    except RefengineError:
        raise
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise RefengineError(f"{name} cannot make an int8 engine of network {network.name!r}: {reason}") from error


# ------------------------------------------------------------------------------------------------------------ OpenVINO


def _openvino(network: FloatNetwork, calibration: Array, batch: int, threads: int) -> Peer:
    openvino, nncf = package("openvino"), package("nncf")
    core = openvino.Core()
    model = core.read_model(model=to_onnx(network).SerializeToString())
    images = [calibration[index : index + 1] for index in range(len(calibration))]
    model = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    model.reshape([batch, *calibration.shape[1:]])
    version = f"{openvino.__version__.partition('-')[0]}, nncf {nncf.__version__}"

    def write(folder: Path) -> None:
        openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)

    return Peer("openvino", version, np.ascontiguousarray, _openvino_run(core, model, threads), write)


def _openvino_run(core: Any, model: Any, threads: int) -> Callable[[Any], Array]:
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(x: Array) -> Array:
        return request.infer([x], share_inputs=True, share_outputs=True)[0]

    return run


def _load_openvino(folder: Path, threads: int) -> Loaded:
    core = package("openvino").Core()
    return np.ascontiguousarray, _openvino_run(core, core.read_model(folder / "model.xml"), threads)


# -------------------------------------------------------------------------------------------------------- ONNX Runtime


def _onnxruntime(network: FloatNetwork, calibration: Array, batch: int, threads: int) -> Peer:
    version = package("onnxruntime").__version__
    model = _quantized_onnx(to_onnx(network, batch).SerializeToString(), _in_batches(calibration, batch))

    def write(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(model)

    return Peer("onnxruntime", version, np.ascontiguousarray, _onnxruntime_run(model, threads), write)


def _onnxruntime_run(model: bytes, threads: int) -> Callable[[Any], Array]:
    runtime = package("onnxruntime")
    runtime.set_default_logger_severity(_ONLY_ERRORS)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_ERRORS
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(x: Array) -> Array:
        return session.run([LOGITS], {IMAGE: x})[0]

    return run


def _load_onnxruntime(folder: Path, threads: int) -> Loaded:
    return np.ascontiguousarray, _onnxruntime_run((folder / "model.onnx").read_bytes(), threads)


_ONLY_ERRORS = 3


def _quantized_onnx(model: bytes, batches: list[Array]) -> bytes:
    """The model as int8, made by ONNX Runtime's own two steps, which work on files."""
    tools = package("onnxruntime.quantization")
    prepare = package("onnxruntime.quantization.shape_inference").quant_pre_process
    waiting = iter([{IMAGE: batch} for batch in batches])
    reader = type("Reader", (tools.CalibrationDataReader,), {"get_next": lambda _: next(waiting, None)})
    with tempfile.TemporaryDirectory() as folder:
        original, prepared, quantized = (Path(folder, f"{name}.onnx") for name in ("float", "prepared", "int8"))
        original.write_bytes(model)
        prepare(original, prepared, skip_symbolic_shape=True)
        tools.quantize_static(
            prepared,
            quantized,
            reader(),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
        )
        return quantized.read_bytes()


def _in_batches(images: Array, batch: int) -> list[Array]:
    """The images in whole batches, the last one filled up with images from the beginning."""
    count = -(-len(images) // batch)
    numbers = np.arange(count * batch) % len(images)
    return [images[part] for part in numbers.reshape(count, batch)]


# --------------------------------------------------------------------------------------------------------------- torch


def _torch(network: FloatNetwork, calibration: Array, batch: int, threads: int) -> Peer:
    torch, tools = package("torch"), package("torch.ao.quantization")
    convert = package("torch.ao.quantization.quantize_fx")
    torch.backends.quantized.engine = _TORCH_ENGINE
    torch.set_num_threads(threads)
    images = torch.from_numpy(calibration)
    with torch.no_grad():
        mapping = tools.get_default_qconfig_mapping(_TORCH_ENGINE)
        observed = convert.prepare_fx(to_torch(network), mapping, (images[:1],))
        observed(images)
        converted = convert.convert_fx(observed).to(memory_format=torch.channels_last)
        model = torch.jit.freeze(torch.jit.trace(converted, _torch_input(_in_batches(calibration, batch)[0])))

    def write(folder: Path) -> None:
        torch.jit.save(model, folder / "model.pt")

    return Peer("torch", torch.__version__, _torch_input, _torch_run(model, threads), write)


def _torch_input(x: Array) -> Any:
    torch = package("torch")
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


def _torch_run(model: Any, threads: int) -> Callable[[Any], Array]:
    torch = package("torch")

    def run(x: Any) -> Array:
        torch.set_num_threads(threads)  # it is the process's, and another engine may have set it
        with torch.inference_mode():
            return model(x).numpy()

    return run


def _load_torch(folder: Path, threads: int) -> Loaded:
    torch = package("torch")
    torch.backends.quantized.engine = _TORCH_ENGINE
    return _torch_input, _torch_run(torch.jit.load(folder / "model.pt"), threads)


_TORCH_ENGINE = "x86"

PEERS: dict[str, Callable[[FloatNetwork, Array, int, int], Peer]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "torch": _torch,
}
LOADERS: dict[str, Callable[[Path, int], Loaded]] = {
    "openvino": _load_openvino,
    "onnxruntime": _load_onnxruntime,
    "torch": _load_torch,
}

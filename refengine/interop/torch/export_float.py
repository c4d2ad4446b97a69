"""A float network as a PyTorch module, for PyTorch's own quantization.

Images and logits are as in ``onnx_float.py``.  Every layer becomes the module of its meaning, so that the tool
recognises a convolution with its batch norm and ReLU.  PyTorch pools pad opposite sides alike and by half a kernel at
most; networks that need more are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...errors import NetworkError
from ...network.float_layer import FloatLayer, dilations
from ...network.float_network import FloatNetwork, shapes
from ...optional import package


def to_torch(network: FloatNetwork) -> Any:
    """The network as ``torch.nn.Module`` in evaluation mode, float32 (N, C, H, W) -> logits (N, classes).

    NetworkError, by the layer's name, for padding that PyTorch does not know; RefengineError where torch is missing.
    """
    torch, found = package("torch"), shapes(network)
    network_of_modules = _module_class(torch)
    steps = []
    for layer in network.layers[1:]:
        ranks = [len(found[name]) for name in layer.inputs]
        steps.append((layer.name, layer.inputs, _STEPS[layer.op](torch, layer, ranks[0])))
    return network_of_modules(network.layers[0].name, steps).eval()


def _module_class(torch: Any) -> Any:
    """The class of the module; made late, since its base is torch's."""

    class Network(torch.nn.Module):
        def __init__(self, first: str, steps: list[tuple[str, tuple[str, ...], Any]]) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList([step for _, _, step in steps if isinstance(step, torch.nn.Module)])
            self.first, self.steps = first, []
            modules = iter(self.parts)
            for name, inputs, step in steps:
                own = next(modules) if isinstance(step, torch.nn.Module) else step
                self.steps.append((name, inputs, own))

        def forward(self, image: Any) -> Any:
            tensors = {self.first: image}
            for name, inputs, step in self.steps:
                tensors[name] = step(*(tensors[key] for key in inputs))
            return torch.flatten(tensors[name], 1)

    return Network


# ------------------------------------------------------------------------------------------------------- layer by layer


def _conv(torch: Any, layer: FloatLayer, rank: int) -> Any:
    weight, bias = layer.constants["weight"], layer.constants.get("bias")
    outputs, inputs, *kernel = weight.shape
    group, (top, left, bottom, right) = layer.attributes["group"], layer.attributes["pads"]
    alike = (top, left) == (bottom, right)
    window = {"stride": layer.attributes["strides"], "padding": (top, left) if alike else 0, "groups": group}
    window["dilation"] = dilations(layer)
    made = torch.nn.Conv2d(inputs * group, outputs, tuple(kernel), bias=bias is not None, **window)
    _fill(torch, made, weight=weight, bias=bias)
    return made if alike else torch.nn.Sequential(torch.nn.ZeroPad2d((left, right, top, bottom)), made)


def _batchnorm(torch: Any, layer: FloatLayer, rank: int) -> Any:
    gamma, beta, mean, var = (layer.constants[name] for name in ("gamma", "beta", "mean", "var"))
    kind = torch.nn.BatchNorm2d if rank == 3 else torch.nn.BatchNorm1d
    made = kind(len(gamma), eps=layer.attributes["epsilon"])
    _fill(torch, made, weight=gamma, bias=beta, running_mean=mean, running_var=var)
    return made


def _fc(torch: Any, layer: FloatLayer, rank: int) -> Any:
    weight, bias = layer.constants["weight"], layer.constants.get("bias")
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    _fill(torch, made, weight=weight, bias=bias)
    return made if rank == 1 else torch.nn.Sequential(torch.nn.Flatten(), made)


def _fill(torch: Any, module: Any, **arrays: Any) -> None:
    """Put arrays into a module's parameters and buffers; None stands for one that it does not have."""
    with torch.no_grad():
        for name, array in arrays.items():
            if array is not None:
                getattr(module, name).copy_(torch.from_numpy(array.copy()))


def _relu(torch: Any, layer: FloatLayer, rank: int) -> Any:
    most = layer.attributes.get("max")
    return torch.nn.ReLU() if most is None else torch.nn.Hardtanh(0.0, most)


def _pool(kind: str, **options: Any) -> Callable[..., Any]:
    def make(torch: Any, layer: FloatLayer, rank: int) -> Any:
        kernel, strides, pads = (layer.attributes[name] for name in ("kernel_shape", "strides", "pads"))
        if pads[:2] != pads[2:] or any(2 * pad > size for pad, size in zip(pads[:2], kernel, strict=True)):
            needed = "torch pads opposite sides alike, by half the kernel at most"
            raise NetworkError(f"layer {layer.name!r} ({layer.op}): pads {pads}, kernel {kernel}; {needed}")
        return getattr(torch.nn, kind)(kernel, strides, pads[:2], ceil_mode=layer.attributes["ceil_mode"], **options)

    return make


def _pad_channels(torch: Any, layer: FloatLayer, rank: int) -> Any:
    pad = (0, 0, 0, 0, layer.attributes["before"], layer.attributes["after"])
    return partial(torch.nn.functional.pad, pad=pad)


def _gather_channels(torch: Any, layer: FloatLayer, rank: int) -> Any:
    order = torch.from_numpy(layer.constants["order"].astype("int64"))
    return lambda x: x[:, order.to(x.device)]


def _prelu(torch: Any, layer: FloatLayer, rank: int) -> Any:
    made = torch.nn.PReLU(len(layer.constants["slope"]))
    _fill(torch, made, weight=layer.constants["slope"])
    return made


def _hard_sigmoid(torch: Any, layer: FloatLayer, rank: int) -> Any:
    alpha, beta = (layer.attributes[name] for name in ("alpha", "beta"))
    return lambda x: torch.clamp(alpha * x + beta, 0.0, 1.0)


_STEPS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "batchnorm": _batchnorm,
    "relu": _relu,
    "add": lambda torch, layer, rank: torch.add,
    "concat": lambda torch, layer, rank: lambda *xs: torch.cat(xs, 1),
    "maxpool": _pool("MaxPool2d"),
    "avgpool": _pool("AvgPool2d", count_include_pad=False),
    "global_avgpool": lambda torch, layer, rank: torch.nn.AdaptiveAvgPool2d(1),
    "pad_channels": _pad_channels,
    "flatten": lambda torch, layer, rank: torch.nn.Flatten(),
    "fc": _fc,
    "mul": lambda torch, layer, rank: torch.mul,
    "gather_channels": _gather_channels,
    "prelu": _prelu,
    "clip": lambda torch, layer, rank: torch.nn.Hardtanh(layer.attributes["low"], layer.attributes["high"]),
    "elu": lambda torch, layer, rank: torch.nn.ELU(layer.attributes["alpha"]),
    "sigmoid": lambda torch, layer, rank: torch.nn.Sigmoid(),
    "silu": lambda torch, layer, rank: torch.nn.SiLU(),
    "tanh": lambda torch, layer, rank: torch.nn.Tanh(),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda torch, layer, rank: torch.nn.Hardswish(),
    "gelu": lambda torch, layer, rank: torch.nn.GELU("tanh" if layer.attributes["tanh"] else "none"),
    "erf": lambda torch, layer, rank: torch.erf,
    "softplus": lambda torch, layer, rank: torch.nn.Softplus(),
    "mish": lambda torch, layer, rank: torch.nn.Mish(),
}

"""A PyTorch module as a float network.

``torch.export`` runs the module on an example and keeps what it did: a list of PyTorch's own operators (ATen) with
every size known, whatever Python code led there, unless that looks at the numbers.  Each becomes the ONNX node of its
meaning (``NODES``), and ``onnx_convert.py`` makes the layers; the package onnx is not needed.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import NetworkError
from ...network.float_network import FloatNetwork
from ...optional import package, quiet
from ..onnx.convert import Preprocessing, convert
from ..onnx.graph import Array, Graph, Node

EXTRA = 'pip install "refengine[torch]"'

Arguments = dict[str, Any]
Meaning = tuple[str, Sequence[str], dict[str, Any]]

_RAISED = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    TypeError, ValueError,
)  # what Python code raises, a module's own included  # fmt: skip


def from_torch(
    module: Any,
    example: Any,
    mean: Sequence[float] | float = 0.0,
    std: Sequence[float] | float = 1.0,
    channels: str | None = None,
    name: str = "",
    source: str = "",
    licence: str = "",
) -> FloatNetwork:
    """The network of a ``torch.nn.Module`` in evaluation mode, whose input is (pixel - mean) / std, pixels 0..255.

    ``example`` is a batch of images, float32 (N, C, H, W), of any numbers; ``mean`` and ``std`` have one number a
    channel or are one for all.  A softmax over the classes at the end is left out, which a warning says.  NetworkError,
    naming the operation, for what a float network cannot say, RefengineError where torch is missing.
    """
    torch = package("torch", EXTRA)
    _check_module(torch, module)
    preprocessing = Preprocessing(_numbers("mean", mean), _numbers("std", std), channels)
    try:
        with quiet(), torch.no_grad():
            exported = torch.export.export(module, (example,)).run_decompositions({})
    except (*_RAISED, torch._dynamo.exc.TorchDynamoException) as error:
        reason = " ".join(str(error).split())[:200]
        raise NetworkError(f"torch.export cannot follow the module ({type(error).__name__}: {reason})") from error
    graph = _Trace(exported).graph(name or type(module).__name__)
    converted = convert(graph, preprocessing, None, name, source, licence)
    if converted.dropped:
        warnings.warn(f"the {converted.dropped} at its end is left out: the last layer gives logits", stacklevel=2)
    return converted.network


def _numbers(name: str, values: Sequence[float] | float) -> tuple[float, ...]:
    try:
        return tuple(np.atleast_1d(np.asarray(values, np.float64)).reshape(-1).tolist())
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name} is {str(values)[:80]}, needed one number, or one a channel") from error


def _check_module(torch: Any, module: Any) -> None:
    """NetworkError unless it is a module of float32 in evaluation mode, and itself, not something around it."""
    if not isinstance(module, torch.nn.Module):
        raise NetworkError(f"the module is of type {type(module).__name__}, needed a torch.nn.Module with its weights")
    if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        raise NetworkError(f"the module is wrapped in {type(module).__name__}, needed what is in it: module.module")
    for name, part in module.named_modules():
        if "quantized" in type(part).__module__.split("."):
            kind = f"{type(part).__module__}.{type(part).__name__}"
            raise NetworkError(f"the part {name!r} is quantized already ({kind}), needed the module of floats")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta:
            raise NetworkError(f"{name!r} is on the device meta and has no numbers, needed a module with its weights")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise NetworkError(f"{name!r} holds {tensor.dtype}, needed float32: module.float()")
    if any(part.training for part in module.modules()):
        raise NetworkError("the module is in training mode, needed evaluation mode: module.eval()")


class _Trace:
    """An exported module, and the ONNX nodes that it becomes."""

    def __init__(self, exported: Any) -> None:
        self._exported = exported
        signature = exported.graph_signature
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        tensors = {**exported.state_dict, **exported.constants}
        stored |= dict(signature.inputs_to_lifted_tensor_constants)
        self._names: dict[str, str] = dict(stored)  # as the module calls it, for the names of layers
        self._known: dict[str, Any] = {name: tensors[of].detach() for name, of in stored.items()}
        self.constants: dict[str, Array] = {
            name: tensors[name].detach().cpu().contiguous().numpy() for name in stored.values()
        }
        self.nodes: list[Node] = []

    def graph(self, name: str) -> Graph:
        """All nodes; NetworkError for more than one image or one result."""
        signature = self._exported.graph_signature
        if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
            counts = f"{len(signature.user_inputs)} inputs and {len(signature.user_outputs)} results"
            raise NetworkError(f"the module has {counts}, needed one image and its logits")
        shape: tuple[int, ...] = ()
        for step in self._exported.graph_module.graph.nodes:
            if step.name == signature.user_inputs[0]:
                shape = tuple(step.meta["val"].shape)
            elif step.op == "call_function":
                self._append(step)
        image, result = signature.user_inputs[0], signature.user_outputs[0]
        return Graph(name, tuple(self.nodes), self.constants, image, shape, self._names.get(result, result))

    def _append(self, step: Any) -> None:
        """The node of one call; an unknown operator keeps its name and is refused where the result needs it."""
        if step.all_input_nodes and all(operand.name in self._known for operand in step.all_input_nodes):
            self._compute(step)
            return
        target = str(step.target).removeprefix("aten.")
        inputs: Sequence[str] = [self._operand(value) for value in step.all_input_nodes]
        op, attributes = target, dict[str, Any]()
        if target in NODES:
            known = step.target._schema.arguments
            values = {argument.name: argument.default_value for argument in known}
            values |= dict(zip(values, step.args, strict=False)) | dict(step.kwargs)
            made = {name: self._operand(value) for name, value in values.items()}
            op, inputs, attributes = NODES[target](Call(self, step), made)
        elif step.target is operator.getitem and "split" in str(step.args[0].target):
            op, inputs, attributes = self._part(*step.args)
        elif step.target is operator.getitem and step.args[1] == 0:  # batch norm gives a tuple
            op = "Identity"
        self.nodes.append(Node(op, tuple(inputs), (step.name,), attributes, step.name))

    def _compute(self, step: Any) -> None:
        """The result of a call that reads weights alone, as PyTorch computes it: weights that are standardized.

        Weights that nothing else reads hand on their name, after which a layer is called.
        """
        args, kwargs = (package("torch").fx.map_arg(one, self._value) for one in (step.args, step.kwargs))
        result = self._known[step.name] = step.target(*args, **kwargs)
        first = step.all_input_nodes[0]
        self._names[step.name] = self._operand(first) if len(first.users) == 1 else step.name
        if not isinstance(result, list | tuple):
            self.constants[self._operand(step)] = result.detach().cpu().contiguous().numpy()

    def _value(self, step: Any) -> Any:
        return self._known[step.name]

    def _part(self, split: Any, number: int) -> Meaning:
        """One of the parts of a split, as a slice."""
        known = [argument.name for argument in split.target._schema.arguments]
        axis = dict(zip(known, split.args, strict=False)).get("dim", split.kwargs.get("dim", 0))
        sizes = [part.shape[axis] for part in split.meta["val"]]
        first = sum(sizes[:number])
        ranges = []
        for what, value in (("start", first), ("end", first + sizes[number]), ("axis", axis)):
            ranges.append(f"{split.name}/{number}/{what}")
            self.constants[ranges[-1]] = np.array([value], np.int64)
        return "Slice", [self._operand(split.args[0]), *ranges], {}

    def _operand(self, value: Any) -> Any:
        """Tensors as names, everything else as it is."""
        if hasattr(value, "all_input_nodes"):
            return self._names.get(value.name, value.name)
        return [self._operand(item) for item in value] if isinstance(value, list | tuple) else value


class Call:
    """One call of an operator, for the functions that make its node."""

    def __init__(self, trace: _Trace, step: Any) -> None:
        self._trace, self._step = trace, step

    def constant(self, values: Any, dtype: type = np.float32) -> str:
        """A new constant; returns its name."""
        name = f"{self._step.name}/{len(self._trace.constants)}"
        self._trace.constants[name] = np.array(values, dtype)
        return name

    def node(self, op: str, inputs: Sequence[str], output: str) -> None:
        """A node before that of the call."""
        self._trace.nodes.append(Node(op, tuple(inputs), (output,), {}, output))

    def operand(self, value: Any) -> str:
        """The name of a tensor, or of a constant of this number."""
        return value if isinstance(value, str) else self.constant(value)

    def error(self, what: str) -> NetworkError:
        """A NetworkError for the caller to raise, which names the call."""
        return NetworkError(f"operation {self._step.name!r} ({self._step.target}): {what}")

    def shape(self, of_input: int | None = None) -> tuple[int, ...]:
        """The shape of the result, or of an operand."""
        step = self._step if of_input is None else self._step.args[of_input]
        return tuple(step.meta["val"].shape)


# ------------------------------------------------------------------------------------------------- operator by operator
#
# Each function gives a node's operator, operands and attributes, of a call and its arguments by their names.


def _plain(op: str, *operands: str) -> Callable[[Call, Arguments], Meaning]:
    return lambda call, a: (op, [a[name] for name in operands], {})


def _conv(call: Call, a: Arguments) -> Meaning:
    window: Arguments = {"strides": _pair(a["stride"]), "dilations": _pair(a["dilation"]), "group": a["groups"]}
    if isinstance(a["padding"], str):
        window["auto_pad"] = "SAME_UPPER" if a["padding"] == "same" else "VALID"
    else:
        window["pads"] = _pair(a["padding"]) * 2
    return "Conv", [a["input"], a["weight"], a["bias"] or ""], window


def _conv1d(call: Call, a: Arguments) -> Meaning:
    window = {"strides": a["stride"], "dilations": a["dilation"], "pads": [*a["padding"]] * 2, "group": a["groups"]}
    return "Conv", [a["input"], a["weight"], a["bias"] or ""], window


def _pair(values: Sequence[int] | int) -> tuple[int, ...]:
    """PyTorch writes one number for both axes as one, or as a list of one."""
    pair = (values,) if isinstance(values, int) else tuple(values)
    return (pair[0], pair[-1])


def _batchnorm(call: Call, a: Arguments) -> Meaning:
    if a.get("training") or a["running_mean"] is None:
        raise call.error("has no mean and variance of its own, needed running statistics")
    channels = call.shape(of_input=0)[1]
    affine = [a[name] or call.constant(np.full(channels, value)) for name, value in (("weight", 1), ("bias", 0))]
    operands = [a["input"], *affine, a["running_mean"], a["running_var"]]
    return "BatchNormalization", operands, {"epsilon": a["eps"]}


def _linear(call: Call, a: Arguments) -> Meaning:
    return "Gemm", [a["input"], a["weight"], a["bias"] or ""], {"transB": 1}


def _clip(low: str, high: str) -> Callable[[Call, Arguments], Meaning]:
    def make(call: Call, a: Arguments) -> Meaning:
        ends = {"min": a.get(low), "max": a.get(high)}
        return "Clip", [a["self"]], {name: value for name, value in ends.items() if value is not None}

    return make


def _two(op: str) -> Callable[[Call, Arguments], Meaning]:
    def make(call: Call, a: Arguments) -> Meaning:
        if a.get("alpha", 1) != 1:
            raise call.error(f"has alpha {a['alpha']}, needed 1")
        return op, [call.operand(a["self"]), call.operand(a["other"])], {}

    return make


def _subtracted_from(call: Call, a: Arguments) -> Meaning:
    return _two("Sub")(call, {**a, "self": a["other"], "other": a["self"]})


def _pool(op: str) -> Callable[[Call, Arguments], Meaning]:
    def make(call: Call, a: Arguments) -> Meaning:
        if a.get("divisor_override") is not None:
            raise call.error(f"has divisor_override {a['divisor_override']}, needed none")
        kernel = _pair(a["kernel_size"])
        window: Arguments = {"kernel_shape": kernel, "strides": _pair(a["stride"] or kernel)}
        window |= {"pads": _pair(a["padding"]) * 2, "dilations": _pair(a.get("dilation", 1))}
        window["ceil_mode"] = int(a["ceil_mode"])
        if op == "AveragePool":
            window["count_include_pad"] = int(a["count_include_pad"])
        return op, [a["self"]], window

    return make


def _adaptive_pool(op: str) -> Callable[[Call, Arguments], Meaning]:
    """The pool ``op``: of windows of one size, or global."""
    return lambda call, a: _divided_pool(op, call, a)


def _divided_pool(op: str, call: Call, a: Arguments) -> Meaning:
    sides, wanted = call.shape(of_input=0)[-2:], _pair(a["output_size"])
    if any(side % size for side, size in zip(sides, wanted, strict=True)):
        raise call.error(f"makes {wanted} of {sides}, whose windows differ in size; needed a divisor of each side")
    kernel = tuple(side // size for side, size in zip(sides, wanted, strict=True))
    if wanted == (1, 1):
        return f"Global{op}", [a["self"]], {}
    return op, [a["self"]], {"kernel_shape": kernel, "strides": kernel}


def _mean(call: Call, a: Arguments) -> Meaning:
    return "ReduceMean", [a["self"]], {"axes": tuple(a["dim"] or ()), "keepdims": int(a["keepdim"])}


def _reshape(call: Call, a: Arguments) -> Meaning:
    return "Reshape", [a["self"], call.constant(call.shape(), np.int64)], {}


def _transpose(call: Call, a: Arguments) -> Meaning:
    axes = list(range(len(call.shape())))
    if "dims" in a:
        axes = [axis % len(axes) for axis in a["dims"]]
    else:
        one, other = a.get("dim0", 0), a.get("dim1", 1)
        axes[one], axes[other] = axes[other], axes[one]
    return "Transpose", [a["self"]], {"perm": tuple(axes)}


def _pad(call: Call, a: Arguments) -> Meaning:
    """PyTorch names the last axis first, before and after it."""
    before, after = a["pad"][::2][::-1], a["pad"][1::2][::-1]
    rest = [0] * (len(call.shape()) - len(before))
    pads = (*rest, *before, *rest, *after)
    return "Pad", [a["self"]], {"pads": pads, "value": a["value"] or 0.0, "mode": a.get("mode", "constant")}


def _slice(call: Call, a: Arguments) -> Meaning:
    ranges = (a["start"] or 0, 2**63 - 1 if a["end"] is None else a["end"], a["dim"], a["step"])
    return "Slice", [a["self"], *(call.constant([value], np.int64) for value in ranges)], {}


def _expanded(call: Call, a: Arguments) -> Meaning:
    return "Expand", [a["self"], call.constant(call.shape(), np.int64)], {}


def _softmax(op: str) -> Callable[[Call, Arguments], Meaning]:
    return lambda call, a: (op, [a["self"]], {"axis": a["dim"]})


def _selected(call: Call, a: Arguments) -> Meaning:
    return "Gather", [a["self"], call.constant(a["index"], np.int64)], {"axis": a["dim"]}


def _elu(call: Call, a: Arguments) -> Meaning:
    if (a["scale"], a["input_scale"]) != (1, 1):
        raise call.error(f"has the scales {a['scale']} and {a['input_scale']}, needed 1 and 1")
    return "Elu", [a["self"]], {"alpha": float(a["alpha"])}


def _softplus(call: Call, a: Arguments) -> Meaning:
    if a["beta"] != 1:
        raise call.error(f"has beta {a['beta']}, needed 1")
    return "Softplus", [a["self"]], {}


def _prelu(call: Call, a: Arguments) -> Meaning:
    slope = a["weight"]
    rank = len(call.shape())
    column = call.constant((-1, *[1] * (rank - 2)), np.int64)
    shaped = f"{slope}/column"
    call.node("Reshape", [slope, column], shaped)
    return "PRelu", [a["self"], shaped], {}


_same = _plain("Identity", "self")
_batchnorm_names = ("batch_norm.default", "_native_batch_norm_legit_no_training.default")

NODES: dict[str, Callable[[Call, Arguments], Meaning]] = {
    **dict.fromkeys(("conv2d.default", "conv2d.padding"), _conv),
    "conv1d.default": _conv1d,
    **dict.fromkeys(_batchnorm_names, _batchnorm),
    **dict.fromkeys(("add.Tensor", "add.Scalar"), _two("Add")),
    **dict.fromkeys(("sub.Tensor", "sub.Scalar"), _two("Sub")),
    **dict.fromkeys(("rsub.Tensor", "rsub.Scalar"), _subtracted_from),
    **dict.fromkeys(("mul.Tensor", "mul.Scalar"), _two("Mul")),
    **dict.fromkeys(("div.Tensor", "div.Scalar"), _two("Div")),
    **dict.fromkeys(("clone.default", "alias.default", "detach.default", "contiguous.default"), _same),
    **dict.fromkeys(
        (
            "view.default",
            "_unsafe_view.default",
            "reshape.default",
            "flatten.using_ints",
            "squeeze.default",
            "squeeze.dim",
            "squeeze.dims",
            "unsqueeze.default",
        ),
        _reshape,
    ),
    **dict.fromkeys(("permute.default", "transpose.int", "t.default"), _transpose),
    **dict.fromkeys(("pad.default", "constant_pad_nd.default"), _pad),
    **dict.fromkeys(("softmax.int", "_softmax.default"), _softmax("Softmax")),
    **dict.fromkeys(("log_softmax.int", "_log_softmax.default"), _softmax("LogSoftmax")),
    "adaptive_avg_pool2d.default": _adaptive_pool("AveragePool"),
    "adaptive_max_pool2d.default": _adaptive_pool("MaxPool"),
    **dict.fromkeys(("prelu.default", "_prelu_kernel.default"), _prelu),
    "addmm.default": _plain("Gemm", "mat1", "mat2", "self"),
    "avg_pool2d.default": _pool("AveragePool"),
    "cat.default": lambda call, a: ("Concat", a["tensors"], {"axis": a["dim"]}),
    "clamp.default": _clip("min", "max"),
    "clamp_max.default": _clip("", "max"),
    "clamp_min.default": _clip("min", ""),
    "dropout.default": _plain("Identity", "input"),
    "elu.default": _elu,
    "erf.default": _plain("Erf", "self"),
    "expand.default": _expanded,
    "gelu.default": lambda call, a: ("Gelu", [a["self"]], {"approximate": a["approximate"]}),
    "hardsigmoid.default": lambda call, a: ("HardSigmoid", [a["self"]], {"alpha": 1 / 6, "beta": 0.5}),
    "hardswish.default": _plain("HardSwish", "self"),
    "hardtanh.default": _clip("min_val", "max_val"),
    "leaky_relu.default": lambda call, a: ("LeakyRelu", [a["self"]], {"alpha": float(a["negative_slope"])}),
    "linear.default": _linear,
    "matmul.default": _plain("MatMul", "self", "other"),
    "max_pool2d.default": _pool("MaxPool"),
    "mean.dim": _mean,
    "mish.default": _plain("Mish", "self"),
    "mm.default": _plain("MatMul", "self", "mat2"),
    "relu.default": _plain("Relu", "self"),
    "relu6.default": lambda call, a: ("Clip", [a["self"]], {"min": 0.0, "max": 6.0}),
    "select.int": _selected,
    "sigmoid.default": _plain("Sigmoid", "self"),
    "silu.default": _plain("Swish", "self"),
    "slice.Tensor": _slice,
    "softplus.default": _softplus,
    "tanh.default": _plain("Tanh", "self"),
}

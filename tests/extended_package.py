"""What every consumer of an integer network does with the operator and the rounding mode of docs/extending.md.

Run as a program by ``test_extending.py``, in a process that imports an extended copy of refengine; prints as JSON, by
consumer, "works", or the one line with which it refuses.  Anything else that is raised ends the program.
"""

import contextlib
import io
import json
import os
import sys
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
from mutation.fault_table import fault_table
from mutation.faults import FAULTS
from networks import Growing, random_images

import refengine
from refengine import optional
from refengine.accuracy.workload import workloads
from refengine.analysis.intervals import reach
from refengine.cli.main import verbs
from refengine.engine.fast.plan import Plan
from refengine.engine.run import run
from refengine.errors import RefengineError
from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.machine import Case, machine_of, stages_of_case
from refengine.golden.diagnose.recompute import recompute
from refengine.interop.onnx.export_int import to_onnx
from refengine.interop.torch.export_int import IntForward
from refengine.interop.tosa.export_layer import layer_graph
from refengine.network.images import write_images
from refengine.network.int_file import read_int_network, write_int_network

ROUNDING = "half_odd"


def half_odd(value):
    """The nearest integer to a fraction, a tie to the odd one; nothing of refengine takes part."""
    below = floor(value)
    if value - below == Fraction(1, 2):
        return below if below % 2 else below + 1
    return floor(value + Fraction(1, 2))


def network(extra, seed=3):
    """An input, a conv, the extra operators, a conv with a residual or not, an fc; everything rounds half_odd."""
    rng = np.random.default_rng(seed)
    growing = Growing(lambda options: 1 if options == [8, 1, 30] else options[0], rng, [ROUNDING])  # ties are common
    shape, window = (4, 3, 3), {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    growing.accumulating("input", [], {"bias": np.zeros(3, np.int32)}, image=shape, flip=False)
    growing.weighted("conv", 5, 3, (3, 3), **window)
    for op, attributes in extra:
        growing.passing(op, [growing.last], **attributes)
    growing.weighted("conv", 4, 5, (3, 3), **window)
    return growing.network(shape, 3, "RGB")


UPSAMPLED = network([("upsample", {"factor": 2})])
IMAGES = random_images(UPSAMPLED, 3)


def observed(backend):
    seen = {}
    logits = run(UPSAMPLED, IMAGES, backend, lambda *what: seen.update({what[0].name: what}))
    return logits, seen


LOGITS, SEEN = observed("reference")
[UPSAMPLE] = [layer for layer in UPSAMPLED.layers if layer.op == "upsample"]


def definition():
    """Each pixel four times; every code the oracle's rounding of its accumulator."""
    _, (x,), result = SEEN[UPSAMPLE.name]
    for place in np.ndindex(*result.result.shape):
        n, row, column, channel = place
        assert result.result[place] == x[n, row // 2, column // 2, channel]
    ties = 0
    for layer, _, result in SEEN.values():
        step = layer.requantize
        if step is None:
            continue
        assert step.rounding == ROUNDING
        for place in np.ndindex(*result.result.shape):
            multiplier, shift = (int(v[place[-1] % len(v)]) for v in (step.multiplier, step.shift))
            total = int(result.accumulator[place]) * multiplier
            if result.residual is not None:
                total += int(result.residual[place]) << int(step.residual_shift[place[-1] % len(step.residual_shift)])
            ties += shift > 0 and total % 2**shift == 2 ** (shift - 1)
            assert int(result.result[place]) == min(max(half_odd(Fraction(total, 2**shift)), step.lo), step.hi)
    assert ties


def kernels():
    logits, seen = observed("kernels")
    assert np.array_equal(logits, LOGITS)
    for name, (_, _, result) in seen.items():
        assert np.array_equal(result.result, SEEN[name][2].result)


def fast():
    plan = Plan(UPSAMPLED, 3, observed=[layer.name for layer in UPSAMPLED.layers])
    seen = {}
    logits = plan.run(IMAGES, observe=lambda *what: seen.update({what[0].name: what[2]}))
    assert np.array_equal(logits, LOGITS)
    for name, result in seen.items():
        assert np.array_equal(result.result, SEEN[name][2].result)


def files():
    write_int_network(UPSAMPLED, "model.h5")
    write_images("images.h5", IMAGES, np.arange(3), ["a", "b", "c"])
    assert read_int_network("model.h5").hash == UPSAMPLED.hash


def intervals():
    found = reach(UPSAMPLED)
    for name, (_, _, result) in SEEN.items():
        codes = result.result.reshape(-1, result.result.shape[-1])
        assert (found[name].result.lo <= codes.min(axis=0)).all()
        assert (found[name].result.hi >= codes.max(axis=0)).all()


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        yield out


def verb(*arguments):
    """Run a verb of the command line; its output, RefengineError with its line where it refuses."""
    errors = io.StringIO()
    with quiet() as out, contextlib.redirect_stderr(errors):
        try:
            verbs.main(list(arguments), prog_name="refengine")
            code = 0
        except SystemExit as end:
            code = end.code or 0
    if code == 2:
        raise RefengineError(errors.getvalue().strip())
    assert code in (0, 1), (arguments, code, errors.getvalue())
    return code, out.getvalue()


def explained():
    for place in ("3,2,1", "7,5,4"):
        _, out = verb("explain", "model.h5", "images.h5", "--layer", UPSAMPLE.name, "--at", place)
        assert "upsample passes the code through" in out
    _, out = verb("explain", "model.h5", "images.h5", "--layer", "001_conv", "--at", "1,1,1")
    assert "half_odd goes to the nearest, a tie to the odd one" in out


def compared():
    assert verb("trace", "model.h5", "images.h5", "--count", "3", "-o", "golden.h5")[0] == 0
    wrong = {f"{name}.code": what[2].result.copy() for name, what in SEEN.items()}
    logits = UPSAMPLED.layers[-1].name
    wrong[f"{logits}.accumulator"] = wrong.pop(f"{logits}.code")
    np.savez("same.npz", **wrong)
    code, out = verb("compare", "golden.h5", "same.npz", "--model", "model.h5")
    assert code == 0, out
    wrong[f"{UPSAMPLE.name}.code"][1, 5, 3, 2] += 1
    np.savez("wrong.npz", **wrong)
    code, out = verb("compare", "golden.h5", "wrong.npz", "--model", "model.h5")
    assert code == 1
    assert UPSAMPLE.name in out


def diagnosed():
    """The machine recomputes the layer, and a wrong image order is told from a right one."""
    layer, operands, result = SEEN[UPSAMPLE.name]
    case = Case(UPSAMPLED, layer, tuple(operands))
    assert np.array_equal(recompute(machine_of(case), stages_of_case(case))["code"], result.result)
    rolled = np.roll(result.result, 1, axis=0).astype(np.int64)
    assert "image" in diagnose(case, "code", rolled).sentence
    conv = SEEN["001_conv"]
    case = Case(UPSAMPLED, conv[0], tuple(conv[1]))
    assert np.array_equal(recompute(machine_of(case), ("code",))["code"], conv[2].result)


def mutated():
    """The other datapath does not know this operator and says so."""
    fault_table(UPSAMPLED, IMAGES, diagnose, faults=[FAULTS["round_floor"]])


def onnx():
    model = to_onnx(UPSAMPLED, layers=True)
    if optional.installed("onnxruntime"):
        verb("crosscheck", "model.h5", "images.h5", "--with", "onnxruntime")
    assert any(node.op_type == "Gather" for node in model.graph.node)


def tosa():
    graphs = {layer.name: layer_graph(UPSAMPLED, layer, 2) for layer in UPSAMPLED.layers}
    operators = graphs[UPSAMPLE.name].document["regions"][0]["blocks"][0]["operators"]
    assert "GATHER" in [operator["op"] for operator in operators]


def torch():
    """Half_up alone: PyTorch's export is for fine-tuning."""
    IntForward(UPSAMPLED)


def cost():
    assert [layer.op for layer in workloads(UPSAMPLED)] == [layer.op for layer in UPSAMPLED.layers]


CONSUMERS = {
    "definition": definition,
    "kernels": kernels,
    "fast": fast,
    "files": files,
    "intervals": intervals,
    "lint": lambda: verb("lint", "model.h5"),
    "ranges": lambda: verb("ranges", "model.h5", "images.h5", "--count", "3", "--worst-case", "worst"),
    "trace": lambda: verb("trace", "model.h5", "images.h5", "--digests"),
    "explain": explained,
    "explain_html": lambda: verb(
        "explain", "model.h5", "images.h5", "--layer", "upsample", "--at", "1,1,1", "--html", "page.html"
    ),
    "compare": compared,
    "diagnose": diagnosed,
    "mutation": mutated,
    "vectors": lambda: verb("vectors", "model.h5", "images.h5", "-o", "pack", "--format", "npy,readmemh"),
    "inspect": lambda: verb("inspect", "model.h5"),
    "cost": cost,
    "arith": lambda: verb("arith", "model.h5", "images.h5", "--count", "1"),
    "evaluate": lambda: verb("evaluate", "model.h5", "images.h5"),
    "onnx": onnx,
    "tosa": tosa,
    "torch": torch,
}


def outcome(consumer):
    try:
        consumer()
    except RefengineError as error:
        return str(error)
    return "works"


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    found = {name: outcome(consumer) for name, consumer in CONSUMERS.items()}
    print(json.dumps({**found, "imported from": str(Path(refengine.__file__).parent)}))

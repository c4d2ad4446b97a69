"""TOSA's presets against TOSA's own reference model, operator RESCALE (contract Arith).

The model comes with the package tosa-tools, whose pinned dependencies need an environment of their own; the variable
TOSA_PYTHON names that environment's interpreter:

    python -m venv tosa && tosa/bin/pip install tosa-tools==2026.8.0 && TOSA_PYTHON=tosa/bin/python pytest tests/numbers
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from refengine.numbers.arith import ARITHMETICS, requantize_as
from refengine.numbers.formats import INT8
from refengine.numbers.requantize import Requantize

PYTHON = os.path.abspath(os.environ["TOSA_PYTHON"]) if "TOSA_PYTHON" in os.environ else None
pytestmark = pytest.mark.skipif(PYTHON is None, reason="TOSA_PYTHON names no environment with tosa-tools")

CHANNELS, ROWS = 400, 40

GRAPH = """
import sys
from pathlib import Path

import numpy as np
from serializer import tosa_serializer as ts
from tosa import RoundingMode

folder, mode = Path(sys.argv[1]), sys.argv[2]
case = np.load(folder / "case.npz")
shape, channels = list(case["acc"].shape), [len(case["shift"])]
graph = ts.TosaSerializer(str(folder))
inputs = [
    graph.addPlaceholder(shape, ts.DType.INT32, case["acc"]),
    graph.addConst(channels, ts.DType.INT32, case["multiplier"]),
    graph.addConst(channels, ts.DType.INT8, case["shift"]),
    graph.addConst([1], ts.DType.INT32, np.zeros(1, np.int32)),
    graph.addConst([1], ts.DType.INT8, np.zeros(1, np.int8)),
]
output = graph.addOutput(shape, ts.DType.INT8)
rescale = ts.TosaSerializerAttribute()
rescale.RescaleAttribute(True, getattr(RoundingMode.RoundingMode, mode), True, False, False)
graph.addOperator(ts.TosaOp.Op().RESCALE, [tensor.name for tensor in inputs], [output.name], rescale)
(folder / "graph.tosa").write_bytes(graph.serialize())
(folder / "case.json").write_text(graph.writeJson("graph.tosa"))
"""


def rescaled(folder, mode, acc, multiplier, shift):
    """What the reference model makes of int32 (rows, channels), one multiplier and shift a channel."""
    arrays = {"acc": acc.astype(np.int32), "multiplier": multiplier.astype(np.int32), "shift": shift.astype(np.int8)}
    np.savez(folder / "case.npz", **arrays)
    (folder / "graph.py").write_text(GRAPH)
    subprocess.run([PYTHON, "-W", "ignore", "graph.py", str(folder), mode], cwd=folder, check=True, timeout=100)
    schema = next(Path(PYTHON).parent.parent.rglob("bin/tosa.fbs"))
    model = [str(Path(PYTHON).parent / "tosa_reference_model"), "--operator_fbs", str(schema)]
    done = subprocess.run(
        [*model, "--test_desc", str(folder / "case.json")], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    (result,) = folder.glob("ref-*.npy")
    return np.load(result)


def cases(seed):
    """Multipliers of 1 to 31 bits, shifts 2..62, and what the standard allows: accumulators of ``shift`` bits.

    Every other row is random, the others lie around ties; the first rows are the ends of the range and zero.
    """
    rng = np.random.default_rng(seed)
    shift = rng.integers(2, 63, CHANNELS)
    multiplier = np.array([rng.integers(0, 2**bits) for bits in rng.integers(1, 32, CHANNELS).tolist()])
    multiplier[:4] = 0, 1, 2**30, 2**31 - 1
    acc = np.empty((ROWS, CHANNELS), np.int64)
    for channel, (m, s) in enumerate(zip(multiplier.tolist(), shift.tolist(), strict=True)):
        top = min(2**31, 2 ** (s - 1))
        acc[:, channel] = rng.integers(-top, top, ROWS)
        for row in range(0, ROWS, 2):
            near = (2 * int(rng.integers(-140, 140)) + 1 << s >> 1) // max(m, 1) + int(rng.integers(-1, 2))
            if -top <= near < top:
                acc[row, channel] = near
        acc[:5, channel] = -top, -top + 1, -1, 0, top - 1
    return acc, multiplier, shift


@pytest.mark.parametrize(("name", "mode"), [("tosa", "SINGLE_ROUND"), ("tosa-double", "DOUBLE_ROUND")])
@pytest.mark.parametrize("seed", range(3))
def test_rescale_gives_the_codes_of_tosa(tmp_path, seed, name, mode):
    """Every element of 16,000."""
    acc, multiplier, shift = cases(seed)
    p = Requantize(multiplier, shift, None, "half_up", INT8, "none", INT8.lo, INT8.hi)
    np.testing.assert_array_equal(
        rescaled(tmp_path, mode, acc, multiplier, shift), requantize_as(acc, p, ARITHMETICS[name])
    )


def test_the_cases_tell_the_two_apart():
    """Otherwise agreement would prove nothing."""
    acc, multiplier, shift = cases(0)
    p = Requantize(multiplier, shift, None, "half_up", INT8, "none", INT8.lo, INT8.hi)
    either = [requantize_as(acc, p, ARITHMETICS[name]) for name in ("tosa", "tosa-double")]
    assert np.count_nonzero(either[0] != either[1]) > 10

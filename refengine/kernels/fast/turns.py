"""How threads share the items of a step: each takes the next one, and all wait for items, not for each other.

Two counters a step, each alone in its line of memory: how many items were taken, how many are complete.  A thread that
the system has not scheduled yet has taken nothing, so nobody waits for it.  Waiting spins briefly, because steps are
short, and then gives the processor away between looks.
"""

import os
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import jit
from ..lanes import I64, call

COUNTERS = 16  # int64 numbers a step: two lines of 64 bytes
_DONE = 64
_PATIENCE = 2000


def _add_typed(context: Any, address: ir.Value, amount: ir.Value) -> Any:
    """Add to a counter; returns what it was."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        address, amount = arguments
        return builder.atomic_rmw("add", builder.inttoptr(address, I64.as_pointer()), amount, "seq_cst")

    return types.int64(types.int64, types.int64), generate


def _read_typed(context: Any, address: ir.Value) -> Any:
    """A counter, and everything that was written before it reached that value."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        return builder.load_atomic(builder.inttoptr(arguments[0], I64.as_pointer()), "acquire", 8)

    return types.int64(types.int64), generate


def _pause_typed(context: Any) -> Any:
    """Tell an x86 processor that this is a loop of waiting."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        if "86" in builder.module.triple.partition("-")[0]:
            call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate


_add: Any = intrinsic(_add_typed)
_read: Any = intrinsic(_read_typed)
_pause: Any = intrinsic(_pause_typed)


_sched_yield: Any = types.ExternalFunction("sched_yield", types.int32()) if os.name == "posix" else _pause


@jit
def _give_way() -> None:
    """Let another thread run, where the system has a call for it that kernels can name."""
    _sched_yield()


@jit
def take(counters: int) -> int:
    """The number of the next item of a step that nobody has taken; counters: the step's address."""
    return _add(counters, 1)


@jit
def complete(counters: int) -> None:
    """Say that an item of the step is complete."""
    _add(counters + _DONE, 1)


@jit
def wait(counters: int, items: int) -> None:
    """Return when ``items`` items of the step are complete."""
    looks = 0
    while _read(counters + _DONE) < items:
        _pause()
        looks += 1
        if looks > _PATIENCE:
            _give_way()

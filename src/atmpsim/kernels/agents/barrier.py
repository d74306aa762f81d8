"""Let threads that run the same kernel wait for one another, without Python and without a threading layer."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from atmpsim.kernels.agents.compiled import inner

BARRIER_WORDS = 16  # int64: arrivals in the first cache line, the round in the second
_ROUND = 64
_SPINS = 4000  # about ten microseconds, then the core is offered to others


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(64).as_pointer())


@intrinsic
def _add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to the integer at an address, at once for all threads, and return what was there."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, values[0]), values[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _load(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_pointer(builder, values[0]), "seq_cst", 8)

    return types.int64(types.int64), generate


@intrinsic
def _yield(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        known = builder.module.globals.get("sched_yield")
        builder.call(known or ir.Function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@inner
def meet(barrier, threads):
    """Return when all threads have called this.

    Parameters
    ----------
    barrier
        int64 of BARRIER_WORDS, zero before the first use and shared by the threads.
    """
    if threads == 1:
        return
    address = barrier.ctypes.data
    now = _load(address + _ROUND)
    if _add(address, 1) == threads - 1:
        _add(address, -threads)
        _add(address + _ROUND, 1)
        return
    spins = 0
    while _load(address + _ROUND) == now:
        spins += 1
        if spins > _SPINS:
            _yield()


@inner
def share(count, thread, threads, grain):
    """Return begin and end of a thread's part of `count` items, cut at multiples of `grain`.

    With whole grains every thread's loops take the same turns through vector code, so the last digits do not depend
    on the number of threads.
    """
    grains = (count + grain - 1) // grain
    return min(count, grains * thread // threads * grain), min(count, grains * (thread + 1) // threads * grain)

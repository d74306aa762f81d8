"""Count the processor's cycles that the stages of a mechanics step take."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from atmpsim.kernels.agents.compiled import inner

STAGES = ("lists", "velocities", "signals", "decisions", "springs", "acts", "movement", "sources", "fields")
LISTS, VELOCITIES, SIGNALS, DECISIONS, SPRINGS, ACTS, MOVEMENT, SOURCES, FIELDS = range(len(STAGES))


@intrinsic
def cycles(typing_context: Any) -> Any:
    """Return the processor's count of cycles."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [])
        name = "llvm.readcyclecounter"
        return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), [])

    return types.int64(), generate


@inner
def book(spent, stage, since, thread):
    """Add the cycles since a moment to a stage, in the first thread; return the moment that is now."""
    now = cycles()
    if thread == 0:
        spent[stage] += now - since
    return now

"""Compile a model into the machine code that the batch solver calls."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm

from atmpsim import cache
from atmpsim.compile.attempt import AttemptWriter
from atmpsim.compile.lanes import UNSUPPORTED, Emitter, Layout, plan_layout
from atmpsim.compile.llvm import compile_object, load_object
from atmpsim.compile.lowering import lower
from atmpsim.compile.sparse_lu import plan_elimination
from atmpsim.kernels.arguments import Code, Rows
from atmpsim.model.equations import Equations

_KIND = "objects"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Machine code for W trajectories side by side, and its workspace's layout."""

    code: Code
    rows: Rows
    layout: Layout
    width: int
    _engine: object = field(repr=False)


def goes_in_lanes(equations: Equations) -> bool:
    """Return whether every function of the derivatives has vector code."""
    graph = equations.graph
    return not any(graph.nodes[n][0] in UNSUPPORTED for n in graph.needed(equations.derivatives))


def vector_width(states: int) -> int:
    """Return how many trajectories go side by side on this CPU for a model of a size."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16 if states <= 20 else 8
    return 4 if features.get("avx2") else 2


def compile_batch(equations: Equations, *, fixed: Collection[str] = (), width: int | None = None) -> Batch:
    """Return compiled batch code of a model's equations, from the cache on disk where it is there.

    Parameters
    ----------
    fixed
        The ids that the equations were written with (see `write_equations`).
    width
        Trajectories side by side; chosen for the CPU and the size of the model by default.
    """
    width = width or vector_width(len(equations.states))
    name = cache.key(_fingerprint(), equations.model.digest, ",".join(sorted(fixed)), str(width))
    stored = cache.load(_KIND, name)
    if stored is None:
        layout, code = _compile(equations, width)
        cache.store(_KIND, name, json.dumps(asdict(layout)).encode() + b"\n" + code)
    else:
        head, _, code = stored.partition(b"\n")
        layout = Layout(**json.loads(head))
    engine = load_object(code)
    addresses = Code(*(engine.get_function_address(function) for function in Code._fields))
    rows = Rows(**{part: getattr(layout, part) for part in Rows._fields if part != "width"}, width=width)
    return Batch(code=addresses, rows=rows, layout=layout, width=width, _engine=engine)


@functools.cache
def _fingerprint() -> str:
    """Return the digest of what code depends on besides the model: our sources, versions and this CPU."""
    package = Path(__file__).parents[1]
    sources = [p for part in ("compile", "kernels", "model") for p in sorted((package / part).glob("*.py"))]
    cpu = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    return cache.key(cpu, version("llvmlite"), *(p.read_text(encoding="utf-8") for p in sources))


def _compile(equations: Equations, width: int) -> tuple[Layout, bytes]:
    states, constants = len(equations.states), len(equations.constants)
    lowered = lower(equations)
    elimination = plan_elimination(states, lowered.jacobian.keys())
    model_text, hoisted = Emitter(equations, lowered, elimination, width).module()
    layout = plan_layout(
        states=states, constants=constants, hoisted=hoisted, factors=len(elimination.slots), width=width
    )
    writer = AttemptWriter(layout, states=states, width=width, explicit_time=bool(lowered.by_time))
    return layout, compile_object(model_text + "\n" + writer.module())

"""Compile a model into the machine code that the batch solver calls."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

from atmpsim import cache
from atmpsim.compile.attempt import AttemptWriter
from atmpsim.compile.lanes import UNSUPPORTED, Emitter
from atmpsim.compile.layout import Layout, plan_layout
from atmpsim.compile.llvm import compile_object, load_object
from atmpsim.compile.lowering import lower
from atmpsim.compile.sparse_lu import plan_elimination
from atmpsim.compile.step_library import StepLibrary
from atmpsim.kernels.arguments import Code, Edges, Rows
from atmpsim.model.equations import Equations
from atmpsim.model.graph import symbol_of
from atmpsim.model.pieces import Pieces, cut

_KIND = "objects"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Machine code for W trajectories side by side, the edges it looks for, and its workspace's layout."""

    code: Code
    rows: Rows
    edges: Edges
    pieces: Pieces
    layout: Layout
    width: int
    _engine: object = field(repr=False)


def goes_in_lanes(pieces: Pieces) -> bool:
    """Return whether every function of the derivatives and edges has vector code."""
    graph, formulas = pieces.graph, [e.formula for e in pieces.edges if e.line is None]
    return not any(graph.nodes[n][0] in UNSUPPORTED for n in graph.needed([*pieces.derivatives, *formulas]))


def vector_width(states: int) -> int:
    """Return how many trajectories go side by side on this CPU for a model of a size."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16 if states <= 20 else 8
    return 4 if features.get("avx2") else 2


def compile_batch(
    equations: Equations, *, pieces: Pieces | None = None, fixed: Collection[str] = (), width: int | None = None
) -> Batch:
    """Return compiled batch code of a model's equations, from the cache on disk where it is there.

    Parameters
    ----------
    pieces
        The smooth pieces that the equations are cut into; by default those that keep their switches.
    fixed
        The ids that the equations were written with (see `write_equations`).
    width
        Trajectories side by side; chosen for the CPU and the size of the model by default.
    """
    pieces = pieces or cut(equations, keep_switches=True)
    width = width or vector_width(len(equations.states))
    name = cache.key(
        _fingerprint(), equations.model.digest, ",".join(sorted(fixed)), str(pieces.keeps_switches), str(width)
    )
    stored = cache.load(_KIND, name)
    if stored is None:
        layout, timed, code = _compile(pieces, equations.states, width)
        cache.store(_KIND, name, json.dumps([asdict(layout), timed]).encode() + b"\n" + code)
    else:
        head, _, code = stored.partition(b"\n")
        found, timed = json.loads(head)
        layout = Layout(**found)
    engine = load_object(_step_code(width, timed), code)
    addresses = Code(*(engine.get_function_address(function) for function in Code._fields))
    rows = Rows(**{part: getattr(layout, part) for part in Rows._fields if part != "width"}, width=width)
    return Batch(
        code=addresses, rows=rows, edges=_edges(pieces), layout=layout, width=width, pieces=pieces, _engine=engine
    )


def _edges(pieces: Pieces) -> Edges:
    searched = [k for k, e in enumerate(pieces.edges) if e.line is None]
    operations = [pieces.edges[k].operation for k in searched]
    return Edges(
        slot=np.array([pieces.constants.index(pieces.edges[k].name) for k in searched], dtype=np.int64),
        alone=np.array([pieces.alone[k] for k in searched], dtype=np.int64),
        equal=np.array([("eq", "ne").index(o) + 1 if o in ("eq", "ne") else 0 for o in operations], dtype=np.int64),
        given=not pieces.keeps_switches,
    )


@functools.cache
def _fingerprint() -> str:
    """Return the digest of what code depends on besides the model: our sources, versions and this CPU."""
    package = Path(__file__).parents[1]
    sources = [p for part in ("compile", "kernels", "model") for p in sorted((package / part).glob("*.py"))]
    cpu = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    return cache.key(cpu, version("llvmlite"), *(p.read_text(encoding="utf-8") for p in sources))


@functools.cache
def _step_code(width: int, explicit_time: bool) -> bytes:
    """Return the step library's machine code, from the cache on disk where it is there."""
    name = cache.key(_fingerprint(), "steps", str(width), str(explicit_time))
    code = cache.load(_KIND, name)
    if code is None:
        code = compile_object(StepLibrary(width=width, explicit_time=explicit_time).module())
        cache.store(_KIND, name, code)
    return code


def _compile(pieces: Pieces, states: Sequence[str], width: int) -> tuple[Layout, bool, bytes]:
    """Return the workspace's layout, whether derivatives depend on time, and the model's machine code."""
    lowered = lower(pieces, states)
    elimination = plan_elimination(len(states) + lowered.hubs, lowered.pattern)
    emitter = Emitter(lowered, elimination, states=states, constants=pieces.constants, width=width)
    model_text, hoisted = emitter.module()
    layout = plan_layout(
        states=len(states), constants=len(pieces.constants), hoisted=hoisted, factors=len(elimination.slots),
        edges=len(lowered.edges), width=width,
    )  # fmt: skip
    symbols = lowered.graph.symbols([node for _, node in lowered.edges])
    watched = [k for k, s in enumerate(states) if symbol_of(s) in symbols] if lowered.edges else None
    timed = bool(lowered.by_time)
    writer = AttemptWriter(
        layout, states=len(states), width=width, explicit_time=timed, watched=watched, algebraic=pieces.algebraic
    )
    return layout, timed, compile_object(model_text + "\n" + writer.module())

"""Machine code for one trajectory at a time: everything the scalar solver asks of a model's equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from atmpsim.compile.llvm import Formulas, compile_formulas
from atmpsim.model.differentiate import gradients
from atmpsim.model.equations import Equations, EventFormulas
from atmpsim.model.graph import TIME, symbol_of
from atmpsim.model.pieces import Pieces, cut


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """The smooth pieces of a model's equations, and machine code over states and the pieces' constants.

    Attributes
    ----------
    slopes
        Derivatives.
    edges
        The formula of each edge.
    lines
        Value at time 0 and slope of the edges that are affine in time (`lined` has their indices).
    triggers
        Truth of the events' triggers.
    held
        For n states and k held formulas: k values, k x n derivatives by the states, k derivatives by time, and
        n x k directions.
    delays
        For k delayed values: k formulas and k time spans.
    before
        The k formulas for times before the start, over what stands at the start.
    events
        For each event: delay, priority, its assignments' values, and the volumes that make amounts of these.
    """

    equations: Equations
    pieces: Pieces
    lined: tuple[int, ...]
    slopes: Formulas
    edges: Formulas
    lines: Formulas
    triggers: Formulas
    held: Formulas
    delays: Formulas
    before: Formulas
    events: tuple[Formulas, ...]

    @cached_property
    def whole(self) -> Formulas:
        """Derivatives with their jumps in them, which do not look at the leaves of edges."""
        return self._compile({"whole": self.pieces.whole})["whole"]

    def _compile(self, groups: dict[str, Sequence[int]]) -> dict[str, Formulas]:
        pieces = self.pieces
        return compile_formulas(pieces.graph, groups, states=self.equations.states, constants=pieces.constants)


def compile_scalar(equations: Equations) -> Scalar:
    """Return the scalar code of a model's equations."""
    pieces = cut(equations)
    lines = {k: edge.line for k, edge in enumerate(pieces.edges) if edge.line is not None}
    groups = {
        "slopes": pieces.derivatives,
        "edges": tuple(e.formula for e in pieces.edges),
        "lines": tuple(node for line in lines.values() for node in line),
        "triggers": pieces.triggers,
        "held": _held(equations, pieces),
        "delays": (*(d.formula for d in equations.delays.values()), *(d.span for d in equations.delays.values())),
    }
    groups["before"] = tuple(d.before for d in equations.delays.values())
    events = {f"event_{k}": _event(equations, pieces, event) for k, event in enumerate(equations.events)}
    groups |= events
    made = compile_formulas(pieces.graph, groups, states=equations.states, constants=pieces.constants)
    happening = tuple(made.pop(name) for name in events)
    return Scalar(equations=equations, pieces=pieces, lined=tuple(lines), events=happening, **made)


def _event(equations: Equations, pieces: Pieces, event: EventFormulas) -> tuple[int, ...]:
    zero, one = pieces.graph.const(0.0), pieces.graph.const(1.0)
    return (
        zero if event.delay is None else event.delay,
        zero if event.priority is None else event.priority,
        *(node for _, node in event.assignments),
        *(equations.volumes.get(target, one) for target, _ in event.assignments),
    )


def _held(equations: Equations, pieces: Pieces) -> tuple[int, ...]:
    if not pieces.held:
        return ()
    graph, zero = pieces.graph, pieces.graph.const(0.0)
    symbols = [symbol_of(s) for s in equations.states]
    rows = gradients(graph, pieces.held, {*symbols, TIME})
    along = [dict(h.along) for h in equations.held]
    return (
        *pieces.held,
        *(row.get(s, zero) for row in rows for s in symbols),
        *(row.get(TIME, zero) for row in rows),
        *(direction.get(s, zero) for s in equations.states for direction in along),
    )

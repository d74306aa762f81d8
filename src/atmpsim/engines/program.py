"""A model made ready to run: its equations, and machine code that is made when it is first needed."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache

from atmpsim.compile.batch import Batch, compile_batch, goes_in_lanes
from atmpsim.compile.scalar import Scalar, compile_scalar
from atmpsim.model.equations import Equations, write_equations
from atmpsim.model.pieces import Pieces, cut, with_rules
from atmpsim.model.spec import Model


class Way(enum.Enum):
    """How the batch solver runs a model.

    LANES: from beginning to end in vector code. STRETCHES: in vector code from one event to the next, algebraic
    rules included. SCALAR: not, for a model with fast reactions, or that looks back at an earlier time, or with
    functions that have no vector code.
    """

    LANES = enum.auto()
    STRETCHES = enum.auto()
    SCALAR = enum.auto()


@dataclass(frozen=True, eq=False)
class Program:
    """Equations of a model with some initial values fixed by the caller, and their machine code."""

    equations: Equations
    fixed: frozenset[str]

    @cached_property
    def scalar(self) -> Scalar:
        """Scalar code, for LSODA."""
        return compile_scalar(self.equations)

    @cached_property
    def batch(self) -> Batch:
        """Vector code, for the batch solver."""
        return compile_batch(self.equations, pieces=self.pieces, fixed=self.fixed)

    @cached_property
    def pieces(self) -> Pieces:
        """The smooth pieces that go in lanes; switches are kept where a lane is told of all else beforehand."""
        simple = cut(self.equations, keep_switches=True)
        if self.equations.is_plain and all(simple.alone):
            return simple
        return with_rules(cut(self.equations), len(self.equations.unknowns))

    @cached_property
    def way(self) -> Way:
        """How the batch solver can run the model."""
        equations = self.equations
        fast = len(equations.held) > len(equations.unknowns)
        if not equations.states or fast or equations.delays or not goes_in_lanes(self.pieces):
            return Way.SCALAR
        return Way.LANES if self.pieces.keeps_switches else Way.STRETCHES


def prepare(model: Model, *, fixed: Collection[str] = ()) -> Program:
    """Return a model's program; equal models share one for the life of the process.

    `fixed` are the ids whose initial value the caller gives; only those that have an initial assignment matter.
    """
    return _prepare(model, frozenset(fixed) & frozenset(model.initial_assignments))


@lru_cache(maxsize=32)
def _prepare(model: Model, fixed: frozenset[str]) -> Program:
    return Program(write_equations(model, fixed=fixed), fixed)

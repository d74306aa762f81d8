"""A model made ready to run: its equations, and machine code that is made when it is first needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache

from atmpsim.compile.batch import Batch, compile_batch, goes_in_lanes
from atmpsim.compile.scalar import Scalar, compile_scalar
from atmpsim.model.equations import Equations, write_equations
from atmpsim.model.spec import Model


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
        return compile_batch(self.equations, fixed=self.fixed)

    @cached_property
    def goes_in_lanes(self) -> bool:
        """Whether the batch solver can run the model: plain equations, and only functions it has vector code for."""
        return self.equations.is_plain and bool(self.equations.states) and goes_in_lanes(self.equations)


def prepare(model: Model, *, fixed: Collection[str] = ()) -> Program:
    """Return a model's program; equal models share one for the life of the process.

    `fixed` are the ids whose initial value the caller gives; only those that have an initial assignment matter.
    """
    return _prepare(model, frozenset(fixed) & frozenset(model.initial_assignments))


@lru_cache(maxsize=32)
def _prepare(model: Model, fixed: frozenset[str]) -> Program:
    return Program(write_equations(model, fixed=fixed), fixed)

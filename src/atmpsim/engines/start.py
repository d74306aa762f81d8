"""Initial values of a run: numbers from the model, the subject and the user, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.errors import ModelError, did_you_mean
from atmpsim.model.equations import Equations
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of


def initial_leaves(
    equations: Equations, given: Mapping[str, ArrayLike], *, start: float, where: str
) -> dict[str, NDArray[np.float64]]:
    """Return the value of every leaf at the start, broadcast over arrays among the given values.

    Parameters
    ----------
    given
        Values by id (amounts for species) that replace what the model says.

    Raises
    ------
    ModelError
        If a state, or a constant that the equations use, has no value.
    """
    numbers = {k: q.value for k, q in equations.model.quantities.items() if q.value is not None and q.kind != "species"}
    leaves = {*equations.states, *equations.constants} - equations.switches.keys() - equations.delays.keys()
    known = {symbol_of(k): np.asarray(v, dtype=np.float64) for k, v in numbers.items() if k in leaves}
    known |= {symbol_of(k): np.asarray(v, dtype=np.float64) for k, v in given.items()}
    known[TIME] = np.asarray(start)
    waiting = {k: n for k, n in equations.initial.items() if k not in given}
    while waiting:
        ready = [k for k, n in waiting.items() if equations.graph.symbols([n]) <= known.keys()]
        if not ready:
            break
        for key in ready:
            known[symbol_of(key)] = evaluate(equations.graph, [waiting.pop(key)], known)[0]
    _require_values(equations, known, where)
    return {k: known.get(symbol_of(k), np.asarray(np.nan)) for k in leaves}


def _require_values(equations: Equations, known: Mapping[str, object], where: str) -> None:
    formulas = [*equations.derivatives, *equations.switches.values(), *(h.formula for h in equations.held)]
    formulas += [node for delay in equations.delays.values() for node in (delay.formula, delay.span)]
    for event in equations.events:
        formulas += [event.trigger, *(node for _, node in event.assignments)]
        formulas += [node for node in (event.delay, event.priority) if node is not None]
    used = equations.graph.symbols(formulas) | {symbol_of(s) for s in equations.states}
    found_later = (*equations.switches, *equations.delays, *equations.unknowns)
    missing = sorted(used - known.keys() - {symbol_of(s) for s in found_later})
    if missing:
        # what a missing value would follow from is what the user has to give
        unknown = {k: n for k, n in equations.initial.items() if symbol_of(k) not in known}
        causes = equations.graph.symbols(unknown.values()) - known.keys() - {symbol_of(k) for k in unknown}
        missing = sorted(causes) or missing
        raise ModelError(
            where=where,
            found=f"no value for '{missing[0]}'",
            expected="an initial value for every quantity in use",
            remedy=f"Give it in the model ({missing[0]} = …), or as a parameter or initial value of the run.",
        )


def check_given(equations: Equations, given: Mapping[str, object], *, where: str) -> None:
    """Raise if a given id is not one that can be set at the start of a run."""
    model = equations.model
    for identifier in given:
        if identifier in model.assignment_rules:
            raise ModelError(
                where=where,
                found=f"'{identifier}', which the model computes by a rule",
                expected="a quantity with a value of its own",
                remedy="Set what it is computed from.",
            )
        if identifier in equations.unknowns:
            raise ModelError(
                where=where,
                found=f"'{identifier}', which an algebraic rule of the model determines",
                expected="a quantity with a value of its own",
                remedy="Set what the rule computes it from.",
            )
        if model.quantity(identifier) is None:
            raise ModelError(
                where=where,
                found=f"'{identifier}'",
                expected=f"a quantity of model '{model.id}'",
                remedy=did_you_mean(identifier, model.quantities),
            )

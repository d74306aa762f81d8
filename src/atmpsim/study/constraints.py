"""Say where a run breaks what its model says must hold."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.engines.solve import Solution
from atmpsim.model.equations import Equations
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of


def constrained_states(equations: Equations) -> set[str]:
    """Return the states that the model's constraints depend on."""
    symbols = equations.graph.symbols(equations.constraints)
    return {s for s in equations.states if symbol_of(s) in symbols}


def warn_of_violations(equations: Equations, solution: Solution, *, times: NDArray[np.float64], where: str) -> None:
    """Warn of every constraint that does not hold at some sample time, with the first such time and run."""
    if not equations.constraints:
        return
    symbols: dict[str, ArrayLike] = {TIME: times}
    symbols |= {symbol_of(s): solution.states[:, :, k] for k, s in enumerate(solution.names)}
    symbols |= {symbol_of(c): solution.constants[:, :, k] for k, c in enumerate(equations.constants)}
    truths = evaluate(equations.graph, equations.constraints, symbols)
    for k, (truth, constraint) in enumerate(zip(truths, equations.model.constraints, strict=True)):
        broken = np.broadcast_to(truth == 0.0, solution.states.shape[:2])
        if broken.any():
            run, sample = np.argwhere(broken)[0]
            said = f" ({constraint.message})" if constraint.message else ""
            warnings.warn(
                f"{where} run {run} at {times[sample]:.6g}: found that constraint {k + 1} of the model does not "
                f"hold{said}, expected it to. The values are kept; judge them.",
                RuntimeWarning,
                stacklevel=3,
            )

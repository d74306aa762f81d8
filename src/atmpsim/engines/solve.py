"""Run trajectories of one model: in lanes where the model allows it, by LSODA otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from atmpsim.engines.ensemble import Ensemble, FloatArray, IntArray
from atmpsim.engines.program import Program, Way
from atmpsim.engines.trajectory import Failure, Tolerances, Trajectory
from atmpsim.model.equations import Equations
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of
from atmpsim.scenario.dosing import SAMPLE_AFTER

METHODS = ("rosenbrock", "lsoda")
_RETRY = 0.01  # tolerance of a second try, of the first


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """The trajectories of an ensemble.

    `states` (trajectory, time, state) of the states called `names`, `constants` (trajectory, time, constant), and
    `steps` (trajectory,); NaN from a failure on. `retries` are those that had to run again at a tighter
    tolerance, `fallbacks` those of them that LSODA had to run in the end.
    """

    names: tuple[str, ...]
    states: FloatArray
    constants: FloatArray
    steps: IntArray
    failures: Mapping[int, Failure] = field(default_factory=dict)
    retries: tuple[int, ...] = ()
    fallbacks: tuple[int, ...] = ()


def solve(
    program: Program,
    ensemble: Ensemble,
    *,
    times: FloatArray,
    tolerances: Tolerances,
    states: Collection[str] | None = None,
    method: str = METHODS[0],
    sample: str = SAMPLE_AFTER,
    threads: int | None = None,
) -> Solution:
    """Return the trajectories of an ensemble.

    Parameters
    ----------
    states
        The states to keep (see `needed_states`); all by default.
    method
        `rosenbrock` runs side by side what the model allows; what fails gets a second try at a hundredth of the
        tolerance, and then falls back to LSODA. `lsoda` runs everything by LSODA, one after the other.
    threads
        For `rosenbrock`; results do not depend on it. All cores by default.
    """
    kept = [k for k, s in enumerate(program.equations.states) if states is None or s in states]
    names = tuple(program.equations.states[k] for k in kept)

    def scalar(k: int) -> Trajectory:
        from atmpsim.engines.lsoda import integrate  # SciPy's integrators take half a second to import

        return integrate(
            program.scalar, leaves=ensemble.leaves(program.equations, k), schedule=ensemble.schedule(k), times=times,
            tolerances=tolerances, sample=sample,
        )  # fmt: skip

    if method == "lsoda" or program.way is Way.SCALAR:
        return _from_trajectories([scalar(k) for k in range(ensemble.size)], names, kept)

    def vector(part: Ensemble, limits: Tolerances) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
        if program.way is Way.STRETCHES:
            from atmpsim.engines.stretches import integrate_stretches

            found, constants, status, steps = integrate_stretches(
                program, part, times=times, tolerances=limits, sample=sample, threads=threads
            )
            return found[:, :, kept], constants, status, steps
        from atmpsim.engines.batch import integrate_batch  # compiles the kernels

        found, status, steps = integrate_batch(
            program.equations, program.batch, ensemble=part, times=times, kept=np.array(kept, dtype=np.int64),
            tolerances=limits, sample=sample, threads=threads,
        )  # fmt: skip
        constants = part.constants[:, None, :]
        return found, np.broadcast_to(constants, (*found.shape[:2], constants.shape[2])), status, steps

    found, constants, status, steps = vector(ensemble, tolerances)
    retries = np.flatnonzero(status)
    if retries.size:
        constants = constants if program.way is Way.LANES else constants.copy()
        # near 0 an error of the tolerance may cross into where the model has no solution; a smaller one need not
        found[retries], again, status[retries], steps[retries] = vector(ensemble.take(retries), _tighter(tolerances))
        if program.way is not Way.LANES:
            constants[retries] = again
    by_lsoda = {int(k): scalar(int(k)) for k in np.flatnonzero(status)}
    for k, trajectory in by_lsoda.items():
        found[k], steps[k] = trajectory.states[:, kept], trajectory.steps
        if program.way is not Way.LANES:
            constants[k] = trajectory.constants
    return Solution(
        names=names,
        states=found,
        constants=constants,
        steps=steps,
        failures={k: t.failure for k, t in by_lsoda.items() if t.failure is not None},
        retries=tuple(retries.tolist()),
        fallbacks=tuple(by_lsoda),
    )


def _tighter(tolerances: Tolerances) -> Tolerances:
    return replace(tolerances, rtol=_RETRY * tolerances.rtol, atol=_RETRY * tolerances.atol)


def _from_trajectories(done: Sequence[Trajectory], names: tuple[str, ...], kept: Sequence[int]) -> Solution:
    return Solution(
        names=names,
        states=np.stack([t.states[:, kept] for t in done]),
        constants=np.stack([t.constants for t in done]),
        steps=np.array([t.steps for t in done]),
        failures={k: t.failure for k, t in enumerate(done) if t.failure is not None},
    )


def needed_states(equations: Equations, select: Sequence[str]) -> set[str]:
    """Return the states that the selected ids depend on."""
    symbols = equations.graph.symbols([equations.values[s] for s in select])
    return {s for s in equations.states if symbol_of(s) in symbols}


def observe(
    equations: Equations, solution: Solution, *, times: FloatArray, select: Sequence[str]
) -> dict[str, FloatArray]:
    """Return the values (run, time) of the selected ids (`S` an amount, `[S]` a concentration); NaN after failures."""
    symbols = {TIME: times}
    symbols |= {symbol_of(s): solution.states[:, :, k] for k, s in enumerate(solution.names)}
    symbols |= {symbol_of(c): solution.constants[:, :, k] for k, c in enumerate(equations.constants)}
    values = evaluate(equations.graph, [equations.values[s] for s in select], symbols)
    shape = solution.states.shape[:2]
    found = {}
    for name, value in zip(select, values, strict=True):
        found[name] = np.array(np.broadcast_to(value, shape))
        for k, failure in solution.failures.items():
            found[name][k, times >= failure.time] = np.nan
    return found

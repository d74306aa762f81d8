"""The batch solver: work against precision, share of the machine's peak, scaling, and time to compile.

`python -m benchmarks ode [TRAJECTORIES [WORKLOAD|scaling ...]]` prints, for each workload and tolerance, trajectories
per second and the achieved error of the batch solver and of its peers, interleaved in one process on one core, by
processor time; the median over the rounds of the ratios at equal achieved error (log-log interpolation between
tolerances); how the time scales with states, trajectories and threads; compile times; and ends with one line of JSON.

The error of a trajectory is the largest over states and samples of `|y - exact| / (|exact| + 1e-4 peak)`. Exact is
the batch solver at rtol 1e-11, whose distance from LSODA on scalar code at rtol 1e-12 is printed.
"""

from __future__ import annotations

import json
import math
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.engines.ensemble import Ensemble, gather
from atmpsim.engines.program import Program, prepare
from atmpsim.engines.solve import Solution, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Tolerances
from atmpsim.scenario.dosing import expand
from benchmarks import _scaling
from benchmarks._machine import flops_per_attempt, fma_peak
from benchmarks._peers import NumbaLsoda, RoadRunner
from benchmarks._workloads import Workload, workloads

FloatArray = NDArray[np.float64]
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
WANTED = (1e-3, 1e-5, 1e-6)
REPEATS, SECONDS = 5, 20.0  # rounds of all tolerances, at least, and how long they go on
EXACT, CHECKED = 100, 2  # trajectories with an exact solution, and those of them that LSODA checks


def main(arguments: Sequence[str]) -> None:
    """Print a table for each workload and one line of JSON at the end."""
    count = int(arguments[0]) if arguments else 1024
    names = arguments[1:]
    known = {w.name: w for w in workloads()}
    found: dict[str, object] = {n: _compare(w, count) for n, w in known.items() if not names or n in names}
    if "msc_pbpk38" in known and (not names or "scaling" in names):
        found["scaling"] = _scaling.measure(known["msc_pbpk38"])
    print(json.dumps(found))


class _Achieved(NamedTuple):
    """What one solution came to: median and 99th percentile of the errors, second tries, fallbacks, mean attempts."""

    median: float
    high: float
    retried: int = 0
    fallbacks: int = 0
    steps: float = math.nan


Rates = Mapping[tuple[str, float], Sequence[float]]
_OURS = "ours"


def _compare(workload: Workload, count: int) -> dict[str, object]:
    program = prepare(workload.model)
    ensemble = ensemble_of(workload, program, count)
    exact = _exact(workload, program, ensemble)
    peers = [RoadRunner(workload, program, ensemble)]
    if workload.name == "msc_pbpk38":
        peers += _numbalsoda(workload, program, ensemble)
    ours_once(workload, program, ensemble, 1e-2)  # compiled before it counts
    print(f"\n{workload.name}: {len(program.equations.states)} states, width {program.batch.width}")
    names = [p.name for p in peers]
    print(
        "tolerance    ours/s   median      99 %  retried  by LSODA"
        + "".join(f" | {n + '/s':>15}   median" for n in names)
    )
    solvers = {_OURS: partial(ours_once, workload, program, ensemble), **{p.name: p.run for p in peers}}
    rates, achieved, peak = _rounds(solvers, lambda found: _achieved(workload, program, found, exact))
    for tolerance in TOLERANCES:
        own = achieved[_OURS, tolerance]
        line = f"{tolerance:9.0e} {statistics.median(rates[_OURS, tolerance]):9.0f} {own.median:8.1e}  {own.high:8.1e} "
        line += f"{own.retried:8d} {own.fallbacks:9d}"
        for name in names:
            line += f" | {statistics.median(rates[name, tolerance]):15.1f} {achieved[name, tolerance].median:8.1e}"
        print(line)
    result: dict[str, object] = {
        "error / tolerance": {f"{t:.0e}": round(achieved[_OURS, t].median / t, 2) for t in TOLERANCES}
    }
    for name in names:
        ratios = {f"{e:.0e}": round(_ratio(rates, achieved, name, e), 1) for e in WANTED}
        print(f"times {name} at equal error: " + ", ".join(f"{r:g} at {e}" for e, r in ratios.items()))
        result[name] = ratios
    steps, flops = achieved[_OURS, 1e-6].steps, flops_per_attempt(program, width=program.batch.width)
    share = statistics.median(rates[_OURS, 1e-6]) * steps * flops / peak
    print(f"{flops:.0f} flop per attempt, {steps:.0f} attempts at 1e-6: {100 * share:.0f} % of the measured FMA peak "
          f"({peak / 1e9:.0f} GFLOP/s)")  # fmt: skip
    return {**result, "share of FMA peak": round(share, 3)}


def _rounds(
    solvers: Mapping[str, Callable[[float], tuple[float, Any]]], judge: Callable[[Any], _Achieved]
) -> tuple[Rates, dict[tuple[str, float], _Achieved], float]:
    """Return the rates of each solver and tolerance in every round, what they achieve, and the median FMA peak.

    All tolerances in each round: rates at several are compared, and machines change their pace. No solution is kept,
    for a next one would then have to be written to memory that is new to the process.
    """
    rates: dict[tuple[str, float], list[float]] = {(name, t): [] for t in TOLERANCES for name in solvers}
    achieved, peak, began = {}, [], time.perf_counter()
    while len(peak) < REPEATS or time.perf_counter() - began < SECONDS:
        for (name, tolerance), found in rates.items():
            rate, solution = solvers[name](tolerance)
            found.append(rate)
            if (name, tolerance) not in achieved:
                achieved[name, tolerance] = judge(solution)
            del solution
        peak.append(fma_peak())
    return rates, achieved, statistics.median(peak)


def _achieved(workload: Workload, program: Program, found: Solution | FloatArray, exact: FloatArray) -> _Achieved:
    if not isinstance(found, Solution):
        errors = _errors(workload, program, found, exact[: len(found)])
        return _Achieved(float(np.nanmedian(errors)), float(np.nanpercentile(errors, 99)))
    errors = _errors(workload, program, found.states[:EXACT], exact)
    return _Achieved(
        float(np.median(errors)), float(np.percentile(errors, 99)), len(found.retries), len(found.fallbacks),
        float(found.steps.mean()),
    )  # fmt: skip


def _numbalsoda(workload: Workload, program: Program, ensemble: Ensemble) -> list[NumbaLsoda]:
    try:
        return [NumbaLsoda(workload, program, ensemble)]
    except ImportError:
        print("numbalsoda is not installed (extra `bench`; it needs a Fortran compiler): left out")
        return []


def ensemble_of(workload: Workload, program: Program, count: int) -> Ensemble:
    """Return the workload's virtual patients."""
    leaves = initial_leaves(program.equations, workload.draw(count), start=0.0, where=workload.name)
    schedule = expand(workload.doses, start=0.0, end=float(workload.times[-1]), where=workload.name)
    return gather(program.equations, leaves, count=count, schedules=[schedule])


def limits(program: Program, tolerance: float) -> Tolerances:
    """Return tolerances whose absolute part is 1e-4 of the relative one in the state's unit."""
    return Tolerances(rtol=tolerance, atol=np.full(len(program.equations.states), 1e-4 * tolerance))


def _exact(workload: Workload, program: Program, ensemble: Ensemble) -> FloatArray:
    few = ensemble.take(range(min(EXACT, ensemble.size)))
    _, solution = ours_once(workload, program, few, 1e-11)
    checked = solve(
        program, few.take(range(CHECKED)), times=workload.times, tolerances=limits(program, 1e-12), method="lsoda",
        sample="before",
    )  # fmt: skip
    distance = _errors(workload, program, solution.states[:CHECKED], checked.states).max()
    print(f"\n{workload.name}: exact solutions differ from LSODA's by {distance:.1e}")
    return solution.states


def ours_once(
    workload: Workload, program: Program, ensemble: Ensemble, tolerance: float, *, threads: int = 1
) -> tuple[float, Solution]:
    """Return trajectories per second of processor time, planning included, and the solution."""
    started = time.process_time()
    solution = solve(
        program, ensemble, times=workload.times, tolerances=limits(program, tolerance), sample="before",
        threads=threads,
    )  # fmt: skip
    return ensemble.size / (time.process_time() - started), solution


def _errors(workload: Workload, program: Program, found: FloatArray, exact: FloatArray) -> FloatArray:
    keep = [k for k, s in enumerate(program.equations.states) if s not in workload.left_out]
    peak = np.abs(exact).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(found - exact) / (np.abs(exact) + 1e-4 * peak)
    relative = np.where(peak > workload.floor, relative, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trajectory that the peer gave up is NaN throughout
        return np.nanmax(relative[:, :, keep], axis=(1, 2))


def _ratio(rates: Rates, achieved: Mapping[tuple[str, float], _Achieved], name: str, error: float) -> float:
    """Return the median over the rounds of our rate over another's at one error."""

    def at(solver: str, k: int) -> float:
        return _at([(achieved[solver, t].median, rates[solver, t][k]) for t in TOLERANCES], error)

    return statistics.median(at(_OURS, k) / at(name, k) for k in range(len(rates[name, TOLERANCES[0]])))


def _at(points: Sequence[tuple[float, float]], error: float) -> float:
    """Return the rate at an achieved error, interpolated log-log."""
    ordered = sorted(p for p in points if all(map(math.isfinite, p)))
    return float(np.exp(np.interp(np.log(error), *(np.log([p[k] for p in ordered]) for k in (0, 1)))))

"""Simulate a model from Python: one run, or a batch where parameters are arrays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.agents.spec import AgentModel
from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import prepare
from atmpsim.engines.solve import METHODS, Solution, needed_states, observe, solve
from atmpsim.engines.start import check_given, initial_leaves
from atmpsim.engines.trajectory import Status, Tolerances
from atmpsim.errors import InputError, ModelError, did_you_mean, one_of
from atmpsim.model.equations import Equations
from atmpsim.model.spec import Model
from atmpsim.results.dataset import statuses, trajectories
from atmpsim.results.variables import UNKNOWN_UNIT, describe
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.dosing import SAMPLE_AFTER, SAMPLE_BEFORE, Dose, expand
from atmpsim.study.constraints import constrained_states, warn_of_violations
from atmpsim.study.failure import failure_message
from atmpsim.study.models import load_model

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
DEFAULT_RTOL = 1e-6
ATOL_OVER_RTOL = 1e-4
_OWN_NAMES = ("time", "run", "status", "message")


def simulate(
    model: Model | AgentModel | str | os.PathLike[str],
    *,
    times: ArrayLike,
    parameters: Mapping[str, Any] | None = None,
    initial: Mapping[str, Any] | None = None,
    doses: Sequence[Dose] = (),
    select: Sequence[str] | None = None,
    rtol: float = DEFAULT_RTOL,
    atol: ArrayLike | None = None,
    solver: str = METHODS[0],
    sample: str = SAMPLE_AFTER,
    start: float = 0.0,
    seed: int | None = None,
) -> xr.Dataset:
    """Return the time course of a model as a labelled dataset.

    Parameters
    ----------
    model
        A model, a shipped model's id, or the path of an Antimony, SBML or PhysiCell settings file.
    times
        Sample times, not decreasing, from `start` on. Numbers are in the model's unit of time everywhere here;
        quantities with a unit (text or pint) are converted.
    parameters
        Values that replace the model's, by id. Arrays of one length N make a batch of N runs (dimension `run`).
    initial
        Initial values of species: `S` an amount, `[S]` a concentration; and of parameters with a rate rule.
    doses
        Doses; `into` is a species or another state.
    select
        What to return: `S` is an amount, `[S]` a concentration, any other id itself. By default the model's
        declared outputs, or all its species.
    rtol, atol
        Relative and absolute tolerance; `atol` is one number or one per state, by default 1e-4 * rtol in the
        state's unit.
    solver
        `rosenbrock` (compiled, many runs side by side) or `lsoda` (SciPy's, the independent reference).
    sample
        Whether a sample at the very time of a dose or event shows the state `after` it or `before`.
    seed
        Root of an agent model's random numbers. Such a model takes times, parameters, initial, doses and select,
        see `study.agent_simulate`; what only equations have (tolerances, solver, sample, start) it refuses.

    Returns
    -------
    Dataset
        One variable per selected id over `time` (and `run`), with `status` and `message`. What follows a failure
        is NaN, and a warning says what happened.

    Raises
    ------
    InputError
        If anything given does not fit the model.

    Examples
    --------
    >>> ds = simulate("celyvir", times=[0.0, 1.0], doses=[Dose(into="venous_msc_loaded", amount=4e7)])
    >>> ds["time"].attrs["units"]
    'd'
    """
    model = model if isinstance(model, Model | AgentModel) else load_model(model)
    if isinstance(model, AgentModel):
        from atmpsim.study.agent_simulate import only_for_equations, simulate_agent_model

        only_for_equations(model, rtol=rtol != DEFAULT_RTOL, atol=atol is not None, solver=solver != METHODS[0],
                           sample=sample != SAMPLE_AFTER, start=start != 0.0)  # fmt: skip
        return simulate_agent_model(model, times=times, parameters=parameters or {}, initial=initial or {}, doses=doses,
                                    select=select, seed=seed)  # fmt: skip
    where = f"simulate('{model.id}')"
    if seed is not None:
        raise InputError(where=f"{where} seed", found=f"{seed}", expected="none: nothing in this model is drawn")
    _check_choice(solver, METHODS, f"{where} solver")
    _check_choice(sample, (SAMPLE_AFTER, SAMPLE_BEFORE), f"{where} sample")
    grid = sample_times(model, times, start, where)
    given = given_values(model, parameters or {}, initial or {}, where)
    program = prepare(model, fixed=given)
    equations = program.equations
    check_given(equations, given, where=where)
    converted = [_convert_dose(model, equations, dose, where) for dose in doses]
    schedule = expand(converted, start=start, end=float(grid[-1]), where=where)
    chosen = _select(equations, select, where)
    leaves = initial_leaves(equations, given, start=start, where=where)
    count = batch_size(given, where)
    ensemble = gather(equations, leaves, count=count or 1, schedules=[schedule])
    limits = tolerances(equations, rtol=rtol, atol=atol, where=where)
    states = needed_states(equations, chosen) | constrained_states(equations)
    solution = solve(
        program, ensemble, times=grid, tolerances=limits, states=states, method=solver, sample=sample
    )  # fmt: skip
    warn_of_violations(equations, solution, times=grid, where=where)
    dataset = _label(equations, solution, grid, chosen)
    return with_runs(dataset, model, given, single=count is None)


def tolerances(
    equations: Equations, *, rtol: float, atol: ArrayLike | None, where: str, max_steps: int = 100_000
) -> Tolerances:
    """Return checked tolerances, one absolute tolerance per state."""
    _check_positive(rtol, f"{where} rtol", below=0.1)
    given = np.asarray(ATOL_OVER_RTOL * rtol if atol is None else atol, dtype=np.float64)
    if given.shape not in ((), (len(equations.states),)):
        raise InputError(
            where=f"{where} atol",
            found=f"an array of shape {given.shape}",
            expected=f"one number, or one per state ({len(equations.states)})",
        )
    each = np.broadcast_to(given, (len(equations.states),))
    for value in np.unique(each):
        _check_positive(float(value), f"{where} atol", below=np.inf)
    return Tolerances(rtol=float(rtol), atol=np.array(each), max_steps=max_steps)


def _check_positive(value: float, where: str, *, below: float) -> None:
    if isinstance(value, bool) or not 0.0 < float(value) < below:
        limit = f" below {below:g}" if np.isfinite(below) else ""
        raise InputError(where=where, found=repr(value), expected=f"a number above 0{limit}")


def _check_choice(value: str, allowed: Sequence[str], where: str) -> None:
    if value not in allowed:
        raise InputError(
            where=where, found=repr(value), expected=one_of(allowed), remedy=did_you_mean(str(value), allowed)
        )


def sample_times(model: Model, times: ArrayLike, start: float, where: str) -> FloatArray:
    """Return checked sample times in the model's unit of time."""
    given = in_model_units(times, unit=model.time_unit, where=f"{where} times")
    grid = np.ascontiguousarray(np.atleast_1d(np.asarray(given, dtype=float)))
    if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all():
        raise InputError(where=f"{where} times", found=repr(times)[:60], expected="finite times, at least one")
    if (np.diff(grid) < 0).any() or grid[0] < start:
        raise InputError(
            where=f"{where} times", found=repr(times)[:60], expected=f"times that do not decrease, from {start:g} on"
        )
    return grid


def given_values(
    model: Model, parameters: Mapping[str, Any], initial: Mapping[str, Any], where: str
) -> dict[str, FloatArray]:
    """Return values by id, in the model's units, of parameters and of first states."""
    given = {}
    for identifier, value in parameters.items():
        if identifier in model.species:
            raise ModelError(
                where=f"{where} parameters",
                found=f"the species '{identifier}'",
                expected="a parameter or compartment",
                remedy="Give it under initial.",
            )
        given[identifier] = _value(model, identifier, value, f"{where} parameters")
    for name, value in initial.items():
        identifier = name.strip("[]")
        if name != identifier:
            given[identifier] = _amount(model, identifier, value, given, where)
        else:
            given[identifier] = _value(model, identifier, value, f"{where} initial")
    return given


def _value(model: Model, identifier: str, value: Any, where: str) -> FloatArray:
    quantity = model.quantity(identifier)
    if quantity is None:
        raise ModelError(
            where=where,
            found=f"'{identifier}'",
            expected=f"a quantity of model '{model.id}'",
            remedy=did_you_mean(identifier, model.quantities),
        )
    array = np.asarray(in_model_units(value, unit=quantity.unit, where=f"{where} {identifier}"), dtype=np.float64)
    if array.ndim > 1 or not np.isfinite(array).all():
        raise InputError(where=f"{where} {identifier}", found=repr(value)[:60], expected="a finite number or a list")
    return array


def _amount(model: Model, identifier: str, value: Any, given: Mapping[str, FloatArray], where: str) -> FloatArray:
    species = model.species.get(identifier)
    if species is None:
        raise ModelError(
            where=f"{where} initial",
            found=f"'[{identifier}]'",
            expected="the concentration of a species",
            remedy=did_you_mean(identifier, model.species),
        )
    volume = given.get(species.compartment, model.compartments[species.compartment].value)
    if volume is None:
        raise ModelError(
            where=f"{where} initial",
            found=f"'[{identifier}]' in a compartment without a size",
            expected="an amount",
            remedy=f"Give '{identifier}' instead.",
        )
    return np.asarray(value, dtype=np.float64) * volume


def batch_size(given: Mapping[str, FloatArray], where: str) -> int | None:
    """Return the one length of all arrays that are given, None if there is none."""
    sizes = {k: v.size for k, v in given.items() if v.ndim}
    if len(set(sizes.values())) > 1:
        raise InputError(
            where=f"{where} parameters",
            found=", ".join(f"{k} of length {n}" for k, n in sizes.items()),
            expected="arrays of one length",
        )
    return next(iter(sizes.values()), None)


def _convert_dose(model: Model, equations: Equations, dose: Dose, where: str) -> Dose:
    from dataclasses import replace

    from atmpsim.scenario.convert import dose_in_model_units

    return replace(dose_in_model_units(dose, model=model, states=equations.dosable, where=f"{where} doses"))


def _select(equations: Equations, select: Sequence[str] | None, where: str) -> tuple[str, ...]:
    chosen = tuple(select) if select is not None else equations.model.outputs
    for name in chosen:
        if name in _OWN_NAMES:
            raise InputError(
                where=f"{where} select",
                found=f"'{name}', a name that the dataset itself uses",
                expected="another id",
                remedy="Rename the quantity in the model.",
            )
        if name not in equations.values:
            raise InputError(
                where=f"{where} select",
                found=f"'{name}'",
                expected="an id of the model, or [species]",
                remedy=did_you_mean(name, equations.values),
            )
    return chosen


def _label(equations: Equations, solution: Solution, grid: FloatArray, chosen: Sequence[str]) -> xr.Dataset:
    model = equations.model
    values = observe(equations, solution, times=grid, select=chosen)
    variables = {name: describe(model, name) for name in chosen}
    dataset = trajectories(values, times=grid, time_units=model.time_unit or UNKNOWN_UNIT, variables=variables)
    failures = [solution.failures.get(k) for k in range(len(solution.states))]
    messages = [failure_message(model, failure, where=f"run {k}") for k, failure in enumerate(failures)]
    for message in filter(None, messages):
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    codes = [failure.status if failure else Status.OK for failure in failures]
    return dataset.merge(statuses(codes, messages))


def with_runs(dataset: xr.Dataset, model: Model, given: Mapping[str, FloatArray], *, single: bool) -> xr.Dataset:
    """Return a dataset of a batch with what was swept as coordinates, or of its only run."""
    if single:
        return dataset.isel(run=0)
    swept = {k: ("run", v, describe(model, k).attributes()) for k, v in given.items() if v.ndim}
    return dataset.assign_coords({"run": np.arange(dataset.sizes["run"]), **swept})

"""Simulate an agent model from Python: one run, or a batch where parameters are arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.agents.face import face
from atmpsim.agents.outputs import Output, outputs
from atmpsim.agents.settable import words
from atmpsim.agents.spec import AgentModel
from atmpsim.engines.agents import AgentRun, simulate_agents
from atmpsim.engines.trajectory import Status
from atmpsim.errors import InputError, ModelError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.results.dataset import statuses, trajectories
from atmpsim.results.variables import describe
from atmpsim.scenario.agent_doses import set_values, with_doses
from atmpsim.scenario.convert import dose_in_model_units
from atmpsim.scenario.dosing import Dose, Schedule, expand
from atmpsim.study.agent_runs import curve
from atmpsim.study.simulate import batch_size, given_values, sample_times, with_runs

if TYPE_CHECKING:
    import xarray as xr

_NO_PLACE = "Give it in a scenario, whose doses have a place."


def only_for_equations(model: AgentModel, **given: bool) -> None:
    """Raise for the first option that is given though only equations have it.

    Raises
    ------
    InputError
    """
    for name, is_given in given.items():
        if is_given:
            raise InputError(where=f"simulate('{model.name}') {name}", found=f"the option '{name}'",
                             expected="it for models of equations only", remedy="Leave it out.")  # fmt: skip


def simulate_agent_model(
    model: AgentModel, *, times: ArrayLike, parameters: Mapping[str, Any], initial: Mapping[str, Any],
    doses: Sequence[Dose], select: Sequence[str] | None, seed: int | None,
) -> xr.Dataset:  # fmt: skip
    """Return the time course of an agent model as a labelled dataset.

    Parameters
    ----------
    times
        Sample times, rising, multiples of the mechanics step; numbers are minutes. A sample shows the state before
        the step that begins there.
    parameters
        Settable numbers by id, as in scenarios (`atmpsim models show` lists them). Arrays of one length make a batch.
    initial
        Numbers of cells by type, amounts of substrates.
    doses
        Cells that enter beside the type of the file's arrival, else anywhere. They replace the arrivals of the file.
    select
        Outputs; by default those that a scenario keeps.
    seed
        By default that of the file, else 0. All runs of a batch share it.

    Raises
    ------
    InputError
        If anything given does not fit the model.
    """
    view, where = face(model), f"simulate('{model.name}')"
    grid = sample_times(view, times, 0.0, where)
    _check_initial(view, initial, where)
    given = given_values(view, parameters, initial, where)
    _check_given(view, given, where)
    count = batch_size(given, where)
    schedule = expand([_dose(model, view, d, where) for d in doses], start=0.0, end=float(grid[-1]), where=where)
    chosen = _select(model, view, select, where)
    found = [
        _run(model, {name: float(v.flat[min(k, v.size - 1)]) for name, v in given.items()},
             schedule if doses else None, grid, seed, where)
        for k in range(count or 1)
    ]  # fmt: skip
    dataset = trajectories(
        {one.id: np.stack([curve(one, run) for run in found]) for one in chosen}, times=grid,
        time_units=view.time_unit, variables={one.id: describe(view, one.id) for one in chosen},
    )  # fmt: skip
    messages = [f"{where} run {k}: found that {run.stop}." if run.stop else "" for k, run in enumerate(found)]
    for message in filter(None, messages):
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    codes = [Status.STOPPED if run.stop else Status.OK for run in found]
    return with_runs(dataset.merge(statuses(codes, messages)), view, given, single=count is None)


def _run(
    model: AgentModel, given: Mapping[str, float], schedule: Schedule | None, times: NDArray[np.float64],
    seed: int | None, where: str,
) -> AgentRun:  # fmt: skip
    root = seed if seed is not None else model.options.seed or 0
    made = set_values(model, given, seed=root, where=where)
    if schedule is not None:
        made = with_doses(made, schedule, minutes=1.0, where=where)
    return simulate_agents(made, times=times, seed=root)


def _check_initial(view: Model, initial: Mapping[str, Any], where: str) -> None:
    for name in initial:
        if name not in view.species:
            raise ModelError(where=f"{where} initial", found=f"'{name}'",
                             expected="a cell type (a number of cells) or a substrate (an amount)",
                             remedy=did_you_mean(name, view.species))  # fmt: skip


def _check_given(view: Model, given: Mapping[str, NDArray[np.float64]], where: str) -> None:
    """Raise for what is given and follows from the cells, or is no quantity of theirs."""
    for name in given:
        quantity = view.parameters.get(name)
        if name not in view.species and (quantity is None or not quantity.constant):
            raise ModelError(where=where, found=f"a value for '{name}'",
                             expected="a number that the files set, a cell type or a substrate")  # fmt: skip


def _dose(model: AgentModel, view: Model, dose: Dose, where: str) -> Dose:
    types, substrates = words(model)
    if dose.into in substrates:
        raise InputError(where=f"{where} doses", found=f"a dose of the substrate '{dose.into}', which needs a place",
                         expected="doses of cells", remedy=_NO_PLACE)  # fmt: skip
    made: Dose = dose_in_model_units(dose, model=view, states=types, where=f"{where} doses")
    return made


def _select(model: AgentModel, view: Model, select: Sequence[str] | None, where: str) -> list[Output]:
    known = {one.id: one for one in outputs(model)}
    chosen = [one.id for one in known.values() if one.main] if select is None else list(select)
    for name in chosen:
        if name not in known:
            raise InputError(where=f"{where} select", found=f"'{name}'", expected="an output of the model",
                             remedy=did_you_mean(name, [*known]))  # fmt: skip
    return [known[name] for name in chosen]

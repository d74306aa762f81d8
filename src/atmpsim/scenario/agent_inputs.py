"""Agent models in a scenario: their files as texts, the model they make, and the scenario that settings are alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.composition import windowed
from atmpsim.agents.extension import Arrival
from atmpsim.agents.face import TIME_UNITS
from atmpsim.agents.physicell import load_agents, read_agents
from atmpsim.agents.settable import words
from atmpsim.agents.spec import AgentModel
from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.convert import in_model_units, with_unit

if TYPE_CHECKING:
    from atmpsim.scenario.reader import Inputs
    from atmpsim.scenario.schema import AgentsTable, ScenarioFile

_MODEL = "model: "  # before the name of a file that a model names, to tell it from those that the scenario names
_MOST_SNAPSHOTS = 13


def companion_texts(path: Path) -> dict[str, str]:
    """Return the texts of the files that a settings file names.

    Raises
    ------
    ScenarioError, ModelError
        If it is no PhysiCell settings file, or one of the files cannot be used.
    """
    if path.suffix.lower() != ".xml":
        raise ScenarioError(where=f"model '{path.name}'", found=f"a file that ends in '{path.suffix}'",
                            expected="PhysiCell settings (.xml)",
                            remedy='Leave engine = "agents" out for Antimony and SBML models.')  # fmt: skip
    texts = load_agents(path).text
    return {f"{_MODEL}{name}": text for name, text in texts.items() if name != path.name}


def agent_model(inputs: Inputs, scenario: ScenarioFile, *, where: str) -> AgentModel:
    """Return the agent model of a scenario: that of its files, in the window that is asked for."""
    companions = {k.removeprefix(_MODEL): v for k, v in inputs.tables.items() if k.startswith(_MODEL)}
    options = scenario.agents
    model = read_agents(inputs.model_text, Path(inputs.model_file), compatibility=options.compatibility or "",
                        companions=companions)  # fmt: skip
    if options.mechanics_step is not None:
        model = _with_step(model, options.mechanics_step, where=f"{where} [agents] mechanics_step")
    if options.window is None:
        return model
    place = f"{where} [agents] window"
    size = [float(in_model_units(text, unit="um", where=place)) for text in options.window]
    return windowed(model, size, where=place)


def _with_step(model: AgentModel, text: str, *, where: str) -> AgentModel:
    """Return a model with another mechanics step, which must divide the phenotype step."""
    step, phenotype = float(in_model_units(text, unit="min", where=where)), model.steps.phenotype
    parts = phenotype / step if step > 0 else 0.0
    if parts < 1 - 1e-9 or abs(parts - round(parts)) > 1e-9 * parts:
        raise ScenarioError(where=where, found=f"'{text}'", expected=f"a part of the phenotype step, {phenotype:g} min")
    return replace(model, steps=replace(model.steps, mechanics=step))


def time_unit(scenario: ScenarioFile, *, where: str) -> str:
    """Return the unit in which an agent model's time is counted: that of the scenario's end."""
    unit = f"{with_unit(scenario.time.end, unit='d', where=f'{where} [time] end').units:~C}"
    return unit if unit in TIME_UNITS else "d"


def settings_scenario(path: Path) -> tuple[dict[str, Any], int]:
    """Return the tables of the scenario that a settings file is by itself, and its seed.

    Samples are those of its full data, with at most 13 snapshots; its arrivals are the doses.
    """
    model = load_agents(path)
    steps = model.steps
    count = int(steps.end / steps.save_every + 1e-9)
    shots = np.unique(np.linspace(0, count, min(count + 1, _MOST_SNAPSHOTS)).round()) * steps.save_every
    return {
        "schema": 1, "title": model.name, "model": path.name, "engine": "agents",
        "time": {"end": f"{steps.end!r} min", "every": f"{steps.save_every!r} min"},
        "dose": [_dose(model, k, arrival) for k, arrival in enumerate(model.extension.arrivals, 1)],
        "agents": {"snapshots": [f"{float(t)!r} min" for t in shots]},
    }, model.options.seed or 0  # fmt: skip


def _dose(model: AgentModel, number: int, arrival: Arrival) -> dict[str, Any]:
    first = arrival.times[0]
    made: dict[str, Any] = {
        "name": f"arrival_{number}", "into": words(model)[0][arrival.cell_type], "amount": f"{arrival.number!r} cell",
        "time": f"{first!r} min", "number": "exact" if arrival.exact else "poisson",
    }  # fmt: skip
    if arrival.duration:
        made["duration"] = f"{arrival.duration!r} min"
    if len(arrival.times) > 1:
        made |= {"every": f"{arrival.times[1] - first!r} min", "count": len(arrival.times)}
    return made


def check_options(scenario: ScenarioFile, model: AgentModel, times: NDArray[np.float64], *, where: str) -> None:
    """Raise unless the times and substrates of `[agents]` are those of the samples and the model.

    Raises
    ------
    ScenarioError, UnitError
        Naming the first that is not.
    """
    options, unit = scenario.agents, time_unit(scenario, where=where)
    _check_substrates([*options.field_steps, *(options.snapshot_fields or ())], model, where=f"{where} [agents]")
    steps = times * TIME_UNITS[unit] / model.steps.mechanics
    uneven = np.flatnonzero(np.abs(steps - np.rint(steps)) > 1e-9 * np.maximum(steps, 1.0))
    if uneven.size:
        raise ScenarioError(where=f"{where} [time]", found=f"a sample at {times[uneven[0]]:g} {unit}",
                            expected=f"multiples of the mechanics step, {model.steps.mechanics:g} min")  # fmt: skip
    for time, text in zip(snapshot_times(scenario, where=where), options.snapshots, strict=True):
        if not np.isclose(time, times, rtol=1e-9).any():
            raise ScenarioError(where=f"{where} [agents] snapshots", found=f"'{text}'", expected="a time of a sample",
                                remedy="Choose another, or sample there too.")  # fmt: skip


def snapshot_times(scenario: ScenarioFile, *, where: str) -> NDArray[np.float64]:
    """Return the times of snapshots, in the unit of the scenario's time."""
    unit, place = time_unit(scenario, where=where), f"{where} [agents] snapshots"
    return np.array([float(in_model_units(text, unit=unit, where=place)) for text in scenario.agents.snapshots])


def field_scheme(options: AgentsTable) -> str:
    """Return the scheme of the fields: PhysiCell's where its artefacts are wanted, unless the table says otherwise."""
    return options.fields or ("physicell" if options.compatibility else "implicit")


def field_steps(scenario: ScenarioFile, model: AgentModel, *, where: str) -> dict[str, float]:
    """Return the length of implicit steps (min) by the name of the substrate."""
    names = dict(zip(words(model)[1], (s.name for s in model.substrates), strict=True))
    place = f"{where} [agents] field_steps"
    return {
        names[k]: float(in_model_units(text, unit="min", where=f"{place} {k}"))
        for k, text in scenario.agents.field_steps.items()
    }


def _check_substrates(names: Sequence[str], model: AgentModel, *, where: str) -> None:
    known = words(model)[1]
    for name in names:
        if name not in known:
            raise ScenarioError(where=where, found=f"'{name}'", expected=one_of(known),
                                remedy=did_you_mean(name, known))  # fmt: skip

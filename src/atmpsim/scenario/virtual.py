"""The scenario of a trial's pool of virtual patients: an ordinary scenario with a population, made from the trial's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from atmpsim.errors import ScenarioError, did_you_mean
from atmpsim.scenario.reader import Inputs
from atmpsim.scenario.schema import ScenarioFile

_DROPPED = ("assay", "rule", "endpoint", "trial", "sweep", "population")


def pool_inputs(inputs: Inputs, scenario: ScenarioFile, outputs: Sequence[str], *, where: str) -> Inputs:
    """Return the inputs of a trial's pool.

    Parameters
    ----------
    outputs
        What is kept: what the assays measure.

    Raises
    ------
    ScenarioError
        If the pool is smaller than the trial, or a parameter to be drawn is not given at all.
    """
    trial = scenario.trial
    assert trial is not None
    place = f"{where} [trial]"
    population = inputs.raw["trial"].get("population", inputs.raw.get("population"))
    if not isinstance(population, dict):
        raise ScenarioError(where=place, found="no [trial.population]", expected="the virtual patients to recruit from",
                            remedy="Write [trial.population] with size = …, at least as many as patients.")  # fmt: skip
    size = population.get("size")
    if isinstance(size, int) and size < trial.patients:
        raise ScenarioError(where=f"{place} population size", found=str(size), expected=f"at least {trial.patients}",
                            remedy="No patient is in one trial twice.")  # fmt: skip
    raw: dict[str, Any] = {k: v for k, v in inputs.raw.items() if k not in _DROPPED}
    given = dict(raw.get("parameters", {}))
    for name in trial.free:
        if name not in given:
            raise ScenarioError(where=f"{place} free", found=f"'{name}'", expected="a key of [parameters]",
                                remedy=did_you_mean(name, given))  # fmt: skip
        given.pop(name)
    raw["parameters"] = given
    raw["population"] = {"seed": inputs.seed, **population}
    raw["output"] = {"keep": list(outputs), "summary": []}
    return replace(inputs, raw=raw)


def null_overrides(scenario: ScenarioFile, *, where: str) -> dict[str, Any]:
    """Return the overrides that make a trial one without any effect.

    Raises
    ------
    ScenarioError
        If the trial does not say what has no effect.
    """
    trial = scenario.trial
    if trial is None or not trial.null:
        raise ScenarioError(where=f"{where} [trial] null", found="nothing", expected="the parameters without effect",
                            remedy='For example null = { effect = "0 1" }.')  # fmt: skip
    free = [name for name in trial.free if name not in trial.null]
    return {**{f"parameters.{k}": v for k, v in trial.null.items()}, "trial.free": free}

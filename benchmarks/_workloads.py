"""The models, doses and virtual patients that the solver benchmarks run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atmpsim.model.library import load_model
from atmpsim.model.spec import Model
from atmpsim.scenario.dosing import Dose

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "benchmarks"
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One model with doses, sample times, varied parameters and the states that count in the error."""

    name: str
    model: Model
    times: FloatArray
    doses: tuple[Dose, ...]
    varied: Mapping[str, float]
    sigma: float
    left_out: tuple[str, ...] = ()
    floor: float = 0.0  # states whose peak is below this do not count: less than a cell or particle is nothing
    inflow_parameter: str = ""  # where a peer without infusions is given the rate

    def draw(self, count: int) -> dict[str, FloatArray]:
        """Return values of the varied parameters: log-normal around the model's own."""
        rng = np.random.default_rng(1)
        return {k: v * np.exp(self.sigma * rng.standard_normal(count)) for k, v in self.varied.items()}


def workloads() -> Iterator[Workload]:
    """Return the shipped workloads, and those of the benchmark folder beside the checkout where it is there."""
    yield _shipped("celyvir", Dose(into="venous_msc_loaded", amount=4e7, every=7.0, count=6), 100.0)
    yield _shipped("msc_biodistribution", Dose(into="venous_msc_free", amount=7e7), 14.0)
    if (FOLDER / "workloads.json").exists():
        described = json.loads((FOLDER / "workloads.json").read_text(encoding="utf-8"))
        yield from (_described(name, entry) for name, entry in described.items())


def _shipped(name: str, dose: Dose, end: float) -> Workload:
    model = load_model(name)
    # what the model declares as log-normal between subjects
    varied = {k: p.value for k, p in model.parameters.items() if p.distribution.startswith("lognormal") and p.value}
    return Workload(
        name=name, model=model, times=np.linspace(0, end, 51), doses=(dose,), varied=varied, sigma=0.2, floor=1.0
    )


def _described(name: str, entry: Mapping) -> Workload:
    model = load_model(FOLDER / entry["model"])
    fixed = {k: p for k, p in model.parameters.items() if k not in model.assignment_rules and k not in model.rate_rules}
    names = (
        entry["vary"] if isinstance(entry["vary"], list) else [k for k, p in fixed.items() if p.constant and p.value]
    )
    doses = []
    if "bolus" in entry:
        bolus = entry["bolus"]
        doses = [Dose(into=bolus["state"], amount=float(bolus["amount"]), time=float(t)) for t in bolus["times"]]
    if "infusion" in entry:
        given = entry["infusion"]
        doses = [Dose(into=given["state"], amount=given["amount"], time=given["start"], duration=given["duration"])]
    return Workload(
        name=name,
        model=model,
        times=np.array(entry["output_times"], dtype=float),
        doses=tuple(doses),
        varied={k: float(model.parameters[k].value or 0.0) for k in names},
        sigma=float(entry["vary_lognormal_sigma"]),
        left_out=(entry["bolus"]["state"],) if "bolus" in entry else (),
        inflow_parameter=entry["infusion"]["as_parameter"]["name"] if "infusion" in entry else "",
    )

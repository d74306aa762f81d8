"""Run a dose escalation: on given probabilities of toxicity, or on virtual patients in arms that are doses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import InputError, ScenarioError, one_of
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.streams import generator
from atmpsim.study.run import run
from atmpsim.trial.escalation import (
    Escalated,
    boin,
    checked,
    dose_limiting,
    simulate_three_plus_three,
    three_plus_three,
)  # fmt: skip

FloatArray = NDArray[np.float64]
DESIGNS = ("3+3", "boin")
PRIOR = "operating characteristics of a prior: no dose-limiting toxicity is known; this is no evidence of safety"
_EXPOSURE = "lung_msc_per_g"


@dataclass(frozen=True, kw_only=True, eq=False)
class Escalation:
    """What a design did: `exact` is the closed form, NaN where there is none."""

    doses: tuple[str, ...]
    toxicity: FloatArray
    exact: FloatArray
    made: Escalated
    caution: str

    def facts(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {
            "doses": list(self.doses), "toxicity": self.toxicity.tolist(),
            "exact": [float(x) if np.isfinite(x) else None for x in self.exact],
            "recommended": self.made.selected.tolist(), "patients": self.made.patients.tolist(),
            "toxicities": self.made.toxicities.tolist(), "caution": self.caution,
        }  # fmt: skip


def escalate(source: str, *, design: str, target: float, cohorts: int, trials: int, seed: int) -> Escalation:
    """Return what a design of dose escalation does over many trials.

    Parameters
    ----------
    source
        Probabilities with commas between; or a scenario of a model with arrested cells per gram of lung, whose arms
        are the doses, lowest first. Each trial then draws from the prior of toxicity; its patients are the
        population's.

    Raises
    ------
    InputError
        If there is no such design, or the source is neither.
    """
    if design not in DESIGNS:
        raise InputError(where="--design", found=f"'{design}'", expected=one_of(DESIGNS))
    doses, p, fixed = _toxicities(source, trials, seed)
    rng = generator(seed=seed, purpose=f"escalation {design}")
    if design == "boin":
        made = boin(p, target=target, trials=trials, rng=rng, cohorts=cohorts)
    else:
        made = simulate_three_plus_three(p, trials=trials, rng=rng)
    exact = np.full(len(doses) + 1, np.nan)
    if design == "3+3" and fixed:
        exact = three_plus_three(list(p))
    return Escalation(doses=doses, toxicity=np.atleast_2d(p).mean(axis=0), exact=exact, made=made,
                      caution="" if fixed else PRIOR)  # fmt: skip


def _toxicities(source: str, trials: int, seed: int) -> tuple[tuple[str, ...], FloatArray, bool]:
    """Return names of the doses, their toxicities by dose or over (trial, dose), and whether they are given."""
    try:
        values = [float(word) for word in source.split(",")]
    except ValueError:
        return _mechanistic(source, trials, seed)
    return tuple(f"dose {k}" for k in range(1, len(values) + 1)), checked(values, where="toxicities"), True


def _mechanistic(source: str, trials: int, seed: int) -> tuple[tuple[str, ...], FloatArray, bool]:
    inputs = load_inputs(
        source, seed=seed, overrides={"output.keep": [_EXPOSURE], "output.summary": [f"{_EXPOSURE}.peak"]}
    )
    tree = run(inputs)
    peak = tree["summary"].to_dataset()[f"{_EXPOSURE}.peak"]
    if peak.sizes["arm"] < 2:
        raise ScenarioError(where=f"{inputs.name}.toml", found="one arm", expected="arms that are doses, lowest first")
    cells = peak.transpose("subject", "arm", ...).values.reshape(peak.sizes["subject"], peak.sizes["arm"], -1)[:, :, 0]
    rng = generator(seed=seed, purpose="escalation patients")
    return tuple(str(a) for a in peak["arm"].values), dose_limiting(cells, trials=trials, rng=rng), False

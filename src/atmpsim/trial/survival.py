"""Compare times to an event: log-rank tests and Cox models, all of them by lifelines.

(Davidson-Pilon 2019, J Open Source Softw 4:1317, doi:10.21105/joss.01317.) lifelines is imported on first use.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from atmpsim.trial.compare import Compared

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
_LEAST = 1e-9
_WIDEST = 50.0


def hazard_ratio(
    duration: FloatArray, seen: BoolArray, entry: FloatArray, treated: BoolArray, *, level: float, logrank: bool
) -> tuple[float, float, float, float]:
    """Return hazard ratio, its interval and the p-value of one trial: Cox, and the log-rank test if wanted.

    NaN where an arm has no event, or nobody. Patients with an `entry` above 0 come under observation late.
    """
    import pandas as pd
    from lifelines import CoxPHFitter
    from lifelines.statistics import logrank_test

    known = ~np.isnan(duration) & (np.maximum(duration, _LEAST) > entry)
    groups = [known & treated, known & ~treated]
    if any(not (seen & g).any() for g in groups):
        return (np.nan,) * 4
    frame = pd.DataFrame({"t": np.maximum(duration, _LEAST), "e": seen, "arm": treated.astype(float), "entry": entry})[
        known
    ]
    late = bool((entry > 0).any())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = CoxPHFitter(alpha=1 - level).fit(
                frame if late else frame.drop(columns="entry"), "t", "e", entry_col="entry" if late else None
            )
        except Exception:  # lifelines raises its own kinds where arms separate completely
            return (np.nan,) * 4
    log, error = float(model.params_["arm"]), float(model.standard_errors_["arm"])
    low, high = model.confidence_intervals_.loc["arm"].to_numpy()
    p = float(model.summary.loc["arm", "p"])
    if logrank and not late:
        p = float(logrank_test(*(duration[g] for g in groups), *(seen[g] for g in groups)).p_value)
    if not np.isfinite([log, error]).all() or abs(log) > _WIDEST:
        return (np.nan,) * 4
    return float(np.exp(log)), float(np.exp(low)), float(np.exp(high)), p


def compare_times(
    duration: FloatArray, seen: BoolArray, entry: FloatArray, treated: BoolArray, control: BoolArray, *, level: float,
    logrank: bool,
) -> Compared:  # fmt: skip
    """Return the hazard ratio of every replicate; arrays over (replicate, patient)."""
    rows = []
    for k in range(len(duration)):
        own = treated[k] | control[k]
        rows.append(hazard_ratio(duration[k][own], seen[k][own], entry[k][own], treated[k][own], level=level,
                                 logrank=logrank))  # fmt: skip
    made = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return Compared(estimate=made[0], low=made[1], high=made[2], p=made[3])

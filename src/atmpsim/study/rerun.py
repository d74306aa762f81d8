"""Make a stored result again from its own provenance, and compare."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import xarray as xr

from atmpsim.errors import ResultError
from atmpsim.results.digest import digest
from atmpsim.results.provenance import provenance
from atmpsim.results.store import open_results
from atmpsim.scenario.reader import Inputs
from atmpsim.study.run import Progress, run
from atmpsim.study.trial import run_trial


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a remade result compares with the stored one.

    `same` says that the digests agree bit for bit; `largest_difference` is the largest difference of any variable
    relative to its peak; `changed` names what differs in the platform or versions.
    """

    stored_digest: str
    new_digest: str
    largest_difference: float
    where: str
    changed: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.stored_digest == self.new_digest


def stored_inputs(path: str | os.PathLike[str]) -> tuple[xr.DataTree, Inputs]:
    """Return a stored result and the inputs that it was made from.

    Raises
    ------
    ResultError
        If the result lacks its provenance, or that was changed.
    """
    tree = open_results(path)
    attributes = tree["provenance"].attrs if "provenance" in tree.children else {}
    try:
        inputs = Inputs.from_json(str(attributes["inputs"]))
    except (KeyError, TypeError, ValueError):
        raise ResultError(where=f"result '{path}'", found="no readable provenance", expected="a result of atmpsim",
                          remedy="Run the scenario again.") from None  # fmt: skip
    if inputs.sha256 != attributes.get("inputs_sha256"):
        raise ResultError(
            where=f"result '{path}'",
            found="inputs that do not match their checksum",
            expected="the inputs as they were stored",
            remedy="Run the scenario again.",
        )
    return tree, inputs


def rerun(path: str | os.PathLike[str], *, progress: Progress | None = None) -> tuple[xr.DataTree, Comparison]:
    """Return a stored result made again, and how it compares with what is stored."""
    stored, inputs = stored_inputs(path)
    new = run_trial(inputs) if "visits" in stored.children else run(inputs, progress=progress)
    group = "trajectories" if "trajectories" in stored.children else "statistics"
    difference, where = _largest_difference(stored[group].to_dataset(), new[group].to_dataset())
    return new, Comparison(
        stored_digest=digest(stored),
        new_digest=digest(new),
        largest_difference=difference,
        where=where,
        changed=_changed(stored, inputs),
    )


def _largest_difference(stored: xr.Dataset, new: xr.Dataset) -> tuple[float, str]:
    if set(stored.data_vars) != set(new.data_vars) or stored.sizes != new.sizes:
        return np.inf, "names or sizes of the variables"
    worst, where = 0.0, ""
    for name in stored.data_vars:
        a, b = np.asarray(stored[name].values), np.asarray(new[name].values)
        peak = np.nanmax(np.abs(a), initial=0.0) or 1.0
        unequal = np.isnan(a) != np.isnan(b)
        difference = np.inf if unequal.any() else np.nanmax(np.abs(a - b), initial=0.0) / peak
        if difference > worst:
            worst, where = float(difference), str(name)
    return worst, where


def _changed(stored: xr.DataTree, inputs: Inputs) -> tuple[str, ...]:
    then = stored["provenance"].attrs
    now = provenance("", inputs_sha256=inputs.sha256, model_sha256="", seed=inputs.seed)
    return tuple(
        f"{key}: {then.get(key)} then, {now[key]} now"
        for key in ("versions", "python", "platform", "processor")
        if then.get(key) != now[key]
    )

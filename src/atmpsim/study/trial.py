"""Run a virtual trial: the pool of patients, all replicates, endpoints and comparisons, as one stored result."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from atmpsim.errors import ResultError
from atmpsim.model.library import read_model
from atmpsim.results.store import check_target, on_grid, write
from atmpsim.scenario.overrides import apply_overrides
from atmpsim.scenario.reader import Inputs, check_schema, load_inputs
from atmpsim.scenario.table import RunTable, expand_runs
from atmpsim.scenario.virtual import null_overrides, pool_inputs
from atmpsim.study.adaptive import apply_rules, read_rules
from atmpsim.study.labels import label
from atmpsim.study.pool import Givens, givens
from atmpsim.study.tree import label_computed, label_rest
from atmpsim.study.trial_tree import analysed_groups, recorded_groups, recorded_of
from atmpsim.trial.analyse import analyse
from atmpsim.trial.conduct import conduct
from atmpsim.trial.design import Design, read_design


def run_trial(
    scenario: str | os.PathLike[str] | Inputs,
    *,
    out: str | os.PathLike[str] | None = None,
    overrides: dict[str, Any] | None = None,
    seed: int = 0,
    null: bool = False,
    overwrite: bool = False,
) -> xr.DataTree:
    """Run every replicate of a scenario's trial and return its result, stored if `out` is given.

    The result is that of the pool of virtual patients (`trajectories`, `parameters`, `status`), with what the trial
    adds: `patients` and `visits` (what is on file of each patient of each replicate), `endpoints`, `estimates` (one
    per replicate), `attrition` and `operating` (what all replicates show).

    Parameters
    ----------
    overrides
        Values by path, such as `trial.patients`, that replace the scenario's.
    null
        Set the parameters that `[trial] null` names: no arm has any effect.

    Raises
    ------
    InputError
        If anything in the scenario does not fit; nothing is written then.
    """
    inputs = scenario if isinstance(scenario, Inputs) else load_inputs(scenario, overrides=overrides, seed=seed)
    where = f"{inputs.name}.toml"
    if null:
        changed = null_overrides(check_schema(inputs.raw, where=where), where=where)
        inputs = _with(inputs, changed, where)
    if out is not None:
        check_target(Path(out), inputs_sha256=inputs.sha256, overwrite=overwrite)
    tree = xr.DataTree.from_dict({k if k == "/" else f"/{k}": d for k, d in _groups(inputs).items()})
    if out is not None:
        write(tree, Path(out))
    return on_grid(tree)


def _with(inputs: Inputs, changed: dict[str, Any], where: str) -> Inputs:
    return replace(inputs, raw=apply_overrides(inputs.raw, changed, where=f"{where} --null"))


def design_of(inputs: Inputs) -> Design:
    """Return the design of a scenario's trial."""
    where = f"{inputs.name}.toml"
    scenario = check_schema(inputs.raw, where=where)
    suffix = Path(inputs.model_file).suffix.lower()
    model = read_model(inputs.model_text, where=inputs.model_file, path=inputs.model_file, suffix=suffix)
    return read_design(scenario, model, where=where)


def pool_of(inputs: Inputs) -> tuple[Design, RunTable, Givens]:
    """Return a trial's design, the table of runs of its pool of patients, and what differs between these.

    Raises
    ------
    InputError
        If anything in the scenario does not fit.
    """
    where = f"{inputs.name}.toml"
    scenario, design = check_schema(inputs.raw, where=where), design_of(inputs)
    table = expand_runs(pool_inputs(inputs, scenario, design.outputs(), where=where))
    read_rules(design, table)
    return design, table, givens(design, table, seed=inputs.seed)


def _groups(inputs: Inputs) -> dict[str, xr.Dataset]:
    design, table, given = pool_of(inputs)
    labels = label(table)
    computed, pool, log = apply_rules(design, table, labels, given, seed=inputs.seed)
    made = conduct(design, pool, replicates=design.table.replicates, seed=inputs.seed)
    groups = {**label_rest(table, labels, inputs), **label_computed(table, labels, computed)}
    groups["doses"].attrs["note"] = "as on the label; /patients has the share delivered, /rules what rules changed"
    groups |= recorded_groups(design, made, pool) | {"rules": log}
    return groups | analysed_groups(design, *analyse(design, recorded_of(design, groups), seed=inputs.seed), groups)


def reanalyse(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return endpoints, estimates and all that follows from them, made again from what a stored trial has on file.

    Raises
    ------
    ResultError
        If the result is not one of a trial.
    """
    if "visits" not in tree.children:
        raise ResultError(where="result", found="no group 'visits'", expected="the result of a trial",
                          remedy="`atmpsim trial` makes one.")  # fmt: skip
    inputs = Inputs.from_json(str(tree["provenance"].attrs["inputs"]))
    design = design_of(inputs)
    groups = {name: tree[name].to_dataset() for name in ("patients", "visits")}
    return analysed_groups(design, *analyse(design, recorded_of(design, groups), seed=inputs.seed), groups)

"""Labels of a table of runs: the coordinates of its dimensions, and what its columns are called."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from atmpsim.engines.program import prepare
from atmpsim.engines.start import initial_leaves
from atmpsim.results.variables import Variable, describe
from atmpsim.scenario.rows import positions
from atmpsim.scenario.sweep import POINT, Axis
from atmpsim.scenario.table import RunTable


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """What is the same for all runs: grid of coordinates, kept variables, limits of detection, parameters."""

    grid: xr.Dataset = field(repr=False)
    variables: dict[str, Variable]
    limits: dict[str, float]
    parameters: tuple[str, ...]


def label(table: RunTable) -> Labels:
    """Return the labels of a table."""
    variables = {name: describe(table.model, name) for name in table.keep}
    names, limits = (_chosen(table), {}) if table.agents is not None else _at_the_start(table, variables)
    for name in table.observed:
        known = variables[name]
        variables[f"{name}.observed"] = replace(
            known, name=f"{name}.observed", long_name=f"{known.long_name}, as measured", kind="observable"
        )
        limits |= {f"{name}.observed": limits[name]} if name in limits else {}
    return Labels(grid=grid(table), variables=variables, limits=limits, parameters=names)


def _chosen(table: RunTable) -> tuple[str, ...]:
    """Return the ids of what a scenario sets in an agent model, of all the many that it could, and of its volume."""
    given = {name for run in table.runs for name in run.given} | {*table.varied_values()}
    return tuple(k for k in table.model.quantities if k in given or k in table.model.compartments)


def _at_the_start(table: RunTable, variables: dict[str, Variable]) -> tuple[tuple[str, ...], dict[str, float]]:
    """Return the ids of the parameters, and the limit of detection of each variable that has one.

    Where a limit differs between arms, the largest counts: the cautious reading.
    """
    names: tuple[str, ...] = ()
    limits: dict[str, float] = {}
    for run in table.runs:
        program = prepare(table.model, fixed=run.given)
        given = {**run.given, **{k: v for k, v in table.varied_values().items() if k not in run.given}}
        leaves = initial_leaves(program.equations, given, start=0.0, where=f"arm '{run.arm}'")
        names = names or tuple(k for k in (*table.model.parameters, *table.model.compartments) if k in leaves)
        for name, variable in variables.items():
            if variable.limit_of_detection in leaves:
                value = float(leaves[variable.limit_of_detection])
                limits[name] = max(limits.get(name, value), value)
    return tuple(k for k in names if k not in table.model.rate_rules), limits


def grid(table: RunTable) -> xr.Dataset:
    """Return the coordinates of every dimension of the table, with units."""
    shape = table.shape
    made: dict[str, object] = {"arm": ("arm", np.array([name for name, _ in table.arms], dtype=object))}
    for axis in table.sweep.axes:
        if table.sweep.design == "grid":
            made[axis.path] = (axis.path, _values(axis), _attributes(axis))
        else:
            made[axis.path] = (POINT, _at_points(axis, table), _attributes(axis))
    if POINT in shape:
        made[POINT] = (POINT, np.arange(shape[POINT]), {"long_name": "point of the sweep"})
    if "draw" in shape:
        made["draw"] = ("draw", np.arange(1, shape["draw"] + 1), {"long_name": "draw of what is not known"})
    subjects = table.subjects
    labels = np.arange(1, subjects + 1) if isinstance(subjects, int) else np.array(subjects, dtype=object)
    made |= {"subject": ("subject", labels), "replicate": ("replicate", np.arange(shape["replicate"]))}
    return xr.Dataset(coords=made, attrs={"order": list(shape)})


def _values(axis: Axis) -> np.ndarray:
    return np.array(axis.values, dtype=object if isinstance(axis.values, tuple) else np.float64)


def _at_points(axis: Axis, table: RunTable) -> np.ndarray:
    """Return an axis' value at each point; NaN or an empty text where the scenario's own value stands."""
    index = table.sweep.index[table.sweep.axes.index(axis)]
    values = _values(axis)[index]
    values[index < 0] = "" if isinstance(axis.values, tuple) else np.nan
    return values


def _attributes(axis: Axis) -> dict[str, str]:
    return {"long_name": axis.path, "units": axis.units or "1"}


def run_coordinates(table: RunTable, labels: Labels, begin: int, end: int) -> dict[str, tuple[str, np.ndarray]]:
    """Return the coordinates of some runs over the dimension `run`."""
    where = positions(table, np.arange(begin, end))
    return {
        str(name): ("run", coordinate.values[where[str(coordinate.dims[0])]])
        for name, coordinate in labels.grid.coords.items()
    }


def run_label(table: RunTable, run: int) -> str:
    """Return how messages call a run: its number, subject, arm, and place in the sweep."""
    where = {name: int(p[0]) for name, p in positions(table, np.array([run])).items()}
    subjects = table.subjects
    subject = where["subject"] + 1 if isinstance(subjects, int) else subjects[where["subject"]]
    text = f"subject {subject}, arm {table.arms[where['arm']][0]}"
    point = np.ravel_multi_index([where[n] for n in table.sweep.names], table.sweep.shape) if table.sweep.names else 0
    for axis, position in zip(table.sweep.axes, table.sweep.positions(np.array([point])), strict=True):
        if int(position[0]) >= 0:
            text += f", {axis.path} {axis.override(int(position[0]))}"
    text += f", draw {where['draw'] + 1}" if "draw" in where else ""
    return f"run {run} ({text})"

"""Label what agent models leave in space: fields at the snapshots, and tables of cells and of their lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from atmpsim.agents.settable import density_unit, words
from atmpsim.agents.spec import AgentModel
from atmpsim.scenario.agent_inputs import snapshot_times
from atmpsim.scenario.table import RunTable
from atmpsim.study.solved import Columns

STATES = ("live", "apoptotic", "necrotic", "lysed")
_MEANINGS = {
    "run": ("number of the run", "1"), "snapshot": ("number of the snapshot", "1"), "id": ("cell", "1"),
    "parent": ("cell that it came from by division, -1 for none", "1"), "x": ("x", "um"), "y": ("y", "um"),
    "z": ("z", "um"), "radius": ("radius", "um"), "volume": ("volume", "um^3"),
    "nuclear_volume": ("volume of the nucleus", "um^3"), "pressure": ("pressure", "1"), "damage": ("damage", "1"),
    "phase_code": ("phase of the cycle or of death, PhysiCell's code", "1"),
    "birth": ("when it came into being", "time"), "death": ("when it died", "time"),
    "end": ("when it was removed", "time"),
}  # fmt: skip


def label_fields(table: RunTable, fields: Mapping[str, NDArray[np.float32]]) -> xr.Dataset:
    """Return the densities at the snapshots, over run, snapshot and the middles of the voxels."""
    model = table.agents
    assert model is not None
    dims = ("run", "snapshot", "z", "y", "x")
    described = dict(zip(words(model)[1], model.substrates, strict=True))
    arrays = {}
    for name, values in fields.items():
        substrate = described[name]
        said = {"units": density_unit(substrate), "long_name": substrate.name}
        arrays[name] = (dims, values, said)
    return xr.Dataset(arrays, coords={**_snapshots(table), **_middles(model)})


def _snapshots(table: RunTable) -> dict[str, Any]:
    times = snapshot_times(table.scenario, where="[agents]")
    unit = {"units": table.model.time_unit, "long_name": "time of the snapshot"}
    return {"snapshot": np.arange(times.size), "snapshot_time": ("snapshot", times, unit)}


def _middles(model: AgentModel) -> dict[str, Any]:
    domain = model.domain
    made = {}
    for axis, low, step, n in zip("xyz", domain.lower, domain.voxel, domain.shape, strict=True):
        made[axis] = (axis, low + step * (np.arange(n) + 0.5), {"units": "um", "long_name": axis})
    return made


def label_tables(table: RunTable, tables: Mapping[str, Columns]) -> dict[str, xr.Dataset]:
    """Return the groups `cells` and `lineage`, whose rows are cells, over the dimension `cell`."""
    return {name: _labelled(table, columns) for name, columns in tables.items()}


def _labelled(table: RunTable, columns: Columns) -> xr.Dataset:
    model = table.agents
    assert model is not None
    made: dict[str, Any] = {}
    for name, values in columns.items():
        attributes = _attributes(name, model, table.model.time_unit)
        made[name] = ("cell", values, attributes)
    dataset = xr.Dataset(made)
    if "snapshot" in columns:
        times = snapshot_times(table.scenario, where="[agents]")
        unit = {"units": table.model.time_unit, "long_name": "time of the snapshot"}
        dataset["time"] = ("cell", times[columns["snapshot"]], unit)
    dataset.attrs["domain"] = np.array([*model.domain.lower, *model.domain.upper])
    return dataset


def _attributes(name: str, model: AgentModel, time_unit: str) -> dict[str, Any]:
    if name == "type":
        return _flags("type of cell", words(model)[0], np.int16)
    if name == "state":
        return _flags("state", STATES, np.int8)
    if name.startswith("internalised_"):
        return {"long_name": f"{name.removeprefix('internalised_')} inside", "units": "amount"}
    said, unit = _MEANINGS[name]
    return {"long_name": said, "units": time_unit if unit == "time" else unit}


def _flags(said: str, names: tuple[str, ...], kind: type) -> dict[str, Any]:
    values: NDArray[Any] = np.arange(len(names), dtype=kind)
    return {"long_name": said, "units": "1", "flag_values": values, "flag_meanings": " ".join(names)}

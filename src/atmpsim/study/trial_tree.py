"""Label a trial: what is on file of each patient, and what the analysis makes of it, as groups of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from atmpsim.trial.analyse import Comparison, arm_values, summarise
from atmpsim.trial.assays import UNITS
from atmpsim.trial.attrition import FATES, INELIGIBLE, STAGES, TREATED, flow
from atmpsim.trial.compare import SCALE
from atmpsim.trial.conduct import Conducted
from atmpsim.trial.design import Design, outputs_of
from atmpsim.trial.endpoints import Outcome, Record
from atmpsim.trial.pool import Pool

Array = NDArray[Any]
Groups = Mapping[str, xr.Dataset]
_EACH = ("replicate", "patient")


def _texts(values: Sequence[str]) -> Array:
    return np.array(values, dtype=object)


def recorded_groups(design: Design, made: Conducted, pool: Pool) -> dict[str, xr.Dataset]:
    """Return the groups `patients` and `visits`."""
    time = {"units": design.time_unit}
    flags = {
        "flag_values": np.arange(len(FATES), dtype=np.int8),
        "flag_meanings": " ".join(f.replace(" ", "_") for f in FATES),
    }
    columns: dict[str, tuple[Array, dict[str, Any]]] = {
        "arm_index": (made.who.arm, {"long_name": "number of the arm", "units": "1"}),
        "subject_index": (made.who.subject, {"long_name": "patient of the pool, from 0", "units": "1"}),
        "draw_index": (made.who.draw, {"long_name": "draw of what is not known, from 0", "units": "1"}),
        "fate": (made.fate.astype(np.int8), {"long_name": "what became of the patient before infusion", **flags}),
        "entered": (made.entered, {"long_name": "recruitment, from the start of the trial", **time}),
        "wait": (made.wait, {"long_name": "from recruitment to infusion", **time}),
        "left": (made.left, {"long_name": "drop-out after infusion, infinite if none", **time}),
        "left_for_no_gain": (made.informative, {"long_name": "dropped out while without gain", "units": "1"}),
        "unblinded": (made.unblinded, {"long_name": "knew the treatment", "units": "1"}),
        "stopped": (made.stopped, {"long_name": "a rule ended treatment, after infusion, infinite if none", **time}),
        "delivered": (made.delivered, {"long_name": "dose delivered over dose on the label", "units": "1"}),
        "weight": (made.weight, {"long_name": "body weight", "units": "kg"}),
    }
    for name, times in made.events.items():
        columns[f"event.{name}"] = (
            times,
            {"long_name": f"{name}, after infusion; infinite if not within follow-up", **time},
        )
    patients = xr.Dataset({k: (_EACH, v, a) for k, (v, a) in columns.items()}, attrs={"arms": list(design.arms)})
    dims = (*_EACH, "visit")
    visits = xr.Dataset({"when": (dims, made.when, {"long_name": "time of the visit after infusion", **time})})
    for name, assay in design.assays.items():
        if assay.kind == "event":
            continue
        units = UNITS.get(assay.kind) or pool.units.get(outputs_of(assay)[0], "1")
        what = {"units": units, "kind": assay.kind}
        visits[f"measured.{name}"] = (dims, made.measured[name], {"long_name": f"{name}, as read", **what})
        visits[f"truth.{name}"] = (dims, made.truth[name], {"long_name": f"{name}, without error", **what})
    return {"patients": patients, "visits": visits}


def recorded_of(design: Design, groups: Groups) -> Record:
    """Return what is on file for the analysis; the truth beside it is left where it is."""
    patients, visits = groups["patients"], groups["visits"]
    fate = patients["fate"].values
    measured = {
        str(k).removeprefix("measured."): v.values
        for k, v in visits.data_vars.items()
        if str(k).startswith("measured.")
    }
    events = {
        str(k).removeprefix("event."): v.values for k, v in patients.data_vars.items() if str(k).startswith("event.")
    }
    at_infusion = design.table.randomise == "at infusion"
    return Record(
        arm=patients["arm_index"].values, fate=fate, treated=fate == TREATED,
        randomised=fate == TREATED if at_infusion else fate != INELIGIBLE, wait=patients["wait"].values,
        left=patients["left"].values, stopped=patients["stopped"].values, when=visits["when"].values, measured=measured,
        events=events,
    )  # fmt: skip


def analysed_groups(
    design: Design, outcomes: Mapping[str, Outcome], comparisons: Sequence[Comparison], groups: Groups
) -> dict[str, xr.Dataset]:
    """Return the groups `endpoints`, `estimates`, `attrition` and `operating`."""
    record = recorded_of(design, groups)
    return {
        "endpoints": _endpoints(design, outcomes),
        "estimates": _estimates(design, outcomes, comparisons, record),
        "attrition": _attrition(design, outcomes, record),
        "operating": _operating(design, comparisons),
    }


def _endpoints(design: Design, outcomes: Mapping[str, Outcome]) -> xr.Dataset:
    made = xr.Dataset()
    for endpoint in design.endpoints:
        found, name = outcomes[endpoint.name], endpoint.name
        attributes = {"long_name": name, "kind": endpoint.kind, "estimand": endpoint.estimand,
                      "population": endpoint.population, "missing": endpoint.missing}  # fmt: skip
        made[name] = (_EACH, found.value, attributes)
        if not np.isnan(found.duration).all():
            unit = {"units": design.time_unit}
            made[f"{name}.time"] = (_EACH, found.duration, {"long_name": f"time to {name}, or of censoring", **unit})
            made[f"{name}.seen"] = (_EACH, found.seen, {"long_name": "the event was seen"})
            made[f"{name}.entry"] = (_EACH, found.entry, {"long_name": "comes under observation", **unit})
    return made


def _estimates(
    design: Design, outcomes: Mapping[str, Outcome], comparisons: Sequence[Comparison], record: Record
) -> xr.Dataset:
    dims, size = ("comparison", "replicate"), record.arm.shape[0]
    stacked = {
        key: np.array([getattr(c.compared, key) for c in comparisons]).reshape(len(comparisons), size)
        for key in ("estimate", "low", "high", "p")
    }
    made = xr.Dataset({k: (dims, v) for k, v in stacked.items()})
    made["significant"] = (dims, np.array([c.significant for c in comparisons]).reshape(len(comparisons), size))
    made["stopped_at_look"] = (dims, np.array([c.stopped_at for c in comparisons]).reshape(len(comparisons), size))
    made["endpoint"] = ("comparison", _texts([c.endpoint.name for c in comparisons]))
    made["arm"] = ("comparison", _texts([design.arms[c.arm] for c in comparisons]))
    made["scale"] = ("comparison", _texts([SCALE[c.endpoint.compare] for c in comparisons]))
    for name, values in arm_values(outcomes, record, len(design.arms)).items():
        for k, what in enumerate(("mean", "low", "high")):
            said = {"long_name": f"{name}: {what} of each arm", "interval": "95 %, Student's t"}
            made[f"{what}.{name}"] = (("replicate", "trial_arm"), values[..., k], said)
    made.attrs["control"] = design.arms[design.control]
    return made


def _attrition(design: Design, outcomes: Mapping[str, Outcome], record: Record) -> xr.Dataset:
    """Return the flow chart: how many of each arm reach each stage, in every replicate."""
    first = next((e for e in design.endpoints if e.primary), design.endpoints[0])
    evaluable = ~np.isnan(outcomes[first.name].value)
    numbers = flow(record.fate, record.arm, evaluable, design.arms)
    return xr.Dataset(
        {"patients": (("replicate", "stage", "trial_arm"), numbers, {"long_name": "patients", "units": "1"})},
        coords={"stage": _texts(STAGES), "trial_arm": _texts(design.arms)}, attrs={"evaluable_for": first.name},
    )  # fmt: skip


def _operating(design: Design, comparisons: Sequence[Comparison]) -> xr.Dataset:
    """Return what all replicates show of each comparison."""
    rows = [asdict(summarise(c, design)) for c in comparisons]
    made = xr.Dataset()
    for key in rows[0] if rows else ():
        values = [row[key] for row in rows]
        made[key] = ("comparison", _texts(values) if isinstance(values[0], str) else np.array(values))
    made.attrs["caution"] = design.caution
    return made

"""Compare atmpsim with PhysiCell 1.14.2: `python tests/conformance/physicell.py DIR [SET ...]`.

DIR holds one folder per set, each with a model and what PhysiCell (or an exact solution) made of it; a README in DIR
says how. One line per set: name, quantities compared, the largest deviation in units of its tolerance, verdict. The
last line is `agree N of M`; the exit code is 0 if all agree, else 1.

Deterministic sets are compared number by number. Stochastic ones are run with as many seeds as the reference, and
each quantity at each time gives z = difference of means / root of the sum of both squared standard errors: at most
5 % of them may exceed max(3 standard errors, 3 %, half a cell), and none may exceed 8 standard errors.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.physicell import load_agents
from atmpsim.agents.spec import PHYSICELL, AgentModel
from atmpsim.engines.agents import AgentRun, Snapshot, simulate_agents

Floats = NDArray[np.float64]

AGREE, DIFFER = "agree", "differ"
LIMIT = 8.0  # standard errors that no quantity may exceed
SHARE = 0.05  # of the quantities, that may exceed their tolerance


class Comparison(NamedTuple):
    """What came of one set; `worst` is the largest deviation divided by its tolerance."""

    name: str
    quantities: int
    worst: float
    verdict: str
    note: str

    def __str__(self) -> str:
        return f"{self.name:24s} {self.quantities:6d} quantities  worst {self.worst:9.3g}  {self.verdict}  {self.note}"


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def column(rows: Sequence[Mapping[str, str]], name: str) -> Floats:
    """Return one column as numbers; an empty entry is NaN."""
    return np.array([float(row[name] or "nan") for row in rows])


def _load(folder: Path) -> AgentModel:
    return load_agents(folder / "PhysiCell_settings.xml", compatibility=PHYSICELL)


def _run(folder: Path, times: Sequence[float], *, seed: int = 1, scheme: str = "physicell") -> AgentRun:
    return simulate_agents(_load(folder), times=np.array(times), seed=seed, fields=scheme, snapshots=True)


def _exact(name: str, deviations: Mapping[str, float]) -> Comparison:
    """Return the verdict on deviations that are already divided by their tolerances."""
    worst = max(deviations, key=lambda key: np.nan_to_num(deviations[key], nan=np.inf))
    verdict = AGREE if deviations[worst] <= 1.0 else DIFFER
    return Comparison(name, len(deviations), deviations[worst], verdict, f"worst {worst}")


def compare_mechanics(folder: Path, name: str) -> Comparison:
    """Compare positions with the exact integration: within 1e-6 um at 6 min, 1e-4 um at 360 min."""
    rows = table(folder / "positions_exact_search.csv")
    times = sorted({float(row["time_min"]) for row in rows})
    run = _run(folder, times)
    found: dict[str, float] = {}
    for time, snapshot in zip(times, run.snapshots, strict=True):
        now = [row for row in rows if float(row["time_min"]) == time]
        ours = snapshot.by_id()
        tolerance = np.exp(np.interp(np.log(max(time, 1.0)), np.log([6.0, 360.0]), np.log([1e-6, 1e-4])))
        for axis, values in zip("xyz", ours.position.T, strict=True):
            found[f"{axis} at {time:g}"] = float(np.abs(values - column(now, axis)).max() / tolerance)
    return _exact(name, found)


def compare_fields(folder: Path, name: str) -> Comparison:
    """Compare densities to 1e-8 of each field's maximum, and internalised amounts to 1e-8 of the largest."""
    fields, inside = table(folder / "fields.csv"), table(folder / "internalized.csv")
    times = sorted({float(row["time_min"]) for row in fields})
    run = _run(folder, times)
    names = [s.name for s in _load(folder).substrates]
    found: dict[str, float] = {}
    for time, snapshot in zip(times, run.snapshots, strict=True):
        now = [row for row in fields if float(row["time_min"]) == time]
        cells = [row for row in inside if float(row["time_min"]) == time]
        for s, substrate in enumerate(names):
            theirs = column(now, substrate)
            found[f"{substrate} at {time:g}"] = _relative(snapshot.density[s].ravel(), theirs) / 1e-8
            theirs = column(cells, f"internalized_{substrate}")
            ours = snapshot.by_id().internalised[:, s]
            found[f"internalised {substrate} at {time:g}"] = _relative(ours, theirs) / 1e-8
    return _exact(name, found)


def _relative(ours: Floats, theirs: Floats) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


# columns of cells_over_time.csv: how to get them from a snapshot
_UNITS: Mapping[str, Callable[[Snapshot], Floats]] = {
    "total_volume": lambda s: s.volume,
    "nuclear_volume": lambda s: s.nuclear_volume,
    "cytoplasmic_volume": lambda s: s.volume - s.nuclear_volume,
    "fluid_fraction": lambda s: s.fluid / s.volume,
    "current_phase": lambda s: s.phase_code.astype(float),
    "elapsed_time_in_phase": lambda s: s.elapsed,
    "dead": lambda s: (s.state > 0).astype(float),
    "pressure": lambda s: s.pressure,
    "damage": lambda s: s.damage,
    "total_attack_time": lambda s: s.attack_time,
    "attack_total_damage_delivered": lambda s: s.delivered,
}
_BEHAVIOURS = {
    "migration_speed": "migration speed",
    "migration_bias": "migration bias",
    "persistence_time": "migration persistence time",
    "attachment_elastic_constant": "cell-cell adhesion elastic constant",
    "relative_maximum_adhesion_distance": "relative maximum adhesion distance",
    "damage_repair_rate": "damage repair rate",
    "attack_damage_rate": "attack damage rate",
    "attack_duration": "attack duration",
    "B_secretion": "B secretion",
    "B_secretion_target": "B secretion target",
    "death_rate_apoptosis": "apoptosis",
    "death_rate_necrosis": "necrosis",
}
# the pair's distance after a division is random, and their pressure with it
_RANDOM = {"cycler": ("pressure",)}


def compare_units(folder: Path, name: str) -> Comparison:
    """Compare every cell's volumes, phase, damage and behaviours, to 1e-8."""
    rows = table(folder / "cells_over_time.csv")
    times = sorted({float(row["time_min"]) for row in rows})
    run = _run(folder, times)
    worst: dict[str, float] = defaultdict(float)
    for time, snapshot in zip(times, run.snapshots, strict=True):
        now = [row for row in rows if float(row["time_min"]) == time]
        ours = snapshot.by_id()
        ids = column(now, "cell_id")
        if ids.size != ours.id.size:
            return Comparison(name, 0, np.inf, DIFFER, f"{ours.id.size} cells for {ids.size} at {time:g}")
        place = np.argsort(np.argsort(ids))  # PhysiCell leaves gaps in its numbers: the order is the same
        for quantity in (*_UNITS, *_BEHAVIOURS):
            read = _UNITS.get(quantity)
            values = read(ours) if read else run.behaviour(ours, _BEHAVIOURS[quantity])
            for row, mine, theirs in zip(now, values[place], column(now, quantity), strict=True):
                if quantity in _RANDOM.get(row["cell_type"], ()):
                    continue
                deviation = abs(mine - theirs) / (1e-8 * max(abs(theirs), 1.0))
                # the file gives six significant digits of some columns
                deviation = min(deviation, abs(mine - theirs) / max(_last_digit(row[quantity]), 1e-300))
                worst[f"{quantity} of {row['cell_type']}"] = max(worst[f"{quantity} of {row['cell_type']}"], deviation)
    return _exact(name, worst)


def _last_digit(text: str) -> float:
    """Return half a unit of the last digit of a printed number."""
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.500001 * 10.0 ** (int(exponent or 0) - decimals) if decimals else 0.0


def quantities(run: AgentRun, model: AgentModel) -> Iterator[tuple[float, str, str, float]]:
    """Return time, cell type, quantity and value of everything that curves.csv and fields.csv hold."""
    size = np.array([t.name for t in model.cell_types])
    for time, snapshot in zip(run.times, run.snapshots, strict=True):
        for kind, label in enumerate(size):
            yield from ((time, label, *pair) for pair in _of_type(snapshot, snapshot.cell_type == kind))
        for s, substrate in enumerate(model.substrates):
            p = snapshot.density[s].ravel()
            label = f"substrate:{substrate.name}"
            yield time, label, "total_amount", float(p.sum() * model.domain.voxel_volume)
            occupied = np.unique(snapshot.voxel[snapshot.voxel >= 0])
            yield time, label, "mean_density_cell_voxels", float(p[occupied].mean()) if occupied.size else 0.0


def _of_type(snapshot: Snapshot, mine: NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    live = mine & (snapshot.state == 0)
    yield "live", float(live.sum())
    yield "apoptotic", float((mine & (snapshot.state == 1)).sum())
    yield "necrotic", float((mine & (snapshot.state >= 2)).sum())
    yield "total_volume_live", float(snapshot.volume[live].sum())
    yield "total_volume_dead", float(snapshot.volume[mine & (snapshot.state > 0)].sum())
    yield "total_damage_delivered", float(snapshot.delivered[live].sum())
    x = snapshot.position[live]
    radius = np.sqrt((x**2).sum(axis=1))
    some = live.any()  # the reference gives 0 where there is no cell
    yield "mean_radial_distance", float(radius.mean()) if some else 0.0
    yield "radius_of_gyration", float(np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())) if some else 0.0
    yield "r95", float(np.percentile(radius, 95)) if some else 0.0
    yield "mean_pressure_live", float(snapshot.pressure[live].mean()) if some else 0.0
    yield "mean_damage_live", float(snapshot.damage[live].mean()) if some else 0.0


_COUNTS = {"live", "apoptotic", "necrotic"}


def compare_statistics(folder: Path, name: str) -> Comparison:
    """Compare means over seeds of all quantities at all hours."""
    seeds = {int(row["seed"]) for row in table(folder / "curves.csv")}
    reference = {
        (float(row["time_min"]), row["cell_type"], row["quantity"]): (
            float(row["mean"]),
            float(row["sd"] or 0),
            int(row["n"]),
        )
        for row in table(folder / "summary.csv")
    }
    times = sorted({time for time, _, _ in reference})
    model = _load(folder)
    samples: dict[tuple[float, str, str], list[float]] = defaultdict(list)
    for seed in sorted(seeds):
        run = simulate_agents(model, times=np.array(times), seed=seed, fields="physicell", snapshots=True)
        for time, label, quantity, value in quantities(run, model):
            samples[time, label, quantity].append(value)
    z, beyond = {}, []
    for key, (mean, sd, n) in reference.items():
        if key not in samples or n < 2 or len(samples[key]) < 2:
            continue
        ours = np.array(samples[key])
        error = np.sqrt(sd**2 / n + ours.var(ddof=1) / ours.size)
        difference = abs(ours.mean() - mean)
        allowed = max(3.0 * error, 0.03 * abs(mean), 0.5 if key[2] in _COUNTS else 0.0)
        floor = 1e-5 * max(abs(mean), 1e-6)  # the reference is printed with six digits
        z[key] = difference / max(error, floor)
        if difference > max(allowed, floor):
            beyond.append(key)
    return _judge(name, z, beyond, reference, samples)


def _judge(name: str, z: Mapping, beyond: Sequence, reference: Mapping, samples: Mapping) -> Comparison:
    worst = max(z, key=lambda key: z[key])
    part = len(beyond) / len(z)
    outliers = [key for key in z if z[key] > LIMIT and key in set(beyond)]
    verdict = AGREE if part <= SHARE and not outliers else DIFFER
    time, label, quantity = worst
    note = (
        f"{100 * part:.2f} % beyond tolerance, median z {np.median(list(z.values())):.2f}, worst z {z[worst]:.1f}:"
        f" {quantity} of {label} at {time:g}: {np.mean(samples[worst]):.6g} against {reference[worst][0]:.6g}"
    )
    return Comparison(name, len(z), max(part / SHARE, len(outliers) and z[worst] / LIMIT), verdict, note)


def sets(folder: Path) -> Iterator[tuple[str, Path, Callable[[Path, str], Comparison]]]:
    """Return name, folder and comparison of every set, by the files that it has."""
    for path in sorted(folder.rglob("PhysiCell_settings.xml")):
        name = str(path.parent.relative_to(folder))
        for file, compare in (
            ("positions_exact_search.csv", compare_mechanics), ("internalized.csv", compare_fields),
            ("cells_over_time.csv", compare_units), ("curves.csv", compare_statistics),
        ):  # fmt: skip
            if (path.parent / file).exists():
                yield name, path.parent, compare


def main(arguments: Sequence[str]) -> int:
    """Compare every set of a folder, or those named, and return the exit code."""
    if not arguments:
        print("usage: python tests/conformance/physicell.py DIR [SET ...]", file=sys.stderr)
        return 2
    results = []
    for name, folder, compare in sets(Path(arguments[0])):
        if len(arguments) == 1 or any(name.startswith(wanted) for wanted in arguments[1:]):
            results.append(compare(folder, name))
            print(results[-1], flush=True)
    agreed = sum(r.verdict == AGREE for r in results)
    print(f"agree {agreed} of {len(results)}")
    return 0 if results and agreed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a figure needs from a stored result: curves by arm, dose marks, failed runs and texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from atmpsim.errors import ResultError, did_you_mean, one_of

FloatArray = NDArray[np.float64]
Span = tuple[float, float]

_WHERE = "figure"


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """One variable: its texts from the dataset, and an array of shape (run, time) for each arm.

    `reduced` says that the rows are quantiles, because the runs themselves were not kept.
    """

    name: str
    long_name: str
    units: str
    limit: float | None
    rows: Mapping[str, FloatArray]
    reduced: bool = False

    def every_row(self) -> FloatArray:
        """Return the runs of all arms, shape (run, time)."""
        return np.concatenate(list(self.rows.values()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """All that a figure shows.

    `arms` are the arms to draw, `all_arms` those of the result. `doses` gives, by arm and by the name of the
    dose, the span (start, end) of each administration in the unit of `times`.
    """

    times: FloatArray
    time_label: tuple[str, str]
    arms: tuple[str, ...]
    all_arms: tuple[str, ...]
    curves: tuple[Curve, ...]
    summarised: tuple[str, ...]
    doses: Mapping[str, Mapping[str, tuple[Span, ...]]]
    failed: int
    runs: int
    texts: Mapping[str, str]
    ribbons: bool = True

    def runs_per_arm(self) -> int:
        """Return the largest number of runs in an arm."""
        return max(len(rows) for curve in self.curves for rows in curve.rows.values())


def read_content(
    tree: xr.DataTree, *, variables: Sequence[str] | None = None, arms: Sequence[str] | None = None,
    ribbons: bool = True,
) -> Content:  # fmt: skip
    """Return what a figure shows of a result.

    Raises
    ------
    ResultError
        If the result has no trajectories, or not the wanted variables or arms.
    """
    reduced = "trajectories" not in tree.children and "statistics" in tree.children
    dataset = _quantiles(_group(tree, "statistics")) if reduced else _group(tree, "trajectories")
    found = [str(k) for k, v in dataset.data_vars.items() if "time" in v.dims]
    if not found or not dataset.sizes["time"]:
        raise ResultError(where=_WHERE, found="a result without trajectories", expected="a group 'trajectories' with "
                          "variables over time", remedy="Run the scenario again.")  # fmt: skip
    all_arms = tuple(dict.fromkeys(_arm_of_rows(dataset, found[0])))
    drawn = _chosen(arms, all_arms, "arm")
    names = _chosen(variables, found, "variable")
    failed, runs = _failures(_group(tree, "status"), drawn)
    time = dataset["time"]
    return Content(
        times=np.asarray(time.values, dtype=np.float64),
        time_label=(str(time.attrs.get("long_name", "time")), str(time.attrs.get("units", ""))),
        arms=drawn,
        all_arms=all_arms,
        curves=tuple(_curve(dataset, name, drawn, reduced) for name in names),
        summarised=_summarised(_group(tree, "summary"), found),
        doses={arm: _spans(_group(tree, "doses"), arm) for arm in all_arms},
        failed=failed,
        runs=runs,
        texts=_texts(tree),
        ribbons=ribbons,
    )


def _group(tree: xr.DataTree, name: str) -> xr.Dataset:
    return tree[name].to_dataset() if name in tree.children else xr.Dataset()


def _chosen(wanted: Sequence[str] | None, found: Sequence[str], kind: str) -> tuple[str, ...]:
    if wanted is None:
        return tuple(found)
    names = (wanted,) if isinstance(wanted, str) else tuple(dict.fromkeys(wanted))
    if not names:
        raise ResultError(where=_WHERE, found=f"an empty list of {kind}s", expected=f"at least one {kind}")
    for name in names:
        if name not in found:
            raise ResultError(where=f"{_WHERE} {kind}", found=f"'{name}'", expected=one_of(found),
                              remedy=did_you_mean(name, found))  # fmt: skip
    return names


def _arm_of_rows(dataset: xr.Dataset, name: str) -> list[str]:
    """Return the arm of every run of a variable, in the order of its flattened dimensions."""
    first = dataset[name].isel(time=0, drop=True)
    if "arm" not in first.coords:
        return [""] * int(first.size)
    labels = first["arm"].broadcast_like(first).transpose(*first.dims)
    return [str(label) for label in labels.values.ravel()]


def _quantiles(statistics: xr.Dataset) -> xr.Dataset:
    """Return the quantiles over time of a result whose runs were not kept, at the first point of its sweep."""
    first = statistics.isel({d: 0 for d in statistics.dims if d not in ("arm", "quantile", "time")})
    values = first["quantile_value"].transpose("variable", "arm", "quantile", "time")
    made = {}
    for k, name in enumerate(first["variable"].values):
        described = {key: str(first[key].values[k]) for key in ("units", "long_name")}
        made[str(name)] = (("arm", "quantile", "time"), values.values[k], described)
    return xr.Dataset(made, coords={key: first[key].variable for key in ("arm", "time")})


def _curve(dataset: xr.Dataset, name: str, arms: Sequence[str], reduced: bool) -> Curve:
    array = dataset[name].transpose(..., "time")
    rows = np.asarray(array.values, dtype=np.float64).reshape(-1, array.sizes["time"])
    labels = np.array(_arm_of_rows(dataset, name), dtype=object)
    limit = float(array.attrs.get("limit_of_detection", math.nan))
    return Curve(
        name=name,
        long_name=str(array.attrs.get("long_name") or name),
        units=str(array.attrs.get("units", "")),
        limit=limit if math.isfinite(limit) else None,
        rows={arm: rows[labels == arm] for arm in arms},
        reduced=reduced,
    )


def _failures(status: xr.Dataset, arms: Sequence[str]) -> tuple[int, int]:
    """Return the number of failed runs and of all runs in the arms."""
    if "status" not in status:
        return 0, 0
    codes = status["status"]
    if "arm" in codes.coords:
        codes = codes.where(codes["arm"].isin(list(arms)), drop=True)
    meanings = str(codes.attrs.get("flag_meanings", "ok")).split()
    flags = np.atleast_1d(codes.attrs.get("flag_values", 0))
    good = flags[meanings.index("ok")] if "ok" in meanings else 0
    return int((codes != good).sum()), int(codes.size)


def _summarised(summary: xr.Dataset, found: Iterable[str]) -> tuple[str, ...]:
    """Return the variables with a metric: those in which the scenario's author is interested."""
    names = (str(name).rpartition(".")[0] for name in summary.data_vars)
    return tuple(dict.fromkeys(name for name in names if name in found))


def _spans(doses: xr.Dataset, arm: str) -> dict[str, tuple[Span, ...]]:
    """Return the administrations of an arm by dose name; the same ones of many subjects count once."""
    if not {"time", "name"} <= set(doses.data_vars) or not doses["time"].size:
        return {}
    here = doses["arm"].values.astype(str) == arm if "arm" in doses else np.ones(doses["time"].size, dtype=bool)
    begin = np.asarray(doses["time"].values, dtype=np.float64)[here]
    length = np.nan_to_num(doses["duration"].values[here]) if "duration" in doses else np.zeros_like(begin)
    names = doses["name"].values.astype(str)[here]
    return {
        str(name): tuple(sorted({(float(b), float(b + d)) for b, d in zip(begin[own], length[own], strict=True)}))
        for name in dict.fromkeys(names)
        for own in [names == name]
    }


def _texts(tree: xr.DataTree) -> dict[str, str]:
    wanted = ("title", "question", "source", "model", "context_of_use", "caution")
    made = {key: str(tree.attrs.get(key, "")).strip() for key in wanted}
    origin = tree["provenance"].attrs if "provenance" in tree.children else {}
    return made | {"inputs_sha256": str(origin.get("inputs_sha256", ""))}

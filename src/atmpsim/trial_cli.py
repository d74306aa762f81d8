"""The commands of trials: `trial` runs one or analyses a stored one again, `escalate` finds doses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atmpsim.terminal import OK, SOME_FAILED, Json, Quiet, Seed, Sets, overrides, print_table

if TYPE_CHECKING:
    import xarray as xr

Replicates = Annotated[int | None, typer.Option(min=1, help="Replicates of the trial, instead of the scenario's.")]
Null = Annotated[bool, typer.Option("--null", help="No arm has any effect, as [trial] null says.")]


def trial(
    scenario: Annotated[str, typer.Argument(help="A scenario with [trial], or a stored trial to analyse again.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Result: NAME.zarr or NAME.nc.")] = None,
    set_: Sets = None, seed: Seed = None, replicates: Replicates = None, null: Null = False,
    overwrite: Annotated[bool, typer.Option(help="Replace a result of other input.")] = False,
    plot: Annotated[bool, typer.Option(help="Write a figure beside the result.")] = True,
    as_json: Json = False, quiet: Quiet = False,
) -> int:  # fmt: skip
    """Run a virtual trial, many times over."""
    if Path(scenario).suffix in (".zarr", ".nc"):
        return _again(Path(scenario), as_json=as_json)
    from atmpsim.study.trial import run_trial

    changed = overrides(set_, None)
    if replicates is not None:
        changed["trial.replicates"] = replicates
    name = Path(scenario).stem
    stem = name if name.endswith("-trial") else f"{name}-trial"
    target = out if out is not None else Path(f"{stem}{'-null' if null else ''}.zarr")
    tree = run_trial(scenario, out=target, overrides=changed, seed=seed or 0, null=null, overwrite=overwrite)
    figure = target.with_suffix(".png") if plot else None
    if figure is not None:
        from atmpsim.plots.figures import save_figure
        from atmpsim.plots.trials import plot_trial

        save_figure(plot_trial(tree), figure)
    if as_json:
        typer.echo(json.dumps({**_report(tree), "result": str(target), "figure": figure and str(figure)}, indent=2))
    elif not quiet:
        _print(tree)
        typer.echo(f"Result: {target}" + (f"   Figure: {figure}" if figure is not None else ""))
    failed = int((tree["status"].to_dataset()["status"].values != 0).sum())
    if failed:
        typer.echo(f"{failed} runs of the pool failed; their patients count as not eligible.", err=True)
    return SOME_FAILED if failed else OK


def _again(path: Path, *, as_json: bool) -> int:
    """Analyse a stored trial again from what it has on file, and tell whether the same comes out."""
    import numpy as np

    from atmpsim.results.store import open_results
    from atmpsim.study.trial import reanalyse

    tree = open_results(path)
    made = reanalyse(tree)
    pairs = [
        (np.asarray(values.values), np.asarray(tree[group].to_dataset()[name].values))
        for group in ("endpoints", "estimates")
        for name, values in made[group].data_vars.items()
    ]
    same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
    if as_json:
        typer.echo(json.dumps({**_report(tree), "same": same}, indent=2))
    else:
        _print(tree)
        typer.echo(
            "The analysis of what is on file gives the same." if same else "NOT the same: the analysis has changed."
        )
    return OK if same else SOME_FAILED


def _rows(tree: xr.DataTree) -> list[dict[str, Any]]:
    data = tree["operating"].to_dataset()
    rows = []
    for k in range(data.sizes.get("comparison", 0)):
        row = {str(name): data[name].values[k] for name in data.data_vars}
        rows.append({n: v if isinstance(v, str) else _number(float(v)) for n, v in row.items()})
    return rows


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _report(tree: xr.DataTree) -> dict[str, Any]:
    """Return what JSON and the printed report have in common."""
    flow = tree["attrition"].to_dataset()
    mean = flow["patients"].mean("replicate").values
    arms, stages = [str(a) for a in flow["trial_arm"].values], [str(s) for s in flow["stage"].values]
    return {
        "title": str(tree.attrs["title"]), "replicates": int(flow.sizes["replicate"]), "comparisons": _rows(tree),
        "control": str(tree["estimates"].attrs["control"]),
        "attrition": {s: dict(zip(arms, row, strict=True)) for s, row in zip(stages, mean.tolist(), strict=True)},
        "arms": _arm_rows(tree, arms),
        "caution": str(tree["operating"].attrs.get("caution", "")),
    }  # fmt: skip


def _arm_rows(tree: xr.DataTree, arms: list[str]) -> list[dict[str, Any]]:
    """Return, for each endpoint and arm with patients, how its mean spreads over replicates."""
    import numpy as np

    data, rows = tree["estimates"].to_dataset(), []
    for name in (str(k).removeprefix("mean.") for k in data.data_vars if str(k).startswith("mean.")):
        for arm, values in zip(arms, data[f"mean.{name}"].values.T, strict=True):
            known = values[np.isfinite(values)]
            if known.size:
                low, middle, high = np.quantile(known, [0.05, 0.5, 0.95]).tolist()
                rows.append({"endpoint": name, "arm": arm, "mean": float(known.mean()), "p5": low, "median": middle,
                             "p95": high})  # fmt: skip
    return rows


def _print(tree: xr.DataTree) -> None:
    report = _report(tree)
    flow = report["attrition"]
    arms = list(next(iter(flow.values())))
    rows = [[stage, *(f"{v:.1f}" for v in row.values()), f"{sum(row.values()):.1f}"] for stage, row in flow.items()]
    print_table(["patients, mean", *arms, "all"], [r for r in rows if float(r[-1]) > 0], title=report["title"])
    lines = [
        [r["endpoint"], r["arm"], r["test"], *(_short(r[k]) for k in ("mean", "p5", "median", "p95")),
         f"{100 * r['significant']:.1f}", f"{100 * r['low']:.1f} to {100 * r['high']:.1f}",
         f"{100 * r['favourable']:.1f}", f"{100 * r['analysable']:.0f}"]
        for r in report["comparisons"]
    ]  # fmt: skip
    heads = [
        "endpoint",
        "arm",
        "test",
        "mean",
        "5 %",
        "median",
        "95 %",
        "significant %",
        "95 % MC",
        "and a gain %",
        "analysable %",
    ]
    if lines:
        print_table(heads, lines, title=f"Against {report['control']}: estimates of {report['replicates']} replicates")
    arm_lines = [
        [r["endpoint"], r["arm"], *(_short(r[k]) for k in ("mean", "p5", "median", "p95"))] for r in report["arms"]
    ]
    print_table(
        ["endpoint", "arm", "mean", "5 %", "median", "95 %"], arm_lines, title="Means of the arms, over replicates"
    )
    if report["caution"]:
        typer.echo(f"CAUTION: {report['caution']}")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def escalate(
    source: Annotated[
        str, typer.Argument(help="True toxicities with commas between, or a scenario whose arms are doses.")
    ],
    design: Annotated[str, typer.Option(help="3+3 or boin.")] = "3+3",
    target: Annotated[float, typer.Option(help="Toxicity that BOIN aims at.")] = 0.30,
    cohorts: Annotated[int, typer.Option(min=1, help="Cohorts of three patients in BOIN.")] = 10,
    trials: Annotated[int, typer.Option(min=1, max=1_000_000, help="Simulated trials.")] = 10_000,
    seed: Seed = None, as_json: Json = False,
) -> int:  # fmt: skip
    """Find a dose by 3+3 or BOIN."""
    from atmpsim.study.escalate import escalate as study

    found = study(source, design=design, target=target, cohorts=cohorts, trials=trials, seed=seed or 0)
    if as_json:
        typer.echo(json.dumps(found.facts(), indent=2))
        return OK
    rows = [
        [name, *(_short(float(v)) for v in values)]
        for name, *values in zip(["none", *found.doses], [math.nan, *found.toxicity], found.exact, found.made.selected,
                                 [math.nan, *found.made.patients], [math.nan, *found.made.toxicities], strict=True)
    ]  # fmt: skip
    heads = ["dose", "toxicity", "recommended, exact", "recommended, simulated", "patients", "toxicities"]
    rows = [[cell if cell != "nan" else "" for cell in row] for row in rows]
    print_table(heads, rows, title=f"{design} in {trials} trials")
    if found.caution:
        typer.echo(f"CAUTION: {found.caution}")
    return OK

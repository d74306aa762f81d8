"""The commands that run scenarios and read what came out: run, sweep, status, summary, convert."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atmpsim.errors import AtmpsimError, ResultError
from atmpsim.plots.process import Drawing, drawing_process
from atmpsim.terminal import (
    OK,
    SOME_FAILED,
    Json,
    Quiet,
    Scenario,
    Seed,
    Sets,
    address,
    overrides,
    print_table,
    progress,
)  # fmt: skip

if TYPE_CHECKING:
    import xarray as xr

    from atmpsim.scenario.reader import Inputs

_MOST_COLUMNS = 12
_MOST_MESSAGES = 20

Out = Annotated[
    str | None,
    typer.Option(
        "--out", "-o", parser=address, metavar="PATH", help="NAME.zarr or NAME.nc, or an address like s3://B/NAME.zarr."
    ),
]
Keep = Annotated[str | None, typer.Option(help="'outputs', 'all', 'summary' or ids with commas between.")]
Overwrite = Annotated[bool, typer.Option(help="Replace a result of other input, or an unfinished one.")]
Plot = Annotated[bool, typer.Option(help="Write a figure beside the result.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print what was assumed for the subject.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; threads of this one by default.")]
Cluster = Annotated[
    str | None, typer.Option(metavar="ADDRESS|local:N", help="Dask: a scheduler's address, or N local workers.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Finish what an earlier run of the same input left.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Run again, in place, the chunks with failed runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print runs, time and bytes; run nothing but a probe.")]
CheckpointEvery = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="Agents: least time between two checkpoints of a run.")
]
Result = Annotated[str, typer.Argument(parser=address, metavar="result", help="A stored result, or its address.")]


class Stopped(AtmpsimError):
    """The user stopped a run; the message says what is kept and how to go on."""


def run(
    scenario: Scenario, out: Out = None, set_: Sets = None, seed: Seed = None, keep: Keep = None,
    overwrite: Overwrite = False, workers: Workers = None, cluster: Cluster = None, resume: Resume = False,
    retry_failed: Retry = False, dry_run: DryRun = False, plot: Plot = True, as_json: Json = False,
    quiet: Quiet = False, verbose: Verbose = False, checkpoint_every: CheckpointEvery = 60.0,
) -> int:  # fmt: skip
    """Run a scenario: store, draw and summarise the result."""
    return _run(
        scenario, overrides(set_, keep), seed, out=out, overwrite=overwrite, workers=workers, cluster=cluster,
        resume=resume, retry_failed=retry_failed, dry_run=dry_run, plot=plot, as_json=as_json, quiet=quiet,
        verbose=verbose, checkpoint_pause=checkpoint_every,
    )  # fmt: skip


def sweep(
    scenario: Scenario,
    over: Annotated[
        list[str], typer.Option("--over", metavar="PATH=VALUES", help="An axis: values with commas, or TOML.")
    ],
    design: Annotated[
        str | None, typer.Option(help="grid, zip, latin_hypercube, sobol or one_at_a_time.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Points of a sampled design.")] = None,
    out: Out = None, set_: Sets = None, seed: Seed = None, keep: Keep = None,
    overwrite: Overwrite = False, workers: Workers = None, cluster: Cluster = None, resume: Resume = False,
    retry_failed: Retry = False, dry_run: DryRun = False, plot: Plot = True, as_json: Json = False,
    quiet: Quiet = False, verbose: Verbose = False, checkpoint_every: CheckpointEvery = 60.0,
) -> int:  # fmt: skip
    """Run a scenario with axes of swept values added."""
    from atmpsim.scenario.overrides import parse_axis

    axes = dict(parse_axis(text, where="--over") for text in over)
    options = {"design": design, "count": count}
    added = {f"sweep.{k}": v for k, v in {**axes, **options}.items() if v is not None}
    return _run(
        scenario, {**overrides(set_, keep), **added}, seed, out=out, overwrite=overwrite, workers=workers,
        cluster=cluster, resume=resume, retry_failed=retry_failed, dry_run=dry_run, plot=plot, as_json=as_json,
        quiet=quiet, verbose=verbose, checkpoint_pause=checkpoint_every,
    )  # fmt: skip


def _run(
    scenario: str,
    changes: Mapping[str, Any],
    seed: int | None,
    *,
    out: str | None,
    dry_run: bool,
    plot: bool,
    **how: Any,
) -> int:
    if dry_run:
        return _estimate(_load(scenario, changes, seed), how["workers"], as_json=how["as_json"])
    with drawing_process() if plot else nullcontext() as drawing:
        inputs = _load(scenario, changes, seed)
        return _run_and_report(inputs, out if out is not None else f"{inputs.name}.zarr", drawing, **how)


def _load(scenario: str, changes: Mapping[str, Any], seed: int | None) -> Inputs:
    from atmpsim.scenario.reader import load_inputs

    return load_inputs(scenario, overrides=changes, seed=seed)


def _run_and_report(
    inputs: Inputs, target: str, drawing: Drawing | None, *, as_json: bool, quiet: bool, verbose: bool, **how: Any
) -> int:
    from atmpsim.study.run import run as run_study

    picture = picture_of(target, ".png")
    begin = partial(drawing.begin, picture) if drawing is not None else None
    figure = picture if drawing is not None else None
    try:
        with progress(quiet or as_json) as advance:
            notice = None if quiet or as_json else partial(typer.echo, err=True)
            tree = run_study(inputs, out=target, progress=advance, computed=begin, notice=notice, **how)
    except KeyboardInterrupt as stopped:  # typer would swallow what it says
        raise Stopped(str(stopped) or "Interrupted; nothing was left half written.") from None
    if begin is not None:
        begin(tree)
    if not (as_json or quiet):
        _print_summary(tree, verbose=verbose)
    if drawing is not None:
        drawing.finish()
    if as_json:
        typer.echo(json.dumps(_report(tree, target, figure), indent=2, allow_nan=False))
    elif not quiet:
        typer.echo(f"Result: {target}" + (f"   Figure: {figure}" if figure is not None else ""))
    if figure is not None and "cells" in tree.children and tree["cells"].sizes["cell"]:
        picture = picture_of(target, ".cells.png")
        draw_cells(tree, picture)
        if not (as_json or quiet):
            typer.echo(f"Cells: {picture}")
    return _failures(tree)


def picture_of(result: str, ending: str) -> Path:
    """Return where a figure of a result goes: beside it, or here if it stands at an address.

    Examples
    --------
    >>> str(picture_of("made/a.zarr", ".png")), str(picture_of("s3://bucket/b.zarr", ".png"))
    ('made/a.png', 'b.png')
    """
    return (Path(result.rpartition("/")[2]) if "://" in result else Path(result)).with_suffix(ending)


def _estimate(inputs: Inputs, workers: int | None, *, as_json: bool) -> int:
    from atmpsim.scenario.table import expand_runs
    from atmpsim.study.run import announce_compilation
    from atmpsim.study.streaming import estimate
    from atmpsim.study.tasks import cores

    table = expand_runs(inputs)
    if table.agents is not None and not as_json:
        announce_compilation(partial(typer.echo, err=True))
    found, side_by_side = estimate(table), workers or cores()
    seconds = found.runs * found.seconds_per_run / side_by_side
    facts = {
        "runs": found.runs, "shape": table.shape, "seconds_per_run": found.seconds_per_run,
        "side_by_side": side_by_side, "seconds": seconds, "bytes": found.bytes,
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return OK
    shape = " x ".join(f"{n} {name}" for name, n in table.shape.items() if n > 1) or "a single one"
    typer.echo(f"{found.runs} runs: {shape}")
    typer.echo(
        f"about {seconds:.3g} s on {side_by_side} cores ({1e3 * found.seconds_per_run:.3g} ms a run, from a probe)"
    )
    typer.echo(f"at most {found.bytes / 1e6:.3g} MB before compression")
    return OK


def status(result: Result, as_json: Json = False) -> int:
    """Tell how far a result is and which runs failed."""
    from atmpsim.study.inspect import read_status

    found = read_status(result)
    if as_json:
        typer.echo(json.dumps(found.facts(), indent=2))
        return SOME_FAILED if found.failed else OK
    state = "finished" if found.finished else f"unfinished ({found.done} of {found.runs} runs are stored)"
    typer.echo(f"{result}: {state}, {found.failed} of {found.done} runs failed")
    for run_number, message in found.messages[:_MOST_MESSAGES]:
        typer.echo(f"  {message or f'run {run_number}'}")
    if len(found.messages) > _MOST_MESSAGES:
        typer.echo(f"  … and {len(found.messages) - _MOST_MESSAGES} more; --json lists them all")
    return SOME_FAILED if found.failed else OK


def summary(result: Result, as_json: Json = False) -> None:
    """Summarise metrics over the subjects of a result."""
    from atmpsim.results.describe import describe_metrics
    from atmpsim.results.store import open_results

    tree = open_results(result)
    if "operating" in tree.children:
        typer.echo(f"The result of a trial: `atmpsim trial {result}` reports it.")
        return
    rows = describe_metrics(tree["summary"].to_dataset())
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    _print_rows(rows, str(tree.attrs["title"]))


def convert(
    result: Result,
    out: Annotated[Path, typer.Argument(help="NAME.nc, .parquet or .csv; of cells also .h5ad (AnnData).")],
    group: Annotated[str, typer.Option(help="Group of the tables that Parquet and CSV hold.")] = "trajectories",
) -> None:
    """Write a result as NetCDF, Parquet, CSV or AnnData."""
    from atmpsim.results.convert import convert as convert_result

    convert_result(result, out, group=group)
    typer.echo(f"Wrote {out}")


def draw_cells(
    tree: xr.DataTree, path: Path, *, field: str | None = None, at: str | None = None, runs: str | None = None,
    depth: str | None = None,
) -> None:  # fmt: skip
    """Draw the cells of a result into a figure or a film."""
    from atmpsim.plots.animation import FILMS, save_film
    from atmpsim.plots.figures import save_figure
    from atmpsim.plots.tissue import PROJECTION, plot_tissue

    how: dict[str, Any] = {
        "field": field, "at": None if at is None else _numbers(at, "--at"),
        "runs": None if runs is None else [int(n) for n in _numbers(runs, "--runs")],
        "depth": depth if depth in (None, PROJECTION) else _numbers(depth, "--depth")[0],
    }  # fmt: skip
    if path.suffix.lower() in FILMS:
        save_film(tree, path, **how)
    else:
        save_figure(plot_tissue(tree, **how), path)


def _numbers(text: str, where: str) -> list[float]:
    try:
        return [float(word.strip().partition(" ")[0]) for word in text.split(",")]
    except ValueError:
        raise ResultError(where=where, found=f"'{text}'", expected="numbers with commas between, in the result's unit",
                          remedy='For example "0, 7".') from None  # fmt: skip


def _labels(tree: xr.DataTree) -> tuple[list[str], list[tuple[str, xr.DataArray, list[float]]]]:
    """Return the label of each run, and of each metric its name, array and one value per run.

    A run's label is its arm, with subject and replicate where there are several.
    """
    data = tree["summary"].to_dataset()
    several = [name for name in ("subject", "replicate") if data.sizes[name] > 1]
    places = itertools.product(*(data[name].values for name in ("arm", "subject", "replicate")))
    labels = [" / ".join(str(v) for n, v in zip(("arm", "subject", "replicate"), place, strict=True)
                         if n == "arm" or n in several) for place in places]  # fmt: skip
    return labels, [
        (str(name), v, v.transpose("arm", "subject", "replicate").values.ravel().tolist())
        for name, v in data.data_vars.items()
    ]


def _listed_runs(tree: xr.DataTree) -> bool:
    """Return whether there are so few runs that each has a column."""
    sizes = tree["summary"].to_dataset().sizes
    return set(sizes) == {"arm", "subject", "replicate"} and math.prod(sizes.values()) <= _MOST_COLUMNS


def _print_summary(tree: xr.DataTree, *, verbose: bool) -> None:
    if _listed_runs(tree):
        labels, metrics = _labels(tree)
        rows = [[m.attrs["long_name"], m.attrs["units"], *(f"{v:.4g}" for v in values)] for _, m, values in metrics]
        print_table(["", "unit", *labels], rows, title=str(tree.attrs["title"]))
    else:
        from atmpsim.results.describe import describe_metrics

        _print_rows(describe_metrics(tree["summary"].to_dataset()), str(tree.attrs["title"]))
    if caution := tree.attrs.get("caution"):
        typer.echo(f"CAUTION: {caution}")
    for note in str(tree.attrs["notes"]).splitlines():
        if verbose or note.startswith(("doses:", "population:")):
            typer.echo(f"note: {note}")


def _print_rows(rows: list[dict[str, Any]], title: str) -> None:
    """Print what `describe_metrics` returns, at most some forty lines of it."""
    most, numbers = 40, ("mean", "mean_error", "p5", "median", "p95")
    lines = [[r["meaning"], r["unit"], r["where"], r["runs"], *(_short(r[k]) for k in numbers)] for r in rows[:most]]
    print_table(["", "unit", "where", "runs", "mean", "± MC", "5 %", "median", "95 %"], lines, title=title)
    if len(rows) > most:
        typer.echo(f"… and {len(rows) - most} more lines: `atmpsim summary RESULT --json` lists them all.")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _summary_json(tree: xr.DataTree) -> list[dict[str, Any]]:
    if not _listed_runs(tree):
        from atmpsim.results.describe import describe_metrics

        return describe_metrics(tree["summary"].to_dataset())
    labels, metrics = _labels(tree)
    return [
        {
            "metric": name, "meaning": array.attrs["long_name"], "unit": array.attrs["units"],
            # JSON has no number for a failed run
            "values": {k: v if math.isfinite(v) else None for k, v in zip(labels, values, strict=True)},
        }
        for name, array, values in metrics
    ]  # fmt: skip


def _report(tree: xr.DataTree, target: str, figure: Path | None) -> Mapping[str, Any]:
    from atmpsim.results.digest import digest

    data = tree["status"].to_dataset()
    return {
        "title": tree.attrs["title"],
        "result": target,
        "figure": str(figure) if figure is not None else None,
        "digest": str(tree["provenance"].attrs.get("digest", "")) or digest(tree),
        "runs": int(data["status"].size),
        "failed": int((data["status"] != 0).sum()),
        "summary": _summary_json(tree),
        "notes": str(tree.attrs["notes"]).splitlines(),
        "caution": str(tree.attrs.get("caution", "")),
    }


def _failures(tree: xr.DataTree) -> int:
    data = tree["status"].to_dataset()
    bad = (data["status"].values != 0).ravel()
    messages = data["message"].values.ravel()[bad]
    for message in messages[:_MOST_MESSAGES]:
        typer.echo(str(message), err=True)
    if messages.size > _MOST_MESSAGES:
        typer.echo(
            f"… and {messages.size - _MOST_MESSAGES} more failed runs: `atmpsim status RESULT` lists them.", err=True
        )
    return SOME_FAILED if bad.any() else OK

"""The command line: arguments, exit codes and printing; every command reads, calls and writes.

Exit codes: 0 ok, 1 some runs failed (results are written all the same), 2 bad input or usage, 3 internal error
(with a log file), 130 interrupted.
"""

from __future__ import annotations

import io
import json
import math
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atmpsim.errors import AtmpsimError, InputError

if TYPE_CHECKING:
    import xarray as xr

    from atmpsim.model.spec import Model

OK, SOME_FAILED, BAD_INPUT, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="atmpsim", help="Simulate cell and gene therapies from the vial to the clinical endpoint.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
models_app = typer.Typer(help="List the shipped models, show one, or check the evidence.", no_args_is_help=True)
app.add_typer(models_app, name="models")

Scenario = Annotated[str, typer.Argument(help="A scenario file, or the id of a shipped scenario.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Replace a value, e.g. dose.celyvir.count=12.")
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Root seed of random numbers.")]

# typer brings its own copy of click, or uses the installed one: this is that one's error of usage
_UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, this process's own by default, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal lacks is no reason to fail
    try:
        result = app(args=arguments, prog_name="atmpsim", standalone_mode=False)
        if result == INTERRUPTED:  # typer's own answer to Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else OK
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except AtmpsimError as error:
        return _complain(str(error), SOME_FAILED)
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return _complain("Interrupted; nothing was left half written.", INTERRUPTED)
    except SystemExit:  # who reads our output has closed it, as `head` does
        return OK
    except Exception as error:
        return _complain(_log_internal(error, sys.argv[1:] if arguments is None else arguments), INTERNAL)


def _complain(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code


def _log_internal(error: Exception, arguments: Sequence[str]) -> str:
    import platform
    import tempfile

    from atmpsim.results.provenance import package_version

    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="atmpsim-error-", suffix=".log", delete=False
    ) as log:
        log.write(f"atmpsim {package_version('atmpsim')} on {platform.platform()}: atmpsim {shlex.join(arguments)}\n")
        log.write("".join(traceback.format_exception(error)))
    return (
        f"atmpsim: found an internal error ({type(error).__name__}: {error}), expected none. "
        f"This is a fault of atmpsim, not of your input; please report it with the log file {log.name}."
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        from atmpsim.results.provenance import package_version

        typer.echo(f"atmpsim {package_version('atmpsim')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Simulate cell and gene therapies from the vial to the clinical endpoint."""


@app.command()
def run(
    scenario: Scenario,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Result: NAME.zarr or NAME.nc.")] = None,
    set_: Sets = None,
    seed: Seed = 0,
    keep: Annotated[str | None, typer.Option(help="'outputs', 'all' or ids with commas between.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a result of other input.")] = False,
    plot: Annotated[bool, typer.Option(help="Write a figure beside the result.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print what was assumed for the subject.")] = False,
) -> int:
    """Run a scenario: store, draw and summarise the result."""
    from atmpsim.scenario.reader import load_inputs
    from atmpsim.study.run import run as run_study

    inputs = load_inputs(scenario, overrides=_overrides(set_, keep), seed=seed)
    target = out if out is not None else Path(f"{inputs.name}.zarr")
    with _progress(quiet or as_json) as advance:
        tree = run_study(inputs, out=target, overwrite=overwrite, progress=advance)
    figure = target.with_suffix(".png") if plot else None
    if figure is not None:
        _draw(tree, figure, variables=None)
    if as_json:
        typer.echo(json.dumps(_report(tree, target, figure), indent=2, allow_nan=False))
    elif not quiet:
        _print_summary(tree, target, figure, verbose=verbose)
    return _failures(tree, quiet)


@app.command()
def validate(scenario: Scenario, set_: Sets = None, as_json: Json = False) -> None:
    """Check a scenario and all it refers to, without running."""
    from atmpsim.scenario.reader import load_inputs
    from atmpsim.scenario.table import expand_runs

    table = expand_runs(load_inputs(scenario, overrides=_overrides(set_, None)))
    doses = sum(len(r.schedule.log) for r in table.runs)
    facts = {
        "scenario": scenario, "model": table.model.id, "runs": len(table.runs), "doses": doses,
        "samples": int(table.times.size), "outputs": list(table.keep), "notes": list(table.notes),
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    counts = [(len(table.runs), "run"), (doses, "dose"), (int(table.times.size), "sample"), (len(table.keep), "output")]
    said = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)
    typer.echo(f"{scenario} is valid: model {table.model.id}, {said}.")
    for note in table.notes:
        typer.echo(f"  {note}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new scenario, without ending.")],
    like: Annotated[str, typer.Option(help="The shipped scenario to start from.")] = "celyvir-weekly",
) -> None:
    """Write a scenario to start from, a copy of a shipped one."""
    from atmpsim.scenario.reader import copy_scenario

    target = copy_scenario(like, name)
    typer.echo(f"Wrote {target}. Edit it, then: atmpsim run {target}")


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the shipped models."""
    from atmpsim.model.library import load_model
    from atmpsim.resources import shipped_models

    rows = []
    for name in shipped_models():
        model = load_model(name)
        rows.append({"model": name, "title": model.name or _heading(model), "species": len(model.species),
                     "parameters": len(model.parameters), "time": model.time_unit})  # fmt: skip
    _print_rows(rows, title="Shipped models", as_json=as_json)


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A shipped model's id, or the path of a model file.")],
    as_json: Json = False,
) -> None:
    """Show a model's quantities with unit and source."""
    from atmpsim.model.library import load_model

    model = load_model(name)
    rows = [
        {
            "id": q.id, "kind": q.kind, "value": "" if q.value is None else f"{q.value:g}", "unit": q.unit,
            "meaning": q.name, "distribution": q.distribution, "evidence": q.evidence.tag,
            "source": q.evidence.source or q.evidence.text,
        }
        for q in (*model.parameters.values(), *model.species.values())
    ]  # fmt: skip
    _print_rows(rows, title=f"{model.id}: {model.name or _heading(model)}", as_json=as_json)
    if model.caution and not as_json:
        typer.echo(f"CAUTION: {model.caution}")


@models_app.command("check")
def models_check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Shipped ids or paths; all shipped models if none.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check units, sources and README."""
    from atmpsim.model.evidence import check_model
    from atmpsim.resources import shipped_models

    faults = {name: check_model(name) for name in names or shipped_models()}
    if as_json:
        typer.echo(json.dumps({name: [str(f) for f in found] for name, found in faults.items()}, indent=2))
    else:
        for name, found in faults.items():
            typer.echo(f"{'ok  ' if not found else 'FAIL'}  {name}")
            for fault in found:
                typer.echo(f"      {fault}")
    return BAD_INPUT if any(faults.values()) else OK


@app.command()
def scenarios(as_json: Json = False) -> None:
    """List the shipped scenarios."""
    import tomllib

    from atmpsim.resources import shipped_scenarios

    rows = []
    for name, path in shipped_scenarios().items():
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        rows.append({"scenario": name, "model": raw["model"], "title": raw["title"]})
    _print_rows(rows, title="Shipped scenarios", as_json=as_json)


@app.command()
def plot(
    result: Annotated[Path, typer.Argument(help="A stored result.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Figure: .png, .svg or .pdf.")] = None,
    variables: Annotated[str | None, typer.Option(help="Which outputs, with commas between.")] = None,
) -> None:
    """Draw a figure of a stored result."""
    from atmpsim.results.store import open_results

    target = out if out is not None else result.with_suffix(".png")
    _draw(open_results(result), target, variables=_listed(variables) if variables else None)
    typer.echo(f"Figure: {target}")


@app.command()
def rerun(
    result: Annotated[Path, typer.Argument(help="A stored result.")],
    check: Annotated[bool, typer.Option("--check", help="Compare with what is stored.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Store the remade result there.")] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest difference, relative to peaks, on another platform.")
    ] = 1e-4,
) -> int:
    """Make a stored result again from its own provenance."""
    from atmpsim.study.rerun import rerun as rerun_study
    from atmpsim.study.rerun import stored_inputs
    from atmpsim.study.run import run as run_study

    if not check and out is None:
        raise typer.BadParameter("give --check, or --out to store the remade result")
    if out is not None:
        run_study(stored_inputs(result)[1], out=out)
        typer.echo(f"Result: {out}")
    if not check:
        return OK
    _, compared = rerun_study(result)
    if compared.same:
        typer.echo(f"Same, bit for bit: {compared.new_digest}")
        return OK
    text = f"largest difference {compared.largest_difference:.3g} of the peak, in {compared.where or 'the summary'}"
    for change in compared.changed:
        typer.echo(f"Differs: {change}")
    within = bool(compared.changed) and compared.largest_difference <= tolerance
    typer.echo(f"{'Same within tolerance' if within else 'NOT the same'}: {text}")
    return OK if within else SOME_FAILED


@app.command()
def doctor() -> int:
    """Check the installation by a small run."""
    from atmpsim.study.doctor import check_installation

    failed = False
    for name, ok, text in check_installation():
        failed |= not ok
        typer.echo(f"{'ok  ' if ok else 'FAIL'}  {name}: {text}")
    return SOME_FAILED if failed else OK


def _overrides(sets: list[str] | None, keep: str | None) -> dict[str, Any]:
    from atmpsim.scenario.overrides import parse_assignment

    made = dict(parse_assignment(text, where="--set") for text in sets or ())
    if keep is not None:
        made["output.keep"] = keep if keep in ("outputs", "all") else _listed(keep)
    return made


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _draw(tree: xr.DataTree, path: Path, *, variables: list[str] | None) -> None:
    from atmpsim.plots.figures import plot_results, save_figure

    save_figure(plot_results(tree, variables=variables), path)


@contextmanager
def _progress(silent: bool) -> Iterator[Any]:
    """Show a bar on a terminal, for anything that takes over a second."""
    import time

    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    with Progress(transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=None, visible=False)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=time.monotonic() - started > 1.0)

        yield advance


def _print_rows(rows: list[dict[str, Any]], *, title: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        _print_table(list(rows[0]), [list(row.values()) for row in rows], title=title)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, because rich reads square brackets in plain strings as its own markup
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def _heading(model: Model) -> str:
    """Return the first comment line of an Antimony file, which says what the model is."""
    first = model.text.lstrip().splitlines()[0] if model.text.strip() else ""
    return first.lstrip("/# ").strip() if first.startswith(("//", "#")) else ""


def _summary(tree: xr.DataTree) -> tuple[list[str], list[tuple[str, xr.DataArray, list[float]]]]:
    """Return the label of each run, and of each metric its name, array and one value per run.

    A run's label is its arm, with the subject where there are several.
    """
    summary = tree["summary"].to_dataset()
    runs = [(arm, subject) for arm in summary["arm"].values for subject in summary["subject"].values]
    alone = summary.sizes["subject"] == 1
    labels = [str(arm) if alone else f"{arm} / {subject}" for arm, subject in runs]
    return labels, [(str(name), v, v.values.ravel().tolist()) for name, v in summary.data_vars.items()]


def _print_summary(tree: xr.DataTree, target: Path, figure: Path | None, *, verbose: bool) -> None:
    labels, metrics = _summary(tree)
    rows = [[m.attrs["long_name"], m.attrs["units"], *(f"{v:.4g}" for v in values)] for _, m, values in metrics]
    _print_table(["", "unit", *labels], rows, title=str(tree.attrs["title"]))
    if caution := tree.attrs.get("caution"):
        typer.echo(f"CAUTION: {caution}")
    for note in str(tree.attrs["notes"]).splitlines():
        if verbose or note.startswith("doses:"):
            typer.echo(f"note: {note}")
    typer.echo(f"Result: {target}" + (f"   Figure: {figure}" if figure is not None else ""))


def _summary_json(tree: xr.DataTree) -> list[dict[str, Any]]:
    labels, metrics = _summary(tree)
    return [
        {
            "metric": name, "meaning": array.attrs["long_name"], "unit": array.attrs["units"],
            # JSON has no number for a failed run
            "values": {k: v if math.isfinite(v) else None for k, v in zip(labels, values, strict=True)},
        }
        for name, array, values in metrics
    ]  # fmt: skip


def _report(tree: xr.DataTree, target: Path, figure: Path | None) -> Mapping[str, Any]:
    from atmpsim.results.digest import digest

    status = tree["status"].to_dataset()
    return {
        "title": tree.attrs["title"],
        "result": str(target),
        "figure": str(figure) if figure is not None else None,
        "digest": digest(tree),
        "runs": int(status["status"].size),
        "failed": int((status["status"] != 0).sum()),
        "summary": _summary_json(tree),
        "notes": str(tree.attrs["notes"]).splitlines(),
        "caution": str(tree.attrs.get("caution", "")),
    }


def _failures(tree: xr.DataTree, quiet: bool) -> int:
    status = tree["status"].to_dataset()
    messages = [str(m) for m in status["message"].values.ravel() if str(m)]
    for message in messages:
        typer.echo(message, err=True)
    return SOME_FAILED if messages else OK

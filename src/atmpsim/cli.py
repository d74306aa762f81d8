"""The command line: arguments, exit codes and printing; every command reads, calls and writes.

Exit codes: 0 ok, 1 some runs failed (results are written all the same), 2 bad input or usage, 3 internal error
(with a log file), 130 interrupted.
"""

from __future__ import annotations

import io
import json
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atmpsim import run_cli, trial_cli
from atmpsim.errors import AtmpsimError, InputError
from atmpsim.terminal import (
    BAD_INPUT,
    INTERNAL,
    INTERRUPTED,
    OK,
    SOME_FAILED,
    Json,
    Scenario,
    Sets,
    address,
    listed,
    overrides,
    print_rows,
)

if TYPE_CHECKING:
    from atmpsim.model.spec import Model

app = typer.Typer(
    name="atmpsim", help="Simulate cell and gene therapies from the vial to the clinical endpoint.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
models_app = typer.Typer(help="List the shipped models, show one, or check the evidence.", no_args_is_help=True)
app.add_typer(models_app, name="models")
for _command in (
    run_cli.run,
    run_cli.sweep,
    run_cli.status,
    run_cli.summary,
    run_cli.convert,
    trial_cli.trial,
    trial_cli.escalate,
):
    app.command()(_command)

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
    except run_cli.Stopped as stopped:
        return _complain(str(stopped), INTERRUPTED)
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
def validate(scenario: Scenario, set_: Sets = None, as_json: Json = False) -> None:
    """Check a scenario and all it refers to, without running."""
    from atmpsim.agents.differences import warnings
    from atmpsim.scenario.reader import load_inputs
    from atmpsim.scenario.table import expand_runs

    inputs = load_inputs(scenario, overrides=overrides(set_, None))
    table = expand_runs(inputs)
    if table.scenario.trial is not None:
        from atmpsim.study.trial import pool_of

        pool_of(inputs)
    doses = sum(len(r.schedule.log) for r in table.runs)
    differences = list(warnings(table.agents)) if table.agents is not None else []
    facts = {
        "scenario": scenario, "model": table.model.id, "runs": table.size, "doses": doses,
        "samples": int(table.times.size), "outputs": list(table.keep), "notes": list(table.notes),
        "differences_from_physicell": differences,
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    counts = [(table.size, "run"), (doses, "dose"), (int(table.times.size), "sample"), (len(table.keep), "output")]
    said = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)
    typer.echo(f"{scenario} is valid: model {table.model.id}, {said}.")
    for note in table.notes:
        typer.echo(f"  {note}")
    if differences:
        typer.echo("Where PhysiCell 1.14 would do otherwise:")
    for difference in differences:
        typer.echo(f"  {difference}")


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
    from atmpsim.resources import shipped_agent_models, shipped_models
    from atmpsim.study.models import quantities_of

    rows = []
    for name in (*shipped_models(), *shipped_agent_models()):
        model = quantities_of(name)
        rows.append({"model": name, "engine": "ode" if name in shipped_models() else "agents",
                     "title": model.name or _heading(model), "species": len(model.species),
                     "parameters": len(model.parameters), "time": model.time_unit})  # fmt: skip
    print_rows(rows, title="Shipped models", as_json=as_json)


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A shipped model's id, or the path of a model file.")],
    as_json: Json = False,
) -> None:
    """Show a model's quantities with unit and source."""
    from atmpsim.study.models import quantities_of

    model = quantities_of(name)
    shown = [q for q in model.parameters.values() if as_json or not model.stock or q.id not in model.stock]
    rows = [
        {
            "id": q.id, "kind": q.kind, "value": "" if q.value is None else f"{q.value:g}", "unit": q.unit,
            "meaning": q.name, "distribution": q.distribution, "evidence": q.evidence.tag,
            "source": q.evidence.source or q.evidence.text,
        }
        for q in (*shown, *model.species.values())
    ]  # fmt: skip
    print_rows(rows, title=f"{model.id}: {model.name or _heading(model)}", as_json=as_json)
    if len(shown) < len(model.parameters):
        typer.echo(f"{len(model.parameters) - len(shown)} more numbers have PhysiCell's stock value or are 0; "
                   "--json lists them all.")  # fmt: skip
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
    from atmpsim.resources import shipped_agent_models, shipped_models
    from atmpsim.study.models import check_model

    faults = {name: check_model(name) for name in names or (*shipped_models(), *shipped_agent_models())}
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
    print_rows(rows, title="Shipped scenarios", as_json=as_json)


@app.command()
def plot(
    result: run_cli.Result,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Figure: .png, .svg or .pdf; with --cells also .gif or .mp4.")
    ] = None,
    variables: Annotated[str | None, typer.Option(help="Which outputs, with commas between.")] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Every run as a line, however many.")] = False,
    heat_map: Annotated[
        str | None, typer.Option("--map", metavar="METRIC", help="A heat map over two swept axes.")
    ] = None,
    tornado: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Bars of a sweep of one axis at a time.")
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="The cells of an agent model at its snapshots.")] = False,
    field: Annotated[str | None, typer.Option(help="With --cells: the substrate below them; '' for none.")] = None,
    at: Annotated[str | None, typer.Option(help="With --cells: times, with commas between.")] = None,
    runs: Annotated[str | None, typer.Option(help="With --cells: numbers of runs, with commas between.")] = None,
    depth: Annotated[
        str | None, typer.Option(help="With --cells in 3-D: height of a slice in um, or 'projection'.")
    ] = None,
) -> None:
    """Draw a figure of a stored result."""
    from atmpsim.plots.figures import plot_results, save_figure
    from atmpsim.plots.maps import plot_map, plot_tornado
    from atmpsim.results.store import open_results

    target = out if out is not None else run_cli.picture_of(result, ".cells.png" if cells else ".png")
    tree = open_results(result)
    if cells:
        run_cli.draw_cells(tree, target, field=field, at=at, runs=runs, depth=depth)
        typer.echo(f"{'Film' if target.suffix in ('.gif', '.mp4') else 'Figure'}: {target}")
        return
    if "visits" in tree.children and variables is None:
        from atmpsim.plots.trials import plot_trial

        figure = plot_trial(tree)
    elif heat_map is not None:
        figure = plot_map(tree, heat_map)
    elif tornado is not None:
        figure = plot_tornado(tree, tornado)
    else:
        figure = plot_results(tree, variables=listed(variables) if variables else None, ribbons=not lines)
    save_figure(figure, target)
    typer.echo(f"Figure: {target}")


@app.command()
def rerun(
    result: run_cli.Result,
    check: Annotated[bool, typer.Option("--check", help="Compare with what is stored.")] = False,
    out: run_cli.Out = None,
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
def doctor(
    result: Annotated[
        str | None, typer.Argument(parser=address, metavar="result", help="A stored result, to verify its checksums.")
    ] = None,
) -> int:
    """Check the installation, or the checksums of a result."""
    from atmpsim.study.doctor import check_installation, check_result

    failed = False
    for name, ok, text in check_installation() if result is None else check_result(result):
        failed |= not ok
        typer.echo(f"{'ok  ' if ok else 'FAIL'}  {name}: {text}")
    return SOME_FAILED if failed else OK


def _heading(model: Model) -> str:
    """Return the first comment line of an Antimony file, which says what the model is."""
    first = model.text.lstrip().splitlines()[0] if model.text.strip() else ""
    return first.lstrip("/# ").strip() if first.startswith(("//", "#")) else ""

"""Run a scenario: expand it, integrate every run, label, summarise and store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from atmpsim.errors import InputError, ResultError
from atmpsim.results.store import check_target, is_whole, on_grid, open_results, stored_sha256, write
from atmpsim.scenario.reader import Inputs, load_inputs
from atmpsim.scenario.table import RunTable, expand_runs
from atmpsim.study.compute import compute, failed, joined
from atmpsim.study.labels import label
from atmpsim.study.tissue import label_tables
from atmpsim.study.tree import label_computed, label_rest

_PIECE = 2048  # runs between two reports of progress
Progress = Callable[[int, int, int], None]
MOST_IN_MEMORY = 1024
"""Runs up to which a result is held in memory and stored in one stroke; larger ones go to the store as they come."""


def run(
    scenario: str | os.PathLike[str] | Inputs,
    *,
    out: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    checkpoint_pause: float = 60.0,
    progress: Progress | None = None,
    computed: Callable[[xr.DataTree], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> xr.DataTree:
    """Run a scenario and return its result, stored if `out` is given.

    Parameters
    ----------
    scenario
        A path, a shipped scenario's id, or inputs that were loaded already.
    out
        Where to store the result: a name that ends in `.zarr` or `.nc`.
    overrides
        Values by path (`dose.NAME.key`, `parameters.ID`, …) that replace the scenario's.
    overwrite
        Replace a result of other input that stands at `out`.
    workers
        Processes that share the work; by default threads of this one do.
    cluster
        Instead of processes a Dask cluster: the address of its scheduler, or `local:N`.
    resume
        Finish what an earlier run of the same input left at `out`.
    retry_failed
        Compute again the chunks of a stored result in which runs failed.
    checkpoint_pause
        The least seconds between two checkpoints of one run of an agent model, from which `resume` goes on.
    progress
        Called with the number of runs done, of all runs, and of those that failed.
    computed
        Called with the result as soon as all of it is in memory, before it is stored; not called where results
        go to the store as they come.
    notice
        Called with a line about what will take long before the first run can begin.

    Returns
    -------
    DataTree
        As `open_results` returns it.

    Raises
    ------
    InputError
        If the scenario, its model or `out` cannot be used; nothing is written then.
    """
    inputs = scenario if isinstance(scenario, Inputs) else load_inputs(scenario, overrides=overrides, seed=seed)
    table = expand_runs(inputs)
    if notice is not None and table.agents is not None:
        announce_compilation(notice)
    how: dict[str, Any] = {"workers": workers, "cluster": cluster, "resume": resume, "retry_failed": retry_failed}
    if out is None:
        if any(how.values()):
            raise InputError(where="run", found="workers, cluster or resume without out", expected="a place for the "
                             "result", remedy='Give out = "NAME.zarr".')  # fmt: skip
        if not table.summary_only:
            return on_grid(execute(table, inputs, progress=progress))
        with tempfile.TemporaryDirectory() as folder:
            return _stream(table, inputs, str(Path(folder, "result.zarr")), overwrite=False, progress=progress,
                           pause=checkpoint_pause, **how)  # fmt: skip
    # a run of an agent model may take hours: each is stored as it ends, and saved on the way
    long = table.agents is not None and Path(out).suffix == ".zarr"
    if long or any(how.values()) or table.summary_only or table.size > MOST_IN_MEMORY or _begun(out):
        return _stream(table, inputs, str(out), overwrite=overwrite, progress=progress, pause=checkpoint_pause, **how)
    check_target(Path(out), inputs_sha256=inputs.sha256, overwrite=overwrite)
    tree = execute(table, inputs, progress=progress)
    gridded = on_grid(tree)
    if computed is not None:
        computed(gridded)
    write(tree, Path(out))
    return gridded


def announce_compilation(notice: Callable[[str], None]) -> None:
    """Say that the first run of an agent model compiles, where it does."""
    from atmpsim.kernels.compiling import is_cached

    if not is_cached("advance.advance"):
        notice("Compiling the kernels of agent models: about a minute, once for each version of atmpsim.")


def _begun(out: str | os.PathLike[str]) -> bool:
    """Return whether an unfinished result stands there; only a path can be looked up so cheaply."""
    return "://" in str(out) or Path(f"{out}.partial").exists()


def _stream(
    table: RunTable, inputs: Inputs, out: str, *, resume: bool, retry_failed: bool, overwrite: bool, **how: Any
) -> xr.DataTree:
    from atmpsim.study.streaming import reopen_failed, run_stream

    if not out.endswith(".zarr"):
        raise ResultError(where=f"output '{out}'", found=f"the ending '{Path(out).suffix}'",
                          expected="a name that ends in .zarr",
                          remedy="Store many runs as Zarr; `atmpsim convert` makes other forms of it.")  # fmt: skip
    if "://" not in out:
        check_target(Path(out), inputs_sha256=inputs.sha256, overwrite=overwrite)
    if retry_failed:
        resume = reopen_failed(out, inputs) or resume
    if resume and stored_sha256(out) == inputs.sha256 and is_whole(out):
        return open_results(out)
    run_stream(table, inputs, out, resume=resume, overwrite=overwrite, **how)
    return open_results(out)


def execute(table: RunTable, inputs: Inputs, *, progress: Progress | None = None) -> xr.DataTree:
    """Return the result of every run of a table, over the dimension `run`."""
    labels = label(table)
    parts = []
    piece = _PIECE if table.agents is None else 1
    for begin in range(0, table.size, piece):
        parts.append(compute(table, labels, begin, min(begin + piece, table.size), threads=None))
        if progress is not None:
            progress(begin + parts[-1].size, table.size, sum(map(failed, parts)))
    whole = joined(parts)
    groups = {**label_rest(table, labels, inputs), **label_computed(table, labels, whole)}
    groups |= label_tables(table, whole.tables)
    return xr.DataTree.from_dict({name if name == "/" else f"/{name}": d for name, d in groups.items()})

"""Run a large table into a store that survives whatever happens: create or resume, compute what is missing, seal."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from atmpsim.errors import ResultError
from atmpsim.results.store import order_of, replace_with, stored_sha256
from atmpsim.results.stream import (
    DIGEST,
    ROWS,
    Stream,
    create,
    drop_tables,
    forget_failed,
    is_stream,
    join_tables,
    open_stream,
    quiet,
    store_group,
    stored_digest,
)  # fmt: skip
from atmpsim.scenario.reader import Inputs
from atmpsim.scenario.table import RunTable
from atmpsim.study.compute import BATCH, compute, nothing
from atmpsim.study.executors import choose
from atmpsim.study.labels import Labels, label, run_coordinates
from atmpsim.study.statistics import drop_partials, finish_statistics, prepare_partials
from atmpsim.study.tasks import Done, Spec, cores, forget, keep, unwritable
from atmpsim.study.tree import block_of, label_computed, label_rest

Progress = Callable[[int, int, int], None]
SECONDS_PER_CHUNK = 2.0
MOST_BLOCKS = 64
_PROBED = 32
_SECONDS_PROBED = 0.03
_BYTES_PER_CELL = 80  # of a snapshot
_TASKS_PER_WORKER = 4
_BYTES = 1.5e8  # of kept curves in a chunk, at most


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a table will cost: number of runs, seconds of one core for each, and bytes of the store."""

    runs: int
    seconds_per_run: float
    bytes: int


def partial_of(target: str) -> str:
    """Return where an unfinished result is: beside a local target, or at an address of its own (nothing renames there).

    Examples
    --------
    >>> partial_of("a.zarr"), partial_of("s3://bucket/a.zarr")
    ('a.zarr.partial', 's3://bucket/a.zarr')
    """
    return target if "://" in target else f"{target}.partial"


def estimate(table: RunTable, labels: Labels | None = None, *, probe: bool = True) -> Estimate:
    """Return what a table will cost, from a timed probe of its first runs; without one, some seconds for each."""
    labels = labels or label(table)
    if table.agents is not None:
        return _estimate_agents(table, labels, probe=probe)
    return Estimate(runs=table.size, seconds_per_run=_seconds_per_run(table, labels), bytes=_bytes(table, labels))


def _seconds_per_run(table: RunTable, labels: Labels) -> float:
    """Return how long the first runs take: more of them where they are short, for side by side many take less each."""
    count, most = min(_PROBED, table.size), min(BATCH, table.size)
    compute(table, labels, 0, count)  # the first call compiles
    while True:
        started = time.perf_counter()
        compute(table, labels, 0, count)
        seconds = time.perf_counter() - started
        if count == most or seconds > _SECONDS_PROBED:
            return seconds / count
        count = min(4 * count, most)


def _estimate_agents(table: RunTable, labels: Labels, *, probe: bool) -> Estimate:
    """Return the cost of an agent table by the time that a first stretch of its first run takes."""
    from atmpsim.study.agent_runs import timed

    cells = sum(v.value or 0.0 for v in table.model.species.values() if v.unit == "cell")
    shots = len(table.scenario.agents.snapshots)
    size = _bytes(table, labels) + int(table.size * shots * cells * _BYTES_PER_CELL)
    return Estimate(runs=table.size, seconds_per_run=timed(table) if probe else SECONDS_PER_CHUNK, bytes=size)


def _bytes(table: RunTable, labels: Labels) -> int:
    columns = len(labels.parameters) + len(table.metrics) + 4
    if not table.summary_only:
        columns += len(table.curves) * table.times.size
    return 8 * columns * table.size


def chunk_size(table: RunTable, seconds_per_run: float, workers: int) -> int:
    """Return the runs in a chunk: some seconds of work, a few chunks for each worker, whole blocks."""
    block = block_of(table)
    wanted = SECONDS_PER_CHUNK / max(seconds_per_run, 1e-9) / block
    fair = table.size / (_TASKS_PER_WORKER * workers) / block
    fitting = _BYTES / (8 * table.times.size * len(table.curves) * block)
    return block * max(1, min(MOST_BLOCKS, math.floor(wanted), math.ceil(fair), math.floor(fitting)))


def run_stream(
    table: RunTable, inputs: Inputs, target: str, *, workers: int | None = None, cluster: str | None = None,
    threads: int | None = None, resume: bool = False, overwrite: bool = False, chunk: int | None = None,
    order: Sequence[int] | None = None, progress: Progress | None = None, pause: float = 60.0,
) -> None:  # fmt: skip
    """Run a table into a store at `target`.

    Parameters
    ----------
    resume
        Finish what an earlier run of the same input left; begin where there is none.
    overwrite
        Throw away what stands there, finished or not.
    chunk, order
        Runs in a chunk and the order of the chunks; the result does not depend on them.
    pause
        The least seconds between two checkpoints of a run that takes long.

    Raises
    ------
    ResultError
        If something else stands there, or it cannot be written.
    """
    labels, address = label(table), partial_of(target if "://" in target else str(Path(target).absolute()))
    try:
        stream = _opened(table, labels, inputs, address, resume=resume, overwrite=overwrite,
                         chunk=chunk, workers=workers or cores())  # fmt: skip
        # with fewer runs than cores each takes several
        spec = Spec(inputs=inputs.as_json(), sha256=inputs.sha256, address=address, pause=pause,
                    threads=max(1, cores() // table.size) if table.agents is not None else 1)  # fmt: skip
        keep(spec, table, labels, stream)
        if table.summary_only:
            prepare_partials(stream)
        missing = stream.missing()
        tasks = missing if order is None else [k for k in order if k in set(missing)]
        if workers is not None and table.agents is not None and tasks:
            _compile_once(table)
        runner = choose(workers=workers, cluster=cluster, threads=threads or cores())
        with contextlib.closing(runner(spec, tasks)) as done:  # what is running ends before anybody looks
            interrupted = _drive(done, stream, missing, progress)
        if interrupted:
            kept = stream.size - sum(end - begin for begin, end in map(stream.span, stream.missing()))
            raise KeyboardInterrupt(
                f"Interrupted; {kept} of {stream.size} runs are kept in {partial_of(target)}. Finish with --resume."
            )
        _seal(stream, table, labels, inputs)
        forget(spec)
        shutil.rmtree(f"{address}.checkpoints", ignore_errors=True)
        if "://" not in target:
            replace_with(Path(address), Path(target))
    except OSError as error:
        raise unwritable(address, error) from None


def _compile_once(table: RunTable) -> None:
    """Compile the kernels of agent models where they are not cached: else each worker would do so for itself."""
    from atmpsim.kernels.compiling import is_cached
    from atmpsim.study.agent_runs import timed

    if not is_cached("advance.advance"):
        timed(table)


def reopen_failed(target: str, inputs: Inputs) -> bool:
    """Take the chunks with failed runs out of a result, so that resuming computes them again; return whether any.

    Raises
    ------
    ResultError
        If there is no result of this input, or it was not stored in chunks.
    """
    address, where = partial_of(target), f"output '{target}'"
    here = address if Path(address).exists() else target
    if stored_sha256(here) != inputs.sha256 or not is_stream(here):
        raise ResultError(where=where, found="no result of this input that was stored in chunks", expected="one",
                          remedy="Run it with --workers or --resume first.")  # fmt: skip
    stream = open_stream(here, where=where)
    with quiet():
        found = forget_failed(stream)
    if found and here != address:
        os.rename(here, address)
    return bool(found)


def _drive(done: Iterator[Done], stream: Stream, missing: Sequence[int], progress: Progress | None) -> bool:
    """Follow the tasks to their end; return whether the user stopped them before."""
    lengths = [end - begin for begin, end in map(stream.span, missing)]
    finished, bad = stream.size - sum(lengths), 0
    try:
        for one in done:
            finished, bad = finished + one.runs, bad + one.failed
            if progress is not None:
                progress(finished, stream.size, bad)
    except KeyboardInterrupt:
        return True
    return False


def _opened(
    table: RunTable, labels: Labels, inputs: Inputs, address: str, *, resume: bool, overwrite: bool,
    chunk: int | None, workers: int,
) -> Stream:  # fmt: skip
    where = f"output '{address}'"
    exists = "://" in address or Path(address).exists()
    sha256 = stored_sha256(address) if exists else None
    if exists and not overwrite and ("://" not in address or sha256 is not None):
        return _resumed(address, sha256, inputs, resume, where)
    if "://" not in address and exists:
        shutil.rmtree(address)
    shutil.rmtree(f"{address}.checkpoints", ignore_errors=True)  # of another store that stood here
    agents = table.agents is not None
    cost = estimate(table, labels, probe=not agents)
    _check_space(address, cost, where)
    few = min(8, table.size)
    sample = label_computed(table, labels, nothing(table, labels, 0, few) if agents else compute(table, labels, 0, few))
    rest = label_rest(table, labels, inputs)
    rows = xr.Dataset(coords=run_coordinates(table, labels, 0, table.size))
    runs = chunk or chunk_size(table, cost.seconds_per_run, workers)
    if "://" in address:
        return create(address, sample, rest, rows=rows, size=table.size, chunk=runs, block=block_of(table))
    # made beside its place, so that whoever finds a store there finds it whole
    made = f"{address}.{os.getpid()}"
    try:
        create(made, sample, rest, rows=rows, size=table.size, chunk=runs, block=block_of(table))
        os.rename(made, address)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return open_stream(address, where=where)


def _resumed(address: str, sha256: str | None, inputs: Inputs, resume: bool, where: str) -> Stream:
    if sha256 is not None and sha256 != inputs.sha256:
        raise ResultError(
            where=where, found=f"an unfinished result of other input ({sha256[:12]})",
            expected=f"one of this input ({inputs.sha256[:12]})",
            remedy="Finish that one with its own scenario, choose another name with -o, or give --overwrite.",
        )  # fmt: skip
    stream = open_stream(address, where=where)
    if not resume:
        raise ResultError(where=where, found="an unfinished result of the same input", expected="a free name",
                          remedy="Give --resume to finish it, or --overwrite to begin anew.")  # fmt: skip
    return stream


def _check_space(address: str, cost: Estimate, where: str) -> None:
    """Raise if even a well compressed store would not fit; one that fits only just may still fill the disk."""
    if "://" in address:
        return
    folder = Path(address).parent
    free = shutil.disk_usage(folder).free if folder.is_dir() else math.inf
    if cost.bytes > 20 * free:
        raise ResultError(where=where, found=f"{free / 1e9:.3g} GB of space for up to {cost.bytes / 1e9:.3g} GB",
                          expected="more space", remedy='Write keep = "summary", or keep fewer outputs.')  # fmt: skip


def _seal(stream: Stream, table: RunTable, labels: Labels, inputs: Inputs) -> None:
    """Write what follows from all chunks: statistics, and the digest of the whole; a store with a digest is whole."""
    if DIGEST in stream.root["provenance"].attrs:
        return
    rest = _inner_groups(stream, label_rest(table, labels, inputs), labels)
    with quiet():
        for name, dataset in join_tables(stream).items():
            rest[name] = dataset
            store_group(stream, name, dataset)
        if table.summary_only:
            rest["statistics"] = finish_statistics(stream, table, labels)
            store_group(stream, "statistics", rest["statistics"])
        digest = stored_digest(stream, rest, labels.grid, order_of(labels.grid))
        stream.root["provenance"].attrs[DIGEST] = digest
        drop_partials(stream)
        drop_tables(stream)


def _inner_groups(stream: Stream, rest: Mapping[str, xr.Dataset], labels: Labels) -> dict[str, xr.Dataset]:
    """Return what is the same for all runs: the groups of `rest`, and the coordinates of the others."""
    made = dict(rest)
    for name in ROWS:
        if name in stream.root:
            with quiet(), xr.open_zarr(stream.address, group=name, consolidated=False, decode_times=False) as stored:
                inner = stored[[k for k, v in stored.variables.items() if "run" not in v.dims]].load()
            texts = {k: v.astype(object) for k, v in inner.variables.items() if v.dtype.kind == "T"}
            made[name] = inner.assign_coords(texts).assign_coords(labels.grid.coords)
    return made

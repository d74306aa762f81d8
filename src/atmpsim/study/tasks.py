"""One task of a large table: compute one chunk of runs and write it; all a worker needs is plain text."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from atmpsim.errors import ResultError
from atmpsim.results.stream import Stream, open_stream, quiet, write_chunk, write_tables
from atmpsim.scenario.reader import Inputs
from atmpsim.scenario.table import RunTable, expand_runs
from atmpsim.study.compute import compute, failed
from atmpsim.study.labels import Labels, label
from atmpsim.study.solved import Saving
from atmpsim.study.statistics import write_partial
from atmpsim.study.tissue import label_tables
from atmpsim.study.tree import label_computed


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every task of a table shares: the inputs as text, where the store is, threads of a run, and the least
    seconds between two checkpoints of one."""

    inputs: str = field(repr=False)
    sha256: str
    address: str
    threads: int = 1
    pause: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a task says when its chunk is written: which, how many runs, how many failed, and how long it took."""

    index: int
    runs: int
    failed: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """What a worker builds once and keeps."""

    table: RunTable
    labels: Labels
    stream: Stream
    halt: threading.Event = field(default_factory=threading.Event)


_LOCK = threading.Lock()
_BENCHES: dict[Spec, _Bench] = {}


def do_chunk(spec: Spec, index: int) -> Done:
    """Compute and write one chunk.

    Raises
    ------
    ResultError
        If the store cannot be written.
    """
    bench = _bench(spec)
    started = time.perf_counter()
    begin, end = bench.stream.span(index)
    saving = saving_at(spec, bench.halt.is_set) if bench.table.agents is not None else None
    computed = compute(bench.table, bench.labels, begin, end, threads=spec.threads, saving=saving)
    try:
        with quiet():
            if bench.table.summary_only:
                write_partial(bench.stream, bench.table, computed, index)
            write_tables(bench.stream, index, label_tables(bench.table, computed.tables))
            write_chunk(bench.stream, index, label_computed(bench.table, bench.labels, computed))
    except OSError as error:
        raise unwritable(spec.address, error) from None
    seconds = time.perf_counter() - started
    return Done(index=index, runs=computed.size, failed=failed(computed), seconds=seconds)


def saving_at(spec: Spec, halt: Callable[[], bool]) -> Saving | None:
    """Return where runs save their state: beside their store, if that is a folder."""
    if "://" in spec.address:
        return None
    folder = Path(f"{spec.address}.checkpoints")
    folder.mkdir(exist_ok=True)
    return Saving(folder=folder, pause=spec.pause, halt=halt)


def unwritable(address: str, error: OSError) -> ResultError:
    """Return the error for a store that cannot be written; what is in it stays."""
    return ResultError(
        where=f"output '{address}'", found=f"a place that cannot be written ({error.strerror or error})",
        expected="a folder with space that you may write to",
        remedy="Make room there, then finish with --resume: the chunks that are written stay.",
    )  # fmt: skip


def keep(spec: Spec, table: RunTable, labels: Labels, stream: Stream) -> None:
    """Keep what this process has built already, for its own tasks."""
    _BENCHES[spec] = _Bench(table=table, labels=labels, stream=stream)


def halt(spec: Spec) -> None:
    """Tell the tasks of this process that take long to save their state and end."""
    if spec in _BENCHES:
        _BENCHES[spec].halt.set()


def forget(spec: Spec) -> None:
    """Let go of what `keep` or a task has built."""
    _BENCHES.pop(spec, None)


def _bench(spec: Spec) -> _Bench:
    with _LOCK:
        if spec not in _BENCHES:
            _BENCHES.clear()
            table = expand_runs(Inputs.from_json(spec.inputs))
            _BENCHES[spec] = _Bench(table=table, labels=label(table), stream=open_stream(spec.address))
        return _BENCHES[spec]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Run tasks in threads, in processes or on a Dask cluster; a worker that dies loses nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from atmpsim.errors import InputError, SimulationError
from atmpsim.study.tasks import Done, Spec, do_chunk, halt

MOST_DEATHS = 3
"""How often in a row all processes may die without any chunk done before the run is given up."""

_AHEAD = 2  # tasks in the queue of a pool for each worker: enough to keep it busy, few to throw away


def run_threads(spec: Spec, tasks: Sequence[int], *, threads: int) -> Generator[Done]:
    """Yield what each task says as it ends, from threads of this process."""
    with _stopping(ThreadPoolExecutor(threads)) as pool:
        try:
            yield from _flow(pool, spec, tasks, threads)
        finally:
            halt(spec)


def run_processes(spec: Spec, tasks: Sequence[int], *, workers: int) -> Generator[Done]:
    """Yield what each task says as it ends, from processes; where they die, new ones take over what is left.

    Raises
    ------
    SimulationError
        If they die again and again without a chunk done.
    """
    left, deaths = list(tasks), 0
    while left:
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            with _stopping(pool):
                for done in _flow(pool, spec, left, workers):
                    deaths = 0
                    left.remove(done.index)
                    yield done
        except BrokenProcessPool:
            deaths += 1
            if deaths > MOST_DEATHS:
                raise SimulationError(
                    f"output '{spec.address}': found that worker processes died {deaths} times without a chunk done, "
                    "expected them to live. Is memory short? Give fewer --workers, and finish with --resume."
                ) from None


@contextmanager
def _stopping(pool: Executor) -> Iterator[Executor]:
    """Close a pool without waiting for what has not begun."""
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _flow(pool: Executor, spec: Spec, tasks: Sequence[int], workers: int) -> Generator[Done]:
    waiting = iter(list(tasks))
    running: set[Future[Done]] = set()
    while True:
        while len(running) < _AHEAD * workers and (task := next(waiting, None)) is not None:
            running.add(pool.submit(do_chunk, spec, task))
        if not running:
            return
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future.result()


def run_cluster(spec: Spec, tasks: Sequence[int], *, cluster: str) -> Generator[Done]:
    """Yield what each task says as it ends, from the workers of a Dask cluster.

    Parameters
    ----------
    cluster
        Address of a scheduler, or `local:N` for N workers on this machine.

    Raises
    ------
    InputError
        If Dask is not installed, or there is no scheduler at the address.
    """
    where = f"--cluster {cluster}"
    distributed = _distributed(where)
    with _client(distributed, cluster, where) as client:
        futures = client.map(lambda task, spec=spec: do_chunk(spec, task), list(tasks), pure=False)
        try:
            for future in distributed.as_completed(futures, loop=client.loop):
                yield future.result()
                future.release()
        finally:
            client.cancel(futures)


def _distributed(where: str) -> Any:
    try:
        import distributed
    except ImportError:
        raise InputError(where=where, found="no Dask", expected="dask and distributed installed",
                         remedy="pip install 'atmpsim[dask]', or give --workers instead.") from None  # fmt: skip
    return distributed


@contextmanager
def _client(distributed: Any, cluster: str, where: str) -> Iterator[Any]:
    """Open a client that nobody else finds: what else reads lazily in this process must not go through it."""
    kind, _, count = cluster.partition(":")
    if kind == "local":
        if not count.isdigit() or int(count) < 1:
            raise InputError(where=where, found=f"'{cluster}'", expected="local:N with the number of workers",
                             remedy="For example local:4.")  # fmt: skip
        options = {"n_workers": int(count), "threads_per_worker": 1, "dashboard_address": None}
        with distributed.LocalCluster(**options) as made, distributed.Client(made, set_as_default=False) as client:
            yield client
        return
    try:
        client = distributed.Client(cluster, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(where=where, found=f"no scheduler ({error})", expected="the address of a Dask scheduler",
                         remedy="Start one with `dask scheduler`, or give local:N.") from None  # fmt: skip
    with client:
        yield client


Runner = Callable[[Spec, Sequence[int]], Generator[Done]]


def choose(*, workers: int | None, cluster: str | None, threads: int) -> Runner:
    """Return how tasks are run: on a cluster, in processes, or in threads."""
    if cluster is not None:
        return lambda spec, tasks: run_cluster(spec, tasks, cluster=cluster)
    if workers is not None:
        return lambda spec, tasks: run_processes(spec, tasks, workers=workers)
    return lambda spec, tasks: run_threads(spec, tasks, threads=threads)

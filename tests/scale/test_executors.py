"""The same bits whoever computes them: threads, processes, Dask, any order of chunks, after a kill and a resume."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import atmpsim
from atmpsim.results.digest import digest
from atmpsim.results.store import on_grid, open_results
from atmpsim.results.stream import open_stream
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.table import expand_runs
from atmpsim.study.run import execute
from atmpsim.study.streaming import run_stream

RUNS = 2 * 3 * 350


def streamed(scenario, name, **how):
    """Return the digest of a result that was stored in chunks, after comparing it with what is read back."""
    inputs = load_inputs(scenario)
    run_stream(expand_runs(inputs), inputs, name, **{"chunk": 256, **how})
    tree = open_results(name)
    assert tree["provenance"].attrs["digest"] == digest(tree)
    assert not Path(f"{name}.partial").exists()
    return digest(tree)


def in_memory(scenario):
    inputs = load_inputs(scenario)
    return digest(on_grid(execute(expand_runs(inputs), inputs)))


def test_threads_chunks_and_order_make_no_difference(scenario):
    wanted = in_memory(scenario)
    assert streamed(scenario, "one.zarr", threads=1) == wanted
    assert streamed(scenario, "two.zarr", threads=2) == wanted
    assert streamed(scenario, "large.zarr", chunk=1024) == wanted
    order = list(range(9))
    random.Random(5).shuffle(order)
    assert streamed(scenario, "shuffled.zarr", order=order) == wanted


def test_processes_make_no_difference(scenario):
    wanted = in_memory(scenario)
    assert {streamed(scenario, f"{n}.zarr", workers=n) for n in (1, 3)} == {wanted}


def test_dask_makes_no_difference(scenario):
    pytest.importorskip("distributed")
    assert streamed(scenario, "dask.zarr", cluster="local:2") == in_memory(scenario)


def test_a_dask_worker_that_is_killed_loses_nothing(scenario):
    distributed = pytest.importorskip("distributed")
    wanted = in_memory(scenario)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        killed = []

        def kill_one(done, total, failed):
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        found = streamed(scenario, "killed.zarr", cluster=cluster.scheduler_address, progress=kill_one)
    assert killed
    assert found == wanted


def test_processes_that_are_killed_lose_nothing(scenario):
    import multiprocessing

    wanted, killed = in_memory(scenario), []

    def kill_one(done, total, failed):
        if not killed:
            child = multiprocessing.active_children()[0]
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)

    assert streamed(scenario, "killed.zarr", workers=2, progress=kill_one) == wanted
    assert killed


SCRIPT = """
import sys
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.table import expand_runs
from atmpsim.study.streaming import run_stream
inputs = load_inputs(sys.argv[1])
print("begun", flush=True)
run_stream(expand_runs(inputs), inputs, sys.argv[2], chunk=256, threads=2, resume=True)
"""


def kill_and_resume(scenario, name, delays):
    """Kill a run outright after each delay, then finish it; return the digest and how many kills hit."""
    hits = 0
    for delay in delays:
        child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(scenario), name], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(delay)
        hits += child.poll() is None
        child.kill()
        child.communicate()
        if Path(name).exists():
            break
        whole = open_stream(f"{name}.partial") if Path(f"{name}.partial/checksums").exists() else None
        if whole is not None:
            status = np.asarray(whole.arrays["status", "status"][:])
            for begin, end in map(whole.span, range(whole.chunks)):
                assert len({bool(s == -1) for s in status[begin:end]}) == 1, "a chunk is there as a whole or not at all"
    if Path(name).exists():
        return digest(open_results(name)), hits
    return streamed(scenario, name, resume=True), hits


def test_kill_and_resume(scenario):
    found, hits = kill_and_resume(scenario, "killed.zarr", [0.3, 1.0])
    assert hits
    assert found == in_memory(scenario)


@pytest.mark.campaign
def test_many_kills_at_random_moments(scenario):
    wanted, random_delay, hits = in_memory(scenario), random.Random(20), 0
    while hits < 20:
        found, new = kill_and_resume(scenario, f"{hits}.zarr", [random_delay.uniform(0.0, 3.0) for _ in range(3)])
        assert found == wanted
        hits += new


def test_run_resumes_from_python(scenario):
    wanted = in_memory(scenario)
    first = atmpsim.run(scenario, out="a.zarr", workers=1)
    again = atmpsim.run(scenario, out="a.zarr", resume=True)
    assert digest(first) == digest(again) == wanted


@pytest.mark.parametrize("keep", ["outputs", "summary"])
def test_a_stored_result_is_made_again_from_itself(scenario, keep):
    from atmpsim.study.rerun import rerun

    inputs = load_inputs(scenario, overrides={"output.keep": keep})
    run_stream(expand_runs(inputs), inputs, "a.zarr", chunk=512)
    assert rerun("a.zarr")[1].same

"""How the batch solver's time grows with states, trajectories and threads, and what compiling and memory cost."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from atmpsim.engines.program import prepare
from atmpsim.model.library import read_model
from benchmarks import ode
from benchmarks._workloads import Workload

SIZES = (10, 20, 40, 60, 100, 150, 200)
COUNTS = (1, 8, 100, 1_000, 10_000, 100_000)
_FIRST = """
import sys, time
started = time.perf_counter()
from atmpsim import simulate
simulate(sys.argv[1], times=[0.0, 1.0])
print(time.perf_counter() - started)
"""
_REDUCED = """
import resource
import numpy as np
from benchmarks import _scaling, ode
from benchmarks._workloads import workloads
workload = next(w for w in workloads() if w.name == "msc_pbpk38")
program = ode.prepare(workload.model)
ensemble = ode.ensemble_of(workload, program, 100_000)
total = np.zeros((workload.times.size, len(program.equations.states)))
for begin in range(0, ensemble.size, 10_000):
    part = ensemble.take(range(begin, begin + 10_000))
    total += ode.ours_once(workload, program, part, 1e-6, threads=2)[1].states.sum(axis=0)
assert np.isfinite(total).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(workload: Workload) -> dict[str, object]:
    """Print three tables, compile times and memory; return the numbers."""
    return {
        "ns per state and attempt": _states(), "per second by count": _counts(workload),
        "two threads": _threads(workload), "first result, s": _first_results(), "reduced, MB": _memory(),
    }  # fmt: skip


def network(size: int) -> str:
    """Return a random network of mass action with two neighbours a state, some of its reactions of second order."""
    rng = np.random.default_rng(size)
    lines = [f"model network{size}", "species " + ", ".join(f"s{k}" for k in range(size)) + ";"]
    for k in range(size):
        for j in (int(rng.integers(size)), (k + 1) % size):
            second = f"*s{int(rng.integers(size))}" if rng.random() < 0.3 else ""
            lines.append(f"R{k}_{len(lines)}: s{k} => s{j}; {10 ** rng.uniform(-2, 1):.4g}*s{k}{second};")
    return "\n".join([*lines, *(f"s{k} = {rng.uniform(0, 1):.4g};" for k in range(size)), "end"])


def _states() -> dict[int, float]:
    print("\nstates   width   s to first result   from object cache   ns per state and attempt")
    found = {}
    for size in SIZES:
        text = network(size)
        times = [_first_and_again(text, size) for _ in range(5 if size <= 100 else 1)]
        first, again = (statistics.median(t) for t in zip(*times, strict=True))
        workload = _workload(text, size)
        program = prepare(workload.model)
        ensemble = ode.ensemble_of(workload, program, 256)
        ode.ours_once(workload, program, ensemble, 1e-2)
        rate, solution = ode.ours_once(workload, program, ensemble, 1e-6)
        found[size] = round(1e9 / rate / float(solution.steps.mean()) / size, 2)
        print(f"{size:6d} {program.batch.width:7d} {first:19.2f} {again:19.3f} {found[size]:26.2f}")
    return found


def _first_and_again(text: str, size: int) -> tuple[float, float]:
    """Return seconds to a first result with nothing in the cache, and with the object code there."""
    kept = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        try:
            return _to_first_result(text, size), _to_first_result(text, size)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if kept is not None:
                os.environ["XDG_CACHE_HOME"] = kept


def _workload(text: str, size: int) -> Workload:
    model = read_model(text, where=f"network{size}", path="", suffix=".ant")
    return Workload(
        name=f"network{size}", model=model, times=np.linspace(0, 10, 11), doses=(), varied={"s0": 1.0}, sigma=0.3
    )


def _to_first_result(text: str, size: int) -> float:
    from atmpsim.engines import program

    program._prepare.cache_clear()  # else the process still holds the machine code
    started = time.perf_counter()
    workload = _workload(text, size)
    prepared = prepare(workload.model)
    ode.ours_once(workload, prepared, ode.ensemble_of(workload, prepared, 1), 1e-6)
    return time.perf_counter() - started


def _counts(workload: Workload) -> dict[int, float]:
    print("\ntrajectories of msc_pbpk38 at 1e-6   per second")
    program, found = prepare(workload.model), {}
    for count in COUNTS:
        ensemble = ode.ensemble_of(workload, program, count)
        found[count] = round(statistics.median(_streamed(workload, ensemble) for _ in range(3 if count < 1e4 else 1)))
        print(f"{count:34d} {found[count]:12d}")
    return found


def _streamed(workload: Workload, ensemble: ode.Ensemble, *, threads: int = 1) -> float:
    """Return trajectories per second, ten thousand at a time: a hundred thousand do not fit into memory at once."""
    program, started = prepare(workload.model), time.perf_counter()
    for begin in range(0, ensemble.size, 10_000):
        part = ensemble.take(range(begin, min(begin + 10_000, ensemble.size)))
        ode.ours_once(workload, program, part, 1e-6, threads=threads)
    return ensemble.size / (time.perf_counter() - started)


def _threads(workload: Workload) -> float:
    ensemble = ode.ensemble_of(workload, prepare(workload.model), 10_000)
    pairs = [(_streamed(workload, ensemble, threads=2), _streamed(workload, ensemble)) for _ in range(5)]
    ratio = statistics.median(two / one for two, one in pairs)
    print(f"\ntwo threads: {ratio:.2f} times one")
    return round(ratio, 2)


def _first_results() -> dict[str, float]:
    """Return the seconds from a new process to the first result of a model, without and with a cache on disk."""
    found = {}
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "XDG_CACHE_HOME": empty}
        for state in ("new process, cold", "new process, warm"):
            seconds = []
            for _ in range(1 if state.endswith("cold") else 5):
                done = subprocess.run(
                    [sys.executable, "-c", _FIRST, "celyvir"],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                seconds.append(float(done.stdout))
            found[state] = round(statistics.median(seconds), 2)
            print(f"{state}: celyvir after {found[state]:g} s")
    return found


def _memory() -> float:
    """Return the resident memory of a process that reduces 100,000 trajectories to their mean."""
    done = subprocess.run([sys.executable, "-c", _REDUCED], capture_output=True, text=True, check=True)
    print(f"100,000 trajectories of msc_pbpk38 to their mean: {float(done.stdout):.0f} MB")
    return round(float(done.stdout))

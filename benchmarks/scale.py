"""What running at scale costs over the engine alone, what two workers gain, and how much memory many runs take.

`python -m benchmarks scale [RUNS] [RUNS_TO_QUANTILES] [PART ...]` runs each comparison interleaved and prints ratios:

- overhead: a sweep of celyvir stored with ten outputs at 101 times, against the same solver calls in a bare loop
  that writes the same arrays (one process, the same threads);
- workers: one worker process against two, on a table that keeps both busy;
- quantiles: many runs of msc_pbpk38 (a population of 38 states) reduced to quantiles on one thread: resident memory,
  and processor time against the solver alone.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr

from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import prepare
from atmpsim.engines.solve import needed_states, observe, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.scenario.reader import Inputs, load_inputs
from atmpsim.scenario.rows import rows
from atmpsim.scenario.table import RunTable, expand_runs
from atmpsim.study.simulate import tolerances
from atmpsim.study.streaming import run_stream
from atmpsim.study.tasks import cores

CELYVIR = {
    "time.every": "1 d", "time.end": "100 d", "sweep.design": "sobol",
    "sweep.parameters.burst_size": {"from": "500 vp/cell", "to": "8000 vp/cell", "scale": "log"},
    "sweep.parameters.death_rate": {"from": "0.4 1/d", "to": "1.2 1/d"},
    "output.keep": [
        "tumour_virus", "blood_virus", "tumour_effector_cells", "tumour_infected_cells", "tumour_living_cells",
        "tumour_volume", "blood_pcr", "antibody", "lung_msc_alive", "tumour_msc_alive",
    ],
    "output.summary": ["tumour_volume.end"],
}  # fmt: skip
MOST_REPEATED = 200_000  # runs to quantiles; a quarter as many runs that are stored
PBPK = Path(__file__).parents[2] / "shared" / "benchmarks"
_SCENARIO = """\
schema = 1
title = "Population of a 38-state model"
model = "{model}"
[time]
end = "{end} {unit}"
at = {times}
[[dose]]
into = "{state}"
amount = {amount}
duration = "{duration} {unit}"
[output]
keep = "summary"
summary = []
[population]
size = {size}
vary = "listed"
[population.distribution]
{varied}
"""


def main(arguments: Sequence[str]) -> None:
    """Print ratios, and one line of JSON at the end."""
    count = int(arguments[0]) if arguments else 2048
    many = int(arguments[1]) if len(arguments) > 1 else 20_000
    parts = {
        "overhead": lambda: _overhead(count),
        "workers": lambda: _workers(count),
        "quantiles": lambda: _quantiles(many),
    }
    made: dict[str, float] = {}
    for name in arguments[2:] or parts:
        made |= parts[name]()
    for name, value in made.items():
        print(f"{name:44} {value:.4g}")
    print(json.dumps(made))


def _overhead(count: int) -> dict[str, float]:
    inputs = load_inputs("celyvir-weekly", overrides={**CELYVIR, "sweep.count": count})
    table = expand_runs(inputs)
    few = Inputs(**{**inputs.__dict__, "raw": inputs.raw | {"sweep": {**inputs.raw["sweep"], "count": 16}}})
    ours, bare, fixed = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(3):  # the first compiles
            fixed.append(_seconds(lambda k=repeat: run_stream(expand_runs(few), few, f"{folder}/c{k}.zarr", chunk=256)))
    for _ in range(1 if count > MOST_REPEATED // 4 else 2):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(_seconds(lambda folder=folder: run_stream(table, inputs, f"{folder}/a.zarr")))
            bare.append(_seconds(lambda folder=folder: _bare(table, f"{folder}/b.zarr")))
    return {
        f"overhead at {count} runs (times bare loop)": min(ours) / min(bare), "bare loop, s": min(bare),
        "fixed cost, s (16 runs)": min(fixed),
    }  # fmt: skip


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started


def _bare(table: RunTable, path: str) -> None:
    """Solve the table by 256 runs and write the curves, and nothing else."""
    root = zarr.open_group(path, mode="w")
    shape = (table.size, table.times.size)
    arrays = {
        k: root.create_array(str(j), shape=shape, chunks=(256, shape[1]), dtype=float) for j, k in enumerate(table.keep)
    }

    def block(begin: int) -> None:
        end = min(begin + 256, table.size)
        for name, values in _solved(table, begin, end).items():
            arrays[name][begin:end] = values

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(block, range(0, table.size, 256)))


def _solved(table: RunTable, begin: int, end: int) -> Mapping[str, np.ndarray]:
    (group,) = rows(table, begin, end)
    program, solver = prepare(table.model, fixed=group.given), table.scenario.solver
    leaves = initial_leaves(program.equations, group.given, start=0.0, where="bare")
    ensemble = gather(program.equations, leaves, count=end - begin, schedules=group.schedules)
    limits = tolerances(program.equations, rtol=solver.rtol, atol=solver.atol, where="bare")
    states = needed_states(program.equations, table.keep)
    solution = solve(program, ensemble, times=table.times, tolerances=limits, states=states, threads=1)
    return observe(program.equations, solution, times=table.times, select=table.keep)


def _solved_in_parts(table: RunTable) -> None:
    for begin in range(0, table.size, 256):
        _solved(table, begin, min(begin + 256, table.size))


def _workers(count: int) -> dict[str, float]:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    script = (
        "import sys, time; from benchmarks.scale import CELYVIR; from atmpsim.scenario.reader import load_inputs; "
        "from atmpsim.scenario.table import expand_runs; from atmpsim.study.streaming import run_stream\n"
        "if __name__ == '__main__':\n"
        "    i = load_inputs('celyvir-weekly', overrides={**CELYVIR, 'sweep.count': int(sys.argv[3])})\n"
        "    t = expand_runs(i)\n"
        "    began = []; stamp = lambda *a: began.append((time.perf_counter(), a[0]))\n"
        "    run_stream(t, i, sys.argv[1], chunk=256, workers=int(sys.argv[2]), progress=stamp)\n"
        "    print((began[-1][0] - began[0][0]) / (began[-1][1] - began[0][1]))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "work.py")
        file.write_text(script, encoding="utf-8")
        for repeat in range(2):
            for workers in (1, 2):
                command = [sys.executable, str(file), f"{folder}/{workers}{repeat}.zarr", str(workers), str(count)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds[workers].append(float(done.stdout))
    return {"two workers (times the rate of one, first chunk apart)": min(seconds[1]) / min(seconds[2])}


def _quantiles(count: int) -> dict[str, float]:
    file = PBPK / "workloads.json"
    if not file.exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        scenario = _pbpk_scenario(Path(folder), json.loads(file.read_text(encoding="utf-8"))["msc_pbpk38"], count)
        inputs = load_inputs(scenario)
        table = expand_runs(inputs)
        ours, alone = [], []
        _solved(table, 0, 256)  # compiled before it counts
        for repeat in range(1 if count > MOST_REPEATED else 2):
            ours.append(
                _seconds(lambda k=repeat: run_stream(table, inputs, f"{folder}/{k}.zarr", threads=1), time.process_time)
            )
            alone.append(_seconds(lambda: _solved_in_parts(table), time.process_time))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        f"{count} runs to quantiles (times solver alone)": min(ours) / min(alone), "solver alone, s": min(alone),
        "peak resident memory of this process, GB": peak,
    }  # fmt: skip


def _pbpk_scenario(folder: Path, entry: Mapping, count: int) -> Path:
    from atmpsim.model.library import load_model

    model = load_model(PBPK / entry["model"])
    names = entry["vary"] if isinstance(entry["vary"], list) else [
        k for k, p in model.parameters.items() if p.constant and p.value and k not in model.assignment_rules
    ]  # fmt: skip
    sigma = entry["vary_lognormal_sigma"]
    varied = "\n".join(
        f'"{k}" = "lognormal(ln({model.parameters[k].value!r}), {sigma}) {model.parameters[k].unit or 1}"'
        for k in names
    )
    times, given, unit = entry["output_times"], entry["infusion"], model.time_unit or "1"
    own = model.quantities[given["state"]]
    text = _SCENARIO.format(
        model=PBPK / entry["model"], end=times[-1], times=[f"{t!r} {unit}" for t in times], unit=unit, size=count,
        varied=varied, state=given["state"], duration=given["duration"],
        amount=f'"{given["amount"]} {own.unit}"' if own.typed else given["amount"],
    )  # fmt: skip
    (folder / "pbpk.toml").write_text(text, encoding="utf-8")
    return folder / "pbpk.toml"

"""How long a user waits: import, help, the first run after an installation, and the next ones.

`python -m benchmarks startup [REPEATS]` runs each command as a process of its own, in an empty folder, and prints
medians of the wall time. The first run finds no object code, no compiled kernels and no font cache, as after an
installation (pip compiles the Python files itself).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMITS = {
    "import atmpsim": 0.3, "atmpsim --help": 0.5, "first run": 20.0, "second run": 4.0, "first simulate": 6.0,
    "second simulate": 1.0,
}  # fmt: skip
RUN = ("-m", "atmpsim", "run", "celyvir-weekly")
SIMULATE = ("-c", "import atmpsim; atmpsim.simulate('celyvir', times=[0.0, 1.0])")


def main(arguments: Sequence[str]) -> None:
    """Print a table of waiting times and end with one line of JSON."""
    repeats = int(arguments[0]) if arguments else 5
    medians = {
        "python alone": _median(["-c", "pass"], repeats),
        "import atmpsim": _median(["-c", "import atmpsim"], repeats),
        "atmpsim --help": _median(["-m", "atmpsim", "--help"], repeats),
        "first run": _median(RUN, max(1, repeats // 2), fresh=True),
        "second run": _median(RUN, repeats),
        "first simulate": _median(SIMULATE, max(1, repeats // 2), fresh=True),
        "second simulate": _median(SIMULATE, repeats),
    }
    for name, seconds in medians.items():
        limit = f"   at most {LIMITS[name]:g} s wanted" if name in LIMITS else ""
        print(f"{name:16} {seconds:7.2f} s{limit}")
    print(json.dumps({k: round(v, 3) for k, v in medians.items()}))


def _median(arguments: Sequence[str], repeats: int, *, fresh: bool = False) -> float:
    if not fresh:
        _seconds(arguments, os.environ)  # once without counting, so that caches are there
    return statistics.median(
        _fresh_seconds(arguments) if fresh else _seconds(arguments, os.environ) for _ in range(repeats)
    )


def _fresh_seconds(arguments: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as caches:
        new = {"MPLCONFIGDIR": caches, "XDG_CACHE_HOME": caches}
        return _seconds(arguments, {**os.environ, **new})


def _seconds(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=Path(folder), env=dict(environment), capture_output=True, text=True
        )
        elapsed = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return elapsed

"""Check an installation by doing, in small, what a run does."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from atmpsim.results.digest import digest
from atmpsim.results.provenance import package_version
from atmpsim.results.store import open_results
from atmpsim.study.run import run
from atmpsim.study.simulate import simulate

_PACKAGES = ("numpy", "scipy", "llvmlite", "xarray", "zarr", "h5netcdf", "antimony", "python-libsbml", "matplotlib")


def check_installation() -> Iterator[tuple[str, bool, str]]:
    """Return each check as its name, whether it passed, and what was found."""
    yield "atmpsim", True, f"{package_version('atmpsim')} on Python {platform.python_version()}, {platform.platform()}"
    for package in _PACKAGES:
        yield package, package_version(package) != "unknown", package_version(package)
    for name, check in (("compiler", _check_compiler), ("shipped scenario", _check_run)):
        yield _attempt(name, check)


def check_result(path: str) -> Iterator[tuple[str, bool, str]]:
    """Return each check of a stored result: how far it is, and whether every block of runs has its checksum."""
    from atmpsim.results.stream import damaged, is_stream, open_stream
    from atmpsim.study.inspect import read_status
    from atmpsim.study.streaming import partial_of

    found = read_status(path)
    yield "runs", found.failed == 0, f"{found.done} of {found.runs} are stored, {found.failed} failed"
    address = path if found.finished else partial_of(path)
    if not is_stream(address):
        yield "checksum", True, f"digest {digest(open_results(path))[:12]} as it was written"
        return
    stream = open_stream(address)
    unwritten = {run for index in stream.missing() for run in range(*stream.span(index))}
    bad = [entry for entry in damaged(stream) if entry[1] not in unwritten]
    for name, begin, end in bad:
        yield f"{name} runs {begin} to {end - 1}", False, "values that do not match their checksum, or cannot be read"
    if not bad:
        yield "checksums", True, "every block of runs is as it was written"


def _attempt(name: str, check: Callable[[], str]) -> tuple[str, bool, str]:
    try:
        return name, True, check()
    except Exception as error:  # whatever is wrong with the installation is the finding
        return name, False, f"{type(error).__name__}: {error}"


def _check_compiler() -> str:
    from atmpsim.model.antimony import read_antimony

    model = read_antimony("model decay\n S = 1; k = 0.5; S' = -k*S; end", where="doctor")
    found = float(simulate(model, times=[0.0, 2.0], rtol=1e-9, select=["S"])["S"][-1])
    if not np.isclose(found, np.exp(-1.0), rtol=1e-6):
        raise ArithmeticError(f"exp(-1) came out as {found}")
    return "compiled derivatives are right"


def _check_run() -> str:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "check.zarr")
        first = digest(run("msc-lung-mouse", out=target))
        if digest(open_results(target)) != first:
            raise ArithmeticError("a stored result did not come back as it was")
    return f"msc-lung-mouse ran and was stored (digest {first[:12]})"

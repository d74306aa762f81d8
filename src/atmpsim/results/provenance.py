"""Where a result came from: inputs with their digests, versions, platform."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("atmpsim", "numpy", "scipy", "numba", "llvmlite", "xarray", "zarr", "antimony", "python-libsbml")


def package_version(name: str) -> str:
    """Return an installed package's version, `unknown` if it is not installed as a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def provenance(inputs_json: str, *, inputs_sha256: str, model_sha256: str, seed: int) -> dict[str, object]:
    """Return the attributes of a result's `/provenance` group."""
    return {
        "inputs": inputs_json,
        "inputs_sha256": inputs_sha256,
        "model_sha256": model_sha256,
        "seed": seed,
        "versions": ", ".join(f"{p} {package_version(p)}" for p in _PACKAGES),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
    }


def root_attributes(*, title: str, notes: tuple[str, ...], extra: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes of a result's root, after the CF conventions."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made: dict[str, object] = {
        "Conventions": "CF-1.11",
        "title": title,
        "source": f"atmpsim {package_version('atmpsim')}",
        "history": f"{now}: simulated",
        "notes": "\n".join(notes),
    }
    return made | {k: v for k, v in extra.items() if v}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()

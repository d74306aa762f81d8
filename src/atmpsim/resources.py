"""Where the shipped models and scenarios are, in a checkout and in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def folder(name: str) -> Path:
    """Return the folder of shipped `models` or `scenarios`."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parents[1] / name


@cache
def shipped_models() -> dict[str, Path]:
    """Return the file of each shipped model by its id."""
    return {p.stem: p for p in sorted(folder("models").glob("*/*.ant"))}


@cache
def shipped_agent_models() -> dict[str, Path]:
    """Return the settings file of each shipped agent model by its id."""
    return {p.stem: p for p in sorted(folder("models").glob("*/*.xml"))}


@cache
def shipped_scenarios() -> dict[str, Path]:
    """Return the file of each shipped scenario by its id."""
    return {p.stem: p for p in sorted(folder("scenarios").glob("*.toml"))}

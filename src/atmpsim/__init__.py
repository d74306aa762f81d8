"""Simulate cell and gene therapies from the vial to the clinical endpoint.

The public names are resolved on first use, so that importing atmpsim costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atmpsim.errors import AtmpsimError, InputError
    from atmpsim.plots.figures import plot_results as plot
    from atmpsim.plots.trials import plot_trial
    from atmpsim.results.store import open_results
    from atmpsim.scenario.dosing import Dose
    from atmpsim.scenario.reader import load_inputs as load_scenario
    from atmpsim.study.models import load_model
    from atmpsim.study.run import run
    from atmpsim.study.simulate import simulate
    from atmpsim.study.trial import run_trial

__all__ = [
    "AtmpsimError", "Dose", "InputError", "load_model", "load_scenario", "open_results", "plot", "plot_trial", "run",
    "run_trial", "simulate",
]  # fmt: skip

_HOMES = {
    "AtmpsimError": ("atmpsim.errors", "AtmpsimError"),
    "Dose": ("atmpsim.scenario.dosing", "Dose"),
    "InputError": ("atmpsim.errors", "InputError"),
    "load_model": ("atmpsim.study.models", "load_model"),
    "load_scenario": ("atmpsim.scenario.reader", "load_inputs"),
    "open_results": ("atmpsim.results.store", "open_results"),
    "plot": ("atmpsim.plots.figures", "plot_results"),
    "plot_trial": ("atmpsim.plots.trials", "plot_trial"),
    "run": ("atmpsim.study.run", "run"),
    "run_trial": ("atmpsim.study.trial", "run_trial"),
    "simulate": ("atmpsim.study.simulate", "simulate"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("atmpsim")
    if name not in _HOMES:
        raise AttributeError(f"module 'atmpsim' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

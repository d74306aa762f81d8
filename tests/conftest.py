"""What tests of all folders share: interrupts, and how a check tells its value, its target and its tolerance."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def pytest_configure() -> None:
    """Let interrupts interrupt: a script's shell lets what it starts in the background ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tell(record_property) -> Callable[[str, Any, Any, object], None]:
    """Return a function that prints a check and records it: `docs/write_evidence.py` makes its tables of these."""

    def told(what: str, value: Any, target: Any, tolerance: object) -> None:
        print(f"{what}: {_shown(value)}, target {_shown(target)}, tolerance {tolerance}")
        record_property("told", (what, _plain(value), _plain(target), str(tolerance)))

    return told


def _shown(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else ", ".join(f"{v:.6g}" for v in plain)


def _plain(value: Any) -> list[float] | str:
    """Return numbers as a list, anything else as a text."""
    try:
        return [float(v) for v in np.ravel(np.asarray(value, dtype=np.float64))]
    except (TypeError, ValueError):
        return str(value)

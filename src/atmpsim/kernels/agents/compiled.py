"""How the kernels are compiled: entries are called from Python and cached, inner functions only from kernels.

An inner function has no wrapper for Python: unpacking the many arrays of a world in each of them took most of the
time of compilation.
"""

from __future__ import annotations

from typing import Any

from atmpsim.kernels import compiling

njit: Any = compiling.njit  # its stubs do not know every option

_COMMON: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}

entry = njit(**_COMMON, cache=True)
inner = njit(**_COMMON, no_cpython_wrapper=True)

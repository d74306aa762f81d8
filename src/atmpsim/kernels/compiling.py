"""Numba as the kernels use it: its cache stands in a folder named after their sources.

Numba's own cache key misses an edit in another file, and so may load a stale callee; a folder per state of the
sources cannot.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba
from numba import njit

__all__ = ["njit"]


def _cache_folder() -> Path:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:16]
    below = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return below / "atmpsim" / f"kernels-{numba.__version__}-{digest}"


numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]

"""Object code on disk, so that a model is compiled once per machine and not once per process."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm

MAX_BYTES = 200_000_000


@cache
def fingerprint() -> str:
    """Return the digest of what code depends on besides the model: our sources, versions and this CPU."""
    package = Path(__file__).parents[1]
    sources = sorted([*(package / "compile").glob("*.py"), *(package / "kernels").glob("*.py")])
    sources += [package / "model" / name for name in ("graph.py", "equations.py", "differentiate.py", "sbml.py")]
    total = hashlib.sha256()
    for source in sources:
        total.update(source.read_bytes())
    cpu = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    total.update(f"{cpu} llvmlite {version('llvmlite')}".encode())
    return total.hexdigest()


def key(*parts: str) -> str:
    """Return the cache key of a model's digest and whatever else distinguishes its code."""
    return hashlib.sha256("\0".join((fingerprint(), *parts)).encode()).hexdigest()


def folder() -> Path:
    """Return where object code is kept: below `XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atmpsim" / "objects"


def load(name: str) -> bytes | None:
    """Return what is stored under a key, or None."""
    path = folder() / name
    try:
        content = path.read_bytes()
        os.utime(path)  # what was used last is thrown away last
    except OSError:
        return None
    digest, body = content[:64], content[64:]
    return body if hashlib.sha256(body).hexdigest().encode() == digest else None


def store(name: str, body: bytes) -> None:
    """Keep object code under a key; a cache that cannot be written is no error, only slower."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder(), delete=False) as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + body)
        os.replace(file.name, folder() / name)
        _trim()
    except OSError:
        return


def _trim() -> None:
    files = sorted(folder().iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > MAX_BYTES:
            file.unlink(missing_ok=True)

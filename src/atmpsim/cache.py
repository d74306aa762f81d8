"""Results of slow steps on disk, below the user's cache folder: safe under concurrent processes, bounded in size."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

MAX_BYTES = 200_000_000  # of each kind


def folder(kind: str) -> Path:
    """Return where entries of a kind are kept: below `XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atmpsim" / kind


def key(*parts: str) -> str:
    """Return the name of an entry that depends on all of the parts.

    Examples
    --------
    >>> key("a", "bc") == key("ab", "c")
    False
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load(kind: str, name: str) -> bytes | None:
    """Return an entry, or None if it is not there or is damaged."""
    path = folder(kind) / name
    try:
        content = path.read_bytes()
        os.utime(path)  # what was used last is thrown away last
    except OSError:
        return None
    digest, body = content[:64], content[64:]
    return body if hashlib.sha256(body).hexdigest().encode() == digest else None


def store(kind: str, name: str, body: bytes) -> None:
    """Keep an entry; a cache that cannot be written is no error, only slower."""
    place = folder(kind)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, delete=False) as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + body)
        os.replace(file.name, place / name)
        if name.startswith("0"):  # of each sixteen entries: looking at all the others takes time
            _trim(place)
    except OSError:
        return


def _trim(place: Path) -> None:
    files = sorted(((p, p.stat()) for p in place.iterdir()), key=lambda f: f[1].st_mtime, reverse=True)
    total = 0
    for path, status in files:
        total += status.st_size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)

"""The cache on disk: what is damaged, unwritable or too much never does harm."""

from __future__ import annotations

import os

import pytest

from atmpsim import cache


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_what_is_stored_comes_back() -> None:
    assert cache.load("things", "one") is None
    cache.store("things", "one", b"body")
    assert cache.load("things", "one") == b"body"
    assert cache.load("others", "one") is None


def test_a_damaged_entry_is_not_there() -> None:
    cache.store("things", "one", b"body")
    path = cache.folder("things") / "one"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert cache.load("things", "one") is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path) -> None:
    (tmp_path / "atmpsim").write_text("a file where the folder should be")
    cache.store("things", "one", b"body")
    assert cache.load("things", "one") is None


def test_what_was_used_longest_ago_is_thrown_away(monkeypatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 300)
    for age, name in enumerate(("newest", "middle", "oldest")):
        cache.store("things", name, b"x" * 60)
        os.utime(cache.folder("things") / name, (1e9 - age, 1e9 - age))
    cache.load("things", "oldest")
    cache.store("things", "0 latest", b"x" * 60)  # one name in sixteen, as keys are, has the others looked at
    assert sorted(p.name for p in cache.folder("things").iterdir()) == ["0 latest", "oldest"]

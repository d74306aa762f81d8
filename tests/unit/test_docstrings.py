"""The examples in the docstrings run, and the public names are the ones we promise."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import atmpsim

MODULES = sorted(m.name for m in pkgutil.walk_packages(atmpsim.__path__, "atmpsim."))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.failed == 0


def test_public_names() -> None:
    assert atmpsim.__all__ == sorted(atmpsim.__all__)
    assert len(atmpsim.__all__) <= 20
    for name in atmpsim.__all__:
        assert getattr(atmpsim, name).__doc__


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        atmpsim.simulat  # noqa: B018

"""PhysiCell's own results: the deterministic sets in every run, the stochastic ones in campaigns."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "physicell-reference"
_spec = importlib.util.spec_from_file_location("physicell", Path(__file__).with_name("physicell.py"))
assert _spec is not None
assert _spec.loader is not None
physicell = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(physicell)

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="PhysiCell's reference results are not beside the checkout")


def _compare(wanted: str) -> None:
    found = [compare(folder, name) for name, folder, compare in physicell.sets(FOLDER) if name == wanted]
    assert found
    for comparison in found:
        assert comparison.verdict == physicell.AGREE, str(comparison)


@pytest.mark.parametrize("name", ["g1_mechanics/2d", "g1_mechanics/3d", "g2_fields/2d", "g2_fields/3d", "g6_units"])
def test_deterministic_sets(name):
    _compare(name)


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["g3_growth", "g4_rules_sample", "g5_immune"])
def test_stochastic_sets(name):
    _compare(name)

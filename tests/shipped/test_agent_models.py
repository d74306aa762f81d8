"""Every shipped agent model: files that are read, documents beside them, numbers that follow from their formulas."""

import math
import re
import runpy
from functools import cache

import numpy as np
import pytest
from scipy.special import k0

from atmpsim.agents.behaviours import behaviour_ids
from atmpsim.agents.evidence import check_agents
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.spec import PHYSICELL
from atmpsim.resources import folder, shipped_agent_models

MODELS = sorted(shipped_agent_models())
SECTIONS = ("context of use", "equations", "parameters", "assumptions", "deviations", "checked against")
PLAIN = {"tumour_growth", "immune_attack"}  # all of it in PhysiCell's own words
DAY = 1440.0


@cache
def model(name, compatibility=""):
    return load_agents(name, compatibility=compatibility)


def types(name):
    return {t.name: t for t in model(name).cell_types}


def clocks(name):
    read = model(name)
    return {read.cell_types[c.cell_type].name: c for c in read.extension.clocks}


def test_there_are_models():
    assert MODELS == ["celyvir_tumour", "celyvir_tumour_3d", "immune_attack", "tumour_growth", "virus_plaque"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compatibility", ["", PHYSICELL])
def test_is_read_without_notes(name, compatibility):
    read = model(name, compatibility)
    assert read.notes == ()
    assert len(read.cells.types) > 100


@pytest.mark.parametrize("name", MODELS)
def test_extension_is_empty_where_physicell_says_it_all(name):
    assert model(name).extension.empty == (name in PLAIN)


@pytest.mark.parametrize("name", MODELS)
def test_numbers_have_units_and_sources(name):
    assert check_agents(shipped_agent_models()[name]) == []


@pytest.mark.parametrize("path", sorted({p.parent for p in shipped_agent_models().values()}), ids=lambda p: p.name)
def test_documents(path):
    readme = (path / "README.md").read_text(encoding="utf-8")
    headings = {h.strip().lower() for h in re.findall(r"^#+ (.*)$", readme, re.MULTILINE)}
    assert set(SECTIONS) <= headings
    for file in path.iterdir():
        assert file.name in readme or file.suffix in (".md", ".pyc") or file.is_dir(), file
    assert f"`{path.name}`" in (folder("models") / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_numbers_of_cells_are_those_of_the_readme(name):
    path = shipped_agent_models()[name]
    readme = (path.parent / "README.md").read_text(encoding="utf-8")
    read = model(name)
    line = next(row for row in readme.splitlines() if row.startswith("|") and (f"`{path.name}`" in row))
    counts = {t.name: int(np.sum(read.cells.types == t.id)) for t in read.cell_types}
    if name.startswith("celyvir"):
        for kind, words in (("tumour", "tumour cells"), ("stroma", "stroma"), ("macrophage", "macrophages")):
            assert f"{counts[kind]} {words}" in line
    else:
        assert str(len(read.cells.types)) in readme or all(str(n) in readme for n in counts.values() if n)


def test_made_files_are_what_their_scripts_make(tmp_path):
    shipped = folder("models")
    for name in ("tumour_growth", "virus_plaque", "immune_attack", "celyvir_tumour"):
        (tmp_path / name).mkdir()
    runpy.run_path(str(shipped / "first_cells.py"))["main"](tmp_path)
    made = sorted(tmp_path.glob("*/*.csv"))
    assert len(made) == 5
    for path in made:
        assert path.read_text() == (shipped / path.relative_to(tmp_path)).read_text(), path.name
    layer = (shipped / "celyvir_tumour" / "celyvir_tumour.xml").read_text(encoding="utf-8")
    cube = runpy.run_path(str(shipped / "celyvir_tumour" / "third_dimension.py"))["three_dimensional"](layer)
    assert cube == (shipped / "celyvir_tumour" / "celyvir_tumour_3d.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_cells_neither_overlap_much_nor_leave_gaps(name):
    read = model(name)
    points = read.cells.positions
    nearest = [np.sort(np.linalg.norm(points - p, axis=1))[1] for p in points[:: max(1, len(points) // 200)]]
    radius = read.cell_types[0].volume.radius
    assert min(nearest) > 1.7 * radius
    if name != "virus_plaque":  # spread cells: the balls are smaller than their places
        assert np.median(nearest) < 2.0 * radius


@pytest.mark.parametrize("name", ["celyvir_tumour", "celyvir_tumour_3d"])
def test_tissue_is_as_dense_as_in_the_ode_model(name, tell):
    points = model(name).cells.positions
    span = np.ptp(points, axis=0)
    if name.endswith("3d"):
        inner = np.all(np.abs(points) < 95.0, axis=1)  # planes of the lattice lie 10 µm apart, at 0, ±10, …
        per_cell = 190.0**3 / inner.sum()
    else:
        inner = np.all(np.abs(points[:, :2]) < 400.0, axis=1)
        per_cell = 800.0**2 * 10.5 / inner.sum()
        assert model(name).domain.voxel[2] == 10.5
    tell(f"{name}: tissue of a cell against the ODE model (µm³)", per_cell, 2000, "3 %")
    assert per_cell == pytest.approx(2000.0, rel=0.03)
    assert span.max() >= 280


@pytest.mark.parametrize("name", ["celyvir_tumour", "celyvir_tumour_3d"])
def test_derived_numbers_of_celyvir(name):
    read, kinds, times = model(name), types(name), clocks(name)
    tumour, infected, lysing = kinds["tumour"], kinds["infected tumour"], kinds["lysing tumour"]
    assert tumour.cycle.rates[0] == pytest.approx(math.log(2) / (40 * DAY), rel=1e-3)
    assert kinds["eclipse tumour"].cycle.rates[0] == 0
    assert tumour.secretion.uptake[0] * tumour.volume.total == pytest.approx(1.2e-8 * 1e12 / DAY, rel=1e-3)
    assert kinds["stroma"].secretion.uptake == kinds["macrophage"].secretion.uptake == tumour.secretion.uptake
    assert lysing.secretion.export[0] * times["lysing tumour"].mean == pytest.approx(2000, rel=1e-9)
    assert kinds["lysing carrier"].secretion.export[0] * times["lysing carrier"].mean == pytest.approx(500, rel=1e-9)
    assert times["eclipse tumour"].mean + times["infected tumour"].mean == pytest.approx(2.5 * DAY)
    assert times["eclipse tumour"].stages + times["infected tumour"].stages == 4
    assert (times["carrier"].mean, times["carrier"].stages) == (2.5 * DAY, 6)
    assert kinds["carrier"].apoptosis.rate == pytest.approx(0.693 / DAY, rel=1e-3)
    assert kinds["carrier"].volume.radius == pytest.approx(11.5, rel=1e-3)
    assert kinds["T cell"].volume.radius == pytest.approx(3.6, rel=2e-3)
    assert kinds["T cell"].apoptosis.rate == pytest.approx(0.2 / DAY, rel=1e-3)
    virus, interferon = read.substrates
    assert virus.diffusion == 10 * 60
    assert virus.decay == pytest.approx(6 * (1 + 0.1 * 0.01) / DAY, rel=1e-3)
    assert math.sqrt(interferon.diffusion / interferon.decay) == pytest.approx(100)
    ratio, d = 30 / 100, interferon.diffusion
    cube = name.endswith("3d")
    level = math.exp(-ratio) / (4 * math.pi * d * 30) if cube else k0(ratio) / (2 * math.pi * d * 10.5)
    assert infected.secretion.export[1] * level == pytest.approx(1, rel=1e-3)
    (infection,), (recruitment,) = read.extension.infections, read.extension.recruitments
    assert infection.probability == 1 / 20
    count = {k: np.sum(read.cells.types == t.id) for k, t in kinds.items()}
    per_vessel = 0.2 / DAY * count["tumour"] / count["vessel"]
    assert recruitment.base_rate == pytest.approx(per_vessel * 1e-3, rel=5e-3)
    assert recruitment.max_rate == pytest.approx(per_vessel * 31e-3, rel=5e-3)


def test_shares_of_cells_in_the_tissue():
    read, kinds = model("celyvir_tumour"), types("celyvir_tumour")
    count = {k: int(np.sum(read.cells.types == t.id)) for k, t in kinds.items()}
    assert count["vessel"] == 50
    assert count["stroma"] / len(read.cells.types) == pytest.approx(0.2, rel=1e-2)
    assert count["macrophage"] / count["tumour"] == pytest.approx(0.05, rel=1e-2)
    movable = read.cells.behaviours.index(behaviour_ids(read.behaviours)["is_movable"])
    fixed = read.cells.values[:, movable] == 0
    np.testing.assert_array_equal(fixed, read.cells.types == kinds["vessel"].id)


def test_derived_numbers_of_the_plaque(tell):
    read, kinds = model("virus_plaque"), types("virus_plaque")
    place = 24**2 * math.sqrt(3) / 2
    kept = kinds["cell"].secretion.uptake[0] * kinds["cell"].volume.total / (place * read.domain.voxel[2])
    tell("uptake by a cell against a measured half-time (1/min)", kept, math.log(4) / 330, "0.5 %")
    assert kept == pytest.approx(math.log(4) / 330, rel=5e-3)
    assert read.substrates[0].diffusion == pytest.approx(6.47 * 60)
    measured = {0.218: 0.038, 0.64: 0.19, 0.988: 0.95}
    chances = [-math.log(1 - p) / (s * place) for p, s in measured.items()]
    assert read.extension.infections[0].probability == pytest.approx(np.mean(chances), rel=0.02)
    assert read.extension.clocks[0].mean == DAY
    assert read.extension.bursts[0].amount == 10_000

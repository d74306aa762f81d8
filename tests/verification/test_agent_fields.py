"""The fields of the agent engine: the order of both schemes (check C-9), and books that balance (check C-5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from agent_models import NEVER, cell_type, model_of, run

from atmpsim.agents.extension import Burst, Clock, Extension, Injection
from atmpsim.agents.spec import Options, Secretion, Substrate
from atmpsim.engines.agents_crew import Crew
from atmpsim.engines.agents_ledger import imbalance
from atmpsim.engines.agents_world import World

D, DECAY, HALF, TIME = 1000.0, 0.05, 200.0, 6.0
WAVE = np.pi / (2.0 * HALF)


def middles(size):
    return (np.arange(round(2 * HALF / size)) + 0.5) * size


def waves(size, *decays):
    """Return a cosine in x and one of half its length in y, each after its decay, between closed walls."""
    x, y = (np.cos(k * WAVE * middles(size)) for k in (1, 2))
    return decays[0] * x + decays[1] * y[:, None]


def simulated(scheme, size, step):
    """Return the field after TIME that began as 2 and two waves."""
    model = model_of([cell_type()], [[0, 0, 0]], substrates=(Substrate(id=0, name="a", diffusion=D, decay=DECAY),),
                     mechanics=step, diffusion=step)  # fmt: skip
    model = replace(model, domain=replace(model.domain, voxel=(size, size, 20.0)))
    world = World(model, seed=1, scheme=scheme, threads=1, field_steps={"a": step})
    density = world.w.fields.density[0, 0, :, : middles(size).size]
    density[...] = 2.0 + waves(size, 1.0, 1.0)
    with Crew(1) as crew:
        world.prepare(crew)
        world.forward(crew, round(TIME / step))
    return density


@pytest.mark.parametrize("scheme", ["implicit", "physicell"])
def test_the_order_in_time_is_one(scheme):
    """Check C-9: against the waves of the lattice, whose k² is (2 - 2 cos(k dx)) / dx²."""
    size, steps = 20.0, (0.4, 0.2, 0.1)
    rates = [D * (2.0 - 2.0 * np.cos(k * WAVE * size)) / size**2 for k in (1, 2)]
    exact = np.exp(-DECAY * TIME) * (2.0 + waves(size, *np.exp(-np.array(rates) * TIME)))
    errors = [np.abs(simulated(scheme, size, step) - exact).max() for step in steps]
    np.testing.assert_allclose(np.diff(np.log(errors)) / np.log(0.5), 1.0, atol=0.1)


@pytest.mark.parametrize("scheme", ["implicit", "physicell"])
def test_the_order_in_space_is_two(scheme):
    """Check C-9: against the waves of the equation; two steps in time extrapolate the error of time away."""
    sizes = (40.0, 20.0, 10.0)
    errors = []
    for size in sizes:
        coarse, fine = (simulated(scheme, size, step) for step in (0.1, 0.05))
        exact = np.exp(-DECAY * TIME) * (2.0 + waves(size, *(np.exp(-D * (k * WAVE) ** 2 * TIME) for k in (1, 2))))
        errors.append(np.abs(2.0 * fine - coarse - exact).max())
    np.testing.assert_allclose(np.diff(np.log(errors)) / np.log(0.5), 2.0, atol=0.1)


CHANGE, DECAYED, CELLS, BORDER, BURSTS, DOSES = range(6)
TRADERS = (
    Secretion(rates=(0.0,), targets=(1.0,), uptake=(0.5,), export=(0.0,)),
    Secretion(rates=(0.05,), targets=(3.0,), uptake=(0.0,), export=(20.0,)),
    Secretion(rates=(0.0,), targets=(1.0,), uptake=(0.0,), export=(0.0,)),
)


def market(*, extension=None, boundary=(None,) * 6, **options):
    """Return a model of cells that take, give, and (with an extension) burst, in a field that spreads and decays."""
    kinds = [cell_type(k, 3, secretion=trade) for k, trade in enumerate(TRADERS)]
    virus = Substrate(id=0, name="a", diffusion=300.0, decay=0.01, initial=0.5, boundary=boundary)
    places = np.column_stack([np.random.default_rng(3).uniform(-190, 190, (90, 2)), np.zeros(90)])
    return model_of(kinds, places, np.arange(90) % 3, substrates=(virus,), options=Options(**options),
                    extension=extension)  # fmt: skip


THERAPY = Extension(
    clocks=(Clock(cell_type=2, stages=0, mean=30.0),),
    bursts=(Burst(cell_type=2, substrate=0, amount=700.0),),
    injections=(
        Injection(substrate=0, times=(0.0, 60.0), amount=4000.0, place=(50.0, 10.0, 0.0), radius=45.0),
        Injection(substrate=0, times=(20.0,), amount=900.0, duration=33.0),
    ),
)


@pytest.mark.parametrize("fields", ["implicit", "physicell"])
@pytest.mark.parametrize("extension", [None, THERAPY], ids=["cells", "therapy"])
@pytest.mark.parametrize("tracked", [False, True], ids=["", "inside"])
def test_books_balance(fields, extension, tracked):
    """Each entry is booked by itself, none as what is left over."""
    found = run(market(extension=extension, track_internalised=tracked), 0, 12, 60, 120, fields=fields)
    books = found.balance[:, 0]
    assert imbalance(books).max() < 1e-10
    assert (books[1:, DECAYED] > 0).all()
    assert (books[:, BORDER] == 0).all()
    np.testing.assert_allclose(books[:, CHANGE], found.totals[:, 0] - found.totals[0, 0], rtol=1e-12)
    if extension is not None:
        np.testing.assert_allclose(books[:, BURSTS], [0.0, 0.0, 30 * 700.0, 30 * 700.0], rtol=1e-12)
        np.testing.assert_allclose(books[:, DOSES], [0.0, 4000.0, 4900.0, 8900.0], rtol=1e-12)
    if extension is not None or tracked:  # those that burst had nothing inside
        inside = [s.internalised.sum() for s in found.snapshots]
        np.testing.assert_allclose(books[:, CELLS], -np.array(inside), rtol=1e-9)


@pytest.mark.parametrize("fields", ["implicit", "physicell"])
@pytest.mark.parametrize("extension", [None, THERAPY], ids=["cells", "therapy"])
def test_books_balance_beside_held_borders(fields, extension):
    """With split steps the border is what is left over: then it is close to what implicit steps book there."""
    at_border = replace(THERAPY, injections=(replace(THERAPY.injections[0], place=(195.0, 0.0, 0.0)),))
    model = market(extension=extension and at_border, boundary=(0.5, 0.5, *(None,) * 4))  # as at the start
    found = run(model, 0, 12, 60, 120, fields=fields, **({"field_steps": {"a": 0.1}} if fields == "implicit" else {}))
    books = found.balance[:, 0]
    assert imbalance(books).max() < 1e-10
    other = run(model, 0, 120, fields="implicit", field_steps={"a": 0.1}).balance[-1, 0]
    np.testing.assert_allclose(books[-1], other, rtol=0.02, atol=0.005 * np.abs(other).max())
    assert abs(other[BORDER]) > 0.05 * np.abs(other).max()


def test_a_burst_beside_a_cell_that_dies_otherwise_is_booked_once():
    """A cell that dies otherwise than by its clock gives nothing."""
    dying = replace(NEVER, rate=1.0)
    kinds = [cell_type(0, 2, apoptosis=dying), cell_type(1, 2)]
    lysis = Extension(clocks=tuple(Clock(cell_type=k, stages=0, mean=24.0) for k in range(2)),
                      bursts=tuple(Burst(cell_type=k, substrate=0, amount=100.0) for k in range(2)))  # fmt: skip
    found = run(model_of(kinds, [[0, 0, 0], [50, 0, 0]], [0, 1], extension=lysis), 0, 60)
    assert found.balance[-1, 0, BURSTS] == pytest.approx(100.0, rel=1e-12)
    assert found.totals[-1, 0] == pytest.approx(100.0, rel=1e-10)

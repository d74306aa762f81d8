import numpy as np
import pytest

from atmpsim.compile.sparse_lu import plan_elimination

SIZE = 12
DIAGONAL = {(k, k) for k in range(SIZE)}


def random_entries(seed: int) -> set[tuple[int, int]]:
    pairs = np.random.default_rng(seed).integers(SIZE, size=(3 * SIZE, 2))
    return DIAGONAL | {(int(i), int(j)) for i, j in pairs}


def factorise(matrix: np.ndarray) -> np.ndarray:
    """Return L (below) and U of a matrix, dense and without pivoting."""
    lu = matrix.copy()
    for k in range(len(lu)):
        lu[k + 1 :, k] /= lu[k, k]
        lu[k + 1 :, k + 1 :] -= np.outer(lu[k + 1 :, k], lu[k, k + 1 :])
    return lu


@pytest.mark.parametrize("seed", range(20))
def test_a_factorisation_has_entries_in_the_slots_and_nowhere_else(seed):
    entries, rng = random_entries(seed), np.random.default_rng(100 + seed)
    matrix = np.zeros((SIZE, SIZE))
    for i, j in sorted(entries):
        matrix[i, j] = rng.uniform(1.0, 2.0) + 20.0 * (i == j)
    plan = plan_elimination(SIZE, entries)
    assert sorted(plan.order) == list(range(SIZE))
    lu = factorise(matrix[np.ix_(plan.order, plan.order)])
    assert {(int(i), int(j)) for i, j in np.argwhere(lu != 0.0)} == set(plan.slots)


@pytest.mark.parametrize("hub", [0, 5, SIZE - 1])
def test_an_arrow_fills_nothing_whichever_way_it_points(hub):
    arrow = DIAGONAL | {(hub, k) for k in range(SIZE)} | {(k, hub) for k in range(SIZE)}
    assert len(plan_elimination(SIZE, arrow).slots) == len(arrow)


def test_a_chain_fills_nothing_where_all_act_on_one_and_one_acts_on_all():
    """Far from symmetric: an order by the symmetrised pattern's degrees takes a full row and a full column for hubs."""
    entries = DIAGONAL | {(k, 0) for k in range(SIZE)} | {(SIZE - 1, k) for k in range(SIZE)}
    assert len(plan_elimination(SIZE, entries).slots) == len(entries)


def test_a_row_without_diagonal_waits_until_it_has_one():
    plan = plan_elimination(2, {(0, 0), (0, 1), (1, 0)})
    assert plan.order == (0, 1)
    assert set(plan.slots) == {(0, 0), (0, 1), (1, 0), (1, 1)}

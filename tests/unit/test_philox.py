"""Random numbers: known answers, moments, and that each is a function of its name alone."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from atmpsim.kernels import philox
from atmpsim.kernels.philox import block, exponential, normals, poisson, uniforms

# Random123's file kat_vectors: philox4x32, 10 rounds; counter, key, result
KNOWN = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)
MANY = 200_000


@njit
def _draw(kind, mean, count):
    found = np.empty((2, count))
    for i in range(count):
        if kind == 0:
            found[0, i], found[1, i] = uniforms(7, i, 0, 1, 2)
        elif kind == 1:
            found[0, i], found[1, i] = normals(7, i, 0, 1, 2)
        elif kind == 2:
            found[:, i] = exponential(7, i, 0, 1, 2)
        else:
            found[:, i] = poisson(mean, 7, i, 1, 2)
    return found


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected, monkeypatch):
    assert tuple(int(word) for word in block(*counter, *key)) == expected
    monkeypatch.setattr(philox, "_scramble", philox._scramble.py_func)  # with the compiler off
    assert tuple(int(word) for word in block.py_func(*map(np.uint64, (*counter, *key)))) == expected


def test_uniform_numbers_fill_the_unit_interval():
    found = _draw(0, 0.0, MANY)
    assert found.min() >= 0.0
    assert found.max() < 1.0
    counts = np.histogram(found, 100, (0, 1))[0]
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert abs(chi2 - 99) < 5 * np.sqrt(2 * 99)
    assert abs(np.corrcoef(found)[0, 1]) < 5 / np.sqrt(MANY)


def test_normal_and_exponential_moments():
    normal, late = _draw(1, 0.0, MANY), _draw(2, 0.0, MANY)[0]
    assert abs(normal.mean()) < 5 / np.sqrt(2 * MANY)
    assert abs(normal.var() - 1.0) < 5 * np.sqrt(2 / (2 * MANY))
    assert abs(late.mean() - 1.0) < 5 / np.sqrt(MANY)
    assert abs((late > 2.0).mean() - np.exp(-2.0)) < 5 * np.sqrt(np.exp(-2.0) / MANY)


@pytest.mark.parametrize("mean", [0.3, 9.0, 11.0, 400.0])
def test_poisson_numbers_have_their_distribution(mean):
    from scipy import stats

    found = _draw(3, mean, MANY)[0]
    assert abs(found.mean() - mean) < 5 * np.sqrt(mean / MANY)
    assert abs(found.var() / mean - 1.0) < 5 * np.sqrt((2.0 + 1.0 / mean) / MANY)
    for k in stats.poisson.ppf([0.01, 0.5, 0.99], mean):
        p = stats.poisson.cdf(k, mean)
        assert abs((found <= k).mean() - p) < 5 * np.sqrt(p * (1 - p) / MANY)


def test_a_number_depends_on_every_part_of_its_name():
    name = (5, 1, 2, 3, 4)
    changed = [tuple(v + (k == j) for j, v in enumerate(name)) for k in range(5)]
    found = {uniforms(*n)[0] for n in (name, *changed, (5 + 2**40, 1, 2, 3, 4))}
    assert len(found) == 7

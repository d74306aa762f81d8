"""The table of runs: designs of sweeps, lazy expansion, random streams, and reductions against NumPy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atmpsim.results import bins
from atmpsim.results.digest import digest
from atmpsim.results.moments import COUNT, HIGHEST, LOWEST, MEAN, SQUARES, Piece, append, moments, total
from atmpsim.results.store import open_results
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.rows import rows
from atmpsim.scenario.streams import uniforms
from atmpsim.scenario.table import expand_runs
from atmpsim.study.statistics import QUANTILES
from atmpsim.study.streaming import estimate, run_stream

RATE = {"from": "0.1 1/d", "to": "10 1/d"}


def table(scenario, sweep, **overrides):
    """Return the table of one arm without a population, with a sweep."""
    text = scenario.read_text()
    scenario.write_text(text[: text.index("[[arm]]")])
    return expand_runs(load_inputs(scenario, overrides={**{f"sweep.{k}": v for k, v in sweep.items()}, **overrides}))


def values(made, name="clearance_rate"):
    """Return the values of a quantity in the order of the table."""
    found = np.full(made.size, np.nan)
    for group in rows(made, 0, made.size):
        if name in group.given:
            found[group.members] = group.given[name]
    return found


def test_a_grid_has_every_combination(scenario):
    sweep = {"parameters.clearance_rate": {**RATE, "count": 3, "scale": "log"}, "dose.product.count": [1, 2]}
    made = table(scenario, sweep)
    assert made.shape == {
        "arm": 1, "parameters.clearance_rate": 3, "dose.product.count": 2, "subject": 1, "replicate": 1
    }  # fmt: skip
    np.testing.assert_allclose(values(made), np.repeat([0.1, 1.0, 10.0], 2))
    doses = [len(g.schedules[k].log) for g in rows(made, 0, 6) for k in g.which]
    assert doses == [1, 2] * 3


def test_a_zip_pairs_values(scenario):
    sweep = {
        "design": "zip",
        "parameters.clearance_rate": ["1 1/d", "2 1/d"],
        "parameters.death_rate": ["3 1/d", "4 1/d"],
    }
    made = table(scenario, sweep)
    assert made.shape["point"] == 2
    assert values(made).tolist() == [1, 2]
    assert values(made, "death_rate").tolist() == [3, 4]


def test_units_are_converted(scenario):
    made = table(scenario, {"parameters.clearance_rate": ["24 1/d", "1 1/h"]})
    np.testing.assert_allclose(values(made), 24.0)


@pytest.mark.parametrize("design", ["latin_hypercube", "sobol"])
def test_sampled_designs_fill_every_axis_evenly(scenario, design):
    sweep = {"design": design, "count": 64, "parameters.clearance_rate": {**RATE, "scale": "log"},
             "parameters.death_rate": RATE}  # fmt: skip
    made = table(scenario, sweep)
    for numbers in (np.log10(values(made)) / 2 + 0.5, (values(made, "death_rate") - 0.1) / 9.9):
        assert (np.histogram(numbers, bins=16, range=(0, 1))[0] == 4).all()
    again = expand_runs(load_inputs(scenario, overrides={f"sweep.{k}": v for k, v in sweep.items()}))
    np.testing.assert_array_equal(values(made), values(again))


def test_one_at_a_time_leaves_the_others_as_they_are(scenario):
    made = table(scenario, {"design": "one_at_a_time", "parameters.clearance_rate": ["1 1/d", "3 1/d"],
                            "dose.product.amount": ["1e5 cell/kg"]})  # fmt: skip
    assert made.shape["point"] == 4
    np.testing.assert_array_equal(values(made), [np.nan, 1, 3, np.nan])
    amounts = np.empty(4)
    for group in rows(made, 0, 4):
        amounts[group.members] = [group.schedules[k].log[0].amount for k in group.which]
    assert amounts.tolist() == [2e7, 2e7, 2e7, 2e6]


def test_a_table_of_points(scenario):
    (scenario.parent / "points.csv").write_text(
        "# chosen by hand\nparameters.clearance_rate | 1/h,dose.product.amount\n1,1e5 cell\n2,2e5 cell\n"
    )
    made = table(scenario, {"table": "points.csv"})
    np.testing.assert_allclose(values(made), [24, 48])


def test_a_dose_that_an_arm_does_not_get_is_not_swept_there(scenario):
    text = scenario.read_text().replace('set = { "dose.product.amount" = "0.5e6 cell/kg" }', 'drop = ["product"]')
    scenario.write_text(text[: text.index("[population]")])
    made = expand_runs(load_inputs(scenario, overrides={"sweep.dose.product.amount": ["1e6 cell", "2e6 cell"]}))
    assert made.size == 4
    assert [len(g.schedules[k].log) for g in rows(made, 0, 4) for k in g.which] == [2, 2, 0, 0]


def test_a_million_runs_are_not_a_million_objects(scenario):
    sweep = {"design": "sobol", "count": 2**20, "parameters.clearance_rate": RATE}
    tracemalloc.start()
    made = table(scenario, sweep)
    rows(made, 10**6, 10**6 + 256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.size == 2**20
    assert peak < 100 * 2**20  # of it 8 MB are the points


def test_any_part_of_a_table_is_the_same_as_in_the_whole(scenario):
    made = expand_runs(load_inputs(scenario))
    whole = values(made, "death_rate")
    for begin, end in ((0, 1), (349, 351), (700, 1100), (2099, 2100)):
        part = np.full(end - begin, np.nan)
        for group in rows(made, begin, end):
            part[group.members - begin] = group.given["death_rate"]
        np.testing.assert_array_equal(part, whole[begin:end])


# ---- random streams


def test_streams_are_uniform_and_independent():
    index = np.arange(100_000)
    found = {p: uniforms(index, seed=3, purpose=p) for p in ("a", "b")}
    found["draw"] = uniforms(index, seed=3, purpose="a", draw=1)
    found["replicate"] = uniforms(index, seed=3, purpose="a", replicate=1)
    error = 1 / np.sqrt(index.size)
    for numbers in found.values():
        assert 0 < numbers.min() < numbers.max() < 1
        counts = np.histogram(numbers, bins=50, range=(0, 1))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 49 + 4 * np.sqrt(98)
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 4 * error
    off = np.corrcoef(list(found.values()))[~np.eye(4, dtype=bool)]
    assert np.abs(off).max() < 4 * error


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_number_depends_on_its_index_alone(offsets):
    base = min(offsets)
    index = np.array([base + o % 1000 for o in offsets])
    together = uniforms(index, seed=1, purpose="x")
    alone = [uniforms(np.array([k]), seed=1, purpose="x")[0] for k in index]
    np.testing.assert_array_equal(together, alone)


# ---- estimates


@pytest.mark.parametrize("count", [2, 7, 350])
def test_an_estimate_is_of_runs_that_were_timed(scenario, count):
    cost = estimate(table(scenario, {"parameters.clearance_rate": {**RATE, "count": count}}))
    assert cost.runs == count
    assert 1e-6 < cost.seconds_per_run < 1.0


# ---- reductions


def test_moments_of_parts_are_those_of_the_whole():
    random = np.random.default_rng(1)
    values_ = 1e6 + random.normal(size=(1000, 3))
    values_[5, 0] = values_[17, 2] = np.nan
    values_[:300, 1] = np.nan
    pieces: list[Piece] = []
    for block in range(4):
        append(pieces, Piece(first=block, blocks=1, moments=moments(values_[256 * block : 256 * (block + 1)])))
    whole = total(pieces)
    known = [values_[~np.isnan(values_[:, k]), k] for k in range(3)]
    assert whole[COUNT].tolist() == [999, 700, 999]
    np.testing.assert_allclose(whole[MEAN], [v.mean() for v in known], rtol=1e-14)
    np.testing.assert_allclose(whole[SQUARES], [((v - v.mean()) ** 2).sum() for v in known], rtol=1e-8)
    assert whole[LOWEST].tolist() == [v.min() for v in known]
    assert whole[HIGHEST].tolist() == [v.max() for v in known]


@given(st.integers(0, 20), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_moments_do_not_depend_on_how_blocks_are_cut_into_chunks(first, lengths):
    random = np.random.default_rng(first)
    blocks = [
        Piece(first=first + k, blocks=1, moments=moments(random.normal(size=(7, 2)))) for k in range(sum(lengths))
    ]
    whole: list[Piece] = []
    for block in blocks:
        append(whole, block)
    joined: list[Piece] = []
    for length in lengths:
        chunk: list[Piece] = []
        for block in blocks[:length]:
            append(chunk, block)
        del blocks[:length]
        for piece in chunk:
            append(joined, piece)
    assert [(p.first, p.blocks) for p in joined] == [(p.first, p.blocks) for p in whole]
    np.testing.assert_array_equal(total(joined), total(whole))


@pytest.mark.parametrize("compiled", [True, False])
def test_kernels_against_numpy(compiled):
    from atmpsim.kernels import reductions

    count, add = (f if compiled else f.py_func for f in (reductions.count_values, reductions.add_moments))
    values_ = np.array([[-2.0, 0.0], [1.0, np.nan], [1e-300, 1e300], [1.01, -0.0], [7.0, np.inf]])
    places, counts = (np.zeros(10, dtype=np.int64) for _ in range(2))
    size = count(values_, values_.view(np.int64), np.zeros((2, bins.BINS), dtype=np.int64), places, counts, bins._SHIFT,
                 bins._OFFSET - bins._FIRST, bins.TINY, bins.HUGE)  # fmt: skip
    made = np.empty((5, 2))
    dense = np.zeros((2, bins.BINS), dtype=np.int64)
    dense.ravel()[places[:size]] = counts[:size]
    for number in range(2):
        found = bins.bin_of(values_[:, number])
        np.testing.assert_array_equal(dense[number], np.bincount(found[found >= 0], minlength=bins.BINS))
    add(values_[:, :1], made[:, :1])
    own = values_[:, 0]
    np.testing.assert_allclose(made[:, 0], [5, own.mean(), own.var() * 5, own.min(), own.max()], rtol=1e-14)


@given(st.floats(2.0**-40, 2.0**59))
def test_the_middle_of_a_bin_is_within_its_error(value):
    middle = bins.middle_of(bins.bin_of(np.array([value])))[0]
    assert abs(middle / value - 1) <= bins.RELATIVE_ERROR <= 0.01


def test_statistics_of_a_summary_match_numpy_and_any_chunks(scenario):
    inputs = load_inputs(scenario, overrides={"output.keep": "summary"})
    found = []
    for chunk, order in ((256, None), (512, None), (256, [8, 1, 0, 3, 2, 5, 4, 7, 6])):
        name = f"{len(found)}.zarr"
        run_stream(expand_runs(inputs), inputs, name, chunk=chunk, order=order, threads=2)
        found.append(open_results(name))
    assert len({digest(tree) for tree in found}) == 1
    assert "trajectories" not in found[0].children
    full = load_inputs(scenario)
    run_stream(expand_runs(full), full, "full.zarr", chunk=256, threads=2)
    curves = open_results("full.zarr")["trajectories"]["blood_virus"].isel(replicate=0)
    reduced = found[0]["statistics"].to_dataset().sel(variable="blood_virus")
    np.testing.assert_allclose(reduced["mean"], curves.mean("subject"), rtol=1e-12)
    np.testing.assert_allclose(reduced["sd"], curves.std("subject", ddof=1), rtol=1e-9, atol=1e-9)
    exact = np.quantile(curves.values, QUANTILES, axis=2, method="inverted_cdf")
    np.testing.assert_allclose(np.moveaxis(reduced["quantile_value"].values, 2, 0), exact, rtol=0.01)
    for name in ("blood_virus.peak", "blood_virus.auc"):
        np.testing.assert_array_equal(found[0]["summary"][name], open_results("full.zarr")["summary"][name])

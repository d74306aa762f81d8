"""Figures: what stands in them comes from the dataset, at the right place, and legibly."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from itertools import combinations

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from atmpsim.errors import ResultError
from atmpsim.plots.content import read_content
from atmpsim.plots.figures import plot_results, save_figure
from atmpsim.plots.panels import MOST_PANELS, choose_panels, describe_group
from atmpsim.plots.scales import choose_scale, time_step
from atmpsim.plots.style import unit_label

TIMES = np.linspace(0.0, 60.0, 61)
LIMIT = 300.0


def attributes(units, long_name, limit=None):
    made = {"units": units, "long_name": long_name, "kind": "observable"}
    return made | ({"limit_of_detection": limit} if limit else {})


def shapes(times):
    """Return curve and attributes of each variable, for a subject of strength 1."""
    return {
        "lung": (2e6 * np.exp(-0.5 * times), attributes("cell", "living carriers in the lung")),
        "liver": (3e4 * np.exp(-0.2 * times), attributes("cell", "living carriers in the liver")),
        "volume": (50 * np.exp(0.02 * times), attributes("mL", "tumour volume")),
        "pcr": (1e5 * np.exp(-0.2 * times), attributes("copy/mL", "genomes in blood by PCR", LIMIT)),
        "split": (np.full_like(times, 0.4), attributes("1", "share that lodges in the lung")),
    }


def make(arms=("default",), *, subjects=1, times=TIMES, failed=0, doses=None, summary=(), only=None, **texts):
    """Return a result as `open_results` returns it."""
    variables = shapes(times)
    dims = ("arm", "subject", "replicate", "time")
    strength = np.linspace(1.0, 2.0, len(arms) * subjects).reshape(len(arms), subjects, 1, 1)
    data = {k: (dims, strength * v, a) for k, (v, a) in variables.items() if only is None or k in only}
    for _, values, _ in data.values():
        values[0, :failed] = np.nan
    rows = {"arm": list(arms), "subject": [str(k) for k in range(subjects)], "replicate": [0]}
    status = np.zeros((len(arms), subjects, 1), dtype=np.int8)
    status[0, :failed] = 3
    flags = {"flag_values": np.array([0, 3], dtype=np.int8), "flag_meanings": "ok step_underflow"}
    given = [(arm, *dose) for arm, own in (doses or {}).items() for dose in own]
    groups = {
        "/": xr.Dataset(attrs={"title": "A title", "question": "A question?", "source": "atmpsim 9.8.7"} | texts),
        "/trajectories": xr.Dataset(
            data, coords=rows | {"time": ("time", times, {"units": "d", "long_name": "time since birth"})}
        ),
        "/doses": xr.Dataset(
            {
                "arm": ("dose", np.array([d[0] for d in given], dtype=object)),
                "name": ("dose", np.array(["product"] * len(given), dtype=object)),
                "time": ("dose", np.array([d[1] for d in given], dtype=float)),
                "duration": ("dose", np.array([d[2] for d in given], dtype=float)),
            }
        ),
        "/summary": xr.Dataset({f"{name}.peak": ((), 1.0) for name in summary}),
        "/status": xr.Dataset({"status": (dims[:3], status, flags)}, coords=rows),
    }
    return xr.DataTree.from_dict(groups)


def texts_of(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def words_of(figure):
    return " | ".join(t.get_text().replace("\n", " ").replace("\xa0", " ") for t in texts_of(figure))


def curves_of(axes):
    """Return the lines of data, without marks and limits."""
    return [line for line in axes.lines if line.get_transform() == axes.transData and len(line.get_xdata()) > 2]


def marks_of(axes, kind="dose"):
    return [list(line.get_xdata()) for line in axes.lines if line.get_label() == kind]


def test_labels_and_units_come_from_the_dataset():
    words = words_of(plot_results(make()))
    for text in ("tumour volume (mL)", "living carriers (cell)", "lung", "liver", "time since birth (d)",
                 "genomes in blood by PCR (copy/mL)", "A title", "A question?", "atmpsim 9.8.7"):  # fmt: skip
        assert text in words
    assert "split" not in words
    assert "lodges" not in words


def test_another_title_and_context_of_use():
    words = words_of(plot_results(make(context_of_use="Never for $5.", model="celyvir"), title="Costs $3, $4"))
    assert "Costs $3, $4" in words
    assert "A title" not in words
    assert "Context of use: Never for $5." in words
    assert "model celyvir" in words


def test_the_caution_of_a_model_stands_above_the_panels():
    assert "nothing here is evidence" in words_of(plot_results(make(caution="nothing here is evidence")))
    assert "evidence" not in words_of(plot_results(make()))


def test_large_numbers_have_their_power_of_ten_in_the_label():
    tree = make(only=("lung",), times=np.linspace(0.0, 2.0, 11))
    figure = plot_results(tree)
    assert "living carriers in the lung (10⁶ cell)" in words_of(figure)
    figure.draw_without_rendering()
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()][:3] == ["0", "0.5", "1"]


@pytest.mark.parametrize(
    ("units", "printed"),
    [("1", ""), ("percent", "%"), ("mL/(min*kg)", "mL/(min·kg)"), ("cell/m**2", "cell/m²"), ("uL", "µL"), ("", "")],
)
def test_units_as_printed(units, printed):
    assert unit_label(units) == printed


def test_limit_of_detection_is_a_line_and_lower_values_lie_on_it():
    figure = plot_results(make(), variables=["pcr"])
    (axes,) = figure.axes
    limits = [line for line in axes.lines if set(np.unique(line.get_ydata())) == {LIMIT} and len(line.get_ydata()) == 2]
    assert len(limits) == 1
    drawn = np.concatenate([line.get_ydata() for line in curves_of(axes)])
    assert np.nanmin(drawn) == LIMIT
    # 1e5 exp(-0.2 t) falls below 300 at ln(1e5/300)/0.2 = 29.05: the last sample above is that at 29
    strong = [line for line in curves_of(axes) if line.get_alpha() == 1.0]
    known = np.isfinite(strong[0].get_ydata())
    assert strong[0].get_xdata()[known].max() == 30.0
    assert (strong[0].get_ydata()[known][:-1] > LIMIT).all()
    assert any(patch.get_y() + patch.get_height() == LIMIT for patch in axes.patches)


def test_only_an_assay_has_a_limit():
    (axes,) = plot_results(make(), variables=["volume"]).axes
    assert not axes.patches
    assert len(axes.lines) == 1


def test_dose_marks_stand_at_the_times_of_the_doses():
    doses = {"weekly": [(0.0, 0.0), (7.0, 0.0), (14.0, 5.0), (400.0, 0.0)], "once": [(3.0, 0.0)]}
    figure = plot_results(make(("weekly", "once", "none"), doses=doses), variables=["lung", "liver", "volume"])
    weekly, once, none, both = figure.axes
    assert marks_of(weekly) == [[0.0, 7.0, 14.0]]
    assert marks_of(weekly, "infusion") == [[14.0, 19.0]]
    assert marks_of(once) == [[3.0]]
    assert marks_of(none) == []
    assert sorted(marks_of(both)) == [[0.0, 7.0, 14.0], [3.0]]
    assert "dose of product" in words_of(figure)


def test_an_arm_without_a_dose_is_grey():
    figure = plot_results(make(("dosed", "none"), doses={"dosed": [(0.0, 0.0)]}), variables=["volume"])
    dosed, none = (to_hex(line.get_color()) for line in curves_of(figure.axes[0]))
    red, green, blue = none[1:3], none[3:5], none[5:7]
    assert red == green == blue
    assert dosed != none


def test_arms_stand_in_columns_with_one_scale_or_share_a_panel():
    figure = plot_results(make(("low", "high")), variables=["lung", "liver", "volume"])
    low, high, shared = figure.axes
    assert low.get_ylim() == high.get_ylim()
    assert low.get_position().y0 == high.get_position().y0
    assert low.get_position().x1 < high.get_position().x0
    assert [len(curves_of(a)) for a in figure.axes] == [2, 2, 2]
    assert len({to_hex(line.get_color()) for line in curves_of(shared)}) == 2
    peaks = [max(line.get_ydata().max() for line in curves_of(a)) for a in (low, high)]
    assert peaks == [2e6, 4e6]


def test_many_arms_share_panels_of_one_variable():
    figure = plot_results(make([f"arm {k}" for k in range(6)]), variables=["lung", "liver"])
    assert [len(curves_of(a)) for a in figure.axes] == [6, 6]


def test_chosen_arms_only():
    figure = plot_results(make(("low", "high", "none")), variables=["volume"], arms=["high"])
    (line,) = curves_of(figure.axes[0])
    assert line.get_ydata()[0] == pytest.approx(75.0)
    assert "arm: high" in words_of(figure)


@pytest.mark.parametrize(("name", "scale"), [("lung", "log"), ("volume", "linear"), ("pcr", "log")])
def test_axis_of_a_variable(name, scale):
    (axes,) = plot_results(make(), variables=[name]).axes
    assert axes.get_yscale() == scale
    assert axes.get_ylim()[0] == {"lung": 1.0, "volume": 0.0, "pcr": 100.0}[name]


@pytest.mark.parametrize(
    ("values", "units", "log", "low"),
    [
        ([1e-50, 1e3, 1e7], "cell", True, 1.0),
        ([1e-50, 1.0, 10.0], "mg", True, 1e-7),
        ([0.001, 50.0, 100.0], "percent", False, 0.0),
        ([1e-9, 0.2, 0.9], "1", False, 0.0),
        ([1e-9, 0.2, 1.1], "1", True, 1e-8),
        ([1e-9, 0.2, 0.4], "1", True, 1e-9),
        ([-5.0, 1e-4, 5.0], "mg", False, None),
        ([100.1, 100.3], "g", False, None),
        ([0.0, 0.0], "cell", False, 0.0),
        ([np.nan], "cell", False, 0.0),
        ([np.nan, np.inf, 3.0], "mL", False, 0.0),
    ],
)
def test_choice_of_axis(values, units, log, low):
    scale = choose_scale(np.array(values), units=units)
    finite = [v for v in values if np.isfinite(v)]
    assert scale.log is log
    assert scale.high > max([*finite, scale.low])
    if low is None:
        assert scale.low < min(finite)
    else:
        assert scale.low == pytest.approx(low)


@pytest.mark.parametrize("values", [[900.0, 1000.0], [0.1, 0.2], [0.0, 0.0], [np.nan], [1.0, 1e7]])
def test_axis_shows_the_limit_of_detection(values):
    scale = choose_scale(np.array(values), units="copy/mL", limit=300.0)
    assert scale.low < 300.0 < scale.high


def test_time_ticks_are_whole_days_and_weeks():
    assert [time_step(s, "d", at_most=8) for s in (4.0, 14.0, 60.0, 100.0)] == [0.5, 2, 14, 14]
    assert time_step(1e9, "d", at_most=8) is None


@pytest.mark.parametrize(
    ("names", "label", "rest"),
    [
        (["viable cells, lung", "viable cells in the body"], "viable cells", ("lung", "body")),
        (["virus in liver", "free virus in blood"], "virus", ("virus in liver", "free virus in blood")),
        (["loss per gram of lung", "loss per gram of liver"], "loss per gram", ("lung", "liver")),
        (["cells", "cells in blood"], "cells", ("cells", "blood")),
        (["glucose"], "glucose", ("glucose",)),
    ],
)  # fmt: skip
def test_names_within_a_panel(names, label, rest):
    assert describe_group(names) == (label, rest)


def test_summarised_variables_come_first_then_assays_then_the_rest():
    content = read_content(make(summary=("volume", "liver")))
    order = [p.curves[0].name for p in choose_panels(content.curves, summarised=content.summarised)]
    assert order == ["volume", "lung", "pcr"]
    content = read_content(make())
    assert [p.curves[0].name for p in choose_panels(content.curves)] == ["pcr", "lung", "volume"]


def test_constants_are_shown_when_asked_for_or_when_there_is_nothing_else():
    assert "lodges" in words_of(plot_results(make(), variables=["split"]))
    assert "lodges" in words_of(plot_results(make(only=("split",))))


def test_at_most_nine_panels():
    tree = make()
    dims = ("arm", "subject", "replicate", "time")
    values = np.exp(TIMES)[None, None, None]
    many = {f"x{k}": (dims, values, attributes("mg", f"substance{k}")) for k in range(30)}
    tree["trajectories"] = xr.DataTree(tree["trajectories"].to_dataset().assign(many))
    assert len(plot_results(tree).axes) == MOST_PANELS
    assert len(plot_results(tree, variables=[*many]).axes) == 30


def test_every_run_is_a_line_and_failed_runs_are_counted():
    figure = plot_results(make(("low", "high"), subjects=5, failed=2), variables=["volume"])
    assert "2 of 10 runs failed" in words_of(figure)
    assert "one line per run, 5 in each arm" in words_of(figure)
    lines = curves_of(figure.axes[0])
    assert len(lines) == 10
    assert sum(np.isfinite(line.get_ydata()).any() for line in lines) == 8
    assert "failed" not in words_of(plot_results(make(("low", "high"), subjects=5, failed=2), arms=["high"]))


def test_runs_without_a_grid():
    tree = make(("low", "high"), subjects=2)
    flat = {"/": xr.Dataset(attrs=tree.attrs)}
    for group in ("trajectories", "status"):
        stacked = tree[group].to_dataset().stack(run=("arm", "subject", "replicate")).reset_index("run")
        flat[f"/{group}"] = stacked.isel(run=[0, 2, 3])
    figure = plot_results(xr.DataTree.from_dict(flat), variables=["volume"])
    assert sorted(line.get_ydata()[0] for line in curves_of(figure.axes[0])) == pytest.approx([50, 250 / 3, 100])


def test_figures_of_nothing():
    failed = plot_results(make(subjects=2, failed=2))
    assert "no finite values" in words_of(failed)
    assert "2 of 2 runs failed" in words_of(failed)
    tree = make(only=("lung",))
    tree["trajectories"]["lung"].values[:] = 0.0
    assert "zero throughout" in words_of(plot_results(tree))


def test_one_sample_is_a_point():
    figure = plot_results(make(times=np.array([3.0])), variables=["volume"])
    (line,) = figure.axes[0].lines
    assert line.get_marker() == "o"
    figure.draw_without_rendering()


def texts_in_view(figure):
    """Return the texts that are drawn: locators also make ticks beyond the ends of an axis."""
    hidden = set()
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = axis.get_view_interval()
        hidden |= {t.label1 for t in axis.get_major_ticks() if not low <= t.get_loc() <= high}
    return [t for t in texts_of(figure) if t not in hidden]


def test_texts_stand_in_the_figure_and_not_on_one_another():
    arms = ("six infusions, one each week", "twelve half doses", "none")
    doses = {arms[0]: [(7.0 * k, 0.0) for k in range(6)], arms[1]: [(3.5 * k, 0.0) for k in range(12)]}
    for tree in (make(arms, doses=doses, subjects=2, failed=1), make(doses={"default": [(0.0, 1.0)]})):
        figure = plot_results(tree)
        FigureCanvasAgg(figure).draw()
        boxes = [(t.get_text(), t.get_window_extent()) for t in texts_in_view(figure)]
        for text, box in boxes:
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= figure.bbox.width, text
            assert box.y1 <= figure.bbox.height, text
        for (one, first), (other, second) in combinations(boxes, 2):
            assert not first.overlaps(second), (one, other)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"variables": ["volum"]}, "figure variable: found 'volum', expected one of .*Did you mean 'volume'?"),
        ({"arms": ["hihg"]}, "figure arm: found 'hihg', expected one of high, low. Did you mean 'high'?"),
        ({"variables": []}, "empty list of variables"),
    ],
)
def test_unknown_names(wanted, message):
    with pytest.raises(ResultError, match=message):
        plot_results(make(("low", "high")), **wanted)


def test_a_result_without_trajectories():
    with pytest.raises(ResultError, match="without trajectories"):
        plot_results(xr.DataTree.from_dict({"/": xr.Dataset()}))


def test_save_refuses_other_endings_and_missing_folders(tmp_path):
    figure = plot_results(make(), variables=["volume"])
    with pytest.raises(ResultError, match=r"found the ending '.jpg', expected one of .pdf, .png, .svg"):
        save_figure(figure, tmp_path / "a.jpg")
    with pytest.raises(ResultError, match="no folder"):
        save_figure(figure, tmp_path / "missing" / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_same_tree_same_bytes_whatever_the_settings(tmp_path, ending, magic):
    made = []
    for settings in ({}, {"font.size": 20.0, "axes.grid": True, "lines.linewidth": 9.0, "savefig.bbox": "tight"}):
        target = tmp_path / f"figure.{ending}"
        with matplotlib.rc_context(settings):
            save_figure(plot_results(make(("low", "high")), variables=["volume", "pcr"]), target)
        made.append(target.read_bytes())
    assert made[0] == made[1]
    assert made[0].startswith(magic)
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    class Broken:
        def savefig(self, path, **_):
            path.write_bytes(b"half")
            raise OSError("disk full")

    target = tmp_path / "figure.png"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        save_figure(Broken(), target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


def test_neither_pyplot_nor_models_nor_global_settings_are_touched(tmp_path):
    script = """
        import sys
        import matplotlib
        import numpy as np
        import xarray as xr
        from atmpsim.plots.figures import plot_results, save_figure

        def settings():
            # asking for the backend would load pyplot
            return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != "backend"}

        before = settings()
        times = ("time", np.arange(3.0), {"units": "d"})
        data = xr.Dataset({"a": ("time", np.ones(3), {"units": "mL", "long_name": "a"})}, coords={"time": times})
        figure = plot_results(xr.DataTree.from_dict({"/trajectories": data}))
        for ending in ("png", "svg", "pdf"):
            save_figure(figure, f"figure.{ending}")
        assert settings() == before
        rooms = ("model", "scenario", "engines", "compile", "kernels")
        assert not [m for m in sys.modules if m.startswith(tuple(f"atmpsim.{r}" for r in rooms))]
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

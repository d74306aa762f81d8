"""The process that draws a result: the figure, what cannot be drawn, and a process that dies."""

from __future__ import annotations

import os
import signal

import pytest
import xarray as xr

import atmpsim
from atmpsim.errors import AtmpsimError, ResultError
from atmpsim.plots.figures import plot_results, save_figure
from atmpsim.plots.process import drawing_process


@pytest.fixture(scope="module")
def result():
    return atmpsim.run("msc-lung-mouse")


def test_the_figure_is_the_one_drawn_here_and_appears_when_asked_for(tmp_path, result):
    save_figure(plot_results(result), tmp_path / "here.png")
    with drawing_process() as drawing:
        drawing.begin(tmp_path / "there.png", result)
        drawing.begin(tmp_path / "again.png", result)
        assert not (tmp_path / "there.png").exists()
        drawing.finish()
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here.png", "there.png"]


def test_what_cannot_be_drawn_is_the_same_error(tmp_path):
    with drawing_process() as drawing:
        drawing.begin(tmp_path / "a.png", xr.DataTree())
        with pytest.raises(ResultError, match="trajectories"):
            drawing.finish()
    assert not list(tmp_path.iterdir())


def test_a_process_that_dies_is_an_error_that_says_what_to_do(tmp_path, result):
    with drawing_process() as drawing:
        os.kill(drawing._process.pid, signal.SIGKILL)
        drawing.begin(tmp_path / "a.png", result)
        with pytest.raises(AtmpsimError, match=r"ended with code -9.*atmpsim plot"):
            drawing.finish()
    assert not list(tmp_path.iterdir())


def test_nothing_is_drawn_and_nothing_stays_where_runs_fail(tmp_path):
    with pytest.raises(ValueError, match="no run"), drawing_process() as drawing:
        raise ValueError("no run")
    assert drawing._process.returncode is not None
    assert not list(tmp_path.iterdir())

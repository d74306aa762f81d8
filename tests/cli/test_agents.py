"""Agent models from the command line: settings by themselves, scenarios, pictures, killed runs, and bad files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from atmpsim.results.store import open_results

SCENARIO = """\
schema = 1
title = "A small plaque"
model = "small.xml"
engine = "agents"

[time]
end = "3 h"
every = "1 h"

[[dose]]
name = "virus"
into = "virus"
amount = "2000 vp"
place = ["40 um", "0 um"]
radius = "20 um"

[[dose]]
name = "carriers"
into = "infected_cell"
amount = "2 cell"
time = "1 h"
beside = "cell"

[[arm]]
name = "treated"

[[arm]]
name = "untreated"
drop = ["virus", "carriers"]

[population]
replicates = 2
vary = "listed"

[agents]
snapshots = ["0 h", "3 h"]
lineage = true

[output]
summary = ["cell_infections.end", "virus.peak"]
"""

SETTINGS = """\
<PhysiCell_settings>
  <domain><x_min>-100</x_min><x_max>100</x_max><y_min>-100</y_min><y_max>100</y_max><use_2D>true</use_2D></domain>
  <overall><max_time units="min">180</max_time></overall>
  <save><full_data><interval units="min">60</interval></full_data></save>
  <options><random_seed>3</random_seed></options>
  <microenvironment_setup>
    <variable name="virus" units="vp/micron^3">
      <physical_parameter_set>
        <diffusion_coefficient units="micron^2/min">300</diffusion_coefficient>
        <decay_rate units="1/min">0.01</decay_rate>
      </physical_parameter_set>
    </variable>
    <options><track_internalized_substrates_in_each_agent>true</track_internalized_substrates_in_each_agent></options>
  </microenvironment_setup>
  <cell_definitions>
    <cell_definition name="cell" ID="0">
      <phenotype>
        <secretion><substrate name="virus"><uptake_rate units="1/min">0.02</uptake_rate></substrate></secretion>
      </phenotype>
    </cell_definition>
    <cell_definition name="infected cell" ID="1" parent_type="cell"/>
  </cell_definitions>
  <initial_conditions>
    <cell_positions type="csv" enabled="true"><folder>.</folder><filename>cells.csv</filename></cell_positions>
  </initial_conditions>
  <cell_rules><rulesets>
    <ruleset protocol="CBHG" version="3.0" format="csv" enabled="true">
      <folder>.</folder><filename>rules.csv</filename>
    </ruleset>
  </rulesets></cell_rules>
  <atmpsim:extension xmlns:atmpsim="urn:atmpsim:agents:1">
    <atmpsim:infection cell_type="cell" substrate="virus" becomes="infected cell">
      <atmpsim:probability>0.02</atmpsim:probability>
    </atmpsim:infection>
    <atmpsim:clock cell_type="infected cell">
      <atmpsim:stages>2</atmpsim:stages><atmpsim:mean units="min">60</atmpsim:mean>
    </atmpsim:clock>
    <atmpsim:burst cell_type="infected cell" substrate="virus" size="poisson">
      <atmpsim:amount>500</atmpsim:amount>
    </atmpsim:burst>
    <atmpsim:arrival cell_type="infected cell" source="cell" exact="true">
      <atmpsim:first units="min">30</atmpsim:first><atmpsim:number>1</atmpsim:number>
    </atmpsim:arrival>
  </atmpsim:extension>
</PhysiCell_settings>
"""

PLACES = [(x, y) for x in range(-90, 91, 18) for y in range(-90, 91, 18)]
CELLS = "x,y,z,type\n" + "".join(f"{x},{y},0,cell\n" for x, y in PLACES)
RULES = "cell,pressure,decreases,cycle entry,0,1,4,0\n"


@pytest.fixture(scope="session")
def texts():
    """Return the files of the working folder."""
    return {"small.xml": SETTINGS, "cells.csv": CELLS, "rules.csv": RULES, "small.toml": SCENARIO}


@pytest.fixture(scope="session")
def made(tmp_path_factory, texts):
    """Return a folder with a stored result, made once."""
    from atmpsim import cli

    place = tmp_path_factory.mktemp("agents")
    for name, text in texts.items():
        (place / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.main(["run", "small.toml", "--quiet"]) == 0
    return place


def test_settings_run_by_themselves(folder, command):
    code, out, err = command("run", "small.xml", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert (said["title"], said["runs"], said["failed"], said["result"]) == ("small", 1, 0, "small.zarr")
    tree = open_results("small.zarr")
    assert tree["trajectories"]["time"].values.tolist() == [0, 60, 120, 180]
    assert tree["fields"]["snapshot_time"].values.tolist() == [0, 60, 120, 180]
    assert tree["trajectories"]["infected_cell_entries"].values.ravel()[[0, 1]].tolist() == [0, 1]
    assert int(tree["status"]["seed"].values.ravel()[0]) == 3  # of the file
    doses = tree["doses"].to_dataset()
    assert (doses["time"].values.tolist(), doses["amount"].values.tolist()) == ([30.0], [1.0])


def test_validate_says_where_physicell_does_otherwise(folder, command):
    found = json.loads(command("validate", "small.xml", "--json").out)
    assert found["model"] == "small"
    assert found["doses"] == 1
    assert found["samples"] == 4
    assert any("does not exist for PhysiCell" in text for text in found["differences_from_physicell"])
    strict = json.loads(command("validate", "small.toml", "--json", "--set", "agents.compatibility=physicell-1.14").out)
    assert strict["runs"] == 4
    assert 0 < len(strict["differences_from_physicell"]) < len(found["differences_from_physicell"])


def test_a_scenario_gives_every_run_its_doses_and_numbers(made):
    tree = open_results(made / "small.zarr")
    curves, cells = tree["trajectories"].to_dataset(), tree["cells"].to_dataset()
    assert curves.sizes["arm"] == curves.sizes["replicate"] == 2
    assert curves["time"].attrs["units"] == "h"
    entries = curves["infected_cell_entries"]
    np.testing.assert_array_equal(entries.sel(arm="treated").values.reshape(2, -1), [[0, 0, 2, 2]] * 2)
    assert not curves["virus"].sel(arm="untreated").values.any()
    treated = curves["virus"].sel(arm="treated").values.reshape(2, -1)
    assert treated[:, 0].tolist() == [0, 0]
    assert (treated[:, 1] > 100).all()
    assert not np.array_equal(treated[0], treated[1])  # replicates have other random numbers
    # the table of cells and the curves are the same cells
    live = (cells["state"].values == 0) & (cells["type"].values == 0) & (cells["snapshot"].values == 1)
    counted = np.bincount(cells["run"].values[live], minlength=4)
    np.testing.assert_array_equal(counted, curves["cell"].values[..., -1].ravel())
    assert tree["fields"]["virus"].dims == ("arm", "subject", "replicate", "snapshot", "z", "y", "x")
    total = tree["fields"]["virus"].values.sum(axis=(-3, -2, -1)) * 8000.0
    np.testing.assert_allclose(total[..., 1].ravel(), curves["virus"].values[..., -1].ravel(), rtol=1e-5)


def test_the_same_bits_with_processes_and_in_memory(made, folder, command):
    first = open_results(made / "small.zarr")["provenance"].attrs["digest"]
    assert command("run", "small.toml", "--workers", "1", "-o", "two.zarr", "--no-plot").code == 0
    assert open_results("two.zarr")["provenance"].attrs["digest"] == first
    assert command("run", "small.toml", "-o", "one.nc", "--no-plot").code == 0
    assert open_results("one.nc")["provenance"].attrs["digest"] == first
    assert command("doctor", "two.zarr").code == 0


@pytest.mark.campaign  # compiles every kernel anew
@pytest.mark.parametrize(
    "other", [{}, {"NUMBA_OPT": "0"}, {"NUMBA_CPU_NAME": "generic"}], ids=["new", "plain", "generic"]
)
def test_the_same_bits_whatever_the_compiler_does(made, folder, other):
    where = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(folder / "cache")} | other
    line = [sys.executable, "-m", "atmpsim", "run", "small.toml", "-o", "other.zarr", "--no-plot", "--quiet"]
    subprocess.run(line, env=where, check=True)
    found, wanted = (open_results(name)["provenance"].attrs["digest"] for name in ("other.zarr", made / "small.zarr"))
    assert found == wanted


def test_lineage_and_cells_become_tables(made, folder, command):
    assert command("convert", str(made / "small.zarr"), "lineage.csv", "--group", "lineage").code == 0
    head, *rows = Path("lineage.csv").read_text().splitlines()
    assert head.startswith("run,id,parent,type,birth [h],death [h],end [h]")
    assert len(rows) >= 4 * len(PLACES)
    assert command("convert", str(made / "small.zarr"), "cells.parquet", "--group", "cells").code == 0
    import pandas

    found = pandas.read_parquet("cells.parquet")
    assert {"run", "x [um]", "type", "arm", "replicate"} <= set(found.columns)
    assert set(found["type"]) <= {"cell", "infected_cell"}
    assert set(found["arm"]) == {"treated", "untreated"}


def test_cells_become_anndata(made, folder, command, complaint):
    import h5py

    stored = str(made / "small.zarr")
    assert command("convert", stored, "cells.h5ad", "--group", "cells").code == 0
    cells = open_results(stored)["cells"].to_dataset()
    with h5py.File("cells.h5ad") as file:
        assert file.attrs["encoding-type"] == "anndata"
        np.testing.assert_array_equal(file["obsm/spatial"][:, 0], cells["x"].values)
        names = file["var/_index"].asstr()[:].tolist()
        np.testing.assert_array_equal(file["X"][:, names.index("volume")], cells["volume"].values)
        kinds = file["obs/type/categories"].asstr()[:][file["obs/type/codes"][:]]
        assert set(kinds) <= {"cell", "infected_cell"}
        assert file["obs/time"].shape == (cells.sizes["cell"],)
    assert complaint("convert", stored, "lineage.h5ad", "--group", "lineage").expected == "the group cells"


def test_a_sweep_and_its_status(folder, command):
    code, _, err = command("sweep", "small.toml", "--over", "parameters.virus.diffusion=30 um^2/min, 300 um^2/min",
                           "--set", "population.replicates=1", "-o", "s.zarr", "--no-plot", "--quiet")  # fmt: skip
    assert (code, err) == (0, "")
    tree = open_results("s.zarr")
    assert tree["trajectories"]["virus"].dims == ("arm", "parameters.virus.diffusion", "subject", "replicate", "time")
    values = tree["parameters"]["value"].sel(parameter="virus.diffusion").values
    assert values.reshape(2, 2).tolist() == [[30, 300]] * 2
    assert "finished, 0 of 4 runs failed" in command("status", "s.zarr").out


def test_pictures_and_a_film(made, folder, command):
    from PIL import Image

    stored = str(made / "small.zarr")
    assert (made / "small.cells.png").exists()
    assert command("plot", stored, "--cells", "--at", "3", "--field", "virus", "-o", "a.png").code == 0
    pixels = np.asarray(Image.open("a.png").convert("RGB"), dtype=int)
    assert (np.ptp(pixels, axis=2) > 30).mean() > 0.02  # it has colours
    assert command("plot", stored, "--cells", "-o", "a.gif").code == 0
    assert Image.open("a.gif").n_frames == 2


@pytest.mark.parametrize(
    ("options", "where", "found"),
    [
        (["--field", "oxygen"], "figure field", "'oxygen'"),
        (["--at", "2"], "figure at", "2"),
        (["--at", "noon"], "--at", "'noon'"),
        (["--runs", "9"], "figure runs", "9"),
        (["-o", "a.avi"], "figure 'a.avi'", "the ending '.avi'"),
    ],
)
def test_pictures_of_what_is_not_there(made, folder, complaint, options, where, found):
    said = complaint("plot", str(made / "small.zarr"), "--cells", *options)
    assert (said.where, said.found) == (where, found)


def replaced(name, old, new):
    """Return a change of one file in the working folder."""

    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def setting(path, value):
    return ["--set", f"{path}={value}"]


BAD_FILES = {
    "rule-type": (replaced("rules.csv", "cell,", "sell,"), "rules.csv line 1", "'sell'"),
    "rule-signal": (replaced("rules.csv", "pressure", "presure"), "rules.csv line 1", "'presure'"),
    "letters": (replaced("cells.csv", "-90,-90,0,", "-90,x90,0,"), "cells.csv line 2", "'x90'"),
    "outside": (replaced("cells.csv", "-90,-90,0,", "-190,-90,0,"), "cells.csv line 2", "a cell at -190, -90, 0"),
    "overlap": (replaced("cells.csv", "-90,-90,0,cell\n", "-90,-90,0,cell\n-90,-90,0,cell\n"), "cells.csv line 3",
                "same point"),
    "substrate": (replaced("small.xml", "name=\"virus\"><uptake", "name=\"oxygen\"><uptake"), "small.xml", "oxygen"),
    "negative": (replaced("small.xml", ">0.02</uptake", ">-0.02</uptake"), "small.xml", "-0.02"),
    "no-rules": (lambda folder: (folder / "rules.csv").unlink(), "rules.csv", "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("of", ["small.xml", "small.toml"])
@pytest.mark.parametrize(("change", "where", "found"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_one_clear_paragraph(folder, complaint, change, where, found, of):
    change(folder)
    before = sorted(p.name for p in folder.iterdir())
    said = complaint("run", of)
    assert where in said.where
    assert found in f"{said.where} {said.found}"
    assert sorted(p.name for p in folder.iterdir()) == before


BAD_VALUES = {
    "negative": (setting("parameters.virus.decay", "-1 1/min"), "-1", "at least 0"),
    "unit": (setting("parameters.virus.diffusion", "3 um/min"), "um", ""),
    "no-unit": (setting("parameters.virus.diffusion", "3"), "3 without a unit", "um^2/min"),
    "unknown": (setting("parameters.cell.uptake", "1 1/min"), "'cell.uptake'", "a quantity of model"),
    "half-a-cell": (setting("dose.carriers.amount", "0.5 cell"), "0.5 cells that enter", "a whole number"),
    "into": (setting("dose.carriers.into", "carrier"), "'carrier'", "a state"),
    "beside": (setting("dose.carriers.beside", "vessel"), "'vessel'", "a cell type"),
    "outside": (setting("dose.virus.place", '["900 um", "0 um"]'), "900 um, 0 um", "a place between"),
    "radius": (setting("dose.virus.radius", "-1 um"), "'-1 um'", "at least 0"),
    "both": (setting("dose.virus.beside", "cell"), "a dose of the substrate 'virus'", "its place"),
    "kind": (setting("dose.virus.amount", "5 cell"), "cell", ""),
    "start": (setting("initial.cell", "1.5 cell"), "1.5 cell", "a whole number"),
    "window": (setting("agents.window", '["900 um", "100 um"]'), "900 um", "at most 200 um"),
    "snapshot": (setting("agents.snapshots", '["90 min"]'), "'90 min'", "a time of a sample"),
    "field": (setting("agents.snapshot_fields", '["oxygen"]'), "'oxygen'", "one of virus"),
    "sample": (setting("time.every", "61 s"), "a sample at", "multiples of the mechanics step"),
    "step": (setting("agents.mechanics_step", "4 min"), "'4 min'", "a part of the phenotype step"),
    "key": (setting("agents.snapshot", '["1 h"]'), "'snapshot'", "snapshots"),
    "solver": (setting("solver.rtol", "1e-3"), "the section 'solver'", 'engine = "agents"'),
    "swept": (setting("sweep.parameters.virus.decay", '["1 1/min", "-1 1/min"]'), "-1", "at least 0"),
}


@pytest.mark.parametrize(("options", "found", "expected"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_values_are_one_clear_paragraph(folder, complaint, options, found, expected):
    said = complaint("validate", "small.toml", *options)
    assert found in said.found
    assert expected in said.expected


def test_places_are_for_agents_only(folder, complaint):
    text = SCENARIO.replace('engine = "agents"\n', "")
    (folder / "other.toml").write_text(text)
    said = complaint("validate", "other.toml")
    assert said.where == "other.toml [agents]"
    assert "the section 'agents'" in said.found


def test_an_agent_model_needs_its_engine(folder, complaint):
    (folder / "other.toml").write_text(
        'schema = 1\ntitle = "x"\nmodel = "virus_plaque"\ntime = {end="1 d", every="1 h"}\n'
    )
    assert 'Agent models need engine = "agents".' in complaint("validate", "other.toml").remedy


def test_a_population_that_explodes_stops_and_keeps_what_was_there(folder, command):
    code, _out, err = command("run", "small.toml", "--set", "parameters.cell.cycle_entry=0.05 1/min", "--set",
                             "agents.max_cells=150", "--set", "population.replicates=1", "--no-plot")  # fmt: skip
    assert code == 1
    assert "Traceback" not in err
    assert re.search(r"run 0 \(.*treated\): found that at .* the population would exceed 150 cells, expected", err)
    tree = open_results("small.zarr")
    assert tree["status"]["status"].values.tolist() == [[[6]], [[6]]]
    cells = tree["trajectories"]["cell"].values.reshape(2, -1)
    assert (cells[:, 0] == len(PLACES)).all()
    assert np.isnan(cells[:, -1]).all()
    at_start = tree["cells"]["snapshot"].values == 0
    assert np.count_nonzero(at_start) == 2 * len(PLACES)
    assert np.isnan(tree["fields"]["virus"].values[..., 1, :, :, :]).all()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_run_goes_on_from_its_checkpoint(folder, command, how):
    interrupted = how is signal.SIGINT  # then the state is saved, however rarely it is otherwise
    longer = ["--set", "time.end=12 h", "--set", "time.every=6 h", "--set", 'agents.snapshots=["6 h"]', "--set",
              "population.replicates=1", "--no-plot", "--checkpoint-every", "1e6" if interrupted else "0"]  # fmt: skip
    where = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-m", "atmpsim", "run", "small.toml", *longer, "-o", "stopped.zarr"]
    child = subprocess.Popen(line, stderr=subprocess.PIPE, env=where)
    folder = folder / "stopped.zarr.partial.checkpoints"
    deadline = time.monotonic() + 120
    while not (folder.exists() if interrupted else list(folder.glob("*.npz"))) and time.monotonic() < deadline:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(how)
    said = child.communicate()[1].decode()
    assert list(folder.glob("*.npz")), said
    assert child.returncode == (130 if interrupted else -signal.SIGKILL)
    assert "unfinished" in command("status", "stopped.zarr").out
    assert command("run", "small.toml", *longer, "-o", "stopped.zarr", "--resume").code == 0
    assert not folder.exists()
    assert command("run", "small.toml", *longer, "-o", "whole.zarr").code == 0
    one, other = (open_results(name)["provenance"].attrs["digest"] for name in ("stopped.zarr", "whole.zarr"))
    assert one == other

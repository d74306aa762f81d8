"""A stored result is made again from itself alone, bit for bit; one that was tampered with is found out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from atmpsim.results.digest import digest
from atmpsim.results.store import open_results, write

ARMS = """
[[arm]]
name = "fast death"
set = { "parameters.death_rate" = "1.5 1/d", "subject.weight" = "30 kg" }
[[arm]]
name = "nothing"
drop = ["product"]
[solver]
rtol = 1e-8
"""


def edit(folder: Path, old: str, new: str) -> None:
    """Replace a text of the scenario."""
    text = (folder / "tiny.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "tiny.toml").write_text(text.replace(old, new, 1), encoding="utf-8")


def remake(command, folder: Path, result: str) -> str:
    """Check a result after its files are gone; return what is printed."""
    for file in ("tiny.toml", "tiny.ant", "doses.csv"):
        (folder / file).unlink(missing_ok=True)
    stored = digest(open_results(result))
    code, out, err = command("rerun", result, "--check")
    assert (code, err) == (0, "")
    assert out == f"Same, bit for bit: {stored}\n"
    return stored


@pytest.mark.parametrize("result", ["tiny.zarr", "tiny.nc"])
def test_arms_and_overrides(folder, command, result):
    edit(folder, "[output]", f"{ARMS}[output]")
    options = ("--set", "initial.blood_virus=5e5 vp", "--keep", "all", "--seed", "17", "--no-plot", "-q")
    assert command("run", "tiny.toml", "-o", result, *options).code == 0
    assert remake(command, folder, result)
    assert set(open_results(result)["trajectories"]["arm"].values) == {"fast death", "nothing"}


def test_without_doses(folder, command):
    edit(folder, "count = 3", 'count = 3\ntime = "11 d"')
    assert command("run", "tiny.toml", "--no-plot", "-q").code == 0
    assert open_results("tiny.zarr")["doses"].sizes["dose"] == 0
    assert remake(command, folder, "tiny.zarr")


def test_a_dosing_table(folder, command):
    text = (folder / "tiny.toml").read_text(encoding="utf-8")
    dose = text[text.index("[[dose]]") : text.index("[output]")]
    edit(folder, dose, '[dosing]\ntable = "doses.csv"\ntime_unit = "h"\namount_unit = "cell"\n')
    (folder / "doses.csv").write_text("ID,TIME,AMT,CMT,NAME\nann,0,1e6,1,café\nbob,24,1e6,1,café\n", encoding="utf-8")
    assert command("run", "tiny.toml", "--no-plot", "-q").code == 0
    assert remake(command, folder, "tiny.zarr")


def test_a_failed_run(folder, command):
    assert command("run", "tiny.toml", "--set", "solver.max_steps=5", "--no-plot", "-q").code == 1
    assert remake(command, folder, "tiny.zarr")


def test_store_again(folder, command, stored):
    before = remake(command, folder, "tiny.zarr")
    code, out, err = command("rerun", "tiny.zarr", "-o", "again.nc")
    assert (code, out, err) == (0, "Result: again.nc\n", "")
    assert digest(open_results("again.nc")) == before
    assert command("rerun", "again.nc", "--check", "-o", "thrice.zarr").out.startswith("Result: thrice.zarr\nSame, bit")


def tamper(path: Path, change) -> None:
    """Change a stored result and store it again as our own store does, checksum of the content and all."""
    tree = open_results(path)
    change(tree)
    write(tree, path)


def test_other_values_are_found_out(command, stored):
    def change(tree: xr.DataTree) -> None:
        values = tree["trajectories"]["blood_virus"].values
        values[..., -1] = np.nextafter(values[..., -1], 0.0)

    tamper(stored, change)
    code, out, err = command("rerun", "tiny.zarr", "--check")
    assert (code, err) == (1, "")
    assert out.startswith("NOT the same: largest difference ")
    assert out.endswith(" of the peak, in blood_virus\n")


def test_other_versions_are_named_and_a_small_difference_is_tolerated(command, stored):
    def change(tree: xr.DataTree) -> None:
        tree["provenance"].attrs["processor"] = "abacus"
        tree["trajectories"]["blood_virus"].values[..., -1] *= 1 + 1e-6

    tamper(stored, change)
    code, out, err = command("rerun", "tiny.zarr", "--check")
    assert (code, err) == (0, "")
    assert out.startswith("Differs: processor: abacus then, ")
    assert "Same within tolerance: largest difference" in out
    assert command("rerun", "tiny.zarr", "--check", "--tolerance", "1e-15").code == 1


def other_dose(attributes: dict) -> None:
    attributes["inputs"] = attributes["inputs"].replace("2e6 cell/kg", "3e6 cell/kg")


def other_model(attributes: dict) -> None:
    attributes["inputs"] = attributes["inputs"].replace("death_rate = 0.5", "death_rate = 0.6")


def other_seed(attributes: dict) -> None:
    attributes["inputs"] = json.dumps(json.loads(attributes["inputs"]) | {"seed": 1})


def no_inputs(attributes: dict) -> None:
    del attributes["inputs"]


def cut_inputs(attributes: dict) -> None:
    attributes["inputs"] = attributes["inputs"][:100]


def strange_inputs(attributes: dict) -> None:
    attributes["inputs"] = "[1, 2]"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (other_dose, "inputs that do not match their checksum"),
        (other_model, "inputs that do not match their checksum"),
        (other_seed, "inputs that do not match their checksum"),
        (no_inputs, "no readable provenance"),
        (cut_inputs, "no readable provenance"),
        (strange_inputs, "no readable provenance"),
    ],
)
@pytest.mark.parametrize("options", [("--check",), ("-o", "again.zarr")])
def test_tampered_provenance_is_refused(folder, complaint, stored, change, found, options):
    tamper(stored, lambda tree: change(tree["provenance"].attrs))
    said = complaint("rerun", "tiny.zarr", *options)
    assert said.where == "result 'tiny.zarr'"
    assert said.found == found
    assert said.remedy == "Run the scenario again."
    assert not (folder / "again.zarr").exists()


def test_inputs_and_checksum_changed_together_do_not_give_the_stored_values(command, stored):
    from atmpsim.scenario.reader import Inputs

    def change(tree: xr.DataTree) -> None:
        attributes = tree["provenance"].attrs
        other_dose(attributes)
        attributes["inputs_sha256"] = Inputs.from_json(attributes["inputs"]).sha256

    tamper(stored, change)
    code, out, _ = command("rerun", "tiny.zarr", "--check")
    assert code == 1
    assert out.startswith("NOT the same: ")

"""The validation targets that this version can meet, each as one named test that prints value, target and tolerance.

A number that set a parameter is a calibration and the test says so; a prediction set nothing. Where a shipped scenario
asks the question, the scenario itself is run, so it is the scenario that meets the target. Elsewhere: C-3 (venous
return is cardiac output) stands in `test_physiology.py`, C-1 for every route in `property/test_conservation.py`, C-4
with exact sums in `test_dosing_closed_forms.py`.
"""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from atmpsim.model.library import load_model
from atmpsim.resources import shipped_scenarios
from atmpsim.scenario.dosing import Dose
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.table import expand_runs
from atmpsim.study.run import execute, run
from atmpsim.study.simulate import simulate

HOUR = 1 / 24


@cache
def result(name):
    """Return the result of a shipped scenario of one run as (trajectories, whole tree)."""
    tree = run(name)
    assert not tree["status"]["status"].values.any(), tree["status"]["message"].values
    return tree["trajectories"].to_dataset().squeeze(), tree


# ---- T01: mouse, Lee 2009. Its half-life set death_rate. The extraction of 0.9985 rests on the passage that another
# study saw (Fischer 2009), but values below 0.998 were ruled out by the limit tested here: no prediction either


def test_t01_calibration_half_life_in_mouse_lung(tell):
    curves, _ = result("msc-lung-mouse")
    hours = curves["time"].values / HOUR
    chosen = (hours > 0.99) & (hours < 72.01)
    assert chosen.sum() == 72
    slope = np.polyfit(hours[chosen], np.log(curves["lung_viable"].values[chosen]), 1)[0]
    tell("T01 half-life of living cells in mouse lung, 1 to 72 h (h)", -np.log(2) / slope, 24, "18-30")
    assert 18 <= -np.log(2) / slope <= 30


def test_t01_calibration_cells_in_six_other_tissues_of_the_mouse(tell):
    curves, tree = result("msc-lung-mouse")
    assert tree["doses"]["amount"].values.tolist() == [2e6]
    later = curves["six_tissues_viable"].sel(time=slice(1 - 1e-9, None))
    assert later["time"].values[0] == pytest.approx(1.0)
    tell("T01 living cells in six other tissues, 24 h and later", f"{float(later.max()):.1f}", "< 1000", "none")
    assert float(later.max()) < 1000 == 0.0005 * 2e6


# ---- T02: man with cirrhosis, Gholamrezanezhad 2011. Both ranges set lung extraction and release of debris


@pytest.mark.parametrize(
    ("minutes", "low", "high"), [((25, 35), 27.0, 33.5), ((14400, 14400), 2.0, 5.4)], ids=["5-15min", "10d"]
)
def test_t02_calibration_label_in_human_lung(minutes, low, high, tell):
    curves, tree = result("msc-indium-human")
    amount, duration = float(tree["doses"]["amount"][0]), float(tree["doses"]["duration"][0])
    assert 250e6 <= amount <= 400e6
    assert duration == pytest.approx(20 / 1440)  # minutes are counted from its start: 25-35 is 5-15 after its end
    window = curves["lung_label"].sel(time=slice(minutes[0] / 1440 - 1e-9, minutes[1] / 1440 + 1e-9)).values
    assert window.size >= (3 if minutes[0] < 60 else 1)
    tell(f"T02 label in lung at {minutes} min", f"{window.min():.2f}-{window.max():.2f} %", f"{low}-{high} %", "inside")
    assert low <= window.min() <= window.max() <= high


MISSED = pytest.mark.xfail(strict=True, reason="the model shows about 5 % in the liver; README of the model says so")


@pytest.mark.parametrize(
    ("organ", "low", "high"), [("spleen", 2.0, 10.2), pytest.param("liver", 0.0, 2.8, marks=MISSED)]
)
def test_prediction_other_labels_of_the_study_of_t02(organ, low, high, tell):
    """The same pictures set nothing in liver and spleen: predictions, of which one is met and one is missed."""
    curves, _ = result("msc-indium-human")
    window = curves[f"{organ}_label"].sel(time=slice(25 / 1440 - 1e-9, 35 / 1440 + 1e-9)).values
    tell(f"label in {organ} 5-15 min after the end", f"{window.min():.2f}-{window.max():.2f} %", f"{low}-{high} %", 0)
    assert low <= window.min() <= window.max() <= high


# ---- T03: first-pass arrest, Toma 2009, which set muscle_extraction


@pytest.mark.parametrize("duration", [None, 1 / 144], ids=["bolus", "ten-minutes"])
def test_t03_calibration_first_pass_arrest_in_muscle(duration, tell):
    """Before any recirculation: a lung that lets nothing pass keeps every cell that the muscle did not."""
    doses = [Dose(into="muscle_msc_free", amount=1e6, duration=duration)]
    made = simulate(
        body(), times=[0.05], doses=doses, parameters={"lung_extraction": 1 - 1e-9, "death_rate": 0.0}, rtol=1e-9,
        select=["muscle_msc_viable"],
    )  # fmt: skip
    share = float(made["muscle_msc_viable"][0]) / 1e6
    tell("T03 arrested at first pass", share, 0.92, "0.85-0.99")
    assert 0.85 <= share <= 0.99
    assert share == pytest.approx(0.92, abs=1e-6)  # and it is exactly the parameter


@cache
def body():
    return load_model("msc_biodistribution")


# ---- T04: dose arithmetic, Ruano 2020

T04 = {
    # arm of celyvir-weekly: what it sets, doses, cells and particles per infusion, cells and particles of the course
    "child 20 kg, 2e6 per kg": ({}, 6, 4e7, 8e11, 2.4e8, 4.8e12),
    "adult 70 kg, 0.5e6 per kg": ({"amount": "0.5e6 cell/kg", "weight": "70 kg"}, 6, 3.5e7, 0.7e12, 2.1e8, 4.2e12),
    "adult 70 kg, 1e6 per kg": ({"amount": "1e6 cell/kg", "weight": "70 kg"}, 6, 7e7, 1.4e12, 4.2e8, 8.4e12),
    "child 20 kg, 0.5e6 per kg x 8": ({"amount": "0.5e6 cell/kg", "count": 8}, 8, 1e7, 2e11, 8e7, 1.6e12),
}


@cache
def dose_arms(folder):
    """Return the result of the shipped scenario with the rows of T04 as arms, the first of them unchanged."""
    text = shipped_scenarios()["celyvir-weekly"].read_text(encoding="utf-8").replace('"100 d"', '"50 d"')
    for name, (change, *_) in T04.items():
        paths = {"weight": "subject.weight", "amount": "dose.celyvir.amount", "count": "dose.celyvir.count"}
        sets = [f'"{paths[k]}" = {json.dumps(v)}' for k, v in change.items()]
        sets += ['"subject.age" = "30 yr"'] if "weight" in change else []
        text += f'\n[[arm]]\nname = "{name}"\nset = {{ {", ".join(sets)} }}\n'
    (folder / "arms.toml").write_text(text, encoding="utf-8")
    return run(folder / "arms.toml")


@pytest.mark.parametrize("arm", T04)
def test_t04_prediction_celyvir_dose(arm, tmp_path_factory, tell):
    change, count, *wanted = T04[arm]
    tree = dose_arms(tmp_path_factory.getbasetemp())
    check_doses(
        tree["doses"].to_dataset(), tree["parameters"]["value"].sel(arm=arm).squeeze(), arm, count, wanted, tell
    )
    weight = float(tree["parameters"]["value"].sel(arm=arm, parameter="weight").squeeze())
    assert weight == float(change.get("weight", "20 kg").split()[0])


def test_t04_prediction_celyvir_dose_of_the_shipped_scenario(tell):
    _, tree = result("celyvir-weekly")
    first, (_, count, *wanted) = next(iter(T04.items()))
    check_doses(tree["doses"].to_dataset().assign(arm=("dose", [first] * count)), tree["parameters"]["value"].squeeze(),
                first, count, wanted, tell)  # fmt: skip


def check_doses(doses, parameters, arm, count, wanted, tell):
    given = doses.isel(dose=(doses["arm"] == arm).values)
    amounts, per_cell = given["amount"].values, float(parameters.sel(parameter="loaded_virus_per_cell"))
    got = (amounts[0], amounts[0] * per_cell, amounts.sum(), (amounts * per_cell).sum())
    tell(
        f"T04 {arm}: cells, vp per infusion; of the course", *(" ".join(f"{v:g}" for v in x) for x in (got, wanted)), 0
    )
    assert list(got) == wanted
    assert set(amounts) == {wanted[0]}
    assert given["time"].values.tolist() == [7.0 * n for n in range(count)]


# ---- C-1: what the shipped scenarios give is what they hold in the end


def dosed(tree):
    """Return the cells given so far at every sample, from the log of doses."""
    log = zip(*(tree["doses"][k].values for k in ("start", "duration", "amount")), strict=True)
    times = tree["trajectories"]["time"].values
    return sum(a * (np.clip((times - start) / d, 0, 1) if d else times >= start) for start, d, a in log)


@pytest.mark.parametrize("scenario", ["msc-lung-mouse", "msc-indium-human"])
def test_c1_cells_of_shipped_scenarios_are_accounted_for(scenario, tell):
    curves, tree = result(scenario)
    error = np.abs(curves["cells_accounted"].values - dosed(tree)).max() / dosed(tree).max()
    tell(f"C-1 {scenario} at default tolerances", f"{error:.1e} of the dose", 0, "1e-6")
    assert error <= 1e-6


LEDGERS = ("cells_accounted", "virus_accounted", "virus_produced", "free_virus_given")


@cache
def celyvir_ledgers():
    inputs = load_inputs("celyvir-weekly", overrides=keep(*LEDGERS))
    return inputs, expand_runs(inputs)


@pytest.mark.parametrize(
    ("rtol", "allowed"), [pytest.param(1e-10, 1e-8, id="rtol1e-10"), pytest.param(1e-6, 1e-6, id="default")]
)
def test_c1_cells_and_virus_of_the_celyvir_scenario_are_accounted_for(rtol, allowed, tell):
    inputs, table = celyvir_ledgers()
    assert table.scenario.solver.rtol == 1e-6
    solver = table.scenario.solver.model_copy(update={"rtol": rtol})
    tree = execute(replace(table, scenario=table.scenario.model_copy(update={"solver": solver})), inputs)
    cells, held, made, given = (tree["trajectories"][k].values.ravel() for k in LEDGERS)
    off_cells = np.abs(cells - dosed(tree)).max() / dosed(tree).max()
    off_virus = np.abs(held - made - given).max() / (made + given).max()
    tell(f"C-1 celyvir-weekly at rtol {rtol:g}", f"cells {off_cells:.1e}, virus {off_virus:.1e}", 0, f"{allowed:g}")
    assert max(off_cells, off_virus) <= allowed
    assert made.max() > 1e10


def keep(*names):
    return {"output.keep": list(names), "output.summary": []}


# ---- C-2: the geometric series of passes, circulation resolved

SYSTEMIC = ("liver", "kidney", "heart", "brain", "muscle", "bone", "skin", "adipose", "rest", "tumour")
PORTAL = ("spleen", "gut", "stomach_pancreas")


def lung_share(parameters):
    """Return the share of an intravenous bolus that the lung holds once no cell circulates."""
    made = simulate(
        body(), times=[0.2], doses=[Dose(into="venous_msc_free", amount=1.0)], rtol=1e-9, atol=1e-14,
        parameters={"death_rate": 0.0} | parameters, select=["lung_msc_viable", "circulating_total"],
    )  # fmt: skip
    assert np.abs(made["circulating_total"].values).max() < 1e-9
    return made["lung_msc_viable"].values.ravel()


def test_c2_fast_trapping_identity(tell):
    lung, systemic = (a.ravel() for a in np.meshgrid([0.05, 0.285, 0.5, 0.9, 0.9985], [0.2, 0.5, 0.92, 0.99]))
    given = {"lung_extraction": lung} | {f"{organ}_extraction": systemic for organ in SYSTEMIC}
    # portal organs open: their blood meets the liver alone, so one passage through the body arrests E_s of the cells
    got = lung_share(given | {f"{organ}_extraction": 0.0 for organ in PORTAL})
    want = lung / (1 - (1 - lung) * (1 - systemic))
    worst = np.abs(got - want).max()
    tell("C-2 lung share, 20 pairs of E_l and E_s", f"off by {worst:.1e} at most", "0", "1e-3")
    assert worst < 1e-3


def test_c2_with_portal_organs_in_series_with_the_liver(tell):
    """The model's own extractions: E_s follows from flow shares of ICRP 89, portal blood being filtered twice."""
    artery, spleen, portal = 0.065, 0.03, 0.16
    in_spleen, in_portal = spleen * 0.9, portal * 0.92
    in_liver = (artery + spleen - in_spleen + portal - in_portal) * 0.8
    systemic = in_spleen + in_portal + in_liver + (1 - artery - spleen - portal) * 0.92
    got, want = float(lung_share({})[0]), 0.5 / (1 - 0.5 * (1 - systemic))
    tell("C-2 lung share of an adult", f"{got:.6f}", f"{want:.6f}", "1e-3")
    assert got == pytest.approx(want, abs=1e-3)


# ---- C-4: no dose of a shipped scenario is missed or doubled, whatever the samples do

FIRST = {"360 s": True, "359.999 s": True, "360.001 s": False}  # first dose: is it in the sample at 0.1 h = 360 s?


@cache
def shifted_doses(folder):
    """Return the shipped mouse with eight boluses every 0.3 h, one arm for each time of the first."""
    text = shipped_scenarios()["msc-lung-mouse"].read_text(encoding="utf-8")
    for first in FIRST:
        keys = {"time": first, "every": "0.3 h", "count": 8}
        sets = ", ".join(f'"dose.msc.{k}" = {json.dumps(v)}' for k, v in keys.items())
        text += f'\n[[arm]]\nname = "{first}"\nset = {{ {sets} }}\n'
    (folder / "shifted.toml").write_text(text, encoding="utf-8")
    return run(
        folder / "shifted.toml", overrides=keep("cells_accounted") | {"time.end": "2.4 h", "time.every": "0.1 h"}
    )


@pytest.mark.parametrize("first", FIRST)
def test_c4_samples_on_just_before_and_just_after_doses(first, tmp_path_factory, tell):
    tree = shifted_doses(tmp_path_factory.getbasetemp())
    cells = tree["trajectories"]["cells_accounted"].sel(arm=first).values.ravel() / 2e6
    want = (np.arange(25) + (2 if FIRST[first] else 1)) // 3
    tell(f"C-4 doses seen, first at {first}", cells.round(12).tolist(), want.tolist(), "1e-12")
    np.testing.assert_allclose(cells, want, rtol=0, atol=1e-12)
    times = tree["doses"]["time"].values[tree["doses"]["arm"].values == first]
    assert times == pytest.approx(float(first.split()[0]) / 86400 + np.arange(8) * 0.3 / 24, abs=1e-15)


# ---- vascular volumes do not matter after ten minutes


def test_vascular_volumes_do_not_matter_after_ten_minutes(tell):
    """Halved and doubled at constant extraction, from ten minutes after a bolus to ten days."""
    volumes = {k: q.value for k, q in body().parameters.items() if k.startswith("V_")}
    assert len(volumes) == 16
    cells, labels = ["lung_viable", "liver_viable", "spleen_viable", "other_viable"], ["lung_label", "spleen_label"]
    made = simulate(
        body(), times=[1 / 144, HOUR, 1.0, 10.0], doses=[Dose(into="venous_msc_free", amount=1e8)], rtol=1e-8,
        parameters={k: v * np.array([1.0, 0.5, 2.0]) for k, v in volumes.items()}, select=[*cells, *labels],
    )  # fmt: skip
    off = {k: float(np.abs(made[k] - made[k].isel(run=0)).max()) for k in (*cells, *labels)}
    worst_cells, worst_label = max(off[k] for k in cells) / 1e8, max(off[k] for k in labels)
    tell("vascular volumes x 0.5 and x 2, cells", f"{worst_cells:.1e} of the dose", 0, "2e-4")
    tell("vascular volumes x 0.5 and x 2, label", f"{worst_label:.1e} points", 0, "1e-3")
    assert worst_cells < 2e-4
    assert worst_label < 1e-3

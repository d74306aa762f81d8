"""Writes `docs/evidence.md`: what every model was checked against, how far off it is, and what evidence is missing.

The values, targets and tolerances are those that the tests named below print; this program runs them. What is missing
stands in the README of each model. Run `python docs/write_evidence.py` after a change of a model or of such a test;
with `--check` it compares with what is written instead, up to the last digits, which may differ between machines.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
_TARGETS, _INDICATIONS, _VIRUSES, _CELLS, _GENES = (
    f"verification/test_{name}.py" for name in ("targets", "msc_indications", "virotherapy", "cart", "gene_therapy")
)
_AGENTS = "shipped/test_agent_models.py"
CHECKS: dict[str, tuple[str, ...]] = {
    "msc_biodistribution": (f"{_TARGETS}::test_t01*", f"{_TARGETS}::test_t02*", f"{_TARGETS}::test_t03*",
                            f"{_TARGETS}::test_prediction*"),
    "celyvir": ("verification/test_celyvir.py::test_reference_number[rosenbrock*",
                "verification/test_celyvir.py::test_c1_several*", "verification/test_celyvir_clinic.py::test_t05_cal*"),
    "msc_multiple_sclerosis": (f"{_INDICATIONS}::test_t08*", f"{_INDICATIONS}::test_half_step_chain_calibration*"),
    "msc_knee_osteoarthritis": (f"{_INDICATIONS}::test_t06*", f"{_INDICATIONS}::test_t07*",
                                f"{_INDICATIONS}::test_knee_depot*"),
    "msc_femoral_head": (f"{_INDICATIONS}::test_femoral_head_calibration*",
                         f"{_INDICATIONS}::test_femoral_head_against*"),
    "msc_perthes": (f"{_INDICATIONS}::test_perthes_natural*",),
    "msc_rasmussen": (f"{_INDICATIONS}::test_rasmussen_dose*",),
    "msc_cerebral_palsy": (f"{_INDICATIONS}::test_cerebral_palsy_effect*",),
    "msc_gvhd": (f"{_INDICATIONS}::test_gvhd_null*",),
    "wodarz2001": (f"{_VIRUSES}::test_t09*",),
    "bajzer2008": (f"{_VIRUSES}::test_c6_bajzer*",),
    "jenner2018": (f"{_VIRUSES}::test_c6_jenner*",),
    "jenner2019": (f"{_VIRUSES}::test_t10*",),
    "gevertz2018": (f"{_VIRUSES}::test_t12*",),
    "kuznetsov1994": (f"{_VIRUSES}::test_t11*",),
    "conte2025": ("verification/test_conte.py::test_t15_prediction*",),
    "cart_stein2019": (f"{_CELLS}::test_t13_prediction*", f"{_CELLS}::test_t13_closed*",),
    "cart_leon_triana2020": (f"{_CELLS}::test_leon_triana_thresholds",),
    "cart_kimmel2021": (f"{_CELLS}::test_kimmel_extinction*",),
    "aav_factor_viii": (f"{_GENES}::test_factor_viii_calibration*", f"{_GENES}::test_factor_viii_prediction*"),
    "aav_factor_ix": (f"{_GENES}::test_factor_ix*", "verification/test_trials.py::test_factor_ix_prediction*"),
    "aav_microdystrophin": (f"{_GENES}::test_microdystrophin*",),
    "tumour_growth": (f"{_AGENTS}::test_is_read_without_notes[-tumour_growth]",),
    "virus_plaque": (f"{_AGENTS}::test_derived_numbers_of_the_plaque",),
    "immune_attack": (f"{_AGENTS}::test_is_read_without_notes[-immune_attack]",),
    "celyvir_tumour": (f"{_AGENTS}::test_tissue_is*",),
}  # fmt: skip
"""The tests that print what a model was checked against: file, name, with * for any text."""
_MOST = 6
"""Rows of one test that are written out; of more, only the one that is furthest off."""


@dataclass(frozen=True)
class Row:
    """One check that a test told: numbers, or texts where it has none."""

    kind: str
    what: str
    value: list[float] | str
    target: list[float] | str
    tolerance: str
    missed: bool
    test: str

    @property
    def off(self) -> float:
        """Return the largest difference over the target; NaN of texts, and where every target is 0."""
        if isinstance(self.value, str) or isinstance(self.target, str) or len(self.value) != len(self.target):
            return math.nan
        pairs = [(v, t) for v, t in zip(self.value, self.target, strict=True) if t != 0 and not math.isnan(t)]
        return max((abs(v - t) / abs(t) for v, t in pairs), default=math.nan)


@dataclass
class Collector:
    """A plugin of pytest that keeps what the chosen tests tell."""

    wanted: dict[str, tuple[str, ...]]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def model(self, node: str) -> str | None:
        """Return the model that a test belongs to."""
        patterns = ((m, re.escape(p).replace(r"\*", ".*")) for m, ps in self.wanted.items() for p in ps)
        return next((m for m, p in patterns if re.fullmatch(f"tests/{p}", node)), None)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the tests that belong to a model."""
        items[:] = [item for item in items if self.model(item.nodeid) is not None]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take what a test has told once it has run."""
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)
        if report.when != "call":
            return
        model, name = self.model(report.nodeid), report.nodeid.rpartition("::")[2]
        kind = next((k for k in ("calibration", "prediction") if k in name), "formula or other program")
        missed = hasattr(report, "wasxfail")
        told = [v for k, v in report.user_properties if k == "told"]
        told = told or [(name.partition("[")[0].removeprefix("test_").replace("_", " "), "holds", "", "")]
        self.rows.setdefault(str(model), []).extend(
            Row(kind, *t, missed, report.nodeid.partition("[")[0]) for t in told
        )


def missing(model: str) -> str:
    """Return what the README of a model says is missing, on one line."""
    text = (MODELS / model / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## Evidence missing\n(.+?)(?=\n\n|\n## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"models/{model}/README.md: found no section 'Evidence missing', expected one. Add it.")
    return " ".join(found[1].split())


def shown(value: list[float] | str) -> str:
    """Return numbers with four digits, as a table shows them."""
    if isinstance(value, str):
        return value
    return ", ".join("< 1e-9" if 0 < v < 1e-9 else "" if math.isnan(v) else f"{v:.4g}" for v in value)


def difference(row: Row) -> str:
    """Return how far off a check is."""
    if math.isnan(row.off):
        return "outside" if row.missed else "inside"
    return "< 0.01 %" if row.off < 1e-4 else f"{100 * row.off:.2g} %"


def worst(rows: Sequence[Row], kind: str) -> str:
    """Return how far off the rows of a kind are at most."""
    own = [r for r in rows if r.kind == kind]
    if not own:
        return ""
    numbers = [r for r in own if not math.isnan(r.off)]
    text = difference(max(numbers, key=lambda r: r.off)) if numbers else difference(own[0])
    return f"{text}, missed: {sum(r.missed for r in own)} of {len(own)}" if any(r.missed for r in own) else text


def chosen(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Return the rows to write out with what they are, of each test the furthest off where there are many."""
    made: list[tuple[Row, str]] = []
    for test in dict.fromkeys(r.test for r in rows):
        own = [r for r in rows if r.test == test]
        if len(own) > _MOST:
            made.append((max(own, key=lambda r: -1.0 if math.isnan(r.off) else r.off), f" (the worst of {len(own)})"))
        else:
            made += [(r, "") for r in own]
    return made


def tables(rows: dict[str, list[Row]]) -> str:
    """Return the page."""
    kinds = ("calibration", "prediction", "formula or other program")
    lines = [
        "# Evidence", "",
        "Made by `python docs/write_evidence.py` from what the tests print; do not edit. A **calibration** set a",
        "parameter, a **prediction** set none. The rest compares with a formula or another program: it shows that the",
        "equations are solved, not that they are true.", "",
        "## Every model", "",
        "Largest difference from the target, over the target. What was compared, and how far off it may be, stands",
        "below.", "",
        "| model | calibrations | predictions | formulas, other programs | evidence missing |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for model in CHECKS:
        cells = [worst(rows[model], kind) for kind in kinds]
        lines.append(f"| [`{model}`](../models/{model}/README.md) | {' | '.join(cells)} | {missing(model)} |")
    lines += ["", "## Every check", "", "| model | kind | checked | value | target | tolerance | off |",
              "|---|---|---|---|---|---|---|"]  # fmt: skip
    for model in CHECKS:
        for row, note in chosen(rows[model]):
            kind = f"{row.kind}, **missed**" if row.missed else row.kind
            cells = [kind, row.what + note, shown(row.value), shown(row.target), row.tolerance, difference(row)]
            lines.append(f"| `{model}` | {' | '.join(c.replace('|', '/') for c in cells)} |")
    return "\n".join(lines) + "\n"


def same(one: str, other: str) -> bool:
    """Return whether two pages say the same, numbers up to 2 %."""
    numbers = re.compile(r"(?:< )?[-+]?[0-9][0-9.e+-]*")
    if numbers.sub("#", one) != numbers.sub("#", other):
        return False
    pairs = zip(*([n.removeprefix("< ") for n in numbers.findall(text)] for text in (one, other)), strict=True)
    return all(x == y or math.isclose(float(x), float(y), rel_tol=0.02, abs_tol=0.02) for x, y in pairs)


def main(arguments: Sequence[str]) -> int:
    """Run the tests and write or check the page; 1 if one of them failed or a model has no check."""
    folders = sorted(p.name for p in MODELS.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
    if folders != sorted(CHECKS):
        print(f"docs/write_evidence.py CHECKS: found {sorted(CHECKS)}, expected every model: {folders}.")
        return 1
    collector = Collector(CHECKS)
    files = sorted({str(ROOT / "tests" / p.partition("::")[0]) for ps in CHECKS.values() for p in ps})
    pytest.main(
        ["-n0", "-q", "--no-header", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *files], plugins=[collector]
    )
    page, checks = Path(__file__).with_name("evidence.md"), "--check" in arguments
    if checks and collector.skipped and not collector.failed:
        print(f"Not compared: without the reference data {collector.skipped} told nothing.")
        return 0
    lacking = [m for m in CHECKS if m not in collector.rows]
    if collector.failed or collector.skipped or lacking:
        print(f"Failed: {collector.failed}; skipped: {collector.skipped}; models without a check: {lacking}.")
        return 1
    if not checks:
        page.write_text(tables(collector.rows), encoding="utf-8")
    elif not same(tables(collector.rows), page.read_text(encoding="utf-8")):
        print("docs/evidence.md is stale: run `python docs/write_evidence.py` and commit it.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

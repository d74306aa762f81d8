"""Writes the Celyvir models with two and three lesions from `celyvir.ant`, which has one.

Run `python models/celyvir/lesions.py` after every change of `celyvir.ant`. Lines between `// [lesion` and
`// lesion]` are repeated for each lesion with `tumour_` turned into `tumour1_`, `tumour2_`, ...; the
right-hand sides between `// [sums over lesions` and `// sums over lesions]` become sums over the lesions.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent

VOLUMES = {2: (40, 10), 3: (30, 15, 5)}
"""Default volumes in mL: together the 50 mL of the model with one lesion (assumption)."""

ONE_LESION_OUTPUTS = (
    "tumour_split_share", "tumour_interferon", "tumour_virus", "tumour_infected_cells", "tumour_effector_cells"
)  # fmt: skip
"""Outputs that the larger models keep as internal, so that a run stores about thirty variables."""

_BLOCK = re.compile(r"^ *// \[lesion\n(.*?)^ *// lesion\]\n", re.DOTALL | re.MULTILINE)
_SUMS = re.compile(r"^ *// \[sums over lesions\n(.*?)^ *// sums over lesions\]\n", re.DOTALL | re.MULTILINE)
_RULE = re.compile(r"^(  all_lesions_\w+ := )(.*);$", re.MULTILINE)
_NAME = re.compile(r' is "([^"]*)";')


def with_lesions(source: str, volumes: tuple[int, ...]) -> str:
    """Return the text of the model with one lesion per volume (mL), made from the text of `celyvir.ant`.

    Raises
    ------
    ValueError
        If the marked blocks are not found exactly as expected.
    """
    if len(_BLOCK.findall(source)) != 1 or len(_SUMS.findall(source)) != 1:
        raise ValueError("celyvir.ant: expected one block '[lesion' and one block '[sums over lesions'.")
    count = len(volumes)
    text = _SUMS.sub(lambda block: _summed(block[1], count), source)
    text = _BLOCK.sub(lambda block: "\n".join(_copy(block[1], j, v) for j, v in enumerate(volumes, 1)), text)
    text = text.replace("model celyvir\n", f"model celyvir_{count}_lesions\n", 1)
    return _header(count) + text[text.index("\nmodel celyvir_") :]


def derived_files(source: str) -> dict[str, str]:
    """Return file name and text of every derived model."""
    return {f"celyvir_{count}_lesions.ant": with_lesions(source, volumes) for count, volumes in VOLUMES.items()}


def _header(count: int) -> str:
    return (
        f"// Celyvir with {count} lesions. Made from celyvir.ant by lesions.py: change that file, not this one.\n"
        "// Context of use, equations and sources: celyvir.ant and README.md.\n"
    )


def _summed(block: str, count: int) -> str:
    def total(rule: re.Match[str]) -> str:
        return rule[1] + " + ".join(_renamed(rule[2], lesion) for lesion in range(1, count + 1)) + ";"

    return _RULE.sub(total, block)


def _renamed(text: str, lesion: int) -> str:
    return re.sub(r"\btumour_", f"tumour{lesion}_", text)


def _copy(block: str, lesion: int, volume: int) -> str:
    for name in ONE_LESION_OUTPUTS:
        block = re.sub(rf"(\b{name} notes ```)output:", r"\1internal:", block)
    block = block.replace("tumour_initial_volume = 50;", f"tumour_initial_volume = {volume};")
    block = block.replace("lognormal(ln(50), ", f"lognormal(ln({volume}), ")
    block = _renamed(block, lesion).replace("the lesion", f"lesion {lesion}")
    return _NAME.sub(lambda name: f' is "{_titled(name[1], lesion)}";', block)


def _titled(name: str, lesion: int) -> str:
    return name if f"lesion {lesion}" in name else f"{name}, lesion {lesion}"


if __name__ == "__main__":
    for file_name, text in derived_files((HERE / "celyvir.ant").read_text(encoding="utf-8")).items():
        (HERE / file_name).write_text(text, encoding="utf-8", newline="\n")

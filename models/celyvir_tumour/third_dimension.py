"""Write celyvir_tumour_3d.xml from celyvir_tumour.xml: `python models/celyvir_tumour/third_dimension.py`.

The two describe the same biology; only the block of tissue, and the numbers that refer to it, differ.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent

_HALF_EDGE = 150
CHANGES = {
    "one square millimetre, one cell layer deep.": "a cube of 300 microns.",
    "<x_min>-500</x_min><x_max>500</x_max>": f"<x_min>-{_HALF_EDGE}</x_min><x_max>{_HALF_EDGE}</x_max>",
    "<y_min>-500</y_min><y_max>500</y_max>": f"<y_min>-{_HALF_EDGE}</y_min><y_max>{_HALF_EDGE}</y_max>",
    "<z_min>-5.25</z_min><z_max>5.25</z_max>": f"<z_min>-{_HALF_EDGE}</z_min><z_max>{_HALF_EDGE}</z_max>",
    "<dz>10.5</dz>": "<dz>20</dz>",
    "<use_2D>true</use_2D>": "<use_2D>false</use_2D>",
    "<filename>cells.csv</filename>": "<filename>cells_3d.csv</filename>",
    ">144200</net_export_rate>": ">1526700</net_export_rate>",
    ">1.07e-05</atmpsim:base_rate>": ">2.14e-05</atmpsim:base_rate>",
    ">3.316e-04</atmpsim:max_rate>": ">6.62e-04</atmpsim:max_rate>",
}


def three_dimensional(text: str) -> str:
    """Return the settings of the cube, from those of the layer."""
    for old, new in CHANGES.items():
        if old not in text:
            raise ValueError(f"celyvir_tumour.xml has no {old}")
        text = text.replace(old, new)
    return text


def main(folder: Path = FOLDER) -> None:
    """Write the settings of the cube beside those of the layer."""
    text = (folder / "celyvir_tumour.xml").read_text(encoding="utf-8")
    (folder / "celyvir_tumour_3d.xml").write_text(three_dimensional(text), encoding="utf-8")


if __name__ == "__main__":
    main()

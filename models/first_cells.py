"""Write the first cells of the shipped agent models: `python models/first_cells.py` makes every cells.csv again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MODELS = Path(__file__).resolve().parent
Points = NDArray[np.float64]

CELL_VOLUME = 2000.0  # µm³ of tissue per cell, 5e8 cells/mL
LAYER = 10.5  # µm, depth of the two-dimensional tissue
VESSELS_PER_MM2 = 50.0
STROMA, MACROPHAGES, T_CELLS = 0.2, 0.05, 1e-3  # of all cells; of the tumour cells; of the tumour cells


def hexagonal(spacing: float, half_width: float) -> Points:
    """Return the points of a hexagonal lattice in a square around the origin, (points, 3), µm."""
    row_height = spacing * np.sqrt(3) / 2
    rows = np.arange(-int(half_width / row_height), int(half_width / row_height) + 1)
    columns = np.arange(-int(half_width / spacing) - 1, int(half_width / spacing) + 2)
    row, column = np.meshgrid(rows, columns, indexing="ij")
    x, y = spacing * (column + 0.5 * (row % 2)), row_height * row
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    return points[np.abs(points[:, 0]) <= half_width]


def close_packed(spacing: float, half_width: float) -> Points:
    """Return the points of a face-centred cubic lattice in a cube around the origin, (points, 3), µm."""
    edge = spacing * np.sqrt(2)
    steps = np.arange(-int(half_width / edge) - 1, int(half_width / edge) + 2) * edge
    corners = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    faces = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) * edge / 2
    points = (corners + faces).reshape(-1, 3)
    return points[(np.abs(points) <= half_width).all(axis=1)]


def nearest_to_centre(points: Points, radius: float) -> Points:
    """Return the points within a radius, from the centre outwards."""
    distance = np.linalg.norm(points, axis=1)
    order = np.lexsort((points[:, 2], points[:, 1], points[:, 0], distance.round(6)))
    return points[order][distance[order] <= radius]


def write(path: Path, points: Points, types: list[str], *, movable: list[int] | None = None) -> None:
    """Write a cells.csv of version 2; `movable` adds that column."""
    header = "x,y,z,type" + (",is_movable" if movable is not None else "")
    tails = [""] * len(types) if movable is None else [f",{value}" for value in movable]
    rows = [
        f"{x:.3f},{y:.3f},{z:.3f},{kind}{tail}"
        for (x, y, z), kind, tail in zip(points + 0.0, types, tails, strict=True)
    ]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def tumour_growth(folder: Path) -> None:
    """Write a ball of 100 µm radius, as dense as cells that neither push nor pull."""
    points = nearest_to_centre(close_packed(15.5, 120.0), 100.0)
    write(folder / "cells.csv", points, ["tumour"] * len(points))


def virus_plaque(folder: Path) -> None:
    """Write a confluent monolayer with one infected cell in the middle."""
    points = nearest_to_centre(hexagonal(24.0, 985.0), np.inf)
    write(folder / "cells.csv", points, ["infected cell", *["cell"] * (len(points) - 1)])


def immune_attack(folder: Path) -> None:
    """Write a disc of tumour cells with T cells and macrophages around it."""
    chance = np.random.default_rng(3)
    disc = nearest_to_centre(hexagonal(16.0, 260.0), 180.0)
    around = hexagonal(16.0, 340.0)
    around = around[np.linalg.norm(around, axis=1) > 210.0]
    chosen = around[np.sort(chance.choice(len(around), 75, replace=False))]
    types = ["tumour"] * len(disc) + ["T cell"] * 50 + ["macrophage"] * 25
    write(folder / "cells.csv", np.vstack([disc, chosen]), types)


def tissue(folder: Path, name: str, points: Points, vessels: NDArray[np.bool_], seed: int) -> None:
    """Write tissue: vessels where given, elsewhere tumour cells, stroma, macrophages and T cells by chance."""
    free = np.flatnonzero(~vessels)
    shuffled = np.random.default_rng(seed).permutation(free)
    stroma = round(STROMA * len(points))
    tumour = round((len(free) - stroma) / (1 + MACROPHAGES + T_CELLS))
    macrophages = round(MACROPHAGES * tumour)
    types = np.full(len(points), "tumour", dtype=object)
    types[vessels] = "vessel"
    types[shuffled[:stroma]] = "stroma"
    types[shuffled[stroma : stroma + macrophages]] = "macrophage"
    types[shuffled[stroma + macrophages : len(free) - tumour]] = "T cell"
    write(folder / name, points, list(types), movable=[int(not v) for v in vessels])


def flat_tissue(folder: Path) -> None:
    """Write a square millimetre of tissue, one layer deep, with vessels that cross it."""
    spacing = np.sqrt(CELL_VOLUME / LAYER / (np.sqrt(3) / 2))
    points = hexagonal(spacing, 492.0)
    vessels = np.zeros(len(points), dtype=bool)
    vessels[np.random.default_rng(5).choice(len(points), round(VESSELS_PER_MM2), replace=False)] = True
    tissue(folder, "cells.csv", points, vessels, seed=6)


def deep_tissue(folder: Path) -> None:
    """Write a cube of tissue of 300 µm with straight vessels along z."""
    points = close_packed((CELL_VOLUME * np.sqrt(2)) ** (1 / 3), 142.0)
    count = round(VESSELS_PER_MM2 * 0.3**2)
    lines = np.random.default_rng(7).uniform(-130.0, 130.0, (count, 2))
    vessels = np.zeros(len(points), dtype=bool)
    heights = np.unique(points[:, 2].round(6))
    for line in lines:  # every other layer: cells in a column touch
        for height in heights[::2]:
            layer = np.flatnonzero(np.isclose(points[:, 2], height, atol=1e-5))
            vessels[layer[np.argmin(((points[layer, :2] - line) ** 2).sum(axis=1))]] = True
    tissue(folder, "cells_3d.csv", points, vessels, seed=8)


def main(folder: Path = MODELS) -> None:
    """Write every file below a folder that has one folder for each model."""
    tumour_growth(folder / "tumour_growth")
    virus_plaque(folder / "virus_plaque")
    immune_attack(folder / "immune_attack")
    flat_tissue(folder / "celyvir_tumour")
    deep_tissue(folder / "celyvir_tumour")


if __name__ == "__main__":
    main()

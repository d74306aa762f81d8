"""Count what happens between samples: infections, lyses, entries, and, where asked, every cell's birth and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.spec import AgentModel
from atmpsim.kernels.agents import rows as r

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

INFECTIONS, LYSES, ENTRIES = range(3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lineage:
    """Every cell that was ever there: its last type, birth, death and end (when it was removed), min.

    `parent` is -1 for a first or arriving cell, `death` NaN for one that did not die before it was removed, `end` NaN
    for one that is still there.
    """

    id: Integers
    parent: Integers
    cell_type: Integers
    birth: Floats
    death: Floats
    end: Floats


class Tally:
    """Events so far: `events` is (INFECTIONS, LYSES or ENTRIES, type), in cells."""

    def __init__(self, model: AgentModel, *, lineage: bool) -> None:
        self.events = np.zeros((3, len(model.cell_types)))
        self._infectable = {i.cell_type for i in model.extension.infections}
        self._becomes = np.zeros((self.events.shape[1],) * 2, dtype=np.bool_)
        for infection in model.extension.infections:
            self._becomes[infection.cell_type, infection.becomes] = True
        self._timed = {c.cell_type for c in model.extension.clocks}
        self._whole: list[Integers] | None = [] if lineage else None
        self._real: list[Floats] = []

    def therapy(self, before: NDArray[np.int32], cells: r.Cells, count: int) -> None:
        """Count infections and lyses of one step.

        Parameters
        ----------
        before
            Type and fate of the cells before it, (2, cells). A type that has both a clock and an infection is infected
            when it becomes what the infection makes of it.
        """
        kind, fate = cells.whole[r.TYPE, :count], cells.whole[r.FATE, :count]
        for k in self._infectable:
            turned = (before[0] == k) & (kind != k)
            if k in self._timed:
                turned &= self._becomes[k, kind]
            self.events[INFECTIONS, k] += np.count_nonzero(turned)
        lysed = (fate == r.REMOVED) & (before[1] != r.REMOVED)
        self.events[LYSES] += np.bincount(kind[lysed], minlength=self.events.shape[1])

    def entered(self, kinds: Integers) -> None:
        """Count cells that came in."""
        self.events[ENTRIES] += np.bincount(kinds, minlength=self.events.shape[1])

    def left(self, cells: r.Cells, place: NDArray[np.int32], time: float) -> None:
        """Note the cells that are removed: those without a new place."""
        if self._whole is not None:
            self._note(cells, np.flatnonzero(place < 0), time)

    def _note(self, cells: r.Cells, who: Integers, end: float) -> None:
        assert self._whole is not None
        self._whole.append(np.stack([*cells.identity[:, who], cells.whole[r.TYPE, who]]).astype(np.int64))
        self._real.append(np.stack([*cells.real[[r.BIRTH, r.DEATH]][:, who], np.full(who.size, end)]))

    def lineage(self, cells: r.Cells, count: int) -> Lineage | None:
        """Return the cells of the whole run, by id."""
        if self._whole is None:
            return None
        self._note(cells, np.flatnonzero(cells.whole[r.STATE, :count] != r.GONE), np.nan)
        whole, real = np.concatenate(self._whole, axis=1), np.concatenate(self._real, axis=1)
        order = np.argsort(whole[0], kind="stable")
        ids, parent, kind = whole[:, order]
        birth, death, end = real[:, order]
        return Lineage(id=ids, parent=parent, cell_type=kind, birth=birth, death=death, end=end)

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint keeps."""
        made: dict[str, np.ndarray] = {"events": self.events}
        if self._whole is not None:
            made["left_whole"] = np.concatenate([np.zeros((3, 0), np.int64), *self._whole], axis=1)
            made["left_real"] = np.concatenate([np.zeros((3, 0)), *self._real], axis=1)
        return made

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` returned."""
        self.events[...] = state["events"]
        if self._whole is not None:
            self._whole, self._real = [state["left_whole"]], [state["left_real"]]

"""The sparse LU of one model for W trajectories side by side: factorisation and solution, unrolled, as LLVM IR."""

from __future__ import annotations

import functools

from atmpsim.compile.lane_writer import LaneWriter
from atmpsim.compile.sparse_lu import Elimination
from atmpsim.kernels import rodas5p

_PART = 200  # multiply-adds and half the Jacobian's entries in one function: the compiler's time grows faster
_ARGUMENTS = ("y", "q", "t", "step", "out", "growth")


class FactoriseWriter:
    """Writes `factorise(y, q, t, step, out, growth)`: the LDU of J - M/(h gamma), and the sum of L's squares.

    L is kept with the other sign, the diagonal as -1/pivot, and U divided by it, with the other sign: so nothing is
    subtracted or negated here and in `solve`, whose matrix is M/(h gamma) - J (each negation would be one more
    instruction to compile), and there the multiplication by the diagonal waits for no other row.
    Rows and columns are in elimination order; M is the identity, but 0 for algebraic rules and hubs. Row after row
    is eliminated: no row but its own is held meanwhile, those above are read from where they stand. Rows go to
    several functions; what these share of the Jacobian, the first that needs it leaves in `shared` for the others.
    """

    def __init__(self, writer: LaneWriter, elimination: Elimination) -> None:
        self.writer, self.slots = writer, elimination.slots
        position = {row: k for k, row in enumerate(elimination.order)}
        self.jacobian = {(position[i], position[j]): n for (i, j), n in writer.lowered.jacobian.items()}
        self.shifted = [row < writer.lowered.differential for row in elimination.order]
        self.left, self.right = elimination.sides()
        self.parts = self._divide()
        self.roots = [[n for i in part for n in self._entries(i).values()] for part in self.parts]
        self.fused = writer.fused([n for roots in self.roots for n in roots])
        self.first, self.taken = self._share()
        self.shared = {node: row for row, node in enumerate(sorted(set().union(*self.taken)))}

    def functions(self) -> list[str]:
        """Return the texts of the function and of its parts."""
        v, arguments = self.writer.lanes, (*_ARGUMENTS, "shared")
        texts = [
            self.writer.function(f"factorise_{k}", arguments, functools.partial(self._part, k))
            for k in range(len(self.parts))
        ]
        lines = [
            f"define internal void @factorise({', '.join(f'ptr noalias %{a}' for a in _ARGUMENTS)}) #0 {{",
            f"  %shared = alloca [{max(1, len(self.shared))} x {v.double}], align {v.bytes}",
            f"  store {v.double} {v.number(0.0)}, ptr %growth, align {v.bytes}",
            *(f"  call void @factorise_{k}({', '.join(f'ptr %{a}' for a in arguments)})" for k in range(len(texts))),
            "  ret void\n}",
        ]
        return [*texts, "\n".join(lines)]

    def _divide(self) -> list[list[int]]:
        parts: list[list[int]] = []
        left = 0
        for i, pivots in enumerate(self.left):
            work = 1 + 2 * len(self._entries(i)) + sum(1 + len(self.right[k]) for k in pivots)
            if not parts or work > left:
                parts.append([])
                left = _PART
            parts[-1].append(i)
            left -= work
        return parts

    def _entries(self, i: int) -> dict[int, int]:
        """Return the nodes of a row of the Jacobian by their columns."""
        return {j: self.jacobian[i, j] for j in (*self.left[i], i, *self.right[i]) if (i, j) in self.jacobian}

    def _share(self) -> tuple[dict[int, int], list[set[int]]]:
        """Return the first part that needs each node, and what each part takes from those before it."""
        graph, first = self.writer.lowered.graph, dict[int, int]()
        taken: list[set[int]] = [set() for _ in self.parts]
        for part, roots in enumerate(self.roots):
            waiting, seen = list(roots), set[int]()
            while waiting:
                node = waiting.pop()
                if node in seen or not graph.children(node) or self.writer.is_hoisted(node):
                    continue
                seen.add(node)
                if first.setdefault(node, part) < part:
                    taken[part].add(node)
                else:
                    waiting.extend(graph.children(node))
        return first, taken

    def _part(self, part: int) -> None:
        w = self.writer
        known = {node: w.load("shared", self.shared[node]) for node in sorted(self.taken[part])}
        shift = w.binary("fdiv", w.lanes.number(-1.0 / rodas5p.GAMMA), w.load("step", 0))
        growth = w.load("growth", 0)
        for i in self.parts[part]:
            growth = self._eliminate(i, self._row(i, known, shift), growth)
        w.store("growth", 0, growth)
        for node, row in self.shared.items():
            if self.first[node] == part:
                w.store("shared", row, known[node])

    def _row(self, i: int, known: dict[int, str], shift: str) -> dict[int, str]:
        """Return a row of the matrix by its columns."""
        w, entries = self.writer, self._entries(i)
        values = w.values(list(entries.values()), known, hoist=True, fused=self.fused)
        row = dict(zip(entries, values, strict=True))
        if self.shifted[i]:
            row[i] = w.binary("fadd", shift, row[i]) if i in row else shift
        else:
            row.setdefault(i, w.lanes.number(0.0))
        return row

    def _eliminate(self, i: int, row: dict[int, str], growth: str) -> str:
        """Write a row of L and U, and return the sum of squares so far."""
        w = self.writer
        for k in self.left[i]:
            entry = row.pop(k)
            factor = w.binary("fmul", entry, w.load("out", self.slots[k, k]))
            w.store("out", self.slots[i, k], factor)
            growth = w.fma(factor, factor, growth)
            for j in self.right[k]:
                above = w.load("out", self.slots[k, j])
                row[j] = w.fma(entry, above, row[j]) if j in row else w.binary("fmul", entry, above)
        inverse = w.binary("fdiv", w.lanes.number(-1.0), row.pop(i))
        w.store("out", self.slots[i, i], inverse)
        for j, value in row.items():
            w.store("out", self.slots[i, j], w.binary("fmul", value, inverse))
        return growth


def write_solve(writer: LaneWriter, elimination: Elimination) -> str:
    """Return the function `solve(factors, b)`, which solves in place."""
    return writer.function("solve", ("factors", "b"), functools.partial(_solve, writer, elimination))


def _solve(w: LaneWriter, plan: Elimination) -> None:
    states, values = len(w.lowered.slopes), dict[int, str]()
    left, right = plan.sides()
    for i, row in enumerate(plan.order):
        value = w.load("b", row) if row < states else w.lanes.number(0.0)
        for j in left[i]:
            value = w.fma(w.load("factors", plan.slots[i, j]), values[j], value)
        values[i] = value
    for i, row in reversed(list(enumerate(plan.order))):
        value = w.binary("fmul", values[i], w.load("factors", plan.slots[i, i]))
        for j in reversed(right[i]):  # what is known last comes last: nothing waits for it but one instruction
            value = w.fma(w.load("factors", plan.slots[i, j]), values[j], value)
        values[i] = value
        if row < states:
            w.store("b", row, values[i])

"""Where one trajectory stands: time, states, what is fixed for now, and how fast it moves."""

from __future__ import annotations

import numpy as np

from atmpsim.compile.llvm import Formulas
from atmpsim.compile.scalar import Scalar
from atmpsim.engines.held import Held
from atmpsim.engines.history import History
from atmpsim.engines.timing import resolution
from atmpsim.engines.trajectory import Failure, FloatArray, Status, Tolerances
from atmpsim.scenario.dosing import Schedule, breakpoints


class Stopped(Exception):
    """The trajectory ends before its time."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class Course:
    """One trajectory on its way: `t`, states `y`, and `p`, the constants with the leaves of edges and delays."""

    def __init__(self, scalar: Scalar, leaves: dict[str, float], schedule: Schedule, tolerances: Tolerances) -> None:
        self.equations = equations = scalar.equations
        self.scalar, self.schedule, self.tolerances = scalar, schedule, tolerances
        self.index = {s: k for k, s in enumerate(equations.states)}
        self.place = {c: k for k, c in enumerate(scalar.pieces.constants)}
        self.t = schedule.start
        self.y = np.array([leaves[s] for s in equations.states], dtype=np.float64)
        self.p = np.array([leaves.get(c, 0.0) for c in scalar.pieces.constants], dtype=np.float64)
        self.inflow: FloatArray | None = None
        self.whole = False  # whether derivatives are taken with their jumps in them
        self.steps = 0
        self.fixed = sorted({schedule.start, schedule.end, *breakpoints(schedule)})
        self.near = resolution(self.fixed)
        self.held = Held(scalar)
        self.past = History(scalar, start=self.t, y=self.y, p=self.p)
        self._start = self.y.copy(), self.p.copy()

    def keep_start(self) -> None:
        """Make what stands now the start that a reset returns to; what algebraic rules say held before it as well."""
        self._start = self.y.copy(), self.p.copy()
        unknown = self.held.unknowns
        self.past.before[0][unknown] = self.y[unknown]

    def hold(self) -> None:
        """Move what has to move until every held formula is zero."""
        # what a fast reaction comes to can change at this very time, with its rate law
        t = self.t + 2.0 * self.near if self.held.flowing.any() else self.t
        if self.held and not self.held.project(t, self.y, self.p):
            raise self.stopped(Status.SOLVER_FAILED, self.t, self.y, self.held.badness(self.t, self.y, self.p))

    def look_back(self, t: float, y: FloatArray) -> None:
        """Fill in the delayed values as of a time and the states there."""
        if self.past:
            self.past.fill(t, y, self.p)

    def values(self, code: Formulas, t: float, y: FloatArray) -> FloatArray:
        """Return the values of compiled formulas at a time and the states there."""
        if self.past.moves:
            self.past.fill(t, y, self.p)
        return code(t, y, self.p)

    def slope(self, t: float, y: FloatArray) -> FloatArray:
        """Return dy/dt, infusions included."""
        if self.past.moves:
            self.past.fill(t, y, self.p)
        result = (self.scalar.whole if self.whole else self.scalar.slopes)(t, y, self.p)
        if self.inflow is not None:
            result += self.inflow
        return self.held.flow(t, y, self.p, result) if self.held else result

    def put(self, target: str, value: float) -> None:
        """Give a state or constant a value."""
        if target in self.index:
            self.y[self.index[target]] = value
        else:
            self.p[self.place[target]] = value

    def reset(self) -> None:
        """Return states and constants to where they started."""
        count = len(self.equations.constants)
        self.y[:], self.p[:count] = self._start[0], self._start[1][:count]

    def infuse(self, until: float) -> None:
        """Set the inflow of infusions from now until the next stop."""
        middle = 0.5 * (self.t + until)
        self.inflow = None
        for start, stop, into, rate in self.schedule.infusions:
            if start <= middle < stop:
                self.inflow = np.zeros_like(self.y) if self.inflow is None else self.inflow
                self.inflow[self.index[into]] += rate

    def stopped(self, status: Status, time: float, y: FloatArray, slope: FloatArray) -> Stopped:
        """Return the failure, which names the state whose slope is worst."""
        if not y.size:
            return Stopped(Failure(status=status, time=float(time), state="", value=float("nan")))
        scale = self.tolerances.atol + self.tolerances.rtol * np.abs(y)
        badness = np.where(np.isfinite(slope), np.abs(slope) / scale, np.inf)
        worst = int(np.argmax(badness))
        return Stopped(
            Failure(status=status, time=float(time), state=self.equations.states[worst], value=float(y[worst]))
        )

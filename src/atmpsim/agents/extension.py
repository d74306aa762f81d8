"""What agents do in a cell or virus therapy beyond PhysiCell's grammar: infection, bursts, arrivals, recruitment.

A state of infection is a cell type of its own (`tumour`, `infected tumour`), so that contact, attack, adhesion,
secretion and rules speak of it in the grammar's own words; what stands here moves cells between these types. All
times are in minutes, lengths in µm, amounts in what the substrate counts (virus particles for a virus), densities
in amount/µm³. Draws are exact for any step dt: a rate λ acts with probability 1 − exp(−λ dt).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Infection:
    """Live cells of a type become another type through what they take up of a substrate.

    Each particle internalised since the last phenotype step infects with `probability`, independently: a cell that
    took up n (real, ≥ 0) in the step turns with probability 1 − (1 − p)ⁿ, p = probability / (1 + c/inhibitor_half)
    where c is the density of `inhibitor` in the cell's voxel (no inhibitor: −1). The cell keeps position, volumes
    and internalised amounts; its clock (see `Clock`) starts anew.
    """

    cell_type: int
    substrate: int
    becomes: int
    probability: float
    inhibitor: int = -1
    inhibitor_half: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A type whose cells change or die after a waiting time that starts when they become that type.

    The time is the sum of `stages` exponential times of mean `mean / stages` each (Erlang, standard deviation
    mean/√stages); with `stages` = 0 it is `mean` exactly. Then a live cell becomes the type `becomes`, or, where
    that is −1, lyses: it makes its `Burst` and is deleted in the same step. A cell that divides gives its stage to
    both daughters. Dead cells have no clock. A cell in the list of initial cells starts in stage 0.
    """

    cell_type: int
    stages: int
    mean: float
    becomes: int = -1


@dataclass(frozen=True, kw_only=True)
class Replication:
    """Internalised amount of a substrate grows in live cells of a type, by `rate` per phenotype step dt.

    law "linear": n += rate·dt (amount/min) while n ≥ 1; law "exponential": n *= exp(rate·dt) (1/min), both up to
    `capacity`. A cell that starts replication with less than one particle has one.
    """

    cell_type: int
    substrate: int
    law: str
    rate: float
    capacity: float


@dataclass(frozen=True, kw_only=True)
class Burst:
    """What a cell of a type gives to its voxel when it lyses by its clock; a cell that dies otherwise gives nothing.

    size "fixed": `amount`; "poisson": a Poisson number of that mean; "geometric": a geometric number of that mean
    on 0, 1, 2, … (continuous production over an exponential life); "internalised": `amount` times what the cell
    holds inside. The release is at once; release over an hour is a type of its own with a net export rate.
    """

    cell_type: int
    substrate: int
    amount: float
    size: str = "fixed"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Cells of a type that come into the tissue on a schedule.

    At each of `times` (min) a course begins in which a Poisson number of mean `number` (exactly `number` where
    `exact`) arrives, each at an independent uniform moment of the following `duration` (0: at once). A cell appears
    beside a random live cell of type `source`, touching it, in a random direction; with `source` −1, or while no such
    cell lives, at a uniform random point of the domain. `age` (min) is how far its clock has run: with a clock of k
    stages of mean m it starts in stage Poisson(age·k/m), conditioned on fewer than k; with a fixed clock that much is
    already past. With a `place` (µm) cells appear at uniform random points of the ball of `radius` around it instead.
    """

    cell_type: int
    times: tuple[float, ...]
    number: float
    duration: float = 0.0
    source: int = -1
    age: float = 0.0
    exact: bool = False
    place: tuple[float, float, float] | None = None
    radius: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Injection:
    """An amount of a substrate that goes into the tissue at each of `times` (min), evenly over `duration` (0: at once).

    It is spread evenly over the voxels whose centres lie within `radius` (µm) of `place`, at least the nearest one.
    """

    substrate: int
    times: tuple[float, ...]
    amount: float
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float = 0.0
    duration: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recruitment:
    """Cells of a type that enter at each live cell of type `source`, faster where a substrate is.

    Rate per source cell (1/min): base_rate + (max_rate − base_rate)·cʰ/(half_maxʰ + cʰ), with c the density of
    `substrate` in the source's voxel and h the Hill power; without a substrate (−1) it is `base_rate`. The number in a
    phenotype step dt is Poisson(rate·dt), but the type never exceeds `limit` live cells (−1: no limit).
    """

    cell_type: int
    source: int
    base_rate: float
    max_rate: float = 0.0
    substrate: int = -1
    half_max: float = 1.0
    hill_power: float = 1.0
    limit: int = -1


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Everything of a model that PhysiCell's grammar cannot say; empty for a plain PhysiCell model."""

    infections: tuple[Infection, ...] = ()
    clocks: tuple[Clock, ...] = ()
    replications: tuple[Replication, ...] = ()
    bursts: tuple[Burst, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    recruitments: tuple[Recruitment, ...] = ()
    injections: tuple[Injection, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether PhysiCell can say the whole model."""
        return self == Extension()

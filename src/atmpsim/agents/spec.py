"""The frozen description of an agent model: everything a PhysiCell settings file, its cells and its rules can say.

| quantity                    | unit                                                                    |
|-----------------------------|-------------------------------------------------------------------------|
| position, radius, voxel     | µm                                                                      |
| time, duration; rate        | min; 1/min                                                              |
| volume                      | µm³                                                                     |
| speed, adhesion, repulsion  | µm/min (overdamped: strengths are velocities)                           |
| diffusion coefficient       | µm²/min                                                                 |
| density of a substrate      | the substrate's own unit: mmHg for oxygen, else amount/µm³              |
| amount of a substrate       | density · µm³; net export is amount/min, secretion and uptake are 1/min |
| damage                      | dimensionless                                                           |

Substrates, cell types, signals, behaviours and custom variables are counted from 0 in the order of the file; that
number is their `id` and their place in every tuple and array. Definitions are complete: what a type inherits from
another has been copied into it. `AgentModel.per_type` turns any number of the types into one array.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.behaviours import Behaviour, behaviours_of
from atmpsim.agents.cycles import LIVE, CycleModel
from atmpsim.agents.extension import Extension
from atmpsim.agents.signals import Signal, signals_of

PHYSICELL = "physicell-1.14"
FACES = ("xmin", "xmax", "ymin", "ymax", "zmin", "zmax")

Floats = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A box and its voxels; in two dimensions it is one voxel deep around z = 0."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    voxel: tuple[float, float, float] = (20.0, 20.0, 20.0)
    two_dimensional: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the numbers of voxels along x, y, z; the last layer may stick out of the box."""
        counts = [int(np.ceil((b - a) / d)) for a, b, d in zip(self.lower, self.upper, self.voxel, strict=True)]
        return counts[0], counts[1], counts[2]

    @property
    def voxel_volume(self) -> float:
        """Return the volume of a voxel, µm³."""
        return float(np.prod(self.voxel))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The end of the run, the three time steps and the interval of output, min."""

    end: float
    diffusion: float = 0.01
    mechanics: float = 0.1
    phenotype: float = 6.0
    save_every: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Substrate:
    """A diffusing substance; `boundary` holds the value kept at each of `FACES`, None where nothing passes."""

    id: int
    name: str
    unit: str = ""
    diffusion: float = 0.0
    decay: float = 0.0
    initial: float = 0.0
    boundary: tuple[float | None, ...] = (None,) * 6


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """A cycle of a type: the rate at which each phase is left, and whether its duration is 1/rate exactly."""

    model: CycleModel = LIVE
    rates: Floats = LIVE.rates
    fixed: tuple[bool, ...] = LIVE.fixed
    asymmetric: bool = False
    asymmetric_division: Floats = ()  # per type; the probability that one daughter becomes it


@dataclass(frozen=True, kw_only=True)
class Death:
    """A way to die: its rate, how its phases end, and how volumes change in it.

    Apoptosis has one phase; necrosis has two, and leaves the first by rupture whatever its rate says.
    """

    rate: float
    phase_rates: Floats
    phase_fixed: tuple[bool, ...]
    unlysed_fluid_rate: float
    lysed_fluid_rate: float
    cytoplasmic_rate: float
    nuclear_rate: float
    calcification_rate: float = 0.0
    relative_rupture_volume: float = 2.0


APOPTOSIS = Death(
    rate=0.00319 / 60, phase_rates=(1 / 516,), phase_fixed=(True,), unlysed_fluid_rate=3 / 60, lysed_fluid_rate=0.0,
    cytoplasmic_rate=1 / 60, nuclear_rate=0.35 / 60,
)  # fmt: skip
NECROSIS = Death(
    rate=0.0, phase_rates=(9e9, 1 / 86400), phase_fixed=(False, True), unlysed_fluid_rate=0.67 / 60,
    lysed_fluid_rate=0.05 / 60, cytoplasmic_rate=0.0032 / 60, nuclear_rate=0.013 / 60,
    calcification_rate=0.0042 / 60,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Target volumes and the rates at which a cell approaches them."""

    total: float = 2494.0
    nuclear: float = 540.0
    fluid_fraction: float = 0.75
    fluid_rate: float = 3 / 60
    cytoplasmic_rate: float = 0.27 / 60
    nuclear_rate: float = 0.33 / 60
    calcified_fraction: float = 0.0
    calcification_rate: float = 0.0
    relative_rupture_volume: float = 2.0

    @property
    def radius(self) -> float:
        """Return the radius of the ball of this volume, µm."""
        return float(np.cbrt(0.75 * self.total / np.pi))


@dataclass(frozen=True, kw_only=True)
class Mechanics:
    """How a cell pushes, sticks and attaches; equilibrium distances of the file are already in `adhesion`."""

    adhesion: float = 0.4
    repulsion: float = 10.0
    membrane_adhesion: float = 4.0
    membrane_repulsion: float = 10.0
    adhesion_distance: float = 1.25  # multiple of the radius
    affinities: Floats = ()  # per type
    elastic_constant: float = 0.01
    attachment_rate: float = 0.0
    detachment_rate: float = 0.0
    max_attachments: float = 12
    movable: bool = True


@dataclass(frozen=True, kw_only=True)
class Motility:
    """How a cell crawls; the advanced chemotaxis wins over the simple one where both are on."""

    enabled: bool = False
    two_dimensional: bool = False
    speed: float = 1.0
    persistence: float = 1.0
    bias: float = 0.0
    chemotaxis: bool = False
    chemotaxis_substrate: int = 0
    chemotaxis_direction: int = 1
    advanced: bool = False
    normalise_gradients: bool = False
    sensitivities: Floats = ()  # per substrate


@dataclass(frozen=True, kw_only=True)
class Secretion:
    """Exchange of a cell with its voxel, per substrate."""

    rates: Floats = ()
    targets: Floats = ()
    uptake: Floats = ()
    export: Floats = ()


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """What a cell does to its neighbours; the tuples are per type of the other cell."""

    phagocytose_apoptotic: float = 0.0
    phagocytose_necrotic: float = 0.0
    phagocytose_other_dead: float = 0.0
    phagocytose_live: Floats = ()
    attack: Floats = ()
    fuse: Floats = ()
    immunogenicity: Floats = ()
    attack_damage_rate: float = 1.0
    attack_duration: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Integrity:
    """Damage that a cell takes by itself, and its repair."""

    damage_rate: float = 0.0
    repair_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """How a behaviour, or the volume (behaviour −1), varies between the first cells of a type.

    `kind` is Uniform or LogUniform (minimum, maximum), Normal, LogNormal (natural) or Log10Normal (mean and standard
    deviation, of the logarithm for the last two); draws outside `lower` and `upper` are repeated.
    """

    behaviour: int
    kind: str
    parameters: tuple[float, float]
    lower: float = -np.inf
    upper: float = np.inf


@dataclass(frozen=True, kw_only=True)
class CellType:
    """A cell definition with every parameter of its phenotype."""

    id: int
    name: str
    parent: str = ""
    cycle: Cycle = field(default_factory=Cycle, repr=False)
    apoptosis: Death = field(default=APOPTOSIS, repr=False)
    necrosis: Death = field(default=NECROSIS, repr=False)
    volume: Volume = field(default_factory=Volume, repr=False)
    mechanics: Mechanics = field(default_factory=Mechanics, repr=False)
    motility: Motility = field(default_factory=Motility, repr=False)
    secretion: Secretion = field(default_factory=Secretion, repr=False)
    interactions: Interactions = field(default_factory=Interactions, repr=False)
    transformations: Floats = field(default=(), repr=False)  # per type
    integrity: Integrity = field(default_factory=Integrity, repr=False)
    custom: Floats = field(default=(), repr=False)  # per custom variable
    distributions: tuple[Distribution, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class CustomVariable:
    """A variable of a cell's custom data; what is conserved is halved at division."""

    id: int
    name: str
    unit: str = ""
    conserved: bool = False
    description: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialCells:
    """The cells of cells.csv, in its order, and how many more of each type stand at random places.

    `volumes` and `values` are NaN where the type's own value holds; column k of `values` sets `behaviours[k]`.
    """

    positions: NDArray[np.float64]  # (cells, 3)
    types: NDArray[np.int64]  # (cells,)
    volumes: NDArray[np.float64]  # (cells,)
    behaviours: tuple[int, ...] = ()
    values: NDArray[np.float64]  # (cells, behaviours)
    random_per_type: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of a rules file: a signal that moves a behaviour of a type towards `saturation`."""

    cell_type: int
    signal: int
    increases: bool
    behaviour: int
    saturation: float
    half_max: float
    hill_power: float
    dead: bool = False
    place: str = ""  # file and line, for messages


@dataclass(frozen=True, kw_only=True)
class Options:
    """Switches of a model."""

    virtual_wall: bool = False
    springs: bool = True  # automated attachment and detachment
    gradients: bool = True
    track_internalised: bool = False
    legacy_division: bool = False
    seed: int | None = None  # None: none in the file, or the clock


@dataclass(frozen=True, kw_only=True, eq=False)
class AgentModel:
    """An agent model as data: what `load_agents` returns.

    `compatibility` is empty, or "physicell-1.14": then the artefacts of that program are part of the model. `text`
    holds every file the model was read from, by name.
    """

    name: str
    path: str = ""
    text: dict[str, str] = field(default_factory=dict, repr=False)
    compatibility: str = ""
    domain: Domain
    steps: Steps
    options: Options = field(default_factory=Options)
    substrates: tuple[Substrate, ...]
    cell_types: tuple[CellType, ...] = field(repr=False)
    custom: tuple[CustomVariable, ...] = field(default=(), repr=False)
    cells: InitialCells = field(repr=False)
    rules: tuple[Rule, ...] = field(default=(), repr=False)
    extension: Extension = field(default_factory=Extension, repr=False)
    user_parameters: dict[str, float | bool | str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)  # where this model and PhysiCell 1.14 differ

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the files' texts by name, and of the compatibility."""
        whole = hashlib.sha256(self.compatibility.encode())
        for name, text in sorted(self.text.items()):
            whole.update(f"\0{name}\0{text}".encode())
        return whole.hexdigest()

    @property
    def _names(self) -> tuple[list[str], list[str], list[str]]:
        return [s.name for s in self.substrates], [t.name for t in self.cell_types], [c.name for c in self.custom]

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """Return every signal of the grammar in this model, by id."""
        return signals_of(*self._names)

    @cached_property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """Return every behaviour of the grammar in this model, by id."""
        return behaviours_of(*self._names)

    def per_type(self, path: str) -> NDArray[np.float64]:
        """Return a number of every type as one array: (types,), or (types, …) where it is a tuple.

        Parameters
        ----------
        path
            Attributes of `CellType` joined by dots, for example `mechanics.affinities`. Tuples of unequal length
            (phases of different cycles) are filled with NaN.
        """
        return per_type(self.cell_types, path)


def per_type(types: Sequence[CellType], path: str) -> NDArray[np.float64]:
    """Return a number of every type as one array; see `AgentModel.per_type`."""
    rows = [np.atleast_1d(np.asarray(attrgetter(path)(t), dtype=np.float64)) for t in types]
    table = np.full((len(rows), max(r.size for r in rows)), np.nan)
    for row, values in zip(table, rows, strict=True):
        row[: values.size] = values
    return table if isinstance(attrgetter(path)(types[0]), tuple) else table[:, 0]

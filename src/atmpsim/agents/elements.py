"""Every element that a PhysiCell settings file may hold: what is in it, in which unit and range, and what is refused.

The names are those that PhysiCell 1.14 reads (core/PhysiCell_cell, modules/PhysiCell_settings, modules/
PhysiCell_geometry); elements of its templates that do not change what is computed are known and passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

_SPELLINGS = {
    "min": {"min", "minute", "minutes"},
    "1/min": {"1/min", "1/minute", "min^-1", "per min", "damage/min"},
    "µm": {"micron", "microns", "um", "µm", "μm", "micrometer", "micrometre"},
    "µm/min": {"micron/min", "um/min", "µm/min", "μm/min"},
    "µm²/min": {"micron^2/min", "um^2/min", "µm^2/min", "micron2/min"},
    "µm³": {"micron^3", "um^3", "µm^3", "micron3"},
    "1": {"dimensionless", "none", "unitless", "1"},
}


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """What an element without children holds: a number of a unit in a range, or a text (`number` false).

    `above` excludes the lower limit itself; a unit that is empty may be anything.
    """

    number: bool = True
    unit: str = ""
    lower: float = -math.inf
    upper: float = math.inf
    above: bool = False
    whole: bool = False

    @property
    def range_text(self) -> str:
        """Return the range in words."""
        below = f"a number above {self.lower:g}" if self.above else f"a number of at least {self.lower:g}"
        return below if self.upper == math.inf else f"a number from {self.lower:g} to {self.upper:g}"

    def unit_problem(self, given: str) -> tuple[str, str, str] | None:
        """Return what is wrong with a unit (found, expected, remedy), or None.

        Examples
        --------
        >>> Leaf(unit="1/min").unit_problem("1/h")[0]
        "the units '1/h'"
        >>> Leaf(unit="1/min").unit_problem("") is None
        True
        """
        if not given or not self.unit or given.strip() in _SPELLINGS[self.unit]:
            return None
        remedy = "PhysiCell never converts: give the number in this unit, and name it."
        return f"the units '{given}'", self.unit, remedy


Schema = Mapping[str, Union[Leaf, "Schema", None]]

TEXT = Leaf(number=False)
PASSED_OVER = None  # known, and nothing in it changes what is computed
_ANY = Leaf()
_TIME, _RATE = Leaf(unit="min", lower=0), Leaf(unit="1/min", lower=0)
_STEP = Leaf(unit="min", lower=0, above=True)
_LENGTH, _SIZE = Leaf(unit="µm"), Leaf(unit="µm", lower=0, above=True)
_SPEED = Leaf(unit="µm/min", lower=0)
_VOLUME = Leaf(unit="µm³", lower=0, above=True)
_FACTOR, _SHARE = Leaf(unit="1", lower=0), Leaf(unit="1", lower=0, upper=1)
_DENSITY, _SIGN = Leaf(lower=0), Leaf(unit="1", lower=-1, upper=1, whole=True)
_COUNT, _POSITIVE = Leaf(unit="1", lower=0, whole=True), Leaf(lower=0, above=True)

EACH_NAME = "*any"  # a child of any name
MANY = "*"  # suffix of a name that may come several times

_PHASES: Schema = {
    "phase_durations": {"duration*": _TIME},
    "phase_transition_rates": {"rate*": _RATE},
    "transition_rates": {"rate*": _RATE},
}
_DISTRIBUTION: Schema = {
    "behavior": TEXT, "behaviour": TEXT, "min": _ANY, "max": _ANY, "mu": _ANY, "sigma": Leaf(lower=0),
    "lower_bound": _ANY, "upper_bound": _ANY,
}  # fmt: skip
_PHENOTYPE: Schema = {
    "cycle": {**_PHASES, "standard_asymmetric_division": {"asymmetric_division_probability*": _SHARE}},
    "death": {"model*": {
        **_PHASES, "death_rate": _RATE, "rate": _RATE,
        "parameters": {
            "unlysed_fluid_change_rate": _RATE, "lysed_fluid_change_rate": _RATE,
            "cytoplasmic_biomass_change_rate": _RATE, "nuclear_biomass_change_rate": _RATE,
            "calcification_rate": _RATE, "relative_rupture_volume": _FACTOR,
        },
    }},
    "volume": {
        "total": _VOLUME, "fluid_fraction": _SHARE, "nuclear": _VOLUME, "fluid_change_rate": _RATE,
        "cytoplasmic_biomass_change_rate": _RATE, "nuclear_biomass_change_rate": _RATE, "calcified_fraction": _SHARE,
        "calcification_rate": _RATE, "relative_rupture_volume": _FACTOR,
    },
    "mechanics": {
        "cell_cell_adhesion_strength": _SPEED, "cell_cell_repulsion_strength": _SPEED,
        "cell_BM_adhesion_strength": _SPEED, "cell_BM_repulsion_strength": _SPEED,
        "relative_maximum_adhesion_distance": _FACTOR,
        "cell_adhesion_affinities": {"cell_adhesion_affinity*": _FACTOR},
        "options": {"set_relative_equilibrium_distance": _FACTOR, "set_absolute_equilibrium_distance": _SIZE},
        "attachment_elastic_constant": _RATE, "attachment_rate": _RATE, "detachment_rate": _RATE,
        "maximum_number_of_attachments": _COUNT,
    },
    "motility": {
        "speed": _SPEED, "persistence_time": _TIME, "migration_bias": _SHARE,
        "options": {
            "enabled": TEXT, "use_2D": TEXT,
            "chemotaxis": {"enabled": TEXT, "substrate": TEXT, "direction": _SIGN},
            "advanced_chemotaxis": {
                "enabled": TEXT, "normalize_each_gradient": TEXT,
                "chemotactic_sensitivities": {"chemotactic_sensitivity*": _ANY},
            },
        },
    },
    "secretion": {"substrate*": {
        "secretion_rate": _RATE, "secretion_target": _DENSITY, "uptake_rate": _RATE, "net_export_rate": _ANY,
    }},
    "cell_interactions": {
        "dead_phagocytosis_rate": _RATE, "apoptotic_phagocytosis_rate": _RATE, "necrotic_phagocytosis_rate": _RATE,
        "other_dead_phagocytosis_rate": _RATE, "live_phagocytosis_rates": {"phagocytosis_rate*": _RATE},
        "attack_rates": {"attack_rate*": _RATE}, "fusion_rates": {"fusion_rate*": _RATE},
        "attack_damage_rate": _RATE, "damage_rate": _RATE, "attack_duration": _TIME,
    },
    "cell_transformations": {"transformation_rates": {"transformation_rate*": _RATE}},
    "cell_integrity": {"damage_rate": _RATE, "damage_repair_rate": _RATE},
    "molecular": PASSED_OVER,
}  # fmt: skip

# what stands below <atmpsim:extension>; see `extension` for what it means
_EXTENSION: Schema = {
    "atmpsim:infection*": {"atmpsim:probability": _SHARE, "atmpsim:inhibitor": {"atmpsim:half": _POSITIVE}},
    "atmpsim:clock*": {"atmpsim:stages": _COUNT, "atmpsim:mean": _STEP},
    "atmpsim:replication*": {
        "atmpsim:rate": _DENSITY, "atmpsim:capacity": Leaf(lower=1),
    },
    "atmpsim:burst*": {"atmpsim:amount": _DENSITY},
    "atmpsim:arrival*": {
        "atmpsim:first": _TIME, "atmpsim:every": _STEP,
        "atmpsim:count": Leaf(unit="1", lower=1, upper=10_000, whole=True),
        "atmpsim:number": _DENSITY, "atmpsim:duration": _TIME, "atmpsim:age": _TIME,
    },
    "atmpsim:recruitment*": {
        "atmpsim:base_rate": _RATE, "atmpsim:max_rate": _RATE, "atmpsim:half_max": _POSITIVE,
        "atmpsim:hill_power": Leaf(unit="1", lower=0, above=True), "atmpsim:limit": _COUNT,
    },
}  # fmt: skip

SETTINGS: Schema = {
    "domain": {
        **{f"{axis}_{end}": _LENGTH for axis in "xyz" for end in ("min", "max")},
        "dx": _SIZE, "dy": _SIZE, "dz": _SIZE, "use_2D": TEXT,
    },
    "overall": {
        "max_time": _TIME, "time_units": TEXT, "space_units": TEXT,
        "dt_diffusion": _STEP, "dt_mechanics": _STEP, "dt_phenotype": _STEP, "dt_intracellular": PASSED_OVER,
    },
    "parallel": PASSED_OVER,
    "user_details": PASSED_OVER,
    "metadata": PASSED_OVER,
    "save": {
        "folder": PASSED_OVER, "full_data": {"interval": _STEP, "enable": TEXT, "settings_interval": PASSED_OVER},
        "SVG": PASSED_OVER, "legacy_data": PASSED_OVER,
    },
    "options": {
        "legacy_random_points_on_sphere_in_divide": TEXT, "virtual_wall_at_domain_edge": TEXT,
        "disable_automated_spring_adhesions": TEXT, "random_seed": TEXT, "legacy_cell_defaults_copy": TEXT,
    },
    "microenvironment_setup": {
        "variable*": {
            "physical_parameter_set": {
                "diffusion_coefficient": Leaf(unit="µm²/min", lower=0), "decay_rate": _RATE,
            },
            "initial_condition": _DENSITY, "Dirichlet_boundary_condition": _DENSITY,
            "Dirichlet_options": {"boundary_value*": _DENSITY},
        },
        "options": {
            "calculate_gradients": TEXT, "track_internalized_substrates_in_each_agent": TEXT,
            "initial_condition": {"filename": TEXT}, "dirichlet_nodes": {"filename": TEXT},
        },
    },
    "cell_definitions": {"cell_definition*": {
        "phenotype": _PHENOTYPE,
        "custom_data": {EACH_NAME: _ANY},
        "initial_parameter_distributions": {"distribution*": _DISTRIBUTION},
    }},
    "initial_conditions": {"cell_positions": {"folder": TEXT, "filename": TEXT}},
    "cell_rules": {"rulesets": {"ruleset*": {"folder": TEXT, "filename": TEXT}}, "settings": PASSED_OVER},
    "user_parameters": {EACH_NAME: TEXT},
    "atmpsim:extension": _EXTENSION,
}  # fmt: skip

REFUSED = {
    "intracellular": "an intracellular model (Boolean network, SBML or flux balance)",
    "PhysiBoSS": "a PhysiBoSS network",
    "addons": "addons",
}

_LABELS = {"units", "description", "type", "hidden"}  # on any element
_TO = {"name"}
ATTRIBUTES: Mapping[str, set[str]] = {
    "PhysiCell_settings": {"version"}, "variable": {"name", "ID"}, "boundary_value": {"ID", "enabled"},
    "Dirichlet_boundary_condition": {"enabled"}, "initial_condition": {"enabled"}, "dirichlet_nodes": {"enabled"},
    "cell_definition": {"name", "ID", "parent_type", "visible"}, "cycle": {"code", "name"}, "model": {"code", "name"},
    "rate": {"start_index", "end_index", "fixed_duration"}, "duration": {"index", "fixed_duration"},
    "standard_asymmetric_division": {"enabled"}, "asymmetric_division_probability": _TO,
    "cell_adhesion_affinity": _TO, "set_relative_equilibrium_distance": {"enabled"},
    "set_absolute_equilibrium_distance": {"enabled"}, "chemotactic_sensitivity": {"substrate"},
    "substrate": _TO, "phagocytosis_rate": _TO, "attack_rate": _TO, "fusion_rate": _TO, "transformation_rate": _TO,
    "initial_parameter_distributions": {"enabled"}, "distribution": {"enabled", "check_base"},
    "cell_positions": {"enabled"}, "ruleset": {"protocol", "version", "format", "enabled", "name"},
    "atmpsim:infection": {"cell_type", "substrate", "becomes"}, "atmpsim:inhibitor": {"substrate"},
    "atmpsim:clock": {"cell_type", "becomes"}, "atmpsim:replication": {"cell_type", "substrate", "law"},
    "atmpsim:burst": {"cell_type", "substrate", "size"}, "atmpsim:arrival": {"cell_type", "source", "exact"},
    "atmpsim:recruitment": {"cell_type", "source", "substrate"},
}  # fmt: skip


def attributes_of(tag: str, *, free: bool) -> set[str]:
    """Return the attributes that an element may have; `free` for one whose name is the file's own choice."""
    return _LABELS | ({"conserved", "name", "ID"} if free else set(ATTRIBUTES.get(tag, set())))

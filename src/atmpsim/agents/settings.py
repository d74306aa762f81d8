"""Read the parts of a settings file that are not cells: domain, time steps, options, substrates, user parameters."""

from __future__ import annotations

from atmpsim.agents.spec import FACES, PHYSICELL, Domain, Options, Steps, Substrate
from atmpsim.agents.tree import Node

MAX_VALUES = 200_000_000  # voxels times substrates: 1.6 GB in one array of doubles
MAX_SEED = 2**63 - 1

_TIME_UNITS, _SPACE_UNITS = ("min", "minute", "minutes"), ("micron", "microns", "um", "µm")


def read_domain(root: Node, *, substrates: int) -> Domain:
    """Return the domain; in two dimensions its depth is one voxel around z = 0, whatever the file's z says.

    Raises
    ------
    ModelError
        If it is empty, or too large for memory.
    """
    node = root.child("domain")
    if node is None:
        raise root.refuse("no <domain>", "<domain> with x_min, x_max, …")
    voxel = tuple(node.number(f"d{axis}", default=20.0) for axis in "xyz")
    flat = node.flag("use_2D")
    lower, upper = [], []
    for axis in "xyz":
        ends = [node.child(f"{axis}_{end}") for end in ("min", "max")]
        if (axis == "z" and flat) or (axis == "z" and ends == [None, None]):
            ends, low, high = [], -voxel[2] / 2, voxel[2] / 2
        elif ends[0] is None or ends[1] is None:
            raise node.refuse(f"no <{axis}_{'min' if ends[0] is None else 'max'}>", f"{axis}_min and {axis}_max")
        else:
            low, high = ends[0].as_number(), ends[1].as_number()
            if low >= high:
                raise ends[1].refuse(f"{high:g}", f"more than {axis}_min ({low:g})")
        lower.append(low)
        upper.append(high)
    domain = Domain(lower=(lower[0], lower[1], lower[2]), upper=(upper[0], upper[1], upper[2]),
                    voxel=(voxel[0], voxel[1], voxel[2]), two_dimensional=flat)  # fmt: skip
    count = 1.0
    for low, high, step in zip(lower, upper, voxel, strict=True):
        count *= (high - low) / step  # as a float: a typing error may overflow an integer
    if count * substrates > MAX_VALUES:
        raise node.refuse(
            f"{count:.3g} voxels of {substrates} substrates", f"at most {MAX_VALUES:.3g} values",
            "Make the domain smaller or the voxels (dx, dy, dz) larger.",
        )  # fmt: skip
    return domain


def read_steps(root: Node) -> Steps:
    """Return end and time steps; each step must be a whole multiple of the one before it."""
    node = root.child("overall")
    if node is None or node.child("max_time") is None:
        raise (node or root).refuse("no <max_time>", "<overall> with <max_time>")
    for tag, allowed in (("time_units", _TIME_UNITS), ("space_units", _SPACE_UNITS)):
        unit = node.child(tag)
        if unit is not None and unit.text not in allowed:
            raise unit.refuse(f"'{unit.text}'", allowed[0], "PhysiCell computes in minutes and microns.")
    steps = Steps(
        end=node.number("max_time", default=0.0),
        diffusion=node.number("dt_diffusion", default=0.01),
        mechanics=node.number("dt_mechanics", default=0.1),
        phenotype=node.number("dt_phenotype", default=6.0),
        save_every=root.number("save", "full_data", "interval", default=60.0),
    )
    _check_multiple(node, "dt_mechanics", steps.mechanics, "dt_diffusion", steps.diffusion)
    _check_multiple(node, "dt_phenotype", steps.phenotype, "dt_mechanics", steps.mechanics)
    return steps


def _check_multiple(node: Node, tag: str, step: float, finer: str, fine: float) -> None:
    ratio = step / fine
    if ratio < 0.5 or abs(ratio - round(ratio)) > 1e-9 * ratio:
        place = node.child(tag) or node
        raise place.refuse(f"{step:g} min", f"a whole multiple of {finer} ({fine:g} min)")


def read_options(root: Node, *, seed: float | bool | str | None) -> Options:
    """Return the switches of a file; `seed` is the user parameter `random_seed`, which wins over the option."""
    node = root.child("options")
    fields = root.child("microenvironment_setup", "options")
    given = seed if seed is not None else root.word("options", "random_seed")
    return Options(
        virtual_wall=node is not None and node.flag("virtual_wall_at_domain_edge"),
        springs=node is None or not node.flag("disable_automated_spring_adhesions"),
        gradients=fields is None or fields.flag("calculate_gradients", default=True),
        track_internalised=fields is not None and fields.flag("track_internalized_substrates_in_each_agent"),
        legacy_division=node is not None and node.flag("legacy_random_points_on_sphere_in_divide"),
        seed=_seed(root, given),
    )


def _seed(root: Node, given: float | bool | str) -> int | None:
    if isinstance(given, int | float):
        if given < 0 or given > MAX_SEED:
            place = root.child("user_parameters", "random_seed") or root
            raise place.refuse(f"{given:g}", f"a whole number from 0 to {MAX_SEED}")
        return int(given)
    if given in ("", "system_clock", "random"):
        return None
    node = root.child("options", "random_seed") or root
    if not given.isdecimal() or len(given) > 18:
        raise node.refuse(f"'{given[:40]}'", "a whole number of at least 0, or system_clock")
    return int(given)


def read_substrates(root: Node, domain: Domain, *, compatibility: str, notes: list[str]) -> tuple[Substrate, ...]:
    """Return the substrates; what a matlab or CSV file would give them is refused.

    Adds to `notes` where PhysiCell would leave out a boundary value.
    """
    for tag in ("initial_condition", "dirichlet_nodes"):
        node = root.child("microenvironment_setup", "options", tag)
        if node is not None and node.switched_on():
            raise node.refuse(
                "values of single voxels from a file", 'enabled="false"',
                "Use <initial_condition> and <Dirichlet_options> of each <variable>.",
            )  # fmt: skip
    nodes = root.all("microenvironment_setup", "variable")
    made = tuple(_substrate(i, node, flat=domain.two_dimensional) for i, node in enumerate(nodes))
    main_switches = [node.child("Dirichlet_boundary_condition") for node in nodes]
    silent = not any(node is not None and node.switched_on() for node in main_switches)
    if not silent or all(value is None for s in made for value in s.boundary):
        return made
    if compatibility == PHYSICELL:
        return tuple(Substrate(**{**vars(s), "boundary": (None,) * 6}) for s in made)
    notes.append(
        "boundary values apply as written; PhysiCell applies none of them, because no substrate has "
        '<Dirichlet_boundary_condition enabled="true">'
    )
    return made


def _substrate(position: int, node: Node, *, flat: bool) -> Substrate:
    main = node.child("Dirichlet_boundary_condition")
    on = main is not None and main.switched_on()
    boundary: list[float | None] = [main.as_number() if on and main is not None else None] * len(FACES)
    for face in node.all("Dirichlet_options", "boundary_value"):
        name = face.attribute("ID")
        if name not in FACES:
            raise face.refuse(f"ID='{name}'", "one of " + ", ".join(FACES))
        boundary[FACES.index(name)] = face.as_number() if face.switched_on() else None
    if flat:
        boundary[4:] = [None, None]
    return Substrate(
        id=position,
        name=node.attribute("name"),
        unit=node.attributes.get("units", ""),
        diffusion=node.number("physical_parameter_set", "diffusion_coefficient", default=0.0),
        decay=node.number("physical_parameter_set", "decay_rate", default=0.0),
        initial=node.number("initial_condition", default=0.0),
        boundary=tuple(boundary),
    )


def read_user_parameters(root: Node) -> dict[str, float | bool | str]:
    """Return the user parameters by name; dividers of the form are left out."""
    found: dict[str, float | bool | str] = {}
    section = root.child("user_parameters")
    for node in section.children if section is not None else ():
        kind = node.attributes.get("type", "double")
        if kind == "divider":
            continue
        if kind in ("int", "double"):
            value = node.as_finite()
            found[node.tag] = int(value) if kind == "int" else value
        elif kind == "bool":
            found[node.tag] = node.as_flag(node.text, "text")
        elif kind == "string":
            found[node.tag] = node.text
        else:
            raise node.refuse(f"type='{kind}'", "one of bool, divider, double, int, string")
    return found


def random_cells(root: Node, parameters: dict[str, float | bool | str]) -> int:
    """Return how many cells of each type stand at random places: the user parameter `number_of_cells`."""
    number = parameters.get("number_of_cells", 0)
    if isinstance(number, str) or number < 0 or number != int(number):
        node = root.child("user_parameters", "number_of_cells") or root
        raise node.refuse(f"{number}", "a whole number of at least 0")
    return int(number)


def unused_parameters(parameters: dict[str, float | bool | str]) -> list[str]:
    """Return notes on user parameters, which only custom C++ modules could read."""
    own = sorted(set(parameters) - {"number_of_cells", "random_seed"})
    if not own:
        return []
    return [f"user parameters {', '.join(own)} are not used: they are for custom C++ modules, which do not run here"]

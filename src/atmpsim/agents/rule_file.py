"""Read the rules of a model: comma-separated rows of the cell behaviour grammar, all its versions.

| version    | columns                                                                                        |
|------------|------------------------------------------------------------------------------------------------|
| 0.x        | type, behaviour, min, base, max, signal, direction, half-max, Hill power, dead                 |
| 1.x        | type, signal, direction, behaviour, base, saturation, half-max, Hill power, dead               |
| 2.x and up | type, signal, direction, behaviour, saturation, half-max, Hill power, dead                     |

Lines that begin with // are comments. A row without commas may be separated by tabs. Base values must be those of
the cell definitions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.behaviours import MAY_BE_NEGATIVE, Behaviour, behaviour_ids
from atmpsim.agents.names import Names
from atmpsim.agents.signals import Signal, SignalKind, signal_ids
from atmpsim.agents.spec import CellType, Rule
from atmpsim.agents.tree import Node
from atmpsim.agents.values import type_values
from atmpsim.errors import ModelError, did_you_mean, one_of
from atmpsim.model.border import read_text

MAX_RULES = 20_000

_COLUMNS = {
    0: ("type", "behaviour", "min", "base", "max", "signal", "direction", "half", "power", "dead"),
    1: ("type", "signal", "direction", "behaviour", "base", "saturation", "half", "power", "dead"),
    2: ("type", "signal", "direction", "behaviour", "saturation", "half", "power", "dead"),
}
_DIRECTIONS = ("increases", "decreases")


@dataclass(frozen=True)
class Grammar:
    """The words that the rules of a model may use, and the base values they start from."""

    names: Names
    signals: tuple[Signal, ...]
    behaviours: tuple[Behaviour, ...]
    base: NDArray[np.float64]  # (types, behaviours)
    signal_ids: Mapping[str, int] = field(repr=False)
    behaviour_ids: Mapping[str, int] = field(repr=False)


def grammar_of(
    names: Names, signals: tuple[Signal, ...], behaviours: tuple[Behaviour, ...], types: Sequence[CellType], *,
    where: str,
) -> Grammar:  # fmt: skip
    """Return the grammar of a model.

    Raises
    ------
    ModelError
        If one of its words has two meanings, because a substrate, type or variable is called like a signal.
    """
    for words in (signals, behaviours):
        _check_meanings(words, where)
    base = type_values(types, behaviours)
    return Grammar(names, signals, behaviours, base, signal_ids(signals), behaviour_ids(behaviours))


def _check_meanings(words: Sequence[Signal] | Sequence[Behaviour], where: str) -> None:
    seen: dict[str, Signal | Behaviour] = {}
    for word in words:
        for name in (word.name, *word.synonyms):
            if seen.setdefault(name, word) is not word:
                raise ModelError(
                    where=where, found=f"two meanings of '{name}'", expected="one in the grammar",
                    remedy="Rename the substrate, cell type or variable that makes the second.",
                )  # fmt: skip


def read_rules(root: Node, folder: Path | None, grammar: Grammar, texts: dict[str, str]) -> tuple[Rule, ...]:
    """Return the rules of every enabled ruleset, in order; the files' texts go to `texts`.

    Raises
    ------
    ModelError
        Naming file, line and the word or number that cannot be used.
    """
    rules: list[Rule] = []
    for node in root.all("cell_rules", "rulesets", "ruleset"):
        if node.switched_on():
            name = read_companion(node, folder, texts, may_be_empty=True)
            rules += _read_file(texts[name], name, _version(node), grammar)
    _check_repeats(rules, grammar)
    return tuple(rules)


def read_companion(node: Node, folder: Path | None, texts: dict[str, str], *, may_be_empty: bool = False) -> str:
    """Return the name of the file that an element names; its text is put into `texts`, or is there without a folder."""
    if folder is not None:
        path = _companion(node, folder)
        texts[path.name] = read_text(path, may_be_empty=may_be_empty)
        return path.name
    name = Path(node.word("filename")).name
    if name not in texts:
        raise node.refuse(f"the file '{name}' without its text", "every file that the settings name")
    return name


def _companion(node: Node, folder: Path) -> Path:
    """Return the file that <folder> and <filename> name, relative to the settings file's folder or the one above.

    Projects keep settings in `config` and name the folder from the project's root, `./config`; so a folder that
    does not hold the file is looked for one level up.
    """
    name = node.word("filename")
    if not name:
        raise node.refuse("no <filename>", "<folder> and <filename>")
    given = Path(node.word("folder", default=".")) / name
    candidates = [folder / given, folder.parent / given]
    found = next((path for path in candidates if path.is_file()), candidates[0])
    if not found.resolve().is_relative_to(folder.resolve().parent):
        raise node.refuse(f"the file '{given}'", "a file in the project of the settings file", "Copy it there.")
    return found


def _version(node: Node) -> int:
    text, protocol = node.attributes.get("version", "3.0"), node.attributes.get("protocol", "CBHG")
    style = node.attributes.get("format", "csv").lower()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if protocol not in ("CBHG", "CBHR") or style != "csv" or not 0 <= number < 4:
        raise node.refuse(f"protocol='{protocol}' version='{text}' format='{style}'",
                          "protocol='CBHG' version='3.0' format='csv'")  # fmt: skip
    return min(int(number), 2)


def _read_file(text: str, name: str, version: int, grammar: Grammar) -> list[Rule]:
    lines = text.splitlines()
    if len(lines) > MAX_RULES:
        raise ModelError(where=name, found=f"{len(lines)} lines", expected=f"at most {MAX_RULES} rules")
    rows = (
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("//")
    )
    return [_Row(line, f"{name} line {number}", version).rule(grammar) for number, line in rows]


def _check_repeats(rules: Sequence[Rule], grammar: Grammar) -> None:
    seen: dict[tuple[int, int, int], Rule] = {}
    for rule in rules:
        key = (rule.cell_type, rule.signal, rule.behaviour)
        if key in seen:
            raise ModelError(
                where=rule.place,
                found=f"a second rule from '{grammar.signals[rule.signal].name}' to "
                f"'{grammar.behaviours[rule.behaviour].name}' of '{grammar.names.types[rule.cell_type]}'",
                expected="one", remedy=f"The first is {seen[key].place}.",
            )  # fmt: skip
        seen[key] = rule


class _Row:
    """One row, asked for its fields by name."""

    def __init__(self, line: str, where: str, version: int) -> None:
        self.where = where
        columns = _COLUMNS[version]
        fields = line.split("," if line.count(",") else "\t")
        if len(fields) != len(columns) or not all(f.strip() for f in fields):
            filled = sum(bool(f.strip()) for f in fields)
            raise self.refuse(f"{filled} fields", f"{len(columns)}: {', '.join(columns)}",
                              "Give the ruleset's version=, and no empty field.")  # fmt: skip
        self.fields = dict(zip(columns, (f.strip() for f in fields), strict=True))

    def refuse(self, found: str, expected: str, remedy: str = "") -> ModelError:
        return ModelError(where=self.where, found=found, expected=expected, remedy=remedy)

    def rule(self, grammar: Grammar) -> Rule:
        """Return the rule, checked."""
        direction = self.fields["direction"]
        if direction not in _DIRECTIONS:
            raise self.refuse(f"'{direction}'", "increases or decreases", did_you_mean(direction, _DIRECTIONS))
        kind = self.word("type", "cell type", {n: i for i, n in enumerate(grammar.names.types)})
        behaviour = self.word("behaviour", "behaviour", grammar.behaviour_ids)
        rule = Rule(
            cell_type=kind,
            signal=self.word("signal", "signal", grammar.signal_ids),
            increases=direction == "increases",
            behaviour=behaviour,
            saturation=self.saturation(direction),
            half_max=self.number("half", positive=True),
            hill_power=self.number("power", positive=True),
            dead=self.number("dead") != 0,
            place=self.where,
        )
        self.check(rule, grammar)
        return rule

    def word(self, key: str, what: str, known: Mapping[str, int]) -> int:
        name = self.fields[key]
        if name not in known:
            raise self.refuse(f"the {what} '{name}'", one_of(known), did_you_mean(name, known))
        return known[name]

    def number(self, key: str, *, positive: bool = False) -> float:
        text = self.fields[key]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in text or (positive and value <= 0):
            raise self.refuse(f"{key} '{text}'", "a number above 0" if positive else "a finite number")
        return value

    def saturation(self, direction: str) -> float:
        if "saturation" in self.fields:
            return self.number("saturation")
        return self.number("max" if direction == "increases" else "min")

    def check(self, rule: Rule, grammar: Grammar) -> None:
        """Refuse what cannot act: a phase that the cycle lacks, a negative rate, another base value."""
        behaviour, base = grammar.behaviours[rule.behaviour], grammar.base[rule.cell_type, rule.behaviour]
        owner = grammar.names.types[rule.cell_type]
        if math.isnan(base):
            raise self.refuse(f"'{behaviour.name}'", f"a phase that the cycle of '{owner}' has")
        if rule.saturation < 0 and behaviour.kind not in MAY_BE_NEGATIVE:
            raise self.refuse(f"a saturation value of {rule.saturation:g}", f"at least 0 for '{behaviour.name}'")
        if "base" in self.fields and not math.isclose(self.number("base"), base, rel_tol=1e-9, abs_tol=1e-15):
            raise self.refuse(f"base value {self.fields['base']}", f"{base:g}, as in the definition of '{owner}'")


def rule_notes(rules: Sequence[Rule], grammar: Grammar, *, exact: bool) -> list[str]:
    """Return where rules mean something else in PhysiCell, or can never act."""
    notes = []
    silent = (SignalKind.CONTACT_APOPTOTIC, SignalKind.CONTACT_NECROTIC, SignalKind.CONTACT_OTHER_DEAD)
    for rule in rules:
        signal = grammar.signals[rule.signal]
        if signal.kind is SignalKind.CONTACT_MEMBRANE:
            notes.append(f"{rule.place}: '{signal.name}' is always 0, here and in PhysiCell")
        elif signal.kind in silent and not exact:
            notes.append(f"{rule.place}: '{signal.name}' counts neighbours; in PhysiCell's rules it is always 0")
    if not exact:
        notes += _shared_saturations(rules, grammar)
    return notes


def _shared_saturations(rules: Sequence[Rule], grammar: Grammar) -> list[str]:
    groups: dict[tuple[int, int, bool], set[float]] = {}
    for rule in rules:
        groups.setdefault((rule.cell_type, rule.behaviour, rule.increases), set()).add(rule.saturation)
    return [
        f"'{grammar.behaviours[b].name}' of '{grammar.names.types[t]}': each rule keeps its own saturation value; "
        f"PhysiCell uses {max(values) if up else min(values):g} for all that {'increase' if up else 'decrease'} it"
        for (t, b, up), values in groups.items()
        if len(values) > 1
    ]

"""Whatever happens to a settings, rules or cells file, it is read or refused with one error: never a traceback."""

from __future__ import annotations

import random
import re

import pytest

from atmpsim.agents.differences import warnings
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.rules import compile_rules
from atmpsim.agents.spec import PHYSICELL
from atmpsim.errors import InputError
from atmpsim.resources import shipped_agent_models

VALUES = ("", "-1", "nan", "1e400", "abc", "0", "1e-300", "1e300", "true", "9" * 25, "µ", "1,2", " ")
ELEMENT, ATTRIBUTE = re.compile(r"<([\w:]+)>([^<>]*)</\1>"), re.compile(r'="([^"]*)"')
CELLS = "x,y,z,type,is_movable\n0,0,0,tumour,1\n20,0,0,vessel,0\n"


def damage(text: str, chance: random.Random) -> str:
    """Return XML with one value, attribute, line or element changed, doubled or gone."""
    kind, value = chance.randrange(5), chance.choice(VALUES)
    if kind < 2:
        place = chance.choice(list((ELEMENT if kind else ATTRIBUTE).finditer(text)))
        group = 2 if kind else 1
        return text[: place.start(group)] + value + text[place.end(group) :]
    lines = text.split("\n")
    line = lines.pop(chance.randrange(len(lines)))
    if kind > 2:
        lines.insert(chance.randrange(len(lines)), line)
    return "\n".join([*lines, line] if kind == 4 else lines)


def damage_table(text: str, chance: random.Random) -> str:
    """Return a comma-separated text with a field or a character changed."""
    place = chance.randrange(len(text))
    if chance.random() < 0.5:
        return text[:place] + chance.choice(',;\n\t-1aE.\0"') + text[place + chance.randrange(2) :]
    fields = text.split(",")
    fields[chance.randrange(len(fields))] = chance.choice(VALUES)
    return ",".join(fields)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files(tmp_path, seed):
    chance, complaints = random.Random(seed), []
    shipped = shipped_agent_models()["celyvir_tumour"]
    texts = {"m.xml": shipped.read_text("utf-8"), "rules.csv": (shipped.parent / "rules.csv").read_text("utf-8")}
    texts["cells.csv"] = CELLS
    for _ in range(40):
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        name = chance.choice(sorted(texts))
        change = damage if name == "m.xml" else damage_table
        (tmp_path / name).write_text(change(texts[name], chance), encoding="utf-8")
        try:
            model = load_agents(tmp_path / "m.xml", compatibility=chance.choice(["", PHYSICELL]))
        except InputError as error:
            complaints.append(str(error))
            continue
        compile_rules(model)
        assert all(isinstance(text, str) for text in warnings(model))
    assert all(": found " in text and ", expected " in text for text in complaints)
    assert 5 < len(complaints) < 40  # both happen

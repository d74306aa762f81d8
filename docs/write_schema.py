"""Writes `docs/scenario.schema.json`, the JSON Schema of scenario files, for editors.

Run `python docs/write_schema.py` after every change of `atmpsim.scenario.schema`.
"""

from __future__ import annotations

import json
from pathlib import Path

from atmpsim.scenario.schema import json_schema

if __name__ == "__main__":
    target = Path(__file__).with_name("scenario.schema.json")
    target.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

"""What every table of a scenario shares: no unknown key, nothing converted silently, quantities as texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

QuantityText = Annotated[
    str, Field(description="A number with its unit, such as '36 h' or '0.3 1' (a pure number has the unit 1).")
]


class Strict(BaseModel):
    """A table that accepts exactly its own keys and types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

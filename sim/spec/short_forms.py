"""What an editor is told of a field that may be written in more forms than its type shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import core_schema

from sim.spec import catalog
from sim.units import DIMENSIONS


# Pydantic hashes what stands in an annotation, and a dictionary has no hash: each mark is equal to itself alone.
@dataclass(frozen=True, slots=True, eq=False)
class AlsoWritten:
    """Mark a field with the JSON Schemas of its other forms: `Annotated[Budget, AlsoWritten((quantity("flop"),))]`.

    The forms are plain data, so that a start does not pay for them.
    """

    forms: tuple[dict[str, Any], ...]

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Offer the other forms before the type itself."""
        own = handler(schema)
        return {"anyOf": [*self.forms, *own.get("anyOf", [own])]}


@dataclass(frozen=True, slots=True)
class NameOf:
    """Mark a name as one of the catalogue's, so that editors and `sim explain` list them: `Annotated[Slug, ...]`."""

    kind: str
    """A kind of entries, such as recipes."""

    def words(self) -> tuple[str, ...]:
        """List the names."""
        return catalog.names(self.kind)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Offer the names."""
        return {"type": "string", "enum": list(self.words())}


def quantity(*dimensions: str) -> dict[str, Any]:
    """Describe a number with its unit, of any of some dimensions.

    >>> quantity("flop", "token")["examples"]
    ['1e26 FLOP', '15.6e12 tokens']
    """
    shapes = [DIMENSIONS[dimension] for dimension in dimensions]
    unit = " or ".join(shape.unit for shape in shapes)
    return {"type": "string", "x-unit": unit, "examples": [shape.example for shape in shapes]}

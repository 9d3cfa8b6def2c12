"""Write data as YAML with a comment on every key of its schema: meaning, unit, choices, default and its source.

What is not given stands as a default behind a `#` without a space, so that taking the mark away changes nothing.
"""

from __future__ import annotations

import contextlib
import math
import textwrap
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from sim.errors import ScenarioError
from sim.spec.defaults import DEFAULTS
from sim.spec.docstrings import field_docstrings
from sim.spec.quantity import FrozenModel, Quantity, Sourced, SourcedQuantity
from sim.spec.schema import models_at
from sim.spec.short_forms import NameOf
from sim.spec.yaml import loads
from sim.units import DIMENSIONS, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

WIDTH = 100
"""Columns of a comment."""
_DIGITS = 9
Path = tuple[str | int, ...]


def annotate(schema: type[FrozenModel], data: Mapping[str, Any], examples: Mapping[str, Any]) -> str:
    """Write data of a schema with comments.

    Args:
        schema: what the data are.
        data: the values that are given.
        examples: by the name of a key, what is shown where there is neither a value nor a default.

    """
    return "\n".join(_Writer(schema, examples).mapping(data, (), 0)) + "\n"


def write_default(value: object, dimension: str) -> str:
    """Write a default so that reading it gives the same number again, as short as that goes.

    >>> write_default(19.7e-6 / 3600, "per_s"), write_default(600.0, "second"), write_default("auto", "")
    ('1.97e-5/h', '600 s', 'auto')
    """
    if not dimension or isinstance(value, str | bool) or not isinstance(value, int | float):
        return scalar(value)
    texts = [text for unit in _units(dimension) if (text := _in_unit(float(value), unit, dimension))]
    return min(texts, key=lambda text: (len(text), text), default=scalar(value))


class _Writer:
    """Walk through data and schema together."""

    def __init__(self, schema: type[FrozenModel], examples: Mapping[str, Any]) -> None:
        self.schema = schema
        self.examples = examples

    def mapping(self, data: Mapping[str, Any], at: Path, indent: int, *, bare: bool = False) -> list[str]:
        """Write one record: each key of its schema, given or not; bare leaves out comments and defaults."""
        model = next((found for found in models_at(self.schema, at) if set(data) <= set(found.model_fields)), None)
        if model is None or bare:
            # What a node may say hangs on its kind, so graphs are written as they are.
            bare = bare or any(found.model_config.get("extra") == "allow" for found in models_at(self.schema, at))
            return [line for key, value in data.items() for line in self._given(key, value, at, indent, bare=bare)]
        lines: list[str] = []
        for key, field in model.model_fields.items():
            if key not in data and is_absent_record(field):
                continue
            lines += self._comment(model, key, field, at, indent)
            lines += self._given(key, data[key], at, indent) if key in data else self._default(key, field, at, indent)
        return lines

    def _given(self, key: str, value: object, at: Path, indent: int, *, bare: bool = False) -> list[str]:
        inside, head = (*at, key), f"{' ' * indent}{key}:"
        if isinstance(value, dict):
            return [head, *self.mapping(value, inside, indent + 2, bare=bare)]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = [head]
            for index, item in enumerate(value):
                lines += _as_item(self.mapping(item, (*inside, index), indent + 4, bare=bare or index > 0), indent + 2)
            return lines
        return [f"{head} {scalar(value)}"]

    def _default(self, key: str, field: FieldInfo, at: Path, indent: int) -> list[str]:
        """Write the default behind a mark that is taken away to change it."""
        value = field.get_default(call_default_factory=True)
        if isinstance(value, FrozenModel):
            inside = self._record(value, (*at, key), 2)
        elif isinstance(value, tuple) and value and isinstance(value[0], FrozenModel):
            inside = []
            value = [item.model_dump(mode="json", exclude_none=True) for item in value]
        else:
            inside = []
        if inside:
            text = f"{key}:"
        elif value is None:
            dimension = _dimension(field)
            example = DIMENSIONS[dimension].example if dimension else None
            text = f"{key}: {scalar(self.examples.get(key, example))}"
        else:
            text = f"{key}: {write_default(value, _dimension(field))}"
        return [f"{' ' * indent}#{line}" for line in (text, *inside)]

    def _record(self, record: FrozenModel, at: Path, indent: int) -> list[str]:
        """Write a record that is itself a default."""
        lines: list[str] = []
        for key, field in type(record).model_fields.items():
            lines += self._comment(type(record), key, field, at, indent)
            lines.append(f"{' ' * indent}{key}: {write_default(getattr(record, key), _dimension(field))}")
        return lines

    def _comment(self, model: type[BaseModel], key: str, field: FieldInfo, at: Path, indent: int) -> Iterator[str]:
        text = [field_docstrings(model).get(key, "")]
        if dimension := _dimension(field):
            shape = DIMENSIONS[dimension]
            text.append(f"{shape.noun[0].upper()}{shape.noun[1:]}, like {shape.example}.")
        if words := choices(field.annotation):
            text.append(f"One of {', '.join(words)}.")
        # A record is told by its own keys where those follow, and one that is too long by `sim schema`.
        if not isinstance(field.default, FrozenModel):
            parts = [part for part in models_at(self.schema, (*at, key)) if part is not Sourced]
            keys = (", ".join(part.model_fields) for part in parts if len(part.model_fields) <= _SHORT)
            text += [f"Or a mapping of {each}." for each in keys if get_origin(field.annotation) is not tuple]
        known = DEFAULTS.get(".".join(str(step) for step in (*at, key) if step not in {"workloads", 0}))
        if known is not None:
            text.append(f"Source of the default: {known.source}.")
        width = max(WIDTH - indent, WIDTH // 2)
        for line in textwrap.wrap(" ".join(filter(None, text)), width, break_on_hyphens=False, break_long_words=False):
            yield f"{' ' * indent}# {line}"


_SHORT = 10
"""Keys of a record that a comment lists."""


def _as_item(lines: list[str], indent: int) -> list[str]:
    """Make the lines of a mapping an entry of a list: the dash before its first key, comments above it."""
    first = next(index for index, line in enumerate(lines) if not line.lstrip().startswith("#"))
    above = [line[2:] for line in lines[:first]]
    return [*above, f"{' ' * indent}- {lines[first].lstrip()}", *lines[first + 1 :]]


def _dimension(field: FieldInfo) -> str:
    """Find the dimension that a field is written in; none for names, choices and plain numbers."""
    return next((found.dimension for found in _quantities((*field.metadata, field.annotation))), "")


def _quantities(parts: tuple[object, ...]) -> Iterator[Quantity]:
    for part in parts:
        if isinstance(part, Quantity):
            yield part
        elif isinstance(part, SourcedQuantity):
            yield part.quantity
        else:
            yield from _quantities((*getattr(part, "__metadata__", ()), *get_args(part)))


def choices(annotation: object) -> tuple[str, ...]:
    """Give the words that a field is one of; none where it is more than a choice, or a name of the catalogue."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal and len(arguments) > 1:
        return tuple(str(choice) for choice in arguments)
    named = (mark for part in arguments for mark in getattr(part, "__metadata__", ()) if isinstance(mark, NameOf))
    if (mark := next(named, None)) is not None:
        return mark.words()
    inner = [argument for argument in arguments if argument is not type(None)]
    return choices(inner[0]) if len(inner) == 1 and get_origin(annotation) is not tuple else ()


def is_absent_record(field: FieldInfo) -> bool:
    """Tell whether a field holds a record or a list and, where it is not given, nothing: another kind of workload."""
    if field.default is not None:
        return False
    inner = [argument for argument in get_args(field.annotation) if argument is not type(None)]
    kinds = [get_args(each)[0] if hasattr(each, "__metadata__") else each for each in inner]
    if len(kinds) != 1:
        return False
    return get_origin(kinds[0]) is tuple or (isinstance(kinds[0], type) and issubclass(kinds[0], FrozenModel))


def _units(dimension: str) -> list[str]:
    shape = DIMENSIONS[dimension]
    return list(dict.fromkeys(["", shape.example.lstrip("0123456789.e+-").strip(), *shape.ladder.split()]))


def _in_unit(value: float, unit: str, dimension: str) -> str:
    """Write a number in one unit; empty where that would lose digits."""
    if not unit and not DIMENSIONS[dimension].bare:
        return ""
    one = parse(f"1{unit}" if unit.startswith("/") else f"1 {unit}".strip(), dimension)
    number = f"{value / one:.{_DIGITS}g}".replace("e+", "e").replace("e-0", "e-")
    text = f"{number}{unit}" if unit.startswith("/") else f"{number} {unit}".strip()
    return text if math.isclose(parse(text, dimension), value, rel_tol=1e-12) else ""


def scalar(value: object) -> str:
    """Write a value so that YAML reads the same again."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {scalar(item)}' for key, item in value.items())}}}"
    text = str(value)
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}".replace("e+", "e")
    if not isinstance(value, str):
        return text
    # Read back in a list, where more has a meaning than behind a key.
    with contextlib.suppress(ScenarioError):
        if loads(f"[{text}]").data == [text]:
            return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

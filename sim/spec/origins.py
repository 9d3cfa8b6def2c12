"""Say of every value of a scenario who set it: a line of the file, --set, or a default; and write it out whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as OnDisk
from typing import TYPE_CHECKING, Any, Literal, get_args

from sim.errors import SimError
from sim.spec.annotate import scalar, write_default
from sim.spec.beside import FilePath
from sim.spec.defaults import DEFAULTS
from sim.spec.distribution import Distribution
from sim.spec.document import printable
from sim.spec.load import read_scenario
from sim.spec.quantity import Amount, FrozenModel, Quantity, Sourced, SourcedQuantity
from sim.spec.yaml import loads
from sim.units import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from sim.spec.document import Document, Path
    from sim.spec.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Origin:
    """One value of a scenario and where it comes from."""

    path: str
    """Dotted, with the index of each list: workloads.0.training.batch."""
    text: str
    """The value as a file writes it, with its unit."""
    given_by: Literal["user", "default"]
    where: str
    """Place in the file, "--set" or the source of the default; empty where a default has none."""

    def to_dict(self) -> dict[str, str]:
        """Give it as JSON."""
        return {"path": self.path, "text": self.text, "given_by": self.given_by, "where": self.where}


def origins(scenario: Scenario, document: Document | None = None) -> tuple[Origin, ...]:
    """List every value of a scenario; places in the file are known where its document is given."""
    return tuple(_rows(scenario, (), document, given=True))


def resolved(scenario: Scenario, rows: tuple[Origin, ...] = ()) -> str:
    """Write a scenario with every default filled in, each line with its origin; it reads back as the same scenario."""
    said = {row.path: row for row in rows or origins(scenario)}
    data = _data(scenario)
    assert isinstance(data, dict)
    _leave_unnamed(scenario, data)
    text = _written(["# Every default is filled in. Behind each value: who set it."], data, said)
    if _reads_back(text):
        return text
    # Some rules allow two keys only where one of them is left to its default: such parts keep what was given.
    for place in _parts(data):
        _at(data, place[:-1])[place[-1]] = _data(_at(scenario, place), given_only=True)
        head = ["# Defaults are filled in, but in parts where keys exclude each other. Behind each value: who set it."]
        text = _written(head, data, said)
        if _reads_back(text):
            break
    return text


def _leave_unnamed(scenario: Scenario, data: dict[str, Any]) -> None:
    """Leave out a software profile that nobody named: naming one says that it is known, and narrows the interval."""
    for place, workload in enumerate(scenario.workloads):
        training = workload.training
        if training is not None and "profile" not in training.model_fields_set:
            del data["workloads"][place]["training"]["profile"]


def _written(head: list[str], data: dict[str, Any], said: dict[str, Origin]) -> str:
    return "\n".join([*head, *_mapping(data, (), 0, said)]) + "\n"


def _reads_back(text: str) -> bool:
    try:
        read_scenario(loads(text, "the resolved scenario"))
    except SimError:
        return False
    return True


def _parts(data: dict[str, Any]) -> list[Path]:
    """List the records below the first level: each service, tool and graph, each workload."""
    named: list[Path] = [
        (key, name) for key in ("services", "tools", "graphs", "tenants") for name in data.get(key) or {}
    ]
    work: list[Path] = [("workloads", place, kind) for place, each in enumerate(data["workloads"]) for kind in each]
    return [*named, *work]


def _at(value: Any, path: Path) -> Any:  # noqa: ANN401 - a record, or plain data
    for step in path:
        value = getattr(value, str(step)) if isinstance(value, FrozenModel) else value[step]
    return value


def unindexed(path: str) -> str:
    """Give the path of a field as assumptions and defaults name it.

    >>> unindexed("workloads.0.training.batch")
    'training.batch'
    """
    return ".".join(step for step in path.split(".") if step != "workloads" and not step.isdigit())


def _rows(value: object, at: Path, document: Document | None, *, given: bool, dimension: str = "") -> Iterator[Origin]:
    if isinstance(value, FrozenModel) and not isinstance(value, Sourced):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            if inner is None or inner in ({}, ()):
                continue
            inside = given and name in value.model_fields_set
            yield from _rows(inner, (*at, name), document, given=inside, dimension=dimension_of_field(field))
        for name, inner in (value.model_extra or {}).items():  # nodes of a graph: keys of the user's own
            yield from _rows(inner, (*at, name), document, given=given)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _rows(inner, (*at, str(name)), document, given=given, dimension=dimension)
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from _rows(inner, (*at, index), document, given=given, dimension=dimension)
    else:
        path = ".".join(str(step) for step in at)
        known = DEFAULTS.get(unindexed(path))
        where = str(document.position(at)) if given and document is not None else ""
        if not given and known is not None:
            where = known.source
        yield Origin(path, _text(value, dimension), "user" if given else "default", where)


def _mapping(data: dict[str, Any], at: Path, indent: int, said: dict[str, Origin]) -> Iterator[str]:
    for key, value in data.items():
        head, inside = f"{' ' * indent}{key}:", (*at, key)
        if isinstance(value, dict) and value:
            yield head
            yield from _mapping(value, inside, indent + 2, said)
        elif isinstance(value, list) and value and all(isinstance(item, dict) and item for item in value):
            yield head
            for index, item in enumerate(value):
                first, *rest = _mapping(item, (*inside, index), indent + 4, said)
                yield f"{' ' * (indent + 2)}- {first.lstrip()}"
                yield from rest
        else:
            yield f"{head} {scalar(value)}{_remark(inside, said)}"


def _remark(at: Path, said: dict[str, Origin]) -> str:
    """Give the comment that says who set a value; of a list the origin of its first entry."""
    path = ".".join(str(step) for step in at)
    row = said.get(path) or said.get(f"{path}.0") or said.get(f"{path}.value")
    if row is None:
        return ""
    by = "given" if row.given_by == "user" else "default"
    remark = f"{by}: {row.where}" if row.where else by
    return f"  # {' '.join(printable(remark).split())}"


def _data(value: object, dimension: str = "", *, given_only: bool = False) -> object:
    """Give plain data that a file can hold, quantities with their units."""
    if isinstance(value, Sourced):
        fields = {name: getattr(value, name) for name in ("source", "status", "date", "note")}
        written = {name: each for name, each in fields.items() if each is not None}
        return {"value": write_default(value.value, value.dimension), **written}
    if isinstance(value, FrozenModel):
        found: dict[str, object] = {}
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            if inner is None or inner in ({}, ()) or (given_only and name not in value.model_fields_set):
                continue
            found[name] = _data(inner, dimension_of_field(field), given_only=given_only)
        return found | {name: _data(inner) for name, inner in (value.model_extra or {}).items()}
    if isinstance(value, dict):
        return {str(name): _data(inner, dimension, given_only=given_only) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_data(inner, dimension, given_only=given_only) for inner in value]
    return _datum(value, dimension)


def _datum(value: object, dimension: str) -> object:
    if isinstance(value, Amount):
        return write_default(value.value, value.dimension)
    if isinstance(value, Distribution):
        return _drawn(value)
    if isinstance(value, FilePath):
        # The record lies elsewhere than the scenario, and is read from anywhere.
        return str(OnDisk(value).absolute())
    if isinstance(value, float) and dimension and not DIMENSIONS[dimension].bare:
        return write_default(value, dimension)
    return value


def _drawn(value: Distribution) -> object:
    """Write a distribution in the form in which it is read."""
    numbers = [_data(number, value.dimension) for number in value.values]
    if value.kind == "fixed":
        return numbers[0]
    if value.kind == "lognormal":
        return {"lognormal": {"median": numbers[0], "p95": numbers[1]}}
    return {value.kind: numbers[0] if value.kind == "exponential" else numbers}


def _text(value: object, dimension: str) -> str:
    if isinstance(value, Distribution):
        return str(_drawn(value))
    if isinstance(value, Sourced):
        return write_default(value.value, value.dimension)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Amount):
        return write_default(value.value, value.dimension)
    return write_default(value, dimension) if isinstance(value, float) and dimension else str(value)


def dimension_of_field(field: FieldInfo) -> str:
    """Find the dimension of a field that is a quantity; none for names, choices and plain numbers."""
    return next((found.dimension for found in _quantities((*field.metadata, field.annotation))), "")


def _quantities(parts: tuple[Any, ...]) -> Iterator[Quantity]:
    for part in parts:
        if isinstance(part, Quantity):
            yield part
        elif isinstance(part, SourcedQuantity):
            yield part.quantity
        else:
            yield from _quantities((*getattr(part, "__metadata__", ()), *get_args(part)))

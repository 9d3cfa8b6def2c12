"""Explain a figure of a result: its value, the formula behind it, each input with its source, and who set it where."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sim.results.answer import unit as unit_of
from sim.results.counted import counted
from sim.results.dimensions import dimension_of, dimension_of_unit, shown
from sim.results.extras import has_extra
from sim.results.formulas import (
    BY_SIMULATION,
    EXPECTED,
    NOT_BY_SIMULATION,
    OF_SERVICES,
    RUN,
    TRAINING,
    UNDISTURBED,
    Formula,
)
from sim.results.quantities import assumed, find, quantities
from sim.results.stored import StoredTables, query
from sim.results.words import duration

if TYPE_CHECKING:
    from sim.results.record import Record

_OWNED = ("services", "tools", "graphs", "tenants")
GIVEN = "given in the scenario"
MOST_BEARING = 24
"""Values of the user that are listed with a figure that a simulation counts."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a formula."""

    path: str
    value: float | str
    shown: str
    given_by: str
    """"computed" for a figure of the result; "user", "default" or "catalogue" for what was assumed."""
    source: str
    set_at: str
    """Line of the scenario that set it, or the field whose default it is."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "path": self.path,
            "value": self.value,
            "given_by": self.given_by,
            "source": self.source,
            "set_at": self.set_at,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about one figure."""

    path: str
    value: float | str
    shown: str
    dimension: str
    meaning: str
    formula: str
    computed: float | None
    """What the formula gives from the inputs, or the query from the tables; None where it is more than that."""
    inputs: tuple[Input, ...]
    source: str
    set_at: str
    sql: str = ""
    """A query over the tables of the record that gives the value; empty where none does."""
    rows: int | None = None
    """Of how many rows the query is, where it was run."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "path": self.path,
            "value": self.value,
            "unit": unit_of(self.dimension),
            "meaning": self.meaning,
            "formula": self.formula,
            "computed": self.computed,
            "inputs": [each.to_dict() for each in self.inputs],
            "source": self.source,
            "set_at": self.set_at,
            "sql": self.sql,
            "rows": self.rows,
        }


def explain(record: Record, name: str) -> Explanation:
    """Explain one figure, or one value that was assumed.

    Raises:
        UsageError: the result has no such figure.

    """
    path = find(record, name)
    figures, rows = quantities(record), assumed(record)
    if path not in figures:
        row = rows[path]
        each = _assumption(record, row)
        return Explanation(
            path,
            each.value,
            each.shown,
            dimension_of_unit(row["unit"]),
            "A value that was assumed.",
            "",
            None,
            (),
            each.source,
            each.set_at,
        )
    value = figures[path]
    formula, matched = formula_of(record, path)
    inputs = tuple(_input(record, each) for each in _paths(record, formula, matched))
    if not inputs and path in (record.result.get("values") or {}):
        inputs = _bearing(record, path)
    numbers = [each.value for each in inputs]
    computed = None
    if (
        formula.evaluate is not None
        and len(inputs) >= len(formula.inputs)
        and all(isinstance(number, int | float) for number in numbers)
    ):
        computed = formula.evaluate(*numbers)
    sql, rows_counted = sql_of(record, path), None
    if sql and isinstance(record.tables, StoredTables) and has_extra("duckdb"):
        _, ((computed, rows_counted),) = query(record.tables.folder, sql)
    dimension = dimension_at(record, path)
    return Explanation(
        path,
        value,
        say(value, dimension),
        dimension,
        formula.meaning,
        formula.text,
        computed,
        inputs,
        formula.source,
        "",
        sql,
        rows_counted,
    )


def sql_of(record: Record, path: str) -> str:
    """Give a query over the tables of the record that gives a figure and the number of rows it is of, if there is."""
    found = None if record.is_training else counted(record, path)
    return "" if found is None else found.sql


def formula_of(record: Record, path: str) -> tuple[Formula, str]:
    """Give the formula of a figure, and the name that its ? stands for."""
    table = TRAINING if record.is_training else RUN | (OF_SERVICES if _is_of_services(record) else {})
    for pattern, formula in table.items():
        head, mark, tail = pattern.partition("?")
        if not mark and pattern != path:
            continue
        if mark and not (path.startswith(head) and path.endswith(tail) and len(path) > len(head) + len(tail)):
            continue
        name = path[len(head) : len(path) - len(tail)] if mark else ""
        if pattern == EXPECTED and "cluster.failure_rate" not in assumed(record):
            return UNDISTURBED, name
        if pattern in NOT_BY_SIMULATION and _is_by_simulation(record):
            text = f"mean over simulated seeds, since spare nodes may run out; without that: {formula.text}"
            return Formula(formula.meaning, text, formula.inputs, None, formula.source), name
        if pattern == "parts.?" and record.is_training and f"plan.step_parts.{name}" not in quantities(record):
            continue
        return formula, name
    return _of_a_run(record, path), ""


def say(value: float, dimension: str) -> str:
    """Write a value as people read it; long times in days."""
    if dimension == "second" and value >= 1:
        return duration(value)
    return shown(value, dimension)


def _of_a_run(record: Record, path: str) -> Formula:
    """Say what a figure of services, tasks, tools or jobs is, and how it was counted."""
    head, _, rest = path.partition(".")
    meaning = f"{head}: {rest.replace('.', ', ').replace('_', ' ')}." if rest else f"{path.replace('_', ' ')}."
    found = counted(record, path)
    return Formula(meaning, "counted by the simulation" if found is None else found.rule)


def _is_of_services(record: Record) -> bool:
    """Tell whether services have the cluster to themselves, and no tool costs anything."""
    paths = [str(row["path"]).split(".") for row in record.result.get("origins") or ()]
    kinds = {path[2] for path in paths if path[0] == "workloads" and len(path) > 2}  # noqa: PLR2004 - head, place, kind
    return any(path[0] == "services" for path in paths) and not kinds & {"jobs", "training"}


def _is_by_simulation(record: Record) -> bool:
    return any(part["name"] in BY_SIMULATION for part in record.result.get("parts") or ())


def _paths(record: Record, formula: Formula, name: str) -> list[str]:
    known = [*quantities(record), *assumed(record)]
    found: list[str] = []
    for each in formula.inputs:
        wanted = each.replace("?", name)
        if "*" in wanted:
            found += [path for path in known if fnmatchcase(path, wanted)]
        elif wanted in known or wanted in _texts(record):
            found.append(wanted)
    return found


def _texts(record: Record) -> dict[str, str]:
    """Give what a formula may need and is no number."""
    layout = (record.result.get("plan") or {}).get("layout") or {}
    return {f"plan.layout.{name}": str(value) for name, value in layout.items() if isinstance(value, str)}


def _input(record: Record, path: str) -> Input:
    figures, rows = quantities(record), assumed(record)
    if path in figures:
        return Input(path, figures[path], say(figures[path], dimension_at(record, path)), "computed", "", "")
    if path in rows:
        return _assumption(record, rows[path])
    text = _texts(record)[path]
    return Input(path, text, text, "computed", "", "")


def _bearing(record: Record, path: str) -> tuple[Input, ...]:
    """Give what the user said of the thing that a figure is about, of the work and of the machine."""
    heads = ("cluster", "workloads", "policy", *(f"{kind}.{path.split('.', maxsplit=1)[0]}" for kind in _OWNED))
    return tuple(
        Input(row["path"], row["text"], row["text"], "user", GIVEN, row["where"])
        for row in record.result.get("origins") or ()
        if row["given_by"] == "user" and row["path"].startswith(heads)
    )[:MOST_BEARING]


def _assumption(record: Record, row: dict[str, Any]) -> Input:
    value = row["value"]
    dimension = dimension_of_unit(row["unit"])
    if isinstance(value, str):
        text = value
    elif str(row["path"]).endswith("failure_rate"):
        text = f"{value * 3600e6:.3g} per 1e6 device-hours"
    else:
        text = say(float(value), dimension)
    given_by, path = str(row["given_by"]), str(row["path"])
    # A default is set by no line; a value of the catalogue by the line that names the entry.
    place = set_at(record, path) if given_by != "default" else ""
    return Input(path, value, text, given_by, str(row["source"]), place)


def set_at(record: Record, path: str) -> str:
    """Say which line of the scenario set a value: its own, or that of the nearest field around it.

    A catalogue value is set by the line that names the entry; a default by no line.
    """
    rows = {_unindexed(row["path"]): row for row in record.result.get("origins") or ()}
    steps = path.split(".")
    for length in range(len(steps), 0, -1):
        row = rows.get(".".join(steps[:length]))
        if row is not None:
            exact = row["path"] if length == len(steps) else f"{row['path']} = {row['text']}"
            return f"{row['where'] or 'the scenario'}: {exact}" if row["given_by"] == "user" else f"default of {exact}"
    return ""


def _unindexed(path: str) -> str:
    return ".".join(step for step in path.split(".") if step != "workloads" and not step.isdigit())


def dimension_at(record: Record, path: str) -> str:
    """Give the dimension of a figure; "ratio" for a plain number."""
    given = dict((record.result.get("shown") or {}).get("values") or ())
    if path in given:
        return str(given[path])
    values = record.result.get("values") or {}
    if path in values:
        unit = str(values[path]["unit"])
        return dimension_of_unit(unit) if unit else dimension_of(path)
    if path.startswith(("parts.", "plan.step_parts.", "levers.", "simulated.parts.")):
        return "second"
    if path.startswith(("utilization.", "simulated.utilization.")):
        return "fraction"
    if path.endswith((".operations", ".bits16", ".device_time16", ".flop")) or ".flop." in path:
        return "flop"
    if path.startswith("plan.memory_bytes."):
        return "byte"
    if path.endswith(("tokens", ".trained", ".lost")):
        return "token"
    return dimension_of(path)

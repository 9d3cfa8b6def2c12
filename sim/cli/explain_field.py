"""What the scenario language and the errors mean, read from the schema and from the code."""

from __future__ import annotations

from typing import Any

from sim.errors import UsageError

Facts = list[tuple[str, str]]
EXIT_CODES = {
    0: "done",
    1: "a bug of ours; the traceback is in a file that the message names",
    2: "bad usage, or a scenario that is wrong",
    3: "simulated, but a target that the scenario states was missed",
    4: "infeasible: it does not fit, or no legal plan exists; the message names the nearest feasible one",
    5: "stopped by a limit; the message names it and how to raise it",
    130: "interrupted by Ctrl-C",
    141: "the reader of the output went away",
}
NEAR = 4
DEEPEST = 6
"""Steps of a path that are listed; what is deeper is found by its own path all the same."""


def error_lines(name: str) -> Facts:
    """Say what an error or an exit code means; nothing where the name is neither."""
    code = name.lower().removeprefix("exit").strip(" -_code")
    if code.isdigit() and int(code) in EXIT_CODES:
        errors = ", ".join(
            each for each, kind in error_kinds().items() if kind.exit_code == int(code) and each != "SimError"
        )
        facts = [("", f"exit code {code}: {EXIT_CODES[int(code)]}")]
        return [*facts, ("errors", errors)] if errors else facts
    kind = error_kinds().get(name)
    if kind is None:
        return []
    said = " ".join((kind.__doc__ or "").split())
    return [
        ("", f"{name}: {said}"),
        ("exit", f"{kind.exit_code}: {EXIT_CODES[kind.exit_code]}"),
        ("message", "the rule that was broken, the value that broke it, where it stands, and how to mend it"),
    ]


def field_lines(path: str) -> Facts:
    """Say what a field of the scenario language means: description, unit, default with its source, choices.

    Raises:
        UsageError: the language has no such field.

    """
    from sim.spec.annotate import choices, write_default
    from sim.spec.defaults import DEFAULTS
    from sim.spec.origins import dimension_of_field, unindexed
    from sim.spec.schema import about
    from sim.units import DIMENSIONS

    location, owner, field = _find(path)
    name = ".".join(str(step) for step in location)
    facts: Facts = [("", name), ("means", about(owner, (str(location[-1]),)) or "(no description)")]
    dimension = dimension_of_field(field)
    if dimension:
        shape = DIMENSIONS[dimension]
        facts.append(("is", f"{shape.noun}, like {shape.example}{f'; in SI: {shape.unit}' if shape.unit else ''}"))
    if words := choices(field.annotation):
        facts.append(("one of", ", ".join(words)))
    known = DEFAULTS.get(unindexed(name))
    if field.is_required():
        facts.append(("default", "none: it must be given"))
    elif known is not None:
        dimension_known = known.dimension if known.dimension in DIMENSIONS else ""
        facts.append(("default", write_default(known.value, dimension_known)))
        facts.append(("source", known.source))
    elif (
        field.default is not None and not hasattr(type(field.default), "model_fields") and field.default_factory is None
    ):
        facts.append(("default", write_default(field.default, dimension)))
    parts = _parts(location)
    if parts:
        facts.append(("fields", ", ".join(parts)))
    example = f"sim run SCENARIO.yaml --set {name}={DIMENSIONS[dimension].example!r}" if dimension else ""
    return [*facts, ("change", example)] if example else facts


def error_kinds() -> dict[str, Any]:
    """Give the classes of errors by name, the base of all first."""
    from sim import errors

    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.SimError)
    }


def _find(path: str) -> tuple[tuple[str | int, ...], Any, Any]:
    """Give the place of a field, the record that has it, and the field."""
    from sim.spec.scenario import Scenario
    from sim.spec.schema import models_at

    # As assumptions name it, training.batch stands below its workload; entries of lists need no index.
    steps = [step for step in path.split(".") if step and not step.isdigit()]
    heads: tuple[tuple[str | int, ...], ...] = ((), ("workloads", 0))
    for head in heads:
        location = _locate(steps, head)
        if location:
            last = str(location[-1])
            owner = next(model for model in models_at(Scenario, location[:-1]) if last in model.model_fields)
            return location, owner, owner.model_fields[last]
    raise _unknown(path)


def _locate(steps: list[str], location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Find the place that steps lead to, through lists and names of one's own; nothing where they lead nowhere."""
    if not steps:
        return location if isinstance(location[-1], str) and location[-1] in _parts(location[:-1]) else ()
    first, *rest = steps
    for inner in ((*location, first), (*location, 0, first)):
        if first in _parts(inner[:-1]) or (not _parts(inner[:-1]) and _parts(inner)):
            found = _locate(rest, inner)
            if found:
                return found
    return ()


def _unknown(path: str) -> UsageError:
    from difflib import get_close_matches

    known = [*every_field(), *error_kinds()]
    last = path.rpartition(".")[2]
    near = [each for each in known if each.rpartition(".")[2] == last] or get_close_matches(
        path, known, n=NEAR, cutoff=0.5
    )
    mend = f"did you mean {', '.join(near[:NEAR])}?" if near else "sim schema scenario lists every field"
    return UsageError("there is no such record, field or error", value=path, where="sim explain", mend=mend)


def every_field() -> list[str]:
    """List the fields of the language as people type them; NAME stands for a name of one's own."""
    found: list[str] = []
    queue: list[tuple[str | int, ...]] = [()]
    while queue:
        location = queue.pop(0)
        for name in _parts(location):
            inner = (*location, name)
            found.append(".".join(str(step) for step in inner if step not in ("workloads", 0)) or "workloads")
            below = next((each for each in (inner, (*inner, "NAME"), (*inner, 0)) if _parts(each)), None)
            if below is not None and len(below) <= DEEPEST:
                queue.append(below)
    return list(dict.fromkeys(found))


def _parts(location: tuple[str | int, ...]) -> list[str]:
    from sim.spec.quantity import Sourced
    from sim.spec.scenario import Scenario
    from sim.spec.schema import models_at

    models = [model for model in models_at(Scenario, location) if model is not Sourced]
    return list(dict.fromkeys(name for model in models for name in model.model_fields))

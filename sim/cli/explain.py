"""`sim explain`: a figure of a result, a field of the scenario language, or an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output
from sim.errors import UsageError

if TYPE_CHECKING:
    from sim.results.explain import Explanation
    from sim.results.record import Record

HEAD_WIDTH = 42
MOST_INPUTS = 14
"""Inputs that are drawn on the terminal."""


def explain(
    what: Annotated[
        str,
        typer.Argument(
            help="A record (folder or result.json), a field such as training.batch, or an error such as "
            "InfeasibleError or exit-4.",
            show_default=False,
        ),
    ],
    quantity: Annotated[
        str,
        typer.Argument(
            help="A figure of the record: energy_j, mfu_run; task.3 for one task; nothing lists them.",
            show_default=False,
        ),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Explain a figure of a result, a field of a scenario, or an error.

    A figure comes with its formula, the inputs with their sources, and the lines of the scenario that set them.
    Examples: sim explain DIR energy_j; sim explain DIR task.3; sim explain cluster.failure_rate; sim explain exit-4
    """
    if Path(what).exists() or what.endswith(".json") or quantity:
        from sim.results.record import read

        record = read(what)
        if quantity in ("task", "tasks"):
            raise UsageError("a task is named by its number", value=quantity, mend=f"sim explain {what} task.0")
        if quantity.startswith("task."):
            _task(record, quantity, json=json)
        elif quantity:
            _figure(record, what, quantity, json=json)
        else:
            _list(record, what, json=json)
        return
    from sim.cli.explain_field import error_lines, field_lines

    found = error_lines(what) or field_lines(what)
    if json:
        output.write_json({"name": what, "facts": [{"name": name, "text": text} for name, text in found]})
        return
    for name, text in found:
        output.write(output.wrapped(text, f"{name:<10}") if name else output.wrapped(text, ""))


def _figure(record: Record, what: str, quantity: str, *, json: bool) -> None:
    from sim.results.explain import explain as find_out

    found = find_out(record, quantity)
    if json:
        output.write_json(found.to_dict())
        return
    _draw(found, what)


def _task(record: Record, quantity: str, *, json: bool) -> None:
    from sim.cli.run_report import draw_section
    from sim.results.task_timeline import timeline

    found = timeline(record, quantity)
    if json:
        output.write_json(found.to_dict())
        return
    draw_section(found)


def _draw(found: Explanation, what: str) -> None:
    from sim.results.answer import unit
    from sim.results.explain import say

    output.write(
        f"{output.styled(output.printable(found.path), output.BOLD)} = {output.styled(found.shown, output.CYAN)}"
    )
    if isinstance(found.value, float) and unit(found.dimension):
        output.write(f"  {found.value!r} {unit(found.dimension)}")
    output.write(output.wrapped(found.meaning, "  "))
    if found.formula:
        output.write(output.wrapped(found.formula, "  formula   "))
    if found.sql:
        output.write(output.wrapped(f'sim query {what} "{found.sql}"', "  query     "))
    if found.computed is not None:
        over = "" if found.rows is None else f", from {found.rows:,} row{'' if found.rows == 1 else 's'}"
        output.write(f"  gives     {say(found.computed, found.dimension)}{over}")
    if found.source:
        output.write(output.wrapped(found.source, "  source    "))
    if found.set_at:
        output.write(output.wrapped(found.set_at, "  set by    "))
    _draw_inputs(found)
    deeper = next((each.path for each in found.inputs if each.given_by == "computed"), None)
    if deeper:
        output.write(output.wrapped(f"sim explain {what} '{deeper}'", "  next: "))


def _draw_inputs(found: Explanation) -> None:
    from sim.results.explain import GIVEN

    if found.inputs:
        output.write(output.styled("  inputs", output.BOLD))
    for each in found.inputs[:MOST_INPUTS]:
        if each.source == GIVEN:
            text = f"{each.path} = {each.shown}" + (f"  ({each.set_at})" if each.set_at else "")
            output.write(output.wrapped(output.printable(text), "    "))
            continue
        output.write(f"    {each.path:<{HEAD_WIDTH}} {output.printable(each.shown)}")
        if each.given_by != "computed":
            output.write(output.styled(output.wrapped(f"{each.given_by}: {each.source}", " " * 6), output.DIM))
        if each.set_at:
            output.write(output.styled(output.wrapped(f"set by {each.set_at}", " " * 6), output.DIM))
    if len(found.inputs) > MOST_INPUTS:
        output.write(f"    {len(found.inputs) - MOST_INPUTS} more: --json")


def _list(record: Record, what: str, *, json: bool) -> None:
    from sim.results.explain import dimension_at, say
    from sim.results.quantities import assumed, quantities

    figures = quantities(record)
    if json:
        output.write_json(
            {"quantities": figures, "assumed": {path: row["value"] for path, row in assumed(record).items()}}
        )
        return
    for path, value in figures.items():
        output.write(f"{output.printable(path):<58} {say(value, dimension_at(record, path))}")
    output.write(output.wrapped(f"sim explain {what} FIGURE says how it came about", ""))

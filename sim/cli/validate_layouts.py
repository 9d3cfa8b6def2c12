"""`sim validate layouts`: published layouts beside the best that the search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.validate.layouts import Ranked

GIB = 2**30
SHOWN = ("tp", "pp", "virtual_stages", "cp", "dp", "ep")
DEGREES = {"virtual_stages": "v"}


def draw(rows: Sequence[Ranked]) -> None:
    """Print a table: published and best layout, by how much the published one is slower, and why."""
    table = output.table()
    for heading, justify in (("", "left"), ("layout", "left"), ("memory", "right"), ("step", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        planned, within = row.planned, row.within
        assert planned.beside is not None
        table.add_row(row.case.name, style="bold")
        for label, timed in (
            ("published", planned.beside.timed),
            ("best found", planned.survey.best),
            *((("best, their means", within.survey.best),) if within is not None else ()),
        ):
            layout = timed.layouts.row(0)
            degrees = " ".join(f"{DEGREES.get(name, name)}{layout[name]}" for name in SHOWN if layout.get(name, 1) != 1)
            memory = f"{timed.memory.total_bytes[0] / GIB:.0f} GiB"
            table.add_row(f"  {label}", degrees, memory, f"{timed.steps.step_s[0]:.4g} s")
    output.draw(table, folds=False)
    output.write("")
    for row in rows:
        output.write(output.wrapped(_words(row), f"{row.case.name}: "))


def _words(row: Ranked) -> str:
    survey = row.planned.survey
    text = f"{row.loss:.1%} longer than the best found, place {survey.faster + 1:,} of {survey.fitting:,}"
    if row.loss_within is None:
        return f"{text}."
    return f"{text}; {row.loss_within:+.1%} against the best within their means: {row.case.why}."

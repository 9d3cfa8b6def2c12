"""Draw the report of a played scenario on the terminal: the sentence, where device-time went, then its sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cli import output
from sim.cli.answer import BAR, column, time_unit
from sim.cli.columns import Columns
from sim.results.run_report import quantiles
from sim.results.words import amount
from sim.units import DIMENSIONS, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.results.run_report import Column, RunReport, Section
    from sim.results.targets import TargetResult

SMALLEST_SHARE = 0.0005
"""Accounts below it are drawn as one line, "other"; JSON has each."""


def draw(report: RunReport, *, everything: bool = False) -> None:
    """Print a report; with ``everything``, also each assumption with its source."""
    output.write(output.styled(report.name, output.BOLD))
    output.write(output.styled(output.wrapped(report.sentence, ""), output.CYAN))
    for line in _waterfall(report):
        output.write(line)
    for section in report.sections:
        draw_section(section)
    for line in (*_totals(report), *_seeds(report), *target_lines(report.targets)):
        output.write(line)
    if everything:
        for row in report.assumptions:
            output.write(output.wrapped(f"{row.shown} ({row.given_by}: {row.source})", f"  {row.path} = "))
    for command in report.next:
        output.write(output.wrapped(command, "Next: "))


def _waterfall(report: RunReport) -> Iterator[str]:
    total_s = report.wall_clock_s
    if not total_s or not report.parts:
        return
    unit_s, unit = time_unit(total_s)
    shown = [(name, seconds) for name, seconds in report.parts if seconds >= SMALLEST_SHARE * total_s]
    if len(shown) < len(report.parts):
        shown.append(("other", total_s - sum(seconds for _, seconds in shown)))
    largest_s = max(seconds for _, seconds in shown)
    yield output.styled(f"{'Where the device time goes':<40}{unit:>10}{'share':>8}", output.BOLD)
    for name, seconds in shown:
        bar = "█" * max(round(BAR * seconds / largest_s), 0)
        yield f"  {name:<38}{column(seconds / unit_s, total_s / unit_s):>10}{seconds / total_s:>8.1%}  {bar}".rstrip()
    whole = f"{report.devices:,} devices, wall-clock"
    yield f"  {whole:<38}{column(total_s / unit_s, total_s / unit_s):>10}{1:>8.1%}"


def draw_section(section: Section) -> None:
    """Print one table with its title and its note."""
    output.write("")
    output.write(output.styled(section.title, output.BOLD))
    drawing = Columns()
    for place, each in enumerate(section.columns):
        drawing.add_column(
            each.name.replace("_", " "), justify="left" if place == 0 or each.dimension == "bar" else "right"
        )
    for row in section.rows:
        drawing.add_row(*(cell(value, each) for value, each in zip(row, section.columns, strict=True)))
    drawing.draw()
    if section.note:
        output.write(output.styled(output.wrapped(section.note, "  "), output.DIM))


def cell(value: float | str | None, of: Column) -> str:
    """Write one cell as people read it.

    >>> from sim.results.run_report import Column
    >>> cell(0.25, Column("ttft", "second")), cell(None, Column("ttft", "second")), cell("a", Column("name"))
    ('250 ms', '', 'a')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return output.printable(value)
    if of.dimension == "fraction":
        return f"{value:.1%}"
    if of.dimension == "count":
        return amount(value)
    return show(value, of.dimension) if of.dimension in DIMENSIONS else amount(value)


def _totals(report: RunReport) -> Iterator[str]:
    parts = [f"{name} {amount(weighted.operations)} FLOP" for name, weighted in report.flop.items()]
    parts += [f"{amount(tokens)} tokens {name}" for name, tokens in report.tokens.items()]
    if report.energy_j is not None:
        parts.append(show(report.energy_j, "joule"))
    if report.cost_usd is not None:
        parts.append(show(report.cost_usd, "usd"))
    if report.co2_kg is not None:
        parts.append(f"{show(report.co2_kg, 'kg')} CO2")
    parts += report.missing
    if parts:
        yield ""
        yield output.wrapped("; ".join(parts), "In all: ")


def _seeds(report: RunReport) -> Iterator[str]:
    if not report.over_seeds:
        return
    count = len(next(iter(report.over_seeds.values())))
    yield ""
    yield output.styled(f"{f'Over {count} seeds':<40}{'mean':>12}{'p10':>12}{'p90':>12}", output.BOLD)
    for name, values in report.over_seeds.items():
        if not report.values[name].better:
            continue
        found, dimension = quantiles(values), report.values[name].dimension
        shown = (show(found[key], dimension) if dimension in DIMENSIONS else amount(found[key]) for key in _SHOWN)
        yield f"  {name:<38}" + "".join(f"{text:>12}" for text in shown)


def target_lines(targets: Sequence[TargetResult]) -> Iterator[str]:
    """Say of each target whether it was met."""
    for target in targets:
        value, limit = (
            "nothing to measure"
            if each is None
            else show(each, target.dimension)
            if target.dimension in DIMENSIONS
            else f"{each:.4g}"
            for each in (target.value, target.limit)
        )
        yield f"Target {target.name}: {value} against {limit}: {'met' if target.met else 'MISSED'}"


_SHOWN = ("mean", "p10", "p90")

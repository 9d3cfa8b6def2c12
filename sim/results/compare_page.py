"""Two results on one page: what was said otherwise, what came out otherwise, and where the time went in each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.results.charts.changes import changes
from sim.results.charts.curve import curve
from sim.results.charts.parts import waterfall
from sim.results.charts.spread import latencies
from sim.results.charts.tasks import solved
from sim.results.explain import say
from sim.results.page import Cell, PageTable, Part, cell, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.charts.chart import Chart
    from sim.results.compare import Comparison, OutputChange
    from sim.results.record import Record

MOST_ROWS = 60
"""Figures on the page; --json has all."""


def compare_page(found: Comparison, first: Record, second: Record) -> str:
    """Give a page of two results.

    Raises:
        UsageError: the extra `report` is not installed.

    """
    parts = [
        Part("inputs", "Inputs that changed", tables=(_inputs(found),) if found.inputs else (), text=_no_inputs(found)),
        Part("changes", "Where the difference comes from", _maybe(changes(found.parts))),
        Part("time", "Where the device time goes", _pair(waterfall(first), waterfall(second))),
        Part(
            "figures", "Figures that changed: those of the sentences, then by effect", tables=(_outputs(found.outputs),)
        ),
        Part("curve", "The answer against what it depends on", tuple(_both(first, second))),
        Part("latency", "Latency", tuple(_latencies(first, second))),
    ]
    return render(
        "A against B",
        _sentence(found),
        [part for part in parts if part.charts or part.text or any(table.rows for table in part.tables)],
        details=[
            f"{mark}  {name}: {said}" for mark, name, said in zip("AB", found.names, found.sentences, strict=True)
        ],
        provenance={
            f"{mark} {key}": value
            for mark, record in (("A", first), ("B", second))
            for key, value in (record.result.get("provenance") or {}).items()
        },
    )


def _sentence(found: Comparison) -> str:
    """Say the first figure of those that people ask for."""
    if not found.outputs:
        return "Nothing changed."
    first = found.outputs[0]
    before, after = (say(value, first.dimension) for value in (first.before, first.after))
    return f"{first.path}: {before} in A, {after} in B ({first.shown})."


def _no_inputs(found: Comparison) -> str:
    return "" if found.inputs else "No input changed: another seed, or another version."


def _inputs(found: Comparison) -> PageTable:
    rows = tuple(
        (Cell(each.path, each.path), _text(each.before or "none"), _text(each.after or "none"), _text(each.where))
        for each in found.inputs
    )
    heads = (("value of", False), ("A", False), ("B", False), ("said at", False))
    return PageTable("inputs", "Inputs that changed", heads, rows)


def _outputs(outputs: tuple[OutputChange, ...]) -> PageTable:
    rows = tuple(
        (
            _text(each.path), cell(each.before, each.dimension), cell(each.after, each.dimension),
            Cell(each.shown, each.effect if each.after >= each.before else -each.effect),
        )
        for each in outputs[:MOST_ROWS]
    )  # fmt: skip
    heads = (("figure", False), ("A", True), ("B", True), ("change", True))
    note = f"The first {MOST_ROWS} of {len(outputs):,}." if len(outputs) > MOST_ROWS else ""
    return PageTable("changes", "Figures that changed: those of the sentences, then by effect", heads, rows, note)


def _text(text: str) -> Cell:
    return Cell(text, text)


def _maybe(chart: Chart | None) -> tuple[Chart, ...]:
    return () if chart is None else (chart,)


def _pair(one: Chart | None, two: Chart | None) -> tuple[Chart, ...]:
    """Name two pictures of a kind apart."""
    both = ((mark, chart) for mark, chart in (("A", one), ("B", two)) if chart is not None)
    return tuple(replace(chart, name=f"{chart.name}-{mark}", title=f"{mark}: {chart.title}") for mark, chart in both)


def _both(first: Record, second: Record) -> Iterator[Chart]:
    yield from _pair(curve(first), curve(second))
    yield from _pair(solved(first), solved(second))


def _latencies(first: Record, second: Record) -> Iterator[Chart]:
    one, two = ({chart.name: chart for chart in latencies(record)} for record in (first, second))
    for name in dict.fromkeys([*one, *two]):
        yield from _pair(one.get(name), two.get(name))

"""Pictures of what varies: the interval of an answer, and the distributions of latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.results import tidy
from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Axis, Drawing, scale, shortened, tick_text
from sim.results.charts.parts import CYCLE
from sim.results.dimensions import shown
from sim.results.words import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sim.results.record import Record

    Numbers = NDArray[np.float64]

LATENCIES = {
    "ttft_s": "Time to first token",
    "tpot_s": "Time per output token",
    "e2e_s": "Whole request",
    "queue_s": "Waiting in the queue",
    "latency_s": "Whole task",
}
POINTS = 160
"""Quantiles of a distribution that are drawn."""
MOST_GROUPS = 6


def interval(record: Record) -> Chart | None:
    """Draw the 80 % interval of a training run, its simulated seeds, and what the rule of thumb says."""
    if not record.is_training:
        return None
    result = record.result
    spread = result["answer"]["wall_clock_s"]
    seeds = [float(value) for value in record.tables["seeds"]["wall_clock_s"]] if "seeds" in record.tables else []
    thumb = float(result["rule_of_thumb_s"])
    named = [(float(spread["expected"]), "expected"), (thumb, "6ND at 40 %"), *((seed, "") for seed in seeds[:200])]
    low, high = float(spread["p10"]), float(spread["p90"])
    least, most = min(low, *(value for value, _ in named)), max(high, *(value for value, _ in named))
    if not most > least * (1 + 1e-9):
        return None
    room = (most - least) * 0.08
    size_s, unit = scale("second", most)

    def draw(width: float) -> Drawing:
        drawing = Drawing(width, 74)
        axis = Axis(max(least - room, 0.0), most + room, 8, width - 8)
        drawing.rect(
            axis.at(low), 30, axis.at(high) - axis.at(low), 14, "c4", title="80 % interval", opacity=0.5, radius=7
        )
        drawing.line(axis.at(float(spread["p50"])), 28, axis.at(float(spread["p50"])), 46, "c0", 2)
        for seed in seeds[:200]:
            drawing.line(axis.at(seed), 47, axis.at(seed), 53, "c5", 1)
        drawing.dot(
            axis.at(float(spread["expected"])), 37, "c0", 5.5, f"expected {duration(float(spread['expected']))}"
        )
        drawing.text(axis.at(float(spread["expected"])), 18, "expected", size=11.5, anchor="middle", bold=True)
        x = axis.at(thumb)
        drawing.line(x, 28, x, 46, "dim", 1.5, "3 2")
        if abs(x - axis.at(float(spread["expected"]))) > 110:
            anchor = "end" if x > width - 90 else "start" if x < 90 else "middle"
            drawing.text(x, 18, "6ND at 40 % of peak", size=10.5, fill="dim", anchor=anchor)
        drawing.line(8, 54, width - 8, 54, "line")
        within = Axis(axis.low / size_s, axis.high / size_s, 8, width - 8)
        marks = within.ticks(5 if width <= NARROW else 9)
        for tick in marks:
            text = f"{tick_text(tick)} {unit}" if tick == marks[-1] else tick_text(tick)
            anchor = "end" if within.at(tick) > width - 24 else "middle"
            drawing.text(within.at(tick), 69, text, size=10.5, fill="dim", anchor=anchor)
        return drawing

    label = f"80 % interval {duration(low)} to {duration(high)}, expected {duration(float(spread['expected']))}"
    note = "Band: 80 % interval with the error of the step model. Ticks below: simulated seeds, luck alone."
    return Chart("interval", "How sure this is", draw, label, note)


def latencies(record: Record) -> list[Chart]:
    """Draw the distribution of each latency of single requests and tasks, by service."""
    found = []
    for name, by in (("requests", "service"), ("tasks", "graph")):
        table = tidy.requests(record) if name == "requests" else tidy.tasks(record)
        if table is None:
            continue
        columns = [column for column in LATENCIES if column in table]
        groups = np.array([str(each) for each in table[by]], dtype=object) if by in table else None
        for column in columns:
            chart = _distribution(column, table, groups)
            if chart is not None:
                found.append(chart)
    return found


def _distribution(column: str, table: Mapping[str, Any], groups: NDArray[Any] | None) -> Chart | None:
    values = np.asarray(table[column], dtype=np.float64)
    names = [""] if groups is None else list(dict.fromkeys(groups.tolist()))
    if len(names) > MOST_GROUPS:
        names = [""]
    sets = {}
    for name in names:
        chosen = values if groups is None or not name else values[groups == name]
        chosen = chosen[np.isfinite(chosen)]
        if len(chosen) > 1 and chosen.max() > 0:
            sets[name] = chosen
    if not sets:
        return None
    levels = np.linspace(0.0, 1.0, POINTS + 1)
    levels = np.sort(np.append(levels, [0.99, 0.995, 0.999]))
    quantiles = {name: np.quantile(chosen, levels) for name, chosen in sets.items()}
    smallest = min(float(each[each > 0].min()) for each in quantiles.values())
    largest = max(float(each[-1]) for each in quantiles.values())
    size, unit = scale("second", float(np.median(next(iter(sets.values())))) or largest)
    is_log = largest > 20 * smallest
    title = LATENCIES[column]
    said = {
        name: [shown(float(np.quantile(each, level)), "second") for level in (0.5, 0.99)] for name, each in sets.items()
    }

    def draw(width: float) -> Drawing:
        drawing = Drawing(width, 208)
        low = max(smallest, largest * 1e-4) if is_log else 0.0
        across = Axis(low / size, largest / size, 40, width - 12, is_log=is_log)
        up = Axis(0.0, 1.0, 168, 10)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            drawing.line(40, up.at(share), width - 12, up.at(share))
            drawing.text(34, up.at(share) + 4, f"{share:.0%}", size=10.5, fill="dim", anchor="end")
        marks = across.ticks(5 if width <= NARROW else 8)
        for tick in marks:
            text = f"{tick_text(tick)} {unit}" if tick == marks[-1] else tick_text(tick)
            drawing.text(min(across.at(tick), width - 30), 184, text, size=10.5, fill="dim", anchor="middle")
        for place, (name, each) in enumerate(quantiles.items()):
            fill = CYCLE[place % len(CYCLE)]
            points = [
                (across.at(max(value, low) / size), up.at(level)) for value, level in zip(each, levels, strict=True)
            ]
            drawing.path(points, fill, title=name or title)
            for level in (0.5, 0.99):
                value = float(np.quantile(sets[name], level))
                drawing.dot(
                    across.at(max(value, low) / size),
                    up.at(level),
                    fill,
                    4,
                    f"{name} p{level * 100:.0f} {shown(value, 'second')}",
                )
        _legend(drawing, said)
        return drawing

    every = ", ".join(f"{name or 'all'} p50 {half} p99 {most}" for name, (half, most) in said.items())
    count = sum(len(each) for each in sets.values())
    left_out = int(np.sum(~np.asarray(table["counted"], dtype=bool))) if "counted" in table else 0
    note = f"Share of {count:,} that took at most so long; dots are the median and the 99th percentile."
    if left_out:
        note += f" The {left_out:,} of the warm-up are left out."
    return Chart(f"latency-{column.removesuffix('_s')}", title, draw, f"{title}: {every}", note)


def _legend(drawing: Drawing, said: Mapping[str, Sequence[str]]) -> None:
    """Name each line with its median and its 99th percentile, as far as there is room."""
    x = 40.0
    for place, (name, (half, most)) in enumerate(said.items()):
        text = f"{shortened(name, 18)}{': ' if name else ''}p50 {half}, p99 {most}"
        length = 22 + 6.3 * len(text)
        if place and x + length > drawing.width:
            break
        drawing.rect(x, 194, 10, 10, CYCLE[place % len(CYCLE)], radius=2)
        drawing.text(x + 14, 204, text, size=11, fill="dim")
        x += length

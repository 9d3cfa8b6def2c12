"""Pictures over simulated time: use of the cluster, queues and batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.results import tidy
from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Axis, Drawing, scale, shortened, tick_text, ticks
from sim.results.charts.parts import CYCLE, account_colour
from sim.results.dimensions import dimension_of
from sim.results.words import amount, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sim.results.record import Record

    Numbers = NDArray[np.float64]

BINS = 240
"""Points of a line over time."""
MOST_LINES = 10
"""Lines of one picture; the smallest are drawn as one, "other"."""
TITLES = {
    "devices": "What the devices were doing",
    "flop": "Arithmetic done",
    "interruptions": "Interruptions",
    "asked": "Devices held and asked for",
    "jobs_over_time": "Jobs",
    "parallel": "Calls at once",
    "queue": "Waiting in the queue",
    "waiting": "Waiting in the queue",
    "batch": "Batch",
    "running": "Running",
    "kv_share": "Use of the KV cache",
    "kv_use": "Use of the KV cache",
    "output_tokens_per_s": "Tokens of output",
    "prefill_tokens_per_s": "Tokens of prefill",
    "flop_per_s": "Arithmetic",
    "power_w": "Power",
    "down_devices": "Devices down",
}
DIMENSIONS_OF = {"flop": "flop", "kv_share": "fraction", "kv_use": "fraction", "power_w": "watt"}
STACKED = ("devices", "interruptions")


def timelines(record: Record) -> list[Chart]:
    """Draw each chart of the table `series`: devices as stacked areas, the rest as lines."""
    table = tidy.series(record)
    if table is None:
        return []
    charts, lines = texts(table["chart"]), texts(table["line"])
    times, values = np.asarray(table["time_s"], dtype=np.float64), np.asarray(table["value"], dtype=np.float64)
    end_s = max(float(record.result.get("wall_clock_s") or 0.0), float(times.max()))
    if record.is_training:
        end_s = float(record.result["simulated"]["first_seed"]["wall_clock_s"])
    if end_s <= 0:
        return []
    names = list(dict.fromkeys(charts.tolist()))
    order = [name for name in TITLES if name in names] + [name for name in names if name not in TITLES]
    found = []
    for name in order:
        here = charts == name
        binned = {
            line: binned_steps(times[here & (lines == line)], values[here & (lines == line)], end_s)
            for line in dict.fromkeys(lines[here].tolist())
        }
        found.append(_timeline(name, _fewest(binned), end_s))
    return found


def binned_steps(times: Numbers, values: Numbers, end_s: float, bins: int = BINS) -> Numbers:
    """Give the mean of a step function in equal bins from 0 to the end; it is 0 before its first step.

    >>> binned_steps(np.array([0.0, 1.0]), np.array([4.0, 2.0]), 2.0, 2).tolist()
    [4.0, 2.0]
    """
    order = np.argsort(times, kind="stable")
    starts, steps = times[order], np.nan_to_num(values[order])
    edges = np.linspace(0.0, end_s, bins + 1)
    lengths = np.diff(np.append(starts, max(end_s, float(starts[-1]))))
    integral = np.concatenate([[0.0, 0.0], np.cumsum(steps * lengths)])
    known = np.concatenate([[min(0.0, float(starts[0]) - 1)], starts, [max(end_s, float(starts[-1]))]])
    return np.asarray(np.diff(np.interp(edges, known, integral)) / (end_s / bins))


def _timeline(name: str, lines: dict[str, Numbers], end_s: float) -> Chart:
    dimension = DIMENSIONS_OF.get(name) or dimension_of(name)
    stacked = name in STACKED
    total = np.sum(list(lines.values()), axis=0) if stacked else None
    top = float(total.max()) if total is not None else max(float(each.max()) for each in lines.values())
    size, unit = scale(dimension, top or 1.0)
    fills = {line: account_colour(line, place) for place, line in enumerate(lines)}
    if len(set(fills.values())) < len(fills):
        fills = colours(list(lines))

    def draw(width: float) -> Drawing:
        height = 200.0 if name == "devices" else 104.0
        head = 20.0 * legend_rows(list(lines), width) if len(lines) > 1 or stacked else 0.0
        left = 44.0 if width <= NARROW else 58.0
        drawing = Drawing(width, height + head + 26)
        drawing.plot = (left, width - 8, head + 8, head + height)
        across = Axis(0.0, end_s, left, width - 8)
        up = Axis(0.0, (top or 1.0) * 1.04, head + height, head + 8)
        heights = ticks(0.0, up.high / size, 4)
        if stacked:  # whole things
            heights = [tick for tick in heights if tick == int(tick)]
        for tick in heights:
            y = up.at(tick * size)
            drawing.line(left, y, width - 8, y)
            drawing.text(left - 6, y + 4, tick_text(tick), size=10.5, fill="dim", anchor="end")
        if head:
            legend(drawing, list(fills.items()), 0, width)
        centres = across_bins(across, end_s)
        below = np.zeros(BINS)
        for line, values in lines.items():
            if stacked:
                above = below + values
                upper = [(x, up.at(y)) for x, y in _corners(centres, above)]
                lower = [(x, up.at(y)) for x, y in _corners(centres, below)]
                drawing.area([*upper, *reversed(lower)], fills[line], title=line, opacity=0.9)
                below = above
            else:
                middles = [(a + b) / 2 for a, b in centres]
                drawing.path(
                    [(x, up.at(y)) for x, y in zip(middles, values, strict=True)], fills[line], title=line, width=1.8
                )
        time_axis(drawing, end_s, left, width - 8, head + height)
        return drawing

    title = TITLES.get(name, name.replace("_", " ").capitalize())
    title = f"{title}, {unit}" if unit else title
    means = ", ".join(f"{line} {amount(float(values.mean()) / size)} {unit}".strip() for line, values in lines.items())
    return Chart(
        f"time-{name}",
        title,
        draw,
        f"{title} over {duration(end_s)}; means: {means}",
        "",
        cursor(end_s, lines, dimension),
    )


def colours(names: list[str]) -> dict[str, str]:
    """Give each name a colour, the same in every picture that shows the same names."""
    return {name: CYCLE[place % len(CYCLE)] for place, name in enumerate(sorted(set(names)))}


def across_bins(axis: Axis, end_s: float) -> list[tuple[float, float]]:
    """Give left and right pixel of each bin."""
    edges = [axis.at(end_s * place / BINS) for place in range(BINS + 1)]
    return list(pairwise(edges))


def _corners(bins: list[tuple[float, float]], values: Numbers) -> list[tuple[float, float]]:
    """Give the corners of a step function; bins of one height are drawn as one."""
    found: list[tuple[float, float]] = []
    for (left, right), value in zip(bins, values.tolist(), strict=True):
        if found and found[-1][1] == value:
            found[-1] = (right, value)
        else:
            found += [(left, value), (right, value)]
    return found


def _fewest(lines: dict[str, Numbers]) -> dict[str, Numbers]:
    """Keep the largest lines; the rest become one, so that a picture stays readable."""
    if len(lines) <= MOST_LINES:
        return lines
    by_size = sorted(lines, key=lambda name: -float(lines[name].sum()))
    kept = {name: lines[name] for name in lines if name in by_size[: MOST_LINES - 1]}
    rest = [lines[name] for name in by_size[MOST_LINES - 1 :]]
    return kept | {f"other ({len(rest)})": np.sum(rest, axis=0)}


def cursor(end_s: float, lines: Mapping[str, Numbers], dimension: str) -> dict[str, Any]:
    """Give the values that a cursor over a picture tells."""
    largest = max((float(values.max()) for values in lines.values()), default=1.0)
    size, unit = scale(dimension, largest or 1.0)
    shown = {name: [float(f"{value / size:.4g}") for value in values.tolist()] for name, values in lines.items()}
    return {"end_s": end_s, "unit": unit, "lines": shown}


def time_axis(drawing: Drawing, end_s: float, left: float, right: float, y: float) -> None:
    """Draw simulated time from 0 to the end."""
    size_s, unit = scale("second", end_s)
    axis = Axis(0.0, end_s / size_s, left, right)
    drawing.line(left, y, right, y, "line")
    marks = axis.ticks(5 if drawing.width <= NARROW else 9)
    for tick in marks:
        x = axis.at(tick)
        drawing.line(x, y, x, y + 4, "line")
        anchor = "start" if tick == 0 else "end" if x > right - 14 else "middle"
        text = f"{tick_text(tick)} {unit}" if tick == marks[-1] else tick_text(tick)
        drawing.text(x, y + 17, text, size=10.5, fill="dim", anchor=anchor)


def legend_rows(names: list[str], width: float) -> int:
    """Count the rows that a legend takes."""
    x, rows = 0.0, 1
    for name in names:
        length = 24 + 6.4 * len(shortened(name, 34))
        if x and x + length > width:
            x, rows = 0.0, rows + 1
        x += length
    return rows


def legend(drawing: Drawing, entries: list[tuple[str, str]], y: float, width: float) -> None:
    """Name the colours, in as many rows as they take."""
    x, row = 0.0, 0
    for name, fill in entries:
        text = shortened(name, 34)
        length = 24 + 6.4 * len(text)
        if x and x + length > width:
            x, row = 0.0, row + 1
        drawing.rect(x, y + 20 * row + 2, 11, 11, fill, radius=2)
        drawing.text(x + 16, y + 20 * row + 12, text, size=11.5, fill="dim")
        x += length


def texts(values: Any) -> NDArray[Any]:  # noqa: ANN401 - a column of texts
    """Give a column as texts."""
    return np.array([str(value) for value in values], dtype=object)

"""The curve that answers a question, with the user's own point on it: devices against days, rate against latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Axis, Drawing, scale, tick_text
from sim.results.charts.over_time import legend, legend_rows
from sim.results.charts.parts import CYCLE
from sim.results.dimensions import STATISTICS, dimension_of, shown
from sim.results.words import amount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sim.results.record import Record

    Numbers = NDArray[np.float64]

WORDS = {
    "wall_clock": "wall-clock",
    "ttft": "time to first token",
    "tpot": "time per output token",
    "e2e": "time of a request",
    "solved": "solved share",
    "rate": "requests a second",
}
ABOUT = ("given", "requests", "seed", "growing")
"""Columns that say what a point is; the others are lines."""
BOTTOM, TOP, RIGHT = 224.0, 12.0, 24.0
FROM_HERE_LOG = 8
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def curve(record: Record) -> Chart | None:
    """Draw the table `curve`: its first column across, the others up; `given` marks the user's own point."""
    table = record.tables.get("curve")
    if table is None:
        return None
    across, *rest = [str(name) for name in table]
    columns = {name: np.asarray(table[name], dtype=np.float64) for name in (across, *rest) if name not in ABOUT}
    x, lines = columns.pop(across), columns
    positive = np.concatenate([each[np.isfinite(each) & (each > 0)] for each in lines.values()] or [x[:0]])
    if len(x) < 2 or not len(positive) or not (x > 0).all():
        return None
    given = np.asarray(table["given"], dtype=bool) if "given" in table else np.zeros(len(x), dtype=bool)
    drawn = _Curve(across, x, lines, positive, given)
    searched = "The same run on other numbers of devices; the layout is searched anew at each."
    note = searched if record.is_training else _played(table, x, given)
    return Chart("curve", drawn.title, drawn.draw, drawn.label, note)


def _played(table: Mapping[str, Any], x: Numbers, given: NDArray[np.bool_]) -> str:
    """Say how the points of a played curve came about."""
    if "requests" not in table or "seed" not in table or given.all():
        return ""
    counts = np.asarray(table["requests"], dtype=np.float64)
    least, most = float(counts[~given].min()), float(counts[~given].max())
    many = f"{most:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"
    note = (
        f"Each point is played: the same scenario at another load, seed {int(table['seed'][0])}, {many} requests each; "
        f"this run has {counts[given][0]:,.0f}."
    )
    growing = x[np.asarray(table["growing"], dtype=bool)]
    if len(growing):
        note += (
            f" From {amount(float(growing.min()))} on more come than are answered: waits grow for as long as it lasts."
        )
    return note


def words_of(name: str) -> str:
    """Say what a column holds, without its unit.

    >>> words_of("ttft_s_p99"), words_of("rate_per_s"), words_of("devices")
    ('time to first token, p99', 'requests a second', 'devices')
    """
    service, _, name = name.rpartition(".")
    stem, _, statistic = name.rpartition("_") if name.rpartition("_")[2] in STATISTICS else (name, "", "")
    for ending in ("_per_s", "_bytes", "_share", "_usd", "_flop", "_s", "_w", "_j"):
        stem = stem.removesuffix(ending)
    said = WORDS.get(stem, stem.replace("_", " "))
    said = f"{service}: {said}" if service else said
    return f"{said}, {statistic}" if statistic else said


@dataclass(frozen=True, slots=True)
class _Curve:
    across: str
    x: Numbers
    lines: dict[str, Numbers]
    positive: Numbers
    given: NDArray[np.bool_]

    @property
    def base(self) -> str:
        """The line that the user's point stands on."""
        return next(iter(self.lines))

    @property
    def band(self) -> list[str]:
        """The lines that are the interval around the base."""
        found = [name for name in self.lines if name != self.base and name.startswith(self.base)]
        return [name for name in found if name.endswith(("p10", "p90"))]

    @property
    def named(self) -> list[str]:
        """The lines that are no interval."""
        return [name for name in self.lines if name not in self.band]

    @property
    def title(self) -> str:
        latencies = [name for name in self.named if dimension_of(name) == "second"]
        what = words_of(self.base) if len(latencies) < 2 else "latency"
        return f"{what[:1].upper()}{what[1:]} against {words_of(self.across)}"

    @property
    def label(self) -> str:
        first, last = (shown(float(self.lines[self.base][place]), dimension_of(self.base)) for place in (0, -1))
        return f"{self.title}: {first} to {last}"

    def draw(self, width: float) -> Drawing:
        left = 54.0 if width <= NARROW else 66.0
        fills = {words_of(name): CYCLE[place % len(CYCLE)] for place, name in enumerate(self.named)}
        rows = legend_rows(list(fills), width) if len(fills) > 1 else 0
        drawing = Drawing(width, 270 + 20 * rows)
        size, unit = scale(dimension_of(self.base), float(np.median(self.positive)))
        x_size, x_unit = scale(dimension_of(self.across), float(self.x.max()))
        lowest, highest = float(self.positive.min()) / size, float(self.positive.max()) / size
        is_log = highest > FROM_HERE_LOG * lowest
        across = Axis(
            float(self.x.min()) / x_size, float(self.x.max()) / x_size, left, width - RIGHT,
            is_log=bool(self.x.max() > FROM_HERE_LOG * self.x.min()),
        )  # fmt: skip
        up = Axis(lowest * 0.9 if is_log else 0.0, highest * 1.06, BOTTOM, TOP, is_log=is_log)
        _axes(drawing, across, up, unit)
        # The words of a rate say its unit.
        words = f"{words_of(self.across)}{f' ({x_unit})' if x_unit and x_unit != '/s' else ''}"
        drawing.text((left + width) / 2, 262, words, size=11.5, fill="dim", anchor="middle")
        places = [across.at(float(each) / x_size) for each in self.x]
        self._band(drawing, places, up, size)
        for name in self.named:
            self._line(drawing, name, fills[words_of(name)], places, up, size)
        if rows:
            legend(drawing, list(fills.items()), 274, width)
        for place in np.flatnonzero(self.given).tolist():
            self._given(drawing, places[place], up.at(float(self.lines[self.base][place]) / size), place)
        return drawing

    def _band(self, drawing: Drawing, places: list[float], up: Axis, size: float) -> None:
        if len(self.band) != 2:
            return
        lower, upper = ([up.at(float(value) / size) for value in self.lines[name]] for name in self.band)
        edge = [*zip(places, lower, strict=True), *reversed(list(zip(places, upper, strict=True)))]
        drawing.area(edge, "c4", title="80 % interval", opacity=0.25)

    def _line(self, drawing: Drawing, name: str, fill: str, places: list[float], up: Axis, size: float) -> None:
        values = self.lines[name].tolist()
        kept = [place for place, value in enumerate(values) if np.isfinite(value) and (value > 0 or not up.is_log)]
        points = [(places[place], up.at(values[place] / size)) for place in kept]
        drawing.path(points, fill, title=name)
        for (x, y), place in zip(points, kept, strict=True):
            said = f"{amount(float(self.x[place]))}: {shown(values[place], dimension_of(name))}"
            drawing.dot(x, y, fill, 3, said)

    def _given(self, drawing: Drawing, x: float, y: float, place: int) -> None:
        drawing.dot(x, y, "c5", 6.5, "this run")
        to_left = x > drawing.width * 0.6
        text = f"this run: {shown(float(self.lines[self.base][place]), dimension_of(self.base))}"
        anchor = "end" if to_left else "start"
        drawing.text(x + (-11 if to_left else 11), y + 22, text, size=12, anchor=anchor, bold=True, halo=True)


def _axes(drawing: Drawing, across: Axis, up: Axis, unit: str) -> None:
    heights = up.ticks(5)
    for tick in heights:
        drawing.line(across.start, up.at(tick), across.end, up.at(tick))
        said = f"{tick_text(tick)} {unit}" if tick == heights[-1] else tick_text(tick)
        drawing.text(across.start - 6, up.at(tick) + 4, said, size=10.5, fill="dim", anchor="end")
    for tick in across.ticks(5 if drawing.width <= NARROW else 8):
        drawing.line(across.at(tick), BOTTOM, across.at(tick), BOTTOM + 4, "line")
        drawing.text(across.at(tick), BOTTOM + 18, tick_text(tick), size=10.5, fill="dim", anchor="middle")
    drawing.line(across.start, BOTTOM, across.end, BOTTOM, "line")

"""The picture of a difference: each account of time, how much more or less it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Drawing, shortened
from sim.results.words import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.results.compare import OutputChange

MOST_ROWS = 16
SMALLEST = 0.002
"""Share of the largest difference below which an account is not drawn."""


def changes(parts: Sequence[OutputChange]) -> Chart | None:
    """Draw the differences of the accounts, the largest first; None where there is none."""
    rows = [(each.path.removeprefix("parts."), each.after - each.before) for each in parts]
    whole = sum(change for _, change in rows)
    largest = max((abs(change) for _, change in rows), default=0.0)
    rows = [row for row in rows if abs(row[1]) > SMALLEST * largest][:MOST_ROWS]
    if not rows:
        return None
    less = max([-change for _, change in rows] + [0.0]) / largest
    more = max([change for _, change in rows] + [0.0]) / largest

    def draw(width: float) -> Drawing:
        narrow = width <= NARROW
        label_width, row, room_for_text = (0.0, 40.0, 88.0) if narrow else (280.0, 25.0, 100.0)
        drawing = Drawing(width, row * len(rows) + 4)
        unit = (width - label_width - 2 * room_for_text) / max(less + more, 0.2)
        middle = label_width + room_for_text + unit * less
        for place, (name, change) in enumerate(rows):
            y = place * row
            bar_y = y + (18 if narrow else 4)
            length = unit * abs(change) / largest
            said = f"{'−' if change < 0 else '+'}{duration(abs(change))}"
            x = middle - length if change < 0 else middle
            drawing.rect(
                x, bar_y, max(length, 1.5), 16, "c0" if change < 0 else "c5", title=f"{name}: {said}", radius=2
            )
            drawing.text(0, y + (13 if narrow else 16), shortened(name, 40), size=12.5)
            at, anchor = (x - 6, "end") if change < 0 else (x + length + 6, "start")
            drawing.text(at, bar_y + 12, said, size=11.5, fill="dim", anchor=anchor)
        drawing.line(middle, 0, middle, drawing.height, "ink")
        return drawing

    sign = "−" if whole < 0 else "+"
    label = f"B against A: {sign}{duration(abs(whole))}; most of it {rows[0][0]}"
    note = f"The accounts of wall-clock, averaged over devices; they sum to {sign}{duration(abs(whole))}."
    return Chart("changes", "Where the difference comes from", draw, label, note)

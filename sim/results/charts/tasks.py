"""Pictures of tasks: how many are solved within how much arithmetic, and what their time is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.results import tidy
from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Axis, Drawing, tick_text
from sim.results.charts.parts import bars
from sim.results.dimensions import shown

if TYPE_CHECKING:
    from sim.results.record import Record

FLOP_COLUMNS = ("executed_flop", "flop")
MOST_POINTS = 300
PATH = {
    "path_model_s": "model calls",
    "path_tool_s": "tools",
    "path_waiting_s": "waiting in queues",
    "path_other_s": "other",
}


def solved(record: Record) -> Chart | None:
    """Draw the share of tasks that are solved, against the arithmetic that each took."""
    table = tidy.tasks(record)
    column = next((name for name in FLOP_COLUMNS if table is not None and name in table), None)
    if table is None or column is None or "solved" not in table:
        return None
    flop, is_solved = np.asarray(table[column], dtype=np.float64), np.asarray(table["solved"], dtype=np.float64) > 0
    known = np.isfinite(flop) & (flop > 0)
    count = int(known.sum())
    if count < 2 or not is_solved[known].any():
        return None
    order = np.argsort(flop[known], kind="stable")
    amounts, shares = flop[known][order], np.cumsum(is_solved[known][order]) / count
    if amounts[-1] <= amounts[0]:
        return None
    kept = np.unique(np.linspace(0, count - 1, MOST_POINTS).astype(np.int64))

    def draw(width: float) -> Drawing:
        drawing = Drawing(width, 216)
        across = Axis(float(amounts[0]), float(amounts[-1]), 44, width - 12, is_log=bool(amounts[-1] > 8 * amounts[0]))
        up = Axis(0.0, 1.0, 168, 10)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            drawing.line(44, up.at(share), width - 12, up.at(share))
            drawing.text(38, up.at(share) + 4, f"{share:.0%}", size=10.5, fill="dim", anchor="end")
        for tick in across.ticks(4 if width <= NARROW else 7):
            drawing.text(min(across.at(tick), width - 26), 184, tick_text(tick), size=10.5, fill="dim", anchor="middle")
        drawing.text((44 + width) / 2, 206, "FLOP of a task", size=11.5, fill="dim", anchor="middle")
        drawing.path(
            [(across.at(float(amounts[each])), up.at(float(shares[each]))) for each in kept], "c0", title="solved"
        )
        drawing.dot(across.at(float(amounts[-1])), up.at(float(shares[-1])), "c5", 6.5, "this run")
        said = f"this run: {shares[-1]:.1%} solved, {shown(float(amounts.mean()), 'flop')} a task on average"
        drawing.text(width - 24, up.at(float(shares[-1])) + 24, said, size=12, anchor="end", bold=True, halo=True)
        return drawing

    label = (
        f"{shares[-1]:.0%} of {count:,} tasks are solved, with {shown(float(np.median(amounts)), 'flop')} at the median"
    )
    note = f"Share of all {count:,} tasks that were solved with at most so much arithmetic."
    return Chart("solved", "Solved within so much arithmetic", draw, label, note)


def path_sums(record: Record) -> Chart | None:
    """Draw what the time of a task is made of along its critical path, on average."""
    table = tidy.tasks(record)
    if table is None or not any(name in table for name in PATH):
        return None
    rows = [
        (said, float(np.nanmean(np.asarray(table[name], dtype=np.float64))))
        for name, said in PATH.items()
        if name in table
    ]
    if not any(value > 0 for _, value in rows):
        return None
    return bars(
        "path-sums", "What the time of a task is made of", rows, "second", "Mean over tasks, along the critical path."
    )

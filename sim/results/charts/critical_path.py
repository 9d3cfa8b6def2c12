"""The picture of what a task waits for: the calls on its critical path, one task in full and all tasks in sum."""

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
    from sim.results.record import Record

MOST_CALLS = 60


def critical_path(record: Record) -> Chart | None:
    """Draw the calls of the task whose length is nearest the median, those on its critical path in full colour."""
    calls = tidy.calls(record)
    if calls is None:
        return None
    tasks = np.array([str(task) for task in calls["task"]], dtype=object)
    starts, ends = (np.asarray(calls[name], dtype=np.float64) for name in ("start_s", "end_s"))
    known = np.isfinite(starts) & np.isfinite(ends)
    if not known.any():
        return None
    task = _median_task(tasks[known], starts[known], ends[known])
    mine = np.flatnonzero(known & (tasks == task))
    mine = mine[np.argsort(starts[mine], kind="stable")]
    critical = np.asarray(calls["on_critical_path"], dtype=bool)
    left_out = len(mine) - MOST_CALLS
    if left_out > 0:
        lengths = ends[mine] - starts[mine] + critical[mine] * 1e12
        mine = mine[np.sort(np.argsort(-lengths, kind="stable")[:MOST_CALLS])]
    first_s, last_s = float(starts[mine].min()), float(ends[mine].max())
    if not last_s > first_s:
        return None
    names = _names(calls, mine)
    kinds = [str(calls["node"][call]) if "node" in calls else "" for call in mine.tolist()]
    fills = {kind: CYCLE[place % len(CYCLE)] for place, kind in enumerate(dict.fromkeys(kinds))}
    size_s, unit = scale("second", last_s - first_s)

    def draw(width: float) -> Drawing:
        left, row = (96.0 if width <= NARROW else 200.0), 15.0
        drawing = Drawing(width, row * len(mine) + 24)
        axis = Axis(0.0, (last_s - first_s) / size_s, left, width - 10)
        marks = axis.ticks(5 if width <= NARROW else 8)
        for tick in marks:
            drawing.line(axis.at(tick), 0, axis.at(tick), row * len(mine))
            text = f"{tick_text(tick)} {unit}" if tick == marks[-1] else tick_text(tick)
            drawing.text(
                min(axis.at(tick), width - 22), row * len(mine) + 16, text, size=10.5, fill="dim", anchor="middle"
            )
        for place, call in enumerate(mine.tolist()):
            y = row * place
            x1, x2 = axis.at((starts[call] - first_s) / size_s), axis.at((ends[call] - first_s) / size_s)
            drawing.text(
                left - 6,
                y + 11,
                shortened(names[place], 14 if width <= NARROW else 32),
                size=10.5,
                fill="dim",
                anchor="end",
            )
            on_it = ", on the critical path" if critical[call] else ""
            said = f"{names[place]}: {shown(ends[call] - starts[call], 'second')}{on_it}"
            drawing.rect(
                x1,
                y + 2,
                max(x2 - x1, 1.5),
                11,
                fills[kinds[place]],
                title=said,
                opacity=1 if critical[call] else 0.3,
                radius=2,
            )
        return drawing

    note = f"Task {task}, the one of median length; full colour is the critical path, pale had slack."
    if left_out > 0:
        note += f" {left_out} short calls off the path are left out."
    note += _in_sum(calls, starts, ends, critical, known)
    label = f"Critical path of task {task}: {duration(last_s - first_s)}, {int(critical[mine].sum())} calls on it"
    return Chart("path", "What a task waits for", draw, label, note)


def _median_task(tasks: Any, starts: Any, ends: Any) -> str:  # noqa: ANN401 - columns
    names, inverse = np.unique(tasks.astype(str), return_inverse=True)
    first, last = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(first, inverse, starts)
    np.maximum.at(last, inverse, ends)
    lengths = last - first
    order = np.argsort(lengths, kind="stable")
    return str(names[order[len(order) // 2]])


def _names(calls: Any, chosen: Any) -> list[str]:  # noqa: ANN401 - a table
    nodes = calls["node"] if "node" in calls else calls["kind"]
    places = calls.get("where")
    return [
        f"{nodes[call]}{f' @ {places[call]}' if places is not None and places[call] else ''}"
        for call in chosen.tolist()
    ]


def _in_sum(calls: Any, starts: Any, ends: Any, critical: Any, known: Any) -> str:  # noqa: ANN401 - columns
    """Say how the critical paths of all tasks divide over the nodes of the graph."""
    if "node" not in calls:
        return ""
    sums: dict[str, float] = {}
    for call in np.flatnonzero(known & critical).tolist():
        node = str(calls["node"][call])
        sums[node] = sums.get(node, 0.0) + float(ends[call] - starts[call])
    total = sum(sums.values())
    if not total:
        return ""
    most = sorted(sums.items(), key=lambda each: -each[1])[:4]
    return (
        " Over all tasks the critical path is " + ", ".join(f"{node} {share / total:.0%}" for node, share in most) + "."
    )

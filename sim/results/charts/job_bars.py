"""The picture of jobs: when each waited, ran and was stopped, the largest ones where there are many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.results import tidy
from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Axis, Drawing, shortened
from sim.results.charts.over_time import colours, legend, time_axis
from sim.results.words import amount, duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.results.record import Record

    Numbers = NDArray[np.float64]

MOST_JOBS = 48
ROW = 15.0


def jobs(record: Record) -> Chart | None:
    """Draw the jobs of a cluster as bars over time."""
    table = tidy.jobs(record)
    if table is None:
        return None
    submitted, starts, ends = (
        np.asarray(table[name], dtype=np.float64) for name in ("submitted_s", "started_s", "ended_s")
    )
    count = len(starts)
    end_s = max(float(record.result.get("wall_clock_s") or 0.0), float(np.nanmax(np.append(ends, 0.0))))
    if end_s <= 0:
        return None
    ends = np.where(np.isnan(ends), end_s, ends)
    devices = np.asarray(table.get("devices", np.ones(count)), dtype=np.float64)
    size = np.where(np.isnan(starts), 0.0, (ends - starts) * devices)
    largest = np.sort(np.argsort(-size, kind="stable")[:MOST_JOBS])
    chosen = largest[np.argsort(submitted[largest], kind="stable")].tolist()
    tenants = [str(tenant) for tenant in table["tenant"]] if "tenant" in table else [""] * count
    held = _held(record, table, chosen)
    rows = [
        _Row(
            name=_name(table, job),
            tenant=tenants[job],
            waited_s=float(submitted[job]),
            start_s=float(starts[job]),
            end_s=float(ends[job]),
            devices=float(devices[job]),
            held=held.get(job) or [(float(starts[job]), float(ends[job]))],
        )
        for job in chosen
    ]
    note = "Dotted: waiting in the queue. Bars: running, by tenant; a thin line where it was stopped in between."
    if len(chosen) < count:
        note += f" The {len(chosen)} largest of {count:,} jobs by device-time."
    drawn = _Bars(rows, end_s, colours(tenants))
    label = f"{count:,} jobs over {duration(end_s)}"
    return Chart("jobs", "Jobs, one by one", drawn.draw, label, note, {"end_s": end_s, "lines": {}})


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    tenant: str
    waited_s: float
    start_s: float
    end_s: float
    devices: float
    held: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Bars:
    rows: list[_Row]
    end_s: float
    fills: dict[str, str]

    def draw(self, width: float) -> Drawing:
        left = 84.0 if width <= NARROW else 170.0
        top = 20.0 if len(self.fills) > 1 else 0.0
        bottom = top + ROW * len(self.rows)
        drawing = Drawing(width, bottom + 26)
        drawing.plot = (left, width - 8, top, bottom)
        if top:
            legend(drawing, [(name or "no tenant", fill) for name, fill in self.fills.items()], 0, width)
        for place, row in enumerate(self.rows):
            self._row(drawing, row, top + ROW * place, Axis(0.0, self.end_s, left, width - 8))
        time_axis(drawing, self.end_s, left, width - 8, bottom)
        return drawing

    def _row(self, drawing: Drawing, row: _Row, y: float, axis: Axis) -> None:
        most = 13 if drawing.width <= NARROW else 28
        drawing.text(axis.start - 6, y + 11, shortened(row.name, most), size=10.5, fill="dim", anchor="end")
        if np.isnan(row.start_s):
            return
        fill = self.fills[row.tenant]
        drawing.line(axis.at(row.waited_s), y + 7, axis.at(row.start_s), y + 7, "c7", 1.5, "2 2")
        drawing.line(axis.at(row.start_s), y + 7.5, axis.at(row.end_s), y + 7.5, fill, 1)
        running_s = sum(end - start for start, end in row.held)
        said = (
            f"{row.name}: waited {duration(max(row.start_s - row.waited_s, 0.0))}, ran {duration(running_s)} "
            f"on {amount(row.devices)} devices"
        )
        for start_s, end_s in row.held:
            x = axis.at(start_s)
            drawing.rect(x, y + 2, max(axis.at(end_s) - x, 1.5), 11, fill, title=said, radius=2)


def _name(table: dict[str, Any], job: int) -> str:
    given = str(table["name"][job]) if "name" in table else ""
    number = table["number"][job] if "number" in table else job
    return given or f"job {number}"


def _held(record: Record, table: dict[str, Any], chosen: list[int]) -> dict[int, list[tuple[float, float]]]:
    """Give the stretches in which each chosen job held devices, where the record has them."""
    allocations = record.tables.get("allocations")
    if allocations is None or "number" not in table or not {"number", "start_s", "end_s"} <= set(allocations):
        return {}
    place_of = {int(table["number"][job]): job for job in chosen}
    found: dict[int, list[tuple[float, float]]] = {}
    for number, start_s, end_s in zip(*(allocations[name] for name in ("number", "start_s", "end_s")), strict=True):
        job = place_of.get(int(number))
        if job is not None and np.isfinite(end_s):
            found.setdefault(job, []).append((float(start_s), float(end_s)))
    return found

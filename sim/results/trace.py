"""A record as a timeline for Perfetto: tracks of the run, its jobs, replicas and tasks; counters; flows between calls.

The file is bounded: of each kind at most so many slices are drawn, at equal distances, and the track says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.results import tidy
from sim.results.charts.over_time import DIMENSIONS_OF, TITLES
from sim.results.dimensions import dimension_of
from sim.results.perfetto import TraceWriter
from sim.units import DIMENSIONS

if TYPE_CHECKING:
    from sim.results.record import Record

MOST_SLICES = 60_000
"""Slices of one kind; a file stays below about 20 MB."""
MOST_POINTS = 100_000
"""Points of all counters of one kind together: of figures over time, and of parts of the cluster."""
MOST_JOBS = 2000
"""Jobs that are drawn."""
HELD = "part of its devices that is held"
MOST_LANES = 64
"""Requests of one replica that are drawn beside each other."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A timeline, ready to be written."""

    content: bytes
    remark: str
    """What was left out, in words; empty where nothing was."""


def trace(record: Record) -> Trace:
    """Draw everything that the record knows about time."""
    writer = TraceWriter()
    remarks: list[str] = []
    root = writer.track(record.name)
    tables = record.tables
    if record.is_training and "series" in tables:
        _training(writer, root, record, remarks)
    if (jobs := tidy.jobs(record)) is not None:
        _jobs(writer, jobs, tables.get("allocations"), remarks)
    if (requests := tidy.requests(record)) is not None:
        _requests(writer, requests, remarks)
    if (calls := tidy.calls(record)) is not None:
        _calls(writer, calls, remarks)
        _tools(writer, calls, remarks)
    if "events" in tables:
        _events(writer, tables["events"], remarks)
    if (series := tidy.series(record)) is not None:
        _counters(writer, "counters", series, remarks)
    if "heat" in tables:
        table = tables["heat"]
        lines = {"chart": np.full(len(table["row"]), HELD, dtype=object), "line": table["row"]}
        _counters(writer, HELD, lines | {name: table[name] for name in ("time_s", "value")}, remarks)
    return Trace(writer.content(), f"; {'; '.join(remarks)}" if remarks else "")


def sampled(count: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give at most so many of the places 0 to count - 1, at equal distances.

    >>> sampled(10, 3).tolist(), sampled(2, 3).tolist()
    ([0, 4, 9], [0, 1])
    """
    return np.arange(count) if count <= most else np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def _training(writer: TraceWriter, root: int, record: Record, remarks: list[str]) -> None:
    """Draw what the active devices did, by what most of them did at a time."""
    table = record.tables["series"]
    mine = np.array([str(chart) == "devices" for chart in table["chart"]])
    if not mine.any():
        return
    lines = np.array([str(line) for line in table["line"]], dtype=object)[mine]
    times, values = (
        np.asarray(table["time_s"], dtype=np.float64)[mine],
        np.asarray(table["value"], dtype=np.float64)[mine],
    )
    end_s = float(record.result["simulated"]["first_seed"]["wall_clock_s"])
    moments = np.unique(times)
    track = writer.track("what the active devices did", root)
    stretches = []
    for start_s, stop_s in zip(moments, np.append(moments[1:], end_s), strict=True):
        here = times == start_s
        most = int(np.argmax(np.where(here, values, -1.0)))
        if stop_s > start_s:
            stretches.append((str(lines[most]), float(start_s), float(stop_s)))
    chosen = sampled(len(stretches), MOST_SLICES)
    _say(remarks, "stretches", len(chosen), len(stretches))
    for place in chosen.tolist():
        name, start_s, stop_s = stretches[place]
        shown = "stepping, checkpoints within" if name == "stepping" else name
        writer.slice(track, shown, start_s, stop_s)


def _jobs(writer: TraceWriter, table: Any, held: Any, remarks: list[str]) -> None:  # noqa: ANN401 - columns
    """Draw each job on a track of its own: waiting, then running, as often as it got and lost its devices."""
    starts, ends = (np.asarray(table[name], dtype=np.float64) for name in ("started_s", "ended_s"))
    submitted = np.asarray(table.get("submitted_s", starts), dtype=np.float64)
    known = np.flatnonzero(np.isfinite(starts))
    chosen = known[sampled(len(known), MOST_JOBS)]
    _say(remarks, "jobs that ran", len(chosen), len(known))
    head = writer.track(_title("jobs", len(chosen), len(known)))
    stretches = _stretches(held)
    horizon_s = float(np.nanmax(np.append(ends, 0.0)))
    budget = MOST_SLICES
    for job in chosen.tolist():
        name = str(table["name"][job]) if "name" in table and str(table["name"][job]) else f"job {job + 1}"
        notes: dict[str, str | float] = {key: str(table[key][job]) for key in ("tenant", "status") if key in table}
        end_s = float(ends[job]) if np.isfinite(ends[job]) else max(horizon_s, float(starts[job]))
        mine = stretches.get(int(table["number"][job])) if "number" in table else None
        if mine is None:
            devices = float(table["devices"][job]) if "devices" in table else 0.0
            mine = [(float(starts[job]), end_s, devices)]
        budget -= 2 * len(mine)
        if budget < 0:
            remarks.append("the stretches of the last jobs are left out")
            break
        track, free_s = writer.track(name, head), float(submitted[job])
        for start_s, stop_s, devices in mine:
            if free_s < start_s:
                writer.slice(track, "waiting", free_s, start_s)
            writer.slice(track, "running", start_s, stop_s, notes | ({"devices": devices} if devices else {}))
            free_s = stop_s


def _stretches(held: Any) -> dict[int, list[tuple[float, float, float]]]:  # noqa: ANN401 - columns
    """Give begin, end and devices of each time that a job held a number of devices, by the number of the job."""
    found: dict[int, list[tuple[float, float, float]]] = {}
    if held is not None:
        order = np.argsort(np.asarray(held["start_s"], dtype=np.float64), kind="stable")
        columns = (np.asarray(held[name])[order].tolist() for name in ("number", "start_s", "end_s", "devices"))
        for number, start_s, end_s, devices in zip(*columns, strict=True):
            found.setdefault(int(number), []).append((float(start_s), float(end_s), float(devices)))
    return found


def _requests(writer: TraceWriter, table: Any, remarks: list[str]) -> None:  # noqa: ANN401 - columns
    """Draw prefill and decode of each request, by replica, in as many lanes as run at once."""
    arrived, first, ended = (
        np.asarray(table[name], dtype=np.float64) for name in ("arrival_s", "first_token_s", "finish_s")
    )
    whole = np.flatnonzero(np.isfinite(first) & np.isfinite(ended))
    order = whole[np.argsort(arrived[whole], kind="stable")]
    chosen = order[sampled(len(order), MOST_SLICES // 3)]
    _say(remarks, "finished requests", len(chosen), len(order))
    head = writer.track(_title("requests", len(chosen), len(order)))
    lanes: dict[str, tuple[int, list[tuple[int, float]]]] = {}
    crowded = 0
    for request in chosen.tolist():
        group = " ".join(str(table[name][request]) for name in ("service", "replica") if name in table) or "service"
        if group not in lanes:
            lanes[group] = (writer.track(f"replica {group}", head), [])
        parent, free = lanes[group]
        place = next((i for i, (_, until_s) in enumerate(free) if until_s <= arrived[request]), None)
        if place is None:
            if len(free) >= MOST_LANES:
                crowded += 1
                continue
            free.append((writer.track(f"lane {len(free) + 1}", parent), 0.0))
            place = len(free) - 1
        track = free[place][0]
        free[place] = (track, float(ended[request]))
        notes = {key: float(table[key][request]) for key in ("prompt_tokens", "output_tokens") if key in table}
        writer.slice(track, "wait and prefill", float(arrived[request]), float(first[request]), notes)
        writer.slice(track, "decode", float(first[request]), float(ended[request]))
    if crowded:
        remarks.append(f"{crowded:,} requests beyond {MOST_LANES} at once on a replica are left out")


def _calls(writer: TraceWriter, table: Any, remarks: list[str]) -> None:  # noqa: ANN401 - columns
    """Draw the calls of each task, with arrows from what a call waited for."""
    starts, ends = (np.asarray(table[name], dtype=np.float64) for name in ("start_s", "end_s"))
    tasks = np.array([str(task) for task in table["task"]], dtype=object)
    names = list(dict.fromkeys(tasks.tolist()))
    budget, kept = MOST_SLICES, []
    counts = dict(zip(*np.unique(tasks.astype(str), return_counts=True), strict=True))
    for place in sampled(len(names), 2000).tolist():
        budget -= int(counts[names[place]])
        if budget < 0:
            break
        kept.append(names[place])
    _say(remarks, "tasks", len(kept), len(names))
    head = writer.track(_title("tasks", len(kept), len(names)))
    wanted, heads = set(kept), {name: writer.track(f"task {name}", head) for name in kept}
    ids = table["id"] if "id" in table else np.arange(len(starts))
    parents = table["parent"] if "parent" in table else np.full(len(starts), -1)
    waited_for = {(tasks[call], int(parent)) for call, parent in enumerate(parents) if int(parent) >= 0}
    lanes: dict[str, list[tuple[int, float]]] = {name: [] for name in kept}
    critical = table.get("on_critical_path")
    for call in np.argsort(starts, kind="stable").tolist():
        task = tasks[call]
        if task not in wanted or not (np.isfinite(starts[call]) and np.isfinite(ends[call])):
            continue
        free = lanes[task]
        place = next((i for i, (_, until_s) in enumerate(free) if until_s <= starts[call]), None)
        if place is None:
            free.append((writer.track("calls", heads[task]), 0.0))
            place = len(free) - 1
        track = free[place][0]
        free[place] = (track, float(ends[call]))
        node = str(table["node"][call]) if "node" in table else str(table["kind"][call])
        notes: dict[str, str | float] = {key: str(table[key][call]) for key in ("kind", "where") if key in table}
        if critical is not None:
            notes["critical path"] = "yes" if critical[call] else "no"
        mine = int(ids[call])
        flows = (_flow(task, mine),) if (task, mine) in waited_for else ()
        follows = (_flow(task, int(parents[call])),) if int(parents[call]) >= 0 else ()
        writer.slice(track, node, float(starts[call]), float(ends[call]), notes, flows=flows + follows)


def _tools(writer: TraceWriter, table: Any, remarks: list[str]) -> None:  # noqa: ANN401 - columns
    """Draw the calls of each tool, in as many lanes as run at once."""
    starts, ends = (np.asarray(table[name], dtype=np.float64) for name in ("start_s", "end_s"))
    whole = np.flatnonzero(np.array([str(kind) == "tool" for kind in table["kind"]]) & np.isfinite(starts + ends))
    chosen = whole[sampled(len(whole), MOST_SLICES // 3)]
    if not len(chosen):
        return
    _say(remarks, "calls of tools", len(chosen), len(whole))
    head = writer.track(_title("tools", len(chosen), len(whole)))
    names = table.get("where", table.get("node", table["kind"]))
    parents: dict[str, int] = {}
    free: dict[str, list[tuple[int, float]]] = {}
    crowded = 0
    for call in chosen[np.argsort(starts[chosen], kind="stable")].tolist():
        tool = str(names[call]) or "tool"
        if tool not in parents:
            parents[tool], free[tool] = writer.track(tool, head), []
        lanes = free[tool]
        place = next((lane for lane, (_, until_s) in enumerate(lanes) if until_s <= starts[call]), None)
        if place is None:
            if len(lanes) >= MOST_LANES:
                crowded += 1
                continue
            place = len(lanes)
            lanes.append((writer.track(f"lane {place + 1}", parents[tool]), 0.0))
        lanes[place] = (lanes[place][0], float(ends[call]))
        writer.slice(lanes[place][0], tool, float(starts[call]), float(ends[call]), {"task": str(table["task"][call])})
    if crowded:
        remarks.append(f"{crowded:,} calls beyond {MOST_LANES} at once on a tool are left out")


def _flow(task: str, call: int) -> int:
    """Number an arrow by the task and the call that it leaves from."""
    from zlib import crc32  # noqa: PLC0415 - beside its only use

    return crc32(task.encode()) << 32 | call & 0xFFFFFFFF


def _events(writer: TraceWriter, table: Any, remarks: list[str]) -> None:  # noqa: ANN401 - columns
    count = len(table["time_s"])
    chosen = sampled(count, MOST_SLICES)
    _say(remarks, "events", len(chosen), count)
    track = writer.track(_title("events", len(chosen), count))
    for event in chosen.tolist():
        notes = {key: str(table[key][event]) for key in ("detail", "where") if key in table}
        writer.instant(track, str(table["kind"][event]), float(table["time_s"][event]), notes)


def _counters(writer: TraceWriter, title: str, table: Any, remarks: list[str]) -> None:  # noqa: ANN401 - columns
    """Draw lines over time, in long form, below a track of their own."""
    charts, lines = (np.array([str(each) for each in table[name]], dtype=object) for name in ("chart", "line"))
    times, values = np.asarray(table["time_s"], dtype=np.float64), np.asarray(table["value"], dtype=np.float64)
    pairs = list(dict.fromkeys(zip(charts.tolist(), lines.tolist(), strict=True)))
    head = writer.track(title)
    most = max(MOST_POINTS // max(len(pairs), 1), 2)
    left_out = 0
    for chart, line in pairs:
        mine = np.flatnonzero((charts == chart) & (lines == line))
        mine = mine[np.argsort(times[mine], kind="stable")]
        chosen = mine[sampled(len(mine), most)]
        left_out += len(mine) - len(chosen)
        dimension = DIMENSIONS_OF.get(chart) or dimension_of(chart)
        unit = DIMENSIONS[dimension].unit if dimension in DIMENSIONS else ""
        track = writer.track(f"{TITLES.get(chart, chart.replace('_', ' '))}: {line}", head, unit=unit)
        for place in chosen.tolist():
            writer.counter(track, float(times[place]), float(values[place]))
    if left_out:
        remarks.append(f"{left_out:,} points of counters are left out")


def _title(what: str, kept: int, count: int) -> str:
    return what if kept == count else f"{what} ({kept:,} of {count:,}, at equal distances)"


def _say(remarks: list[str], what: str, kept: int, count: int) -> None:
    if kept < count:
        remarks.append(f"{kept:,} of {count:,} {what} are drawn")

"""Tables of a record in the form that pictures and timelines read, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.results.record import Record

SERIES = ("chart", "line", "time_s", "value")
ANSWERED = ("finished", "done", "answered")
_TOGETHER = {
    "model_runs": ("parallel", "model calls"),
    "tool_runs": ("parallel", "tools"),
    "waiting_jobs": ("jobs_over_time", "waiting"),
    "running_jobs": ("jobs_over_time", "running"),
    "allocated_devices": ("asked", "held"),
    "asked_devices": ("asked", "held and asked for"),
}
"""Columns that stand in one picture, as its lines."""
_NOT_DRAWN = ("end_s", "busy_s")
"""Columns of a table over time that are there to be counted with."""
_GROUPS = ("service", "pool", "tool", "tenant", "of", "name", "graph")
"""Columns of a table over time that say whose line it is."""


_EXECUTED = ("prefill_flop", "decode_flop", "wasted_flop")
"""What a task took in all: prompts, answers, and what was given up."""


def series(record: Record) -> dict[str, Any] | None:
    """Give every line over time in long form: the table `series`, and each number of the tables over time.

    A table over time has `time_s`, maybe a column that says whose line it is, and one column for each figure.
    """
    pieces: dict[str, list[Any]] = {name: [] for name in SERIES}
    own = record.tables.get("series")
    if own is not None:
        pieces["chart"].append(_texts(own["chart"]))
        pieces["line"].append(_texts(own["line"]))
        pieces["time_s"].append(np.asarray(own["time_s"], dtype=np.float64))
        pieces["value"].append(np.asarray(own["value"], dtype=np.float64))
    for chart, line, time_s, value in _every_line(record):
        count = len(time_s)
        pieces["chart"].append(np.full(count, chart, dtype=object))
        pieces["line"].append(np.full(count, line, dtype=object))
        pieces["time_s"].append(time_s)
        pieces["value"].append(value)
    if not pieces["time_s"]:
        return None
    found = {name: np.concatenate(each) for name, each in pieces.items()}
    return found if len(found["time_s"]) else None


def jobs(record: Record) -> dict[str, Any] | None:
    """Give the table of jobs with its times under one set of names; None where it has none."""
    table = record.tables.get("jobs")
    if table is None:
        return None
    found = {name: table[name] for name in table}
    for name, others in _OF_JOBS.items():
        other = next((each for each in (name, *others) if each in table), None)
        if other is not None:
            found[name] = table[other]
    return found if {"submitted_s", "started_s", "ended_s"} <= set(found) and len(found["started_s"]) else None


def tasks(record: Record) -> dict[str, Any] | None:
    """Give the table of tasks with the time of each from its arrival to its end, and all the arithmetic it took."""
    table = record.tables.get("tasks")
    if table is None:
        return None
    found = {name: table[name] for name in table}
    end = next((name for name in ("finish_s", "end_s") if name in table), None)
    if "latency_s" not in found and end is not None and "arrival_s" in table:
        found["latency_s"] = np.asarray(table[end], dtype=np.float64) - np.asarray(table["arrival_s"], dtype=np.float64)
    if set(_EXECUTED) <= set(found):
        found["executed_flop"] = sum(np.asarray(found[name], dtype=np.float64) for name in _EXECUTED)
    if "graph" not in found and "workload" in table:
        found["graph"] = table["workload"]
    return found


def calls(record: Record) -> dict[str, Any] | None:
    """Give the table of calls, with what each waited for and whether it is on the critical path of its task.

    Where the table does not say it: a call waited for the one of its task whose end is the moment at which it was
    ready, and the critical path leads back from the last end.
    """
    table = record.tables.get("calls")
    if table is None or "task" not in table or "end_s" not in table:
        return None
    found = {name: table[name] for name in table}
    if "start_s" not in found:
        if "ready_s" not in table:
            return None
        found["start_s"] = table["ready_s"]
    count = len(found["end_s"])
    if "id" not in found:
        found["id"] = np.arange(count)
    if "parent" not in found:
        found["parent"] = _parents(found, count)
    if "on_critical_path" not in found:
        found["on_critical_path"] = _critical(found, count)
    return found if int(count) > 0 else None


def _parents(table: Mapping[str, Any], count: int) -> Any:  # noqa: ANN401 - a column
    ready = np.asarray(table.get("ready_s", table["start_s"]), dtype=np.float64).tolist()
    ends, names = np.asarray(table["end_s"], dtype=np.float64).tolist(), [str(task) for task in table["task"]]
    ids = np.asarray(table["id"]).tolist()
    ended: dict[tuple[str, float], int] = {}
    counts = _counting(table, count)
    for call in range(count):
        if counts[call]:
            ended.setdefault((names[call], ends[call]), call)
    parents = []
    for call in range(count):
        before = ended.get((names[call], ready[call]))
        parents.append(-1 if before is None or before == call or ends[call] <= ready[call] else ids[before])
    return np.array(parents)


def _critical(table: Mapping[str, Any], count: int) -> Any:  # noqa: ANN401 - a column
    ends, names = np.asarray(table["end_s"], dtype=np.float64).tolist(), [str(task) for task in table["task"]]
    ids, parents = np.asarray(table["id"]).tolist(), np.asarray(table["parent"]).tolist()
    counts = _counting(table, count)
    place_of = {(names[call], ids[call]): call for call in range(count)}
    last: dict[str, int] = {}
    for call in range(count):
        if not counts[call] or not np.isfinite(ends[call]):
            continue
        if names[call] not in last or ends[call] > ends[last[names[call]]]:
            last[names[call]] = call
    critical = np.zeros(count, dtype=bool)
    for task, end in last.items():
        place: int | None = end
        while place is not None and not critical[place]:
            critical[place] = True
            place = place_of.get((task, parents[place])) if parents[place] >= 0 else None
    return critical


def _counting(table: Mapping[str, Any], count: int) -> list[bool]:
    """Tell which calls others can wait for: no frames around other calls, and none that was cancelled."""
    kinds = [str(kind) for kind in table["kind"]] if "kind" in table else [""] * count
    states = [str(state) for state in table["state"]] if "state" in table else [""] * count
    return [kind != "graph" and state != "cancelled" for kind, state in zip(kinds, states, strict=True)]


_OF_JOBS = {
    "submitted_s": ("arrival_s",),
    "started_s": ("start_s",),
    "ended_s": ("finish_s", "end_s"),
    "status": ("outcome",),
}


def requests(record: Record) -> dict[str, Any] | None:
    """Give the table of requests with the latencies that follow from its times."""
    table = record.tables.get("requests")
    if table is None or "arrival_s" not in table:
        return None
    found = {name: table[name] for name in table}
    times = {
        name: np.asarray(table[name], dtype=np.float64)
        for name in ("arrival_s", "first_token_s", "finish_s")
        if name in table
    }
    if "ttft_s" not in found and "first_token_s" in times:
        found["ttft_s"] = times["first_token_s"] - times["arrival_s"]
    if len(times) == 3 and "tpot_s" not in found and "output_tokens" in table:  # noqa: PLR2004 - all three of them
        output = np.asarray(table["output_tokens"], dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = (times["finish_s"] - times["first_token_s"]) / (output - 1)
        found["tpot_s"] = np.where(output > 1, each, np.nan)
    if "finish_s" in times and "e2e_s" not in found:
        found["e2e_s"] = times["finish_s"] - times["arrival_s"]
    shown = np.ones(len(times["arrival_s"]), dtype=bool)
    if "status" in found:
        # What was given up or turned away has no latency of an answer.
        shown = np.array([str(status) in ANSWERED for status in found["status"]])
    if "counted" in found:
        # The warm-up is played and drawn over time, and counts in no figure.
        shown &= np.asarray(found["counted"], dtype=bool)
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        if name in found and not shown.all():
            found[name] = np.where(shown, np.asarray(found[name], dtype=np.float64), np.nan)
    return found


def _every_line(record: Record) -> Iterator[tuple[str, str, Any, Any]]:
    tables = record.tables
    if "allocations" in tables:
        yield from _held_by_tenant(tables["allocations"], tables.get("jobs"))
    for name in tables:
        if name in ("timeline", "cluster", "parallelism") or name.endswith("_timeline"):
            yield from _lines(tables[name])


def _held_by_tenant(table: Mapping[str, Any], owners: Mapping[str, Any] | None) -> Iterator[tuple[str, str, Any, Any]]:
    """Give the devices that each tenant's jobs held, as steps up and down."""
    if not {"number", "start_s", "end_s", "devices"} <= set(table) or not len(table["start_s"]):
        return
    numbers = np.asarray(table["number"])
    groups = np.full(len(numbers), "jobs", dtype=object)
    if owners is not None and {"number", "tenant"} <= set(owners):
        tenants = {int(number): str(tenant) for number, tenant in zip(owners["number"], owners["tenant"], strict=True)}
        groups = np.array([tenants.get(int(number), "jobs") or "jobs" for number in numbers], dtype=object)
    starts, ends, devices = (np.asarray(table[name], dtype=np.float64) for name in ("start_s", "end_s", "devices"))
    for group in dict.fromkeys(groups.tolist()):
        mine = (groups == group) & np.isfinite(ends)
        times = np.concatenate([starts[mine], ends[mine]])
        order = np.argsort(times, kind="stable")
        held = np.cumsum(np.concatenate([devices[mine], -devices[mine]])[order])
        yield "devices", group, times[order], held


def _lines(table: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    clock = next((name for name in ("time_s", "start_s") if name in table), None)
    if clock is None:
        return
    times = np.asarray(table[clock], dtype=np.float64)
    by = next((name for name in _GROUPS if name in table), None)
    groups = _texts(table[by]) if by is not None else np.full(len(times), "", dtype=object)
    for name in table:
        values = np.asarray(table[name])
        if name in (clock, by, *_NOT_DRAWN) or values.dtype.kind not in "fiub":
            continue
        if name in _TOGETHER:
            yield _TOGETHER[name][0], _TOGETHER[name][1], *_closed(times, values)
            continue
        for group in dict.fromkeys(groups.tolist()):
            mine = groups == group
            yield name, group or name.replace("_", " "), *_closed(times[mine], values[mine])


def _closed(times: Any, values: Any) -> tuple[Any, Any]:  # noqa: ANN401 - columns
    """End the last bin, so that its value does not hold until the end of a longer run."""
    ends_s = times[-1:] + np.diff(times[-2:])
    return np.append(times, ends_s), np.append(values.astype(np.float64), np.zeros(len(ends_s)))


def _texts(values: Any) -> Any:  # noqa: ANN401 - a column of texts
    return np.array([str(value) for value in values], dtype=object)

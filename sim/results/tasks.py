"""What played tasks say: figures under dotted names, and columns; docs/graphs.md defines each.

Wall-clock is from arrival to end. The critical path of a task is the chain of runs of which each was the last that the
next one waited for; on it, working is the time that a run takes with nobody else there, and waiting is the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.engine.graph.recording import UNKNOWN_OUTCOME
from sim.engine.graph.state import STATE_NAMES
from sim.plan.graph import CALL, KIND_NAMES, TOOL
from sim.results.counted_rules import HUMAN_TOKENS_PER_S
from sim.results.run_report import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sim.engine.graph.recording import TaskColumns, TaskRecording
    from sim.plan.graph import NodePlan

    Floats = NDArray[np.float64]

SHARES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
CURVE_POINTS = 10
MOST_CALLS_TOLD = 500_000
"""Rows of the table `calls`: the first runs to end; sums by node and the curve of parallelism count all."""
PARALLEL_BINS = 1000
"""Bins of the curve of parallelism over time."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool after a run."""

    name: str
    concurrency: int | None
    calls: int
    failed: int
    busy_s: float
    """Seconds of calls, summed."""
    queued_s: float


@dataclass(frozen=True, slots=True)
class PlayedTasks:
    """All tasks of a run, and what they used."""

    recording: TaskRecording
    labels: dict[int, str]
    """Names of the workloads by their place in the scenario."""
    nodes: tuple[NodePlan, ...]
    tools: tuple[ToolUse, ...]
    end_s: float
    cost_usd: float | None
    """Of the services, and of the tools."""
    energy_j: float | None
    model_flop: float
    """Executed by all services, for whomever."""

    def rows(self, index: int) -> NDArray[np.intp]:
        """Give the places of the tasks of one workload."""
        return np.flatnonzero(self.recording.tasks.workload == index)


def executed_flop(tasks: TaskColumns) -> Floats:
    """Give the operations that each task took: prompts, answers, and what was given up."""
    return tasks.prefill_flop + tasks.decode_flop + tasks.wasted_flop


def figures(played: PlayedTasks) -> dict[str, Value]:
    """Give every figure of every workload of tasks and of every tool, not numbers where nothing measures it."""
    found: dict[str, Value] = {}
    for index, label in played.labels.items():
        rows = played.rows(index)
        if len(rows):
            found |= {f"{label}.{key}": value for key, value in _of_workload(played, rows)}
    for tool in played.tools:
        found |= {f"{tool.name}.{key}": value for key, value in _of_tool(tool, played.end_s)}
    return found


def _of_workload(played: PlayedTasks, rows: NDArray[np.intp]) -> Iterator[tuple[str, Value]]:
    tasks = played.recording.tasks
    count = len(rows)
    wall_s = tasks.finish_s[rows] - tasks.arrival_s[rows]
    spent_s = np.maximum(tasks.finish_s[rows] - tasks.start_s[rows], 0.0)
    yield "tasks", Value(float(count), "count")
    yield "failed", Value(float((tasks.reason[rows] > 0).sum()), "count", "lower")
    yield "wall_clock_s.mean", Value(float(wall_s.mean()), "second", "lower")
    for (name, _), quantile in zip(SHARES.items(), np.quantile(wall_s, list(SHARES.values())), strict=True):
        yield f"wall_clock_s.{name}", Value(float(quantile), "second", "lower")
    solved = tasks.solved[rows]
    if (solved != UNKNOWN_OUTCOME).any():
        share = float((solved == 1).mean())
        yield "solved", Value(share, "fraction", "higher")
        yield "solved.standard_error", Value(math.sqrt(share * (1 - share) / count), "fraction")
    for name, column in _PER_TASK.items():
        total = float(getattr(tasks, column)[rows].sum())
        yield f"{name}_per_task", Value(total / count, _dimension(column))
    flop = executed_flop(tasks)[rows]
    yield "flop_per_task", Value(float(flop.mean()), "flop", "lower")
    for name, quantile in zip(("p50", "p99"), np.quantile(flop, [0.5, 0.99]), strict=True):
        yield f"flop_per_task.{name}", Value(float(quantile), "flop", "lower")
    work_s = tasks.model_s[rows] + tasks.tool_s[rows]
    total_s = float(spent_s.sum())
    if total_s:
        yield "parallelism", Value(float(work_s.sum()) / total_s, "ratio")
        yield "flop_per_s", Value(float(flop.sum()) / total_s, "flop_per_s", "higher")
        tokens = float((tasks.output_tokens[rows] + tasks.wasted_tokens[rows]).sum())
        yield "tokens_per_s", Value(tokens / total_s, "token_per_s", "higher")
        yield "human_thought", Value(tokens / total_s / HUMAN_TOKENS_PER_S, "ratio", "higher")
    prompts = float(tasks.prompt_tokens[rows].sum())
    if prompts:
        yield "hit_rate", Value(float(tasks.cached_tokens[rows].sum()) / prompts, "fraction", "higher")
    for name, column in _PATH.items():
        yield f"critical_path_s.{name}", Value(float(getattr(tasks, column)[rows].mean()), "second", "lower")
    yield from _economy(played, rows, float(flop.sum()))


def _economy(played: PlayedTasks, rows: NDArray[np.intp], flop: float) -> Iterator[tuple[str, Value]]:
    """Share cost and energy of the services by operations, and tools by who called them."""
    tasks = played.recording.tasks
    count, right = len(rows), float((tasks.solved[rows] == 1).sum()) or math.nan
    share = flop / played.model_flop if played.model_flop else 0.0
    judged = bool((tasks.solved[rows] != UNKNOWN_OUTCOME).any())
    if played.cost_usd is not None:
        cost = share * played.cost_usd + float(tasks.tool_usd[rows].sum())
        yield "usd_per_task", Value(cost / count, "usd", "lower")
        if judged:
            yield "usd_per_solved_task", Value(cost / right, "usd", "lower")
    if played.energy_j is not None:
        energy = share * played.energy_j
        yield "joules_per_task", Value(energy / count, "joule", "lower")
        if judged:
            yield "joules_per_solved_task", Value(energy / right, "joule", "lower")
    if judged:
        yield "flop_per_solved_task", Value(flop / right, "flop", "lower")


def _of_tool(tool: ToolUse, end_s: float) -> Iterator[tuple[str, Value]]:
    yield "calls", Value(float(tool.calls), "count")
    yield "failed", Value(float(tool.failed), "count", "lower")
    if end_s:
        yield "at_once", Value(tool.busy_s / end_s, "ratio")
        if tool.concurrency is not None:
            yield "utilization", Value(tool.busy_s / end_s / tool.concurrency, "fraction", "higher")
    if tool.calls:
        yield "latency_s.mean", Value(tool.busy_s / tool.calls, "second", "lower")
        yield "queue_s.mean", Value(tool.queued_s / tool.calls, "second", "lower")


_PER_TASK = {
    "calls": "calls",
    "tool_calls": "tool_calls",
    "prompt_tokens": "prompt_tokens",
    "cached_tokens": "cached_tokens",
    "output_tokens": "output_tokens",
    "wasted_tokens": "wasted_tokens",
    "prefill_flop": "prefill_flop",
    "decode_flop": "decode_flop",
    "cached_flop": "cached_flop",
    "wasted_flop": "wasted_flop",
    "flop16": "flop16",
    "tool_usd": "tool_usd",
}
_PATH = {
    "waiting": "path_waiting_s",
    "model": "path_model_s",
    "tool": "path_tool_s",
    "other": "path_other_s",
}


def _dimension(column: str) -> str:
    if column.endswith("_tokens"):
        return "token"
    if column.endswith("_usd"):
        return "usd"
    return "flop" if "flop" in column else "ratio"


def solved_curve(played: PlayedTasks, index: int) -> list[tuple[float, float, float, float, float]]:
    """Give the share of tasks that are solved within a budget, at ten budgets from the least to the most of any task.

    Each row: budget in FLOP, share solved with no more; budget in s, share solved in no more; share of tasks that
    end within that time.
    """
    tasks, rows = played.recording.tasks, played.rows(index)
    right = tasks.solved[rows] == 1
    flop, wall_s = executed_flop(tasks)[rows], tasks.finish_s[rows] - tasks.arrival_s[rows]
    shares = np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS
    budgets, limits = np.quantile(flop, shares), np.quantile(wall_s, shares)
    budgets[-1], limits[-1] = flop.max(), wall_s.max()
    return [
        (
            float(budget),
            float((right & (flop <= budget)).mean()),
            float(limit),
            float((right & (wall_s <= limit)).mean()),
            float((wall_s <= limit).mean()),
        )
        for budget, limit in zip(budgets, limits, strict=True)
    ]


def tables(played: PlayedTasks) -> dict[str, dict[str, NDArray[Any]]]:
    """Give tasks, runs of nodes and parallelism over time as columns."""
    tasks, runs = played.recording.tasks, played.recording.runs
    order = np.argsort(tasks.serial, kind="stable")
    columns = {name: np.asarray(getattr(tasks, name))[order] for name in type(tasks).__dataclass_fields__}
    names = np.array([played.labels.get(place, "") for place in range(max(played.labels, default=0) + 1)])
    columns["workload"] = names[columns["workload"]]
    columns["reason"] = np.array(played.recording.reasons)[columns["reason"]]
    labels = np.array([node.label for node in played.nodes] or [""])
    kinds = np.array([KIND_NAMES[node.kind] for node in played.nodes] or [""])
    targets = np.array([node.target for node in played.nodes] or [""])
    told = slice(0, MOST_CALLS_TOLD)
    calls = {
        "task": runs.task[told],
        "node": labels[runs.node[told]],
        "kind": kinds[runs.node[told]],
        "where": targets[runs.node[told]],
        "ready_s": runs.ready_s[told],
        "end_s": runs.end_s[told],
        "state": np.array(STATE_NAMES)[runs.state[told]],
    }
    return {"tasks": columns, "calls": calls, "parallelism": _parallelism(played)}


def _parallelism(played: PlayedTasks) -> dict[str, NDArray[Any]]:
    """Give how many runs of models and of tools there are at a time, on average over each bin of time."""
    runs = played.recording.runs
    width_s = played.end_s / PARALLEL_BINS if played.end_s else 1.0
    kinds = np.array([node.kind for node in played.nodes] or [0])[runs.node]
    found: dict[str, NDArray[Any]] = {"time_s": np.arange(PARALLEL_BINS) * width_s}
    for name, kind in (("model_runs", CALL), ("tool_runs", TOOL)):
        chosen = kinds == kind
        found[name] = _mean_level(runs.ready_s[chosen], runs.end_s[chosen], width_s)
    return found


def _mean_level(starts_s: Floats, ends_s: Floats, width_s: float) -> Floats:
    """Average, over each bin, the number of intervals that cover a time."""
    edges = np.arange(PARALLEL_BINS + 1) * width_s

    def passed(times_s: Floats) -> Floats:
        """Give the seconds that have passed since each of the times, summed, at every edge."""
        ordered = np.sort(times_s)
        sums = np.concatenate(([0.0], np.cumsum(ordered)))
        before = np.searchsorted(ordered, edges, side="right")
        return np.asarray(before * edges - sums[before])

    covered = passed(starts_s) - passed(ends_s)
    return np.diff(covered) / width_s


def timeline(played: PlayedTasks, serial: int, most: int = 60) -> Sequence[tuple[str, str, float, float, str]]:
    """Give the runs of one task in time: node, kind, begin and end from the task's begin, state."""
    runs, tasks = played.recording.runs, played.recording.tasks
    start_s = float(tasks.start_s[np.flatnonzero(tasks.serial == serial)[0]])
    chosen = np.flatnonzero(runs.task == serial)
    chosen = chosen[np.lexsort((runs.end_s[chosen], runs.ready_s[chosen]))][:most]
    return [
        (
            played.nodes[int(runs.node[place])].label,
            KIND_NAMES[played.nodes[int(runs.node[place])].kind],
            float(runs.ready_s[place]) - start_s,
            float(runs.end_s[place]) - start_s,
            STATE_NAMES[int(runs.state[place])],
        )
        for place in chosen
    ]


def median_task(played: PlayedTasks) -> int:
    """Give the serial number of the task whose wall-clock is the median of all."""
    tasks = played.recording.tasks
    order = np.lexsort((tasks.serial, tasks.finish_s - tasks.arrival_s))
    return int(tasks.serial[order[len(order) // 2]])

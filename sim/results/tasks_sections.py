"""The tables of played tasks that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.engine.graph.recording import UNKNOWN_OUTCOME
from sim.plan.graph import KIND_NAMES
from sim.results.counted_rules import HUMAN_TOKENS_PER_S
from sim.results.run_report import Column, Section
from sim.results.tasks import median_task, solved_curve, timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.run_report import Value
    from sim.results.tasks import PlayedTasks

_TASKS = (
    ("tasks", "tasks", "count"),
    ("solved", "solved", "fraction"),
    ("wall_clock_s.mean", "mean", "second"),
    ("wall_clock_s.p50", "p50", "second"),
    ("wall_clock_s.p99", "p99", "second"),
    ("critical_path_s.model", "models", "second"),
    ("critical_path_s.tool", "tools", "second"),
    ("critical_path_s.waiting", "waiting", "second"),
    ("parallelism", "at once", "ratio"),
)
_WORK = (
    ("calls_per_task", "calls", "ratio"),
    ("tool_calls_per_task", "tool calls", "ratio"),
    ("prompt_tokens_per_task", "prompts", "token"),
    ("cached_tokens_per_task", "cached", "token"),
    ("output_tokens_per_task", "output", "token"),
    ("wasted_tokens_per_task", "wasted", "token"),
    ("flop_per_task", "FLOP", "flop"),
    ("flop16_per_task", "16-bit FLOP", "flop"),
    ("wasted_flop_per_task", "wasted FLOP", "flop"),
)
_COST = (
    ("usd_per_task", "cost", "usd"),
    ("usd_per_solved_task", "cost solved", "usd"),
    ("joules_per_task", "energy", "joule"),
    ("joules_per_solved_task", "energy solved", "joule"),
    ("flop_per_solved_task", "FLOP solved", "flop"),
    ("flop_per_s", "while working", "flop_per_s"),
    ("tokens_per_s", "tokens", "token_per_s"),
    ("human_thought", "x human thought", "ratio"),
)
_PATH_NOTE = (
    "Critical path: the chain of runs of which each was the last that the next one waited for. Models and tools: what "
    "they take with nobody else there; waiting: the rest, for a place and for others on the same replica. "
    "At once: calls and tools of one task at the same time, on average."
)
_HUMAN_NOTE = (
    f"Tokens that a task generates per second of its time; people think at {HUMAN_TOKENS_PER_S:g} tokens/s. Cost and "
    "energy of the services are shared by operations, their idle time included."
)
_CURVE_NOTE = "Share of all tasks that are solved and took no more than this."


def sections(played: PlayedTasks, figures: dict[str, Value]) -> tuple[Section, ...]:
    """Give the tables of tasks."""
    return tuple(_sections(played, figures))


def _sections(played: PlayedTasks, figures: dict[str, Value]) -> Iterator[Section]:
    yield _table(played, figures, "tasks", "Tasks", _TASKS, _PATH_NOTE)
    yield _table(played, figures, "task_work", "Work of a task, on average", _WORK, "")
    yield _table(played, figures, "task_cost", "Cost, energy and speed", _COST, _HUMAN_NOTE)
    for index, label in played.labels.items():
        rows = played.rows(index)
        if len(rows) and (played.recording.tasks.solved[rows] != UNKNOWN_OUTCOME).any():
            columns = (
                Column("FLOP", "flop"),
                Column("solved", "fraction"),
                Column("time", "second"),
                Column("solved_in_time", "fraction"),
                Column("ended_in_time", "fraction"),
            )
            curve = tuple(solved_curve(played, index))
            title = f"{label}: solved within a budget"
            yield Section(f"solved_curve.{label}", title, columns, curve, _CURVE_NOTE)
    yield _nodes(played)
    if played.tools:
        yield _tools(played, figures)
    if len(played.recording.tasks):
        yield _timeline(played)


def _table(
    played: PlayedTasks,
    figures: dict[str, Value],
    name: str,
    title: str,
    wanted: tuple[tuple[str, str, str], ...],
    note: str,
) -> Section:
    labels = list(played.labels.values())
    columns = [each for each in wanted if any(f"{label}.{each[0]}" in figures for label in labels)]
    rows = tuple(
        (label, *(figures[f"{label}.{key}"].value if f"{label}.{key}" in figures else None for key, *_ in columns))
        for label in labels
    )
    shown = (Column("workload"), *(Column(title, dimension) for _, title, dimension in columns))
    return Section(name, title, shown, rows, note)


def _nodes(played: PlayedTasks) -> Section:
    """Say what each node did: runs, their mean time, and its part of the critical paths."""
    sums = played.recording.nodes
    count = max(len(played.recording.tasks), 1)
    rows = []
    for node in played.nodes:
        runs = int(sums.runs[node.index])
        if not runs:
            continue
        cancelled = int(sums.by_state[-1][node.index])
        rows.append(
            (
                node.label,
                KIND_NAMES[node.kind],
                node.target or None,
                runs / count,
                cancelled / count,
                float(sums.latency_s[node.index]) / runs,
                float(sums.path_working_s[node.index]) / count,
                float(sums.path_waiting_s[node.index]) / count,
            )
        )
    columns = (
        Column("node"),
        Column("kind"),
        Column("of"),
        Column("runs_a_task", "ratio"),
        Column("cancelled", "ratio"),
        Column("mean_time", "second"),
        Column("working", "second"),
        Column("waiting", "second"),
    )
    note = "Working and waiting: seconds on the critical path of a task, on average over all tasks."
    return Section("nodes", "Nodes", columns, tuple(rows), note)


def _tools(played: PlayedTasks, figures: dict[str, Value]) -> Section:
    def look(name: str) -> float | None:
        return figures[name].value if name in figures else None

    keys = ("calls", "failed", "at_once", "utilization", "latency_s.mean", "queue_s.mean")
    rows = tuple((tool.name, *(look(f"{tool.name}.{key}") for key in keys)) for tool in played.tools)
    columns = (
        Column("tool"),
        Column("calls", "count"),
        Column("failed", "count"),
        Column("at_once", "ratio"),
        Column("used", "fraction"),
        Column("latency", "second"),
        Column("queue", "second"),
    )
    return Section("tools", "Tools", columns, rows)


def _timeline(played: PlayedTasks) -> Section:
    serial = median_task(played)
    rows = tuple(timeline(played, serial, 40))
    total = int(np.count_nonzero(played.recording.runs.task == serial))
    columns = (Column("node"), Column("kind"), Column("from", "second"), Column("to", "second"), Column("ended"))
    note = f"The first {len(rows)} of its {total} runs." if total > len(rows) else ""
    return Section("timeline", f"One task in time: number {serial}, of median wall-clock", columns, rows, note)

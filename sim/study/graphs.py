"""Tasks in a played scenario: their graphs on its services, and what they add to its report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sim.cost.precision import BITS
from sim.engine.graph.player import Player
from sim.engine.graph.ports import EnginePort
from sim.engine.graph.recording import TaskRecorder
from sim.engine.graph.source import TaskSource
from sim.engine.graph.traced import TracedTasks
from sim.engine.workload import Contents
from sim.errors import ScenarioError
from sim.plan.graph import CALL, TOOL, compile_graphs, plain_node
from sim.results.run_report import measured, unmeasured
from sim.results.tasks import PlayedTasks, ToolUse, figures, tables
from sim.results.tasks_sections import sections
from sim.spec.traces import open_trace
from sim.spec.traces_links import parents_of
from sim.spec.traces_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.engine.serving.service import Service
    from sim.engine.world import World
    from sim.plan.graph import NodePlan
    from sim.plan.services import PlannedService
    from sim.results.run_report import RunReport, Value
    from sim.results.serving import Served
    from sim.spec.scenario import Scenario
    from sim.spec.tasks import TasksSpec


SERIAL_BITS = 24
"""Serial numbers of the tasks of a trace begin at the place of its workload, plus 1, shifted by so much."""


class Tasks:
    """All workloads of tasks of a scenario while it is played."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        services: Mapping[str, tuple[Service, PlannedService]],
        on_over: Callable[[int], None],
    ) -> None:
        """Begin them; ``on_over`` is called with the place of each workload whose last task is done with.

        Raises:
            ScenarioError: a graph makes no sense, or two workloads have one name.
        """
        self._world = world
        self._plans = compile_graphs(scenario)
        self._nodes = list(self._plans.nodes)
        ports = {name: EnginePort(service, BITS[planned.compute]) for name, (service, planned) in services.items()}
        self.workloads: dict[int, TasksSpec] = {
            index: workload.tasks for index, workload in enumerate(scenario.workloads) if workload.tasks is not None
        }
        self._check()
        recorded = {index: self._nodes_of(spec) for index, spec in self.workloads.items() if spec.trace is not None}
        self._recorder = TaskRecorder(tuple(self._nodes))
        self._player = Player(world, self._plans, ports, self._recorder)
        for index, spec in self.workloads.items():
            if spec.graph is not None:
                source = TaskSource(world, self._player, spec, index, self._plans.graphs[spec.graph])
                source.on_over = partial(on_over, index)
                source.start()
            else:
                assert spec.trace is not None
                port = ports[spec.trace.service]
                traced = TracedTasks(world, port, self._recorder, spec, index, recorded[index])
                traced.on_over = partial(on_over, index)
                self._start_trace(traced, spec.trace.file, port.block_size, (index + 1) << SERIAL_BITS)

    def _nodes_of(self, spec: TasksSpec) -> tuple[NodePlan, NodePlan]:
        """Add the two nodes that stand for the calls and the tools of a recorded graph."""
        call = plain_node(len(self._nodes), f"{spec.label}.call", CALL, spec.trace.service if spec.trace else "")
        tool = plain_node(len(self._nodes) + 1, f"{spec.label}.tool", TOOL, "")
        self._nodes += [call, tool]
        return call, tool

    def _start_trace(self, traced: TracedTasks, file: str, block_size: int, first: int) -> None:
        trace = open_trace(file, "agentic")
        rows = Rows.join(list(trace.chunks()))
        parents = parents_of(rows, str(trace.path))
        traced.start(rows, parents, Contents(file, block_size).of(rows), first)

    def _check(self) -> None:
        labels: dict[str, int] = {}
        for index, spec in self.workloads.items():
            if spec.label in labels:
                where = f"workloads.{index}.tasks.name"
                raise ScenarioError("two workloads of tasks have different names", spec.label, where, "name: another")
            labels[spec.label] = index

    def told_with(self, report: RunReport, served: Sequence[Served]) -> RunReport:
        """Put the tasks into the report of the services that they ran on."""
        played = self.close(served)
        every = figures(played)
        merged = report.values | measured(every)
        tool_usd = float(played.recording.tasks.tool_usd.sum())
        return replace(
            report,
            sentence=f"{_sentence(played, merged)} {report.sentence}".strip(),
            values=merged,
            unmeasured={**report.unmeasured, **unmeasured(every)},
            sections=(*sections(played, merged), *report.sections),
            tables=report.tables | tables(played),
            cost_usd=None if report.cost_usd is None else report.cost_usd + tool_usd,
            missing=(*report.missing, *_failures(played)),
        )

    def close(self, served: Sequence[Served]) -> PlayedTasks:
        """Give what was played; services are closed already."""
        costs = [each.cost_usd for each in served]
        energies = [each.energy_j for each in served]
        flop = sum(sum(each.recording.flop.values()) for each in served)
        pools = self._player.pools.values()
        return PlayedTasks(
            recording=self._recorder.close(),
            labels={index: spec.label for index, spec in self.workloads.items()},
            nodes=tuple(self._nodes),
            tools=tuple(
                ToolUse(pool.plan.name, pool.plan.concurrency, pool.calls, pool.failed, pool.busy_s, pool.queued_s)
                for pool in pools
            ),
            end_s=self._world.now_s,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            energy_j=None if None in energies else sum(energy for energy in energies if energy is not None),
            model_flop=flop,
        )


def _sentence(played: PlayedTasks, figures: Mapping[str, Value]) -> str:
    told = []
    for label in played.labels.values():
        shown = {
            key: figures[f"{label}.{key}"].shown
            for key in ("tasks", "wall_clock_s.p50", "wall_clock_s.p99", "flop_per_task", "usd_per_task", "solved")
            if f"{label}.{key}" in figures
        }
        parts = [f"{label}: {shown.get('tasks', '0')} tasks"]
        if "solved" in shown:
            parts.append(f"{shown['solved']} solved")
        if "wall_clock_s.p50" in shown:
            parts.append(f"{shown['wall_clock_s.p50']} each (median; p99 {shown['wall_clock_s.p99']})")
        if "flop_per_task" in shown:
            parts.append(shown["flop_per_task"])
        if "usd_per_task" in shown:
            parts.append(f"{shown['usd_per_task']} each")
        told.append(f"{', '.join(parts)}.")
    return " ".join(told)


def _failures(played: PlayedTasks) -> list[str]:
    """Say why tasks failed as a whole."""
    reasons = played.recording.tasks.reason
    return [
        f"{int((reasons == place).sum()):,} tasks failed: {reason}"
        for place, reason in enumerate(played.recording.reasons)
        if place and (reasons == place).any()
    ]

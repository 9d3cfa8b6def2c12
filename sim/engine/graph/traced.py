"""Recorded graphs: requests of a trace that wait for one another and for tools; what hangs together is one task."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sim.engine.graph.starts import count_call
from sim.engine.graph.state import FAILED, OK, Task, Workload
from sim.engine.serving.request import Request
from sim.plan.graph import GraphPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sim.engine.graph.recording import TaskRecorder
    from sim.engine.graph.state import ServicePort, Step
    from sim.engine.serving.contents import Blocks
    from sim.engine.world import World
    from sim.plan.graph import NodePlan
    from sim.spec.tasks import TasksSpec
    from sim.spec.traces_rows import Rows

FIRST_ID = 1 << 60
"""Numbers of these requests lie beyond those of workloads of requests."""


class TracedTasks:
    """One workload of recorded graphs while it is played."""

    def __init__(
        self,
        world: World,
        port: ServicePort,
        recorder: TaskRecorder,
        spec: TasksSpec,
        index: int,
        nodes: tuple[NodePlan, NodePlan],
    ) -> None:
        """Take where requests go, and the nodes that stand for calls and tools."""
        self.world = world
        self.on_over: Callable[[], None] = _nobody_cares
        self._port = port
        self._recorder = recorder
        self._spec = spec
        self._call, self._tool = nodes
        self._workload = Workload(
            spec.label, index, GraphPlan(spec.label, (), {}, "", None, (), has_outcome=False), 0, 0.0
        )
        self._left = 0
        self._waited_for: dict[int, int] = {}
        """The request whose end let another go, the last of those that it waits for."""
        self._answers: dict[int, tuple[float, int, int, int]] = {}
        """Of each request: seconds to its end, tokens of its prompt, cached ones, and tokens of its answer."""

    def start(self, rows: Rows, parents: Sequence[tuple[int, ...]], blocks: Iterable[Blocks], first: int) -> None:
        """Begin; ``parents`` are the rows that each row waits for, ``first`` the serial number of the first task."""
        assert rows.tool_wait_s is not None
        self._rows = list(zip(rows.input_tokens.tolist(), rows.output_tokens.tolist(), blocks, strict=False))
        self._tool_s = rows.tool_wait_s.tolist()
        self._sessions = rows.sessions
        self._missing = [len(found) for found in parents]
        self._children: list[list[int]] = [[] for _ in parents]
        for place, found in enumerate(parents):
            for parent in found:
                self._children[parent].append(place)
        arrivals = rows.arrival_s.tolist()
        self._tasks, groups = self._gather(parents, arrivals, first)
        self._left = len(groups)
        for places in groups:
            for place in places:
                if not parents[place]:
                    delay_s = self._spec.at + arrivals[place] - self.world.now_s
                    self.world.after(delay_s, partial(self._ready, place))
        if not groups:
            self.world.after(0.0, self.on_over)

    def _gather(
        self, parents: Sequence[tuple[int, ...]], arrivals: list[float], first: int
    ) -> tuple[list[Task | None], list[list[int]]]:
        """Find what hangs together, and make a task of each, in the order of their arrivals."""
        root = list(range(len(parents)))

        def find(place: int) -> int:
            while root[place] != place:
                root[place] = root[root[place]]
                place = root[place]
            return place

        for place, found in enumerate(parents):
            for parent in found:
                root[find(place)] = find(parent)
        members: dict[int, list[int]] = {}
        for place in range(len(parents)):
            members.setdefault(find(place), []).append(place)
        begin = {
            head: min(arrivals[place] for place in places if not parents[place]) for head, places in members.items()
        }
        order = sorted(members, key=lambda head: (begin[head], head))[: self._spec.count]
        tasks: list[Task | None] = [None] * len(parents)
        for number, head in enumerate(order):
            task = Task(self._workload, number, first + number, 0, 0.0, self._spec.at + begin[head])
            task.outstanding = len(members[head])
            for place in members[head]:
                tasks[place] = task
        return tasks, [members[head] for head in order]

    def _ready(self, place: int) -> None:
        """Let a request wait for its tool, or go."""
        now_s, tool_s = self.world.now_s, self._tool_s[place]
        if not tool_s:
            self._send(place)
            return
        task = self._tasks[place]
        assert task is not None
        task.tool_calls += 1
        task.tool_s += tool_s
        self.world.after(tool_s, partial(self._tool_ended, place, now_s))

    def _tool_ended(self, place: int, ready_s: float) -> None:
        task = self._tasks[place]
        assert task is not None
        self._recorder.run(task.serial, self._tool.index, ready_s, self.world.now_s, OK)
        self._send(place)

    def _send(self, place: int) -> None:
        task = self._tasks[place]
        assert task is not None
        prompt, output, blocks = self._rows[place]
        session = None if self._sessions is None else self._sessions[place]
        spec = self._spec
        request = Request(
            FIRST_ID + place, 0.0, prompt, output, blocks, session, spec.tenant or "", spec.priority, spec.time_out
        )
        task.calls += 1
        self._port.submit(request, partial(self._answered, place))

    def _answered(self, place: int, request: Request) -> None:
        task = self._tasks[place]
        assert task is not None
        finished = request.status == "finished"
        count_call(task, request, self._port, finished=finished)
        state = OK if finished else FAILED
        self._recorder.run(task.serial, self._call.index, request.arrival_s, self.world.now_s, state)
        task.outstanding -= 1
        spent_s = self.world.now_s - request.arrival_s
        self._answers[place] = (spent_s, request.prompt_tokens, request.cached_tokens, request.generated_tokens)
        for child in self._children[place]:
            if not finished:
                self._drop(child, task)
                continue
            self._missing[child] -= 1
            if not self._missing[child]:
                self._waited_for[child] = place
                self._ready(child)
        if not finished:
            task.reason = f"a request {request.status}"
        if not task.outstanding:
            task.path = self._path(place)
            self._end(task)

    def _path(self, last: int) -> list[Step]:
        """Walk back from the request that ended last, over those that each next one waited for last."""
        steps: list[Step] = []
        place: int | None = last
        while place is not None:
            spent_s, prompt, cached, generated = self._answers[place]
            waiting_s = max(spent_s - self._port.unloaded_s(prompt, cached, generated), 0.0)
            steps.append((self._call.index, waiting_s, spent_s - waiting_s))
            if self._tool_s[place]:
                steps.append((self._tool.index, 0.0, self._tool_s[place]))
            place = self._waited_for.get(place)
        return steps[::-1]

    def _drop(self, place: int, task: Task) -> None:
        """Count requests that will never come."""
        waiting = [place]
        while waiting:
            child = waiting.pop()
            if self._missing[child] > 0:
                self._missing[child] = -1
                task.outstanding -= 1
                waiting.extend(self._children[child])

    def _end(self, task: Task) -> None:
        task.finish_s = self.world.now_s
        self._recorder.task(task)
        self._left -= 1
        if not self._left:
            self.on_over()


def _nobody_cares() -> None:
    pass

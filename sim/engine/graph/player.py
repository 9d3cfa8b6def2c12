"""Tasks in time: a light state machine on the clock's events, one entry for each end of a call, a tool or a wait.

A run is ready when what it waits for has ended or a join is satisfied; it starts at once. When nobody asks for a run
any more it is cancelled, and with it what only served it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from sim.engine.graph.draws import BRANCH, COPIES, DIFFICULTY, HEAD, INPUT, draws_of
from sim.engine.graph.outcomes import vote
from sim.engine.graph.prompts import Heads, TaskHeads
from sim.engine.graph.starts import Starts
from sim.engine.graph.state import CANCELLED, FAILED, OK, SKIPPED, STARTED, WAITING, Call, Instance, Task
from sim.engine.graph.tools import ToolCall, ToolPool
from sim.engine.random import fold, uniform, uniforms, word
from sim.errors import LimitError
from sim.plan.graph import CALL, GRAPH, TOOL, VOTE, WAIT
from sim.plan.graph_runs import ALL, COUNT, runs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.engine.graph.prompts import Segment
    from sim.engine.graph.recording import TaskRecorder
    from sim.engine.graph.state import ServicePort, Step, Workload
    from sim.engine.world import World
    from sim.plan.graph import GraphPlan, GraphPlans, NodePlan

ROUNDING = 1e-9
"""Share of a run's time that is no waiting: two ways to sum the same seconds."""
MAX_GRAPHS_OF_A_TASK = 2_000_000
"""Sub-graphs that one task runs at most."""


class Player(Starts):
    """Runs tasks on services and tools."""

    def __init__(
        self,
        world: World,
        plans: GraphPlans,
        services: Mapping[str, ServicePort],
        recorder: TaskRecorder,
    ) -> None:
        """Begin with no task."""
        super().__init__(world, services, {name: ToolPool(world, tool) for name, tool in plans.tools.items()}, recorder)
        self._tools = plans.tools
        self._heads = Heads()
        self._settled: deque[tuple[Instance, int]] = deque()
        self._ready: deque[tuple[Instance, int]] = deque()
        self._draining = False
        self._queues: dict[int, OrderedDict[int, float]] = {}
        self._running: dict[int, int] = {}
        self._families: dict[int, tuple[tuple[NodePlan, int], ...]] = {}
        self._begun = 0
        self._dropping = False
        self.alive = 0
        """Tasks that have come and are not recorded yet."""

    def arrive(self, workload: Workload, number: int) -> None:
        """Begin a task now, or as soon as its workload has room for it."""
        self.alive += 1
        running = self._running.get(workload.index, 0)
        if workload.concurrency is not None and running >= workload.concurrency:
            self._queues.setdefault(workload.index, OrderedDict())[number] = self.world.now_s
            if workload.time_out_s is not None:
                self.world.after(workload.time_out_s, lambda: self._waited_too_long(workload, number))
            return
        self._running[workload.index] = running + 1
        self._begin(workload, number, self.world.now_s)
        self._drain()

    def _waited_too_long(self, workload: Workload, number: int) -> None:
        """Give a task up that still waits for room."""
        arrival_s = self._queues[workload.index].pop(number, None)
        if arrival_s is not None:
            self._end(self._task(workload, number, arrival_s), self._failed(workload), [], "timed out")

    def _task(self, workload: Workload, number: int, arrival_s: float) -> Task:
        key = fold(workload.key, number)
        task = Task(workload, number, self._begun, key, uniform(key, DIFFICULTY), arrival_s)
        self._begun += 1
        task.start_s = self.world.now_s
        return task

    def _begin(self, workload: Workload, number: int, arrival_s: float) -> None:
        task = self._task(workload, number, arrival_s)
        text = self._text(workload, task.key)
        task.heads = TaskHeads(self._heads, frozenset(workload.heads.values()))
        if workload.time_out_s is not None:
            left_s = max(workload.time_out_s - (task.start_s - arrival_s), 0.0)
            self.world.after(left_s, lambda: self._give_up(task, "timed out"))
        task.root = self._open(workload.graph, task, task.key, text, None, -1, (workload.graph.name,), 0)

    def _text(self, workload: Workload, key: int) -> list[Segment]:
        """Give the segments of what a task asks: a head that others share, and its own."""
        at = workload.input_at
        tokens = max(1, int(workload.input_tokens if at is None else at(uniform(key, INPUT))))
        shared = min(workload.prefix_tokens, tokens)
        text = []
        if shared:
            group = int(uniform(key, HEAD) * workload.prefix_groups) if workload.prefix_groups > 1 else 0
            serial = workload.heads.get(group)
            if serial is None:
                serial = workload.heads[group] = self.next_serial()
            text.append((serial, shared))
        if tokens > shared:
            text.append((self.next_serial(), tokens - shared))
        return text

    def _open(
        self,
        graph: GraphPlan,
        task: Task,
        key: int,
        text: list[Segment],
        parent: Instance | None,
        place: int,
        around: tuple[str, ...],
        attempt: int,
    ) -> Instance:
        """Begin a run of a graph."""
        families = self._families.get(id(graph))
        if families is None:
            named = ((node, word(node.name)) for node in graph.nodes if node.family is not None)
            families = self._families[id(graph)] = tuple(named)
        copies = tuple(
            max(
                1,
                int(node.copies.fixed if node.copies.at is None else node.copies.at(uniform(fold(key, name), COPIES))),
            )
            for node, name in families
        )
        plan = runs_of(graph, copies)
        draws = draws_of(plan, self._tools)
        values = uniforms(key, draws.keys) if len(draws.keys) else []
        instance = Instance(plan, draws, task, key, values, text, parent, place, around, attempt)
        task.outstanding += 1
        self._ready.extend((instance, run) for run in plan.first)
        return instance

    def _drain(self) -> None:
        """Start what is ready and tell what has ended, until nothing is left to do at this instant."""
        if self._draining:
            return
        self._draining = True
        settled, ready = self._settled, self._ready
        while True:
            if settled:
                instance, run = settled.popleft()
                if not instance.ended:
                    self._propagate(instance, run)
            elif ready:
                instance, run = ready.popleft()
                if not instance.ended and not instance.state[run]:
                    self._start(instance, run)
            else:
                break
        self._draining = False

    def settle(self, instance: Instance, run: int, state: int) -> None:
        """Say that a run has ended, and go on with what waited for it."""
        instance.state[run] = state
        node = instance.plan.nodes[run]
        self.recorder.run(instance.task.serial, node.index, instance.ready_s[run], self.world.now_s, state)
        if self._draining:
            self._settled.append((instance, run))
        else:
            self._draining = True
            self._propagate(instance, run)
            self._draining = False
            if self._ready or self._settled:
                self._drain()

    def _propagate(self, instance: Instance, run: int) -> None:
        plan, state, pending = instance.plan, instance.state, instance.pending
        ended_well = state[run] == OK
        if not ended_well:
            for follower in plan.followers[run]:
                if state[follower] == WAITING:
                    instance.cause[follower] = run
                    self._skip(instance, follower)
        for consumer in plan.consumers[run]:
            left = pending[consumer] - 1
            pending[consumer] = left
            if not left and not state[consumer]:
                instance.cause[consumer] = run
                self._ready.append((instance, consumer))
        for number, member in plan.decides[run]:
            if not instance.join_done[number]:
                self._decide(instance, number, member, run, ended_well=ended_well)

    def _decide(self, instance: Instance, number: int, member: int, run: int, *, ended_well: bool) -> None:
        """Count one more member of a join; satisfy it, or see that it cannot be satisfied any more."""
        join = instance.plan.joins[number]
        instance.join_left[number] -= 1
        if ended_well and (not join.judges or instance.accepted[run]):
            instance.join_got[number] += 1
            instance.chosen[number].append(member)
        elif not ended_well:
            instance.join_out[number] += 1
        left, got = instance.join_left[number], instance.join_got[number]
        if join.mode == ALL:
            if left:
                return
            satisfied = True
        else:
            needed = join.needed
            if join.mode != COUNT:
                needed = (len(join.members) - instance.join_out[number]) // 2 + 1
            satisfied = got >= needed
            if not satisfied and got + left >= needed:
                return
        instance.join_done[number] = 1
        if not satisfied and join.gates:
            if not instance.state[join.owner]:
                instance.cause[join.owner] = run
                self._skip(instance, join.owner)
            return
        self._join_is_over(instance, number, run, satisfied=satisfied)

    def _join_is_over(self, instance: Instance, number: int, run: int, *, satisfied: bool) -> None:
        """Drop the losers of a join, and let its owner go on."""
        join = instance.plan.joins[number]
        owner = join.owner
        if number == instance.plan.until:
            instance.until_met = satisfied
            if satisfied:  # nothing will be carried on
                self._release(instance, len(instance.plan.nodes) + 1)
        if join.cancel and instance.join_left[number]:
            self._drop(instance, join.members)
            self._drop(instance, join.judges if join.judges != join.members else ())
        instance.pending[owner] -= 1
        if not instance.pending[owner] and not instance.state[owner]:
            instance.cause[owner] = run
            self._ready.append((instance, owner))

    def _skip(self, instance: Instance, run: int) -> None:
        """End a run that does not take place."""
        instance.state[run] = SKIPPED
        instance.ready_s[run] = self.world.now_s
        self._settled.append((instance, run))
        self._release(instance, run)

    def _release(self, instance: Instance, run: int) -> None:
        """Ask no longer for what a run waited for."""
        plan = instance.plan
        dropped = list(plan.needs[run])
        for number in plan.owned[run]:
            if not instance.join_done[number]:
                instance.join_done[number] = 1
                join = plan.joins[number]
                dropped += join.members
                if join.judges != join.members:
                    dropped += join.judges
        self._drop(instance, dropped)

    def _drop(self, instance: Instance, runs: Iterable[int]) -> None:
        """Ask no longer for some runs; those that nobody asks for are cancelled, and what only served them."""
        state, demand = instance.state, instance.demand
        for run in runs:
            if state[run] >= OK:
                continue
            demand[run] -= 1
            if demand[run]:
                continue
            if state[run] == STARTED:
                self._cancel(instance, run)
            else:
                state[run] = CANCELLED
                self._unneeded.append((instance, run))
        if not self._dropping:
            self._dropping = True
            while self._unneeded:
                self._release(*self._unneeded.pop())
            self._dropping = False

    def _cancel(self, instance: Instance, run: int) -> None:
        """Stop a run that was started."""
        instance.state[run] = CANCELLED
        node = instance.plan.nodes[run]
        handle = instance.handles[run]
        self.recorder.run(instance.task.serial, node.index, instance.ready_s[run], self.world.now_s, CANCELLED)
        if isinstance(handle, Call):
            handle.port.cancel(handle)
        elif isinstance(handle, ToolCall):
            if handle.begun_s >= 0:
                instance.task.tool_s += self.world.now_s - handle.begun_s
            instance.task.outstanding -= 1
            self.pools[node.target].cancel(handle)
        elif isinstance(handle, Instance):
            self._close(handle)

    def _close(self, instance: Instance) -> None:
        """End a run of a graph, and stop what still runs in it."""
        instance.ended = True
        instance.task.outstanding -= 1
        state = instance.state
        kept = () if instance.task.reason else instance.plan.kept  # of a task that is given up nothing runs on
        for run in range(len(instance.plan.nodes)):
            if state[run] == STARTED and run not in kept:
                self._cancel(instance, run)
        if not kept:
            instance.handles = []

    def _start(self, instance: Instance, run: int) -> None:
        """Start a run, or skip it where its condition does not hold."""
        plan = instance.plan
        if run >= len(plan.nodes):
            self._ends(instance, run)
            return
        node = plan.nodes[run]
        instance.ready_s[run] = self.world.now_s
        if node.chance is not None and instance.values[instance.draws.at[BRANCH][run]] >= node.chance:
            self._skip(instance, run)
            return
        instance.state[run] = STARTED
        kind = node.kind
        if kind == CALL:
            self.start_call(instance, run, node)
        elif kind == TOOL:
            self.start_tool(instance, run, node)
        elif kind == GRAPH:
            self._start_graph(instance, run, node)
        elif kind == WAIT:
            self.start_wait(instance, run, node)
        else:
            assert kind == VOTE
            self._start_vote(instance, run, node)

    def _start_vote(self, instance: Instance, run: int, node: NodePlan) -> None:
        chosen = vote(instance, run, node)
        if chosen is None:
            instance.state[run] = WAITING
            self._skip(instance, run)
            return
        instance.right[run] = instance.right[chosen]
        instance.segments[run] = instance.segments[chosen]
        self.settle(instance, run, OK)

    def _start_graph(self, instance: Instance, run: int, node: NodePlan) -> None:
        assert node.body is not None
        around = instance.graphs_around
        if node.depth is not None and around.count(node.target) >= node.depth:
            instance.state[run] = WAITING
            self._skip(instance, run)
            return
        task = instance.task
        task.graphs_begun += 1
        if task.graphs_begun > MAX_GRAPHS_OF_A_TASK:
            rule = "a task reached its limit of sub-graphs"
            raise LimitError(rule, f"{MAX_GRAPHS_OF_A_TASK:,}", mend="fewer copies or less depth")
        segments, _ = self.read(instance, run, node)
        key = fold(instance.key ^ instance.draws.runs[run], 1)
        instance.handles[run] = self._open(
            node.body, task, key, segments, instance, run, (*around, node.target), attempt=0
        )
        if node.time_out_s is not None:
            self.world.after(node.time_out_s, lambda: self._graph_times_out(instance, run))

    def _graph_times_out(self, instance: Instance, run: int) -> None:
        if instance.ended or instance.state[run] != STARTED:
            return
        handle = instance.handles[run]
        assert isinstance(handle, Instance)
        self._close(handle)
        if instance.plan.nodes[run].body is not None and instance.plan.nodes[run].outcome.source:
            instance.right[run] = False
        self.settle(instance, run, FAILED)

    def _ends(self, instance: Instance, run: int) -> None:
        """Look at a graph whose returned run has ended: it is over, or there is another attempt."""
        plan, end = instance.plan, len(instance.plan.nodes)
        if run != end and not instance.waits_for_carry:
            return
        returned = plan.returns
        gave = instance.state[returned] == OK
        right = instance.right[returned] if gave else (False if plan.graph.has_outcome else None)
        parent, place = instance.parent, instance.place
        if plan.until >= 0 and not instance.until_met:
            assert parent is not None
            if instance.attempt + 1 < parent.plan.nodes[place].attempts:
                if run == end and instance.pending[end + 1]:
                    instance.waits_for_carry = True
                    return
                self._try_again(instance, run)
                return
            right = False if right is not None else None
        path = self._path(instance, run)
        segments = instance.segments[returned]
        self._close(instance)
        if parent is None:
            self._finish(instance.task, right, path, "")
            return
        parent.segments[place] = segments
        parent.right[place] = right
        self._keep_path(parent, place, path)
        self.settle(parent, place, OK if gave else FAILED)
        self.record_if_over(instance.task)

    def _try_again(self, instance: Instance, run: int) -> None:
        """Begin the next attempt: it is asked the same, and reads what is carried on."""
        parent, place = instance.parent, instance.place
        assert parent is not None
        path = self._path(instance, run)
        self._keep_path(parent, place, path)
        text = [*instance.text, *self.carried(instance)]
        self._close(instance)
        attempt = instance.attempt + 1
        key = fold(parent.key ^ parent.draws.runs[place], attempt + 1)
        parent.handles[place] = self._open(
            instance.plan.graph, instance.task, key, text, parent, place, instance.graphs_around, attempt
        )

    def _keep_path(self, parent: Instance, place: int, path: list[Step]) -> None:
        if parent.paths is None:
            parent.paths = {}
        parent.paths.setdefault(place, []).extend(path)

    def _path(self, instance: Instance, run: int) -> list[Step]:
        """Walk back from the end over the runs that each next one waited for last."""
        steps: list[list[Step]] = []
        until_s = self.world.now_s
        current = instance.cause[run]
        while current >= 0:
            node = instance.plan.nodes[current]
            ready_s = instance.ready_s[current]
            inner = instance.paths.get(current) if instance.paths else None
            if inner is not None:
                steps.append(inner)
            else:
                total_s = until_s - ready_s
                waiting_s = total_s - self.working_s(instance, current, node, total_s)
                if waiting_s <= ROUNDING * total_s:
                    waiting_s = 0.0
                steps.append([(node.index, waiting_s, total_s - waiting_s)])
            until_s = ready_s
            current = instance.cause[current]
        return [step for part in reversed(steps) for step in part]

    def _finish(self, task: Task, right: bool | None, path: list[Step], reason: str) -> None:  # noqa: FBT001
        """End a task, and give its room to the one that has waited longest."""
        workload = task.workload
        queue = self._queues.get(workload.index)
        if queue:
            self._begin(workload, *queue.popitem(last=False))
        else:
            self._running[workload.index] -= 1
        self._end(task, right, path, reason)

    def _end(self, task: Task, right: bool | None, path: list[Step], reason: str) -> None:  # noqa: FBT001
        task.ended = True
        task.right = right
        task.path = path
        task.reason = reason
        task.finish_s = self.world.now_s
        task.root = None
        self.record_if_over(task)

    def _failed(self, workload: Workload) -> bool | None:
        """Give the outcome of a task that came to no answer."""
        return False if workload.graph.has_outcome else None

    def record_if_over(self, task: Task) -> None:
        """Record a task that has ended, once nothing of it runs any more."""
        if task.outstanding or not task.ended:
            return
        task.outstanding = -1  # recorded
        self.alive -= 1
        self.recorder.task(task)
        if task.workload.done is not None:
            task.workload.done(task)

    def fail(self, task: Task, reason: str) -> None:
        """End a task that cannot go on."""
        self._give_up(task, reason)

    def _give_up(self, task: Task, reason: str) -> None:
        if task.ended:
            return
        task.reason = reason
        root = task.root
        if root is not None:
            self._close(root)
        self._finish(task, self._failed(task.workload), [], reason)
        self._drain()

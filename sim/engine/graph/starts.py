"""How a run starts and ends: what it reads, what it asks of a service or a tool, what is counted for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from sim.engine.graph.draws import FAILURE, LENGTH, THOUGHT, TIME
from sim.engine.graph.outcomes import judge
from sim.engine.graph.state import FAILED, OK, STARTED, Call
from sim.engine.graph.tools import ToolCall
from sim.plan.graph import CALL, TOOL
from sim.plan.graph_runs import JOINED, ONE, TASK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.engine.graph.prompts import Segment
    from sim.engine.graph.recording import TaskRecorder
    from sim.engine.graph.state import Instance, ServicePort, Task
    from sim.engine.graph.tools import ToolPool
    from sim.engine.serving.request import Request
    from sim.engine.world import World
    from sim.plan.graph import NodePlan

NEVER = float("inf")


class Starts(ABC):
    """Asks services and tools for the runs of graphs; what follows from their ends is up to `Player`."""

    def __init__(
        self,
        world: World,
        services: Mapping[str, ServicePort],
        pools: Mapping[str, ToolPool],
        recorder: TaskRecorder,
    ) -> None:
        """Take what runs are asked of."""
        self.world = world
        self.services = services
        self.pools = pools
        self.recorder = recorder
        self._serial = 0
        self._unneeded: list[tuple[Instance, int]] = []

    @abstractmethod
    def settle(self, instance: Instance, run: int, state: int) -> None:
        """Say that a run has ended."""

    @abstractmethod
    def fail(self, task: Task, reason: str) -> None:
        """End a task that cannot go on."""

    @abstractmethod
    def record_if_over(self, task: Task) -> None:
        """Record a task that has ended, once nothing of it runs any more."""

    def next_serial(self) -> int:
        """Give a number for a new piece of text."""
        self._serial += 1
        return self._serial

    def read(self, instance: Instance, run: int, node: NodePlan) -> tuple[list[Segment], int]:
        """Give the segments that a run reads, and how many of them, from the beginning, are worth a name."""
        segments: list[Segment] = []
        named, parts = 0, node.named_parts
        state, texts = instance.state, instance.segments
        for part, what in instance.plan.prompts[run]:
            if part == TASK:
                segments += instance.text
            elif part == ONE:
                if state[what] == OK:  # type: ignore[index] # one place
                    segments += texts[what]  # type: ignore[index] # one place
            else:
                places = instance.chosen[what] if part == JOINED else what  # type: ignore[index] # a join
                for place in places:  # type: ignore[union-attr] # many places
                    if state[place] == OK:
                        segments += texts[place]
            parts -= 1
            if parts == 0:
                named = len(segments)
        return segments, (len(segments) if parts > 0 else named)

    def carried(self, instance: Instance) -> list[Segment]:
        """Give the segments that the next attempt reads after its task."""
        segments: list[Segment] = []
        judges = instance.plan.graph.judge
        for (part, what), (name, accepted) in zip(instance.plan.carried, instance.plan.graph.carry, strict=True):
            if part == TASK:
                continue
            places = what if isinstance(what, tuple) else (what,)
            for place in places:
                member = -1 - place if accepted else place
                if instance.state[member] != OK:
                    continue
                if accepted and not instance.accepted[self._judge_of(instance, judges[name], member)]:
                    continue
                segments += instance.segments[member]
        return segments

    def _judge_of(self, instance: Instance, judge_name: str, member: int) -> int:
        plan = instance.plan
        index = plan.index[member]
        return next(run for run, node in enumerate(plan.nodes) if node.name == judge_name and plan.index[run] == index)

    def start_call(self, instance: Instance, run: int, node: NodePlan) -> None:
        """Ask a service, after a summary where the prompt is too long and the node says so."""
        port = self.services[node.target]
        segments, named = self.read(instance, run, node)
        values, at = instance.values, instance.draws.at
        output = node.output
        tokens = int(output.fixed) if output.at is None else max(1, int(output.at(values[at[LENGTH][run]])))
        thought, cut = 0, False
        if node.thinks is not None:
            thinks = node.thinks
            thought = int(thinks.fixed if thinks.at is None else thinks.at(values[at[THOUGHT][run]]))
            if node.budget is not None and thought > node.budget:
                thought, cut = node.budget, True
        prompt = 0
        for _, length in segments:
            prompt += length
        prompt = max(prompt, 1)
        call = Call(0, 0.0, prompt, tokens + thought)
        call.holder, call.run, call.port = instance, run, port
        call.compacts, call.before_s = False, 0.0
        self._serial = serial = self._serial + 1
        call.answer = (serial, tokens)
        call.cut = cut
        if prompt + tokens + thought > port.window_tokens:
            self._too_long(instance, run, node, call)
            return
        if port.caches and named:
            if node.named_parts > len(node.prompt) and not thought:
                segments.append(call.answer)
                named = len(segments)
            call.blocks = instance.task.heads.blocks(segments[:named], port.block_size)
        self._ask(call, node)

    def _ask(self, call: Call, node: NodePlan) -> None:
        instance = call.holder
        task = instance.task
        workload = task.workload
        call.id = self._serial
        call.session = (workload.index, task.number)
        call.tenant = workload.tenant
        call.priority = workload.priority
        if node.time_out_s is not None:  # of both calls, where the first one is a summary
            call.time_out_s = max(node.time_out_s - (self.world.now_s - instance.ready_s[call.run]), 0.0)
        task.outstanding += 1
        task.calls += 1
        instance.handles[call.run] = call
        call.port.submit(call, self._answered)

    def _too_long(self, instance: Instance, run: int, node: NodePlan, call: Call) -> None:
        """Summarize a prompt that the model cannot read, or fail the task."""
        port, summary = call.port, node.compact
        answer = call.output_tokens
        if summary is None or summary + answer > port.window_tokens:
            self.fail(instance.task, f"{node.label}: prompt and answer beyond the window of {node.target}")
            return
        first = Call(0, 0.0, min(call.prompt_tokens, port.window_tokens - summary), summary)
        first.holder, first.run, first.port = instance, run, port
        first.compacts, first.before_s = True, 0.0
        first.answer, first.cut = call.answer, call.cut
        first.then = answer
        self._ask(first, node)

    def _answered(self, request: Request) -> None:
        """Count a call that is over, and go on."""
        assert isinstance(request, Call)
        call = request
        instance = call.holder
        task = instance.task
        finished = call.status == "finished"
        count_call(task, call, call.port, finished=finished)
        task.outstanding -= 1
        run = call.run
        if instance.ended or instance.state[run] != STARTED:
            if task.ended:
                self.record_if_over(task)
            return
        node = instance.plan.nodes[run]
        if not finished:
            self.settle(instance, run, FAILED)
            return
        if call.compacts:
            after = Call(0, 0.0, call.output_tokens, call.then)
            after.holder, after.run, after.port = instance, run, call.port
            after.compacts, after.before_s = False, self._alone_s(call)
            after.answer, after.cut = call.answer, call.cut
            self._ask(after, node)
            return
        instance.segments[run] = (call.answer,)
        judge(instance, run, node, cut=call.cut)
        self.settle(instance, run, OK)

    def start_tool(self, instance: Instance, run: int, node: NodePlan) -> None:
        """Call a tool."""
        pool = self.pools[node.target]
        plan, values, at = pool.plan, instance.values, instance.draws.at
        latency = plan.latency
        latency_s = latency.fixed if latency.at is None else latency.at(values[at[TIME][run]])
        fails = bool(plan.fails) and values[at[FAILURE][run]] < plan.fails
        give_up_s = NEVER if node.time_out_s is None else self.world.now_s + node.time_out_s
        call = ToolCall(instance, run, latency_s, give_up_s, self._tool_ended, fails=fails)
        instance.handles[run] = call
        instance.task.tool_calls += 1
        instance.task.outstanding += 1
        instance.task.tool_usd += plan.price_usd
        pool.submit(call)

    def _tool_ended(self, call: ToolCall) -> None:
        instance: Instance = call.holder  # type: ignore[assignment] # tools know nothing of graphs
        run = call.run
        task = instance.task
        if call.begun_s >= 0:
            task.tool_s += self.world.now_s - call.begun_s
        task.outstanding -= 1
        if instance.ended or instance.state[run] != STARTED:
            if task.ended:
                self.record_if_over(task)
            return
        if call.fails:
            self.settle(instance, run, FAILED)
            return
        node = instance.plan.nodes[run]
        output = node.output
        tokens = int(output.fixed if output.at is None else output.at(instance.values[instance.draws.at[LENGTH][run]]))
        if tokens:
            self._serial = serial = self._serial + 1
            instance.segments[run] = ((serial, tokens),)
        judge(instance, run, node)
        self.settle(instance, run, OK)

    def start_wait(self, instance: Instance, run: int, node: NodePlan) -> None:
        """Let time pass."""
        time = node.time
        assert time is not None
        seconds = time.fixed if time.at is None else time.at(instance.values[instance.draws.at[TIME][run]])
        self.world.after(seconds, lambda: self._wait_ended(instance, run))

    def _wait_ended(self, instance: Instance, run: int) -> None:
        if not instance.ended and instance.state[run] == STARTED:
            judge(instance, run, instance.plan.nodes[run])
            self.settle(instance, run, OK)

    def working_s(self, instance: Instance, run: int, node: NodePlan, total_s: float) -> float:
        """Give the part of a run's time that it would have taken with nobody else there."""
        handle = instance.handles[run]
        if node.kind == CALL and isinstance(handle, Call):
            return handle.before_s + self._alone_s(handle)
        if node.kind == TOOL and isinstance(handle, ToolCall):
            return handle.latency_s
        return total_s

    def _alone_s(self, call: Call) -> float:
        """Give the time that a call would have taken with nobody else there, as far as it came."""
        return call.port.unloaded_s(call.prompt_tokens, call.cached_tokens, call.generated_tokens)


def count_call(task: Task, call: Request, port: ServicePort, *, finished: bool) -> None:
    """Count tokens and operations of a call, as far as it came."""
    prompt, cached, generated = call.prompt_tokens, call.cached_tokens, call.generated_tokens
    each, pair, head = port.flop_per_token, port.flop_per_pair, port.flop_per_output
    assert call.finish_s is not None
    task.model_s += call.finish_s - call.arrival_s
    if not generated:  # it was given up before its prompt was read, or while it was
        return
    more = generated - 1
    saved = each * cached + pair * (0.5 * cached * (cached + 1))
    prefill = each * prompt + pair * (0.5 * prompt * (prompt + 1)) + head - saved
    decode = (each + head) * more + pair * (more * prompt + 0.5 * more * generated)
    task.prompt_tokens += prompt
    task.cached_tokens += cached
    task.cached_flop += saved
    task.flop16 += prefill + decode - port.narrow_flop * (prompt - cached + more)
    if finished:
        task.output_tokens += generated
        task.prefill_flop += prefill
        task.decode_flop += decode
    else:
        task.wasted_tokens += generated
        task.wasted_flop += prefill + decode

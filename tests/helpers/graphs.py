"""Scenarios with graphs, a service that needs no model, and the tasks played on it."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sim.engine.graph.player import Player
from sim.engine.graph.recording import TaskRecorder, TaskRecording
from sim.engine.graph.state import Task, Workload
from sim.engine.random import fold, word
from sim.engine.serving.request import Request, Status
from sim.engine.world import World
from sim.plan.graph import GraphPlans, compile_graphs
from sim.spec.load import check_document
from sim.spec.scenario import Scenario
from sim.spec.yaml import loads

SERVICES = """\
services:
  solver: {model: llama-3.1-8b, replicas: 2}
  checker: {model: llama-3.1-8b, replicas: 2}
"""
TOOLS = """\
tools:
  python: {latency: 500 ms}
  search: {latency: {lognormal: {median: 800 ms, p95: 3 s}}, concurrency: 4}
"""
ATTEMPT = """\
  attempt:
    draft: {call: solver, copies: 8, prompt: [task], output: 1500 tokens, solves: {beta: {mean: 0.4, sd: 0.25}}}
    run:   {tool: python, for_each: draft, result: 200 tokens}
    check: {call: checker, for_each: draft, prompt: [task, draft, run], output: 300 tokens,
      accepts: {right: 0.9, wrong: 0.1}}
    write: {call: solver, prompt: [task, draft.accepted], need: 1, output: 800 tokens,
      solves: {given_right: 0.95, given_wrong: 0.02}}
    returns: write
  solve:
    try: {graph: attempt, prompt: [task], repeat: {until: check.accepted, at_most: 3, carry: [check]}}
    returns: try
"""


def text(graphs: str, tasks: str = "{graph: solve, count: 10}", services: str = SERVICES, tools: str = TOOLS) -> str:
    """Write a scenario of one workload of tasks."""
    head = "schema_version: 1\nname: graphs\ncluster: {accelerator: h100-sxm, count: 64}\n"
    return f"{head}{services}{tools}graphs:\n{graphs}workloads:\n  - tasks: {tasks}\n"


def scenario(
    graphs: str, tasks: str = "{graph: solve, count: 10}", services: str = SERVICES, tools: str = TOOLS
) -> Scenario:
    """Read a scenario of one workload of tasks."""
    return check_document(loads(text(graphs, tasks, services, tools), "a.yaml"))


class FakeService:
    """What graphs ask of a service, with a clock that needs no model."""

    block_size = 16
    flop_per_token = 2.0
    flop_per_pair = 0.5
    flop_per_output = 3.0
    narrow_flop = 0.0

    def __init__(
        self,
        world: World,
        *,
        prompt_s: float = 0.0,
        output_s: float = 0.01,
        places: float = math.inf,
        window_tokens: int = 1_000_000,
        caches: bool = False,
    ) -> None:
        """Take seconds for each token, and how many calls run at once."""
        self.world = world
        self.prompt_s, self.output_s, self.places = prompt_s, output_s, places
        self.window_tokens, self.caches = window_tokens, caches
        self.queue: deque[Request] = deque()
        self.running: dict[Request, float] = {}
        self.done: dict[Request, Callable[[Request], None]] = {}
        self.requests: list[Request] = []
        self.generated = 0

    def submit(self, request: Request, done: Callable[[Request], None]) -> None:
        """Take a call."""
        request.arrival_s = self.world.now_s
        self.requests.append(request)
        self.done[request] = done
        self.queue.append(request)
        if request.time_out_s is not None:
            self.world.after(request.time_out_s, lambda: self._end(request, "timed out"))
        self._fill()

    def cancel(self, request: Request) -> None:
        """Give a call up."""
        self._end(request, "cancelled")

    def unloaded_s(self, prompt_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Give the time of one call alone."""
        return (prompt_tokens - cached_tokens) * self.prompt_s + output_tokens * self.output_s

    def _fill(self) -> None:
        while self.queue and len(self.running) < self.places:
            request = self.queue.popleft()
            self.running[request] = self.world.now_s
            seconds = self.unloaded_s(request.prompt_tokens, 0, request.output_tokens)
            self.world.after(seconds, partial(self._end, request, "finished"))

    def _end(self, request: Request, status: Status) -> None:
        if request not in self.done:
            return
        begun_s = self.running.pop(request, None)
        if begun_s is None:
            self.queue.remove(request)
        else:
            share_s = self.world.now_s - begun_s - request.prompt_tokens * self.prompt_s
            done = request.output_tokens if status == "finished" else math.floor(share_s / self.output_s + 1e-9)
            request.generated_tokens = max(0, min(done, request.output_tokens))
        self.generated += request.generated_tokens
        request.status = status
        request.finish_s = self.world.now_s
        self.done.pop(request)(request)
        self._fill()


@dataclass(frozen=True)
class Played:
    """What was played, and what is left of it."""

    recording: TaskRecording
    plans: GraphPlans
    services: dict[str, FakeService]
    player: Player
    world: World

    def ends_s(self, node: str) -> list[float]:
        """Give when runs of a node ended, in order."""
        index = next(each.index for each in self.plans.nodes if each.label == node)
        found: list[float] = self.recording.runs.end_s[self.recording.runs.node == index].tolist()
        return found


def play(
    graphs: str,
    count: int = 1,
    *,
    seed: int = 0,
    graph: str = "solve",
    gap_s: float = 1000.0,
    time_out_s: float | None = None,
    concurrency: int | None = None,
    input_tokens: int = 100,
    services: str = SERVICES,
    tools: str = TOOLS,
    first: int = 0,
    **fake: float,
) -> Played:
    """Play ``count`` tasks, one after another by default, far enough apart not to meet."""
    read = scenario(graphs, f"{{graph: {graph}, count: {count}}}", services, tools)
    plans = compile_graphs(read)
    world = World(0, seed)
    ports = {name: FakeService(world, **fake) for name in read.services}  # type: ignore[arg-type] # numbers by name
    recorder = TaskRecorder(plans.nodes)
    player = Player(world, plans, ports, recorder)
    workload = Workload("tasks", 0, plans.graphs[graph], fold(fold(seed), word("tasks")), input_tokens)
    workload.time_out_s, workload.concurrency = time_out_s, concurrency
    for number in range(first, first + count):
        world.after((number - first) * gap_s, partial(player.arrive, workload, number))
    done: list[Task] = []
    workload.done = done.append
    world.run_until(lambda: len(done) == count)
    return Played(recorder.close(), plans, ports, player, world)

"""What is known of a task and of each run of a graph in it while they live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sim.engine.serving.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.graph.draws import DrawPlan
    from sim.engine.graph.prompts import Segment, TaskHeads
    from sim.plan.graph import GraphPlan
    from sim.plan.graph_runs import RunsPlan

WAITING, STARTED, OK, SKIPPED, FAILED, CANCELLED = range(6)
"""States of a run; those from OK on are final."""
STATE_NAMES = ("waiting", "started", "ok", "skipped", "failed", "cancelled")

Step = tuple[int, float, float]
"""One node on a critical path: its place, seconds of waiting, seconds of working."""


class ServicePort(Protocol):
    """A service as graphs see it."""

    window_tokens: int
    """Tokens of prompt and answer that the model reads at most."""
    block_size: int
    caches: bool
    """Whether equal heads are computed once."""
    flop_per_token: float
    """Operations of the layers for one token, attention apart."""
    flop_per_pair: float
    """Operations of attention for one (query, key) pair."""
    flop_per_output: float
    """Operations of the head for one next token."""
    narrow_flop: float
    """What `flop_per_token` counts less in 16-bit FLOP: 0 where the layers compute in 16 bit."""

    def submit(self, request: Request, done: Callable[[Request], None]) -> None:
        """Ask; `done` is called once, whatever becomes of it."""

    def cancel(self, request: Request) -> None:
        """Give a request up; `done` is called with its status `cancelled`, now or at the end of an iteration."""

    def unloaded_s(self, prompt_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Give the time of a request that has a replica to itself."""


class Call(Request):
    """One request of a graph's run."""

    __slots__ = ("answer", "before_s", "compacts", "cut", "holder", "port", "run", "then")

    holder: Instance
    run: int
    port: ServicePort
    answer: Segment
    """What others read of it."""
    before_s: float
    """Seconds that the summary before it takes with nobody else there."""
    cut: bool
    """Whether its thought ended at its budget."""
    compacts: bool
    """Whether it only makes a prompt short; the run itself follows."""
    then: int
    """Tokens of the answer that follows."""


class Task:
    """One task, from its arrival to its last token."""

    __slots__ = (
        "arrival_s",
        "cached_flop",
        "cached_tokens",
        "calls",
        "chances",
        "decode_flop",
        "difficulty",
        "ended",
        "finish_s",
        "flop16",
        "graphs_begun",
        "heads",
        "key",
        "model_s",
        "number",
        "output_tokens",
        "outstanding",
        "path",
        "prefill_flop",
        "prompt_tokens",
        "reason",
        "right",
        "root",
        "serial",
        "start_s",
        "tool_calls",
        "tool_s",
        "tool_usd",
        "wasted_flop",
        "wasted_tokens",
        "workload",
    )

    def __init__(
        self, workload: Workload, number: int, serial: int, key: int, difficulty: float, arrival_s: float
    ) -> None:
        """Begin with nothing done; ``number`` counts in the workload, ``serial`` tasks of all as they begin."""
        self.serial = serial
        self.workload = workload
        self.number = number
        self.key = key
        self.difficulty = difficulty
        self.arrival_s = arrival_s
        self.start_s = arrival_s
        self.finish_s = -1.0
        self.root: Instance | None = None
        self.heads: TaskHeads
        self.chances: dict[int, float] = {}
        self.right: bool | None = None
        self.ended = False
        self.reason = ""
        self.outstanding = 0
        self.calls = self.tool_calls = self.graphs_begun = 0
        self.prompt_tokens = self.cached_tokens = self.output_tokens = self.wasted_tokens = 0
        self.prefill_flop = self.decode_flop = self.cached_flop = self.wasted_flop = self.flop16 = 0.0
        self.model_s = self.tool_s = self.tool_usd = 0.0
        self.path: list[Step] = []


class Workload:
    """Tasks of one kind, as the engine runs them."""

    __slots__ = (
        "concurrency",
        "done",
        "graph",
        "heads",
        "index",
        "input_at",
        "input_tokens",
        "key",
        "name",
        "prefix_groups",
        "prefix_tokens",
        "priority",
        "tenant",
        "time_out_s",
    )

    def __init__(
        self,
        name: str,
        index: int,
        graph: GraphPlan,
        key: int,
        input_tokens: float,
        input_at: Callable[[float], float] | None = None,
    ) -> None:
        """Keep what all its tasks have in common."""
        self.name = name
        self.index = index
        self.graph = graph
        self.key = key
        self.input_tokens = input_tokens
        self.input_at = input_at
        self.prefix_tokens = 0
        self.prefix_groups = 1
        self.heads: dict[int, int] = {}
        """The segment of each head that tasks share."""
        self.tenant = ""
        self.priority = 0
        self.time_out_s: float | None = None
        self.concurrency: int | None = None
        self.done: Callable[[Task], None] | None = None


class Instance:
    """One run of a graph: the state of each of its runs, in flat lists."""

    __slots__ = (
        "accepted",
        "attempt",
        "cause",
        "chosen",
        "demand",
        "draws",
        "ended",
        "graphs_around",
        "handles",
        "join_done",
        "join_got",
        "join_left",
        "join_out",
        "key",
        "parent",
        "paths",
        "pending",
        "place",
        "plan",
        "ready_s",
        "right",
        "segments",
        "state",
        "task",
        "text",
        "text_tokens",
        "until_met",
        "values",
        "waits_for_carry",
    )

    def __init__(
        self,
        plan: RunsPlan,
        draws: DrawPlan,
        task: Task,
        key: int,
        values: list[float],
        text: list[Segment],
        parent: Instance | None,
        place: int,
        graphs_around: tuple[str, ...],
        attempt: int,
    ) -> None:
        """Begin with every run waiting."""
        count = len(plan.nodes)
        self.plan = plan
        self.draws = draws
        self.task = task
        self.key = key
        self.values = values
        self.text = text
        self.text_tokens = sum(tokens for _, tokens in text)
        self.parent = parent
        self.place = place
        self.graphs_around = graphs_around
        self.attempt = attempt
        self.state = bytearray(count + 2)
        self.pending = list(plan.pending)
        self.demand = list(plan.demand)
        self.right: list[bool | None] = [None] * count
        self.accepted = bytearray(count)
        self.segments: list[tuple[Segment, ...]] = [()] * count
        self.ready_s = [-1.0] * count
        self.cause = [-1] * (count + 2)
        self.handles: list[object] = [None] * count
        self.paths: dict[int, list[Step]] | None = None
        joins = plan.joins
        self.join_left = [len(join.members) for join in joins]
        self.join_got = [0] * len(joins)
        self.join_out = [0] * len(joins)
        self.join_done = bytearray(len(joins))
        self.chosen: list[list[int]] = [[] for _ in joins]
        self.until_met = False
        self.waits_for_carry = False
        self.ended = False

"""A workload of tasks: each is one run of a graph."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sim.spec.arrivals import Arrivals
from sim.spec.beside import beside_the_scenario
from sim.spec.distribution import fixed
from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel, PositiveCount, Seconds, refusal, refuse_truth
from sim.spec.requests import SharedPrefix, TokensOfOne, read_prefix
from sim.spec.short_forms import AlsoWritten

USUAL_DURATION_S = 600.0
"""Time for which tasks arrive where neither count nor duration is given."""


class TaskTrace(FrozenModel):
    """A file of recorded graphs, and who answers their calls."""

    file: Annotated[str, Field(min_length=1, max_length=4096)]
    """Agentic JSONL, with `wait_for` and `tool_wait_ms`; its path begins at the folder of the scenario."""
    service: Slug
    """Service that answers the calls."""


class TasksSpec(FrozenModel):
    """Tasks that arrive at a graph."""

    name: Slug | None = None
    """Name of the workload in tables; that of the graph where none is given."""
    graph: Slug | None = None
    """Graph that each task runs."""
    trace: TaskTrace | None = None
    """Recorded graphs instead of a graph: {file, service}."""
    arrivals: Arrivals | None = None
    """When tasks come, as for requests; all at the beginning where only a count is given."""
    count: PositiveCount | None = None
    """Tasks in all; of a trace, the first ones."""
    duration: Annotated[Seconds, Field(gt=0)] | None = None
    """Time for which tasks arrive, 10 min where a rate stands without count."""
    concurrency: PositiveCount | None = None
    """Tasks at the same time; more wait. No limit where none is given."""
    input: TokensOfOne = fixed(1000, "token", whole=True)
    """Tokens of `task`: what is asked."""
    prefix: (
        Annotated[
            SharedPrefix,
            BeforeValidator(read_prefix),
            AlsoWritten(({"type": "string", "examples": ["800 tokens"]},)),
        ]
        | None
    ) = None
    """Head that tasks share, such as a system prompt; its tokens are part of the input."""
    at: Seconds = 0.0
    """When the workload begins."""
    time_out: Annotated[Seconds, Field(gt=0)] | None = None
    """Time after which a task is given up: wrong, and what runs is cancelled."""
    tenant: Slug | None = None
    """Who sends them; that of the services where none is given."""
    priority: Annotated[int, Field(ge=0, le=1000), BeforeValidator(refuse_truth)] = 0
    """Of the calls inside their services; higher goes first."""

    @field_validator("trace", mode="after")
    @classmethod
    def _beside_the_scenario(cls, value: TaskTrace | None, info: ValidationInfo) -> TaskTrace | None:
        """Let the path of a trace begin at the folder of the file that names it."""
        if value is None:
            return None
        return value.model_copy(update={"file": beside_the_scenario(value.file, info, "tasks")})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.graph is None) == (self.trace is None):
            raise refusal("tasks run a graph or a trace: one of both", "", "graph: solve")
        if self.trace is not None:
            beside = [name for name in ("arrivals", "duration", "prefix") if getattr(self, name) is not None]
            if beside:
                rule = "a trace says when tasks come and what they read"
                raise refusal(rule, f"{', '.join(beside)} beside trace", f"leave out {' and '.join(beside)}")
        elif self.arrivals is None and self.count is None:
            raise refusal("tasks need arrivals, or a count of those that are there", "", "arrivals: 2/s or count: 1000")
        at_once = self.arrivals is not None and self.arrivals.at_once is not None
        if at_once and self.count is not None:
            raise refusal("at_once is the count", f"count {self.count}", "leave out count")
        return self

    @property
    def label(self) -> str:
        """Give the name that tables and streams of random numbers use."""
        return self.name or self.graph or "trace"

    @property
    def window_s(self) -> float | None:
        """Give the time for which tasks arrive; None where a count ends it."""
        ended = self.count is not None or self.trace is not None
        ended = ended or (self.arrivals is not None and self.arrivals.at_once is not None)
        return self.duration if self.duration is not None or ended else USUAL_DURATION_S

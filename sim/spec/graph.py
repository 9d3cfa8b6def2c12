"""A graph of model calls and tools: the scaffold of compound inference.

A node is a family of runs of one kind; the names in `prompt`, `for_each`, `after` and `when` are the edges.
`sim.spec.graph_check` says which graphs make sense, docs/graphs.md what they mean.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from sim.errors import NotYetError, UnitError
from sim.spec.distribution import Distribution, Varying, fixed
from sim.spec.hardware import Slug
from sim.spec.quantity import Fraction, FrozenModel, PositiveCount, Quantity, Seconds, refusal, refuse_truth
from sim.spec.short_forms import AlsoWritten

KINDS = ("call", "tool", "graph", "wait", "vote", "train")
"""What a node may be; each node has one of these keys."""
TASK = "task"
"""The name that stands for what a graph is asked."""
ACCEPTED = "accepted"
MOST_TOKENS = 1e8
MOST_COPIES = 100_000.0
MOST_DEPTH = 64
_COMMON = frozenset({"after", "when", "for_each", "copies", "need", "cancel", "time_out"})
_ALLOWED: dict[str, frozenset[str]] = {
    "call": _COMMON | {"prompt", "output", "thinks", "budget", "solves", "accepts", "context"},
    "tool": _COMMON | {"result"},
    "graph": _COMMON | {"prompt", "repeat", "depth"},
    "wait": _COMMON - {"time_out"},
    "vote": _COMMON - {"time_out"},
    "train": _COMMON | {"on", "epochs"},
}
"""Keys that may stand beside each kind."""
_NEEDED: dict[str, tuple[str, ...]] = {"call": ("prompt", "output"), "graph": ("prompt",)}
_COMPACT = re.compile(r"compact\((.*)\)")

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$", max_length=64)]
Reference = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*(?:\.[a-z][a-z0-9_-]*)?$", max_length=128)
]
"""A node, or the runs of it that were accepted: `draft`, `draft.accepted`."""
Tokens = Annotated[Distribution, Varying("token", positive=True, whole=True, at_most=MOST_TOKENS)]
Copies = Annotated[Distribution, Varying("count", positive=True, whole=True, at_most=MOST_COPIES)]


class Beta(FrozenModel):
    """A beta distribution by its first two moments."""

    mean: Annotated[Fraction, Field(gt=0, lt=1)]
    """Mean."""
    sd: Annotated[float, Field(gt=0, lt=0.5), BeforeValidator(refuse_truth)]
    """Standard deviation; less than sqrt(mean (1 - mean))."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        most = (self.mean * (1 - self.mean)) ** 0.5
        if self.sd >= most:
            raise refusal("no share between 0 and 1 varies so much", self.sd, f"less than {most:.4g} for this mean")
        return self


class SolvesSpec(FrozenModel):
    """How likely a run of a node is right; exactly one form is given."""

    chance: Fraction | None = None
    """The same for each task; runs are independent."""
    beta: Beta | None = None
    """Varies from task to task: the quantile at the difficulty of the task, the same for each run of it."""
    given_right: Fraction | None = None
    """Of a synthesis: where one of the runs that it read is right."""
    given_wrong: Fraction | None = None
    """Of a synthesis: where none is."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        synthesis = self.given_right is not None or self.given_wrong is not None
        if synthesis and (self.given_right is None or self.given_wrong is None):
            raise refusal("a synthesis has both chances", "", "{given_right: 0.95, given_wrong: 0.02}")
        if (self.chance is not None) + (self.beta is not None) + synthesis != 1:
            mend = "0.4, {beta: {mean: 0.4, sd: 0.25}} or {given_right: 0.95, given_wrong: 0.02}"
            raise refusal("solves has exactly one form", "", mend)
        return self


class AcceptsSpec(FrozenModel):
    """How a run judges the run that it is `for_each` of."""

    right: Fraction
    """Share of right ones that it accepts."""
    wrong: Fraction
    """Share of wrong ones that it accepts."""


class WhenSpec(FrozenModel):
    """Condition under which a run takes place; exactly one is given."""

    chance: Fraction | None = None
    """With this probability, drawn for each run."""
    accepted: NodeName | None = None
    """Where this node's run was accepted; of several, where one was."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.chance is None) == (self.accepted is None):
            raise refusal("when states one condition", "", "{chance: 0.3} or {accepted: check}")
        return self


class RepeatSpec(FrozenModel):
    """Attempts at a graph until one succeeds; after the last failed one the outcome is wrong."""

    until: Reference
    """What ends the attempts: a run of this node of the body was accepted."""
    at_most: Annotated[PositiveCount, Field(le=10_000)]
    """Attempts in all."""
    carry: tuple[Reference, ...] = ()
    """Nodes of the body whose outputs the next attempt's task has at its end."""


class VoteSpec(FrozenModel):
    """The most frequent answer; ties are drawn."""

    over: NodeName
    """Node whose runs vote."""
    wrong_answers: Annotated[PositiveCount, Field(le=1_000_000)] = 1
    """Different wrong answers, all as likely; 1 means that wrong runs agree."""


def read_solves(value: object) -> object:
    """Read a bare number as the chance of each run."""
    return value if isinstance(value, (dict, SolvesSpec)) else {"chance": value}


def read_context(value: object) -> object:
    """Read 'compact(2000 tokens)' as the tokens of the summary."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    found = _COMPACT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise refusal("context says how a prompt that is too long is made short", value, "compact(2000 tokens)")
    try:
        return Quantity("token", positive=True, at_most=MOST_TOKENS).read(found[1])
    except UnitError as error:
        raise refusal(error.rule, error.value, "compact(2000 tokens)") from None


def read_need(value: object) -> object:
    """Refuse what is no way to join."""
    if value in ("all", "any", "majority") or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise refusal("need says how many runs a join waits for", value, "all, any, majority, or a number from 1")


Solves = Annotated[SolvesSpec, BeforeValidator(read_solves), AlsoWritten(({"type": "number"},))]
Compact = Annotated[
    float,
    BeforeValidator(read_context),
    WithJsonSchema({"type": "string", "pattern": r"^compact\(.*\)$", "examples": ["compact(2000 tokens)"]}),
]
Need = Annotated[
    Literal["all", "any", "majority"] | int,
    BeforeValidator(read_need),
    WithJsonSchema({"anyOf": [{"enum": ["all", "any", "majority"]}, {"type": "integer", "minimum": 1}]}),
]


class NodeSpec(FrozenModel):
    """One node: its kind, what it reads and how often it runs."""

    call: Slug | None = None
    """Kind: one request to this service."""
    tool: Slug | None = None
    """Kind: one call of this tool."""
    graph: Slug | None = None
    """Kind: one run of this graph, whose `task` is the prompt."""
    wait: Annotated[Distribution, Varying("second")] | None = None
    """Kind: time that passes."""
    vote: VoteSpec | None = None
    """Kind: the most frequent answer among runs; takes no time."""
    train: Slug | None = None
    """Kind: training on what runs produced; not built yet."""
    prompt: tuple[Reference, ...] | None = None
    """What is read, in this order: `task` and nodes. A cached head is used as far as it is equal."""
    after: tuple[Reference, ...] = ()
    """Nodes that must have ended, and whose output is not read."""
    when: WhenSpec | None = None
    """Condition under which a run takes place; otherwise it is skipped."""
    for_each: NodeName | None = None
    """One run for each run of this node, started when that one ends."""
    copies: Copies = fixed(1.0, "count", whole=True)
    """Runs side by side; what varies is drawn once for each run of the graph."""
    need: Need = "all"
    """Runs that a join waits for; when they are there, those that nobody else needs are cancelled."""
    cancel: bool = True
    """Whether runs that are no longer needed are cancelled."""
    time_out: Annotated[Seconds, Field(gt=0)] | None = None
    """Time after which a run has failed; it then gives no tokens."""
    output: Tokens | None = None
    """Tokens that a call answers with."""
    thinks: Tokens | None = None
    """Tokens of thought before the answer; nobody else reads them."""
    budget: Annotated[float, Quantity("token", positive=True, at_most=MOST_TOKENS)] | None = None
    """Most tokens of thought; a longer thought is cut there, and its answer is wrong."""
    result: Annotated[Distribution, Varying("token", whole=True, at_most=MOST_TOKENS)] | None = None
    """Tokens that a tool gives back; 0 where none are given."""
    solves: Solves | None = None
    """How likely a run is right."""
    accepts: AcceptsSpec | None = None
    """How a run judges the one that it is `for_each` of."""
    context: Compact | None = None
    """`compact(2000 tokens)`: a prompt too long for the model is first summarized; otherwise the task fails."""
    repeat: RepeatSpec | None = None
    """Attempts at the graph until one succeeds."""
    depth: Annotated[int, Field(ge=1, le=MOST_DEPTH), BeforeValidator(refuse_truth)] | None = None
    """Most runs of the graph inside each other; a run beyond is skipped."""
    on: Reference | None = None
    """What a training node learns from; not built yet."""
    epochs: PositiveCount | None = None
    """Passes of a training node; not built yet."""

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if not isinstance(value, dict):
            return value
        kinds = [kind for kind in KINDS if kind in value]
        if len(kinds) != 1:
            mend = f"one of {', '.join(KINDS[:-1])}"
            raise refusal("a node has exactly one kind", ", ".join(kinds) or "none", mend)
        kind = kinds[0]
        if kind == "train":
            raise NotYetError("nodes of the kind 'train' are not built yet", mend="leave out train")
        wrong = [key for key in value if key in cls.model_fields and key not in _ALLOWED[kind] and key != kind]
        if wrong:
            belongs = [name for name in KINDS if wrong[0] in _ALLOWED[name]]
            mend = f"'{wrong[0]}' belongs to {' and '.join(belongs)}"
            raise refusal(f"a node of the kind '{kind}' has no '{wrong[0]}'", ", ".join(wrong), mend)
        missing = [key for key in _NEEDED.get(kind, ()) if key not in value]
        if missing:
            mend = "prompt: [task]" if missing[0] == "prompt" else "output: 500 tokens"
            raise refusal(f"a node of the kind '{kind}' needs '{missing[0]}'", "", mend)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.budget is not None and self.thinks is None:
            raise refusal("a budget limits thought, and this node does not think", "", "thinks: 4000 tokens")
        if self.accepts is not None and self.for_each is None:
            raise refusal("a run accepts the run that it is for_each of", "no for_each", "for_each: draft")
        if self.accepts is not None and self.solves is not None:
            raise refusal("a node solves or accepts, not both", "", "check in a node of its own")
        return self

    @property
    def kind(self) -> str:
        """Name the kind of the node."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class GraphSpec(FrozenModel):
    """Nodes by name, and which of them the graph returns."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[NodeName, NodeSpec]

    returns: NodeName
    """Node whose output and outcome are those of the graph."""

    @model_validator(mode="after")
    def _has_nodes(self) -> Self:
        if not self.nodes:
            raise refusal("a graph has nodes", "", "answer: {call: solver, prompt: [task], output: 500 tokens}")
        if TASK in self.nodes:
            raise refusal(f"'{TASK}' is what the graph is asked, not a node", TASK, "give the node another name")
        return self

    @property
    def nodes(self) -> dict[str, NodeSpec]:
        """Give the nodes by name, in the order of the file."""
        return self.__pydantic_extra__

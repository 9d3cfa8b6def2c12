"""Graphs made ready to run: each node with its numbers and its functions, in an order in which edges go forward."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sim.cost.distributions import beta_quantile, quantile_function
from sim.spec.graph import ACCEPTED
from sim.spec.graph_check import check_graphs
from sim.spec.graph_edges import Edge, edges, forward, has_family, indices, judges, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.plan.graph_runs import RunsPlan
    from sim.spec.distribution import Distribution
    from sim.spec.graph import GraphSpec, NodeSpec, SolvesSpec
    from sim.spec.scenario import Scenario

CALL, TOOL, GRAPH, WAIT, VOTE = range(5)
"""Kinds of node."""
_KINDS = {"call": CALL, "tool": TOOL, "graph": GRAPH, "wait": WAIT, "vote": VOTE}
KIND_NAMES = ("model", "tool", "graph", "wait", "vote")
"""What each kind is called in tables."""
UNKNOWN, CHANCE, BETA, SYNTHESIS, PASSED, VOTED, RETURNED = range(7)
"""Where the outcome of a node comes from: nowhere, a chance, a chance that hangs on the task's difficulty, what it
reads, the run that it is for_each of, a vote, the graph that it ran."""


@dataclass(frozen=True, slots=True)
class Varies:
    """A number that is the same in each run, or drawn."""

    fixed: float
    """The number; of no meaning where it is drawn."""
    at: Callable[[float], float] | None
    """The quantile function that it is drawn by; none where it is fixed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of a node becomes right or wrong."""

    source: int
    chance: float = 0.0
    """Of CHANCE, and of SYNTHESIS where something that it read is right."""
    otherwise: float = 0.0
    """Of SYNTHESIS where nothing that it read is right."""
    at: Callable[[float], float] | None = None
    """Of BETA: the chance at a difficulty."""


@dataclass(slots=True, eq=False)
class NodePlan:
    """One node of a graph."""

    index: int
    """Its place among the nodes of the scenario: what statistics are kept by."""
    name: str
    label: str
    """graph.node"""
    kind: int
    target: str
    """Service, tool or graph."""
    over: tuple[str, ...]
    """The nodes that its index is made of."""
    family: str | None
    """Its own part of the index, where it has one."""
    copies: Varies
    edges: tuple[Edge, ...]
    prompt: tuple[tuple[str, bool], ...]
    """What is read: name and whether only accepted runs."""
    need: int | Literal["all", "any", "majority"]
    cancel: bool
    for_each: str | None
    chance: float | None
    """Of `when`."""
    outcome: Outcome
    accepts: tuple[float, float] | None
    """Chance to accept a wrong one, and a right one."""
    output: Varies
    """Tokens of an answer or a result."""
    thinks: Varies | None
    budget: int | None
    compact: int | None
    time: Varies | None
    """Seconds of a wait."""
    time_out_s: float | None
    wrong_answers: int
    depth: int | None
    attempts: int
    body: GraphPlan | None = None
    named_parts: int = 0
    """Parts of prompt and answer, from the beginning, that another call may find in a cache."""


@dataclass(slots=True, eq=False)
class GraphPlan:
    """One graph, as one of its callers runs it."""

    name: str
    nodes: tuple[NodePlan, ...]
    """In an order in which edges go forward."""
    judge: dict[str, str]
    """For each node of which accepted runs are asked: the node that says so."""
    returns: str
    until: str | None
    """The node of which a run must be accepted."""
    carry: tuple[tuple[str, bool], ...]
    has_outcome: bool
    runs: dict[tuple[int, ...], RunsPlan] = field(default_factory=dict)
    """What has been laid out already, by the copies that were drawn."""


@dataclass(frozen=True, slots=True)
class ToolPlan:
    """One tool."""

    name: str
    latency: Varies
    concurrency: int | None
    fails: float
    price_usd: float


@dataclass(frozen=True, slots=True)
class GraphPlans:
    """All graphs of a scenario, and the tools that they call."""

    graphs: dict[str, GraphPlan]
    """As tasks run them."""
    nodes: tuple[NodePlan, ...]
    """All nodes; `NodePlan.index` is the place in here."""
    tools: dict[str, ToolPlan]


def plain_node(index: int, label: str, kind: int, target: str) -> NodePlan:
    """Give a node that belongs to no graph of the scenario: a call or a tool of a recorded one."""
    once = Varies(1.0, None)
    return NodePlan(
        index=index,
        name=label,
        label=label,
        kind=kind,
        target=target,
        over=(),
        family=None,
        copies=once,
        edges=(),
        prompt=(),
        need="all",
        cancel=True,
        for_each=None,
        chance=None,
        outcome=Outcome(UNKNOWN),
        accepts=None,
        output=once,
        thinks=None,
        budget=None,
        compact=None,
        time=None,
        time_out_s=None,
        wrong_answers=1,
        depth=None,
        attempts=1,
    )


def compile_graphs(scenario: Scenario) -> GraphPlans:
    """Check the graphs of a scenario and make them ready to run.

    Raises:
        ScenarioError: a graph makes no sense.
    """
    check_graphs(scenario)
    tools = {
        name: ToolPlan(name, varies(tool.latency), tool.concurrency, tool.fails, tool.price_per_call)
        for name, tool in scenario.tools.items()
    }
    return _Compiler(scenario).compile(tools)


class _Compiler:
    """Builds each graph once for each way in which it is repeated."""

    def __init__(self, scenario: Scenario) -> None:
        self._graphs = scenario.graphs
        self._made: dict[tuple[str, str | None, tuple[tuple[str, bool], ...]], GraphPlan] = {}
        self._nodes: list[NodePlan] = []
        self._index: dict[str, int] = {}

    def compile(self, tools: dict[str, ToolPlan]) -> GraphPlans:
        graphs = {name: self._graph(name, None, ()) for name in self._graphs}
        for plan in self._made.values():
            _name_shared_parts(plan)
        return GraphPlans(graphs, tuple(self._nodes), tools)

    def _graph(self, name: str, until: str | None, carry: tuple[tuple[str, bool], ...]) -> GraphPlan:
        key = (name, until, carry)
        if key in self._made:
            return self._made[key]
        spec = self._graphs[name]
        over, order = indices(spec), _order(spec)
        asked = {edge.target for node in spec.nodes.values() for edge in edges(node) if edge.accepted}
        asked |= {target for target, accepted in carry if accepted} | ({until} if until is not None else set())
        judge = {target: judges(spec, target)[0] for target in order if target in asked}
        plan = GraphPlan(name, (), judge, spec.returns, until, carry, has_outcome=False)
        self._made[key] = plan
        plan.nodes = tuple(self._node(spec, name, each, over[each]) for each in order)
        known = {node.name: node for node in plan.nodes}
        for node in plan.nodes:
            if node.kind == VOTE:
                node.outcome = Outcome(VOTED)
            elif node.outcome.source == UNKNOWN and node.kind == GRAPH:
                node.outcome = Outcome(RETURNED)
            elif node.outcome.source == UNKNOWN and node.for_each is not None:
                node.outcome = Outcome(PASSED)
        plan.has_outcome = known[spec.returns].outcome.source != UNKNOWN
        return plan

    def _node(self, graph: GraphSpec, graph_name: str, name: str, over: tuple[str, ...]) -> NodePlan:
        spec = graph.nodes[name]
        label = f"{graph_name}.{name}"
        lengths = spec.result if spec.kind == "tool" else spec.output
        index = self._index.setdefault(label, len(self._nodes))
        node = NodePlan(
            index=index,
            name=name,
            label=label,
            kind=_KINDS[spec.kind],
            target=spec.call or spec.tool or spec.graph or "",
            over=over,
            family=name if has_family(spec) else None,
            copies=varies(spec.copies),
            edges=tuple(edges(spec)),
            prompt=tuple(_reference(reference) for reference in spec.prompt or ()),
            need=spec.need,
            cancel=spec.cancel,
            for_each=spec.for_each,
            chance=spec.when.chance if spec.when is not None else None,
            outcome=_outcome(spec.solves),
            accepts=(spec.accepts.wrong, spec.accepts.right) if spec.accepts is not None else None,
            output=varies(lengths) if lengths is not None else Varies(0.0, None),
            thinks=varies(spec.thinks) if spec.thinks is not None else None,
            budget=int(spec.budget) if spec.budget is not None else None,
            compact=int(spec.context) if spec.context is not None else None,
            time=varies(spec.wait) if spec.wait is not None else None,
            time_out_s=spec.time_out,
            wrong_answers=spec.vote.wrong_answers if spec.vote is not None else 1,
            depth=spec.depth,
            attempts=spec.repeat.at_most if spec.repeat is not None else 1,
        )
        if index == len(self._nodes):
            self._nodes.append(node)
        if spec.graph is not None:
            node.body = self._body(spec)
        return node

    def _body(self, spec: NodeSpec) -> GraphPlan:
        assert spec.graph is not None
        if spec.repeat is None:
            return self._graph(spec.graph, None, ())
        carry = tuple(_reference(reference) for reference in spec.repeat.carry)
        return self._graph(spec.graph, split(spec.repeat.until)[0], carry)


def varies(distribution: Distribution) -> Varies:
    """Give a distribution as the engine draws it."""
    if distribution.is_fixed:
        return Varies(distribution.values[0], None)
    return Varies(0.0, quantile_function(distribution))


def _reference(reference: str) -> tuple[str, bool]:
    name, part = split(reference)
    return name, part == ACCEPTED


def _outcome(solves: SolvesSpec | None) -> Outcome:
    if solves is None:
        return Outcome(UNKNOWN)
    if solves.beta is not None:
        return Outcome(BETA, at=beta_quantile(solves.beta.mean, solves.beta.sd))
    if solves.chance is not None:
        return Outcome(CHANCE, chance=solves.chance)
    assert solves.given_right is not None
    assert solves.given_wrong is not None
    return Outcome(SYNTHESIS, chance=solves.given_right, otherwise=solves.given_wrong)


def _order(graph: GraphSpec) -> list[str]:
    """Give the nodes in an order in which edges go forward; where there is a choice, that of the file."""
    return forward(
        graph.nodes,
        (
            (source, name)
            for name, node in graph.nodes.items()
            for edge in edges(node)
            for source in [edge.target, *(judges(graph, edge.target) if edge.accepted else ())]
            if source != name
        ),
    )


def _name_shared_parts(plan: GraphPlan) -> None:
    """Say how much of each call other calls may find in a cache, so that only that is named.

    A part of a prompt is worth a name where another call of the same service may begin with the same parts, or where
    the node has several runs that all read it. What a graph is asked is always named: it may come from a call
    outside, and other runs of the graph may be asked the same.
    """
    calls = [node for node in plan.nodes if node.kind in {CALL, GRAPH}]
    chains = {node.name: [*node.prompt, (node.name, False)] for node in calls}
    for node in calls:
        if node.kind != CALL:
            continue
        own = chains[node.name]
        most = 1 if own[0][0] == "task" else 0
        for other in calls:
            if other is not node and (other.kind == GRAPH or other.target == node.target):
                most = max(most, _equal_head(own, chains[other.name]))
        if plan.returns == node.name and len(node.prompt) == 1:
            most = len(own)
        elif node.over:
            most = max(most, _outside_index(plan, node))
        node.named_parts = most


def _equal_head(first: list[tuple[str, bool]], second: list[tuple[str, bool]]) -> int:
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def _outside_index(plan: GraphPlan, node: NodePlan) -> int:
    """Count the parts, from the beginning, that two runs of one node share."""
    over = {each.name: each.over for each in plan.nodes}
    shared = 0
    for name, _ in node.prompt:
        inside = name != "task" and len(over[name]) > 0 and over[name][: len(node.over)] == node.over
        if inside:
            break
        shared += 1
    return shared

"""Which graphs make sense: names that are there, no circle, nothing that leads nowhere, joins that can be satisfied.

Every problem is found at once, and told with its line where the scenario was read from a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import ScenarioError, SimError
from sim.spec.document import FileError
from sim.spec.graph import ACCEPTED, TASK
from sim.spec.graph_edges import Edge, common, edges, forward, indices, judged, judges, split
from sim.spec.validate import near

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sim.spec.document import Document, Path
    from sim.spec.graph import GraphSpec, NodeSpec
    from sim.spec.scenario import Scenario

MAX_PROBLEMS = 20
MAX_CIRCLE = 12
"""Nodes of a circle that are told."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    path: Path
    rule: str
    value: str = ""
    mend: str = ""


def check_graphs(scenario: Scenario, document: Document | None = None) -> None:
    """Refuse graphs that make no sense, and tasks that run none.

    Raises:
        ScenarioError: with one problem for each wrong place.
    """
    found = list(problems(scenario))
    if not found:
        return
    told = [_told(problem, document) for problem in found[:MAX_PROBLEMS]]
    if len(found) > MAX_PROBLEMS:
        name = document.name if document is not None else ""
        told.append(FileError(f"{len(found) - MAX_PROBLEMS:,} more problems are not listed", where=name))
    first = told[0]
    raise ScenarioError(first.rule, first.value, first.where, first.mend, tuple(told))


def problems(scenario: Scenario) -> Iterator[Problem]:
    """Give everything that is wrong with the graphs of a scenario, and with the tasks that name them."""
    for index, workload in enumerate(scenario.workloads):
        tasks = workload.tasks
        if tasks is not None:
            at: Path = ("workloads", index, "tasks")
            if tasks.graph is not None:
                yield from _unknown(tasks.graph, scenario.graphs, "graph", (*at, "graph"))
            if tasks.trace is not None:
                yield from _unknown(tasks.trace.service, scenario.services, "service", (*at, "trace", "service"))
    sound = True
    for name, graph in scenario.graphs.items():
        for problem in _names(scenario, name, graph):
            sound = False
            yield problem
    if not sound or not scenario.graphs:  # the rest would only repeat what an unknown name has said
        return
    yield from _recursion(scenario.graphs)
    circles = [found for name, graph in scenario.graphs.items() if (found := _circle(name, graph)) is not None]
    yield from circles
    if circles:
        return
    outcomes = with_outcome(scenario.graphs)
    for name, graph in scenario.graphs.items():
        yield from _nowhere(name, graph, scenario.graphs)
        yield from _joins(name, graph, scenario.graphs, outcomes)


def _told(problem: Problem, document: Document | None) -> SimError:
    if document is None:
        return FileError(problem.rule, problem.value, ".".join(map(str, problem.path)), problem.mend)
    where = str(document.position(problem.path))
    return FileError(problem.rule, problem.value, where, problem.mend, document.snippet(problem.path))


def _unknown(name: str, named: Collection[str], noun: str, path: Path) -> Iterator[Problem]:
    if name not in named:
        known = list(named)
        there = f"{noun}s here: {', '.join(known[:24])}" if known else f"the scenario has no {noun}s"
        yield Problem(path, f"there is no {noun} '{name}'", name, near(name, known) or there)


def _names(scenario: Scenario, name: str, graph: GraphSpec) -> Iterator[Problem]:
    """Find names that stand for nothing."""
    at: Path = ("graphs", name)
    yield from _unknown(graph.returns, graph.nodes, "node", (*at, "returns"))
    for node_name, node in graph.nodes.items():
        here: Path = (*at, node_name)
        for kind, known in (("call", scenario.services), ("tool", scenario.tools), ("graph", scenario.graphs)):
            wanted = getattr(node, kind)
            if wanted is not None:
                yield from _unknown(wanted, known, "service" if kind == "call" else kind, (*here, kind))
        for edge in edges(node):
            yield from _unknown(edge.target, graph.nodes, "node", (*here, *edge.path))
        for role, references in (("prompt", node.prompt or ()), ("after", node.after)):
            yield from _parts(references, (*here, role))
        if node.repeat is not None and node.graph in scenario.graphs:
            body = scenario.graphs[node.graph].nodes
            yield from _parts((node.repeat.until,), (*here, "repeat", "until"), listed=False)
            yield from _parts(node.repeat.carry, (*here, "repeat", "carry"))
            yield from _unknown(split(node.repeat.until)[0], body, "node", (*here, "repeat", "until"))
            for index, reference in enumerate(node.repeat.carry):
                yield from _unknown(split(reference)[0], body, "node", (*here, "repeat", "carry", index))


def _parts(references: tuple[str, ...], path: Path, *, listed: bool = True) -> Iterator[Problem]:
    for index, reference in enumerate(references):
        name, part = split(reference)
        if part not in ("", ACCEPTED) or (name == TASK and part):
            place = (*path, index) if listed else path
            yield Problem(place, f"'{name}' has no part '{part}'", reference, f"{name}, or {name}.{ACCEPTED} of a node")


def _recursion(graphs: Mapping[str, GraphSpec]) -> Iterator[Problem]:
    """Find graphs that run themselves without a bound: a circle of graphs in which no node has a depth."""
    unbounded = {
        (name, node.graph): ("graphs", name, node_name, "graph")
        for name, graph in graphs.items()
        for node_name, node in graph.nodes.items()
        if node.graph is not None and node.depth is None
    }
    if len(forward(graphs, unbounded)) == len(graphs):
        return
    import networkx as nx  # noqa: PLC0415 - 0.15 s that only scenarios with a circle pay

    calls = nx.DiGraph()
    for (name, called), path in unbounded.items():
        calls.add_edge(name, called, path=path)
    for component in nx.strongly_connected_components(calls):
        first = min(component, key=list(graphs).index)
        if len(component) > 1 or calls.has_edge(first, first):
            edge = next((one, two) for one, two in calls.edges if one in component and two in component)
            inside = " -> ".join(sorted(component))
            rule = f"graph '{edge[1]}' runs itself without end"
            yield Problem(calls.edges[edge]["path"], rule, inside, "depth: 3 on one of the nodes of the circle")


def _circle(name: str, graph: GraphSpec) -> Problem | None:
    """Find nodes that wait for each other."""
    paths: dict[tuple[str, str], Path] = {}
    for node_name, node in graph.nodes.items():
        for edge in edges(node):
            for source in [edge.target, *(judges(graph, edge.target) if edge.accepted else ())]:
                paths[source, node_name] = ("graphs", name, node_name, *edge.path)
    if len(forward(graph.nodes, paths)) == len(graph.nodes):
        return None
    import networkx as nx  # noqa: PLC0415 - as above

    order = nx.DiGraph()
    order.add_nodes_from(graph.nodes)
    for (source, node_name), path in paths.items():
        order.add_edge(source, node_name, path=path)
    found = nx.find_cycle(order)
    names = [one for one, _ in found]
    if len(names) > MAX_CIRCLE:
        names = [*names[: MAX_CIRCLE // 2], "...", *names[-MAX_CIRCLE // 2 :]]
    around = " -> ".join([*names, found[0][0]])
    return Problem(
        order.edges[found[0]]["path"],
        "nodes wait for each other in a circle",
        around,
        "a graph goes forward only; repetition is repeat: {until: ..., at_most: ...} on a node of the kind graph",
    )


def _nowhere(name: str, graph: GraphSpec, graphs: Mapping[str, GraphSpec]) -> Iterator[Problem]:
    """Find nodes that nothing needs."""
    wanted = [graph.returns]
    for other in graphs.values():
        for node in other.nodes.values():
            if node.graph == name and node.repeat is not None:
                for reference in (node.repeat.until, *node.repeat.carry):
                    target, part = split(reference)
                    wanted += [target, *(judges(graph, target) if part else ())]
    reached: set[str] = set()
    while wanted:
        target = wanted.pop()
        if target not in reached:
            reached.add(target)
            for edge in edges(graph.nodes[target]):
                wanted += [edge.target, *(judges(graph, edge.target) if edge.accepted else ())]
    for node_name in graph.nodes:
        if node_name not in reached:
            rule = f"node '{node_name}' leads nowhere: '{graph.returns}', which the graph returns, does not need it"
            yield Problem(
                ("graphs", name, node_name), rule, "", f"name it in a prompt or after, or leave {node_name} out"
            )


def with_outcome(graphs: Mapping[str, GraphSpec]) -> dict[str, set[str]]:
    """Give, for each graph, its nodes that are right or wrong."""
    found: dict[str, set[str]] = {name: set() for name in graphs}
    grows = True
    while grows:
        grows = False
        for name, graph in graphs.items():
            for node_name, node in graph.nodes.items():
                if node_name not in found[name] and _has_outcome(node, found[name], found, graphs):
                    found[name].add(node_name)
                    grows = True
    return found


def _has_outcome(
    node: NodeSpec, here: set[str], found: Mapping[str, set[str]], graphs: Mapping[str, GraphSpec]
) -> bool:
    if node.solves is not None:
        return True
    if node.vote is not None:
        return node.vote.over in here
    if node.graph is not None and node.graph in graphs:
        return graphs[node.graph].returns in found[node.graph]
    return node.for_each is not None and node.for_each in here


def _joins(
    name: str, graph: GraphSpec, graphs: Mapping[str, GraphSpec], outcomes: Mapping[str, set[str]]
) -> Iterator[Problem]:
    """Find joins that can never be satisfied, and judgements of what is never right or wrong."""
    over, at, here = indices(graph), ("graphs", name), outcomes[name]
    if over[graph.returns]:
        mend = "join its runs with a vote or another node"
        rule = f"'{graph.returns}' has many runs (of {' x '.join(over[graph.returns])}), and a graph returns one"
        yield Problem((*at, "returns"), rule, graph.returns, mend)
    if graph.returns not in here and any(node.solves is not None for node in graph.nodes.values()):
        rule = f"'{graph.returns}' is never right or wrong, and other nodes of the graph are"
        yield Problem((*at, "returns"), rule, graph.returns, f"{graph.returns}: {{..., solves: 0.5}}")
    for node_name, node in graph.nodes.items():
        path: Path = (*at, node_name)
        named = list(edges(node))
        for edge in named:
            if edge.accepted:
                yield from _judgement(graph, edge, over, path)
        yield from _need(graph, node, named, over[node_name], over, path)
        yield from _outcome(graph, node_name, here, path)
    yield from _repeats(name, graph, graphs)


def _judgement(graph: GraphSpec, edge: Edge, over: Mapping[str, tuple[str, ...]], path: Path) -> Iterator[Problem]:
    found = judges(graph, edge.target)
    where = (*path, *edge.path)
    if not found:
        mend = f"a node with for_each: {edge.target} and accepts: {{right: 0.9, wrong: 0.1}}"
        yield Problem(where, f"no node accepts runs of '{edge.target}'", edge.target, mend)
    elif len(found) > 1:
        rule = f"several nodes accept runs of '{edge.target}'"
        yield Problem(where, rule, ", ".join(found), f"name one of them: {found[0]}.accepted")
    elif over[found[0]] != over[edge.target]:
        rule = f"'{found[0]}' judges each run of '{edge.target}' several times"
        yield Problem(where, rule, found[0], f"{found[0]} without copies, or {found[0]}.accepted")
    else:
        accepts = graph.nodes[found[0]].accepts
        if accepts is not None and accepts.right == 0 and accepts.wrong == 0:
            yield Problem(where, f"'{found[0]}' never accepts a run", "accepts: {right: 0, wrong: 0}", "right: 0.9")


def _need(
    graph: GraphSpec,
    node: NodeSpec,
    named: list[Edge],
    own: tuple[str, ...],
    over: Mapping[str, tuple[str, ...]],
    path: Path,
) -> Iterator[Problem]:
    if node.need == "all":
        return
    joined = [edge for edge in named if edge.role not in {"when", "for_each"}]
    if not joined:
        mend = "need belongs to a node that reads runs of another, such as copies: 8"
        yield Problem((*path, "need"), "there is nothing to join here", str(node.need), mend)
    if not isinstance(node.need, int):
        return
    for edge in {edge.target: edge for edge in joined}.values():
        most = _most_runs(graph, over[edge.target][common(own, over[edge.target]) :])
        if node.need > most:
            rule = f"this join can never be satisfied: '{edge.target}' has {most:,.0f} runs at most"
            yield Problem((*path, "need"), rule, str(node.need), f"need: {most:.0f} or less")


def _most_runs(graph: GraphSpec, families: tuple[str, ...]) -> float:
    most = 1.0
    for family in families:
        copies = graph.nodes[family].copies
        unbounded = copies.kind in {"lognormal", "exponential"}
        most *= float("inf") if unbounded else copies.values[-1]
    return most


def _outcome(graph: GraphSpec, name: str, here: set[str], path: Path) -> Iterator[Problem]:
    node = graph.nodes[name]
    if node.accepts is not None and judged(graph, name) not in here:
        target = judged(graph, name)
        rule = f"'{name}' accepts runs of '{target}', which is never right or wrong"
        yield Problem((*path, "accepts"), rule, str(target), f"{target}: {{..., solves: 0.4}}")
    if node.vote is not None and node.vote.over not in here:
        rule = f"the runs of '{node.vote.over}' are never right or wrong, so there is nothing to vote on"
        yield Problem((*path, "vote", "over"), rule, node.vote.over, f"{node.vote.over}: {{..., solves: 0.4}}")
    if node.solves is not None and node.solves.given_right is not None:
        read = {edge.target for edge in edges(node) if edge.role in {"prompt", "for_each"}}
        if not read & here:
            rule = "a synthesis is right given what it reads, and nothing that it reads is right or wrong"
            yield Problem((*path, "solves"), rule, ", ".join(sorted(read)), "solves: 0.4, or solves on what it reads")


def _repeats(name: str, graph: GraphSpec, graphs: Mapping[str, GraphSpec]) -> Iterator[Problem]:
    for node_name, node in graph.nodes.items():
        if node.repeat is None or node.graph is None:
            continue
        path: Path = ("graphs", name, node_name, "repeat", "until")
        body = graphs[node.graph]
        target, part = split(node.repeat.until)
        if part != ACCEPTED:
            yield Problem(path, "attempts end when a run was accepted", target, f"until: {target}.{ACCEPTED}")
            continue
        edge = Edge(target, accepted=True, role="until", path=())
        yield from _judgement(body, edge, indices(body), path)

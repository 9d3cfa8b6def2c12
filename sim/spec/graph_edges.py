"""The edges of a graph: who reads, follows or judges whom, and over which index each node has its runs."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from sim.spec.graph import ACCEPTED, TASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.spec.document import Path
    from sim.spec.graph import GraphSpec, NodeSpec


@dataclass(frozen=True, slots=True)
class Edge:
    """One name in a node that stands for another node."""

    target: str
    """The node that is named."""
    accepted: bool
    """Whether only accepted runs are meant."""
    role: str
    """"prompt", "after", "for_each", "when" or "vote"."""
    path: Path
    """Where the name stands, from the node."""


def split(reference: str) -> tuple[str, str]:
    """Give the node and what is asked of it.

    >>> split("draft.accepted"), split("draft")
    (('draft', 'accepted'), ('draft', ''))
    """
    name, _, part = reference.partition(".")
    return name, part


def edges(node: NodeSpec) -> Iterator[Edge]:
    """Give the names in a node that stand for other nodes, in the order of their meaning; `task` is none."""
    if node.for_each is not None:
        yield Edge(node.for_each, accepted=False, role="for_each", path=("for_each",))
    if node.vote is not None:
        yield Edge(node.vote.over, accepted=False, role="vote", path=("vote", "over"))
    for role, references in (("prompt", node.prompt or ()), ("after", node.after)):
        for index, reference in enumerate(references):
            name, part = split(reference)
            if name != TASK:
                yield Edge(name, accepted=part == ACCEPTED, role=role, path=(role, index))
    if node.when is not None and node.when.accepted is not None:
        yield Edge(node.when.accepted, accepted=True, role="when", path=("when", "accepted"))


def judged(graph: GraphSpec, name: str) -> str | None:
    """Give the node whose runs a node accepts or refuses: what it is for_each of, tools and waits passed through."""
    target = graph.nodes[name].for_each
    seen = {name}
    while target is not None and target in graph.nodes and target not in seen:
        node = graph.nodes[target]
        if node.kind not in {"tool", "wait"} or node.for_each is None:
            break
        seen.add(target)
        target = node.for_each
    return target


def judges(graph: GraphSpec, name: str) -> list[str]:
    """Give the nodes that accept or refuse runs of a node: itself where it accepts, else those that judge it."""
    if graph.nodes[name].accepts is not None:
        return [name]
    accepting = (other for other, node in graph.nodes.items() if node.accepts is not None)
    return [other for other in accepting if name in {graph.nodes[other].for_each, judged(graph, other)}]


def has_family(node: NodeSpec) -> bool:
    """Tell whether a node adds an index of its own."""
    return not (node.copies.is_fixed and node.copies.values[0] == 1)


def indices(graph: GraphSpec) -> dict[str, tuple[str, ...]]:
    """Give, for each node, the nodes that its index is made of, the outermost first; the graph must have no cycle.

    Two nodes share what the heads of their tuples have in common.
    """
    found: dict[str, tuple[str, ...]] = {}

    def of(name: str) -> tuple[str, ...]:
        chain = []
        current: str | None = name
        while current is not None and current not in found:
            chain.append(current)
            current = graph.nodes[current].for_each
        for each in reversed(chain):
            node = graph.nodes[each]
            outer = found[node.for_each] if node.for_each is not None else ()
            found[each] = (*outer, each) if has_family(node) else outer
        return found[name]

    return {name: of(name) for name in graph.nodes}


def common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Give how many parts of their indices two nodes share.

    >>> common(("draft", "check"), ("draft",))
    1
    """
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def forward(names: Iterable[str], before: Iterable[tuple[str, str]]) -> list[str]:
    """Give names in an order in which each pair goes forward; where there is a choice, the one that was named first.

    Names that stand in a circle, or behind one, are left out.

    >>> forward("abcd", [("c", "a"), ("a", "b")]), forward("abc", [("a", "b"), ("b", "a")])
    (['c', 'a', 'b', 'd'], ['c'])
    """
    place = {name: index for index, name in enumerate(names)}
    followers: dict[str, list[str]] = {name: [] for name in place}
    missing = dict.fromkeys(place, 0)
    for source, name in dict.fromkeys(before):
        if source in place and name in place:
            followers[source].append(name)
            missing[name] += 1
    ready = [(index, name) for name, index in place.items() if not missing[name]]
    order = []
    while ready:
        _, name = heappop(ready)
        order.append(name)
        for follower in followers[name]:
            missing[follower] -= 1
            if not missing[follower]:
                heappush(ready, (place[follower], follower))
    return order

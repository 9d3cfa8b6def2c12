"""The runs of one graph, laid out flat for given copies: who waits for whom, as tuples of places."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from sim.errors import LimitError
from sim.plan.graph import VOTE
from sim.spec.graph_edges import common

if TYPE_CHECKING:
    from sim.plan.graph import GraphPlan, NodePlan

MAX_RUNS = 200_000
"""Runs of one graph, sub-graphs not counted."""
ALL, COUNT, MAJORITY = range(3)
"""How many of its members a join needs: all that are left, a number, more than half of those that are left."""
TASK, ONE, MANY, JOINED = range(4)
"""Parts of a prompt: the task, one run, the runs of a family that gave something, those that a join has chosen."""


@dataclass(frozen=True, slots=True)
class Join:
    """One run waits for some of a family."""

    owner: int
    mode: int
    needed: int
    """Of COUNT."""
    members: tuple[int, ...]
    judges: tuple[int, ...]
    """For accepted runs: the run that says so, for each member; empty otherwise."""
    cancel: bool
    gates: bool
    """Whether the owner is skipped when this cannot be satisfied any more."""


@dataclass(slots=True, eq=False)
class RunsPlan:
    """Runs 0 to R - 1, in an order in which edges go forward; R is the end of the graph, R + 1 what is carried on."""

    graph: GraphPlan
    nodes: tuple[NodePlan, ...]
    """The node of each run."""
    index: tuple[tuple[int, ...], ...]
    """The index of each run."""
    pending: tuple[int, ...]
    """Runs and joins that each run waits for; R + 2 entries."""
    consumers: tuple[tuple[int, ...], ...]
    """Runs that wait for this one to end, in whatever way."""
    decides: tuple[tuple[tuple[int, int], ...], ...]
    """Joins that hang on this run: (join, member)."""
    followers: tuple[tuple[int, ...], ...]
    """Runs that are for_each of this one: skipped with it."""
    parent: tuple[int, ...]
    """The run that this one is for_each of; -1 for none."""
    demand: tuple[int, ...]
    """How many ask for this run."""
    needs: tuple[tuple[int, ...], ...]
    """Runs that each run (and the end, and the carrying) asks for, joins apart."""
    owned: tuple[tuple[int, ...], ...]
    """Joins of each run (and the end, and the carrying)."""
    joins: tuple[Join, ...]
    prompts: tuple[tuple[tuple[int, int | tuple[int, ...]], ...], ...]
    """What each run reads: (part, place or places)."""
    carried: tuple[tuple[int, int | tuple[int, ...]], ...]
    first: tuple[int, ...]
    """Runs that wait for nothing but the task."""
    returns: int
    until: int
    """The join that ends the attempts; -1 for none."""
    kept: frozenset[int]
    """Runs that are let run on when they are no longer needed."""
    draws: object = field(default=None)
    """What the engine draws by, kept here so that it is made once."""


def runs_of(graph: GraphPlan, copies: tuple[int, ...]) -> RunsPlan:
    """Lay out the runs of a graph for the copies that were drawn, one number for each node with a family.

    Raises:
        LimitError: more than `MAX_RUNS`.
    """
    found = graph.runs.get(copies)
    if found is None:
        found = graph.runs[copies] = _Layout(graph, copies).build()
    return found


class _Layout:
    """Places of runs by node and index, and what is collected about them."""

    def __init__(self, graph: GraphPlan, copies: tuple[int, ...]) -> None:
        self.graph = graph
        families = [node.name for node in graph.nodes if node.family is not None]
        self.copies = dict(zip(families, copies, strict=True))
        self.over = {node.name: node.over for node in graph.nodes}
        total = sum(prod(self.copies[family] for family in node.over) for node in graph.nodes)
        if total > MAX_RUNS:
            raise LimitError(
                "a graph reached its limit of runs", f"{total:,} in '{graph.name}'", mend=f"at most {MAX_RUNS:,} copies"
            )
        self.place: dict[str, dict[tuple[int, ...], int]] = {}
        self.nodes: list[NodePlan] = []
        self.index: list[tuple[int, ...]] = []
        for node in graph.nodes:
            places = self.place.setdefault(node.name, {})
            for index in product(*(range(self.copies[family]) for family in node.over)):
                places[index] = len(self.nodes)
                self.nodes.append(node)
                self.index.append(index)
        self.count = len(self.nodes)
        self.joins: list[Join] = []
        self.join_of: dict[tuple[int, str, bool], int] = {}
        self.needs: list[dict[int, None]] = [{} for _ in range(self.count + 2)]
        self.owned: list[list[int]] = [[] for _ in range(self.count + 2)]
        self.below_cache: dict[tuple[str, int], dict[tuple[int, ...], tuple[int, ...]]] = {}

    def build(self) -> RunsPlan:
        graph, count = self.graph, self.count
        parents = [-1] * count
        prompts = []
        for run, node in enumerate(self.nodes):
            if node.for_each is not None:
                parents[run] = self.place[node.for_each][self.index[run][: len(self.over[node.for_each])]]
            for edge in node.edges:
                self._edge(run, node, edge.target, edge.accepted, when=edge.role == "when")
            prompts.append(self._parts(run, node))
        until = self._end()
        carried = tuple(self._part(count + 1, (), name, accepted) for name, accepted in graph.carry)
        for name, accepted in graph.carry:
            for member in self._below((), name):
                self.needs[count + 1][member] = None
                if accepted:
                    self.needs[count + 1][self._judge(name, member)] = None
        return self._close(parents, prompts, until, carried)

    def _close(
        self,
        parents: list[int],
        prompts: list[tuple[tuple[int, int | tuple[int, ...]], ...]],
        until: int,
        carried: tuple[tuple[int, int | tuple[int, ...]], ...],
    ) -> RunsPlan:
        count = self.count
        consumers: list[list[int]] = [[] for _ in range(count)]
        decides: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        followers: list[list[int]] = [[] for _ in range(count)]
        demand = [0] * count
        for run, needs in enumerate(self.needs):
            for source in needs:
                consumers[source].append(run)
                demand[source] += 1
        for number, join in enumerate(self.joins):
            for position, member in enumerate(join.members):
                demand[member] += 1
                decider = member
                if join.judges:
                    decider = join.judges[position]
                    if decider != member:
                        demand[decider] += 1
                decides[decider].append((number, member))
        for run, parent in enumerate(parents):
            if parent >= 0:
                followers[parent].append(run)
        pending = [len(needs) + len(owned) for needs, owned in zip(self.needs, self.owned, strict=True)]
        return RunsPlan(
            graph=self.graph,
            nodes=tuple(self.nodes),
            index=tuple(self.index),
            pending=tuple(pending),
            consumers=tuple(map(tuple, consumers)),
            decides=tuple(map(tuple, decides)),
            followers=tuple(map(tuple, followers)),
            parent=tuple(parents),
            demand=tuple(demand),
            needs=tuple(map(tuple, self.needs)),
            owned=tuple(map(tuple, self.owned)),
            joins=tuple(self.joins),
            prompts=tuple(prompts),
            carried=carried,
            first=tuple(run for run in range(count) if not pending[run]),
            returns=self.place[self.graph.returns][()],
            until=until,
            kept=frozenset(run for join in self.joins if not join.cancel for run in (*join.members, *join.judges)),
        )

    def _edge(self, run: int, node: NodePlan, target: str, accepted: bool, *, when: bool) -> None:  # noqa: FBT001
        """Let a run wait for what a name stands for."""
        members = self._members(run, node.over, target)
        alone = len(self.over[target]) <= common(node.over, self.over[target])
        if when:
            self._join(run, node, target, members, accepted=True, mode=COUNT, needed=1, when=True)
        elif accepted or (not alone and node.need != "all"):
            mode, needed = _mode(node.need)
            self._join(run, node, target, members, accepted=accepted, mode=mode, needed=needed)
        else:
            self.needs[run].update(dict.fromkeys(members))

    def _join(
        self,
        run: int,
        node: NodePlan | None,
        target: str,
        members: tuple[int, ...],
        *,
        accepted: bool,
        mode: int,
        needed: int,
        when: bool = False,
    ) -> int:
        key = (run, target, accepted)
        if when or key not in self.join_of:
            judges = tuple(self._judge(target, member) for member in members) if accepted else ()
            join = Join(
                run, mode, needed, members, judges, node.cancel if node is not None else True, gates=node is not None
            )
            self.owned[run].append(len(self.joins))
            self.joins.append(join)
            if when:  # a condition chooses nothing that is read
                return len(self.joins) - 1
            self.join_of[key] = len(self.joins) - 1
        return self.join_of[key]

    def _end(self) -> int:
        """Let the end wait for what is returned, and for the run that must be accepted."""
        graph, end = self.graph, self.count
        self.needs[end][self.place[graph.returns][()]] = None
        if graph.until is None:
            return -1
        members = self._below((), graph.until)
        return self._join(end, None, graph.until, members, accepted=True, mode=COUNT, needed=1)

    def _parts(self, run: int, node: NodePlan) -> tuple[tuple[int, int | tuple[int, ...]], ...]:
        if node.kind == VOTE:
            over = next(edge.target for edge in node.edges if edge.role == "vote")
            return (self._part(run, node.over, over, accepted=False),)
        return tuple(self._part(run, node.over, name, accepted) for name, accepted in node.prompt)

    def _part(self, run: int, own: tuple[str, ...], name: str, accepted: bool) -> tuple[int, int | tuple[int, ...]]:  # noqa: FBT001
        if name == "task":
            return TASK, 0
        join = self.join_of.get((run, name, accepted))
        if join is not None:
            return JOINED, join
        members = self._members(run, own, name) if run < self.count else self._below((), name)
        if accepted:  # only what is carried on: the accepted ones of all
            return MANY, tuple(-1 - member for member in members)
        return (ONE, members[0]) if len(members) == 1 else (MANY, members)

    def _members(self, run: int, own: tuple[str, ...], target: str) -> tuple[int, ...]:
        shared = common(own, self.over[target])
        return self._below(self.index[run][:shared], target)

    def _below(self, head: tuple[int, ...], target: str) -> tuple[int, ...]:
        key = (target, len(head))
        if key not in self.below_cache:
            groups: dict[tuple[int, ...], list[int]] = {}
            for index, place in self.place[target].items():
                groups.setdefault(index[: len(head)], []).append(place)
            self.below_cache[key] = {each: tuple(places) for each, places in groups.items()}
        return self.below_cache[key][head]

    def _judge(self, target: str, member: int) -> int:
        return self.place[self.graph.judge[target]][self.index[member]]


def _mode(need: int | str) -> tuple[int, int]:
    if need == "all":
        return ALL, 0
    if need == "majority":
        return MAJORITY, 0
    return COUNT, 1 if need == "any" else int(need)

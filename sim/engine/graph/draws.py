"""What the runs of a graph draw, and by which keys: node path, index and purpose decide each number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.random import fold, word
from sim.plan.graph import BETA, CALL, CHANCE, SYNTHESIS, TOOL, WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sim.plan.graph import NodePlan, ToolPlan
    from sim.plan.graph_runs import RunsPlan

OUTCOME, LENGTH, THOUGHT, BRANCH, TIME, FAILURE = range(6)
"""What a run may draw: whether it is right or accepts, tokens, tokens of thought, `when`, seconds, whether it fails."""
PURPOSES = tuple(word(f"purpose/{name}") for name in ("outcome", "length", "thought", "branch", "time", "failure"))
DIFFICULTY, COPIES, ANSWER, TIE, INPUT, HEAD = (
    word(f"purpose/{name}") for name in ("difficulty", "copies", "answer", "tie", "input", "head")
)


@dataclass(frozen=True, slots=True)
class DrawPlan:
    """The keys of all draws of the runs of a graph, and where each of them lies."""

    keys: NDArray[np.uint64]
    runs: tuple[int, ...]
    """The key of each run, without purpose."""
    at: tuple[tuple[int, ...], ...]
    """By purpose, for each run: its place in `keys`, or -1 where nothing is drawn."""


def draws_of(runs: RunsPlan, tools: Mapping[str, ToolPlan]) -> DrawPlan:
    """Give the draws of a laid-out graph; they are made once and kept with it."""
    if not isinstance(runs.draws, DrawPlan):
        runs.draws = _make(runs, tools)
    return runs.draws


def _make(runs: RunsPlan, tools: Mapping[str, ToolPlan]) -> DrawPlan:
    names: dict[str, int] = {}
    keys: list[int] = []
    own: list[int] = []
    at: list[list[int]] = [[] for _ in PURPOSES]
    wanted = {node.name: _purposes(node, tools) for node in runs.graph.nodes}
    for node, index in zip(runs.nodes, runs.index, strict=True):
        name = names.setdefault(node.name, word(node.name))
        # The first of several copies draws what a single run would: more copies change nothing for those before.
        families = ((family, place) for family, place in zip(node.over, index, strict=True) if place)
        key = fold(
            name, *(each for family, place in families for each in (names.setdefault(family, word(family)), place))
        )
        own.append(key)
        for purpose, purpose_key in enumerate(PURPOSES):
            if purpose in wanted[node.name]:
                at[purpose].append(len(keys))
                keys.append(fold(key, purpose_key))
            else:
                at[purpose].append(-1)
    return DrawPlan(np.array(keys, np.uint64), tuple(own), tuple(map(tuple, at)))


def _purposes(node: NodePlan, tools: Mapping[str, ToolPlan]) -> set[int]:
    wanted = set()
    if node.outcome.source in {CHANCE, BETA, SYNTHESIS} or node.accepts is not None:
        wanted.add(OUTCOME)
    if node.output.at is not None:
        wanted.add(LENGTH)
    if node.thinks is not None and node.thinks.at is not None:
        wanted.add(THOUGHT)
    if node.chance is not None:
        wanted.add(BRANCH)
    if node.kind == WAIT and node.time is not None and node.time.at is not None:
        wanted.add(TIME)
    if node.kind == TOOL:
        tool = tools[node.target]
        if tool.latency.at is not None:
            wanted.add(TIME)
        if tool.fails:
            wanted.add(FAILURE)
    assert node.kind == CALL or node.thinks is None
    return wanted

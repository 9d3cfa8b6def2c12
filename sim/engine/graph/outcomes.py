"""Whether a run is right, whether it accepts, and which answer a vote gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.graph.draws import ANSWER, OUTCOME, TIE
from sim.engine.graph.state import OK
from sim.engine.random import fold, uniform
from sim.plan.graph import BETA, CHANCE, PASSED, SYNTHESIS, UNKNOWN
from sim.plan.graph_runs import JOINED, ONE, TASK

if TYPE_CHECKING:
    from sim.engine.graph.state import Instance
    from sim.plan.graph import NodePlan


def judge(instance: Instance, run: int, node: NodePlan, *, cut: bool = False) -> None:
    """Say whether a run that has ended is right, and whether it accepts.

    Args:
        instance: the graph's run that it belongs to.
        run: the run.
        node: its node.
        cut: its thought was longer than its budget, so its answer is wrong.
    """
    outcome = node.outcome
    source = outcome.source
    if source == UNKNOWN:
        return
    if source == PASSED:
        right = instance.right[instance.plan.parent[run]]
        instance.right[run] = right
        if node.accepts is not None:
            drawn = instance.values[instance.draws.at[OUTCOME][run]]
            instance.accepted[run] = drawn < node.accepts[1 if right else 0]
        return
    if source == CHANCE:
        chance = outcome.chance
    elif source == BETA:
        chances = instance.task.chances
        known = chances.get(node.index)
        if known is None:
            assert outcome.at is not None
            known = chances[node.index] = outcome.at(instance.task.difficulty)
        chance = known
    elif source == SYNTHESIS:
        chance = outcome.chance if any(instance.right[place] for place in read_by(instance, run)) else outcome.otherwise
    else:
        return
    instance.right[run] = not cut and instance.values[instance.draws.at[OUTCOME][run]] < chance


def read_by(instance: Instance, run: int) -> list[int]:
    """Give the runs whose output a run reads, in their order."""
    state, found = instance.state, []
    for part, what in instance.plan.prompts[run]:
        if part == TASK:
            continue
        if part == JOINED:
            assert isinstance(what, int)
            found += instance.chosen[what]
        elif part == ONE:
            assert isinstance(what, int)
            if state[what] == OK:
                found.append(what)
        else:
            assert isinstance(what, tuple)
            found += [place for place in what if state[place] == OK]
    return found


def vote(instance: Instance, run: int, node: NodePlan) -> int | None:
    """Give the voter whose answer has most votes, ties drawn; none where nobody votes.

    Right voters agree. Wrong ones have one of ``wrong_answers`` answers, all as likely.
    """
    voters = read_by(instance, run)
    if not voters:
        return None
    key = fold(instance.key ^ instance.draws.runs[run])
    first: dict[int, int] = {}
    votes: dict[int, int] = {}
    for voter in voters:
        answer = -1
        if not instance.right[voter]:
            drawn = uniform(fold(key, instance.draws.runs[voter]), ANSWER) if node.wrong_answers > 1 else 0.0
            answer = int(drawn * node.wrong_answers)
        first.setdefault(answer, voter)
        votes[answer] = votes.get(answer, 0) + 1
    most = max(votes.values())
    best = sorted(answer for answer, count in votes.items() if count == most)
    chosen = best[int(uniform(key, TIE) * len(best))] if len(best) > 1 else best[0]
    return first[chosen]

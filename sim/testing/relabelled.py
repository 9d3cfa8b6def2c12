"""A cluster whose nodes go by other names: each job gets nodes as free as those that the rule chose, and others."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sim.engine.cluster.places import Places
from sim.plan.placement_rules import release

if TYPE_CHECKING:
    from sim.engine.cluster.job import Devices, Job
    from sim.plan.placement import Allocation


class Relabelled(Places):
    """Exchanges nodes that are alike at every start; nothing that a policy or a user sees may depend on it.

    What becomes of a cluster where equal nodes change places is the same cluster under other labels: what is free on
    how many nodes stays as it was.
    """

    def take(self, job: Job, devices: Devices, kind: str) -> Allocation:
        """Take the last of the nodes that are as free as those of the rule, in place of them."""
        found, state = super().take(job, devices, kind), self.state
        if found.milli:
            return found  # A share stays where the fullest device is.
        release(state, found)
        chosen: dict[int, list[int]] = defaultdict(list)
        for node, count in zip(found.nodes, found.counts, strict=True):
            chosen[state.free_on(node)].append(count)
        taken: dict[int, int] = {}
        for free, counts in chosen.items():
            alike = [node for node in range(len(state.free)) if not state.is_down[node] and state.free_on(node) == free]
            taken |= dict(zip(reversed(alike), counts, strict=False))
        nodes = sorted(taken)
        return state.allocate(nodes, [taken[node] for node in nodes])

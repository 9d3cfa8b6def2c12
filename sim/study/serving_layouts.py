"""Layouts of a replica that are worth playing: every legal one, judged by its mean iteration, the most promising first.

In a service that keeps up, each iteration writes a token of every running sequence and reads, on average, the prompts
that take the place of those that finish. The batch that meets the limits with the shortest such iteration says how many
requests a replica can answer at most; waves of arrivals, which only the simulation sees, make it fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.distributions import mean
from sim.errors import InfeasibleError, UsageError
from sim.plan.services import plan_service
from sim.spec.service import ServingLayout
from sim.study.serving_question import SERVICE, Asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.plan.serving import ReplicaPlan

MOST_STAGES = 16
MOST_EXPERT_DEVICES = 64
"""Devices of one stage at most: the widest expert parallelism that is looked at."""
WIDER = 4
"""Devices of a replica at most, in those of the smallest one that fits."""
GROWTH = 1.25
"""Step from one batch to the next."""


@dataclass(frozen=True, slots=True)
class Screened:
    """A layout, and what its mean iteration says of it."""

    asked: Asked
    per_s: float
    """Requests a second that one replica answers at most within the limits; 0: none."""

    def devices(self, rate_per_s: float) -> float:
        """Give the devices that a rate needs at least, by the mean iteration."""
        each = self.asked.planned.plan.devices
        return math.ceil(rate_per_s / self.per_s) * each if self.per_s else math.inf


def screened(asked: Asked, limits: Mapping[str, float], rate_per_s: float) -> list[Screened]:
    """Give the layouts to look at, those first that need the fewest devices; one that is given stands alone.

    Args:
        asked: the question, with the smallest layout that fits.
        limits: longest times in s by the names of ``howmany_serve.LIMITS``.
        rate_per_s: requests per second.

    """
    if asked.planned.spec.plan != "auto":
        return [Screened(asked, most_per_s(asked, limits))]
    found = []
    for layout in _degrees(asked):
        spec = asked.planned.spec.model_copy(update={"plan": layout})
        try:
            changed = replace(asked, planned=plan_service(SERVICE, spec, asked.cluster))
        except (InfeasibleError, UsageError):
            continue  # no room for a cache, or degrees that this model does not split into
        found.append(Screened(changed, most_per_s(changed, limits)))
    return sorted(found, key=lambda each: (each.devices(rate_per_s), -each.per_s / each.asked.planned.plan.devices))


def most_per_s(asked: Asked, limits: Mapping[str, float]) -> float:
    """Give the requests per second that one replica answers at most while its mean times are within the limits."""
    plan, requests = asked.planned.plan, asked.requests
    assert requests.input is not None
    assert requests.output is not None
    prompt, output = max(mean(requests.input), 1.0), max(mean(requests.output), 1.0)
    prefill_s = plan.cost.mixed_s(0, 0, *_chunk(prompt, plan.token_budget))
    if prefill_s > limits.get("ttft_p99", math.inf):
        return 0.0
    most = min(plan.max_sequences, int(plan.kv_tokens / (prompt + output)))
    best, batch = 0.0, 1
    while batch <= most:
        step_s = _step_s(plan, batch, prompt, output)
        whole_s = prefill_s + (output - 1.0) * step_s
        if step_s <= limits.get("tpot_p99", math.inf) and whole_s <= limits.get("e2e_p99", math.inf):
            best = max(best, batch / output / step_s)
        batch = max(batch + 1, int(batch * GROWTH))
    return best


def _step_s(plan: ReplicaPlan, batch: int, prompt: float, output: float) -> float:
    """Give the mean time of an iteration with ``batch`` running sequences and the prompts that replace them."""
    context = int(batch * (prompt + output / 2.0))
    alone_s = plan.cost.mixed_s(batch, context, 0, 0, 0)
    wanted = batch / output * prompt
    tokens, pairs, prompts = _chunk(max(wanted, prompt), max(plan.token_budget - batch, 1))
    return alone_s + wanted / tokens * (plan.cost.mixed_s(batch, context, tokens, pairs, prompts) - alone_s)


def _chunk(tokens: float, budget: int) -> tuple[int, int, int]:
    """Give tokens, (query, key) pairs and prompts of what one iteration reads of so many tokens of a prompt."""
    taken = max(min(int(tokens), budget), 1)
    return taken, taken * (taken + 1) // 2, 1


def _degrees(asked: Asked) -> Iterator[ServingLayout]:
    """List the layouts: powers of two of each degree, tensor-parallel groups inside a scale-up domain."""
    model, node = asked.planned.model, asked.cluster.node
    domain = int(node.scale_up_domain_devices) if node is not None else 1
    smallest = asked.planned.plan.devices
    most = max(WIDER * smallest, min(domain, MOST_EXPERT_DEVICES))
    experts = model.experts is not None
    for tensor in _powers(domain):
        for data in _powers(MOST_EXPERT_DEVICES // tensor) if experts else (1,):
            stage = tensor * data
            for spread in {stage, 1} if experts else {1}:
                for stages in _powers(MOST_STAGES):
                    if smallest <= stage * stages <= most:
                        yield ServingLayout(tp=tensor, pp=stages, ep=spread, dp_attention=data)


def _powers(most: int) -> Iterator[int]:
    power = 1
    while power <= most:
        yield power
        power *= 2

"""What stands around the replicas of a service: how many there are, who gets in, what happens when one fails."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sim.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plan.serving import ReplicaPlan

RouterName = Literal["round-robin", "least-outstanding", "power-of-two", "prefix-aware", "shared-queue"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Replicas that come and go with the load."""

    least: int
    most: int
    target: float = 32.0
    """Outstanding requests of each replica that the autoscaler aims at."""
    every_s: float = 10.0
    """Time between two looks at the load."""
    keep_s: float = 300.0
    """Time for which fewer replicas must suffice before some go."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Replicas that fail: their cache is lost, their requests are sent again."""

    rate_per_s: float
    """Of one device."""
    repair_s: float = 600.0
    """Until a failed replica has devices again; its cold start comes after that."""


@dataclass(frozen=True, slots=True)
class Speculation:
    """Several tokens are drafted; those before the first refusal are kept, and one more that the model gives itself."""

    tokens: int
    """Drafted tokens of one iteration."""
    acceptance: float
    """Chance that a drafted token is accepted where those before it are."""
    draft: ReplicaPlan | None = None
    """A draft model that runs once for each drafted token; none: heads of the model itself."""
    head_share: float = 0.0
    """Seconds of drafting one token with such a head, as a share of an iteration of the model that only decodes."""


@dataclass(frozen=True, slots=True)
class Disaggregation:
    """Replicas that only prefill; the cache of each prompt then goes over the fabric to a replica that decodes."""

    prefill_replicas: int
    prefill_plan: ReplicaPlan
    bandwidth_bytes_per_s: float
    """At which the cache of one request moves."""
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Offload:
    """Host memory of a replica that keeps what its devices had to give up."""

    bytes: float
    bandwidth_bytes_per_s: float
    """Between the devices of a replica and its host memory, in each direction."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Everything about a service that is not one replica. Nothing given: one replica that turns nobody away."""

    replicas: int = 1
    """Those that decode, where prefill is apart; those at the beginning, where they scale."""
    router: RouterName = "least-outstanding"
    max_queue: int | None = None
    """Waiting requests of a replica (of the service, where they share a queue) beyond which new ones are rejected."""
    tenant_limits: Mapping[str, int] = field(default_factory=dict)
    """Most outstanding requests of a tenant; what comes beyond waits before the router."""
    by_priority: bool = False
    """Waiting requests go by priority and then by arrival, and the last of that order is preempted first."""
    scaling: Scaling | None = None
    failures: Failures | None = None
    speculation: Speculation | None = None
    disaggregation: Disaggregation | None = None
    offload: Offload | None = None
    cold_start_s: float = 0.0
    """From devices to the first iteration of a replica that starts during the run."""
    at_s: float = 0.0
    """When it asks for its devices."""

    def check(self, where: str) -> None:
        """Refuse options that contradict themselves.

        Raises:
            ScenarioError: names the option.
        """
        scaling, speculation = self.scaling, self.speculation
        rules = (
            (self.replicas >= 1, "a service has at least 1 replica", self.replicas),
            (self.max_queue is None or self.max_queue >= 0, "max_queue is 0 or more", self.max_queue),
            (
                all(limit >= 1 for limit in self.tenant_limits.values()),
                "a tenant limit is at least 1",
                dict(self.tenant_limits),
            ),
            (0 <= self.at_s < math.inf, "a service begins at a time from 0 on", self.at_s),
            (scaling is None or 1 <= scaling.least <= scaling.most, "scaling: 1 <= least <= most", scaling),
            (
                scaling is None or (scaling.every_s > 0 and scaling.target > 0),
                "scaling looks and aims above 0",
                scaling,
            ),
            (
                self.failures is None or 0 <= self.failures.rate_per_s < math.inf,
                "a failure rate is finite",
                self.failures,
            ),
            (speculation is None or speculation.tokens >= 1, "speculation drafts at least 1 token", speculation),
            (speculation is None or 0 <= speculation.acceptance <= 1, "acceptance is between 0 and 1", speculation),
            (
                self.disaggregation is None or (scaling is None and speculation is None),
                "disaggregation goes with neither scaling nor speculation",
                "",
            ),
            (
                self.disaggregation is None or self.disaggregation.bandwidth_bytes_per_s > 0,
                "the cache moves at a bandwidth above 0",
                "",
            ),
        )
        for holds, rule, value in rules:
            if not holds:
                raise ScenarioError(rule, value=str(value), where=where)


def check_plan(plan: ReplicaPlan, options: ServiceOptions, where: str) -> None:
    """Refuse a replica that no engine would start.

    Raises:
        ScenarioError: names the number.
    """
    drafted = options.speculation.tokens if options.speculation else 0
    swaps = plan.rules.preemption == "swap"
    rules = (
        (plan.kv_blocks >= 1, "a replica has at least 1 block of KV cache", plan.kv_blocks),
        (plan.block_size >= 1, "a block has at least 1 token", plan.block_size),
        (plan.max_sequences >= 1, "a replica runs at least 1 sequence", plan.max_sequences),
        (
            plan.token_budget >= plan.max_sequences * (drafted + 1),
            f"the token budget of an iteration is enough for {plan.max_sequences} sequences of {drafted + 1} tokens",
            plan.token_budget,
        ),
        (
            not (swaps and options.router == "shared-queue"),
            "sequences that are swapped to a host go back to its replica: no shared queue",
            options.router,
        ),
    )
    for holds, rule, value in rules:
        if not holds:
            raise ScenarioError(rule, value=str(value), where=f"service {where}", mend="see engine: in the service")

"""Replicas and requests for tests of the serving engine: costs by hand, no catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.serving.options import ServiceOptions
from sim.engine.serving.recording import RequestColumns, ServiceRecording
from sim.engine.serving.request import Request
from sim.engine.serving.service import Service
from sim.engine.world import Arrival, World
from sim.plan.serving import SchedulerRules


@dataclass(frozen=True)
class LinearCost:
    """An iteration takes base + per token + per pair seconds; `curved` adds what has no closed form."""

    base_s: float = 0.01
    token_s: float = 5e-5
    pair_s: float = 1e-8
    prefill_pair_s: float = 2e-9
    curved_s: float = 0.0
    host_s: float = 0.0

    def mixed_s(
        self, decoding: int, context: int, prefill_tokens: int, prefill_pairs: int, prefill_sequences: int
    ) -> float:
        length_s = self.base_s + self.token_s * (decoding + prefill_tokens) + self.pair_s * context
        length_s += self.prefill_pair_s * prefill_pairs
        return length_s + self.curved_s * float(np.sqrt(context)) if self.curved_s else length_s

    def decode_s(self, decoding: int, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.base_s + self.token_s * decoding + self.pair_s * contexts + self.curved_s * np.sqrt(contexts)

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float] | None:
        """One knot per thousand tokens, so that jumps meet knots."""
        if self.curved_s:
            return None
        return self.base_s + self.token_s * decoding, self.pair_s, (context // 1000 + 1) * 1000.0

    def communication_s(self, tokens: int) -> float:
        return 0.0

    def flop(self, tokens: int, pairs: int, outputs: int) -> float:
        return 2e9 * tokens + 1e5 * pairs + 1e8 * outputs


@dataclass(frozen=True)
class HandPlan:
    """The part of a ReplicaPlan that the engine reads."""

    cost: Any = field(default_factory=LinearCost)
    rules: SchedulerRules = field(default_factory=SchedulerRules)
    name: str = "by hand"
    devices: int = 1
    kv_blocks: int = 1000
    block_size: int = 16
    token_budget: int = 512
    max_sequences: int = 64
    weights_bytes: float = 1e10
    kv_bytes_per_token: float = 1e5
    peak_flop_per_s: float = 1e18
    power_w: float = 700.0


def serve(
    plan: HandPlan,
    requests: Iterable[Request],
    options: ServiceOptions | None = None,
    *,
    seed: int = 0,
    consume: Callable[[RequestColumns], None] | None = None,
    until_s: float | None = None,
) -> tuple[ServiceRecording, World]:
    """Submit requests at their arrival times, in order, and close when all are done with."""
    options = options or ServiceOptions()
    world = World(plan.devices * most_replicas(options), seed)
    service = Service(world, plan, options, consume=consume)  # type: ignore[arg-type]
    source = iter(requests)
    state = {"done": 0, "submitted": 0, "more": True}

    def finished(_: Request) -> None:
        state["done"] += 1

    def arrive(request: Request) -> None:
        state["submitted"] += 1
        service.submit(request, finished)
        following()

    def following() -> None:
        request = next(source, None)
        if request is None:
            state["more"] = False
            return
        Arrival(world, lambda: arrive(request)).set(max(request.arrival_s - world.now_s, 0.0))

    following()
    world.run_until(
        lambda: (
            (not state["more"] and state["done"] == state["submitted"]) if until_s is None else world.now_s >= until_s
        )
    )
    recording = service.close()
    world.ledger.close(world.now_s)
    return recording, world


def most_replicas(options: ServiceOptions) -> int:
    """Replicas that devices are needed for."""
    most = options.scaling.most if options.scaling else options.replicas
    return most + (options.disaggregation.prefill_replicas if options.disaggregation else 0)

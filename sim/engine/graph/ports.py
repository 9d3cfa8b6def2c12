"""A service of the engine as graphs see it: what it can read, what a token costs, how long a call takes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sim.engine.serving.request import Request
    from sim.engine.serving.service import Service

FIRST_CONTEXTS = 4096


class EnginePort:
    """Passes calls on to a service, and knows the numbers of its replica."""

    __slots__ = (
        "_sums_s",
        "block_size",
        "caches",
        "cancel",
        "flop_per_output",
        "flop_per_pair",
        "flop_per_token",
        "narrow_flop",
        "plan",
        "service",
        "submit",
        "window_tokens",
    )

    submit: Callable[[Request, Callable[[Request], None]], None]
    cancel: Callable[[Request], None]

    def __init__(self, service: Service, bits: float) -> None:
        """Take a service, and the bits in which its layers compute."""
        plan = service.plan
        self.service = service
        self.plan = plan
        self.submit = service.submit
        self.cancel = service.cancel
        self.block_size = plan.block_size
        self.caches = plan.rules.prefix_caching
        self.window_tokens = min(plan.model.max_positions or plan.kv_tokens, plan.kv_tokens)
        self.flop_per_token = plan.cost.flop(1, 0, 0)
        self.narrow_flop = self.flop_per_token * (1 - bits / 16)
        self.flop_per_pair = plan.cost.flop(0, 1, 0)
        self.flop_per_output = plan.cost.flop(0, 0, 1)
        self._sums_s: NDArray[np.float64] = np.zeros(1)

    def unloaded_s(self, prompt_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Give the time of a call that has a replica to itself: its prompt in chunks, then one token an iteration."""
        if output_tokens < 1:
            return 0.0
        plan = self.plan
        seconds, computed = 0.0, cached_tokens
        while computed < prompt_tokens:
            chunk = min(plan.token_budget, prompt_tokens - computed)
            seconds += plan.cost.mixed_s(0, 0, chunk, chunk * computed + chunk * (chunk + 1) // 2, 1)
            computed += chunk
        return seconds + self._decode_s(prompt_tokens, prompt_tokens + output_tokens - 1)

    def _decode_s(self, first: int, last: int) -> float:
        """Sum the iterations of one sequence with contexts from ``first`` + 1 to ``last``."""
        if last >= len(self._sums_s):
            length = max(FIRST_CONTEXTS, 2 ** int(last).bit_length())
            contexts = np.arange(1, length + 1, dtype=np.int64)
            self._sums_s = np.concatenate(([0.0], np.cumsum(self.plan.cost.decode_s(1, contexts))))
        return float(self._sums_s[last] - self._sums_s[first])

"""A request on a replica: how much of it is computed, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.serving.contents import count

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.serving.prefix_cache import Held
    from sim.engine.serving.request import Request


class Sequence:
    """The engine's side of a request. While it decodes, its numbers are those of when it began to."""

    __slots__ = (
        "blocks",
        "cached",
        "computed",
        "contents",
        "decode_pairs",
        "decoded",
        "decoding",
        "done",
        "finish_at",
        "generated",
        "held",
        "joined_s",
        "kept",
        "kept_pairs",
        "known",
        "last_token_s",
        "moved",
        "named",
        "order",
        "path",
        "phase",
        "prefill_pairs",
        "prefilled",
        "ready",
        "request",
        "running",
        "start",
        "swapped",
        "target",
    )

    def __init__(self, request: Request, done: Callable[[Request], None], order: int) -> None:
        """Begin with nothing computed."""
        self.request = request
        self.done = done
        self.order = order
        """Place in the order of arrival."""
        self.target = request.prompt_tokens
        """Tokens to prefill: the prompt, and after a preemption what was generated."""
        self.computed = 0
        """Tokens in the KV cache."""
        self.generated = 0
        self.prefilled = self.prefill_pairs = 0
        """Tokens computed by prefill so far, those computed again included."""
        self.decoded = 0
        """Tokens computed one at a time."""
        self.decode_pairs = 0
        self.kept = self.kept_pairs = 0
        """Of those, what was of use where tokens are drafted."""
        self.swapped = 0
        """Blocks in host memory."""
        self.cached = -1
        """Tokens that the first admission found; -1 before it."""
        self.blocks = 0
        """Blocks held while it is not decoding."""
        self.contents: tuple[tuple[Hashable, int], ...] = request.blocks
        """What its full blocks hold, as far as it is known."""
        self.known = count(request.blocks)
        """Blocks of `contents`."""
        self.held: list[Held] = []
        """Contents of shared blocks among those, head first."""
        self.named = 0
        """Leading blocks whose contents the cache has been told."""
        self.running = False
        """Admitted, and not preempted since."""
        self.decoding = False
        self.ready = False
        """Its KV cache is computed already, elsewhere: it only needs blocks."""
        self.moved = False
        """It has come from the replicas that prefill to those that decode."""
        self.start = 0
        """Iteration at which it began to decode."""
        self.finish_at = -1
        """Iteration after which it is finished, as long as it is decoding."""
        self.phase = 0
        """It needs a block in iterations that leave this remainder by the block size."""
        self.joined_s = 0.0
        """When it had its first token of this decoding."""
        self.last_token_s = -1.0
        """Its last token before it was preempted or moved; negative: none."""
        self.path: NDArray[np.int64] | None = None
        """Tokens that each iteration gives it, under speculative decoding."""

"""A request on a replica: how much of it is computed, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.serving.contents import count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.serving.prefix_cache import Held
    from sim.engine.serving.request import Request


class Work:
    """Tokens and (query, key) pairs that were computed for a sequence that did not simply run to its end."""

    __slots__ = ("decode_pairs", "decoded", "kept", "kept_pairs", "prefill_pairs", "prefilled")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.prefilled = self.prefill_pairs = 0
        """By prefill, those computed again included."""
        self.decoded = self.decode_pairs = 0
        """One at a time."""
        self.kept = self.kept_pairs = 0
        """Of those, what was of use where tokens are drafted."""


class Sequence:
    """The engine's side of a request. While it decodes, its numbers are those of when it began to."""

    __slots__ = (
        "began",
        "blocks",
        "computed",
        "contents",
        "done",
        "finish_at",
        "generated",
        "held",
        "joined_s",
        "known",
        "last_token_s",
        "moved",
        "named",
        "order",
        "path",
        "phase",
        "ready",
        "request",
        "running",
        "start",
        "swapped",
        "target",
        "work",
    )

    joined_s: float
    """When it had its first token of this decoding."""
    phase: int
    """It needs a block in iterations that leave this remainder by the block size."""
    start: int
    """Iteration at which it began to decode."""

    def __init__(self, request: Request, done: Callable[[Request], None], order: int) -> None:
        """Begin with nothing computed."""
        self.request = request
        self.done = done
        self.order = order
        """Place in the order of arrival."""
        self.target = request.prompt_tokens
        """Tokens to prefill: the prompt, and after a preemption what was generated."""
        blocks: tuple[tuple[Hashable, int], ...] = request.blocks
        self.contents = blocks
        """What its full blocks hold, as far as it is known."""
        self.known = count(request.blocks) if blocks else 0
        """Blocks of `contents`."""
        self.began = self.finish_at = -1
        """Tokens that were in the KV cache when it was admitted or its work was last banked; -1: never admitted.

        `finish_at`: iteration after which it is finished, as long as it is decoding; -1: it is not."""
        self.computed = self.generated = 0
        """Tokens in the KV cache, and tokens of the answer."""
        self.blocks = self.named = self.swapped = 0
        """Blocks held while it is not decoding; its leading blocks whose contents the cache has been told; blocks in
        host memory."""
        self.held: Collection[Held] = ()
        """Contents of shared blocks among those that it holds, head first."""
        self.running = self.ready = self.moved = False
        """Admitted, and not preempted since. Its KV cache is computed already, elsewhere: it only needs blocks. It has
        come from the replicas that prefill to those that decode."""
        self.last_token_s = -1.0
        """Its last token before it was preempted or moved; negative: none."""
        self.path: NDArray[np.int64] | None = None
        """Tokens that each iteration gives it, under speculative decoding."""
        self.work: Work | None = None
        """What is banked so far; None as long as nothing has interrupted it."""

    @property
    def decoding(self) -> bool:
        """Tell whether it decodes."""
        return self.finish_at >= 0

    def bank(self) -> Work:
        """Add up what was computed since it was admitted or this was last done."""
        work = self.work
        if work is None:
            work = self.work = Work()
        began, computed = self.began, self.computed
        if 0 <= began < computed:
            between = max(began, min(computed, self.target))
            work.prefilled += between - began
            work.prefill_pairs += (between * (between + 1) - began * (began + 1)) // 2
            work.decoded += computed - between
            work.decode_pairs += (computed * (computed + 1) - between * (between + 1)) // 2
            self.began = computed
        return work

"""What an iteration costs under speculative decoding: several tokens drafted, then verified at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.serving.options import Speculation
    from sim.engine.serving.replica import IterationCost


class DraftedCost:
    """Cost of an iteration that drafts and verifies.

    Verification computes all tokens of a sequence beside each other and reads its cache once: an iteration of
    (drafted + 1) times as many sequences over the same contexts. The draft model runs once for each drafted token, and
    computes prompts as well; heads of the model itself take a stated share of an iteration each.
    """

    def __init__(self, cost: IterationCost, speculation: Speculation) -> None:
        """Take the cost of the model and how it drafts."""
        self._cost = cost
        self._tokens = speculation.tokens
        self._draft: IterationCost | None = speculation.draft.cost if speculation.draft else None
        self._head_share = speculation.head_share

    def mixed_s(
        self, decoding: int, context: int, prefill_tokens: int, prefill_pairs: int, prefill_sequences: int
    ) -> float:
        """Give the time of one iteration, in s."""
        cost, tokens, draft = self._cost, self._tokens, self._draft
        seconds = cost.mixed_s(decoding * (tokens + 1), context, prefill_tokens, prefill_pairs, prefill_sequences)
        if draft is not None and prefill_tokens:
            seconds += draft.mixed_s(0, 0, prefill_tokens, prefill_pairs, prefill_sequences)
        if decoding:
            if draft is not None:
                seconds += tokens * draft.mixed_s(decoding, context, 0, 0, 0)
            elif self._head_share:
                seconds += tokens * self._head_share * cost.mixed_s(decoding, context, 0, 0, 0)
        return seconds

    def decode_s(self, decoding: int, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the time of iterations that only decode, in s."""
        tokens = self._tokens
        seconds = self._cost.decode_s(decoding * (tokens + 1), contexts)
        if self._draft is not None:
            return seconds + tokens * self._draft.decode_s(decoding, contexts)
        if self._head_share:
            return seconds + tokens * self._head_share * self._cost.decode_s(decoding, contexts)
        return seconds

    def decode_line(self, decoding: int, context: int) -> None:  # noqa: ARG002 - drawn contexts lie on no line
        """Give nothing: contexts grow by drawn amounts."""
        return

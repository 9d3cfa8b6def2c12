"""What the tokens of a service were for, as its requests see it; the meter says the same as its iterations see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.engine.serving.sequence import Sequence


class Accounts:
    """Tokens and (query, key) pairs by purpose."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.prefill = [0, 0]
        """[tokens, pairs] of prompts, each token once."""
        self.recompute = [0, 0]
        """Of what was computed again after a preemption."""
        self.decode = [0, 0]
        self.refused = [0, 0]
        """Of drafted tokens that were not accepted."""
        self.wasted_prefill = [0, 0]
        """Of requests that were given up, or whose replica failed."""
        self.wasted_decode = [0, 0]
        self.delivered = self.wasted = self.cached = 0
        """Tokens of answers that came to their end; of others; of prompts that were found in a cache."""

    def count(self, sequence: Sequence, *, finished: bool) -> None:
        """Count a sequence that has left its replica for good."""
        request = sequence.request
        decoded = sequence.decoded
        if not finished:
            _add(self.wasted_prefill, sequence.prefilled, sequence.prefill_pairs)
            _add(self.wasted_decode, decoded, sequence.decode_pairs)
            self.wasted += sequence.generated
            return
        cached, prompt = sequence.cached, request.prompt_tokens
        tokens = prompt - cached
        pairs = (prompt * (prompt + 1) - cached * (cached + 1)) // 2
        prefill, decode = self.prefill, self.decode
        prefill[0] += tokens
        prefill[1] += pairs
        if sequence.prefilled != tokens or sequence.prefill_pairs != pairs:
            _add(self.recompute, sequence.prefilled - tokens, sequence.prefill_pairs - pairs)
        if sequence.path is None:
            decode[0] += decoded
            decode[1] += sequence.decode_pairs
        else:
            _add(decode, sequence.kept, sequence.kept_pairs)
            _add(self.refused, decoded - sequence.kept, sequence.decode_pairs - sequence.kept_pairs)
        self.delivered += sequence.generated
        self.cached += cached


def _add(account: list[int], tokens: int, pairs: int) -> None:
    account[0] += tokens
    account[1] += pairs

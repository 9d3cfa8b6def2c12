"""What the tokens of a service were for, as its requests see it; the meter says the same as its iterations see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.engine.serving.request import STATUSES

if TYPE_CHECKING:
    from sim.engine.serving.recording import RequestColumns
    from sim.engine.serving.sequence import Sequence

FINISHED = STATUSES.index("finished")


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

    def count_rows(self, rows: RequestColumns) -> None:
        """Count requests that are done with: of the finished ones, what an answer takes that nothing interrupts."""
        finished = rows.status == FINISHED
        prompt, cached = rows.prompt_tokens[finished], rows.cached_tokens[finished]
        further = rows.output_tokens[finished] - 1
        _add(self.prefill, int((prompt - cached).sum()), int((_pairs(prompt) - _pairs(cached)).sum()))
        _add(self.decode, int(further.sum()), int((_pairs(prompt + further) - _pairs(prompt)).sum()))
        self.delivered += int(further.sum()) + len(further)
        self.cached += int(cached.sum())

    def count_interrupted(self, sequence: Sequence) -> None:
        """Count what a finished sequence took beyond that: it was preempted, or its tokens were drafted."""
        request, work = sequence.request, sequence.bank()
        cached, prompt, further = request.cached_tokens, request.prompt_tokens, request.output_tokens - 1
        _add(
            self.recompute,
            work.prefilled - (prompt - cached),
            work.prefill_pairs - (_pairs(prompt) - _pairs(cached)),
        )
        tokens, pairs = work.decoded, work.decode_pairs
        if sequence.path is not None:
            tokens, pairs = work.kept, work.kept_pairs
            _add(self.refused, work.decoded - tokens, work.decode_pairs - pairs)
        _add(self.decode, tokens - further, pairs - (_pairs(prompt + further) - _pairs(prompt)))

    def count_wasted(self, sequence: Sequence) -> None:
        """Count a sequence that has left its replica for good without an end to its answer."""
        work = sequence.bank()
        _add(self.wasted_prefill, work.prefilled, work.prefill_pairs)
        _add(self.wasted_decode, work.decoded, work.decode_pairs)
        self.wasted += sequence.generated


def _add(account: list[int], tokens: int, pairs: int) -> None:
    account[0] += tokens
    account[1] += pairs


def _pairs(tokens: Any) -> Any:  # noqa: ANN401 - one count or many
    """Give the (query, key) pairs of so many first tokens."""
    return tokens * (tokens + 1) // 2

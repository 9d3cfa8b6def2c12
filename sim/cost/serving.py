"""What one iteration of an inference engine costs: prefill and decode of a running batch, mixed.

An iteration reads the weights once for all of its tokens, and the cache of each sequence for itself. What hangs on
the number of tokens alone (products with weights, experts, collectives, vector operators) and on the number of
outputs (LM head, sampling) stands in tables; attention over the caches is, for each number of sequences, a broken
line over the sum of their contexts, so that one iteration and ten thousand are the same sums, to the last bit.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]

FIRST_TABLE = 1024
"""Entries that a table begins with; it doubles when it is asked beyond."""
LONGEST_CONTEXT = 2.0**21
"""Tokens of one sequence up to which attention is tabled; beyond, the last line goes on."""
KNOTS_PER_OCTAVE = 2
"""Knots of the broken line of attention between a context and its double."""


class IterationParts(Protocol):
    """Seconds of the parts of an iteration, as curves or measurements give them; all layers, one replica."""

    @property
    def beside_prompt(self) -> float:
        """Give attention of decoding sequences beside a prompt, in one kernel with it, over the same alone."""

    def token_s(self, tokens: Floats) -> Floats:
        """Give the time of all that hangs on the number of tokens alone, collectives included."""

    def communication_s(self, tokens: Floats) -> Floats:
        """Give the part of it that is communication which no work hides."""

    def output_s(self, outputs: Floats) -> Floats:
        """Give the time of the LM head and of sampling for so many next tokens."""

    def decode_attention_s(self, sequences: int, contexts: Floats) -> Floats:
        """Give the time of attention for one new token of each sequence; contexts are sums over the sequences."""

    def prompt_attention_s(self, decoding: int, context: float, tokens: float, pairs: float, sequences: int) -> float:
        """Give the time that chunks of prompts add to the attention of the decoding sequences beside them."""

    def flop(self, tokens: float, pairs: float, outputs: float) -> float:
        """Count the operations."""


class HostTimes:
    """What the processor adds to an iteration, in s: always, for each sequence, and where there are prompts in it."""

    __slots__ = ("iteration_s", "prefill_s", "sequence_s")

    def __init__(self, iteration_s: float = 0.0, sequence_s: float = 0.0, prefill_s: float = 0.0) -> None:
        """Keep the three times."""
        self.iteration_s = iteration_s
        self.sequence_s = sequence_s
        self.prefill_s = prefill_s


class IterationCost:
    """Seconds and operations of any iteration of one replica.

    ``micro_batches`` of a pipeline run at the same time: each stage then reads its weights for each of them.
    """

    __slots__ = (
        "_beside_prompt",
        "_communication",
        "_decode",
        "_lines",
        "_output",
        "_parts",
        "_token",
        "host",
        "host_s",
        "ranks",
        "stages",
    )

    def __init__(self, parts: IterationParts, host: HostTimes, stages: int = 1, ranks: int = 1) -> None:
        """Take the parts, the host, the number of pipeline stages and of ranks of data-parallel attention."""
        self.ranks = ranks
        self.host = host
        self.host_s = host.iteration_s
        self.stages = stages
        self._parts = parts
        self._beside_prompt = parts.beside_prompt
        self._token: list[float] = []
        self._communication: list[float] = []
        self._output: list[float] = []
        self._decode: dict[int, float] = {}
        self._lines: dict[int, _Line] = {}

    def mixed_s(
        self, decoding: int, context: int, prefill_tokens: int, prefill_pairs: int, prefill_sequences: int
    ) -> float:
        """Give the time of one iteration, in s.

        Args:
            decoding: sequences that get one token each.
            context: tokens that they attend to, the new one included, summed over them.
            prefill_tokens: tokens of all prefill chunks.
            prefill_pairs: (query, key) pairs of the chunks; c tokens after p others have c p + c (c + 1) / 2.
            prefill_sequences: chunks.

        Source: sum of the parts, see sim.cost.serving_curves and sim.cost.serving_tables.
        Valid for: batches that the replica's memory holds.
        """
        attention_s = 0.0
        if decoding:
            line = self._lines.get(decoding)
            if line is None:
                line = self._line(decoding)
            index = bisect_right(line.knot, context)
            attention_s = line.base[index] + line.slope[index] * context
        if not prefill_tokens:
            base = self._decode.get(decoding)
            return (self._decode_base_s(decoding) if base is None else base) + attention_s
        sequences, tokens = decoding + prefill_sequences, decoding + prefill_tokens
        each, batches, ranks = sequences, 1, self.ranks
        if ranks > 1:
            # Ranks of data-parallel attention run in step, and a prompt is on one of them: the fullest sets the pace.
            tokens = ranks * (-(-decoding // ranks) - (-prefill_tokens // min(ranks, prefill_sequences)))
        if self.stages > 1:
            batches = min(self.stages, sequences)
            each, tokens = -(-sequences // batches), -(-tokens // batches)
        parts, host, output, token = self._parts, self.host, self._output, self._token
        output_s = output[each] if each < len(output) else _look(output, each, parts.output_s)
        token_s = token[tokens] if tokens < len(token) else _look(token, tokens, parts.token_s)
        prompt_s = parts.prompt_attention_s(decoding, context, prefill_tokens, prefill_pairs, prefill_sequences)
        device_s = batches * output_s + token_s + attention_s * self._beside_prompt + prompt_s
        return device_s + host.iteration_s + host.prefill_s + host.sequence_s * sequences

    def decode_s(self, decoding: int, contexts: Counts) -> Floats:
        """Give the time of iterations that only decode, in s: ``mixed_s(decoding, c, 0, 0, 0)`` of each c.

        Source: as mixed_s.
        Valid for: as mixed_s.
        """
        base = self._decode.get(decoding)
        if base is None:
            base = self._decode_base_s(decoding)
        line = self._lines.get(decoding)
        if line is None:
            line = self._line(decoding)
        return base + line.over(contexts)

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float]:
        """Give (a, b, end): an iteration that only decodes, at this or a longer context below ``end``, takes a + b c s.

        Source: as mixed_s: attention is a broken line, and this is the piece of it that ``context`` lies on.
        Valid for: as mixed_s.
        """
        base = self._decode.get(decoding)
        if base is None:
            base = self._decode_base_s(decoding)
        line = self._lines.get(decoding)
        if line is None:
            line = self._line(decoding)
        index = bisect_right(line.knot, context)
        end = line.knot[index] if index < len(line.knot) else inf
        return base + line.base[index], line.slope[index], end

    def communication_s(self, tokens: int) -> float:
        """Give the exposed communication of an iteration of so many tokens, in s: a part of its time.

        Source: as mixed_s.
        Valid for: one micro-batch.
        """
        return _look(self._communication, tokens, self._parts.communication_s)

    def flop(self, tokens: float, pairs: float, outputs: float) -> float:
        """Count the operations: ``tokens`` in the layers, (query, key) ``pairs`` in attention, ``outputs`` in the head.

        Source: exact counts of sim.cost.transformer.
        Valid for: every model of the catalogue without linear attention.
        """
        return self._parts.flop(tokens, pairs, outputs)

    def _decode_base_s(self, decoding: int) -> float:
        batches = min(self.stages, decoding)
        each = -(-decoding // batches)
        device_s = batches * _look(self._output, each, self._parts.output_s)
        device_s += _look(self._token, each, self._parts.token_s)
        base = device_s + self.host.iteration_s + self.host.sequence_s * decoding
        self._decode[decoding] = base
        return base

    def _line(self, decoding: int) -> _Line:
        octaves = int(np.log2(LONGEST_CONTEXT))
        knots = np.exp2(np.arange(octaves * KNOTS_PER_OCTAVE + 1) / KNOTS_PER_OCTAVE) * decoding
        line = _Line(knots, self._parts.decode_attention_s(decoding, knots))
        self._lines[decoding] = line
        return line


class _Line:
    """A broken line: lists for one place at a time, the same numbers as arrays for many."""

    __slots__ = ("base", "bases", "knot", "knots", "slope", "slopes")

    def __init__(self, knots: Floats, values: Floats) -> None:
        slopes = np.diff(values) / np.diff(knots)
        self.knots, self.bases, self.slopes = knots[1:-1], values[:-1], slopes
        starts = knots[:-1]
        self.bases = self.bases - slopes * starts
        self.knot: list[float] = self.knots.tolist()
        self.base: list[float] = self.bases.tolist()
        self.slope: list[float] = slopes.tolist()

    def over(self, places: Counts) -> Floats:
        index = np.searchsorted(self.knots, places, side="right")
        return self.bases[index] + self.slopes[index] * places


def _look(table: list[float], index: int, make: Callable[[Floats], Floats]) -> float:
    """Give an entry of a table, and make the table longer where it does not reach so far."""
    if index < len(table):
        return table[index]
    length = max(FIRST_TABLE, 2 ** int(index).bit_length())
    made = make(np.arange(1, length, dtype=np.float64))
    table[:] = [0.0, *made.tolist()]
    return table[index]

"""What one iteration of an inference engine costs: prefill and decode of a running batch, mixed.

An iteration reads the weights once for all of its tokens, and the cache of each sequence for itself. What hangs on
the number of tokens alone (products with weights, experts, collectives, vector operators) and on the number of
outputs (LM head, sampling) stands in tables; attention over the caches is, for each number of sequences, a broken
line over the sum of their contexts, so that one iteration and ten thousand are the same sums, to the last bit.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]
    Line = tuple[list[int], list[float], list[float]]

FIRST_TABLE = 1024
"""Entries that a table begins with; it doubles when it is asked beyond."""
LONGEST_CONTEXT = 2.0**21
"""Tokens of one sequence up to which attention is tabled; beyond, the last line goes on."""
LONGEST_SUM = 1 << 60
"""Beyond every sum of contexts."""
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
        "_divided",
        "_iteration_s",
        "_lines",
        "_output",
        "_parts",
        "_pieces",
        "_prefill_s",
        "_prompt_attention_s",
        "_sequence_s",
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
        self._lines: dict[int, Line] = {}
        self._pieces: dict[int, tuple[int, int, float, float]] = {}
        """By the number of sequences, the piece of the line that was last asked for: from, to before, base, slope."""
        self._prompt_attention_s = parts.prompt_attention_s
        self._iteration_s, self._prefill_s, self._sequence_s = host.iteration_s, host.prefill_s, host.sequence_s
        self._divided = stages > 1 or ranks > 1

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
            try:
                low, high, base_s, slope_s = self._pieces[decoding]
                if not low <= context < high:
                    base_s, slope_s = self._piece(decoding, context)
            except KeyError:
                base_s, slope_s = self._piece(decoding, context)
            attention_s = base_s + slope_s * context
        if not prefill_tokens:
            return self._decode_base_s(decoding) + attention_s
        sequences = each = decoding + prefill_sequences
        tokens, batches = decoding + prefill_tokens, 1
        if self._divided:
            tokens, each, batches = self._busiest(decoding, prefill_tokens, prefill_sequences)
        try:
            output_s, token_s = self._output[each], self._token[tokens]
        except IndexError:
            output_s = _look(self._output, each, self._parts.output_s)
            token_s = _look(self._token, tokens, self._parts.token_s)
        prompt_s = self._prompt_attention_s(decoding, context, prefill_tokens, prefill_pairs, prefill_sequences)
        device_s = batches * output_s + token_s + attention_s * self._beside_prompt + prompt_s
        return device_s + self._iteration_s + self._prefill_s + self._sequence_s * sequences

    def decode_s(self, decoding: int, contexts: Counts) -> Floats:
        """Give the time of iterations that only decode, in s: ``mixed_s(decoding, c, 0, 0, 0)`` of each c.

        Source: as mixed_s.
        Valid for: as mixed_s.
        """
        knots, bases, slopes = (np.array(part) for part in self._lines.get(decoding) or self._line(decoding))
        index = np.searchsorted(knots, contexts, side="right")
        return np.asarray(self._decode_base_s(decoding) + (bases[index] + slopes[index] * contexts), np.float64)

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, int]:
        """Give (a, b, end): an iteration that only decodes, at this or a longer context below ``end``, takes a + b c s.

        Source: as mixed_s: attention is a broken line, and this is the piece of it that ``context`` lies on.
        Valid for: as mixed_s.
        """
        found = self._pieces.get(decoding)
        if found is None or not found[0] <= context < found[1]:
            self._piece(decoding, context)
            found = self._pieces[decoding]
        _, end, base_s, slope_s = found
        return self._decode_base_s(decoding) + base_s, slope_s, end

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
        base = self._decode.get(decoding)
        if base is None:
            batches = min(self.stages, decoding)
            each = -(-decoding // batches)
            device_s = batches * _look(self._output, each, self._parts.output_s)
            device_s += _look(self._token, each, self._parts.token_s)
            base = self._decode[decoding] = device_s + self._iteration_s + self._sequence_s * decoding
        return base

    def _busiest(self, decoding: int, prefill_tokens: int, prefill_sequences: int) -> tuple[int, int, int]:
        """Give tokens and sequences of a micro-batch on the fullest rank, and how many micro-batches there are."""
        sequences, tokens, ranks = decoding + prefill_sequences, decoding + prefill_tokens, self.ranks
        if ranks > 1:
            # Ranks of data-parallel attention run in step, and a prompt is on one of them: the fullest sets the pace.
            tokens = ranks * (-(-decoding // ranks) - (-prefill_tokens // min(ranks, prefill_sequences)))
        batches = min(self.stages, sequences)
        return -(-tokens // batches), -(-sequences // batches), batches

    def _piece(self, decoding: int, context: int) -> tuple[float, float]:
        """Find the piece of the line that a context lies on, and keep it: the next one mostly lies there too."""
        knot, base, slope = self._lines.get(decoding) or self._line(decoding)
        index = bisect_right(knot, context)
        low = knot[index - 1] if index else 0
        high = knot[index] if index < len(knot) else LONGEST_SUM
        self._pieces[decoding] = (low, high, base[index], slope[index])
        return base[index], slope[index]

    def _line(self, decoding: int) -> Line:
        """Give the broken line of attention: its knots, and where each piece begins at 0 and how it rises."""
        octaves = int(np.log2(LONGEST_CONTEXT))
        knots = np.exp2(np.arange(octaves * KNOTS_PER_OCTAVE + 1) / KNOTS_PER_OCTAVE) * decoding
        values = self._parts.decode_attention_s(decoding, knots)
        slopes = np.diff(values) / np.diff(knots)
        bases = values[:-1] - slopes * knots[:-1]
        # Contexts are whole numbers, which are compared faster with whole ends.
        ends: list[int] = np.ceil(knots[1:-1]).astype(np.int64).tolist()
        line = self._lines[decoding] = (ends, bases.tolist(), slopes.tolist())
        return line


def _look(table: list[float], index: int, make: Callable[[Floats], Floats]) -> float:
    """Give an entry of a table, and make the table longer where it does not reach so far."""
    if index < len(table):
        return table[index]
    length = max(FIRST_TABLE, 2 ** int(index).bit_length())
    made = make(np.arange(1, length, dtype=np.float64))
    table[:] = [0.0, *made.tolist()]
    return table[index]

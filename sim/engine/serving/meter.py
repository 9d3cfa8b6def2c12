"""What the replicas of a service did, added up as they do it: flat memory however long it runs."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.serving.histogram import LogHistogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STRETCHES_AT_ONCE = 8192
MAX_BINS = 2**20
"""Bins of time; a run that is longer has bins of 2, 4, ... s."""
FIRST_BIN_S = 1.0
STRETCH = Struct("3d9q")
STRETCH_BYTES = STRETCH.size
pack_stretch = STRETCH.pack_into
_CURVES = 10


class Meter:
    """Sums, curves over time and gaps between tokens, from stretches of iterations.

    A stretch is three times and nine counts (STRETCH) that a replica packs into ``buffer`` at ``used``: start, length
    of the first iteration and what each further one takes longer; iterations, decoding sequences and the context of the
    first iteration, tokens, pairs and chunks of prefill, how many of its sequences had their last token at its
    beginning, requests waiting, blocks free. A function call for each stretch would cost more than all else about it.
    """

    def __init__(self, communication_s: Callable[[int], float], blocks: int) -> None:
        """Take the exposed communication of an iteration by its tokens, and the blocks of a replica."""
        self._capacity = blocks
        self._communication_s = communication_s
        self.size = STRETCH_BYTES * STRETCHES_AT_ONCE
        self.buffer = bytearray(self.size)
        self.used = 0
        self._curves = np.zeros((_CURVES, 1024))
        self._bin_s = FIRST_BIN_S
        self.gaps = LogHistogram()
        self.iterations = 0
        self.prefill_tokens = self.decode_tokens = 0
        self.prefill_pairs = self.decode_pairs = self.outputs = 0
        self.busy_s = self.communication = 0.0

    def add_gaps(self, gaps: list[tuple[float, int]]) -> None:
        """Add times between tokens that are not those of an iteration: (seconds, how many)."""
        seconds, counts = zip(*gaps, strict=True)
        self.gaps.add(np.array(seconds), np.array(counts, np.float64))

    def flush(self) -> None:
        """Work off what was added."""
        times = np.frombuffer(self.buffer, np.float64, self.used // 8).reshape(-1, 12)[:, :3].T
        counts = np.frombuffer(self.buffer, np.int64, self.used // 8).reshape(-1, 12)[:, 3:].T.astype(np.float64)
        self.used = 0
        if not times.size:
            return
        start_s, first_s, step_s = times.copy()
        count, tokens, context, prefill, pairs, prefills, regular, waiting, free = counts
        context, blocks = np.where(tokens > 0, context, 0.0), self._capacity - free
        steps = count * (count - 1) / 2
        length_s = count * first_s + step_s * steps
        decode = count * tokens
        decode_pairs = count * context + tokens * steps
        outputs = decode + prefills
        self.iterations += int(count.sum())
        self.prefill_tokens += int(prefill.sum())
        self.decode_tokens += int(decode.sum())
        self.prefill_pairs += _exact(pairs)
        self.decode_pairs += _exact(decode_pairs)
        self.outputs += int(outputs.sum())
        self.busy_s += float(length_s.sum())
        sizes, place = np.unique(tokens + prefill, return_inverse=True)
        each = np.array([self._communication_s(int(size)) for size in sizes])
        self.communication += float(each[place] @ count)
        heard = regular > 0
        if heard.any():
            self.gaps.add_progressions(first_s[heard], step_s[heard], count[heard], regular[heard])
        self._draw(
            start_s,
            length_s,
            np.stack(
                [
                    prefill,
                    decode,
                    pairs,
                    decode_pairs,
                    outputs,
                    length_s,
                    regular * length_s,
                    waiting * length_s,
                    blocks * length_s,
                    count,
                ]
            ),
        )

    def curves(self, end_s: float) -> tuple[float, Floats]:
        """Give the width of a bin and the curves until then."""
        bins = max(int(np.ceil(end_s / self._bin_s)), 1)
        self._reach(end_s)
        return self._bin_s, self._curves[:, :bins].copy()

    def _draw(self, start_s: Floats, length_s: Floats, amounts: NDArray[np.float64]) -> None:
        """Spread amounts evenly over the bins that their stretches touch."""
        end_s = start_s + length_s
        self._reach(float(end_s.max()))
        low = (start_s / self._bin_s).astype(np.int64)
        spans = np.ceil(end_s / self._bin_s).astype(np.int64) - low
        spans = np.maximum(spans, 1)
        if spans.max() > 1:
            row = np.repeat(np.arange(len(low)), spans)
            within = np.arange(len(row)) - np.repeat(np.cumsum(spans) - spans, spans)
            low = low[row] + within
            inside_s = np.minimum(end_s[row], (low + 1) * self._bin_s) - np.maximum(start_s[row], low * self._bin_s)
            long = length_s[row] > 0
            amounts = amounts[:, row] * np.where(long, inside_s / np.where(long, length_s[row], 1.0), 1.0)
        first, last = int(low.min()), int(low.max()) + 1
        for curve, amount in zip(self._curves, amounts, strict=True):
            curve[first:last] += np.bincount(low - first, amount, minlength=last - first)

    def _reach(self, end_s: float) -> None:
        """Make the curves long enough, and the bins wider where there would be too many."""
        while end_s > MAX_BINS * self._bin_s:
            self._bin_s *= 2
            odd = self._curves.shape[1] % 2
            self._curves = np.pad(self._curves, ((0, 0), (0, odd))).reshape(_CURVES, -1, 2).sum(axis=2)
        missing = int(end_s / self._bin_s) + 2 - self._curves.shape[1]
        if missing > 0:
            self._curves = np.pad(self._curves, ((0, 0), (0, max(missing, self._curves.shape[1]))))


def _exact(amounts: Floats) -> int:
    """Sum whole numbers as whole numbers: pairs of a long run are beyond what floats count exactly."""
    return int(amounts.astype(np.int64).sum())

"""The parts of an iteration from a user's own layer profile: measured layers in place of curves.

Times of the layers by tokens, of the LM head and the sampler by sequences, of the experts by tokens and visited
experts, and of attention by chunk, tokens before it, decoding sequences and their context. Between measured points
times are linear; beyond the last they go on with the last slope. What a profile of one device cannot hold
(collectives) comes from curves.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.serving_curves import visited_experts

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.cost.serving import Floats, IterationParts
    from sim.cost.serving_curves import ServingLayout
    from sim.spec.model import ModelShape

    Grid = npt.NDArray[np.float64]

ONCE = ("embedding", "final_layernorm")
"""Layers of a profile that a model has once."""
PER_LAYER = {"layernorm": 2}
"""Layers of a profile that a transformer layer has more than once."""


@dataclass(frozen=True, slots=True)
class LayerTables:
    """Measured seconds of one device."""

    tokens: Floats
    layer_s: Floats
    """All dense work of one transformer layer, by tokens."""
    once_s: Floats
    """What the model has once, by tokens."""
    sequences: Floats
    output_s: Floats
    """LM head and sampler, by sequences."""
    chunk: Floats
    before: Floats
    decoding: Floats
    context: Floats
    """Axes of attention: tokens of the chunk, tokens before it, decoding sequences, mean context of them."""
    attention_s: Grid
    """One layer, over the four axes."""
    expert_tokens: Floats | None = None
    experts: Floats | None = None
    expert_s: Grid | None = None
    """Routed experts of one layer, by tokens of this device and visited experts; none for a dense model."""


@dataclass(frozen=True, slots=True)
class TableParts:
    """The parts of an iteration of one replica; see sim.cost.serving.IterationParts."""

    model: ModelShape
    layout: ServingLayout
    tables: LayerTables
    curves: IterationParts
    """For collectives and counts."""

    @property
    def beside_prompt(self) -> float:
        """Give 1: what a prompt costs the sequences beside it is measured with the prompt."""
        return 1.0

    def token_s(self, tokens: Floats) -> Floats:
        """Give the time of all that hangs on the number of tokens alone, collectives included, in s.

        Source: the profile; collectives by their curves.
        Valid for: tokens of one micro-batch.
        """
        own = np.ceil(tokens / self.layout.attention_data_parallel)
        measured = self.tables
        seconds = self.model.layers * _line(own, measured.tokens, measured.layer_s)
        seconds = seconds + _line(own, measured.tokens, measured.once_s)
        return seconds + self._experts_s(tokens) + self.communication_s(tokens)

    def communication_s(self, tokens: Floats) -> Floats:
        """Give the exposed communication, in s.

        Source: curves of collectives.
        Valid for: tokens of one micro-batch.
        """
        return self.curves.communication_s(tokens)

    def output_s(self, outputs: Floats) -> Floats:
        """Give the time of the LM head and of sampling, in s.

        Source: the profile.
        Valid for: the sampler that was profiled.
        """
        own = np.ceil(outputs / self.layout.attention_data_parallel)
        return _line(own, self.tables.sequences, self.tables.output_s)

    def decode_attention_s(self, sequences: int, contexts: Floats) -> Floats:
        """Give the time of attention of one new token of each sequence, all layers, in s.

        Source: the profile.
        Valid for: sequences of like length.
        """
        measured = self.tables
        own = -(-sequences // self.layout.attention_data_parallel)
        low, share = _place(measured.decoding, float(own))
        grid = measured.attention_s[0, 0]
        by_context = grid[low] + share * (grid[low + 1] - grid[low])
        return self.model.layers * _line(contexts / sequences, measured.context[1:], by_context[1:])

    def prompt_attention_s(self, decoding: int, context: float, tokens: float, pairs: float, sequences: int) -> float:
        """Give the time that chunks of prompts add to the attention of the decoding sequences beside them, in s.

        Several chunks count as one of as many tokens that looks back on as many pairs.

        Source: the profile.
        Valid for: batches inside the profiled grid.
        """
        data = self.layout.attention_data_parallel
        shared = min(data, sequences)
        chunk = tokens / shared
        before = max(pairs / tokens - chunk / 2.0, 0.0)
        own = -(-decoding // data)
        mean = context / decoding if decoding else 0.0
        together = _corner(self.tables, chunk, before, float(own), mean)
        alone = _corner(self.tables, 0.0, 0.0, float(own), mean) if decoding else 0.0
        return self.model.layers * max(together - alone, 0.0)

    def flop(self, tokens: float, pairs: float, outputs: float) -> float:
        """Count the operations, in FLOP.

        Source: sim.cost.serving_curves.
        Valid for: as there.
        """
        return self.curves.flop(tokens, pairs, outputs)

    def _experts_s(self, tokens: Floats) -> Floats:
        measured, experts = self.tables, self.model.experts
        if experts is None or measured.expert_s is None:
            return np.zeros_like(tokens)
        assert measured.expert_tokens is not None
        assert measured.experts is not None
        groups = self.layout.expert_parallel
        visited = np.asarray(visited_experts(tokens, experts.top_k, experts.count)) / groups
        # A device sees the visits of its own experts only: as many tokens as would make them alone.
        own = tokens / groups
        rows = np.array([_line(own, measured.expert_tokens, column) for column in measured.expert_s.T])
        seconds = np.array(
            [float(_line(np.array([place]), measured.experts, rows[:, at])[0]) for at, place in enumerate(visited)]
        )
        return self.model.expert_layers * seconds


def _line(places: Floats, known: Floats, values: Floats) -> Floats:
    """Interpolate on a line through known points, and go on with the last slope beyond them."""
    slope = (values[-1] - values[-2]) / (known[-1] - known[-2])
    beyond = np.maximum(places - known[-1], 0.0)
    return np.asarray(np.interp(places, known, values) + slope * beyond)


def _place(axis: Floats, value: float) -> tuple[int, float]:
    """Give the point of an axis below a value, and its share of the way to the next; beyond the end it goes on."""
    low = min(max(bisect_right(axis.tolist(), value) - 1, 0), len(axis) - 2)
    return low, (value - float(axis[low])) / float(axis[low + 1] - axis[low])


def _corner(tables: LayerTables, chunk: float, before: float, decoding: float, context: float) -> float:
    """Interpolate attention linearly along its four axes."""
    axes = (tables.chunk, tables.before, tables.decoding, tables.context)
    grid: Grid = tables.attention_s
    for axis, value in zip(axes, (chunk, before, decoding, context), strict=True):
        low, share = _place(axis, value)
        grid = grid[low] + share * (grid[low + 1] - grid[low])
    return float(grid)

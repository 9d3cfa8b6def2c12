"""What one optimizer step has to do, whatever the layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.capacity import computed_share
from sim.cost.transformer import flop_per_token, visited_flop

if TYPE_CHECKING:
    from sim.cost.capacity import Capacity
    from sim.cost.recipe import Recipe
    from sim.cost.transformer import FlopPerToken
    from sim.spec.model import ModelShape


@dataclass(frozen=True, slots=True)
class Work:
    """What a step is made of, whatever the layout."""

    model: ModelShape
    recipe: Recipe
    sequence: int
    global_batch: int
    """Sequences of one optimizer step, over all replicas."""
    capacity: Capacity | None = None
    """Limit on the tokens of an expert; none: no token is dropped."""
    attended: float | None = None
    """Tokens of the document that a token is in, on average over tokens, where sequences are packed from documents
    that do not attend to one another; none: whole sequences."""

    @property
    def span(self) -> float:
        """Length of the causal sequences that attention sees."""
        return self.sequence if self.attended is None else self.attended

    @property
    def tokens(self) -> float:
        """Tokens of one optimizer step."""
        return float(self.sequence) * self.global_batch

    @property
    def model_flop(self) -> float:
        """Model FLOP of one optimizer step, in operations."""
        return self.tokens * self.flop_per_token.training

    @property
    def flop_per_token(self) -> FlopPerToken:
        """Model FLOP of one token by operator kind; visits that are dropped are not counted."""
        counted = flop_per_token(self.model, self.span, adapters=self.recipe.adapter_rank > 0)
        if self.capacity is None or not self.capacity.dropped:
            return counted
        return replace(counted, layers=counted.layers - self.capacity.dropped * visited_flop(self.model))

    @property
    def padded_flop(self) -> float:
        """Operations of one token that experts do on empty rows, forward."""
        if self.capacity is None:
            return 0.0
        return (computed_share(self.capacity) - 1.0 + self.capacity.dropped) * visited_flop(self.model)

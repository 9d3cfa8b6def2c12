"""What one optimizer step has to do, whatever the layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.cost.transformer import flop_per_token

if TYPE_CHECKING:
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
        """Model FLOP of one token by operator kind."""
        return flop_per_token(self.model, self.sequence, adapters=self.recipe.adapter_rank > 0)

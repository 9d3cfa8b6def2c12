"""A product with weights, as a layer has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers


@dataclass(frozen=True, slots=True)
class Gemm:
    """A matrix product of the mean layer on one device: (rows x inner) times (inner x columns)."""

    name: str
    columns: Numbers
    inner: Numbers
    share: float = 1.0
    """Share of the layers that have it."""
    repeated: bool = False
    """Whether each device of a tensor-parallel group has all of its weights: it then splits tokens, not columns."""

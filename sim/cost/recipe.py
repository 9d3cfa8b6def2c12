"""Precision recipes as the cost functions see them: which precision products run in, how wide each number is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.spec import catalog

if TYPE_CHECKING:
    from sim.spec.quantity import Sourced
    from sim.spec.recipe import PrecisionRecipe


WIDE_BYTES = 2.0
"""Of a 16-bit operand."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A mixed-precision training recipe; bytes are per parameter or per element."""

    name: str
    kind: str
    """The recipe of the catalogue that multiplies the same operands: what constants of software profiles go by."""
    gemm_precision: str
    """Precision of the layers' weight products; MFU is against the dense peak of this one."""
    generations: tuple[str, ...]
    """Generations of chips that can multiply its operands; none: all that have the peaks."""
    wide_precision: str
    """16-bit precision of attention and of the LM head."""
    wide_layers: float
    """Share of the layers whose products stay in 16 bit."""
    curve: str
    """Format whose curve of hardware_specs/calibration times the products."""
    operand_bytes: float
    """Of one element of the products' operands, with its share of a scale."""
    cast_bytes: float
    """Moved to turn one 16-bit element into an operand: read, and written along rows and along columns."""
    weight_bytes: float
    gathered_bytes: float
    """Of one weight as replicas gather it."""
    gradient_bytes: float
    """Accumulated and reduced in 32 bit by default."""
    optimizer_bytes: float
    """Adam: 32-bit master weights and two 32-bit moments."""
    activation_bytes: float
    """Of one saved or exchanged activation element."""
    dispatched_bytes: float
    """Of one element of a token on its way to experts."""
    frozen_bytes: float
    """Of one weight that is not trained."""
    adapter_rank: int = 0
    """Rank of the adapters that alone are trained (LoRA); 0 trains every weight."""

    def in_wide(self) -> Recipe:
        """Give the recipe of the layers whose products stay in 16 bit."""
        return replace(
            self, gemm_precision=self.wide_precision, operand_bytes=WIDE_BYTES, cast_bytes=0.0, wide_layers=0.0
        )

    @property
    def stored_weight_bytes(self) -> float:
        """Bytes of one weight on its device."""
        return self.frozen_bytes if self.adapter_rank else self.weight_bytes

    @property
    def sent_weight_bytes(self) -> float:
        """Bytes of one weight as replicas gather it."""
        return self.frozen_bytes if self.adapter_rank else self.gathered_bytes


def recipe(named: str | PrecisionRecipe, adapter_rank: int = 0) -> Recipe:
    """Reduce a recipe, of the catalogue or a user's own, to numbers; with a rank, adapters alone are trained.

    Source: hardware_specs/recipes, each number with its own.

    Raises:
        CatalogError: the catalogue has no recipe of that name.

    >>> recipe("fp8").operand_bytes, recipe("fp8").optimizer_bytes
    (1.0, 12.0)
    """
    entry = catalog.load("recipes", named) if isinstance(named, str) else named
    return Recipe(
        name=entry.name,
        kind=_kind(entry),
        gemm_precision=entry.products,
        generations=entry.generations,
        wide_precision=entry.wide,
        wide_layers=_stated(entry.wide_layers, 0.0),
        curve=entry.curve,
        operand_bytes=entry.operand_bytes.value,
        cast_bytes=entry.cast_bytes.value,
        weight_bytes=entry.weight_bytes.value,
        gathered_bytes=_stated(entry.gathered_bytes, entry.weight_bytes.value),
        gradient_bytes=entry.gradient_bytes.value,
        optimizer_bytes=entry.optimizer_bytes.value,
        activation_bytes=entry.activation_bytes.value,
        dispatched_bytes=_stated(entry.dispatched_bytes, entry.activation_bytes.value),
        frozen_bytes=entry.frozen_bytes.value,
        adapter_rank=adapter_rank,
    )


def _kind(entry: PrecisionRecipe) -> str:
    """Give the recipe that an entry is like, as far as that multiplies the same operands; else its own name."""
    base = None if entry.like is None else catalog.load("recipes", entry.like)
    alike = base is not None and all(
        getattr(entry, field) == getattr(base, field) for field in ("products", "wide", "curve", "wide_layers")
    )
    return _kind(base) if base is not None and alike else entry.name


def _stated(number: Sourced | None, otherwise: float) -> float:
    """Give a number that a recipe may leave out."""
    return otherwise if number is None else number.value

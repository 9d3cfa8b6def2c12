"""Precision recipes: which precision the products run in, and how wide each kept number is."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    """A mixed-precision training recipe; bytes are per parameter or per element."""

    name: str
    gemm_precision: str
    """Precision of the layers' weight products; MFU is against the dense peak of this one."""
    wide_precision: str
    """16-bit precision of attention and of the LM head."""
    weight_bytes: float
    gradient_bytes: float
    """Accumulated and reduced in 32 bit by default."""
    optimizer_bytes: float
    """Adam: 32-bit master weights and two 32-bit moments."""
    activation_bytes: float
    """Of one saved activation element."""
    source: str


_MEGATRON_MEMORY = "2 B weights, 4 B gradients, 12 B master weights and Adam moments: Rajbhandari et al. 2020 (ZeRO)"

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("bf16", "bf16", "bf16", 2, 4, 12, 2, _MEGATRON_MEMORY),
        Recipe("fp16", "fp16", "fp16", 2, 4, 12, 2, _MEGATRON_MEMORY),
        Recipe("fp8", "fp8", "bf16", 2, 4, 12, 2, _MEGATRON_MEMORY + "; attention and LM head stay in bf16"),
    )
}


def recipe(name: str) -> Recipe:
    """Look a recipe up.

    Source: the recipe's own ``source``.

    Raises:
        UsageError: there is no recipe of that name.

    """
    if name not in RECIPES:
        raise UsageError(
            "precision must name a training recipe", value=name, mend=f"one of {', '.join(sorted(RECIPES))}"
        )
    return RECIPES[name]

"""Precision recipes: which precision the products run in, and how wide each kept number is."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    curve: str = "bf16"
    """Format whose curve of hardware_specs/calibration times the products."""
    operand_bytes: float = 2.0
    """Of one element of the products' operands, with its share of a scale."""
    cast_bytes: float = 0.0
    """Moved to turn one 16-bit element into an operand: read, and written along rows and along columns."""
    adapter_rank: int = 0
    """Rank of the adapters that alone are trained (LoRA); 0 trains every weight."""
    frozen_bytes: float = 2.0
    """Of one weight that is not trained."""

    @property
    def stored_weight_bytes(self) -> float:
        """Bytes of one weight on its device."""
        return self.frozen_bytes if self.adapter_rank else self.weight_bytes


_MEGATRON_MEMORY = "2 B weights, 4 B gradients, 12 B master weights and Adam moments: Rajbhandari et al. 2020 (ZeRO)"
_STAYS = _MEGATRON_MEMORY + "; attention and LM head stay in bf16"
_TWICE = "each operand is read in 16 bit and written twice, as backward products read it along the other side"

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("bf16", "bf16", "bf16", 2, 4, 12, 2, _MEGATRON_MEMORY),
        Recipe("fp16", "fp16", "fp16", 2, 4, 12, 2, _MEGATRON_MEMORY),
        Recipe(
            "fp8", "fp8", "bf16", 2, 4, 12, 2, f"{_STAYS}; one scale a tensor: {_TWICE}",
            curve="fp8", operand_bytes=1.0, cast_bytes=2 + 2 * 1.0, frozen_bytes=1.0,
        ),
        Recipe(
            "fp8-block", "fp8", "bf16", 2, 4, 12, 2,
            f"{_STAYS}; one 32-bit scale for 128 elements (DeepSeek-V3, arXiv:2412.19437, section 3.3): {_TWICE}",
            curve="fp8_block", operand_bytes=1.03125, cast_bytes=2 + 2 * 1.03125, frozen_bytes=1.03125,
        ),
        Recipe(
            "mxfp8", "fp8", "bf16", 2, 4, 12, 2,
            f"{_STAYS}; one 8-bit scale for 32 elements (OCP Microscaling Formats 1.0): {_TWICE}",
            curve="fp8", operand_bytes=1.03125, cast_bytes=2 + 2 * 1.03125, frozen_bytes=1.03125,
        ),
        Recipe(
            "nvfp4", "fp4", "bf16", 2, 4, 12, 2,
            f"{_STAYS}; one 8-bit scale for 16 elements (NVIDIA 2025, arXiv:2509.25149): a first reading finds the "
            "largest element of the tensor, the rotation of a side is a reading and a writing of its own",
            curve="fp4", operand_bytes=0.5625, cast_bytes=2 + 2 + 4 + 2 * 0.5625, frozen_bytes=0.5625,
        ),
    )
}  # fmt: skip
"""Which products run in which format is the same in all of them: those with the weights of layers, no others."""


def recipe(name: str, adapter_rank: int = 0) -> Recipe:
    """Look a recipe up; with a rank, adapters alone are trained.

    Source: the recipe's own ``source``.

    Raises:
        UsageError: there is no recipe of that name.

    """
    if name not in RECIPES:
        raise UsageError(
            "precision must name a training recipe", value=name, mend=f"one of {', '.join(sorted(RECIPES))}"
        )
    found = RECIPES[name]
    return replace(found, adapter_rank=adapter_rank) if adapter_rank else found

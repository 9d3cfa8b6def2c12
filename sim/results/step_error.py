"""How far the step model is off, by what is known: rows of published steps that its constants were not fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from sim.spec import catalog

if TYPE_CHECKING:
    from sim.plan.training import Prepared

Kind: TypeAlias = Literal["dense", "MoE", "LoRA"]

CONFIGURATION_LEFT_OUT: dict[tuple[Kind, str], tuple[float, int]] = {
    ("dense", "volta"): (0.2, 49),
    ("dense", "ampere"): (0.085, 326),
    ("dense", "hopper"): (0.077, 253),
    ("dense", "blackwell"): (0.102, 113),
    ("dense", "blackwell-ultra"): (0.102, 113),
    ("MoE", "hopper"): (0.135, 35),
    ("MoE", "blackwell"): (0.169, 98),
    ("MoE", "blackwell-ultra"): (0.169, 98),
    ("LoRA", "hopper"): (0.134, 49),
    ("LoRA", "blackwell"): (0.124, 50),
    ("LoRA", "blackwell-ultra"): (0.124, 50),
    ("LoRA", "cdna3"): (0.065, 21),
}
"""Spread of the logarithm of measured over predicted step, and its rows: the software is known, the layout is new."""
SOURCE_LEFT_OUT: dict[Kind, tuple[float, int]] = {"dense": (0.186, 701), "MoE": (0.261, 133), "LoRA": (0.156, 124)}
"""The same where nothing was fitted to the source: somebody else's software on a chip of a known generation."""
NEW_CHIP: dict[Kind, float] = {"dense": 0.25, "MoE": 0.33, "LoRA": 0.25}
"""The same on a chip of a generation without rows: a quarter beyond, as the nine rows of TPUs are; a round figure."""
GENERATIONS = frozenset({"ampere", "hopper", "blackwell", "blackwell-ultra", "cdna3"})
"""Generations of which sources have been left out."""


@dataclass(frozen=True, slots=True)
class StepError:
    """A spread of the step model, and what it was taken from."""

    sigma: float
    source: str


def step_error(prepared: Prepared) -> StepError:
    """Give the spread of the step model for a run; that of known software where the user names a measured profile.

    Each spread is such that 80 % of its rows lie inside the 80 % interval of a lognormal.
    """
    spec = prepared.training.spec
    kind: Kind = "LoRA" if spec.adapters else "MoE" if prepared.work.model.experts is not None else "dense"
    generation = prepared.cluster.accelerator.generation
    named = "profile" in spec.model_fields_set and _measured(prepared)
    if named and (kind, generation) in CONFIGURATION_LEFT_OUT:
        sigma, rows = CONFIGURATION_LEFT_OUT[kind, generation]
        return StepError(
            sigma, f"lognormal: {kind} steps on {generation} chips under their profile, {rows} rows left out in turn"
        )
    if generation in GENERATIONS:
        sigma, rows = SOURCE_LEFT_OUT[kind]
        return StepError(sigma, f"lognormal: {rows} published {kind} steps, each source left out in turn")
    return StepError(NEW_CHIP[kind], f"lognormal: no published steps on {generation} chips stand behind it")


def _measured(prepared: Prepared) -> bool:
    """Tell whether the slowdown of the profile on this chip was fitted, and does not stand in."""
    spec = prepared.training.spec
    entry = catalog.load("profiles", spec.profile).slowdown(
        prepared.cluster.accelerator.generation, prepared.work.recipe.kind
    )
    return entry is not None and not entry.source.startswith("stand-in")

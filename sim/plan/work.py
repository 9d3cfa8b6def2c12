"""What one optimizer step of a training run has to do, from what a user said of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.cost.capacity import Capacity
from sim.cost.distributions import attended_length
from sim.cost.recipe import recipe
from sim.cost.work import Work
from sim.errors import UsageError
from sim.spec import catalog

if TYPE_CHECKING:
    from sim.cost.recipe import Recipe
    from sim.spec.model import ModelShape
    from sim.spec.recipe import PrecisionRecipe
    from sim.spec.workload import TrainingSpec


def work_of(spec: TrainingSpec, model: ModelShape, global_batch: int) -> Work:
    """Reduce a training specification to the work of a step.

    Raises:
        CatalogError: a name is unknown.
        UsageError: experts are limited where there are none.

    """
    documents = spec.documents
    return Work(
        model,
        recipe_of(spec.precision, spec.profile, spec.adapters or 0),
        spec.sequence,
        global_batch,
        _capacity(spec, model),
        None if documents is None else attended_length(documents, spec.sequence),
    )


def recipe_of(precision: str | PrecisionRecipe, profile: str, adapter_rank: int = 0) -> Recipe:
    """Give a precision recipe as the software of a profile runs it.

    Raises:
        CatalogError: there is no recipe of that name.

    """
    found, own = recipe(precision, adapter_rank), catalog.load("profiles", profile).gradient_bytes
    return found if own is None else replace(found, gradient_bytes=own.value)


def _capacity(spec: TrainingSpec, model: ModelShape) -> Capacity | None:
    if spec.capacity is None:
        return None
    if model.experts is None:
        raise UsageError(
            "a capacity limits the tokens of an expert, and the model has none",
            value=model.name,
            where="training.capacity",
            mend="leave it out, or name a mixture of experts",
        )
    stated = catalog.load("profiles", spec.profile).expert_imbalance
    usual = 1.0 + (0.0 if stated is None else stated.value)
    imbalance = usual if spec.capacity.imbalance is None else spec.capacity.imbalance
    return Capacity(spec.capacity.factor, spec.capacity.pads, imbalance, model.experts.count)

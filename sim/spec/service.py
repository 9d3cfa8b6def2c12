"""A service: replicas of a model that answer requests."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sim.spec.quantity import FrozenModel, refuse_truth
from sim.spec.workload import ModelReference


class ServiceSpec(FrozenModel):
    """Replicas of one model behind one router."""

    model: ModelReference
    """A model of the catalogue, 'hf: path/to/config.json', or a shape of your own."""
    replicas: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(refuse_truth)] = 1
    """Copies of the model that answer side by side."""

"""Who shares the cluster."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sim.spec.quantity import FrozenModel, refuse_truth


class TenantSpec(FrozenModel):
    """One of those who share the cluster."""

    priority: Annotated[int, Field(ge=0, le=1000), BeforeValidator(refuse_truth)] = 0
    """Higher goes first."""

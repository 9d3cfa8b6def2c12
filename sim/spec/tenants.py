"""Who shares the cluster."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sim.spec.quantity import FrozenModel, PositiveCount, Seconds, refuse_truth


class ReservationSpec(FrozenModel):
    """Devices that are kept for a tenant during a time."""

    devices: PositiveCount
    """Devices that nobody else may hold."""
    at: Seconds = 0.0
    """When the time begins."""
    duration: Annotated[Seconds, Field(gt=0)]
    """How long it is."""


class TenantSpec(FrozenModel):
    """One of those who share the cluster."""

    priority: Annotated[int, Field(ge=0, le=1000), BeforeValidator(refuse_truth)] = 0
    """Higher goes first."""
    quota: PositiveCount | None = None
    """Most devices that its jobs hold together; no limit where none is given."""
    weight: Annotated[float, Field(gt=0, le=1e6), BeforeValidator(refuse_truth)] = 1.0
    """Share that it is due under fair policies, over those of the others."""
    reservations: tuple[ReservationSpec, ...] = ()
    """Devices that are kept for it."""

"""A workload of requests to one service."""

from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel


class RequestsSpec(FrozenModel):
    """Requests that arrive at a service."""

    service: Slug
    """Service that answers them."""

"""Which job gets devices next, and where."""

from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel


class PolicySpec(FrozenModel):
    """How the cluster is scheduled."""

    schedule: Slug = "fifo"
    """Policy of the catalogue of policies."""

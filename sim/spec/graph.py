"""A graph of model calls and tools: the scaffold of compound inference."""

from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel


class GraphSpec(FrozenModel):
    """Nodes by name, and which of them the graph returns."""

    returns: Slug
    """Node whose output and outcome are those of the graph."""

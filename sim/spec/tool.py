"""A tool that graphs call: web search, a program run, a document."""

from sim.spec.quantity import FrozenModel, Seconds


class ToolSpec(FrozenModel):
    """Something outside the cluster that takes time."""

    latency: Seconds
    """Time of one call."""

"""A workload of plain jobs: devices for a time."""

from sim.spec.quantity import FrozenModel


class JobsSpec(FrozenModel):
    """Jobs of a trace."""

    trace: str
    """File of the trace."""

"""A workload of tasks: each is one run of a graph."""

from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel


class TasksSpec(FrozenModel):
    """Tasks that arrive at a graph."""

    graph: Slug
    """Graph that each task runs."""

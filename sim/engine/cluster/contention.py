"""What jobs on one network do to each other, as the scheduler asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.engine.cluster.run import Run

ACCOUNT = "contended communication"
"""Where the time goes that jobs wait for links which others use."""


class JobNetwork(Protocol):
    """Says how much jobs slow each other down; the scheduler changes their pace."""

    def started(self, run: Run) -> Mapping[int, float]:
        """Put a job on its links; give the slowdown (1 or more) of each job for which it changed, by number."""

    def stopped(self, number: int) -> Mapping[int, float]:
        """Take a job off its links; give the slowdown of each job for which it changed, by number."""

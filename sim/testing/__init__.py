"""Property tests for scheduling policies, ours and yours: see docs/policies.md.

`check_policy(MyPolicy)` plays a policy on many small scenarios and holds it to what every policy owes and to what it
claims; a failure is shrunk to a small scenario and printed as a file that `sim run` plays. The strategies that it draws
from are yours too: `scenarios()` for whole small scenarios, `clusters`, `jobs`, `arrivals`, `failures`, `topologies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.errors import UsageError

if TYPE_CHECKING:
    from sim.testing.case import Case, JobCase
    from sim.testing.check import PolicyFailure, check_policy
    from sim.testing.invariants import Violation, judge
    from sim.testing.strategies import arrivals, clusters, failures, jobs, scenarios, topologies

__all__ = [
    "Case",
    "JobCase",
    "PolicyFailure",
    "Violation",
    "arrivals",
    "check_policy",
    "clusters",
    "failures",
    "jobs",
    "judge",
    "scenarios",
    "topologies",
]

_MODULES = {
    "Case": "case",
    "JobCase": "case",
    "PolicyFailure": "check",
    "check_policy": "check",
    "Violation": "invariants",
    "judge": "invariants",
    "arrivals": "strategies",
    "clusters": "strategies",
    "failures": "strategies",
    "jobs": "strategies",
    "scenarios": "strategies",
    "topologies": "strategies",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a name when it is first used: hypothesis takes a third of a second."""
    if name not in _MODULES:
        raise AttributeError(f"module 'sim.testing' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - beside its only use

    try:
        return getattr(import_module(f"sim.testing.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise UsageError("sim.testing needs the library hypothesis", mend="pip install hypothesis") from None

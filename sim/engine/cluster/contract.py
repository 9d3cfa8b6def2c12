"""What a policy must not do: each rule has a name, and a policy that breaks one is stopped with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import SimError

if TYPE_CHECKING:
    from sim.engine.cluster.job import Job

RULES: dict[str, str] = {
    "decision": "decide gives Start, Preempt, Resize and Wake, and nothing else",
    "waiting": "only a job that waits can start",
    "running": "only a job that runs can be preempted or resized",
    "gang": "a job gets the devices that it asks for, all at once; an elastic one a number in its range",
    "capacity": "a job starts on free devices only",
    "kind": "a job starts on a kind of device that the cluster has and the job runs on",
    "quota": "the jobs of a tenant hold no more devices than its quota",
    "reservation": "devices that are reserved for another tenant are not free",
    "placement": "the devices of a job have places, each held by no other",
    "preemptible": "a job that cannot be preempted keeps its devices",
    "progress": "a job is not stopped at the instant at which it started",
    "future": "a policy wakes later than now",
    "liveness": "jobs that fit an empty cluster do not wait on one for ever",
    "own errors": "a policy handles its own exceptions",
}
"""Name and text of each rule of the contract."""


class PolicyError(SimError):
    """A policy broke a rule of the contract; ``name`` says which."""

    def __init__(self, name: str, value: str = "", where: str = "", mend: str = "") -> None:
        """Keep the name of the rule; the text of the rule is that of `RULES`."""
        super().__init__(f"a policy broke the rule '{name}': {RULES[name]}", value, where, mend)
        self.args = (name, value, where, mend)
        self.name = name


def told(job: Job) -> str:
    """Name a job in a message."""
    return f"job {job.number}" + (f" ({job.name})" if job.name else "")

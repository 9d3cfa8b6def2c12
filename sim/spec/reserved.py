"""Keys of the scenario language: the kinds of workload, and what is reserved and not built yet."""

from sim.errors import NotYetError

NOT_YET = ("pools", "trainings")
"""Keys of the scenario language that are reserved and not built yet."""
WORKLOADS = ("training", "requests", "tasks", "jobs")
"""Kinds of workload."""
WORKLOADS_NOT_YET: tuple[str, ...] = ()
"""Kinds that are reserved and not built yet."""


def refuse_not_yet(data: object) -> None:
    """Refuse a document that uses reserved keys.

    Raises:
        NotYetError: a key belongs to the scenario language and is not built yet.

    """
    if not isinstance(data, dict):
        return
    for key in NOT_YET:
        if key in data:
            raise NotYetError(f"'{key}' is part of the scenario language and not built yet", mend=f"leave out {key}")
    workloads = data.get("workloads")
    for workload in workloads if isinstance(workloads, list) else ():
        for kind in WORKLOADS_NOT_YET:
            if isinstance(workload, dict) and kind in workload:
                raise NotYetError(f"workloads of the kind '{kind}' are not built yet", mend="use training")

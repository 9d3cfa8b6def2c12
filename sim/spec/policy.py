"""Which job gets devices next, and where."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel, Seconds, refusal

Place = Annotated[str, Field(pattern=r"^(anywhere|first|best|packed|spread|topology)(-[a-z0-9-]+)?$")]


class PreemptSpec(FrozenModel):
    """How a running job gives its devices back."""

    grace: Seconds = 0.0
    """Time to write a checkpoint in; with 0 a job loses what it has not saved."""


def read_schedule(value: object) -> object:
    """Read a bare name as the policy to schedule by."""
    return {"schedule": value} if isinstance(value, str) else value


class PolicySpec(FrozenModel):
    """How the cluster is scheduled."""

    schedule: Slug = "fifo"
    """Policy: one of `sim list policies`."""
    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    """A policy of your own, 'mymodule:MyPolicy'; its code runs only with --allow-code."""
    options: dict[str, float | str | bool] = Field(default_factory=dict)
    """Settings of the policy, by the names of its constructor's parameters."""
    preempt: PreemptSpec = PreemptSpec()
    """How a running job gives its devices back."""
    place: Place = "packed"
    """Where the devices of a job sit: packed, spread, first, best, topology, or anywhere (counts only)."""

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if self.python is not None and "schedule" in self.model_fields_set:
            given = f"schedule {self.schedule} and python {self.python}"
            raise refusal("schedule and python both name the policy", given, "give one of them")
        return self


SCHEDULES: tuple[dict[str, Any], ...] = ({"type": "string", "examples": ["fifo", "easy", "priority"]},)
"""What else may stand under `policy:`."""

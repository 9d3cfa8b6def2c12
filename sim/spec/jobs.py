"""A workload of plain jobs: devices for a time, from a list, a trace, or drawn from distributions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sim.spec.arrivals import Arrivals
from sim.spec.beside import beside_the_scenario
from sim.spec.distribution import Distribution, Varying
from sim.spec.hardware import Slug
from sim.spec.quantity import (
    Fraction,
    FrozenModel,
    PositiveCount,
    Seconds,
    WholeOrShare,
    refusal,
    refuse_truth,
)
from sim.spec.short_forms import AlsoWritten

JobTraceFormat = Literal["auto", "swf", "gavel", "alibaba-2023", "csv"]
Priority = Annotated[int, Field(ge=-1000, le=1000), BeforeValidator(refuse_truth)]
Devices = Annotated[Distribution, Varying("count", positive=True, whole=True, shares=True, at_most=1e9)]
Duration = Annotated[Distribution, Varying("second", at_most=1e11)]


class JobTraceSpec(FrozenModel):
    """A file of recorded jobs."""

    file: Annotated[str, Field(min_length=1, max_length=4096)]
    """Path; it begins at the folder of the scenario."""
    format: JobTraceFormat = "auto"
    """What the file is; its name and its first line say it under auto."""
    throughputs: str | None = None
    """Measured steps per second of each job type on each kind of device, for traces in steps (Gavel): a JSON file."""
    nodes: str | None = None
    """List of nodes with their kinds of device (Alibaba 2023), which takes the place of the cluster's own."""
    speed: Annotated[float, Field(gt=0, le=1e9), BeforeValidator(refuse_truth)] = 1.0
    """How much faster than recorded the jobs come."""


class ElasticSpec(FrozenModel):
    """How many devices a job can use, and how well it uses them."""

    min: PositiveCount
    """Fewest devices."""
    max: PositiveCount
    """Most devices."""
    serial: Fraction = 0.0
    """Share of the work that does not speed up with devices (Amdahl's law)."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise refusal("max is at least min", self.max, f"max: {self.min}")
        return self


Kinds = dict[Slug, Annotated[float, Field(gt=0, le=1e6), BeforeValidator(refuse_truth)]]


class JobSpec(FrozenModel):
    """One job."""

    name: Annotated[str, Field(max_length=200)] = ""
    """Name in tables; its number where none is given."""
    at: Seconds = 0.0
    """When it is submitted."""
    devices: WholeOrShare
    """Devices that it asks for, all at once; below 1 it is a share of one: 0.25."""
    runtime: Seconds | None = None
    """How long it takes on them; or `until`."""
    until: Seconds | None = Field(default=None, exclude_if=lambda given: given is None)
    """When its owner gives the devices back, where nobody knew for how long it would need them: a notebook."""
    estimate: Seconds | None = None
    """How long its user says that it takes; the run time where none is given."""
    priority: Priority | None = None
    """Higher is more urgent; that of the workload where none is given."""
    tenant: Slug | None = None
    """Who submits it; that of the workload where none is given."""
    elastic: ElasticSpec | None = None
    """Other numbers of devices on which it can run."""
    checkpoint: Seconds | None = None
    """Useful time between two checkpoints; 0 saves all the time; without one a stopped job begins again."""
    restart: Seconds = 0.0
    """Time from getting devices back to going on."""
    kinds: Kinds = Field(default_factory=dict)
    """Kinds of device on which it runs, with its speed on each over that of its run time."""
    preemptible: bool = True
    """Whether it may be stopped for others."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if (self.runtime is None) == (self.until is None):
            given = "" if self.runtime is None else f"runtime {self.runtime:g} s and until {self.until:g} s"
            raise refusal("a job says how long it takes, or when it is given up: one of both", given, "runtime: 2 h")
        if self.until is not None and self.until < self.at:
            raise refusal("a job is given up after it is submitted", f"{self.until:g} s", f"until: {self.at:g} s")
        if self.until is not None and self.estimate is not None:
            raise refusal("nobody knows how long a job with until takes", "estimate", "leave out estimate")
        return self

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.devices < 1 and self.elastic is not None:
            raise refusal("an elastic job asks for whole devices", self.devices, "devices: 1, or leave out elastic")
        return self


def _is_empty(value: object) -> bool:
    return not value


def read_trace(value: object) -> object:
    """Read a bare path; leave mappings to the schema."""
    return {"file": value} if isinstance(value, str) else value


_PATH: tuple[dict[str, Any], ...] = ({"type": "string", "examples": ["lab.swf"]},)


class JobsSpec(FrozenModel):
    """Jobs that ask for devices for a time: listed, recorded in a trace, or drawn."""

    name: Slug = "jobs"
    """Name of the workload in tables."""
    list: tuple[JobSpec, ...] = ()
    """The jobs, one by one."""
    trace: Annotated[JobTraceSpec, BeforeValidator(read_trace), AlsoWritten(_PATH)] | None = None
    """File of recorded jobs."""
    arrivals: Arrivals | None = None
    """When jobs come, where no list or trace says it: a rate ('6/h'), or one of the ways of requests."""
    devices: Devices | None = None
    """Devices of a job, or the share of one, where no list or trace says it."""
    runtime: Duration | None = None
    """How long a job takes, where no list or trace says it."""
    overestimate: Annotated[Distribution, Varying("count", positive=True, at_most=1e6)] | None = None
    """What users' estimates are over the run time; 1 where no list or trace says otherwise."""
    count: PositiveCount | None = None
    """Jobs in all; of a trace, the first ones."""
    estimates: Literal["given", "exact"] = "given"
    """Whether policies know users' estimates, or the run time itself."""
    at: Seconds = 0.0
    """When the workload begins."""
    tenant: Slug | None = None
    """Who submits the jobs, where they do not say so themselves."""
    priority: Priority | None = None
    """Priority of the jobs, where they do not say so themselves; that of the tenant where none is given."""
    checkpoint: Seconds | None = None
    """Useful time between two checkpoints of a job; without one a stopped job begins again."""
    restart: Seconds = 0.0
    """Time from getting devices back to going on."""
    kinds: Kinds = Field(default_factory=dict, exclude_if=_is_empty)
    """Kinds of device on which the jobs run, with their speed on each over that of the run times: {a: 1, b: 0.4}."""
    mfu: Annotated[Fraction, Field(gt=0)] | None = None
    """Model FLOP over dense 16-bit peak while a job runs; without it nothing is said of their FLOP."""

    @field_validator("trace", mode="after")
    @classmethod
    def _beside_the_scenario(cls, value: JobTraceSpec | None, info: ValidationInfo) -> JobTraceSpec | None:
        """Let the paths of a trace begin at the folder of the file that names them."""
        if value is None:
            return None
        paths = {name: getattr(value, name) for name in ("file", "throughputs", "nodes")}
        given = {name: path for name, path in paths.items() if path is not None}
        return value.model_copy(update={name: beside_the_scenario(path, info, "jobs") for name, path in given.items()})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.list and self.trace is not None:
            raise refusal("jobs stand in a list or in a trace", "", "two entries of workloads, one for each")
        if self.list:
            beside = [name for name in ("arrivals", "devices", "runtime", "count") if getattr(self, name) is not None]
            if beside:
                rule = "a list says when jobs come and what they take"
                raise refusal(rule, f"{', '.join(beside)} beside list", f"leave out {' and '.join(beside)}")
        elif self.trace is None:
            missing = [name for name in ("arrivals", "devices", "runtime", "count") if getattr(self, name) is None]
            if missing:
                mend = "arrivals: 6/h, devices: {empirical: [1, 8, 64]}, runtime: {exponential: 2 h}, count: 1000"
                raise refusal(
                    "jobs need a list, a trace, or what they are drawn from", f"no {', '.join(missing)}", mend
                )
        if self.arrivals is not None and self.arrivals.closed is not None:
            raise refusal("jobs do not wait for their users", "closed", "poisson, gamma, weibull, diurnal or at_once")
        return self

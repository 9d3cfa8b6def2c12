"""When requests or tasks arrive: a process with its rate, or users who wait for their answers."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from sim.spec.distribution import Distribution, Varying, fixed
from sim.spec.quantity import FrozenModel, PositiveCount, Quantity, Seconds, refusal, refuse_truth
from sim.spec.short_forms import AlsoWritten, quantity

Rate = Annotated[float, Quantity("per_s", positive=True, at_most=1e9)]
Number = Annotated[float, Field(gt=0, le=100), BeforeValidator(refuse_truth)]


class Gamma(FrozenModel):
    """Gaps between arrivals from a gamma distribution: burstier than Poisson above a variation of 1."""

    rate: Rate
    """Mean number of arrivals per time."""
    cv: Number = 2.0
    """Coefficient of variation of the gaps; 1 is Poisson."""


class Weibull(FrozenModel):
    """Gaps between arrivals from a Weibull distribution: heavier tails below a shape of 1."""

    rate: Rate
    """Mean number of arrivals per time."""
    shape: Annotated[float, Field(ge=0.1, le=100), BeforeValidator(refuse_truth)] = 0.7
    """Shape of the gaps; 1 is Poisson."""


class ClosedLoop(FrozenModel):
    """Users who send their next request a thinking time after the answer to the last one."""

    users: PositiveCount
    """Users; so many requests are outstanding or thought about at any time."""
    think: Annotated[Distribution, Varying("second")] = fixed(0.0, "second")
    """Time between an answer and the next request of the same user; their first request comes after one too."""


class Diurnal(FrozenModel):
    """A Poisson process whose rate goes up and down once in each period, as a sine."""

    mean: Rate
    """Mean number of arrivals per time over a period."""
    peak: Rate
    """Largest number of arrivals per time; the smallest lies as far below the mean."""
    period: Annotated[Seconds, Field(gt=0)] = 86400.0
    """Time from peak to peak."""
    peak_at: Seconds = 43200.0
    """Time of the first peak, from the beginning of the workload."""

    @model_validator(mode="after")
    def _at_least_zero(self) -> Self:
        if not self.mean <= self.peak <= 2 * self.mean:
            given = f"peak {self.peak:g}/s with mean {self.mean:g}/s"
            raise refusal("the peak is from once to twice the mean, so that no rate is below zero", given)
        return self


KINDS = ("poisson", "deterministic", "gamma", "weibull", "diurnal", "closed", "at_once")
"""Ways to arrive; one of them is given."""


def read_arrivals(value: object) -> object:
    """Read a bare rate as a Poisson process."""
    return value if isinstance(value, (dict, ArrivalsSpec)) else {"poisson": value}


class ArrivalsSpec(FrozenModel):
    """When requests or tasks arrive; exactly one way is given."""

    poisson: Rate | None = None
    """Rate of a Poisson process."""
    deterministic: Rate | None = None
    """Rate of arrivals in equal gaps."""
    gamma: Gamma | None = None
    """Gaps from a gamma distribution."""
    weibull: Weibull | None = None
    """Gaps from a Weibull distribution."""
    diurnal: Diurnal | None = None
    """A Poisson process with a rate that follows the day."""
    closed: ClosedLoop | None = None
    """Users who wait for their answers."""
    at_once: PositiveCount | None = None
    """So many at the beginning, and none after."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise refusal("arrivals come in exactly one way", ", ".join(given) or "none", f"one of {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Name the way that is given."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def rate_per_s(self) -> float | None:
        """Give the mean rate in 1/s; None where it follows from the service."""
        if self.gamma is not None:
            return self.gamma.rate
        if self.weibull is not None:
            return self.weibull.rate
        if self.diurnal is not None:
            return self.diurnal.mean
        return self.poisson or self.deterministic


_RATE: tuple[dict[str, Any], ...] = (quantity("per_s") | {"examples": ["40/s"]},)
Arrivals = Annotated[ArrivalsSpec, BeforeValidator(read_arrivals), AlsoWritten(_RATE)]
"""A field with arrivals: '40/s' is Poisson, {gamma: {rate: 40/s, cv: 3}} another way."""

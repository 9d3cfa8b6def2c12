"""A tool that graphs call: web search, a program run, a document."""

from typing import Annotated

from pydantic import Field

from sim.spec.distribution import Distribution, Varying
from sim.spec.quantity import Fraction, FrozenModel, PositiveCount, Usd


class ToolSpec(FrozenModel):
    """Something outside the accelerators that takes time."""

    latency: Annotated[Distribution, Varying("second")]
    """Time of one call, once it has begun."""
    concurrency: PositiveCount | None = None
    """Calls at the same time; more wait in the order in which they came. No limit where none is given."""
    fails: Annotated[Fraction, Field(lt=1)] = 0.0
    """Share of calls that fail after their time; a failed call gives no tokens."""
    price_per_call: Usd = 0.0
    """Price of one call."""

"""A workload of requests to one service: when they come, how long they are, or the trace that says both."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sim.spec.arrivals import Arrivals
from sim.spec.beside import beside_the_scenario
from sim.spec.distribution import Distribution, Varying
from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel, PositiveCount, Seconds, refusal, refuse_truth
from sim.spec.short_forms import AlsoWritten

LONGEST_TOKENS = 1e8
"""Most tokens of one prompt or answer; far beyond any model's window."""
USUAL_DURATION_S = 600.0
"""Time for which requests arrive where neither count nor duration is given."""
TokensOfOne = Annotated[Distribution, Varying("token", positive=True, whole=True, at_most=LONGEST_TOKENS)]
Limit = Annotated[Seconds, Field(gt=0)]
TraceFormat = Literal["auto", "azure", "burstgpt", "common", "mooncake", "agentic", "requests"]


class Slo(FrozenModel):
    """Limits that a request has to meet, all that are stated, to count as good."""

    ttft: Limit | None = None
    """Longest time to the first token."""
    tpot: Limit | None = None
    """Longest mean time per further token."""
    e2e: Limit | None = None
    """Longest time to the last token."""

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.ttft is None and self.tpot is None and self.e2e is None:
            raise refusal("an slo states one limit at least", "", "slo: {ttft: 1 s, tpot: 50 ms}")
        return self


class TraceSpec(FrozenModel):
    """A file of recorded requests."""

    file: Annotated[str, Field(min_length=1, max_length=4096)]
    """Path; it begins at the folder of the scenario."""
    format: TraceFormat = "auto"
    """What the file is; its header or first line says it under auto."""
    speed: Annotated[float, Field(gt=0, le=1e6), BeforeValidator(refuse_truth)] = 1.0
    """How much faster than recorded the requests come."""


class SharedPrefix(FrozenModel):
    """A head that prompts have in common, such as a system prompt; its tokens are part of the input."""

    tokens: Annotated[PositiveCount, Field(le=10**8)]
    """Tokens of the head."""
    groups: PositiveCount = 1
    """Different heads; each request has one of them, all as likely."""


def read_trace(value: object) -> object:
    """Read a bare path; leave mappings to the schema."""
    return {"file": value} if isinstance(value, str) else value


def read_prefix(value: object) -> object:
    """Read a bare number of tokens as one head of all prompts."""
    if isinstance(value, str):
        value = value.removesuffix("tokens").strip()
        return {"tokens": value}
    return {"tokens": value} if isinstance(value, int) else value


_PATH: tuple[dict[str, Any], ...] = ({"type": "string", "examples": ["requests.csv"]},)
_HEAD: tuple[dict[str, Any], ...] = ({"type": "string", "examples": ["800 tokens"]},)


class RequestsSpec(FrozenModel):
    """Requests that arrive at a service."""

    name: Slug | None = None
    """Name of the workload in tables; that of the service where none is given."""
    service: Slug
    """Service that answers them."""
    arrivals: Arrivals | None = None
    """When they come: a rate ('40/s', Poisson), or {gamma, weibull, deterministic, diurnal, closed, at_once}."""
    input: TokensOfOne | None = None
    """Tokens of a prompt."""
    output: TokensOfOne | None = None
    """Tokens of an answer."""
    trace: Annotated[TraceSpec, BeforeValidator(read_trace), AlsoWritten(_PATH)] | None = None
    """File of recorded requests, instead of arrivals, input and output."""
    prefix: Annotated[SharedPrefix, BeforeValidator(read_prefix), AlsoWritten(_HEAD)] | None = None
    """Head that prompts share."""
    count: PositiveCount | None = None
    """Requests in all; of a trace, the first ones."""
    duration: Annotated[Seconds, Field(gt=0)] | None = None
    """Time for which requests arrive, 10 min where neither count nor trace says it."""
    at: Seconds = 0.0
    """When the workload begins."""
    warm_up: Seconds = 0.0
    """Requests that arrive before this time has passed are served and not measured."""
    time_out: Limit | None = None
    """Time after which a request is given up, instead of that of the service."""
    tenant: Slug | None = None
    """Who sends them; that of the service where none is given."""
    priority: Annotated[int, Field(ge=0, le=1000), BeforeValidator(refuse_truth)] = 0
    """Inside the service; higher goes first."""
    slo: Slo | None = None
    """Limits that a good request meets."""

    @field_validator("trace", mode="after")
    @classmethod
    def _beside_the_scenario(cls, value: TraceSpec | None, info: ValidationInfo) -> TraceSpec | None:
        """Let the path of a trace begin at the folder of the file that names it."""
        if value is None:
            return None
        return value.model_copy(update={"file": beside_the_scenario(value.file, info, "requests")})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.trace is not None:
            beside = [name for name in ("arrivals", "input", "output", "prefix") if getattr(self, name) is not None]
            if beside:
                rule = "a trace says when requests come and how long they are"
                raise refusal(rule, f"{', '.join(beside)} beside trace", f"leave out {' and '.join(beside)}")
        else:
            missing = [name for name in ("arrivals", "input", "output") if getattr(self, name) is None]
            if missing:
                mend = "arrivals: 40/s, input: 1200 tokens, output: 300 tokens; or trace: FILE"
                raise refusal("requests need arrivals, input and output, or a trace", f"no {', '.join(missing)}", mend)
        if self.arrivals is not None and self.arrivals.at_once is not None and self.count is not None:
            raise refusal("at_once is the count", f"count {self.count}", "leave out count")
        return self

    @property
    def label(self) -> str:
        """Give the name that tables and streams of random numbers use."""
        return self.name or self.service

    @property
    def window_s(self) -> float | None:
        """Give the time for which requests arrive; None where count or trace end it."""
        ended = self.count is not None or self.trace is not None or self.at_once
        return self.duration if self.duration is not None or ended else USUAL_DURATION_S

    @property
    def at_once(self) -> bool:
        """Tell whether all requests come at the beginning."""
        return self.arrivals is not None and self.arrivals.at_once is not None

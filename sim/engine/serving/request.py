"""One request to a service: what is asked, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sim.engine.serving.contents import Blocks

Status = Literal["waiting", "finished", "timed out", "rejected", "cancelled"]
"""What became of a request; "rejected": the queue was full, or the request is longer than a replica can hold."""

STATUSES: tuple[Status, ...] = ("waiting", "finished", "timed out", "rejected", "cancelled")
"""A status is recorded as its place in here."""
STATUS_CODES: dict[str, int] = {status: code for code, status in enumerate(STATUSES)}


@dataclass(slots=True, eq=False)
class Request:
    """What is asked of a service; the service fills in the outcome before it calls `done`."""

    id: int
    arrival_s: float
    """When it reached the router; `Service.submit` sets it to the world's present time."""
    prompt_tokens: int
    output_tokens: int
    """Tokens of the answer, at least 1."""
    blocks: Blocks = ()
    """Content of the full blocks of the prompt (`chain` makes it), and after them of the answer where it is named;
    where it ends, nothing is shared with other requests."""
    session: Hashable = None
    """What a router that knows sessions keeps together."""
    tenant: str = ""
    priority: int = 0
    """Higher goes first."""
    time_out_s: float | None = None
    """Seconds after arrival at which an unfinished request is given up."""

    status: Status = "waiting"
    first_token_s: float | None = None
    """When its first token was there."""
    finish_s: float | None = None
    """When it was done with, in whatever way."""
    cached_tokens: int = 0
    """Prompt tokens that its first admission found in the prefix cache."""
    preemptions: int = 0
    generated_tokens: int = 0
    """Tokens that it got; fewer than `output_tokens` where it was given up."""
    replica: int = -1
    """The replica that ran it last; -1: none did."""
    retries: int = 0
    """Times that its replica failed under it."""

"""Requests as columns, as a trace of any format gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_TOKENS = 1e8
"""Tokens of one prompt or answer at most."""
LATEST_S = 1e12
HASHED_TOKENS = 512
"""Tokens that one id of ``hash_ids`` stands for (Qin et al. 2024, arXiv:2407.00079, the Mooncake traces)."""


class BadLineError(ValueError):
    """A line breaks a rule of its format; which line it is, the reader finds out."""

    def __init__(self, rule: str, value: str = "", mend: str = "") -> None:
        """Keep the parts of the message."""
        super().__init__(rule, value, mend)
        self.rule, self.value, self.mend = rule, value, mend


@dataclass(slots=True)
class Rows:
    """Requests, one column for each of what is known of them."""

    arrival_s: NDArray[np.float64]
    """Not a number where a request waits for others instead."""
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    hash_ids: list[tuple[int, ...]] | None = None
    """Ids of the prompt's pieces of `HASHED_TOKENS` tokens: equal heads have equal ids."""
    sessions: list[str] | None = None
    request_ids: list[str] | None = None
    wait_for: list[tuple[str, ...]] | None = None
    """Requests that have to end before."""
    tool_wait_s: NDArray[np.float64] | None = None
    """Time between their end and the arrival."""
    from_first: bool = False
    """Whether times have an origin of their own, so that the first arrival is 0."""
    left_out: int = 0
    """Lines of requests that failed when they were recorded."""
    lines: NDArray[np.int64] | None = None
    """Place of each row in its block, where lines were left out."""

    def __len__(self) -> int:
        """Count the requests."""
        return len(self.arrival_s)

    @staticmethod
    def join(parts: Sequence[Rows]) -> Rows:
        """Put chunks of one trace together."""
        if not parts:
            nothing = np.zeros(0)
            return Rows(nothing, nothing.astype(np.int64), nothing.astype(np.int64))
        first = parts[0]

        def listed(name: str) -> list[Any] | None:
            return None if getattr(first, name) is None else [each for part in parts for each in getattr(part, name)]

        waits = [part.tool_wait_s for part in parts if part.tool_wait_s is not None]
        return Rows(
            np.concatenate([part.arrival_s for part in parts]),
            np.concatenate([part.input_tokens for part in parts]),
            np.concatenate([part.output_tokens for part in parts]),
            listed("hash_ids"),
            listed("sessions"),
            listed("request_ids"),
            listed("wait_for"),
            np.concatenate(waits) if waits else None,
            first.from_first,
            sum(part.left_out for part in parts),
        )


def tokens(values: NDArray[np.float64], noun: str, least: int = 1) -> NDArray[np.int64]:
    """Check a column of token counts.

    Raises:
        BadLineError: a value is not a whole number from ``least`` to `MOST_TOKENS`.
    """
    bad = ~((values >= least) & (values <= MOST_TOKENS) & (np.floor(values) == values))
    if bad.any():
        rule = f"{noun} is a whole number of tokens from {least} to {MOST_TOKENS:,.0f}"
        raise BadLineError(rule, f"{values[int(np.argmax(bad))]:.12g}")
    return values.astype(np.int64)


def times(values: NDArray[np.float64], noun: str, scale: float = 1.0) -> NDArray[np.float64]:
    """Check a column of times and give it in s.

    Raises:
        BadLineError: a value is not finite, negative or beyond `LATEST_S`.
    """
    bad = ~((values >= 0) & (values * scale <= LATEST_S))
    if bad.any():
        raise BadLineError(f"{noun} is a time of 0 or more", f"{values[int(np.argmax(bad))]:.12g}")
    return values * scale if scale != 1.0 else values

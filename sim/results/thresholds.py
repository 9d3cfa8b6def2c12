"""Amounts of training compute that laws and proposals name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """A named amount of FLOP; laws count operations, at any precision."""

    name: str
    flop: float
    source: str


THRESHOLDS = (
    Threshold("EU GPAI, indicative", 1e23, "EU guidelines on general-purpose AI models, July 2025"),
    Threshold("EU AI Act Art. 51", 1e25, "Regulation (EU) 2024/1689, Article 51(2)"),
    Threshold("SB 53, EO 14110 until 2025", 1e26, "Executive Order 14110 section 4.2(b); California SB 53 (2025)"),
    Threshold("proposed cap", 1e27, "Keep the Future Human, proposed cap"),
)
"""In ascending order."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """When a run crosses a threshold, in s from its start; None where it never does."""

    threshold: Threshold
    model_crossed_at_s: float | None
    executed_crossed_at_s: float | None


def crossings(
    wall_clock_s: float, model_flop: float, executed_flop: float, extra: tuple[Threshold, ...] = ()
) -> tuple[Crossing, ...]:
    """Say when model and executed operations of a run cross each threshold, at its average rate."""
    every = sorted((*THRESHOLDS, *extra), key=lambda threshold: threshold.flop)

    def at(flop: float, total: float) -> float | None:
        return wall_clock_s * (flop / total) if 0 < flop <= total else None

    return tuple(
        Crossing(threshold, at(threshold.flop, model_flop), at(threshold.flop, executed_flop)) for threshold in every
    )

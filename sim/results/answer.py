"""The answer to a question: one content object that the terminal, JSON and notebooks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.units import DIMENSIONS

if TYPE_CHECKING:
    from sim.cost.precision import WeightedFlop
    from sim.cost.scaling import LossEstimate
    from sim.results.assumptions import Assumption
    from sim.results.spread import Spread
    from sim.results.thresholds import Crossing

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Utilization:
    """Shares of the cluster's capacity or time, 0 to 1."""

    allocated: float
    """Device-seconds held by the run over capacity x time."""
    busy: float
    """Device-seconds in kernels, also of work that was lost, over capacity x time."""
    ettr: float
    """Effective training time ratio: stepping that was kept over wall-clock."""
    mfu_step: float
    """Model FLOP over peak x time, on active devices during a step."""
    mfu_run: float
    """Model FLOP over peak x time, on all devices over the whole run."""
    hfu_run: float
    """Executed FLOP, recompute and redone work included, over peak x time."""
    peak_precision: str
    """Precision of the dense peak that they are measured against."""

    def to_dict(self) -> dict[str, float | str]:
        """Give the shares by name."""
        return {
            "allocated": self.allocated,
            "busy": self.busy,
            "ettr": self.ettr,
            "mfu_step": self.mfu_step,
            "mfu_run": self.mfu_run,
            "hfu_run": self.hfu_run,
            "peak_precision": self.peak_precision,
        }


@dataclass(frozen=True, slots=True)
class Lever:
    """One change and the run that it would give."""

    name: str
    before: str
    after: str
    wall_clock_s: float
    """Expected time of the changed run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that is said about one training run; SI units."""

    question: dict[str, Any]
    sentence: str
    width: str
    """How much of the interval is luck and how much is the model, in words."""
    answer: dict[str, Any]
    """What was asked for: the wall-clock always, and the count or the FLOP."""
    wall_clock_s: Spread
    device_hours: float
    utilization: Utilization
    parts: tuple[tuple[str, float], ...]
    """Account and seconds; they sum to the expected wall-clock."""
    flop: dict[str, WeightedFlop]
    energy_j: float | None
    cost_usd: float | None
    co2_kg: float | None
    missing: tuple[str, ...]
    """Why energy or cost are not given, where they are not."""
    expected_loss: LossEstimate
    rule_of_thumb_s: float
    model: dict[str, Any]
    plan: dict[str, Any]
    levers: tuple[Lever, ...]
    assumptions: tuple[Assumption, ...]
    crossings: tuple[Crossing, ...]
    events: dict[str, float]
    """Expected interruptions and checkpoints."""
    next: tuple[str, ...]
    provenance: dict[str, Any]
    cluster: str
    """Name of the accelerator."""
    scenario_text: str
    """The scenario file that the question stands for."""

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON object of contracts.md."""
        return {
            "schema_version": SCHEMA_VERSION,
            "question": self.question,
            "sentence": self.sentence,
            "interval": self.width,
            "answer": {"wall_clock_s": self.wall_clock_s.to_dict(), "device_hours": self.device_hours, **self.answer},
            "utilization": self.utilization.to_dict(),
            "parts": [{"name": name, "seconds": seconds} for name, seconds in self.parts],
            "flop": {name: weighted.to_dict() for name, weighted in self.flop.items()},
            "energy_j": self.energy_j,
            "cost_usd": self.cost_usd,
            "co2_kg": self.co2_kg,
            "missing": list(self.missing),
            "expected_loss": {
                "value": self.expected_loss.value,
                "p10": self.expected_loss.p10,
                "p90": self.expected_loss.p90,
                "in_range": self.expected_loss.in_range,
                "source": self.expected_loss.source,
            },
            "rule_of_thumb_s": self.rule_of_thumb_s,
            "model": self.model,
            "plan": self.plan,
            "levers": [
                {"name": lever.name, "from": lever.before, "to": lever.after, "wall_clock_s": lever.wall_clock_s}
                for lever in self.levers
            ],
            "assumptions": [assumption.to_dict(unit(assumption.dimension)) for assumption in self.assumptions],
            "thresholds": [
                {
                    "name": crossing.threshold.name,
                    "flop": crossing.threshold.flop,
                    "source": crossing.threshold.source,
                    "model_crossed_at_s": crossing.model_crossed_at_s,
                    "executed_crossed_at_s": crossing.executed_crossed_at_s,
                }
                for crossing in self.crossings
            ],
            "events": self.events,
            "next": list(self.next),
            "provenance": self.provenance,
        }


def unit(dimension: str) -> str:
    """Give the SI unit of a dimension; names and ratios have none."""
    return DIMENSIONS[dimension].unit if dimension in DIMENSIONS else ""

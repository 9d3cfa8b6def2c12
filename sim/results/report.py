"""What a simulated scenario says: the expected answer, and what the seeds did beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.results.build import utilization
from sim.results.flop import accounts
from sim.results.outcome import Outcome, from_recordings
from sim.results.run_report import Value
from sim.results.spread import Spread
from sim.results.training_series import series
from sim.results.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.cost.precision import WeightedFlop
    from sim.engine.recording import Recording
    from sim.plan.training import Prepared
    from sim.results.answer import Answer, Utilization
    from sim.results.targets import TargetResult
    from sim.spec.origins import Origin


@dataclass(frozen=True, slots=True)
class Report(Views):
    """A scenario that was played with one seed or several."""

    answer: Answer
    """The closed form of the same run, with its interval, levers and assumptions."""
    outcome: Outcome
    """The mean of the seeds."""
    utilization: Utilization
    """Of the mean of the seeds."""
    flop: dict[str, WeightedFlop]
    recordings: tuple[Recording, ...]
    name: str
    origins: tuple[Origin, ...] = ()
    """Who set each value of the scenario."""
    scenario_text: str = ""
    """The scenario with every default filled in."""
    curve: Mapping[str, Any] | None = None
    """Columns: the same run on other numbers of devices, where somebody asked for it."""
    targets: tuple[TargetResult, ...] = ()

    @property
    def kind(self) -> str:
        """Name the kind of report in its record."""
        return "training"

    @property
    def shown(self) -> dict[str, Any]:
        """Give what JSON loses of it: nothing."""
        return {}

    @property
    def sentence(self) -> str:
        """Say the answer in words."""
        return self.answer.sentence

    @property
    def wall_clock_s(self) -> float:
        """Mean simulated wall-clock, in s."""
        return self.outcome.wall_clock_s

    @property
    def values(self) -> dict[str, Value]:
        """Give the figures that targets may limit, of the mean of the seeds, under the name of the run."""
        figures = {
            "wall_clock_s": Value(self.wall_clock_s, "second", "lower"),
            "mfu": Value(self.utilization.mfu_run, "fraction", "higher"),
            "ettr": Value(self.utilization.ettr, "fraction", "higher"),
            "interruptions": Value(self.outcome.interruptions, "count", "lower"),
        }
        if self.answer.energy_j is not None:
            figures["energy_j"] = Value(self.outcome.energy_j, "joule", "lower")
        if self.answer.cost_usd is not None:
            longer = self.wall_clock_s / self.answer.wall_clock_s.expected
            figures["cost_usd"] = Value(self.answer.cost_usd * longer, "usd", "lower")
        return {f"{self.recordings[0].name}.{name}": value for name, value in figures.items()}

    @property
    def missed(self) -> bool:
        """Whether a target of the scenario was missed."""
        return any(not target.met for target in self.targets)

    @property
    def by_simulation(self) -> bool:
        """Whether only the simulation answers (spare nodes inside the count), so that the answer is its mean too."""
        return any(name in ("free", "down", "waiting for repair") for name, _ in self.answer.parts)

    @property
    def wall_clock_spread_s(self) -> Spread:
        """Mean and quantiles of the simulated wall-clock over the seeds, in s: luck alone."""
        times = np.array([recording.wall_clock_s for recording in self.recordings])
        p10, p50, p90 = (float(value) for value in np.quantile(times, [0.1, 0.5, 0.9]))
        return Spread(self.outcome.wall_clock_s, p10, p50, p90)

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """Columns: ``events`` and ``series`` of the first seed, ``accounts`` of the mean, and ``seeds``, a row each."""
        first = self.recordings[0]
        curve = {} if self.curve is None else {"curve": dict(self.curve)}
        return curve | {
            "series": series(first, int(self.answer.plan["active_devices"])),
            "events": {"time_s": first.events.time_s, "kind": first.events.kind, "detail": first.events.detail},
            "accounts": {
                "account": tuple(name for name, _ in self.outcome.parts),
                "seconds": tuple(seconds for _, seconds in self.outcome.parts),
            },
            "seeds": {
                "seed": tuple(recording.seed for recording in self.recordings),
                "wall_clock_s": tuple(recording.wall_clock_s for recording in self.recordings),
                "interruptions": tuple(recording.interruptions for recording in self.recordings),
                "checkpoints": tuple(recording.checkpoints for recording in self.recordings),
                "nodes_lost": tuple(recording.nodes_lost for recording in self.recordings),
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Give the answer's JSON object with what was simulated beside it."""
        first = self.recordings[0]
        simulated = {
            "seeds": len(self.recordings),
            "wall_clock_s": self.wall_clock_spread_s.to_dict(),
            "expected_over_simulated": self.answer.wall_clock_s.expected / self.wall_clock_s,
            "parts": [{"name": name, "seconds": seconds} for name, seconds in self.outcome.parts],
            "utilization": self.utilization.to_dict(),
            "flop": {name: weighted.to_dict() for name, weighted in self.flop.items()},
            "energy_j": self.outcome.energy_j,
            "interruptions": self.outcome.interruptions,
            "checkpoints": self.outcome.checkpoints,
            "first_seed": {
                "seed": first.seed,
                "wall_clock_s": first.wall_clock_s,
                "device_seconds": first.device_seconds,
                "flop": first.flop,
                "tokens": first.tokens,
                "joules": first.joules,
                "events": first.world_events,
                "nodes_lost": first.nodes_lost,
            },
        }
        held = {"targets": [target.to_dict() for target in self.targets]} if self.targets else {}
        return self.answer.to_dict() | {"name": self.name, "simulated": simulated} | held


def fold(name: str, prepared: Prepared, answer: Answer, recordings: Sequence[Recording]) -> Report:
    """Fold the recordings of one run into its report."""
    outcome = from_recordings(prepared.run, recordings)
    flop = accounts(prepared, outcome)
    use = utilization(prepared, outcome, flop["executed"].operations)
    return Report(answer, outcome, use, flop, tuple(recordings), name)

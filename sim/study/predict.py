"""One training run, predicted: its closed-form mean, the luck of seeds, and the interval around both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.plan.training import Prepared, prepare
from sim.results.outcome import Outcome, from_expected, from_recordings
from sim.results.spread import STEP_MODEL_SIGMA, Interval, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.engine.recording import Recording
    from sim.spec.scenario import ClusterSpec, Scenario
    from sim.spec.workload import TrainingSpec

LUCK_SEEDS = 16
"""Simulated runs whose spread is the luck of an answer."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run with its accounts and how sure they are."""

    prepared: Prepared
    outcome: Outcome
    interval: Interval
    recordings: tuple[Recording, ...]
    """The simulated seeds that the luck comes from."""


def predict(scenario: Scenario, seeds: int = LUCK_SEEDS) -> Prediction:
    """Predict the training run of a scenario.

    The mean is the closed form (view 1); with spare nodes inside the count only the simulation answers, and the mean
    is that of its seeds.

    Raises:
        SimError: whatever keeps the run from being planned or from ending.

    """
    prepared = prepare(scenario.cluster, scenario.training)
    # Without interruptions every seed is the same run: there is no luck to look for.
    recordings = play_seeds(prepared, scenario.seed, seeds) if prepared.run.hazard_per_s else []
    if prepared.run.spare_nodes and recordings:
        outcome = from_recordings(prepared.run, recordings)
    else:
        outcome = from_expected(prepared.run, prepared.expected())
    return Prediction(prepared, outcome, spread(prepared, outcome, recordings), tuple(recordings))


def expected_s(cluster: str | ClusterSpec, training: TrainingSpec, seed: int = 0) -> float:
    """Give the expected wall-clock alone, in s: what levers and inverse questions vary."""
    prepared = prepare(cluster, training)
    if prepared.run.spare_nodes and prepared.run.hazard_per_s:
        return from_recordings(prepared.run, play_seeds(prepared, seed, LUCK_SEEDS)).wall_clock_s
    return float(prepared.expected().wall_clock_s)


def play_seeds(prepared: Prepared, seed: int, seeds: int) -> list[Recording]:
    """Simulate the run with so many seeds from the first one on."""
    from sim.engine.training import play_many  # noqa: PLC0415 - simpy takes 0.06 s, which sim check need not pay

    return play_many(prepared.run, range(seed, seed + seeds))


def spread(prepared: Prepared, outcome: Outcome, recordings: Sequence[Recording], *, inverse: bool = False) -> Interval:
    """Give the interval of the wall-clock (or, inverse, of what a fixed time buys)."""
    luck: list[float] = []
    if recordings:
        mean = sum(recording.wall_clock_s for recording in recordings) / len(recordings)
        luck = [recording.wall_clock_s / mean for recording in recordings]
    sigma = STEP_MODEL_SIGMA if prepared.step_given_by == "model" else 0.0
    return interval(outcome.wall_clock_s, luck, sigma, inverse=inverse)

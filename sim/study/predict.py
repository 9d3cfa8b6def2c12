"""One training run, predicted: its closed-form mean, the luck of seeds, and the interval around both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING

from sim.plan.training import Prepared, prepare
from sim.results.outcome import Outcome, from_expected, from_recordings
from sim.results.spread import Interval, interval
from sim.results.step_error import step_error

if TYPE_CHECKING:
    from sim.engine.recording import Recording
    from sim.plan.run import TrainingRun
    from sim.spec.cluster import ClusterSpec
    from sim.spec.scenario import Scenario
    from sim.spec.workload import TrainingSpec

LUCK_SEEDS = 16
"""Simulated runs whose spread is the luck of an answer."""
MOST_INTERRUPTIONS = 2000
"""Interruptions of a run, on average, above which its luck is taken from a shorter run of the same kind."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run with its accounts and how sure they are."""

    prepared: Prepared
    outcome: Outcome
    interval: Interval
    luck: tuple[float, ...]
    """Wall-clock of simulated seeds over their mean; empty where nothing interrupts the run."""
    recordings: tuple[Recording, ...]
    """The simulated seeds of the whole run; empty where none were played."""


def predict(scenario: Scenario, seeds: int = LUCK_SEEDS) -> Prediction:
    """Predict the training run of a scenario.

    The mean is the closed form (view 1); with spare nodes inside the count only the simulation answers, and the mean
    is that of its seeds.

    Raises:
        SimError: whatever keeps the run from being planned or from ending.

    """
    prepared = prepare(scenario.one_cluster, scenario.training)
    run = prepared.run
    if by_simulation(run):
        recordings = play_seeds(run, scenario.seed, seeds)
        outcome = from_recordings(run, recordings)
        luck = _over_mean(recordings)
    else:
        mean = prepared.expected()
        outcome = from_expected(run, mean)
        # Without interruptions every seed is the same run: there is no luck to look for.
        recordings, luck = (
            luck_of(run, float(mean.interruptions), scenario.seed, seeds) if run.hazard_per_s else ([], [])
        )
    spread = interval(outcome.wall_clock_s, luck, step_sigma(prepared))
    return Prediction(prepared, outcome, spread, tuple(luck), tuple(recordings))


def by_simulation(run: TrainingRun) -> bool:
    """Tell whether only the simulation knows the mean: spare nodes may run out, and the run waits for a repair."""
    return bool(run.spare_nodes and run.hazard_per_s)


def expected_s(cluster: str | ClusterSpec, training: TrainingSpec, seed: int = 0, seeds: int = LUCK_SEEDS) -> float:
    """Give the expected wall-clock alone, in s: what levers and inverse questions vary."""
    prepared = prepare(cluster, training)
    if by_simulation(prepared.run):
        return from_recordings(prepared.run, play_seeds(prepared.run, seed, seeds)).wall_clock_s
    return float(prepared.expected().wall_clock_s)


def play_seeds(run: TrainingRun, seed: int, seeds: int) -> list[Recording]:
    """Simulate the run with so many seeds from the first one on."""
    from sim.engine.training import play_many  # noqa: PLC0415 - simpy takes 0.06 s, which sim check need not pay

    return play_many(run, range(seed, seed + seeds))


def luck_of(
    run: TrainingRun, interruptions: float, seed: int, seeds: int, most: float = MOST_INTERRUPTIONS
) -> tuple[list[Recording], list[float]]:
    """Give the seeds that were played, and the wall-clock of each over their mean.

    A run that meets more interruptions than ``most`` is cut to one k-th of its checkpoints. Its intervals are
    independent and alike, so the deviation of the whole is that of the part over the square root of k; then no
    recording of the whole run is given.
    """
    intervals = round(run.useful_s / run.interval_s)
    kept = max(round(intervals * most / interruptions), 1) if interruptions > most else intervals
    if kept >= intervals:
        recordings = play_seeds(run, seed, seeds)
        return recordings, _over_mean(recordings)
    part = replace(run, steps=run.steps * kept / intervals)
    shrunk = sqrt(kept / intervals)
    return [], [1 + (ratio - 1) * shrunk for ratio in _over_mean(play_seeds(part, seed, seeds))]


def step_sigma(prepared: Prepared) -> float:
    """Give the spread of the step model's error; none where the step was given."""
    return step_error(prepared).sigma if prepared.step_given_by == "model" else 0.0


def _over_mean(recordings: list[Recording]) -> list[float]:
    mean = sum(recording.wall_clock_s for recording in recordings) / len(recordings)
    return [recording.wall_clock_s / mean for recording in recordings]

"""Play one training run, alone on its cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.results import words
from sim.results.report import Report, fold
from sim.results.targets import judge
from sim.study.predict import LUCK_SEEDS, play_seeds, predict
from sim.study.telling import Asked, tell

if TYPE_CHECKING:
    from sim.spec.scenario import Scenario


def play_training(scenario: Scenario, seeds: int) -> Report:
    """Play one training run that has the cluster to itself, and put its closed form beside it.

    Raises:
        SimError: the run cannot be planned, would never end, or exceeds a limit.

    """
    prediction = predict(scenario, max(LUCK_SEEDS, seeds))
    asked = Asked("run", None, scenario.name, None, {}, scenario.seed)
    sentence = words.how_long(prediction.prepared, prediction.interval.spread)
    answer = tell(prediction, scenario, asked, sentence, {}, words.next_howmany(prediction.prepared))
    recordings = prediction.recordings[:seeds] or play_seeds(prediction.prepared.run, scenario.seed, seeds)
    report = fold(scenario.name, prediction.prepared, answer, recordings)
    return replace(report, targets=judge(scenario.targets, report.values))

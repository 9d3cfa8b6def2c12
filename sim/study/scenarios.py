"""Play a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.results import words
from sim.results.report import Report, fold
from sim.study.predict import LUCK_SEEDS, play_seeds, predict
from sim.study.telling import Asked, tell

if TYPE_CHECKING:
    from sim.spec.scenario import Scenario


def run_scenario(scenario: Scenario, seed: int | None = None, seeds: int = 1) -> Report:
    """Play a scenario event by event, with one seed or several.

    Args:
        scenario: what to play.
        seed: the first seed; that of the scenario where none is given.
        seeds: how many seeds to play.

    Raises:
        SimError: the run cannot be planned, would never end, or exceeds a limit.

    """
    if seed is not None:
        scenario = scenario.model_copy(update={"seed": seed})
    prediction = predict(scenario, max(LUCK_SEEDS, seeds))
    asked = Asked("run", None, scenario.name, None, {}, scenario.seed)
    sentence = words.how_long(prediction.prepared, prediction.interval.spread)
    answer = tell(prediction, scenario, asked, sentence, {}, words.next_howmany(prediction.prepared))
    recordings = prediction.recordings[:seeds] or play_seeds(prediction.prepared.run, scenario.seed, seeds)
    return fold(scenario.name, prediction.prepared, answer, recordings)

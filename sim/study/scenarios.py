"""Load a scenario file, say what it resolves to, and play it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.results import words
from sim.results.report import Report, fold
from sim.spec.yaml import apply_override, load
from sim.study.ask import read_scenario
from sim.study.predict import LUCK_SEEDS, play_seeds, predict
from sim.study.telling import Asked, tell

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from sim.spec.scenario import Scenario


def load_scenario(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Scenario:
    """Read and validate a scenario file.

    Args:
        path: the YAML file.
        overrides: changes as ``path=value``, such as ``cluster.count=4096``.

    Raises:
        ScenarioError: the file or a change is wrong; every problem is listed with its place.
        NotYetError: the file uses parts of the language that are not built yet.

    """
    document = load(path)
    for assignment in overrides:
        document = apply_override(document, assignment)
    return read_scenario(document)


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
    recordings = prediction.recordings[:seeds] or play_seeds(prediction.prepared, scenario.seed, seeds)
    return fold(scenario.name, prediction.prepared, answer, recordings)

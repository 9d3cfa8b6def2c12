"""Play a scenario of any kind."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sim.errors import ScenarioError
from sim.results import words
from sim.results.report import Report, fold
from sim.results.run_report import RunReport, gather
from sim.results.targets import judge
from sim.spec.origins import origins, resolved
from sim.study.predict import LUCK_SEEDS, play_seeds, predict
from sim.study.serving import play_serving
from sim.study.telling import Asked, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.spec.document import Document
    from sim.spec.scenario import Scenario


def run_scenario(
    scenario: Scenario,
    seed: int | None = None,
    seeds: int = 1,
    *,
    document: Document | None = None,
    allow_code: bool = False,
) -> Report | RunReport:
    """Play a scenario event by event, with one seed or several.

    One training run that has the cluster to itself gets its closed form beside the simulation (`Report`); services,
    graphs, jobs and whatever shares a cluster get a `RunReport`.

    Args:
        scenario: what to play.
        seed: the first seed; that of the scenario where none is given.
        seeds: how many seeds to play.
        document: the file of the scenario, where its lines shall be named in the report.
        allow_code: whether a policy of the scenario's own may run.

    Raises:
        SimError: the run cannot be planned, would never end, or exceeds a limit.

    """
    if seed is not None:
        scenario = scenario.model_copy(update={"seed": seed})
    said = origins(scenario, document)
    text = resolved(scenario, said)
    if scenario.is_one_training:
        return replace(_run_training(scenario, seeds), origins=said, scenario_text=text)
    play = player(scenario, allow_code=allow_code)
    played = (play(scenario.model_copy(update={"seed": scenario.seed + offset})) for offset in range(seeds))
    report = gather(list(played))
    return replace(report, targets=judge(scenario.targets, report.values), origins=said, scenario_text=text)


def player(scenario: Scenario, *, allow_code: bool = False) -> Callable[[Scenario], RunReport]:
    """Give the function that plays scenarios of this kind once.

    Raises:
        ScenarioError: requests or tasks without a service to go to.

    """
    kinds = {workload.kind for workload in scenario.workloads}
    on_services, on_devices = kinds & {"requests", "tasks"}, kinds & {"jobs", "training"}
    if on_services and on_devices:
        shared = importlib.import_module("sim.study.shared")
        return partial(shared.play_shared, allow_code=allow_code)
    if on_services:
        return play_serving
    if scenario.services:
        raise ScenarioError(
            "nothing is sent to the services",
            value=", ".join(scenario.services),
            where="workloads",
            mend="a workload of requests or tasks, or leave out services",
        )
    cluster = importlib.import_module("sim.study.cluster")  # others need no policies
    return partial(cluster.play_cluster, allow_code=allow_code)


def _run_training(scenario: Scenario, seeds: int) -> Report:
    prediction = predict(scenario, max(LUCK_SEEDS, seeds))
    asked = Asked("run", None, scenario.name, None, {}, scenario.seed)
    sentence = words.how_long(prediction.prepared, prediction.interval.spread)
    answer = tell(prediction, scenario, asked, sentence, {}, words.next_howmany(prediction.prepared))
    recordings = prediction.recordings[:seeds] or play_seeds(prediction.prepared.run, scenario.seed, seeds)
    report = fold(scenario.name, prediction.prepared, answer, recordings)
    return replace(report, targets=judge(scenario.targets, report.values))

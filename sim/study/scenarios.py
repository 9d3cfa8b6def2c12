"""Play a scenario of any kind."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sim.errors import ScenarioError
from sim.results.run_report import gather
from sim.results.targets import judge
from sim.spec.origins import origins, resolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.results.report import Report
    from sim.results.run_report import RunReport
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
        alone: Report = _player("training_run", "play_training")(scenario, seeds)
        return replace(alone, origins=said, scenario_text=text)
    play = player(scenario, allow_code=allow_code)
    played = (play(scenario.model_copy(update={"seed": scenario.seed + offset})) for offset in range(seeds))
    report = gather(list(played))
    judged = judge(scenario.targets, {**report.values, **report.unmeasured})
    tables = report.tables | {"accounts": report.accounts}
    return replace(report, tables=tables, targets=judged, origins=said, scenario_text=text)


def player(scenario: Scenario, *, allow_code: bool = False) -> Callable[[Scenario], RunReport]:
    """Give the function that plays scenarios of this kind once.

    Raises:
        ScenarioError: requests or tasks without a service to go to.

    """
    kinds = {workload.kind for workload in scenario.workloads}
    on_services = kinds & {"requests", "tasks"}
    if on_services and in_queue(scenario):
        return partial(_player("shared", "play_shared"), allow_code=allow_code)
    if on_services:
        return _player("serving", "play_serving")
    if scenario.services:
        raise ScenarioError(
            "nothing is sent to the services",
            value=", ".join(scenario.services),
            where="workloads",
            mend="a workload of requests or tasks, or leave out services",
        )
    return partial(_player("cluster", "play_cluster"), allow_code=allow_code)


def in_queue(scenario: Scenario) -> bool:
    """Tell whether services wait for their devices in a queue: beside jobs, or where a policy is stated."""
    return scenario.policy is not None or any(workload.kind in ("jobs", "training") for workload in scenario.workloads)


def _player(module: str, function: str) -> Callable[..., Any]:
    """Import what plays one kind of scenario: each needs much that the others do not."""
    found: Callable[..., Any] = getattr(importlib.import_module(f"sim.study.{module}"), function)
    return found

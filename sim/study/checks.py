"""What a scenario resolves to, before anything is simulated: the same objects that the engine would play."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.plan.resolve import resolve_cluster
from sim.plan.services import place_services, plan_service
from sim.results.run_report import Column, Section
from sim.study.scenarios import in_queue, player

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.spec.scenario import Scenario
    from sim.study.cluster import Prepared


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid scenario with its names resolved and its layouts chosen."""

    name: str
    sections: tuple[Section, ...]


def check_scenario(scenario: Scenario, *, allow_code: bool = False) -> Checked:
    """Resolve a scenario that is more than one training run.

    Raises:
        SimError: what running it would raise before its clock starts.

    """
    player(scenario, allow_code=allow_code)  # refuses what cannot be played
    kinds = {workload.kind for workload in scenario.workloads}
    prepared = None
    if kinds & {"jobs", "training"} or in_queue(scenario):
        prepared = importlib.import_module("sim.study.cluster").prepare_cluster(scenario, allow_code=allow_code)
    sections: list[Section] = []
    if scenario.services:
        sections += _services(scenario, prepared)
    if prepared is not None and prepared.workload.jobs:
        sections += _jobs(prepared)
    return Checked(scenario.name, tuple(sections))


def _services(scenario: Scenario, prepared: Prepared | None) -> Iterator[Section]:
    cluster = resolve_cluster(scenario.one_cluster)
    if prepared is None:
        planned = {name: plan_service(name, spec, cluster) for name, spec in scenario.services.items()}
        place_services(planned, cluster)
    else:
        planned = importlib.import_module("sim.study.shared").services_in_queue(scenario, prepared)
    columns = (
        Column("service"),
        Column("model"),
        Column("replicas"),
        Column("devices", "count"),
        Column("engine"),
        Column("weights", "byte"),
        Column("cache", "token"),
        Column("sequences", "count"),
        Column("budget", "token"),
    )
    rows = tuple(
        (
            name,
            each.model.name,
            each.replicas_told,
            float(each.devices),
            each.plan.engine,
            each.plan.weights_bytes,
            float(each.plan.kv_tokens),
            float(each.plan.max_sequences),
            float(each.plan.token_budget),
        )
        for name, each in planned.items()
    )
    note = (
        f"On {cluster.spec.count:,} x {cluster.accelerator.name}; weights, cache, sequences and budget of one replica."
    )
    yield Section("services", "Services", columns, rows, note)


def _jobs(prepared: Prepared) -> Iterator[Section]:
    jobs = prepared.workload.jobs
    rows: list[tuple[float | str | None, ...]] = []
    for tenant in dict.fromkeys(job.tenant for job in jobs):
        own = [job for job in jobs if job.tenant == tenant]
        widest = float(max(job.devices for job in own))
        rows.append((tenant or "all", float(len(own)), own[0].arrival_s, own[-1].arrival_s, widest))
    columns = (
        Column("tenant"),
        Column("jobs", "count"),
        Column("first", "second"),
        Column("last", "second"),
        Column("widest", "count"),
    )
    devices = sum(pool.devices for pool in prepared.pools)
    note = f"On {devices:,} devices ({', '.join(pool.kind for pool in prepared.pools)}) under {prepared.policy.name}."
    yield Section("jobs", "Jobs", columns, tuple(rows), note)

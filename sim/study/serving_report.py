"""Put played services into a report: the sentence, where device time went, figures, tables and what was assumed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.results.assumptions import Assumption
from sim.results.run_report import RunReport, Value
from sim.results.serving import sections, tables, values, weighted_flop
from sim.study.telling import provenance
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.cost.precision import WeightedFlop
    from sim.engine.ledger import Accounts
    from sim.plan.resolve import ResolvedCluster
    from sim.plan.services import PlannedService
    from sim.results.assumptions import GivenBy
    from sim.results.serving import Served
    from sim.spec.scenario import Scenario

_OURS = ("default", "the smallest that fits", "the newest of vLLM")
"""Sources of what the simulator decides where nobody says it."""


def report(
    scenario: Scenario,
    cluster: ResolvedCluster,
    served: Sequence[Served],
    accounts: Accounts,
    planned: Sequence[PlannedService],
    notes: Sequence[str],
) -> RunReport:
    """Give the report of services that were played together."""
    figures: dict[str, Value] = {}
    for each in served:
        figures |= values(each)
    count, end_s = cluster.spec.count, accounts.end_s
    missing = list(notes)
    costs = [each.cost_usd for each in served]
    if any(cost is None for cost in costs):
        missing.append(f"cost: the catalogue has no price for {cluster.accelerator.name}; give one: cluster.price")
    energy_j = None
    if cluster.accelerator.power_w is None:
        missing.append(f"energy: the catalogue has no power for {cluster.accelerator.name}")
    else:
        energy_j = math.fsum(each.energy_j for each in served)
    return RunReport(
        name=scenario.name,
        sentence=_sentence(served, figures, cluster),
        seed=scenario.seed,
        devices=count,
        wall_clock_s=end_s,
        parts=tuple((name, seconds / count) for name, seconds in sorted(accounts.device_seconds.items())),
        flop=_flop(served),
        tokens=_tokens(served),
        energy_j=energy_j,
        cost_usd=None if None in costs else math.fsum(cost for cost in costs if cost is not None),
        co2_kg=None if energy_j is None else energy_j * cluster.spec.carbon,
        values=figures,
        sections=sections(served, figures),
        tables=tables(served),
        assumptions=tuple(_assumptions(scenario, planned, cluster)),
        missing=tuple(missing),
        next=(_next(planned[0], cluster),),
        provenance=provenance(scenario),
    )


def _sentence(served: Sequence[Served], figures: dict[str, Value], cluster: ResolvedCluster) -> str:
    told = []
    for each in served:
        parts = [f"{each.name} answers {each.fold.whole.finished:,} of {each.fold.whole.measured:,} requests"]
        rate, first = figures.get(f"{each.name}.output_tokens_per_s"), figures.get(f"{each.name}.ttft_s.p99")
        further, price = figures.get(f"{each.name}.tpot_s.p50"), figures.get(f"{each.name}.usd_per_output_token")
        parts += [f"{rate.shown} of output"] if rate is not None else []
        parts += [f"first token within {first.shown} (p99)"] if first is not None else []
        parts += [f"{further.shown} per further token (median)"] if further is not None else []
        parts += [f"{price.shown}"] if price is not None else []
        where = f"{each.devices:,} x {cluster.accelerator.name}"
        told.append(f"{each.plan.model.title} on {where}: {', '.join(parts)}.")
    return " ".join(told)


def _flop(served: Sequence[Served]) -> dict[str, WeightedFlop]:
    found: dict[str, WeightedFlop] = {}
    for each in served:
        for purpose, flop in weighted_flop(each).items():
            old = found.get(purpose)
            found[purpose] = (
                flop
                if old is None
                else type(flop)(
                    old.operations + flop.operations,
                    old.bits16 + flop.bits16,
                    old.device_time16 + flop.device_time16,
                )
            )
    return found


def _tokens(served: Sequence[Served]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in served:
        for purpose, tokens in each.recording.tokens.items():
            if tokens:
                found[purpose] = found.get(purpose, 0.0) + float(tokens)
    return found


def _assumptions(scenario: Scenario, planned: Sequence[PlannedService], cluster: ResolvedCluster) -> list[Assumption]:
    rows: list[Assumption] = []
    for service in planned:
        plan, spec, at = service.plan, service.spec, f"services.{service.name}"
        engine = f"hardware_specs/engines/{service.profile.name}.yaml"

        def row(name: str, value: float | str, dimension: str, source: str, *, given: bool, at: str = at) -> Assumption:
            by: GivenBy = "user" if given else "default" if source in _OURS else "catalogue"
            return Assumption(f"{at}.{name}", value, dimension, "given by you" if given else source, by)

        settings = spec.engine
        rows += [
            row("plan", service.replicas_told, "name", "the smallest that fits", given=spec.plan != "auto"),
            row("precision.weights", plan.weights, "name", "default", given="precision" in spec.model_fields_set),
            row("precision.kv", plan.cache, "name", "default", given="kv" in spec.precision.model_fields_set),
            row("engine.profile", plan.engine, "name", "the newest of vLLM", given="engine" in spec.model_fields_set),
            row("engine.token_budget", plan.token_budget, "token", engine, given=settings.token_budget is not None),
            row("engine.max_sequences", plan.max_sequences, "count", engine, given=settings.max_sequences is not None),
            row("engine.block_size", plan.block_size, "token", engine, given=settings.block_size is not None),
            row(
                "engine.kv_blocks",
                plan.kv_blocks,
                "count",
                f"memory beside {show(plan.weights_bytes, 'byte')} of weights and the workspace",
                given=settings.kv_blocks is not None,
            ),
            row("engine.host", plan.cost.host_s, "second", engine, given=settings.host is not None),
            row("router", spec.router, "name", "default", given="router" in spec.model_fields_set),
            row("failure_rate", spec.failure_rate, "per_s", "default", given="failure_rate" in spec.model_fields_set),
        ]
    for index, workload in enumerate(scenario.workloads):
        requests = workload.requests
        if requests is not None and requests.window_s is not None:
            path = f"workloads.{index}.requests.duration"
            by: GivenBy = "default" if requests.duration is None else "user"
            source = "default" if by == "default" else "given by you"
            rows.append(Assumption(path, requests.window_s, "second", source, by))
    chip = cluster.accelerator
    if cluster.spec.price is not None:
        rows.append(Assumption("cluster.price", cluster.spec.price, "usd_per_s", "given by you", "user"))
    elif chip.price_usd_per_s is not None:
        price = chip.price_usd_per_s
        source = f"{price.source} ({price.date})" if price.date else price.source
        rows.append(Assumption("cluster.price", price.value, "usd_per_s", source, "catalogue"))
    return rows


def _next(service: PlannedService, cluster: ResolvedCluster) -> str:
    return f"sim howfast {service.model.name} {service.plan.devices}x{cluster.accelerator.name} --concurrency 64"

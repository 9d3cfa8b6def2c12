"""Put played services into a report: the sentence, where device time went, figures, tables and what was assumed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.results.assumptions import Assumption
from sim.results.run_report import RunReport, measured, unmeasured
from sim.results.serving import figures as figures_of
from sim.results.serving import tables, weighted_flop
from sim.results.serving_sections import sections
from sim.spec import catalog, defaults
from sim.study.provenance import provenance
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.cost.precision import WeightedFlop
    from sim.engine.ledger import Accounts
    from sim.plan.resolve import ResolvedCluster
    from sim.plan.services import PlannedService
    from sim.results.assumptions import GivenBy
    from sim.results.run_report import Value
    from sim.results.serving import Served
    from sim.spec.scenario import Scenario

_OURS = ("the usual one", "none unless stated", "16 bit", "10 min", "the smallest that fits", "the newest of vLLM")
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
    every: dict[str, Value] = {}
    for each in served:
        every |= figures_of(each)
    figures = measured(every)
    count, end_s = cluster.spec.count, accounts.end_s
    missing = list(notes)
    costs = [each.cost_usd for each in served]
    if None in costs:
        missing.append(f"cost: the catalogue has no price for {cluster.accelerator.name}; give one: cluster.price")
    energies = [each.energy_j for each in served]
    if None in energies:
        missing.append(f"energy: the catalogue has no power for {cluster.accelerator.name}")
    energy_j = _sum(energies)
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
        cost_usd=_sum(costs),
        co2_kg=None if energy_j is None else energy_j * cluster.spec.carbon,
        values=figures,
        unmeasured=unmeasured(every),
        sections=sections(served, figures),
        tables=tables(served),
        assumptions=tuple(_assumptions(scenario, planned, cluster)),
        missing=tuple(missing),
        next=_next(planned[0], cluster),
        provenance=provenance(scenario),
    )


def _sum(amounts: Sequence[float | None]) -> float | None:
    """Sum up what is known of each."""
    known = [amount for amount in amounts if amount is not None]
    return math.fsum(known) if len(known) == len(amounts) else None


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
    rows = [row for service in planned for row in service_assumptions(service)]
    for index, workload in enumerate(scenario.workloads):
        requests = workload.requests
        if requests is not None and requests.window_s is not None:
            path = f"workloads.{index}.requests.duration"
            rows.append(_row(path, requests.window_s, "second", "10 min", given=requests.duration is not None))
    return rows + cluster_assumptions(cluster)


def service_assumptions(service: PlannedService) -> list[Assumption]:
    """List what shaped a service."""
    plan, spec, at = service.plan, service.spec, f"services.{service.name}"
    settings, given = spec.engine, spec.model_fields_set
    engine = f"hardware_specs/engines/{service.profile.name}.yaml"
    memory = f"memory beside {show(plan.weights_bytes, 'byte')} of weights and the workspace"
    values: tuple[tuple[str, float | str, str, str, bool], ...] = (
        ("plan", service.replicas_told, "name", "the smallest that fits", spec.plan != "auto"),
        ("precision.weights", plan.weights, "name", "16 bit", "precision" in given),
        ("precision.kv", plan.cache, "name", "16 bit", "kv" in spec.precision.model_fields_set),
        ("engine.profile", plan.engine, "name", "the newest of vLLM", "engine" in given),
        ("engine.token_budget", plan.token_budget, "token", engine, settings.token_budget is not None),
        ("engine.max_sequences", plan.max_sequences, "count", engine, settings.max_sequences is not None),
        ("engine.block_size", plan.block_size, "token", engine, settings.block_size is not None),
        ("engine.kv_blocks", plan.kv_blocks, "count", memory, settings.kv_blocks is not None),
        ("engine.host", plan.cost.host_s, "second", engine, settings.host is not None),
        ("router", spec.router, "name", "the usual one", "router" in given),
        ("failure_rate", spec.failure_rate, "per_s", "none unless stated", "failure_rate" in given),
    )
    return [_row(f"{at}.{name}", value, kind, source, given=by) for name, value, kind, source, by in values]


def cluster_assumptions(cluster: ResolvedCluster) -> list[Assumption]:
    """List what shaped cost and energy."""
    chip, spec = cluster.accelerator, cluster.spec
    rows = []
    if spec.price is not None:
        rows.append(_row("cluster.price", spec.price, "usd_per_s", "", given=True))
    elif chip.price_usd_per_s is not None:
        price = chip.price_usd_per_s
        source = f"{price.source} ({price.date})" if price.date else price.source
        rows.append(_row("cluster.price", price.value, "usd_per_s", source, given=False))
    if chip.power_w is not None:
        rows.append(_row("cluster.accelerator.power", chip.power_w.value, "watt", chip.power_w.source, given=False))
    site = "power_usage_effectiveness"
    source = defaults.DEFAULTS[f"cluster.{site}"].source
    rows.append(
        _row(f"cluster.{site}", spec.power_usage_effectiveness, "ratio", source, given=site in spec.model_fields_set)
    )
    return rows


def _row(path: str, value: float | str, dimension: str, source: str, *, given: bool) -> Assumption:
    ours = source in _OURS or path in defaults.DEFAULTS
    by: GivenBy = "user" if given else "default" if ours else "catalogue"
    return Assumption(path, value, dimension, "given by you" if given else source, by)


def _next(service: PlannedService, cluster: ResolvedCluster) -> tuple[str, ...]:
    """Lead on to the same service without a file, where its model and chip have names."""
    plan, chip = service.plan, cluster.accelerator.name
    if service.model.name not in catalog.names("models") or chip not in catalog.names("accelerators"):
        return ()
    flags = [f"--tp {plan.layout.tensor_parallel}"] if plan.layout.tensor_parallel > 1 else []
    flags += [f"--precision {plan.weights}"] if plan.weights != "bf16" else []
    return (" ".join([f"sim howfast {service.model.name} {plan.devices}x{chip}", *flags, "--concurrency 64"]),)

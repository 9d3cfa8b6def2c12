"""The end of a service: its sums, each found in two ways that have to agree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sim.engine.ledger import TOLERANCE, ConservationError
from sim.engine.serving.histogram import Distribution
from sim.engine.serving.recording import ServiceRecording, Timeline
from sim.engine.serving.request import STATUSES
from sim.engine.serving.upkeep import Breaker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.engine.serving.accounts import Accounts
    from sim.engine.serving.group import Group
    from sim.engine.serving.options import ServiceOptions
    from sim.engine.serving.recording import RequestColumns
    from sim.engine.serving.upkeep import Autoscaler
    from sim.engine.world import World
    from sim.plan.serving import ReplicaPlan


class Ended(Protocol):
    """A service that has given its devices back."""

    name: str
    plan: ReplicaPlan
    options: ServiceOptions
    world: World
    accounts: Accounts
    submitted: int
    retries: int
    too_long: int
    statuses: NDArray[np.int64]
    start_s: float
    end_s: float | None
    main: Group
    groups: list[Group]
    upkeep: list[Autoscaler | Breaker]


def close_books(service: Ended, requests: RequestColumns | None, tenants: tuple[str, ...]) -> ServiceRecording:
    """Settle what a service did with the world's ledger and give its recording.

    Raises:
        ConservationError: tokens, blocks or device-seconds were lost or made.
    """
    now_s = service.end_s
    assert now_s is not None, "books are closed when the devices are back"
    for group in service.groups:
        group.meter.flush()
        for replica in group.replicas:
            replica.scheduler.pool.check()
    _check_tokens(service)
    plan, accounts = service.plan, service.accounts
    flop = _flop(service)
    ledger = service.world.ledger
    device_seconds: dict[str, float] = {}
    joules: dict[str, float] = {}
    for group in service.groups:
        watts = group.plan.power_w / group.plan.devices
        for name, seconds in _device_seconds(group, now_s, _drafted_flop(service, group)).items():
            device_seconds[name] = device_seconds.get(name, 0.0) + seconds
            joules[name] = joules.get(name, 0.0) + watts * seconds
            ledger.settle(service.world.now_s, group.account, {name: seconds})
    for purpose, amount in flop.items():
        ledger.post("flop", purpose, amount)
    for group in service.groups:
        ledger.supply("flop", group.plan.cost.flop(*_totals(group)) + _drafted_flop(service, group))
    return ServiceRecording(
        name=service.name,
        start_s=service.start_s,
        end_s=now_s,
        requests=requests,
        tenants=tenants,
        counts=_counts(service),
        inter_token=_gaps(service),
        tokens={
            "prefill": accounts.prefill[0],
            "recomputed": accounts.recompute[0],
            "cached": accounts.cached,
            "delivered": accounts.delivered,
            "refused": accounts.refused[0],
            "wasted prefill": accounts.wasted_prefill[0],
            "wasted output": accounts.wasted,
        },
        flop=flop,
        joules=joules,
        device_seconds=device_seconds,
        kv_blocks=plan.kv_blocks,
        blocks_allocated=sum(replica.scheduler.pool.released for group in service.groups for replica in group.replicas),
        timeline=_timeline(service, now_s),
        devices=plan.devices,
        peak_flop_per_s=plan.peak_flop_per_s,
    )


def _totals(group: Group) -> tuple[int, int, int]:
    """Give tokens, pairs and outputs, as the iterations counted them."""
    meter = group.meter
    return meter.prefill_tokens + meter.decode_tokens, meter.prefill_pairs + meter.decode_pairs, meter.outputs


def _check_tokens(service: Ended) -> None:
    """Assert that every request was done with once, and got what the iterations computed."""
    accounts = service.accounts
    meters = [group.meter for group in service.groups]
    prefill = [sum(pair) for pair in zip(accounts.prefill, accounts.recompute, accounts.wasted_prefill, strict=True)]
    decode = [sum(pair) for pair in zip(accounts.decode, accounts.refused, accounts.wasted_decode, strict=True)]
    agreements = (
        ("requests", service.submitted, int(service.statuses.sum())),
        ("tokens of prefill", prefill[0], sum(meter.prefill_tokens for meter in meters)),
        ("pairs of prefill", prefill[1], sum(meter.prefill_pairs for meter in meters)),
        ("tokens of decode", decode[0], sum(meter.decode_tokens for meter in meters)),
        ("pairs of decode", decode[1], sum(meter.decode_pairs for meter in meters)),
    )
    for what, as_requests, as_iterations in agreements:
        if as_requests != as_iterations:
            raise ConservationError(f"{service.name}: {what}: {as_requests} by requests, {as_iterations} by iterations")


def _flop(service: Ended) -> dict[str, float]:
    accounts, flop = service.accounts, service.plan.cost.flop
    decoded = accounts.decode[0] + accounts.refused[0] + accounts.wasted_decode[0]
    outputs = sum(group.meter.outputs for group in service.groups)
    amounts = {
        # Rows of the head that chunks of prompts computed; those of no use among them.
        "prefill": flop(accounts.prefill[0], accounts.prefill[1], outputs - decoded),
        "decode": flop(accounts.decode[0], accounts.decode[1], accounts.decode[0]),
        "recompute": flop(accounts.recompute[0], accounts.recompute[1], 0),
        "wasted": flop(
            accounts.wasted_prefill[0] + accounts.wasted_decode[0],
            accounts.wasted_prefill[1] + accounts.wasted_decode[1],
            accounts.wasted_decode[0],
        ),
    }
    if service.options.speculation:
        amounts["speculative waste"] = flop(accounts.refused[0], accounts.refused[1], accounts.refused[0])
        amounts["drafting"] = _drafted_flop(service, service.main)
    return amounts


def _drafted_flop(service: Ended, group: Group) -> float:
    """Count the operations of a draft model: prompts, and each drafted token. Heads of the model itself: none."""
    speculation = service.options.speculation
    if speculation is None or speculation.draft is None:
        return 0.0
    meter, drafted = group.meter, speculation.tokens
    turns = meter.decode_tokens // (drafted + 1)
    context = (meter.decode_pairs - turns * drafted * (drafted + 1) // 2) // (drafted + 1)
    return speculation.draft.cost.flop(
        meter.prefill_tokens + turns * drafted, meter.prefill_pairs + context * drafted, turns * drafted
    )


def _device_seconds(group: Group, now_s: float, drafted_flop: float) -> dict[str, float]:
    """Say what the devices of a group did, in device-seconds."""
    plan, meter = group.plan, group.meter
    held_s = group.close(now_s)
    useful_s = (plan.cost.flop(*_totals(group)) + drafted_flop) / plan.peak_flop_per_s
    host_s = meter.iterations * plan.cost.host_s
    exposed_s = meter.communication
    starting_s, down_s = group.seconds["starting"], group.seconds["down"]
    idle_s = held_s - meter.busy_s - group.lost_s - starting_s - down_s
    if abs(idle_s) <= TOLERANCE * held_s:
        idle_s = 0.0  # what is left of sums of many iterations
    seconds = {
        "useful compute": useful_s,
        "kernel inefficiency": meter.busy_s - useful_s - host_s - exposed_s,
        "exposed tensor-parallel communication": exposed_s,
        "host": host_s,
        "lost work": group.lost_s,
        "restart": starting_s,
        "waiting for repair": down_s,
        "waiting for input": idle_s,
    }
    return {name: plan.devices * amount for name, amount in seconds.items() if amount}


def _gaps(service: Ended) -> Distribution:
    """Give the gaps between tokens over all groups."""
    closed = [group.meter.gaps.close() for group in service.groups]
    return Distribution(np.sum([each.weights for each in closed], axis=0), math.fsum(each.total_s for each in closed))


def _counts(service: Ended) -> dict[str, int]:
    counts = dict(zip(STATUSES[1:], service.statuses[1:].tolist(), strict=True))
    replicas = [replica for group in service.groups for replica in group.replicas]
    return counts | {
        "submitted": service.submitted,
        "too long": service.too_long,
        "iterations": sum(group.meter.iterations for group in service.groups),
        "preemptions": sum(replica.scheduler.preemptions for replica in replicas),
        "retries": service.retries,
        "failures": sum(each.failures for each in service.upkeep if isinstance(each, Breaker)),
        "replicas": len(replicas),
        "world events": service.world.events,
    }


def _timeline(service: Ended, now_s: float) -> Timeline:
    drawn = [group.meter.curves(now_s) for group in service.groups]
    bin_s = max(width_s for width_s, _ in drawn)
    bins = min(curves.shape[1] for width_s, curves in drawn if width_s == bin_s)
    curves = np.sum([_widen(curves, round(bin_s / width_s), bins) for width_s, curves in drawn], axis=0)
    prefill, decode, prefill_pairs, decode_pairs, outputs, busy_s, running, waiting, blocks, _ = curves
    flop = service.plan.cost.flop
    per_token, per_pair, per_output = flop(1, 0, 0), flop(0, 1, 0), flop(0, 0, 1)
    total = per_token * (prefill + decode) + per_pair * (prefill_pairs + decode_pairs) + per_output * outputs
    return Timeline(
        bin_s, prefill, decode, prefill_pairs, decode_pairs, outputs, busy_s, running, waiting, blocks, total
    )


def _widen(curves: NDArray[np.float64], times: int, bins: int) -> NDArray[np.float64]:
    """Add so many neighbouring bins up."""
    missing = bins * times - curves.shape[1]
    padded = np.pad(curves, ((0, 0), (0, max(missing, 0))))[:, : bins * times]
    return np.asarray(padded.reshape(len(curves), bins, times).sum(axis=2))

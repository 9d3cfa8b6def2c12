"""The end of a service: its sums, each found in two ways that have to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.engine.ledger import ConservationError
from sim.engine.serving.recording import ServiceRecording, Timeline
from sim.engine.serving.request import STATUSES

if TYPE_CHECKING:
    from sim.engine.serving.recording import RequestColumns
    from sim.engine.serving.service import Service


def close_books(
    service: Service, now_s: float, requests: RequestColumns | None, tenants: tuple[str, ...]
) -> ServiceRecording:
    """Settle what a service did with the world's ledger and give its recording.

    Raises:
        ConservationError: tokens, blocks or device-seconds were lost or made.
    """
    _check_tokens(service)
    for replica in service.replicas:
        replica.scheduler.pool.check()
    plan, meter, accounts = service.plan, service.meter, service.accounts
    flop = _flop(service)
    device_seconds = _device_seconds(service, now_s, sum(flop.values()))
    ledger = service.world.ledger
    account = f"service {service.name}"
    ledger.settle(now_s, account, device_seconds)
    ledger.move(now_s, account, "free", plan.devices * len(service.replicas))
    for purpose, amount in flop.items():
        ledger.post("flop", purpose, amount)
    ledger.supply("flop", plan.cost.flop(*_totals(service)))
    watts = plan.power_w / plan.devices
    joules = {name: watts * seconds for name, seconds in device_seconds.items()}
    return ServiceRecording(
        name=service.name,
        start_s=service.start_s,
        end_s=now_s,
        requests=requests,
        tenants=tenants,
        counts=_counts(service),
        inter_token=meter.gaps.close(),
        tokens={
            "prefill": accounts.prefill[0],
            "recomputed": accounts.recompute[0],
            "cached": accounts.cached,
            "delivered": accounts.delivered,
            "wasted prefill": accounts.wasted_prefill[0],
            "wasted output": accounts.wasted,
        },
        flop=flop,
        joules=joules,
        device_seconds=device_seconds,
        kv_blocks=plan.kv_blocks,
        blocks_allocated=sum(replica.scheduler.pool.released for replica in service.replicas),
        timeline=_timeline(service, now_s),
        devices=plan.devices,
        peak_flop_per_s=plan.peak_flop_per_s,
    )


def _totals(service: Service) -> tuple[int, int, int]:
    """Give tokens, pairs and outputs, as the iterations counted them."""
    meter = service.meter
    return meter.prefill_tokens + meter.decode_tokens, meter.prefill_pairs + meter.decode_pairs, meter.outputs


def _check_tokens(service: Service) -> None:
    """Assert that every request was done with once, and got what the iterations computed."""
    meter, accounts = service.meter, service.accounts
    prefill = [sum(pair) for pair in zip(accounts.prefill, accounts.recompute, accounts.wasted_prefill, strict=True)]
    decode = [sum(pair) for pair in zip(accounts.decode, accounts.wasted_decode, strict=True)]
    agreements = (
        ("requests", service.counts["submitted"], sum(service.statuses)),
        ("tokens of prefill", prefill[0], meter.prefill_tokens),
        ("pairs of prefill", prefill[1], meter.prefill_pairs),
        ("tokens of decode", decode[0], meter.decode_tokens),
        ("pairs of decode", decode[1], meter.decode_pairs),
    )
    for what, as_requests, as_iterations in agreements:
        if as_requests != as_iterations:
            raise ConservationError(f"{service.name}: {what}: {as_requests} by requests, {as_iterations} by iterations")


def _flop(service: Service) -> dict[str, float]:
    accounts, meter, flop = service.accounts, service.meter, service.plan.cost.flop
    decoded = accounts.decode[0] + accounts.wasted_decode[0]
    return {
        # Rows of the head that chunks of prompts computed; those of no use among them.
        "prefill": flop(accounts.prefill[0], accounts.prefill[1], meter.outputs - decoded),
        "decode": flop(accounts.decode[0], accounts.decode[1], accounts.decode[0]),
        "recompute": flop(accounts.recompute[0], accounts.recompute[1], 0),
        "wasted": flop(
            accounts.wasted_prefill[0] + accounts.wasted_decode[0],
            accounts.wasted_prefill[1] + accounts.wasted_decode[1],
            accounts.wasted_decode[0],
        ),
    }


def _device_seconds(service: Service, now_s: float, flop: float) -> dict[str, float]:
    plan, meter = service.plan, service.meter
    useful_s = flop / plan.peak_flop_per_s
    host_s = meter.iterations * plan.cost.host_s
    exposed_s = meter.communication
    held_s = len(service.replicas) * (now_s - service.start_s)
    seconds = {
        "useful compute": useful_s,
        "kernel inefficiency": meter.busy_s - useful_s - host_s - exposed_s,
        "exposed tensor-parallel communication": exposed_s,
        "host": host_s,
        "waiting for input": held_s - meter.busy_s,
    }
    return {name: plan.devices * amount for name, amount in seconds.items()}


def _counts(service: Service) -> dict[str, int]:
    counts = dict(zip(STATUSES[1:], service.statuses[1:], strict=True))
    return counts | {
        "submitted": service.counts["submitted"],
        "too long": service.counts["too long"],
        "iterations": service.meter.iterations,
        "preemptions": sum(replica.scheduler.preemptions for replica in service.replicas),
        "retries": service.counts["retries"],
        "replicas": len(service.replicas),
        "world events": service.world.events,
    }


def _timeline(service: Service, now_s: float) -> Timeline:
    bin_s, curves = service.meter.curves(now_s)
    prefill, decode, prefill_pairs, decode_pairs, outputs, busy_s, running, waiting, blocks, _ = curves
    flop = service.plan.cost.flop
    per_token, per_pair, per_output = flop(1, 0, 0), flop(0, 1, 0), flop(0, 0, 1)
    total = per_token * (prefill + decode) + per_pair * (prefill_pairs + decode_pairs) + per_output * outputs
    return Timeline(
        bin_s,
        prefill,
        decode,
        prefill_pairs,
        decode_pairs,
        outputs,
        busy_s,
        running,
        waiting,
        blocks,
        np.asarray(total),
    )

"""What each kind of device of a shared cluster did, drew and cost, where there are several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sim.engine.ledger import FREE
from sim.results.run_report import Column, Section, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.engine.cluster.recording import ClusterRecording, KindAccounts

_IDLE = (FREE, "down")


@dataclass(frozen=True, slots=True)
class Bill:
    """What the devices of one kind drew and cost; None where price or power is not known."""

    kind: str
    accelerator: str
    energy_j: float | None
    cost_usd: float | None
    co2_kg: float | None


def total(bills: Sequence[Bill], name: Literal["energy_j", "cost_usd", "co2_kg"]) -> float | None:
    """Add up one column; None where one of its cells is not known."""
    found = 0.0
    for each in bills:
        amount = getattr(each, name)
        if amount is None:
            return None
        found += amount
    return found


def values(recording: ClusterRecording, bills: Sequence[Bill]) -> dict[str, Value]:
    """Give the figures of each kind under dotted names."""
    found: dict[str, Value] = {}
    for each, paid in zip(recording.by_kind, bills, strict=True):
        prefix = f"kinds.{each.kind}"
        found[f"{prefix}.allocated"] = Value(_held(recording, each), "fraction", "higher")
        if paid.energy_j is not None:
            found[f"{prefix}.energy_j"] = Value(paid.energy_j, "joule", "lower")
        if paid.cost_usd is not None:
            found[f"{prefix}.cost_usd"] = Value(paid.cost_usd, "usd", "lower")
    return found


def section(recording: ClusterRecording, bills: Sequence[Bill]) -> Section:
    """Give the table of kinds that people read."""
    whole_s = recording.wall_clock_s
    rows = tuple(
        (
            each.kind,
            paid.accelerator,
            float(each.devices),
            _held(recording, each),
            each.device_seconds.get("useful compute", 0.0) / (each.devices * whole_s) if whole_s else 0.0,
            each.device_seconds.get("down", 0.0) / (each.devices * whole_s) if whole_s else 0.0,
            paid.energy_j,
            paid.cost_usd,
        )
        for each, paid in zip(recording.by_kind, bills, strict=True)
    )
    columns = (
        Column("kind"),
        Column("accelerator"),
        Column("devices", "count"),
        Column("held", "fraction"),
        Column("useful", "fraction"),
        Column("down", "fraction"),
        Column("energy", "joule"),
        Column("cost", "usd"),
    )
    note = (
        "held, useful, down: device-seconds over all of that kind; energy and cost: of all its devices to the last "
        "end, idle ones included. A run time holds for a kind of speed 1; jobs that name no speeds are as fast on all."
    )
    return Section("kinds", "Kinds of device", columns, rows, note)


def _held(recording: ClusterRecording, each: KindAccounts) -> float:
    whole = each.devices * recording.wall_clock_s
    idle = sum(each.device_seconds.get(name, 0.0) for name in _IDLE)
    return 1.0 - idle / whole if whole else 0.0

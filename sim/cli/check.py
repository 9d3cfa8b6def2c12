"""Validate a scenario file and show what it resolves to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import output

if TYPE_CHECKING:
    from sim.plan.training import Prepared


def check(
    scenario: Annotated[Path, typer.Argument(help="Scenario file.", show_default=False)],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: cluster.count=4096.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Validate a scenario file and show what it resolves to.

    Nothing is simulated: the layout is chosen, and the run is known up to its luck.
    """
    from sim.plan.training import prepare
    from sim.results.assumptions import collect
    from sim.study.scenarios import load_scenario

    loaded = load_scenario(scenario, changes or ())
    prepared = prepare(loaded.cluster, loaded.training)
    resolved = resolve(prepared)
    if json:
        from sim.results.answer import unit

        rows = [row.to_dict(unit(row.dimension)) for row in collect(prepared)]
        output.write_json({"name": loaded.name, "valid": True, "resolved": resolved, "assumptions": rows})
        return
    output.write(f"{loaded.name}: valid")
    for name, value in resolved.items():
        output.write(output.wrapped(str(value), f"  {name.replace('_', ' '):<24}"))
    output.write("")
    from sim.cli.answer import assumed

    for row in collect(prepared):
        text = f"{assumed(row)} ({row.given_by}: {row.source})"
        output.write(output.wrapped(text, f"  {row.path} = "))


def resolve(prepared: Prepared) -> dict[str, Any]:
    """Say what the names and the words auto stand for."""
    run, training = prepared.run, prepared.training
    model = training.model
    return {
        "accelerator": prepared.cluster.accelerator.name,
        "devices": run.devices,
        "active_devices": run.active_devices,
        "node": None if prepared.cluster.node is None else prepared.cluster.node.name,
        "fabric": None if prepared.cluster.fabric is None else prepared.cluster.fabric.name,
        "model": f"{model.name}: {model.layers} layers x {model.hidden}, {prepared.parameters:,} parameters",
        "tokens": training.tokens,
        "model_flop": training.model_flop,
        "steps": run.steps,
        "step_s": run.step_s,
        "layout": "given step"
        if prepared.layout is None
        else ", ".join(f"{k} {v}" for k, v in prepared.layout.items()),
        "memory_bytes": None if prepared.memory is None else prepared.memory["total"],
        "checkpoint_interval_s": run.interval_s,
        "checkpoint_write_s": run.write_s,
        "interruptions_per_day": run.hazard_per_s * 86400,
    }

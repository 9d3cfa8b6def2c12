"""Validate a scenario file and show what it resolves to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output

if TYPE_CHECKING:
    from sim.plan.training import Prepared
    from sim.spec.scenario import Scenario


def check(
    scenario: Annotated[Path, typer.Argument(help="Scenario file.", show_default=False)],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: cluster.count=4096.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Load a policy of the scenario's own.")] = False,
) -> None:
    """Validate a scenario file and show what it resolves to.

    Nothing is simulated: the layout is chosen, and the run is known up to its luck.
    """
    from sim.plan.training import prepare
    from sim.results.assumptions import collect
    from sim.spec.load import load_document, read_scenario

    loaded = read_scenario(load_document(scenario, changes or ()))
    if not loaded.is_one_training:
        _check_shared(loaded, json=json, allow_code=allow_code)
        return
    prepared = prepare(loaded.one_cluster, loaded.training)
    prepared.expected()  # refuses a run that would never end
    if json:
        from sim.results.answer import unit

        resolved = {name: value for name, value, _ in resolve(prepared)}
        rows = [row.to_dict(unit(row.dimension)) for row in collect(prepared)]
        output.write_json({"name": loaded.name, "valid": True, "resolved": resolved, "assumptions": rows})
        return
    from sim.units import show

    output.write(f"{loaded.name}: valid")
    for name, value, dimension in resolve(prepared):
        text = show(value, dimension) if dimension and isinstance(value, (int, float)) else str(value)
        label = name.removesuffix("_per_s").removesuffix("_s").removesuffix("_bytes").replace("_", " ")
        output.write(output.wrapped(text, f"  {label:<24}"))
    output.write("")
    for row in collect(prepared):
        output.write(output.wrapped(f"{row.shown} ({row.given_by}: {row.source})", f"  {row.path} = "))


def _check_shared(scenario: Scenario, *, json: bool, allow_code: bool) -> None:
    """Check services, graphs and jobs."""
    from sim.study.checks import check_scenario

    checked = check_scenario(scenario, allow_code=allow_code)
    if json:
        sections = {section.name: section.to_dict() for section in checked.sections}
        output.write_json({"name": checked.name, "valid": True, "sections": sections})
        return
    from sim.cli.run_report import draw_section

    output.write(f"{checked.name}: valid")
    for section in checked.sections:
        draw_section(section)


def resolve(prepared: Prepared) -> list[tuple[str, str | float | None, str]]:
    """Say what the names and the words auto stand for: name, value in SI, dimension to show it in."""
    run, training, cluster = prepared.run, prepared.training, prepared.cluster
    model, layout, memory = training.model, prepared.layout, prepared.memory
    degrees = "none: the step is given" if layout is None else ", ".join(f"{k} {v}" for k, v in layout.items())
    return [
        ("accelerator", cluster.accelerator.name, ""),
        ("devices", run.devices, "count"),
        ("active_devices", run.active_devices, "count"),
        ("node", None if cluster.node is None else cluster.node.name, ""),
        ("fabric", None if cluster.fabric is None else cluster.fabric.name, ""),
        ("model", f"{model.name}: {model.layers} layers x {model.hidden}", ""),
        ("parameters", prepared.parameters, "count"),
        ("tokens", training.tokens, "token"),
        ("model_flop", training.model_flop, "flop"),
        ("steps", run.steps, "count"),
        ("step_s", run.step_s, "second"),
        ("layout", degrees, ""),
        ("memory_bytes", None if memory is None else memory["total"], "byte"),
        ("checkpoint_interval_s", run.interval_s, "second"),
        ("checkpoint_write_s", run.write_s, "second"),
        ("hazard_per_s", run.hazard_per_s, "per_s"),
    ]

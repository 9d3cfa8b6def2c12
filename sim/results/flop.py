"""Total FLOP of a run on two axes: what is counted, and how it is weighted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cost.precision import WeightedFlop, weigh

if TYPE_CHECKING:
    from sim.plan.training import Prepared
    from sim.results.outcome import Outcome


def accounts(prepared: Prepared, outcome: Outcome) -> dict[str, WeightedFlop]:
    """Give model, hardware and executed FLOP of the whole run, each on three scales.

    model: what the mathematics needs. hardware: with recompute. executed: with what interruptions made the run redo.
    """
    run, recipe = prepared.run, prepared.work.recipe
    peaks = {name: number.value for name, number in prepared.cluster.accelerator.peak_flop_per_s.items()}
    count = prepared.work.flop_per_token
    model_wide = (3 * count.attention + count.weight_passes * count.head) / count.training
    repeated = run.hardware_flop_per_step / run.tokens_per_step - count.training
    repeated_layers = count.layers if prepared.layout is not None and prepared.layout["recompute"] == "full" else 0.0
    hardware_wide = model_wide * count.training + repeated - repeated_layers
    hardware_wide *= run.tokens_per_step / run.hardware_flop_per_step

    def weighted(operations: float, wide_share: float) -> WeightedFlop:
        amounts = {recipe.gemm_precision: operations * (1 - wide_share)}
        amounts[recipe.wide_precision] = amounts.get(recipe.wide_precision, 0.0) + operations * wide_share
        return weigh(amounts, dict(peaks))

    model = run.steps * run.model_flop_per_step
    hardware = run.steps * run.hardware_flop_per_step
    executed = hardware + outcome.lost_compute_s / run.step_s * run.hardware_flop_per_step
    return {
        "model": weighted(model, model_wide),
        "hardware": weighted(hardware, hardware_wide),
        "executed": weighted(executed, hardware_wide),
    }

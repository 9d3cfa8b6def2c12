"""Fold a run into an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.cost.parameters import count
from sim.cost.scaling import expected_loss
from sim.results import assumptions, flop, thresholds
from sim.results.answer import Answer, Lever, Utilization

if TYPE_CHECKING:
    from sim.plan.training import Prepared
    from sim.results.outcome import Outcome
    from sim.results.spread import Interval

RULE_OF_THUMB_MFU = 0.4
KERNELS = ("useful compute", "kernel inefficiency", "recompute", "optimizer")
"""Accounts of a step during which kernels run on the device."""
UNHELD = ("free", "down")


@dataclass(frozen=True, slots=True)
class Telling:
    """What the asker adds to a run: the words, the levers and where it came from."""

    question: dict[str, Any]
    sentence: str
    answer: dict[str, Any]
    levers: tuple[Lever, ...]
    next: tuple[str, ...]
    provenance: dict[str, Any]
    scenario_text: str
    thresholds: tuple[thresholds.Threshold, ...] = ()


def build(prepared: Prepared, outcome: Outcome, spread: Interval, telling: Telling) -> Answer:
    """Fold a run, what happened to it and how sure that is into the answer."""
    run, cluster = prepared.run, prepared.cluster
    amounts = flop.accounts(prepared, outcome)
    price = cluster.spec.price
    if price is None and cluster.accelerator.price_usd_per_s is not None:
        price = cluster.accelerator.price_usd_per_s.value
    missing = []
    if price is None:
        missing.append(
            f"cost: the catalogue has no price for {cluster.accelerator.name}; give one with --price '2.50 USD/h'"
        )
    if prepared.power is None:
        missing.append(f"energy: the catalogue has no power for {cluster.accelerator.name}")
    energy_j = outcome.energy_j if prepared.power is not None else None
    return Answer(
        question=telling.question,
        sentence=telling.sentence,
        width=width_in_words(spread),
        answer=telling.answer,
        wall_clock_s=spread.spread,
        device_hours=run.devices * outcome.wall_clock_s / 3600,
        utilization=utilization(prepared, outcome, amounts["executed"].operations),
        parts=outcome.parts,
        flop=amounts,
        energy_j=energy_j,
        cost_usd=None if price is None else price * run.devices * outcome.wall_clock_s,
        co2_kg=None if energy_j is None else energy_j * cluster.spec.carbon,
        missing=tuple(missing),
        expected_loss=expected_loss(float(prepared.parameters), prepared.training.tokens),
        rule_of_thumb_s=rule_of_thumb_s(prepared),
        model=_model(prepared),
        plan=_plan(prepared),
        levers=telling.levers,
        assumptions=assumptions.collect(prepared),
        crossings=thresholds.crossings(
            outcome.wall_clock_s, amounts["model"].operations, amounts["executed"].operations, telling.thresholds
        ),
        events={"interruptions": outcome.interruptions, "checkpoints": outcome.checkpoints},
        next=telling.next,
        provenance=telling.provenance,
        cluster=cluster.accelerator.name,
        scenario_text=telling.scenario_text,
    )


def utilization(prepared: Prepared, outcome: Outcome, executed_flop: float) -> Utilization:
    """Give the shares of capacity and time; every one is at most 1."""
    run, wall_clock_s = prepared.run, outcome.wall_clock_s
    seconds = dict(outcome.parts)
    held_s = wall_clock_s - sum(seconds.get(name, 0.0) for name in UNHELD)
    kernel_s = sum(dict(run.step_parts).get(name, 0.0) for name in KERNELS)
    stepping_s = run.useful_s + outcome.lost_compute_s
    busy_s = stepping_s * kernel_s / run.step_s * run.active_devices / run.devices
    capacity = run.devices * wall_clock_s * prepared.peak_flop_per_s
    return Utilization(
        allocated=held_s / wall_clock_s,
        busy=busy_s / wall_clock_s,
        ettr=run.useful_s / wall_clock_s,
        mfu_step=run.model_flop_per_step / (run.step_s * run.active_devices * prepared.peak_flop_per_s),
        mfu_run=run.steps * run.model_flop_per_step / capacity,
        hfu_run=executed_flop / capacity,
        peak_precision=prepared.work.recipe.gemm_precision,
    )


def rule_of_thumb_s(prepared: Prepared) -> float:
    """Give what most people would say: 6 N D over peak x 0.4, with nothing ever going wrong.

    N are the parameters that a token meets, its embedding included: all of them, but for a mixture of experts.
    """
    flop = 6 * _met_parameters(prepared) * prepared.training.tokens
    return flop / (prepared.run.devices * prepared.peak_flop_per_s * RULE_OF_THUMB_MFU)


def _met_parameters(prepared: Prepared) -> int:
    counted = count(prepared.training.model)
    return min(counted.active + counted.embedding, counted.total)


def width_in_words(spread: Interval) -> str:
    """Say what makes the interval wide."""
    if spread.luck_share + spread.model_share == 0:
        return "No interval: nothing interrupts this run, and its step was given."
    luck, model = round(100 * spread.luck_share), round(100 * spread.model_share)
    return f"The interval (variance): {model} % error of the step model, {luck} % luck of the run."


def _model(prepared: Prepared) -> dict[str, Any]:
    model = prepared.training.model
    return {
        "name": model.name,
        "parameters": prepared.parameters,
        "active_parameters": _met_parameters(prepared),
        "tokens": prepared.training.tokens,
        "tokens_per_parameter": prepared.training.tokens / prepared.parameters,
        "layers": model.layers,
        "hidden": model.hidden,
        "heads": model.heads,
        "kv_heads": model.kv_heads,
        "ffn_hidden": model.ffn_hidden,
        "vocab": model.vocab,
        "sequence": prepared.work.sequence,
        "sized_by": prepared.training.sized_by,
    }


def _plan(prepared: Prepared) -> dict[str, Any]:
    run = prepared.run
    return {
        "layout": prepared.layout,
        "memory_bytes": prepared.memory,
        "active_devices": run.active_devices,
        "devices": run.devices,
        "global_batch": prepared.work.global_batch,
        "steps": run.steps,
        "step_s": run.step_s,
        "step_parts": [{"name": name, "seconds": seconds} for name, seconds in run.step_parts],
        "step_given_by": prepared.step_given_by,
        "checkpoint_interval_s": run.interval_s,
        "checkpoint_write_s": run.write_s,
    }

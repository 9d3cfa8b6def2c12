"""How each figure of a result follows from others: a formula in words, its inputs, and the arithmetic itself.

Where ``evaluate`` is given, the tests hold it against every scenario: an explanation that does not give the number
is no explanation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DALY = "J. T. Daly 2006, Future Generation Computer Systems 22, 303-312"
EXPECTED = "answer.wall_clock_s.expected"
PEAK = "cluster.accelerator.peak_flop_per_s.*"
USEFUL = ("plan.steps", "plan.step_s")
RULE_OF_THUMB_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Formula:
    """One figure and what it is made of."""

    meaning: str
    text: str
    inputs: tuple[str, ...] = ()
    """Paths of figures or assumptions; a part with * is the one that there is."""
    evaluate: Callable[..., float] | None = None
    """From the inputs, in their order and in SI."""
    source: str = ""


def _expected(
    steps: float, step_s: float, interval_s: float, write_s: float, rate: float, active: float, restart_s: float
) -> float:
    hazard = rate * active
    intervals = steps * step_s / interval_s
    if not hazard:
        return steps * step_s + intervals * write_s
    return intervals / hazard * math.exp(restart_s * hazard) * math.expm1((interval_s + write_s) * hazard)


def _lost(steps: float, step_s: float, interval_s: float, write_s: float, rate: float, active: float) -> float:
    hazard = rate * active
    count = steps * step_s / interval_s
    if not hazard:
        return 0.0
    write = math.expm1(write_s * hazard) / hazard - write_s
    compute = math.exp(write_s * hazard) * math.expm1(interval_s * hazard) / hazard - interval_s
    return count * (write + compute)


def _quantile(meaning: str, which: str) -> Formula:
    text = f"{which} of expected time x luck of the seeds x lognormal error of the step model"
    return Formula(meaning, text, (EXPECTED, "step model error"))


def _share_of_peak(meaning: str, text: str, inputs: tuple[str, ...]) -> Formula:
    """Divide the first input by the product of the others."""
    source = "Chowdhery et al. 2022 (arXiv:2204.02311), appendix B"
    return Formula(meaning, text, inputs, lambda flop, *capacity: flop / math.prod(capacity), source)


_INTERRUPTED = (
    *USEFUL, "plan.checkpoint_interval_s", "plan.checkpoint_write_s", "cluster.failure_rate", "plan.active_devices",
)  # fmt: skip

_BITS16 = Formula("The same operations, each weighted with its bits.", "operations x bits / 16, summed over precisions")
_DEVICE_TIME16 = Formula(
    "What the chip could have done at 16 bit in the same time.",
    "operations x dense 16-bit peak / dense peak of their precision, summed over precisions",
)

TRAINING: dict[str, Formula] = {
    EXPECTED: Formula(
        "Mean time of the run over all its possible interruptions.",
        "intervals x M x e^(restart/M) x (e^((interval + write)/M) - 1), M = 1 / (failure rate x active devices), "
        "intervals = steps x step time / interval",
        (*_INTERRUPTED, "cluster.restart"),
        _expected,
        DALY,
    ),
    "answer.wall_clock_s.p10": _quantile("One in ten runs is faster.", "10th percentile"),
    "answer.wall_clock_s.p50": _quantile("Half of the runs are faster.", "median"),
    "answer.wall_clock_s.p90": _quantile("Nine in ten runs are faster.", "90th percentile"),
    "answer.device_hours": Formula(
        "Device-hours of the expected run, idle devices included.",
        "expected time x devices / 3600",
        (EXPECTED, "plan.devices"),
        lambda seconds, devices: seconds * devices / 3600,
    ),
    "plan.step_s": Formula(
        "Time of one optimizer step.",
        "sum of the parts of the step",
        ("plan.step_parts.*",),
        lambda *parts: sum(parts),
    ),
    "plan.steps": Formula(
        "Optimizer steps of the run.",
        "tokens / (sequences of a step x tokens of a sequence)",
        ("model.tokens", "plan.global_batch", "model.sequence"),
        lambda tokens, batch, length: tokens / (batch * length),
    ),
    "plan.checkpoint_write_s": Formula(
        "Time that a checkpoint stops the run.",
        "parameters x bytes of state a parameter / bandwidth",
        ("model.parameters", "training.checkpoint.bytes_per_parameter", "training.checkpoint.bandwidth"),
        lambda parameters, each, bandwidth: parameters * each / bandwidth,
    ),
    "plan.checkpoint_interval_s": Formula(
        "Useful time between two checkpoints.",
        "given, or the optimum: sqrt(2 x write x M) x (1 + sqrt(write/(2 M))/3 + write/(18 M)) - write, rounded so "
        "that it divides the run; M = 1 / (failure rate x active devices)",
        ("training.checkpoint.interval", "plan.checkpoint_write_s", "cluster.failure_rate", "plan.active_devices"),
        None,
        DALY,
    ),
    "plan.memory_bytes.total": Formula(
        "Memory that a device needs.",
        "weights + gradients + optimizer + activations + reserve",
        tuple(f"plan.memory_bytes.{name}" for name in ("weights", "gradients", "optimizer", "activations", "reserve")),
        lambda *parts: sum(parts),
    ),
    "events.interruptions": Formula(
        "Interruptions of the expected run.",
        "expected time x failure rate x active devices",
        (EXPECTED, "cluster.failure_rate", "plan.active_devices"),
        lambda *factors: math.prod(factors),
    ),
    "events.checkpoints": Formula(
        "Checkpoints of the run.",
        "steps x step time / interval",
        (*USEFUL, "plan.checkpoint_interval_s"),
        lambda steps, step_s, interval_s: steps * step_s / interval_s,
    ),
    "utilization.mfu_step": _share_of_peak(
        "Model FLOP over peak x time, on active devices during a step.",
        "model FLOP / (steps x step time x active devices x peak)",
        ("flop.model.operations", *USEFUL, "plan.active_devices", PEAK),
    ),
    "utilization.mfu_run": _share_of_peak(
        "Model FLOP over peak x time, on all devices over the whole run.",
        "model FLOP / (expected time x devices x peak)",
        ("flop.model.operations", EXPECTED, "plan.devices", PEAK),
    ),
    "utilization.hfu_run": _share_of_peak(
        "Executed FLOP over peak x time, on all devices over the whole run.",
        "executed FLOP / (expected time x devices x peak)",
        ("flop.executed.operations", EXPECTED, "plan.devices", PEAK),
    ),
    "utilization.ettr": Formula(
        "Effective training time ratio: stepping that was kept over wall-clock.",
        "steps x step time / expected time",
        (*USEFUL, EXPECTED),
        lambda steps, step_s, seconds: steps * step_s / seconds,
        "Kokolis et al. 2024 (arXiv:2410.21680)",
    ),
    "utilization.allocated": Formula(
        "Device-seconds held by the run over capacity.",
        "1 - (free + down) / expected time",
        ("parts.*",),
    ),
    "utilization.busy": Formula(
        "Device-seconds in kernels, also of work that was lost, over capacity.",
        "(steps x step time + stepping redone) x share of kernels in a step / expected time, on active devices",
        ("plan.step_parts.*", "flop.executed.operations", "flop.hardware.operations", EXPECTED),
    ),
    "flop.model.operations": Formula(
        "Operations that the mathematics needs; a multiply-add is two.",
        "tokens x operations a token: every matrix product once forward and twice backward, the causal half of "
        "attention, the LM head; no embedding look-up",
        ("model.tokens", "model.active_parameters", "model.sequence"),
        None,
        "operator count of the model",
    ),
    "flop.hardware.operations": Formula(
        "Model operations and those that recompute repeats.",
        "steps x operations of a step, recompute included",
        ("plan.steps", "plan.layout.recompute", "flop.model.operations"),
        None,
        "operator count of the layout",
    ),
    "flop.executed.operations": Formula(
        "All operations, those that interruptions made the run redo included.",
        "hardware operations x (1 + stepping redone / (steps x step time))",
        ("flop.hardware.operations", *_INTERRUPTED),
    ),
    "flop.?.bits16": _BITS16,
    "flop.?.device_time16": _DEVICE_TIME16,
    "energy_j": Formula(
        "Energy at the meter.",
        "board power x node factor x PUE x devices x expected time",
        (
            "cluster.accelerator.power_w",
            "cluster.node.power_factor",
            "cluster.power_usage_effectiveness",
            "plan.devices",
            EXPECTED,
        ),
        lambda *factors: math.prod(factors),
        "definition of PUE (ISO/IEC 30134-2)",
    ),
    "cost_usd": Formula(
        "Rent of all devices.",
        "price of a device x devices x expected time",
        ("cluster.price", "plan.devices", EXPECTED),
        lambda *factors: math.prod(factors),
    ),
    "co2_kg": Formula(
        "CO2 of the energy.",
        "energy x carbon of the grid",
        ("energy_j", "cluster.carbon"),
        lambda *factors: math.prod(factors),
    ),
    "rule_of_thumb_s": Formula(
        "What most people would say; nothing ever goes wrong.",
        "6 x parameters that a token meets x tokens / (devices x peak x 0.4)",
        ("model.active_parameters", "model.tokens", "plan.devices", PEAK),
        lambda parameters, tokens, devices, peak: 6 * parameters * tokens / (devices * peak * RULE_OF_THUMB_SHARE),
        "Kaplan et al. 2020 (arXiv:2001.08361): 6 N D",
    ),
    "expected_loss.value": Formula(
        "Training loss that the scaling law expects, in nats a token.",
        "E + A / N^alpha + B / D^beta",
        ("model.parameters", "model.tokens"),
        None,
        "see expected_loss.source",
    ),
    "model.tokens_per_parameter": Formula(
        "Tokens of the run over parameters.",
        "tokens / parameters",
        ("model.tokens", "model.parameters"),
        lambda tokens, parameters: tokens / parameters,
    ),
    "parts.checkpoint": Formula(
        "Writing checkpoints while training stands still.",
        "steps x step time / interval x write x active / devices",
        (*USEFUL, "plan.checkpoint_interval_s", "plan.checkpoint_write_s", "plan.active_devices", "plan.devices"),
        lambda steps, step_s, interval_s, write_s, active, devices: (
            steps * step_s / interval_s * write_s * active / devices
        ),
    ),
    "parts.lost work": Formula(
        "Stepping that no checkpoint held, and writes that were cut.",
        "intervals x (M e^(write/M) (e^(interval/M) - 1) - interval + M (e^(write/M) - 1) - write) x active / devices",
        (*_INTERRUPTED, "plan.devices"),
        lambda *each: _lost(*each[:-1]) * each[-2] / each[-1],
        DALY,
    ),
    "parts.restart": Formula(
        "Detection and restart after interruptions.",
        "expected time x (1 - e^(-restart/M)) x active / devices",
        (EXPECTED, "cluster.restart", "cluster.failure_rate", "plan.active_devices", "plan.devices"),
        lambda seconds, restart_s, rate, active, devices: (
            -seconds * math.expm1(-restart_s * rate * active) * active / devices
        ),
        DALY,
    ),
    "parts.allocated idle": Formula(
        "Devices that the layout cannot use.",
        "expected time x (1 - active / devices)",
        (EXPECTED, "plan.active_devices", "plan.devices"),
        lambda seconds, active, devices: seconds * (1 - active / devices),
    ),
    "parts.?": Formula(
        "An account of the step, over all steps and averaged over all devices.",
        "steps x its time in a step x active / devices",
        ("plan.steps", "plan.step_parts.?", "plan.active_devices", "plan.devices"),
        lambda steps, each_s, active, devices: steps * each_s * active / devices,
    ),
    "plan.step_parts.?": Formula(
        "An account of one step under the layout that was chosen.",
        "costs of the layers, of communication that nothing hides, and of the schedule; see docs/model.md",
        ("training.plan", "training.batch", "training.profile.kernel_slowdown", PEAK),
    ),
    "levers.?": Formula(
        "Expected time of the same run with this one change.",
        "the whole model with one value changed",
        (EXPECTED,),
    ),
    "thresholds.?.model_crossed_at_s": Formula(
        "When model operations cross it, at the average rate of the run.",
        "expected time x threshold / model FLOP",
        (EXPECTED, "thresholds.?.flop", "flop.model.operations"),
        lambda seconds, flop, total: seconds * flop / total,
    ),
    "thresholds.?.executed_crossed_at_s": Formula(
        "When executed operations cross it, at the average rate of the run.",
        "expected time x threshold / executed FLOP",
        (EXPECTED, "thresholds.?.flop", "flop.executed.operations"),
        lambda seconds, flop, total: seconds * flop / total,
    ),
    "simulated.parts.?": Formula("An account of the simulated runs.", "mean over the seeds, averaged over all devices"),
    "simulated.wall_clock_s.expected": Formula("Time of the simulated runs.", "mean over the seeds"),
    "simulated.interruptions": Formula("Interruptions of the simulated runs.", "mean over the seeds"),
    "simulated.checkpoints": Formula("Checkpoints of the simulated runs.", "mean over the seeds"),
    "simulated.energy_j": Formula("Energy of the simulated runs.", "mean over the seeds of power x time not down"),
}
"""By path; ? stands for one name."""
UNDISTURBED = Formula(
    "Time of the run; nothing interrupts an ideal machine.",
    "steps x step time",
    USEFUL,
    lambda *factors: math.prod(factors),
)
BY_SIMULATION = ("free", "down", "waiting for repair")
"""Accounts that only a simulation has: with them the answer is the mean of the seeds, and no closed form gives it."""
NOT_BY_SIMULATION = (
    EXPECTED,
    "parts.checkpoint",
    "parts.lost work",
    "parts.restart",
    "parts.allocated idle",
    "parts.?",
    "events.interruptions",
    "events.checkpoints",
    "energy_j",
)

RUN: dict[str, Formula] = {
    "wall_clock_s": Formula("Simulated time from the start to the end of the run.", "the clock of the simulation"),
    "parts.?": Formula(
        "Device-seconds of an account, as seconds of wall-clock.",
        "device-seconds in the account / devices",
        ("devices",),
    ),
    "utilization.?": Formula(
        "Share of capacity x time in an account.",
        "its seconds / wall-clock",
        ("parts.?", "wall_clock_s"),
        lambda seconds, wall_clock_s: seconds / wall_clock_s,
    ),
    "energy_j": Formula(
        "Energy at the meter.", "power of each device in each account x time, node factor and PUE included"
    ),
    "cost_usd": Formula(
        "Rent of all devices.", "price of a device x devices x wall-clock", ("devices", "wall_clock_s")
    ),
    "co2_kg": Formula("CO2 of the energy.", "energy x carbon of the grid", ("energy_j",)),
    "tokens.?": Formula(
        "Tokens of the run, by what became of them.", "counted as they were made; conserved by the ledger"
    ),
    "flop.?.operations": Formula(
        "Operations of the run by purpose; a multiply-add is two.", "counted as they were executed"
    ),
    "flop.?.bits16": _BITS16,
    "flop.?.device_time16": _DEVICE_TIME16,
    "devices": Formula("Devices of the cluster.", "as the scenario gives them"),
}

OF_SERVICES: dict[str, Formula] = {
    "energy_j": Formula(
        "Energy at the meter.", "sum over the services", ("*.energy_j",), lambda *energies: math.fsum(energies)
    ),
    "cost_usd": Formula(
        "Rent of all devices.", "sum over the services", ("*.cost_usd",), lambda *costs: math.fsum(costs)
    ),
}
"""Totals where services have the cluster to themselves."""

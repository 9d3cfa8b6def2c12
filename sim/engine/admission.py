"""Decide before a play starts whether it can be played, so that no hopeless run starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.cost.reliability import RunParameters, expected_run, refuse_endless, whole_interval_s
from sim.errors import LimitError, ScenarioError

if TYPE_CHECKING:
    from sim.plan.run import TrainingRun

MAX_INTERRUPTIONS = 1_000_000
"""Interruptions of one play, expected or met, before it is refused; each costs some 20 microseconds and 300 bytes."""


MAX_AMOUNT = 1e290
"""Operations, operations/s, tokens or joules of a run: beyond it, sums leave the range of floats."""


def admit(run: TrainingRun, max_interruptions: int = MAX_INTERRUPTIONS) -> None:
    """Refuse a run that contradicts itself, that could never finish, or that would exceed the limit.

    Raises:
        ScenarioError: the numbers of the run contradict each other.
        InfeasibleError: interruptions would keep the run from ever finishing.
        LimitError: more than ``max_interruptions`` are to be expected.
    """
    _check(run)
    _refuse_hopeless(run, max_interruptions)


def too_many_interruptions(run: TrainingRun, about: str, interruptions: float, limit: int) -> LimitError:
    """Give the error of a run that meets more interruptions than a play may have."""
    return LimitError(
        f"a simulated run may have at most {limit} interruptions",
        value=f"{about} {interruptions:.6g}, one every {1 / run.hazard_per_s:.4g} s of wall-clock",
        where=f"training {run.name}",
        mend="a shorter run, fewer devices or a lower failure rate; the expected time needs no simulation; "
        "play(..., max_interruptions=...) raises the limit",
    )


def _refuse_hopeless(run: TrainingRun, max_interruptions: int) -> None:
    """Decide by the closed form whether the play can end at all, and within its limit."""
    run.parameters  # noqa: B018 - names a value that is no duration before it is rounded away
    interval_s = whole_interval_s(run.useful_s, run.interval_s)
    parameters = RunParameters(run.useful_s, interval_s, run.write_s, run.hazard_per_s, run.restart_s)
    expected = expected_run(parameters)
    refuse_endless(parameters, expected)
    if expected.interruptions > max_interruptions:
        raise too_many_interruptions(run, "some", float(expected.interruptions), max_interruptions)


def _check(run: TrainingRun) -> None:
    """Refuse a run that cannot be one."""
    spares = run.spare_nodes * run.devices_per_node
    parts_s = sum(seconds for _, seconds in run.step_parts)
    rules = (
        (0 < run.step_s < math.inf, "step_s must be a finite number above 0", run.step_s),
        (0 < run.useful_s < math.inf, "steps x step_s must be a finite number above 0", run.useful_s),
        (run.devices_per_node >= 1, "devices_per_node must be at least 1", run.devices_per_node),
        (run.spare_nodes >= 0, "spare_nodes must be 0 or more", run.spare_nodes),
        (run.active_devices >= 1, "active_devices must be at least 1", run.active_devices),
        (run.active_devices + spares <= run.devices, "active and spare devices must fit into devices", run.devices),
        (0 <= run.repair_s < math.inf, "repair_s must be a finite number, 0 or more", run.repair_s),
        (0 <= run.node_loss_share <= 1, "node_loss_share must be between 0 and 1", run.node_loss_share),
        (abs(parts_s - run.step_s) <= 1e-9 * run.step_s, "step_parts must sum to step_s", parts_s),
        (all(seconds >= 0 for _, seconds in run.step_parts), "step_parts must be 0 or more", run.step_parts),
        (0 <= run.tokens_per_step < math.inf, "tokens_per_step must be finite, 0 or more", run.tokens_per_step),
        (run.model_flop_per_step >= 0, "model_flop_per_step must be 0 or more", run.model_flop_per_step),
        (
            run.model_flop_per_step <= run.hardware_flop_per_step < math.inf,
            "hardware_flop_per_step must be finite and at least model_flop_per_step",
            run.hardware_flop_per_step,
        ),
        (
            0 <= run.power_w_per_device < math.inf,
            "power_w_per_device must be finite, 0 or more",
            run.power_w_per_device,
        ),
    )
    for holds, rule, value in rules:
        if not holds:
            raise ScenarioError(rule, value=str(value), where=f"training {run.name}")
    amounts = {
        "operations": run.steps * run.hardware_flop_per_step,
        "operations/s": run.hardware_flop_per_step / run.step_s,
        "tokens": run.steps * run.tokens_per_step,
        "joules": run.useful_s * run.devices * run.power_w_per_device,
    }
    for unit, amount in amounts.items():
        if not amount <= MAX_AMOUNT:
            rule = f"a run may have at most {MAX_AMOUNT:g} {unit}"
            raise ScenarioError(rule, value=f"{amount:g}", where=f"training {run.name}")

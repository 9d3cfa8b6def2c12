"""From a scenario to a run: the model, the layout, the step, and what interrupts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.energy import DEFAULT_NODE_FACTOR, PowerModel, node_factor
from sim.cost.reliability import ExpectedRun, expected_run, refuse_endless
from sim.errors import UsageError
from sim.plan import machine as machines
from sim.plan.resolve import ResolvedCluster, ResolvedTraining, resolve_cluster, resolve_training
from sim.plan.run import TrainingRun
from sim.plan.search import RunRules, checkpoint_interval_s, evaluate
from sim.plan.shape import total_parameters
from sim.plan.work import work_of
from sim.spec.layout import LayoutSpec

if TYPE_CHECKING:
    from sim.cost.work import Work
    from sim.plan.search import Evaluated
    from sim.spec.cluster import ClusterSpec
    from sim.spec.workload import TrainingSpec


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known about a run before time starts."""

    cluster: ResolvedCluster
    training: ResolvedTraining
    work: Work
    peak_flop_per_s: float
    """Dense peak of one device in the recipe's precision: what MFU is measured against."""
    hardware_flop_per_token: float
    run: TrainingRun
    power: PowerModel | None
    """None where the catalogue has no power for the device."""
    step_given_by: str
    """What decided the step: model, mfu, step_time, or ideal."""
    layout: dict[str, int | str] | None
    """Degrees of parallelism; None where the step was given or the machine is ideal."""
    memory: dict[str, float] | None
    """Bytes on the fullest device, by part."""
    layouts_considered: int
    kernel_slowdown: float
    slowdown_source: str
    parameters: int

    def expected(self) -> ExpectedRun:
        """Average the run over its interruptions.

        Raises:
            InfeasibleError: interruptions come so fast that the run never ends.

        """
        parameters = self.run.parameters
        mean = expected_run(parameters)
        refuse_endless(parameters, mean)
        return mean


def prepare(cluster: str | ClusterSpec, training: TrainingSpec) -> Prepared:
    """Choose the layout of a training run and reduce the run to numbers.

    Args:
        cluster: a cluster of the catalogue, or a specification.
        training: what to train.

    Returns:
        The run with the layout that finishes first on average, among all legal ones on at most the cluster's
        devices.

    Raises:
        CatalogError: a name is unknown.
        UsageError: amounts contradict each other, or the precision is not one of the chip's.
        InfeasibleError: the model does not fit.
        NotYetError: the model is of a kind that is not modelled yet.

    """
    resolved = resolve_cluster(cluster)
    amounts = resolve_training(training)
    work = work_of(training, amounts.model, amounts.global_batch)
    peak = machines.peak(resolved.accelerator, work.recipe.gemm_precision)
    if resolved.accelerator.is_ideal or training.mfu is not None or training.step_time is not None:
        return _given_step(resolved, amounts, work, peak)
    searched = search(resolved, amounts, work)
    return chosen(resolved, amounts, work, searched, searched.best())


def search(resolved: ResolvedCluster, amounts: ResolvedTraining, work: Work, *, every_data: bool = False) -> Evaluated:
    """Evaluate the layouts of a run on its cluster; with ``every_data`` also those that leave most of it idle."""
    wish = amounts.spec.plan if isinstance(amounts.spec.plan, LayoutSpec) else LayoutSpec()
    built = machines.build(resolved, work.recipe)
    software = machines.software(amounts.spec.profile, resolved.accelerator, work.recipe)
    devices = resolved.spec.count - resolved.spec.spares * resolved.devices_per_node
    rules = run_rules(resolved, amounts)
    return evaluate(work, built, software, rules, wish, devices, every_data=every_data)


def chosen(
    resolved: ResolvedCluster, amounts: ResolvedTraining, work: Work, searched: Evaluated, index: int
) -> Prepared:
    """Reduce the run under one of the evaluated layouts to numbers."""
    step = searched.steps.row(index)
    step_s = float(searched.steps.step_s[index])
    active = int(searched.layouts.devices[index])
    hardware_flop = float(searched.steps.hardware_flop[index])
    prepared = _prepared(resolved, amounts, work, step, step_s, active, hardware_flop, "model")
    slowdown = machines.slowdown(amounts.spec.profile, resolved.accelerator, work.recipe)
    return replace(
        prepared,
        layout=searched.layouts.row(index),
        memory=searched.memory.row(index),
        layouts_considered=searched.considered,
        kernel_slowdown=slowdown.factor,
        slowdown_source=slowdown.source,
    )


def run_rules(resolved: ResolvedCluster, amounts: ResolvedTraining) -> RunRules:
    """Give what stretches a run: interruptions, checkpoints and restarts. An ideal machine has none of them."""
    checkpoint = amounts.spec.checkpoint
    ideal = resolved.accelerator.is_ideal
    state_bytes = total_parameters(amounts.model) * checkpoint.bytes_per_parameter
    return RunRules(
        steps=amounts.tokens / (float(amounts.global_batch) * amounts.spec.sequence),
        rate_per_s=0.0 if ideal else resolved.spec.failure_rate,
        restart_s=0.0 if ideal else resolved.spec.restart,
        write_s=0.0 if ideal else state_bytes / checkpoint.bandwidth,
        interval_s=None if checkpoint.interval == "auto" else checkpoint.interval,
    )


def _given_step(resolved: ResolvedCluster, amounts: ResolvedTraining, work: Work, peak: float) -> Prepared:
    """Take the step from the user, or from the peak of an ideal machine."""
    spec = amounts.spec
    active = resolved.spec.count - resolved.spec.spares * resolved.devices_per_node
    useful_s = work.model_flop / (active * peak)
    if spec.step_time is not None:
        step_s, given_by = spec.step_time, "step_time"
    else:
        step_s, given_by = useful_s / (spec.mfu or 1.0), "ideal" if spec.mfu is None else "mfu"
    if step_s < useful_s * (1 - 1e-12):
        raise UsageError(
            "a step cannot be faster than its arithmetic at peak",
            value=f"{step_s:.4g} s against {useful_s:.4g} s",
            where="training.step_time",
            mend="a longer step time, or a smaller batch",
        )
    step = (("useful compute", useful_s), ("kernel inefficiency", step_s - useful_s))
    return _prepared(resolved, amounts, work, step, step_s, active, work.model_flop, given_by)


def _prepared(
    resolved: ResolvedCluster,
    amounts: ResolvedTraining,
    work: Work,
    step: tuple[tuple[str, float], ...],
    step_s: float,
    active: int,
    hardware_flop: float,
    given_by: str,
) -> Prepared:
    rules = run_rules(resolved, amounts)
    hazard = rules.rate_per_s * active
    useful_s = rules.steps * step_s
    interval_s = float(checkpoint_interval_s(rules, np.asarray(useful_s), np.asarray(hazard)))
    power = power_model(resolved)
    run = TrainingRun(
        name=amounts.spec.name,
        devices=resolved.spec.count,
        active_devices=active,
        devices_per_node=resolved.devices_per_node,
        spare_nodes=resolved.spec.spares,
        steps=rules.steps,
        step_s=step_s,
        step_parts=step,
        tokens_per_step=work.tokens,
        model_flop_per_step=work.model_flop,
        hardware_flop_per_step=hardware_flop,
        interval_s=interval_s,
        write_s=rules.write_s,
        hazard_per_s=hazard,
        restart_s=rules.restart_s,
        repair_s=resolved.spec.repair,
        node_loss_share=resolved.spec.node_loss_share,
        power_w_per_device=power.wall_w_per_device if power is not None else 0.0,
    )
    return Prepared(
        cluster=resolved,
        training=amounts,
        work=work,
        peak_flop_per_s=machines.peak(resolved.accelerator, work.recipe.gemm_precision),
        hardware_flop_per_token=hardware_flop / work.tokens,
        run=run,
        power=power,
        step_given_by=given_by,
        layout=None,
        memory=None,
        layouts_considered=0,
        kernel_slowdown=1.0,
        slowdown_source="",
        parameters=total_parameters(amounts.model),
    )


def power_model(resolved: ResolvedCluster) -> PowerModel | None:
    """Give the power of a device at the meter; None where the catalogue has none."""
    board = resolved.accelerator.power_w
    if board is None:
        return None
    node = resolved.node
    factor = (
        node_factor(node.power_w.value, node.devices, board.value)
        if node is not None and node.power_w is not None
        else DEFAULT_NODE_FACTOR
    )
    return PowerModel(board.value, factor, resolved.spec.power_usage_effectiveness)

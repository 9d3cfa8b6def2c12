"""What would change an answer most: the same run with one thing changed.

Where the change touches the step, the layout is searched anew; interruptions and checkpoints keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sim.errors import SimError
from sim.results.answer import Lever
from sim.spec.cluster import ClusterSpec
from sim.spec.layout import LayoutSpec
from sim.study.predict import expected_s
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.plan.training import Prepared
    from sim.spec.hardware import Fabric
    from sim.spec.workload import TrainingSpec

Change: TypeAlias = tuple[str, str, str, ClusterSpec, "TrainingSpec"]
"""Name, value before and after, and the changed specifications."""


def levers(prepared: Prepared, wall_clock_s: float, seed: int, seeds: int) -> tuple[Lever, ...]:
    """Give each change with the time it leads to, the largest effect first; what cannot be planned is left out."""
    found = []
    for name, before, after, cluster, training in _changes(prepared):
        try:
            changed_s = expected_s(cluster, training, seed, seeds)
        except SimError:
            continue
        found.append(Lever(name, before, after, changed_s))
    return tuple(sorted(found, key=lambda lever: -abs(lever.wall_clock_s / wall_clock_s - 1)))


def _changes(prepared: Prepared) -> Iterator[Change]:
    """List the changes: devices, batch, precision, network, failures, checkpoints, restart."""
    training, cluster = prepared.training.spec, prepared.cluster.spec
    double = cluster.model_copy(update={"count": 2 * cluster.count})
    yield "devices", f"{cluster.count:,}", f"{2 * cluster.count:,}", double, training
    if prepared.step_given_by == "ideal":
        return
    if prepared.step_given_by == "model":
        yield from _step_changes(prepared, cluster, training)
    rate = cluster.failure_rate
    if rate > 0:
        training = _as_laid_out(prepared, training)
        half = cluster.model_copy(update={"failure_rate": rate / 2})
        yield "failure rate", f"{rate * 3600e6:.3g}", f"{rate * 1800e6:.3g} per 1e6 device-hours", half, training
        shorter = cluster.model_copy(update={"restart": cluster.restart / 2})
        yield "restart", show(cluster.restart, "second"), show(cluster.restart / 2, "second"), shorter, training
        checkpoint = training.checkpoint
        faster = checkpoint.model_copy(update={"bandwidth": 2 * checkpoint.bandwidth})
        yield (
            "checkpoint bandwidth",
            show(checkpoint.bandwidth, "byte_per_s"),
            show(2 * checkpoint.bandwidth, "byte_per_s"),
            cluster,
            training.model_copy(update={"checkpoint": faster}),
        )


def _as_laid_out(prepared: Prepared, training: TrainingSpec) -> TrainingSpec:
    """Keep the layout where a change leaves the step alone: interruptions hardly ever make another one best."""
    if prepared.layout is None:
        return training
    return training.model_copy(update={"plan": LayoutSpec.model_validate(prepared.layout)})


def _step_changes(prepared: Prepared, cluster: ClusterSpec, training: TrainingSpec) -> Iterator[Change]:
    batch = float(prepared.work.tokens)
    larger = training.model_copy(update={"batch": 2 * batch})
    yield "batch", show(batch, "token"), show(2 * batch, "token"), cluster, larger
    if prepared.work.recipe.gemm_precision != "fp8" and "fp8" in prepared.cluster.accelerator.peak_flop_per_s:
        yield "precision", training.recipe_name, "fp8", cluster, training.model_copy(update={"precision": "fp8"})
    fabric, node = prepared.cluster.fabric, prepared.cluster.node
    if fabric is not None:
        rate = fabric.link_bandwidth_bytes_per_s
        doubled = {"link_bandwidth_bytes_per_s": rate.model_copy(update={"value": 2 * rate.value})}
        wide: Fabric = fabric.model_copy(update=doubled)
        update: dict[str, object] = {"fabric": wide}
        if node is not None and node.scale_out_bandwidth_bytes_per_s is not None:
            cards = node.scale_out_bandwidth_bytes_per_s
            more = {"scale_out_bandwidth_bytes_per_s": cards.model_copy(update={"value": 2 * cards.value})}
            update["node"] = node.model_copy(update=more)
        before, after = show(rate.value, "byte_per_s"), show(2 * rate.value, "byte_per_s")
        yield "network per device", before, after, cluster.model_copy(update=update), training

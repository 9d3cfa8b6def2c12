"""What was assumed: every value that shaped an answer, with its unit, its source and who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sim.cost.energy import DEFAULT_NODE_FACTOR
from sim.cost.scaling import LAWS
from sim.results.step_error import step_error
from sim.spec import catalog
from sim.spec.defaults import DEFAULTS
from sim.units import DIMENSIONS, show

if TYPE_CHECKING:
    from sim.plan.training import Prepared
    from sim.spec.quantity import FrozenModel, Sourced

GivenBy = Literal["default", "user", "catalogue"]


@dataclass(frozen=True, slots=True)
class Assumption:
    """One assumed value; ``value`` is in SI."""

    path: str
    value: float | str
    dimension: str
    source: str
    given_by: GivenBy

    @property
    def shown(self) -> str:
        """Write the value with its unit, as people read it."""
        if isinstance(self.value, str):
            return self.value
        if self.path.endswith("failure_rate"):
            return f"{self.value * 3600 * 1e6:.3g} per 1e6 device-hours"
        return show(self.value, self.dimension) if self.dimension in DIMENSIONS else f"{self.value:.4g}"

    def to_dict(self, unit: str) -> dict[str, object]:
        """Give it as the JSON object of an answer."""
        return {
            "path": self.path,
            "value": self.value,
            "unit": unit,
            "source": self.source,
            "given_by": self.given_by,
        }


_OF_EXPERTS = ("expert_imbalance", "expert_parallel_overlap", "expert_parallel_overlap_across")
"""Numbers of a software profile that matter for mixtures of experts alone."""
_YOURS = "given by you"
ROUNDING = 1e-9
"""Relative difference below which two batches are one."""


def collect(prepared: Prepared) -> tuple[Assumption, ...]:
    """List what shaped the run, the weightiest first."""
    rows = [*_amounts(prepared), *_step(prepared), *_reliability(prepared), *_hardware(prepared), *_money(prepared)]
    return tuple(rows)


def _amounts(prepared: Prepared) -> list[Assumption]:
    spec, training = prepared.training.spec, prepared.training
    sized = {
        "catalogue": f"hardware_specs/models/{training.model.name}.yaml",
        "scaling law": LAWS[spec.law].source,
        "parameters": "shape by the proportions of the catalogue's dense models",
        "scenario": _YOURS,
    }[training.sized_by]
    by: GivenBy = "default" if training.sized_by == "scaling law" else "user"
    rows = [
        Assumption("training.model.parameters", float(prepared.parameters), "count", sized, by),
        Assumption("training.tokens", training.tokens, "token", "budget over the exact FLOP of a token", by),
        _field("training.batch", spec, "batch", spec.batch),
        _field("training.sequence", spec, "sequence", float(spec.sequence)),
        _field("training.precision", spec, "precision", spec.recipe_name),
    ]
    if spec.tokens is not None or (spec.budget is not None and spec.budget.tokens is not None):
        rows[1] = Assumption("training.tokens", training.tokens, "token", _YOURS, "user")
    if abs(training.global_batch * spec.sequence / spec.batch - 1) > ROUNDING:
        whole = float(training.global_batch * spec.sequence)
        rows.append(Assumption("training.batch.whole", whole, "token", "batch in whole sequences", rows[2].given_by))
    return rows + _of_tokens(prepared)


def _of_tokens(prepared: Prepared) -> list[Assumption]:
    """Say what packing and limited experts do to tokens, where a user asked for them."""
    work, rows = prepared.work, list[Assumption]()
    if work.attended is not None:
        source = "tokens of the document that a token is in, from the lengths given by you"
        rows.append(Assumption("training.documents", work.attended, "token", source, "user"))
    if work.capacity is not None:
        source = f"visits dropped at {work.capacity.factor:g} times the mean and this imbalance: docs/model.md"
        rows.append(Assumption("training.capacity.imbalance", work.capacity.imbalance, "ratio", source, "user"))
        rows.append(Assumption("training.capacity.dropped", work.capacity.dropped, "fraction", source, "user"))
    return rows


def _step(prepared: Prepared) -> list[Assumption]:
    spec = prepared.training.spec
    if prepared.step_given_by == "mfu":
        return [Assumption("training.mfu", spec.mfu or 0.0, "fraction", "given by you instead of predicted", "user")]
    if prepared.step_given_by == "step_time":
        source = "given by you instead of predicted"
        return [Assumption("training.step_time", spec.step_time or 0.0, "second", source, "user")]
    if prepared.step_given_by == "ideal":
        source = "no memory and bandwidth in the catalogue: arithmetic at peak, never interrupted"
        return [Assumption("cluster.accelerator", prepared.cluster.accelerator.name, "name", source, "catalogue")]
    profile = catalog.load("profiles", spec.profile)
    plan = ", ".join(f"{name} {value}" for name, value in (prepared.layout or {}).items())
    wish_is_given = spec.plan != "auto"
    searched = f"shortest run of {prepared.layouts_considered:,} legal layouts"
    calibration = prepared.cluster.accelerator.calibration
    note = (
        prepared.cluster.accelerator.calibration_note
        or f"measured operators: hardware_specs/calibration/{calibration}.yaml"
    )
    rows = [
        Assumption("training.plan", plan, "name", searched, "user" if wish_is_given else "default"),
        Assumption("cluster.accelerator.calibration", calibration, "name", note, "catalogue"),
        _field("training.profile", spec, "profile", spec.profile),
        Assumption(
            "training.profile.kernel_slowdown",
            prepared.kernel_slowdown,
            "ratio",
            prepared.slowdown_source,
            "catalogue",
        ),
    ]
    fitted: tuple[str, ...] = ("scale_slowdown", "tensor_parallel_overlap", "data_parallel_overlap", "pipeline_overlap")
    if prepared.work.model.experts is not None:
        fitted += _OF_EXPERTS
    stated = ((name, getattr(profile, name)) for name in fitted)
    rows += [_sourced(f"training.profile.{name}", number) for name, number in stated if number is not None]
    chip = prepared.cluster.accelerator
    of_experts = profile.slowdown_of_experts(chip.generation, prepared.work.recipe.kind)
    if prepared.work.model.experts is not None and of_experts is not None:
        path = "training.profile.expert_slowdown"
        rows.append(Assumption(path, of_experts.factor, "ratio", of_experts.source, "catalogue"))
    error = step_error(prepared)
    rows.append(Assumption("step model error", error.sigma, "ratio", error.source, "default"))
    return rows


def _reliability(prepared: Prepared) -> list[Assumption]:
    spec, cluster, run = prepared.training.spec, prepared.cluster.spec, prepared.run
    if prepared.step_given_by == "ideal":
        return []
    checkpoint = spec.checkpoint
    interval = "Young/Daly optimum (Daly 2006), rounded to divide the run" if checkpoint.interval == "auto" else _YOURS
    rows = [
        _field("cluster.failure_rate", cluster, "failure_rate", cluster.failure_rate),
        _field("cluster.restart", cluster, "restart", cluster.restart),
        Assumption(
            "training.checkpoint.interval",
            run.interval_s,
            "second",
            interval,
            "default" if checkpoint.interval == "auto" else "user",
        ),
        _field(
            "training.checkpoint.bytes_per_parameter",
            checkpoint,
            "bytes_per_parameter",
            checkpoint.bytes_per_parameter,
        ),
        _field("training.checkpoint.bandwidth", checkpoint, "bandwidth", checkpoint.bandwidth),
        _field("cluster.spares", cluster, "spares", float(cluster.spares)),
    ]
    if cluster.spares:
        rows.append(_field("cluster.repair", cluster, "repair", cluster.repair))
        rows.append(_field("cluster.node_loss_share", cluster, "node_loss_share", cluster.node_loss_share))
    return rows


def _hardware(prepared: Prepared) -> list[Assumption]:
    cluster = prepared.cluster
    precision = prepared.work.recipe.gemm_precision
    chip = cluster.accelerator
    rows = [_sourced(f"cluster.accelerator.peak_flop_per_s.{precision}", chip.peak_flop_per_s[precision])]
    if chip.memory_bytes is not None and chip.memory_bandwidth_bytes_per_s is not None:
        rows.append(_sourced("cluster.accelerator.memory_bytes", chip.memory_bytes))
        rows.append(_sourced("cluster.accelerator.memory_bandwidth_bytes_per_s", chip.memory_bandwidth_bytes_per_s))
    if cluster.node is not None:
        by: GivenBy = "user" if cluster.spec.node is not None else "catalogue"
        usual = "the accelerator's usual node" if by == "catalogue" else _YOURS
        rows.append(Assumption("cluster.node", cluster.node.name, "name", usual, by))
        rows.append(
            _sourced("cluster.node.scale_up_bandwidth_bytes_per_s", cluster.node.scale_up_bandwidth_bytes_per_s)
        )
    if cluster.fabric is not None:
        by = "user" if cluster.spec.fabric is not None and cluster.entry is None else "catalogue"
        usual = "the accelerator's usual network" if by == "catalogue" else _YOURS
        rows.append(Assumption("cluster.fabric", cluster.fabric.name, "name", usual, by))
        rows.append(_sourced("cluster.fabric.link_bandwidth_bytes_per_s", cluster.fabric.link_bandwidth_bytes_per_s))
    return rows


def _money(prepared: Prepared) -> list[Assumption]:
    cluster, rows = prepared.cluster, []
    if cluster.spec.price is not None:
        rows.append(Assumption("cluster.price", cluster.spec.price, "usd_per_s", _YOURS, "user"))
    elif cluster.accelerator.price_usd_per_s is not None:
        rows.append(_sourced("cluster.price", cluster.accelerator.price_usd_per_s))
    power = prepared.power
    if power is None:
        return rows
    board = cluster.accelerator.power_w
    assert board is not None
    known = cluster.node is not None and cluster.node.power_w is not None
    factor_source = (
        f"power of {cluster.node.name} over its boards"
        if known and cluster.node is not None
        else f"default {DEFAULT_NODE_FACTOR}: the catalogue has no node power"
    )
    rows += [
        _sourced("cluster.accelerator.power_w", board),
        Assumption(
            "cluster.node.power_factor", power.node_factor, "ratio", factor_source, "catalogue" if known else "default"
        ),
        _field(
            "cluster.power_usage_effectiveness",
            cluster.spec,
            "power_usage_effectiveness",
            cluster.spec.power_usage_effectiveness,
        ),
        _field("cluster.carbon", cluster.spec, "carbon", cluster.spec.carbon),
    ]
    return rows


def _field(path: str, owner: FrozenModel, name: str, value: float | str) -> Assumption:
    """Give a field of the scenario: the user's where it was set, else the default with its source."""
    default = DEFAULTS[path]
    given = name in owner.model_fields_set
    return Assumption(
        path, value, default.dimension, _YOURS if given else default.source, "user" if given else "default"
    )


def _sourced(path: str, number: Sourced) -> Assumption:
    dated = f"{number.source} ({number.status}, {number.date})" if number.date else f"{number.source} ({number.status})"
    by: GivenBy = "user" if number.status == "given" else "catalogue"
    return Assumption(path, number.value, number.dimension, dated, by)

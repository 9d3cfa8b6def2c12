"""Predict the step of a training row from what was run alone; its measured values are not in reach of this module."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sim.cost.layout import joined, single
from sim.cost.memory import per_device
from sim.cost.schedules import RULES, V_PARTS
from sim.cost.training import step_times
from sim.cost.work import Work
from sim.errors import InfeasibleError, NotYetError
from sim.plan.candidates import MICRO_BATCHES, MOST_VIRTUAL_STAGES, divisors, enumerate_layouts, space
from sim.spec.layout import LayoutSpec
from sim.validate.machines import setting_of
from sim.validate.names import names
from sim.validate.rows import MissingError
from sim.validate.shapes import model_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.cost.layout import Layouts
    from sim.cost.machine import Software
    from sim.cost.transformer import FlopPerToken
    from sim.spec.model import ModelShape
    from sim.validate.machines import Setting
    from sim.validate.rows import Configuration

CHUNK = 16_384
"""Layouts that a search times at once."""
RECOMPUTES = ("none", "selective", "full")
FAR_BEYOND = 1.15
"""Predicted memory over that of the chip from which a row is taken to compute whole layers again."""
WORKLOADS = ("", "pretrain", "sft", "lora")
"""A fine-tuning step of all weights computes what a pre-training step does; LoRA trains adapters alone."""
ADAPTER_RANK = 16
"""Rank of the adapters: that of MLPerf's fine-tuning; nothing here depends on it by more than a hundredth."""
LEAST_CHUNKS = 2
"""Virtual stages of an interleaved schedule whose layers do not divide: what torchtitan and others begin with."""
SCHEDULES: Mapping[str, str] = {
    "": "1f1b",
    "1f1b": "1f1b",
    "interleaved 1f1b": "1f1b",
    "gpipe": "gpipe",
    "zb-h1": "zb-h1",
    "zero-bubble": "zb-h1",
    "zb-v": "zb-v",
    "zbv": "zb-v",
    "dualpipe": "dualpipe",
}
"""Pipeline schedules as tables write them, and as sim.cost.schedules names them."""
OWN_VIRTUAL_STAGES = {"gpipe": 1, "zb-h1": 1, "zb-v": V_PARTS, "dualpipe": 1}
"""Virtual stages of the schedules that have their own number of them."""

Plan = Literal["given", "searched"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted of a row."""

    step_s: float
    parts_s: dict[str, float]
    """Where it goes."""
    memory_bytes: float
    """On the fullest device."""
    reserve_bytes: float
    """Of it, what the driver, collective buffers and workspaces keep outside of the allocator."""
    capacity_bytes: float
    plan: Plan
    layout: dict[str, int | str]
    devices: int
    tokens: float
    """Of one step."""
    flop_per_token: FlopPerToken
    precision: str
    profile: str
    kind: Literal["dense", "MoE"]


@dataclass(frozen=True, slots=True)
class Case:
    """A row made ready: what has to be done, on what, and the layouts that it may have had."""

    row: Configuration
    work: Work
    setting: Setting
    plan: Plan
    chunks: tuple[Layouts, ...]

    def under(self, software: Software) -> Case:
        """Give the same row under other software."""
        return replace(self, setting=replace(self.setting, software=software))

    def settled(self, prediction: Prediction) -> Case:
        """Give the same row with the layout of its prediction as the only one, where it was searched."""
        if self.plan == "given":
            return self
        layout: dict[str, Any] = {**prediction.layout}
        layout["sequence_parallel"] = bool(layout["sequence_parallel"])
        return replace(self, chunks=(single(**layout),))

    def predicted(self, software: Software | None = None) -> Prediction:
        """Predict the row, with the software of its source or with another one.

        Raises:
            InfeasibleError: the layout is to be searched, and none fits.
            MissingError: the columns contradict each other.

        """
        setting = self.setting if software is None else self.under(software).setting
        best = _best(self.work, setting, self.chunks, must_fit=self.plan == "searched")
        if not 0.0 < best.step_s < math.inf or not 0.0 < best.memory_bytes < math.inf:
            raise MissingError("no finite time comes out of these sizes: the columns contradict each other")
        return Prediction(
            step_s=best.step_s,
            parts_s=best.parts_s,
            memory_bytes=best.memory_bytes,
            reserve_bytes=setting.software.memory.reserve_bytes,
            capacity_bytes=setting.machine.memory_bytes,
            plan=self.plan,
            layout=best.layout,
            devices=self.row.needs("gpus"),
            tokens=self.work.tokens,
            flop_per_token=self.work.flop_per_token,
            precision=setting.recipe.name,
            profile=setting.software.name,
            kind="MoE" if self.work.model.experts is not None else "dense",
        )


def predict(row: Configuration, profile: str | None = None) -> Prediction:
    """Predict one row.

    Args:
        row: what was run; no metric is among its fields.
        profile: software profile for all rows, ``none``, or None for that of the source group.

    Raises:
        MissingError: a column is blank that no rule fills.
        NotYetError: the cost model does not carry what was run.
        InfeasibleError: the layout is to be searched, and none is legal or fits.
        SimError: the columns contradict each other, or the chip cannot run them.

    """
    return case_of(row, profile).predicted()


def case_of(row: Configuration, profile: str | None = None) -> Case:
    """Make a row ready for prediction; arguments and errors as ``predict``."""
    if row.workload not in WORKLOADS:
        raise NotYetError(f"the workload {row.workload} is not modelled")
    if row.schedule.lower() not in SCHEDULES:
        raise NotYetError(f"the pipeline schedule {row.schedule} is not modelled")
    setting = setting_of(row, profile)
    model = model_of(row)
    if row.workload == "lora":
        setting = replace(setting, recipe=replace(setting.recipe, adapter_rank=ADAPTER_RANK))
    work = Work(model, setting.recipe, row.needs("seq_len"), row.needs("global_batch"))
    wish = _wish(row, setting, model)
    if wish.tp is None or wish.pp is None:
        return Case(row, work, setting, "searched", tuple(_searched(row, work, setting, wish)))
    if wish.micro_batch is None and wish.pp > 1 and setting.rule.micro_batches == "stages":
        replicas = row.dp or row.needs("gpus") // (wish.tp * wish.pp * (wish.cp or 1))
        wish = wish.model_copy(update={"micro_batch": max(work.global_batch // (max(replicas, 1) * wish.pp), 1)})
    layouts = _given(row, work, wish)
    if not row.recompute and not setting.rule.recompute:
        layouts = _with_recompute(layouts, work, setting)
    return Case(row, work, setting, "given", (layouts,))


def _with_recompute(layouts: Layouts, work: Work, setting: Setting) -> Layouts:
    """Choose the recompute of a row that is silent of it: none where that fits, since what ran did fit.

    Else selective, which costs little time; full only where that is far beyond memory, not within the model's error.
    """
    for again, most in enumerate((1.0, FAR_BEYOND, 1.0)):
        chosen = replace(layouts, recompute=np.full(len(layouts), again))
        memory = per_device(work.model, work.recipe, setting.software.memory, chosen, work.sequence, work.global_batch)
        if memory.total_bytes.min() <= most * setting.machine.memory_bytes:
            return chosen
    return layouts


def _wish(row: Configuration, setting: Setting, model: ModelShape) -> LayoutSpec:
    """Give what the row says of its layout; sharding alone (FSDP, ZeRO 3) means one device for each model part."""
    if model.experts is None and row.ep is not None and row.ep > 1:
        raise MissingError("ep is above 1 for a model without experts: the columns contradict each other")
    words = row.zero_stage_fsdp
    sharding = names().sharding_rule(words) if words else None
    if words and sharding is None:
        raise MissingError(f"no rule says what '{words}' is")
    if sharding is not None and sharding.stage is None:
        raise NotYetError(sharding.reason)
    stage = setting.rule.zero_stage if sharding is None else sharding.stage
    if stage == 3 and row.pp is not None and row.pp > 1:  # noqa: PLR2004 - ZeRO 3 is a name
        stage = 2  # FSDP keeps gathered weights from micro-batch to micro-batch of a pipeline: torchtitan's default
    alone = 1 if stage == 3 and sharding is not None else None  # noqa: PLR2004 - ZeRO 3 is a name
    split = {"yes": True, "no": False}.get(row.sequence_parallel.lower(), setting.rule.sequence_parallel)
    recompute = row.recompute.lower() or setting.rule.recompute or "none"
    if recompute not in RECOMPUTES:
        raise NotYetError(f"recompute '{row.recompute}' is not modelled")
    tp, pp = row.tp or alone, row.pp or alone
    return LayoutSpec(
        tp=tp,
        pp=pp,
        virtual_stages=row.vpp or None,
        cp=row.cp or (1 if tp and pp else None),
        dp=row.dp or None,
        micro_batch=row.micro_batch or None,
        recompute=recompute,
        zero_stage=stage,
        sequence_parallel=split,
        ep=row.ep or None if model.experts is not None else None,
        schedule=SCHEDULES[row.schedule.lower()],
    )


def _given(row: Configuration, work: Work, wish: LayoutSpec) -> Layouts:
    """Give the layout of the row; where it is silent about micro-batch, virtual stages or experts, each legal one."""
    devices = row.needs("gpus")
    tp, pp, cp = wish.tp or 1, wish.pp or 1, wish.cp or 1
    dp = wish.dp or devices // (tp * pp * cp)
    if dp < 1 or tp * pp * cp * dp != devices:
        raise MissingError("gpus is not tp x pp x cp x dp: the columns contradict each other")
    virtual_stages = 1 if pp == 1 else wish.virtual_stages
    if pp > work.model.layers or pp * ((virtual_stages or 1) - 1) >= work.model.layers:
        raise MissingError("more pipeline stages than layers: the columns contradict each other")
    experts = _expert_degrees(work.model, wish, tp * cp * dp)
    schedule = SCHEDULES[row.schedule.lower()]
    batches = [wish.micro_batch] if wish.micro_batch else _micro_batches(work.global_batch, dp)
    rows = []
    for micro in batches:
        micro_batches = work.global_batch / (dp * micro)
        if micro_batches < 1:
            continue
        stages = [virtual_stages] if virtual_stages else _virtual_stages(row, work, pp, micro_batches)
        rows += [
            (
                single(
                    tp=tp,
                    pp=pp,
                    virtual_stages=virtual,
                    cp=cp,
                    dp=dp,
                    micro_batch=micro,
                    recompute=wish.recompute or "none",
                    zero_stage=wish.zero_stage or 0,
                    sequence_parallel=bool(wish.sequence_parallel),
                    ep=ep,
                    schedule=schedule,
                ),
                micro_batches,
            )
            for virtual, ep in product(stages, experts)
        ]
    if not rows:
        raise MissingError("the global batch is smaller than dp x micro_batch: the columns contradict each other")
    legal = [layout for layout, micro_batches in rows if _can_run(schedule, pp, layout, micro_batches)]
    if not legal:
        raise MissingError(f"{schedule} runs with {RULES[schedule].needs}: the columns contradict each other")
    return joined(legal)


def _can_run(schedule: str, stages: int, layout: Layouts, micro_batches: float) -> bool:
    """Tell whether a schedule of its own order can run a layout; 1F1B runs everywhere."""
    if stages == 1 or schedule == "1f1b":
        return True
    return bool(RULES[schedule].allows(stages, micro_batches, int(layout.virtual_stages[0])))


def _expert_degrees(model: ModelShape, wish: LayoutSpec, devices: int) -> list[int]:
    """List the expert-parallel degrees out of tensor x context x data parallel; 0 alone for a dense model."""
    if model.experts is None:
        return [0]
    wished = [wish.ep] if wish.ep else divisors(model.experts.count)
    legal = [ep for ep in wished if model.experts.count % ep == 0 and devices % ep == 0]
    if not legal:
        raise MissingError("ep does not divide experts and tp x cp x dp: the columns contradict each other")
    return legal


def _micro_batches(global_batch: int, dp: int) -> list[int]:
    """List the micro-batches that divide what one replica has."""
    legal = [micro for micro in MICRO_BATCHES if global_batch % (dp * micro) == 0]
    return legal or [1]


def _virtual_stages(row: Configuration, work: Work, pp: int, micro_batches: float) -> list[int]:
    """List the legal virtual stages; plain 1F1B where the row says so or where nothing can be interleaved."""
    own = OWN_VIRTUAL_STAGES.get(SCHEDULES[row.schedule.lower()])
    if own is not None:
        return [own]
    interleaved = row.schedule.lower().startswith("interleaved")
    if pp == 1 or (row.schedule and not interleaved):
        return [1]
    per_stage = work.model.layers // pp
    whole = micro_batches >= pp and work.model.layers % pp == 0
    legal = [virtual for virtual in range(2, MOST_VIRTUAL_STAGES + 1) if whole and per_stage % virtual == 0]
    if interleaved and not legal and per_stage >= LEAST_CHUNKS:
        return [LEAST_CHUNKS]
    return legal if interleaved and legal else [1, *legal]


def _searched(row: Configuration, work: Work, setting: Setting, wish: LayoutSpec) -> Iterable[Layouts]:
    """Enumerate the legal layouts with what the row fixes; those on all its devices where there are any."""
    devices = row.needs("gpus")
    # Software that splits sequences does so wherever it is legal: not in a tensor-parallel group of one.
    open_choices = {"sequence_parallel": None if wish.sequence_parallel else False}
    if not row.recompute:
        open_choices["recompute"] = None
    wish = wish.model_copy(update=open_choices)
    degrees = space(work.model, work.sequence, work.global_batch, setting.machine.domain_devices, wish)
    candidates = enumerate_layouts(degrees, work.model, work.sequence, work.global_batch, devices, every_data=False)
    if candidates.legal == 0:
        raise InfeasibleError("no parallel layout is legal")
    return candidates.chunks(CHUNK)


@dataclass(frozen=True, slots=True)
class _Best:
    step_s: float
    parts_s: dict[str, float]
    memory_bytes: float
    layout: dict[str, int | str]


def _best(work: Work, setting: Setting, chunks: Iterable[Layouts], *, must_fit: bool) -> _Best:
    """Give the fastest layout that fits; what was run fits whatever the model of memory says, if none seems to."""
    best: _Best | None = None
    for layouts in chunks:
        memory = per_device(work.model, work.recipe, setting.software.memory, layouts, work.sequence, work.global_batch)
        total = memory.total_bytes
        fits = total <= setting.machine.memory_bytes
        if not fits.any():
            if must_fit:
                continue
            fits = total <= total.min()
        kept = np.nonzero(fits)[0]
        chosen = layouts.take(kept)
        steps = step_times(work, setting.machine, setting.software, chosen)
        at = int(np.argmin(steps.step_s))
        if best is None or steps.step_s[at] < best.step_s:
            best = _Best(float(steps.step_s[at]), dict(steps.row(at)), float(total[kept[at]]), chosen.row(at))
    if best is None:
        raise InfeasibleError("no legal layout fits into memory")
    return best

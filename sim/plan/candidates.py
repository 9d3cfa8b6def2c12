"""Which parallel layouts are legal for a model on at most so many devices, and which rule forbids each other one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt, prod
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import RECOMPUTE, SCHEDULE, USUAL, Common, Layouts, joined
from sim.cost.schedules import can_run
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.cost.layout import Counts
    from sim.spec.layout import LayoutSpec
    from sim.spec.model import ModelShape

MOST_VIRTUAL_STAGES = 12
MICRO_BATCHES = (1, 2, 4, 8)
MOST_TENSOR_PARALLEL = 64
CONTEXT_PARALLEL = (1, 2, 4, 8, 16)
LEAST_TOKENS = 1024
LARGEST_DATA_DEGREES = 2
MOST_DATA_DEGREES = 256
"""Bounds of the search; a layout that the user fixes may lie outside them."""

UNEVEN = (None, "1f1b", "gpipe", "zb-h1")
"""Schedules whose stages hold one part of the model, or every p-th; those of a V and of two ends are not cut here."""

WHEREVER_LEGAL = 2
"""Sequence parallelism wherever it is legal: without it memory is larger, and time hardly ever shorter."""

HEADS = "tensor parallel divides the heads, the key heads (or is a multiple of them) and the feed-forward width"
STAGES = "each pipeline stage, and each of its virtual stages, holds a layer; virtual stages need a pipeline"
DEVICES = "tensor x context x pipeline x data parallel is at most the devices"
CONTEXT = "context parallel splits a sequence into 2 x cp equal pieces"
JOINED = "sequences are split (cp > 1) or joined (micro-batch > 1), not both, unless both are asked for"
STATES = "tensor x context parallel divides the heads of layers that keep a state, and the groups of Mamba-2"
BATCH = "data parallel x micro-batch divides the batch"
INTERLEAVING = "virtual stages need at least as many micro-batches as stages"
EXPERTS = "expert parallel divides the experts and tensor x context x data parallel; a dense model has none"
WIDTHS = "expert tensor parallel divides the inner width of an expert, and ep x etp tensor x context x data parallel"
SHARDS = "hybrid sharding splits over a part of data x context parallel that divides it, with ZeRO 1 to 3"
ENDS = "the first and the last stage leave each stage between them a layer, without virtual stages"
REPLICAS = "ZeRO needs two devices that hold the same part of the model"
SEQUENCE = "sequence parallelism needs tensor parallelism, and tp x cp divides the sequence"
ORDER = "a schedule runs with its own number of stages, virtual stages and micro-batches (docs/model.md)"
SPLIT_TOKENS = f"{SEQUENCE}; experts under tensor parallelism need it"
RULES = (
    HEADS, STAGES, CONTEXT, ENDS, STATES, JOINED, DEVICES, BATCH, INTERLEAVING, EXPERTS, WIDTHS, SHARDS, REPLICAS,
    SEQUENCE, SPLIT_TOKENS, ORDER,
)  # fmt: skip
"""In the order in which they are applied: a layout counts against the first that it breaks."""


@dataclass(frozen=True, slots=True)
class Space:
    """What the search ranges over, after the user's wishes."""

    tensor_parallel: tuple[int, ...]
    pipeline_parallel: tuple[int, ...]
    virtual_stages: tuple[int, ...]
    context_parallel: tuple[int, ...]
    micro_batch: tuple[int, ...]
    recompute: tuple[int, ...]
    zero_stage: tuple[int, ...]
    sequence_parallel: tuple[int, ...]
    """0 off, 1 on, ``WHEREVER_LEGAL`` for on where it is legal and off elsewhere."""
    data_parallel: tuple[int, ...]
    """The divisors of the global batch (``MOST_DATA_DEGREES`` of them at most), or the one that the user fixed."""
    expert_parallel: tuple[int, ...]
    """The divisors of the experts, or the one that the user fixed; 0 alone for a dense model."""
    schedule: tuple[int, ...] = (0,)
    common: Common = USUAL
    """What all layouts have in common."""

    @property
    def choices(self) -> tuple[tuple[int, int, int, int], ...]:
        """What is chosen beside the degrees: (schedule, ZeRO stage, sequence parallel, recompute)."""
        return tuple(
            (order, zero, split, again)
            for order in self.schedule
            for zero in self.zero_stage
            for split in self.sequence_parallel
            for again in self.recompute
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every legal layout, not yet written out, and the count of the others by the rule that they break."""

    degrees: Layouts
    """Degrees of parallelism and micro-batch; what ``space`` says of the rest still multiplies them."""
    space: Space
    sequence: int
    global_batch: int
    has_experts: bool
    illegal: dict[str, int]
    """Layouts by the first of ``RULES`` that they break; a rule that none breaks is absent."""

    @property
    def legal(self) -> int:
        """Count the legal layouts."""
        return self._count(in_order=True)

    @property
    def legal_in_some_order(self) -> int:
        """Count those that break no rule but that of their schedule."""
        return self._count(in_order=False)

    def chunks(self, rows: int) -> Iterator[Layouts]:
        """Write the layouts out, at most so many at once, in one order that is always the same."""
        for order, zero, split, again in self.space.choices:
            allowed = np.nonzero(self._allowed(zero, split) & self._in_order(order))[0]
            for begin in range(0, len(allowed), rows):
                yield self._with_choice(allowed[begin : begin + rows], (order, zero, split, again))

    def all(self) -> Layouts:
        """Write all of them out at once."""
        return joined(list(self.chunks(max(len(self.degrees), 1))) or [self.degrees.take(np.arange(0))])

    def _count(self, *, in_order: bool) -> int:
        total = 0
        for order in self.space.schedule:
            runs = self._in_order(order) if in_order else np.ones(len(self.degrees), dtype=bool)
            for zero in self.space.zero_stage:
                for split in self.space.sequence_parallel:
                    total += int(np.count_nonzero(self._allowed(zero, split) & runs)) * len(self.space.recompute)
        return total

    def _in_order(self, order: int) -> Counts:
        degrees = self.degrees
        micro_batches = self.global_batch // (degrees.data_parallel * degrees.micro_batch)
        return can_run(order, degrees.pipeline_parallel, degrees.virtual_stages, micro_batches)

    def _allowed(self, zero: int, split: int) -> Counts:
        allowed = np.asarray((self.degrees.replicas > 1) | (zero == min(self.space.zero_stage)))
        if self.has_experts and split != 1:
            # Tokens that each device of a tensor-parallel group has would reach their experts several times.
            one = np.asarray(self.degrees.tensor_parallel == 1)
            return allowed & (one | _can_split(self.degrees, self.sequence) if split == WHEREVER_LEGAL else one)
        return allowed & _can_split(self.degrees, self.sequence) if split == 1 else allowed

    def _with_choice(self, rows: Counts, choice: tuple[int, int, int, int]) -> Layouts:
        order, zero, split, again = choice
        degrees = self.degrees.take(rows)
        one = np.ones(len(rows), dtype=np.int64)
        splits = _can_split(degrees, self.sequence) * one if split == WHEREVER_LEGAL else split * one
        chosen = replace(degrees, recompute=again * one, zero_stage=zero * one, sequence_parallel=splits)
        return replace(chosen, schedule=order * one)


def space(
    model: ModelShape,
    sequence: int,
    global_batch: int,
    domain_devices: float,
    wish: LayoutSpec,
    *,
    every_choice: bool = False,
) -> Space:
    """List the values of each degree; a degree that the user fixed has one value.

    Pipeline degrees are the smallest for each number of layers on the fullest stage: any other one has the same
    slowest stage on more devices. With ``every_choice`` all ZeRO stages, and sequence parallelism on and off.
    """
    least_stages = sorted({-(-model.layers // depth) for depth in range(1, model.layers + 1)})
    tensor = tuple(range(1, int(min(domain_devices, MOST_TENSOR_PARALLEL)) + 1))
    split = wish.sequence_parallel
    return Space(
        tensor_parallel=_wished(wish.tp, tensor),
        pipeline_parallel=_wished(wish.pp, tuple(least_stages)),
        virtual_stages=_wished(wish.virtual_stages, tuple(range(1, MOST_VIRTUAL_STAGES + 1))),
        context_parallel=_wished(wish.cp, _context_degrees(sequence)),
        micro_batch=_wished(wish.micro_batch, MICRO_BATCHES),
        recompute=tuple(RECOMPUTE.index(name) for name in ((wish.recompute,) if wish.recompute else RECOMPUTE)),
        zero_stage=_wished(wish.zero_stage, (0, 1, 2, 3)[bool(wish.shard) :] if every_choice else (1,)),
        sequence_parallel=_wished(None if split is None else int(split), (0, 1) if every_choice else (WHEREVER_LEGAL,)),
        data_parallel=_wished(wish.dp, _spread_out(divisors(global_batch))),
        expert_parallel=_expert_degrees(model, wish.ep),
        schedule=_schedules(wish.schedule),
        common=_common(wish),
    )


def enumerate_layouts(
    space: Space,
    model: ModelShape,
    sequence: int,
    global_batch: int,
    devices: int,
    *,
    every_data: bool,
    fewer_from: float | None = None,
) -> Candidates:
    """Enumerate the legal layouts on at most ``devices`` devices, and count the others by rule.

    With ``every_data`` each data-parallel degree that divides the batch is listed; without it only the two largest
    that fit, since fewer replicas with all else equal are mostly slower. With ``fewer_from``, those that this leaves
    out, on at least so many devices.
    """
    choices = len(space.choices) * len(space.expert_parallel)
    illegal = dict.fromkeys(RULES, 0)
    tensor = [degree for degree in space.tensor_parallel if _divides_heads(model, degree)]
    others = (space.pipeline_parallel, space.virtual_stages, space.context_parallel, space.micro_batch)
    refused = len(space.tensor_parallel) - len(tensor)
    illegal[HEADS] = refused * prod(map(len, others)) * len(space.data_parallel) * choices

    axes = [grid.ravel() for grid in np.meshgrid(tensor, *others, indexing="ij")]
    legal = np.ones(len(axes[0]), dtype=bool)
    for rule, obeyed in _rules_of_degrees(space, model, sequence, axes).items():
        illegal[rule] = _refused(legal, obeyed) * len(space.data_parallel) * choices
        legal &= obeyed
    axes = [axis[legal] for axis in axes]

    data = np.array(space.data_parallel)
    legal = np.ones((len(axes[0]), len(data)), dtype=bool)
    for rule, obeyed in _rules_of_data(axes, data, global_batch, devices).items():
        illegal[rule] = _refused(legal, obeyed) * choices
        legal &= obeyed
    if not every_data:
        rank_from_largest = np.cumsum(legal[:, ::-1], axis=1)[:, ::-1]
        largest = rank_from_largest <= LARGEST_DATA_DEGREES
        legal &= largest if fewer_from is None else ~largest & (data[None, :] * _held(axes) >= fewer_from)
    row, column = np.nonzero(legal)

    tensor_axis, pipeline, virtual, context, micro = (axis[row] for axis in axes)
    none = np.zeros(len(row), dtype=np.int64)
    found = Layouts(
        tensor_axis, pipeline, virtual, context, data[column], micro, none, none, none, none, none, space.common
    )
    choices = len(space.choices)
    found, refused = _with_experts(found, space, model)
    illegal[EXPERTS if space.common.expert_tensor == 1 else WIDTHS] = refused * choices
    found, refused = _with_shards(found, space)
    illegal[SHARDS] = refused * choices
    alone = int(np.count_nonzero(found.replicas == 1))
    illegal[REPLICAS] = alone * sum(zero > min(space.zero_stage) for _, zero, _, _ in space.choices)
    candidates = Candidates(found, space, sequence, global_batch, model.experts is not None, illegal)
    split = SEQUENCE if model.experts is None else SPLIT_TOKENS
    illegal[split] = len(found) * choices - illegal[REPLICAS] - candidates.legal_in_some_order
    illegal[ORDER] = candidates.legal_in_some_order - candidates.legal
    return replace(candidates, illegal={rule: count for rule, count in illegal.items() if count})


def divisors(number: int) -> list[int]:
    """List the divisors in ascending order.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    small = [candidate for candidate in range(1, isqrt(number) + 1) if number % candidate == 0]
    return sorted({*small, *(number // candidate for candidate in small)})


def _rules_of_degrees(space: Space, model: ModelShape, sequence: int, axes: list[Counts]) -> dict[str, Counts]:
    """Tell which combinations obey each rule that holds whatever the data-parallel degree."""
    tensor, pipeline, virtual, context, micro = axes
    layers = pipeline <= model.layers
    return {
        STAGES: layers & ((virtual == 1) | ((pipeline > 1) & (pipeline * (virtual - 1) < model.layers))),
        CONTEXT: (context == 1) | (sequence % (2 * context) == 0),
        ENDS: _leaves_layers(space.common, model, pipeline, virtual),
        STATES: _divides_states(model, tensor * context),
        JOINED: (context == 1) | (micro == 1) | (len(space.micro_batch) == 1),
    }


def _rules_of_data(axes: list[Counts], data: Counts, global_batch: int, devices: int) -> dict[str, Counts]:
    """Tell which pairs of a combination (row) and a data-parallel degree (column) obey each rule."""
    _, pipeline, virtual, _, micro = (axis[:, None] for axis in axes)
    together = data[None, :] * micro
    return {
        DEVICES: data[None, :] * _held(axes) <= devices,
        BATCH: global_batch % together == 0,
        # Interleaving goes round the stages with groups of at least p micro-batches (Megatron-Core's rule).
        INTERLEAVING: (virtual == 1) | (global_batch // together >= pipeline),
    }


def _with_experts(found: Layouts, space: Space, model: ModelShape) -> tuple[Layouts, int]:
    """Repeat each layout with every legal expert-parallel degree, and count what is not legal."""
    degrees, width = np.array(space.expert_parallel), space.common.expert_tensor
    if model.experts is None:
        usual = width == 1 and not degrees.any()
        return (found, 0) if usual else (found.take(np.arange(0)), len(found))
    devices = found.tensor_parallel * found.replicas
    legal = (devices[:, None] % (degrees * width) == 0) & (model.experts.count % degrees == 0)
    legal &= model.experts.ffn_hidden % width == 0
    row, column = np.nonzero(legal)
    return replace(found.take(row), expert_parallel=degrees[column]), int(np.count_nonzero(~legal))


def _with_shards(found: Layouts, space: Space) -> tuple[Layouts, int]:
    """Keep the layouts whose replicas are whole groups of the size that the user fixed, those of experts too."""
    shard = space.common.shard
    if not shard:
        return found, 0
    legal = (found.replicas % shard == 0) & (min(space.zero_stage) > 0)
    copies = np.maximum(found.replicas // shard, 1)
    legal &= (found.expert_parallel == 0) | (found.expert_replicas % copies == 0)
    return found.take(np.nonzero(legal)[0]), int(np.count_nonzero(~legal))


def _held(axes: list[Counts]) -> Counts:
    """Count the devices of one replica, for each combination (row)."""
    tensor, pipeline, _, context, _ = axes
    return np.asarray((tensor * context * pipeline)[:, None])


def _divides_heads(model: ModelShape, degree: int) -> bool:
    shares = model.kv_heads % degree == 0 or degree % model.kv_heads == 0
    return shares and model.heads % degree == 0 and model.ffn_hidden % degree == 0


def _leaves_layers(common: Common, model: ModelShape, pipeline: Counts, virtual: Counts) -> Counts:
    if not (common.first_layers or common.last_layers):
        return np.ones(len(pipeline), dtype=bool)
    given = (common.first_layers > 0) + (common.last_layers > 0)
    left = model.layers - common.first_layers - common.last_layers
    return np.asarray((virtual == 1) & (pipeline > given) & (left >= pipeline - given))


def _divides_states(model: ModelShape, degree: Counts) -> Counts:
    obeyed = np.ones(len(degree), dtype=bool)
    if model.linear is not None:
        obeyed &= (model.linear.key_heads % degree == 0) & (model.linear.value_heads % degree == 0)
    if model.mamba is not None:
        obeyed &= (model.mamba.heads % degree == 0) & (model.mamba.groups % degree == 0)
    return obeyed


def _can_split(layouts: Layouts, sequence: int) -> Counts:
    """Tell where sequence parallelism is legal."""
    tensor = layouts.tensor_parallel
    return np.asarray((tensor > 1) & (sequence % (tensor * layouts.context_parallel) == 0))


def _refused(legal: Counts, obeyed: Counts) -> int:
    """Count what was legal until a rule that it breaks."""
    return int(np.count_nonzero(legal & ~obeyed))


def _spread_out(degrees: list[int]) -> tuple[int, ...]:
    """Keep so many degrees, at nearly equal ratios, whatever the cluster; only batches above a million have more."""
    if len(degrees) <= MOST_DATA_DEGREES:
        return tuple(degrees)
    wanted = np.geomspace(degrees[0], degrees[-1], MOST_DATA_DEGREES)
    return tuple(sorted({degrees[index] for index in np.searchsorted(degrees, wanted * (1 - 1e-9)).tolist()}))


def _context_degrees(sequence: int) -> tuple[int, ...]:
    return tuple(degree for degree in CONTEXT_PARALLEL if degree == 1 or sequence // degree >= LEAST_TOKENS)


def _expert_degrees(model: ModelShape, wish: int | None) -> tuple[int, ...]:
    if model.experts is None:
        return (0,) if wish in (None, 1) else (wish,)
    return _wished(wish, tuple(divisors(model.experts.count)))


def _common(wish: LayoutSpec) -> Common:
    """Give what the user says of all layouts."""
    common = Common(
        expert_tensor=wish.etp or 1,
        shard=wish.shard or 0,
        context_exchange=wish.cp_exchange or "",
        stages=wish.stages or ("even" if wish.first_stage_layers or wish.last_stage_layers else "mean"),
        first_layers=wish.first_stage_layers or 0,
        last_layers=wish.last_stage_layers or 0,
    )
    if common.stages != "mean" and wish.schedule not in UNEVEN:
        raise UsageError(
            "stages of unequal layers follow one another: 1f1b, gpipe or zb-h1",
            value=f"stages {common.stages} under {wish.schedule}",
            where="training.plan.stages",
            mend="another schedule, or stages: mean",
        )
    return USUAL if common == USUAL else common


def _schedules(wish: str | None) -> tuple[int, ...]:
    if wish == "any":
        return tuple(range(len(SCHEDULE)))
    return (SCHEDULE.index(wish or "1f1b"),)


def _wished(wish: int | None, values: tuple[int, ...]) -> tuple[int, ...]:
    return values if wish is None else (wish,)

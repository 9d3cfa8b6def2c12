"""How layers spread over pipeline stages when they do not divide evenly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import SCHEDULE
from sim.cost.slots import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, play, slots
from sim.cost.transformer import flop_per_token

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.cost.layout import Common, Layouts
    from sim.cost.roofline import Numbers
    from sim.spec.model import FeedForwardType, LayerType, ModelShape

RADIX = 2**16
"""Above any number of stages, and of micro-batches that are played."""
FILLED = 4
"""Micro-batches a stage after which a pipeline is full, whatever its stages."""
_EACH = {FORWARD: 1.0, INPUT_GRADIENT: 1.0, WEIGHT_GRADIENT: 1.0}
SCAN_WEIGHT = 12.0
"""Time of an operation of a recurrence over that of a large product: 0.75 of the peak against some 0.06 (H100)."""


def most_layers(layers: int, stages: Numbers, virtual_stages: Numbers) -> np.ndarray:
    """Give the layers of the fullest stage.

    Each of the p x v chunks gets layers // (p v); what is left over goes to chunks one by one, last stage last.

    Source: our rule; Megatron-Core and Llama 3 (arXiv:2407.21783, section 3.3.2) take layers from the end stages too.

    >>> int(most_layers(126, 16, 8)), int(most_layers(96, 8, 3))
    (8, 12)
    """
    base, extra = _split(layers, stages, virtual_stages)
    return np.asarray(base * virtual_stages + np.ceil(extra / stages))


def last_stage_layers(layers: int, stages: Numbers, virtual_stages: Numbers) -> np.ndarray:
    """Give the layers of the last stage, which also runs the LM head and so takes left-over layers last.

    Source: as ``most_layers``.

    >>> int(last_stage_layers(126, 16, 8)), int(last_stage_layers(96, 8, 3))
    (7, 12)
    """
    base, extra = _split(layers, stages, virtual_stages)
    return np.asarray(base * virtual_stages + np.floor(extra / stages))


def _split(layers: int, stages: Numbers, virtual_stages: Numbers) -> tuple[Numbers, Numbers]:
    chunks = np.asarray(stages) * virtual_stages
    return layers // chunks, layers % chunks


@dataclass(frozen=True, slots=True)
class StageLayers:
    """What the stages of each layout hold, in layers; one entry per layout."""

    most: Numbers
    """Layers of the stage that has most."""
    last: Numbers
    """Layers of the last stage."""
    heaviest: Numbers
    """Time of the slowest stage but for the LM head, in mean layers."""
    last_weight: Numbers
    """Time of the last stage but for the LM head, in mean layers."""


def stage_layers(model: ModelShape, layouts: Layouts, sequence: int) -> StageLayers:
    """Give what stages hold, by the layers that they get (``Common.stages``).

    mean: every layer takes the time of the mean one. even: each chunk gets as many layers as the others, of whatever
    kind they are. balanced: the cut whose slowest stage, with the head on the last one, is fastest.

    Args:
        model: the shape; its kinds of layers weigh by their FLOP, and recurrences more (``SCAN_WEIGHT``).
        layouts: the layouts.
        sequence: tokens of one sequence.

    Source: Megatron-Core's even split and its options for the first and the last stage; DeepSeek-V3 (arXiv:2412.19437),
    whose first three layers are dense; the cut is the exact minimum over contiguous ones (dynamic programme).
    Valid for: balanced exact without virtual stages; with them the slowest chunk is, and their sum near it.
    """
    stages, virtual = layouts.pipeline_parallel, layouts.virtual_stages
    if layouts.common.stages == "mean":
        most, last = most_layers(model.layers, stages, virtual), last_stage_layers(model.layers, stages, virtual)
        return StageLayers(most, last, most, last)
    key = stages * RADIX + virtual
    different, inverse = np.unique(key, return_inverse=True)
    table = np.array([_held(model, sequence, layouts.common, int(one) // RADIX, int(one) % RADIX) for one in different])
    return StageLayers(*(table[inverse, column] for column in range(table.shape[1])))


def stage_idle(
    model: ModelShape, layouts: Layouts, sequence: int, micro_batches: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Give how long a step takes beyond all micro-batches on the slowest of unequal stages, in mean layers.

    Played slot by slot for the first micro-batches (``FILLED`` a stage): once the pipeline is full, one more takes as
    long as the slowest stage.

    Source: the slots of `sim.cost.slots`, forward to both gradients 1 : 1 : 1.
    Valid for: 1F1B, interleaved where the stages divide the micro-batches, GPipe, ZB-H1.
    """
    stages, virtual = layouts.pipeline_parallel, layouts.virtual_stages
    few = np.minimum(micro_batches, FILLED * stages).astype(np.int64)
    key = ((stages * RADIX + virtual) * RADIX + few) * len(SCHEDULE) + layouts.schedule
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    one = layouts.take(first)
    names = (SCHEDULE[order] for order in one.schedule.tolist())
    numbers = zip(names, one.pipeline_parallel.tolist(), one.virtual_stages.tolist(), few[first].tolist(), strict=True)
    idle = [_idle(model, sequence, layouts.common, *each) for each in numbers]
    return np.array(idle)[inverse]


@lru_cache(maxsize=4096)
def _idle(
    model: ModelShape, sequence: int, common: Common, schedule: str, stages: int, virtual: int, micro_batches: int
) -> float:
    if stages == 1:
        return 0.0
    sizes, weights = cut_layers(model, sequence, common, stages, virtual)
    sums, ends = np.concatenate([[0.0], np.cumsum(weights)]), np.cumsum(sizes)
    parts = (sums[ends] - sums[ends - sizes]) / 3
    parts[-1] += relative_weights(model, sequence)[1] / 3
    slowest = 3 * parts.reshape(virtual, stages).sum(axis=0).max()
    # A last group that is not full waits as a full one does.
    count = -(-micro_batches // stages) * stages if virtual > 1 else micro_batches
    name = "interleaved" if virtual > 1 else schedule
    played = play(slots(name, stages, count, virtual), len(parts), _EACH, weights=parts.tolist())
    return float(played.end_s - count * slowest)


def relative_weights(model: ModelShape, sequence: int) -> tuple[tuple[float, ...], float]:
    """Give what each layer weighs, in mean layers, and what the LM head does.

    Source: FLOP of each kind of layer for one token, with those of recurrences times ``SCAN_WEIGHT``.
    """
    whole = flop_per_token(model, sequence)
    kinds = {(model.layer_type(at), model.feed_forward(at)) for at in range(model.layers)}
    each = {kind: _alone(model, sequence, kind) for kind in kinds}
    flop = [each[model.layer_type(at), model.feed_forward(at)] for at in range(model.layers)]
    mean = sum(flop) / model.layers
    return tuple(one / mean for one in flop), whole.head / mean


def balanced_cut(weights: tuple[float, ...], parts: int, last_extra: float = 0.0) -> tuple[int, ...]:
    """Cut a list into so many parts, none empty, so that the heaviest weighs least; the last part weighs so much more.

    f(k, i), the least heaviest of k parts over the first i, is the minimum over j < i of max(f(k - 1, j), w(j..i)).

    Source: dynamic programme over contiguous cuts (the "linear partition" problem).

    >>> balanced_cut((1.0, 1.0, 1.0, 1.0), 2, 2.0)
    (3, 1)
    """
    count = len(weights)
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    best = np.where(np.arange(count + 1) > 0, sums, np.inf)
    if parts == 1:
        return (count,)
    chosen: list[npt.NDArray[np.int64]] = []
    for part in range(2, parts + 1):
        extra = last_extra if part == parts else 0.0
        # Row i, column j: parts before end at j, this one is j..i.
        heaviest = np.maximum(best[None, :], sums[:, None] - sums[None, :] + extra)
        heaviest[np.arange(count + 1)[None, :] >= np.arange(count + 1)[:, None]] = np.inf
        chosen.append(heaviest.argmin(axis=1))
        best = heaviest.min(axis=1)
    ends = [count]
    for before in reversed(chosen):
        ends.append(int(before[ends[-1]]))
    ends.append(0)
    return tuple(high - low for high, low in pairwise(ends))[::-1]


def _held(model: ModelShape, sequence: int, common: Common, stages: int, virtual: int) -> tuple[float, ...]:
    """Give most and last layers, and the weights of the heaviest and of the last stage."""
    sizes, weights = cut_layers(model, sequence, common, stages, virtual)
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    ends = np.cumsum(sizes)
    heavy = (sums[ends] - sums[ends - sizes]).reshape(virtual, stages).sum(axis=0)
    layers = np.asarray(sizes).reshape(virtual, stages).sum(axis=0)
    return float(layers.max()), float(layers[-1]), float(heavy.max()), float(heavy[-1])


@lru_cache(maxsize=4096)
def cut_layers(
    model: ModelShape, sequence: int, common: Common, stages: int, virtual: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Give the layers of each chunk in order, and the weight of each layer.

    Source: as ``stage_layers``.
    """
    weights, head = relative_weights(model, sequence)
    chunks = stages * virtual
    if common.stages == "balanced" and not (common.first_layers or common.last_layers):
        return balanced_cut(weights, chunks, head), weights
    first, last = common.first_layers, common.last_layers
    inner = weights[first : len(weights) - last]
    between = chunks - (first > 0) - (last > 0)
    if common.stages == "balanced":
        middle = balanced_cut(inner, between, 0.0 if last else head)
    else:
        base, extra = divmod(len(inner), between)
        middle = tuple(base + (at < extra) for at in range(between))
    return (*((first,) if first else ()), *middle, *((last,) if last else ())), weights


def _alone(model: ModelShape, sequence: int, kind: tuple[LayerType, FeedForwardType]) -> float:
    """Count what one layer of a kind weighs: FLOP of a model that has it alone."""
    mixing, feeding = kind
    sizes = {"linear": model.linear, "mamba": model.mamba}
    update: dict[str, object] = {
        "layers": 1,
        "layer_types": (mixing,),
        "feed_forward_types": (feeding,),
        "experts": model.experts if feeding == "experts" else None,
    }
    update |= {name: known if name == mixing else None for name, known in sizes.items()}
    counted = flop_per_token(model.model_copy(update=update), sequence)
    return counted.layers + counted.attention + SCAN_WEIGHT * counted.chunked_scan

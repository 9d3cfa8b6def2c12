"""Which parallel layouts are legal for a model on at most so many devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import RECOMPUTE, Layouts

if TYPE_CHECKING:
    from sim.spec.layout import LayoutSpec
    from sim.spec.model import ModelShape

MOST_VIRTUAL_STAGES = 12
MICRO_BATCHES = (1, 2, 4, 8)
MOST_TENSOR_PARALLEL = 64
CONTEXT_PARALLEL = (1, 2, 4, 8, 16)
LEAST_TOKENS = 1024
"""Bounds of the search; a layout that the user fixes may lie outside them."""


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
    data_parallel: tuple[int, ...]
    """All divisors of the global batch, or the one that the user fixed."""


def space(model: ModelShape, sequence: int, global_batch: int, domain_devices: float, wish: LayoutSpec) -> Space:
    """List the values of each degree; a degree that the user fixed has one value.

    Pipeline degrees are the smallest for each number of layers on the fullest stage: any other one has the same
    slowest stage on more devices.
    """
    least_stages = sorted({-(-model.layers // depth) for depth in range(1, model.layers + 1)})
    return Space(
        tensor_parallel=_wished(wish.tp, tuple(_tensor_degrees(model, domain_devices))),
        pipeline_parallel=_wished(wish.pp, tuple(least_stages)),
        virtual_stages=_wished(wish.virtual_stages, tuple(range(1, MOST_VIRTUAL_STAGES + 1))),
        context_parallel=_wished(wish.cp, _context_degrees(sequence)),
        micro_batch=_wished(wish.micro_batch, MICRO_BATCHES),
        recompute=tuple(RECOMPUTE.index(name) for name in ((wish.recompute,) if wish.recompute else RECOMPUTE)),
        zero_stage=_wished(wish.zero_stage, (1,)),
        data_parallel=_wished(wish.dp, tuple(divisors(global_batch))),
    )


def enumerate_layouts(space: Space, model: ModelShape, global_batch: int, devices: int, *, every_data: bool) -> Layouts:
    """Enumerate the legal layouts on at most ``devices`` devices.

    With ``every_data`` each data-parallel degree that divides the batch is listed; without it only the two largest
    that fit, since fewer replicas with all else equal are slower.
    """
    grids = np.meshgrid(
        space.tensor_parallel,
        space.pipeline_parallel,
        space.virtual_stages,
        space.context_parallel,
        space.micro_batch,
        indexing="ij",
    )
    tensor, pipeline, virtual, context, micro = (grid.ravel() for grid in grids)
    legal = (tensor * context * pipeline <= devices) & (pipeline <= model.layers)
    legal &= (virtual == 1) | ((pipeline > 1) & (pipeline * (virtual - 1) < model.layers))
    # Splitting sequences and joining several of them undo each other, unless the user asks for both.
    legal &= (context == 1) | (micro == 1) | (len(space.micro_batch) == 1)
    tensor, pipeline, virtual, context, micro = (axis[legal] for axis in (tensor, pipeline, virtual, context, micro))

    degrees = np.array(space.data_parallel)
    fits = degrees[None, :] * (tensor * context * pipeline)[:, None] <= devices
    fits &= global_batch % (degrees[None, :] * micro[:, None]) == 0
    micro_batches = global_batch // np.maximum(degrees[None, :] * micro[:, None], 1)
    # Interleaving goes round the stages with groups of at least p micro-batches (Megatron-Core's rule).
    fits &= (virtual[:, None] == 1) | (micro_batches >= pipeline[:, None])
    if not every_data:
        rank_from_largest = np.cumsum(fits[:, ::-1], axis=1)[:, ::-1]
        fits &= rank_from_largest <= 2
    row, column = np.nonzero(fits)

    count = len(row)
    choices = [(again, zero) for again in space.recompute for zero in space.zero_stage]
    row, column = np.tile(row, len(choices)), np.tile(column, len(choices))
    return Layouts(
        tensor_parallel=tensor[row],
        pipeline_parallel=pipeline[row],
        virtual_stages=virtual[row],
        context_parallel=context[row],
        data_parallel=degrees[column],
        micro_batch=micro[row],
        recompute=np.repeat([again for again, _ in choices], count),
        zero_stage=np.repeat([zero for _, zero in choices], count),
    )


def divisors(number: int) -> list[int]:
    """List the divisors in ascending order.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    small = [candidate for candidate in range(1, int(number**0.5) + 1) if number % candidate == 0]
    return sorted({*small, *(number // candidate for candidate in small)})


def _tensor_degrees(model: ModelShape, domain_devices: float) -> list[int]:
    most = int(min(domain_devices, MOST_TENSOR_PARALLEL))
    return [
        degree
        for degree in range(1, most + 1)
        if model.heads % degree == 0
        and model.ffn_hidden % degree == 0
        and (model.kv_heads % degree == 0 or degree % model.kv_heads == 0)
    ]


def _context_degrees(sequence: int) -> tuple[int, ...]:
    return tuple(
        degree
        for degree in CONTEXT_PARALLEL
        if degree == 1 or (sequence % (2 * degree) == 0 and sequence // degree >= LEAST_TOKENS)
    )


def _wished(wish: int | None, values: tuple[int, ...]) -> tuple[int, ...]:
    return values if wish is None else (wish,)

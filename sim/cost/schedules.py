"""Pipeline schedules: how many slots are empty, and how many micro-batches a stage holds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers


def bubble_slots(stages: Numbers, virtual_stages: Numbers = 1) -> Numbers:
    """Count the idle micro-batch slots of a step: (p - 1) / v.

    Args:
        stages: pipeline stages p.
        virtual_stages: model chunks per stage v; 1 is plain 1F1B.

    Returns:
        Time lost to filling and draining, in units of one micro-batch's forward and backward on one stage. The
        idle fraction of a step with m micro-batches is slots / (m + slots).

    Source: Narayanan et al. 2021 (arXiv:2104.04473), sections 2.2.1 and 2.2.2.
    Valid for: 1F1B and its interleaved form with equal stages.

    >>> float(bubble_slots(8)), float(bubble_slots(8, 2))
    (7.0, 3.5)
    """
    return (stages - 1) / np.maximum(virtual_stages, 1)


def chunks_in_flight(
    stages: Numbers, virtual_stages: Numbers, micro_batches: Numbers, rank: Numbers = 0
) -> npt.NDArray[np.float64]:
    """Count the model chunks whose activations one stage holds at its peak.

    A chunk is 1/v of a stage. Under plain 1F1B stage r holds min(p - r, m) micro-batches; under interleaved 1F1B
    2(p - r - 1) + (v - 1) p + 1 chunks, at most m v.

    Args:
        stages: pipeline stages p.
        virtual_stages: model chunks per stage v.
        micro_batches: micro-batches of a step m.
        rank: stage r, counted from 0.

    Source: Narayanan et al. 2021, section 2.2, and Megatron-LM's count of warm-up micro-batches,
    2(p - rank - 1) + (v - 1) p, plus the one in work.
    Valid for: 1F1B and its interleaved form.

    >>> int(chunks_in_flight(8, 1, 64)), int(chunks_in_flight(8, 2, 64)), int(chunks_in_flight(8, 2, 64, rank=7))
    (8, 23, 9)
    """
    plain = np.minimum(stages - rank, micro_batches)
    warm_up = 2 * (stages - rank - 1) + (virtual_stages - 1) * stages
    interleaved = np.minimum(warm_up + 1, micro_batches * virtual_stages)
    return np.asarray(np.where(np.asarray(virtual_stages) > 1, interleaved, plain))

"""Pipeline schedules: how many slots are empty, and how many micro-batches a stage holds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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

    >>> bubble_slots(8), bubble_slots(8, 2)
    (7.0, 3.5)

    """
    return (stages - 1) / np.maximum(virtual_stages, 1)


def chunks_in_flight(stages: Numbers, virtual_stages: Numbers, micro_batches: Numbers) -> Numbers:
    """Count the model chunks whose activations the first stage holds at its peak.

    A chunk is 1/v of a stage. Plain 1F1B holds min(p, m) micro-batches; interleaved 1F1B holds
    2(p - 1) + (v - 1) p + 1 chunks, at most m v.

    Source: Narayanan et al. 2021, section 2.2, and Megatron-LM's count of warm-up micro-batches,
    2(p - rank - 1) + (v - 1) p, plus the one in work.

    >>> int(chunks_in_flight(8, 1, 64)), int(chunks_in_flight(8, 2, 64))
    (8, 23)

    """
    plain = np.minimum(stages, micro_batches)
    interleaved = np.minimum(2 * (stages - 1) + (virtual_stages - 1) * stages + 1, micro_batches * virtual_stages)
    return np.where(np.asarray(virtual_stages) > 1, interleaved, plain)

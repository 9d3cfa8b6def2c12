"""Pipeline schedules as formulae: how long stages wait, and how many micro-batches one holds at once.

`sim.cost.slots` has the same schedules slot by slot; the tests hold each formula against them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sim.cost.layout import SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.cost.layout import Counts, Layouts
    from sim.cost.roofline import Numbers

GPIPE, ZERO_BUBBLE_H1, ZERO_BUBBLE_V, DUAL_PIPE = map(SCHEDULE.index, ("gpipe", "zb-h1", "zb-v", "dualpipe"))


def bubble_s(layouts: Layouts, forward_s: Numbers, input_s: Numbers, weight_s: Numbers) -> npt.NDArray[np.float64]:
    """Give the time that a stage is idle in a step, in s.

    With F, B and W the times of one micro-batch on one stage: 1F1B and GPipe (p - 1)(F + B + W), interleaved 1/v of
    it; ZB-H1 (p - 1) max(F + B - W, F, B); ZB-V (p - 1) max(F/2, B/2, B - W); DualPipe
    (p/2 - 1)(F&BW + BW - 3 W), where a forward mixed with a backward takes as long as both.

    Args:
        layouts: stages, virtual stages and schedule.
        forward_s: F, in s.
        input_s: B, the gradient of the inputs, what is computed again included, in s.
        weight_s: W, the gradient of the weights, in s.

    Source: Narayanan et al. 2021 (arXiv:2104.04473), sections 2.2.1 and 2.2.2; Qi et al. 2023 (arXiv:2401.10241),
    table 1, with F and B as lower bounds; Qi et al. 2024 (arXiv:2405.15362), measured from the start of the first
    stage to the end of the last, that is without optimizer post-validation; DeepSeek-V3 (arXiv:2412.19437), table 2.
    Valid for: equal stages; ZB-V exact for F <= B and W <= B; DualPipe exact for F = B = W, else within a third.

    >>> from sim.cost.layout import single
    >>> [float(bubble_s(single(pp=8, schedule=name), 1.0, 1.0, 1.0)[0]) for name in ("1f1b", "zb-h1", "zb-v")]
    [21.0, 7.0, 3.5]
    """
    stages, virtual, schedule = layouts.pipeline_parallel, layouts.virtual_stages, layouts.schedule
    whole_s = np.asarray((stages - 1) / np.maximum(virtual, 1) * (forward_s + input_s + weight_s))
    if not schedule.any():
        return whole_s
    h1_s = (stages - 1) * np.maximum(np.maximum(forward_s, input_s), forward_s + input_s - weight_s)
    v_s = (stages - 1) * np.maximum(np.maximum(forward_s, input_s) / 2, input_s - weight_s)
    mixed_s = forward_s + input_s + weight_s
    dual_s = (stages / 2 - 1) * np.maximum(mixed_s + input_s - 2 * weight_s, 0.0)
    chosen = [schedule == ZERO_BUBBLE_H1, schedule == ZERO_BUBBLE_V, schedule == DUAL_PIPE]
    return np.asarray(np.where(stages > 1, np.select(chosen, [h1_s, v_s, dual_s], whole_s), 0.0))


def chunks_in_flight(layouts: Layouts, micro_batches: Numbers, rank: Numbers = 0) -> npt.NDArray[np.float64]:
    """Count the model chunks whose activations one stage holds at its peak.

    A chunk is 1/v of a stage. Under 1F1B stage r holds min(p - r, m) micro-batches; interleaved 2(p - r - 1) +
    (v - 1) p + 1 chunks, at most m v; GPipe all m; ZB-H1 min(p, m) on every stage; ZB-V 2 p halves, at most 2 m;
    DualPipe p + 1.

    Args:
        layouts: stages, virtual stages and schedule.
        micro_batches: micro-batches of a step m.
        rank: stage r, counted from 0.

    Source: Narayanan et al. 2021, section 2.2, and Megatron-LM's count of warm-up micro-batches, 2(p - rank - 1) +
    (v - 1) p, plus the one in work; Qi et al. 2023 and 2024; DeepSeek-V3, table 2.
    Valid for: the schedules of ``SCHEDULE``.

    >>> from sim.cost.layout import single
    >>> [int(chunks_in_flight(single(pp=8, virtual_stages=v), 64)[0]) for v in (1, 2)]
    [8, 23]
    >>> int(chunks_in_flight(single(pp=8, schedule="dualpipe"), 64)[0])
    9
    """
    stages, virtual, schedule = layouts.pipeline_parallel, layouts.virtual_stages, layouts.schedule
    plain = np.minimum(stages - rank, micro_batches)
    warm_up = 2 * (stages - rank - 1) + (virtual - 1) * stages
    interleaved = np.minimum(warm_up + 1, micro_batches * virtual)
    usual = np.asarray(np.where(virtual > 1, interleaved, plain))
    if not schedule.any():
        return usual
    every = np.broadcast_to(np.asarray(micro_batches, dtype=np.float64), usual.shape)
    chosen = [schedule == GPIPE, schedule == ZERO_BUBBLE_H1, schedule == ZERO_BUBBLE_V, schedule == DUAL_PIPE]
    held = [every, np.minimum(stages, every), np.minimum(2 * stages, 2 * every), np.minimum(stages + 1, every)]
    return np.asarray(np.select(chosen, held, usual))


def copies(layouts: Layouts) -> Counts:
    """Count the copies of its parameters that a device holds: DualPipe keeps two parts of the model on each.

    Source: DeepSeek-V3 (arXiv:2412.19437), table 2: parameters 2x.

    >>> from sim.cost.layout import single
    >>> copies(single(pp=8, schedule="dualpipe")).tolist()
    [2]
    """
    return np.asarray(np.where((layouts.schedule == DUAL_PIPE) & (layouts.pipeline_parallel > 1), 2, 1))


class Rule(NamedTuple):
    """Which numbers of stages p, micro-batches m and virtual stages v a schedule can run with, numbers or arrays."""

    allows: Callable[[Any, Any, Any], Any]
    needs: str


V_PARTS = 2
"""A stage of ZB-V holds a part on the way down and one on the way up."""
RULES: Mapping[str, Rule] = {
    "gpipe": Rule(lambda p, m, v: (v == 1) & (p > 0) & (m > 0), "one virtual stage"),
    "1f1b": Rule(lambda p, m, v: (v == 1) & (p > 0) & (m > 0), "one virtual stage"),
    "interleaved": Rule(
        lambda p, m, v: (v > 1) & (p > 1) & (m % p == 0),
        "virtual stages, and a multiple of the stages as many micro-batches",
    ),
    "zb-h1": Rule(lambda p, m, v: (v == 1) & (m >= p), "one virtual stage and at least p micro-batches"),
    "zb-v": Rule(
        lambda p, m, v: (v == V_PARTS) & (m >= 2 * p - 1), "two virtual stages and 2 p - 1 micro-batches or more"
    ),
    "dualpipe": Rule(
        lambda p, m, v: (v == 1) & (p % 2 == 0) & (m % 2 == 0) & (m >= 2 * p),
        "one virtual stage, an even number of stages, and an even number of micro-batches, 2 p or more",
    ),
}
"""The one set of rules, by the name that users type: for `can_run` here and for the slots of `sim.cost.slots`."""


def can_run(schedule: int, stages: Counts, virtual_stages: Counts, micro_batches: Counts) -> Counts:
    """Tell which layouts a schedule can run; without a pipeline there is nothing to order.

    1F1B runs everywhere: with virtual stages interleaved, and where its micro-batches are no multiple of the stages, as
    Megatron-Core does, with a last group that is not full.

    Source: ``RULES``.

    >>> can_run(SCHEDULE.index("zb-v"), np.array([4, 4]), np.array([2, 1]), np.array([8, 8])).tolist()
    [True, False]
    """
    name = SCHEDULE[schedule]
    if name == "1f1b":
        return np.ones(len(stages), dtype=bool)
    return np.asarray((stages > 1) & RULES[name].allows(stages, micro_batches, virtual_stages))

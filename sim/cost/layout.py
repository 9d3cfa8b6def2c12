"""Parallel layouts as parallel arrays: entry i of every array belongs to layout i."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[Any]
"""Whole numbers; typed openly, because they enter formulae of floats."""

RECOMPUTE = ("none", "selective", "full")
"""Recompute choices; a layout stores the index."""
SCHEDULE = ("1f1b", "gpipe", "zb-h1", "zb-v", "dualpipe")
"""Pipeline schedules; a layout stores the index. 1F1B with several virtual stages is its interleaved form."""


@dataclass(frozen=True, slots=True)
class Layouts:
    """How a model is laid out over devices, for many layouts at once; integer arrays of one length."""

    tensor_parallel: Counts
    pipeline_parallel: Counts
    virtual_stages: Counts
    context_parallel: Counts
    """Devices that share each sequence; its tokens are split evenly, the causal work too."""
    data_parallel: Counts
    micro_batch: Counts
    """Sequences that go through a stage together."""
    recompute: Counts
    """Index into ``RECOMPUTE``."""
    zero_stage: Counts
    """What replicas share: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too (FSDP)."""
    sequence_parallel: Counts
    """1: norms and residuals are split over the tensor-parallel group as well; 0: each device repeats them."""
    expert_parallel: Counts
    """Devices that share the experts of a layer, out of tensor x context x data parallel; 0 for a dense model."""
    schedule: Counts
    """Index into ``SCHEDULE``."""

    def __len__(self) -> int:
        """Count the layouts."""
        return len(self.tensor_parallel)

    @property
    def devices(self) -> Counts:
        """Devices that each layout uses."""
        devices: Counts = self.tensor_parallel * self.context_parallel * self.pipeline_parallel * self.data_parallel
        return devices

    @property
    def replicas(self) -> Counts:
        """Devices that hold the same part of the model: data times context parallel, what ZeRO splits over."""
        replicas: Counts = self.data_parallel * self.context_parallel
        return replicas

    @property
    def expert_devices(self) -> Counts:
        """Devices that share the experts of a layer; 1 where nothing says so."""
        devices: Counts = np.maximum(self.expert_parallel, 1)
        return devices

    @property
    def expert_replicas(self) -> Counts:
        """Devices that hold the same experts of a layer, what ZeRO splits them over: expert data parallel."""
        replicas: Counts = self.tensor_parallel * self.replicas / self.expert_devices
        return replicas

    def take(self, index: Counts) -> Layouts:
        """Give the layouts at these positions."""
        return Layouts(*(getattr(self, field.name)[index] for field in fields(self)))

    def row(self, index: int) -> dict[str, int | str]:
        """Give one layout by the names that users type; those that mean nothing for it are left out."""
        row: dict[str, int | str] = {
            "tp": int(self.tensor_parallel[index]),
            "pp": int(self.pipeline_parallel[index]),
            "virtual_stages": int(self.virtual_stages[index]),
            "cp": int(self.context_parallel[index]),
            "dp": int(self.data_parallel[index]),
            "micro_batch": int(self.micro_batch[index]),
            "recompute": RECOMPUTE[int(self.recompute[index])],
            "zero_stage": int(self.zero_stage[index]),
            "sequence_parallel": int(self.sequence_parallel[index]),
        }
        if self.expert_parallel[index]:
            row["ep"] = int(self.expert_parallel[index])
        if self.schedule[index]:
            row["schedule"] = SCHEDULE[int(self.schedule[index])]
        return row


def single(
    *,
    tp: int = 1,
    pp: int = 1,
    virtual_stages: int = 1,
    cp: int = 1,
    dp: int = 1,
    micro_batch: int = 1,
    recompute: str = "none",
    zero_stage: int = 1,
    sequence_parallel: bool = True,
    ep: int = 0,
    schedule: str = "1f1b",
) -> Layouts:
    """Make a set of one layout; sequence parallelism means nothing without tensor parallelism.

    Source: none; it only gathers numbers.

    >>> single(tp=8, pp=16, dp=128).devices.tolist()
    [16384]
    """
    split = int(sequence_parallel and tp > 1)
    again, order = RECOMPUTE.index(recompute), SCHEDULE.index(schedule)
    values = (tp, pp, virtual_stages, cp, dp, micro_batch, again, zero_stage, split, ep, order)
    return Layouts(*(np.array([value]) for value in values))

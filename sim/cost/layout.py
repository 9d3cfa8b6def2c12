"""Parallel layouts as parallel arrays: entry i of every array belongs to layout i."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Counts: TypeAlias = npt.NDArray[Any]
"""Whole numbers; typed openly, because they enter formulae of floats."""

RECOMPUTE = ("none", "selective", "full")
"""Recompute choices; a layout stores the index."""
SCHEDULE = ("1f1b", "gpipe", "zb-h1", "zb-v", "dualpipe")
"""Pipeline schedules; a layout stores the index. 1F1B with several virtual stages is its interleaved form."""


STAGES = ("mean", "even", "balanced")
"""How layers of unequal cost spread over stages: each stage has mean layers; equal numbers of what there is; or the cut
that makes the slowest stage fastest."""
EXCHANGES = ("ring", "all-gather")
"""How context-parallel devices come by the keys and values of the others."""


@dataclass(frozen=True, slots=True)
class Common:
    """What all layouts of a set have in common: nothing that a search ranges over."""

    expert_tensor: int = 1
    """Devices that share each expert, beside those that share out the experts."""
    shard: int = 0
    """Replicas that ZeRO splits over; the others are copies of such groups (hybrid sharding). 0: all of them."""
    context_exchange: str = ""
    """One of ``EXCHANGES``; empty: the software's own."""
    stages: str = "mean"
    """One of ``STAGES``."""
    first_layers: int = 0
    """Layers of the first stage; 0: as the others."""
    last_layers: int = 0
    """Layers of the last stage, which has the LM head; 0: as the others."""

    def row(self) -> dict[str, int | str]:
        """Give by the names that users type what is not as usual."""
        named: dict[str, int | str] = {
            "etp": self.expert_tensor,
            "shard": self.shard,
            "cp_exchange": self.context_exchange,
            "stages": self.stages,
            "first_stage_layers": self.first_layers,
            "last_stage_layers": self.last_layers,
        }
        usual = (1, 0, "", "mean", 0, 0)
        return {name: value for (name, value), other in zip(named.items(), usual, strict=True) if value != other}


USUAL = Common()


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
    common: Common = USUAL
    """What they have in common."""

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
    def expert_groups(self) -> Counts:
        """Groups of devices that the experts of a layer are shared out to; 1 where nothing says so."""
        groups: Counts = np.maximum(self.expert_parallel, 1)
        return groups

    @property
    def expert_devices(self) -> Counts:
        """Devices that hold the experts of a layer together: each group, and in it those that share an expert."""
        groups = self.expert_groups
        devices: Counts = groups if self.common.expert_tensor == 1 else groups * self.common.expert_tensor
        return devices

    @property
    def copies(self) -> Counts | int:
        """Copies of what ZeRO splits: 1 unless hybrid sharding bounds the group."""
        return self.replicas // self.common.shard if self.common.shard else 1

    @property
    def expert_replicas(self) -> Counts:
        """Devices that hold the same experts of a layer, what ZeRO splits them over: expert data parallel."""
        replicas: Counts = self.tensor_parallel * self.replicas / self.expert_devices
        return replicas

    def take(self, index: Counts) -> Layouts:
        """Give the layouts at these positions."""
        taken = Layouts(*(getattr(self, name)[index] for name in COLUMNS))
        return taken if self.common is USUAL else replace(taken, common=self.common)

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
        return row if self.common is USUAL else row | self.common.row()


COLUMNS = tuple(field.name for field in fields(Layouts) if field.name != "common")
"""The arrays of a set of layouts."""


def joined(chunks: Sequence[Layouts]) -> Layouts:
    """Put layouts one after the other; they have the same in common.

    Source: none; it only gathers numbers.
    """
    columns: Any = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in COLUMNS)
    return replace(Layouts(*columns), common=chunks[0].common)


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
    etp: int = 1,
    shard: int = 0,
    cp_exchange: str = "",
    stages: str = "mean",
    first_stage_layers: int = 0,
    last_stage_layers: int = 0,
) -> Layouts:
    """Make a set of one layout; sequence parallelism means nothing without tensor parallelism.

    Source: none; it only gathers numbers.

    >>> single(tp=8, pp=16, dp=128).devices.tolist()
    [16384]
    """
    split = int(sequence_parallel and tp > 1)
    again, order = RECOMPUTE.index(recompute), SCHEDULE.index(schedule)
    values = (tp, pp, virtual_stages, cp, dp, micro_batch, again, zero_stage, split, ep, order)
    common = Common(etp, shard, cp_exchange, stages, first_stage_layers, last_stage_layers)
    columns: Any = (np.array([value]) for value in values)
    made = Layouts(*columns)
    return made if common == USUAL else replace(made, common=common)

"""Parallel layouts as parallel arrays: entry i of every array belongs to layout i."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

RECOMPUTE = ("none", "selective", "full")
"""Recompute choices; a layout stores the index."""


@dataclass(frozen=True, slots=True)
class Layouts:
    """How a model is laid out over devices, for many layouts at once; integer arrays of one length."""

    tensor_parallel: np.ndarray
    pipeline_parallel: np.ndarray
    virtual_stages: np.ndarray
    context_parallel: np.ndarray
    """Devices that share each sequence; its tokens are split evenly, the causal work too."""
    data_parallel: np.ndarray
    micro_batch: np.ndarray
    """Sequences that go through a stage together."""
    recompute: np.ndarray
    """Index into ``RECOMPUTE``."""
    zero_stage: np.ndarray
    """0: every replica keeps the whole optimizer state; 1: it is split over the data-parallel group."""

    def __len__(self) -> int:
        """Count the layouts."""
        return len(self.tensor_parallel)

    @property
    def devices(self) -> np.ndarray:
        """Devices that each layout uses."""
        return self.tensor_parallel * self.context_parallel * self.pipeline_parallel * self.data_parallel

    def take(self, index: np.ndarray) -> Layouts:
        """Give the layouts at these positions."""
        return Layouts(*(getattr(self, field.name)[index] for field in fields(self)))

    def row(self, index: int) -> dict[str, int | str]:
        """Give one layout by the names that users type."""
        return {
            "tp": int(self.tensor_parallel[index]),
            "pp": int(self.pipeline_parallel[index]),
            "virtual_stages": int(self.virtual_stages[index]),
            "cp": int(self.context_parallel[index]),
            "dp": int(self.data_parallel[index]),
            "micro_batch": int(self.micro_batch[index]),
            "recompute": RECOMPUTE[int(self.recompute[index])],
            "zero_stage": int(self.zero_stage[index]),
        }


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
) -> Layouts:
    """Make a set of one layout.

    >>> single(tp=8, pp=16, dp=128).devices.tolist()
    [16384]
    """
    values = (tp, pp, virtual_stages, cp, dp, micro_batch, RECOMPUTE.index(recompute), zero_stage)
    return Layouts(*(np.array([value]) for value in values))

"""Rows of a training table, cut in two: what was run, and what was measured.

A predictor is given the first half only. It has no column of a measured value, so none can leak into a prediction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sim.errors import SimError

if TYPE_CHECKING:
    from sim.validate.table import Line

METRIC_COLUMNS = ("step_time_s", "tokens_per_s_per_gpu", "tflops_per_gpu", "mfu", "peak_mem_gib", "implied_mfu_pct")
"""Columns that hold something measured, or computed from it."""
CONVENTION_COLUMNS = ("flops_convention", "attn_convention")
"""What the source counts in its TFLOP/s."""
UNREAD_COLUMNS = (
    "source",
    "source_kind",
    "params_total_b",
    "params_active_b",
    "notes",
    "check_ratio",
    "check_kind",
)
"""Columns for people; some tell what was measured."""


class MissingError(SimError):
    """A row lacks what a prediction needs."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was run, as its row tells it: no metric, no note. Blank text and None are blank fields."""

    id: str
    source_group: str
    model: str
    workload: str
    gpu: str
    gpus: int | None
    gpus_per_node: int | None
    internode_gbps_per_gpu: float | None
    layers: int | None
    hidden: int | None
    heads: int | None
    kv_heads: int | None
    ffn_hidden: int | None
    vocab: int | None
    seq_len: int | None
    experts: int | None
    topk: int | None
    moe_ffn_hidden: int | None
    shared_experts: int | None
    precision: str
    global_batch: int | None
    micro_batch: int | None
    tp: int | None
    pp: int | None
    vpp: int | None
    cp: int | None
    ep: int | None
    dp: int | None
    zero_stage_fsdp: str
    sequence_parallel: str
    recompute: str
    schedule: str
    release: str = ""
    """Release of the software that ran it: what the notes begin with; nothing else of them is read."""

    def needs(self, column: str) -> int:
        """Give a count that a prediction cannot do without.

        Raises:
            MissingError: the row leaves it blank, or says 0.

        """
        value = getattr(self, column)
        if not value:
            raise MissingError(f"{column} is blank")
        return int(value)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured; None where the row is blank."""

    step_time_s: float | None
    tokens_per_s_per_gpu: float | None
    tflops_per_gpu: float | None
    peak_mem_gib: float | None
    flops_convention: str
    attn_convention: str


_COUNTS = frozenset(
    field.name
    for field in fields(Configuration)
    if field.type == "int | None"  # text: annotations are not evaluated
)
_DEGREES = frozenset({"gpus", "gpus_per_node", "micro_batch", "tp", "pp", "vpp", "cp", "ep", "dp"})
MOST_DEGREES = 1_000_000
"""As in a scenario."""
CONFIGURATION_COLUMNS = tuple(field.name for field in fields(Configuration) if field.name != "release")
RELEASE = re.compile(r"v?(\d\d\.\d\d(?:\.\d\d?)?)\b")
"""What a release looks like: year and month, and a number."""
COLUMNS = (*CONFIGURATION_COLUMNS, *METRIC_COLUMNS, *CONVENTION_COLUMNS, *UNREAD_COLUMNS)
"""Every column that a training table may have."""
REQUIRED = ("id", "model", "gpu", "gpus")


def configuration(line: Line) -> Configuration:
    """Read what was run.

    Raises:
        ScenarioError: a field cannot be read.

    """
    values: dict[str, object] = {}
    for column in CONFIGURATION_COLUMNS:
        if column in _COUNTS:
            values[column] = line.count(column, MOST_DEGREES) if column in _DEGREES else line.count(column)
        elif column == "internode_gbps_per_gpu":
            values[column] = line.number_of(column)
        else:
            values[column] = line.text(column)
    if found := RELEASE.match(line.text("notes")):
        values["release"] = found[1]
    if not values["id"]:
        values["id"] = f"line-{line.number}"
    return Configuration(**values)  # type: ignore[arg-type]  # each column is read as its field says


def measured(line: Line) -> Measured:
    """Read what was measured; a zero is a blank.

    Raises:
        ScenarioError: a field cannot be read.

    """
    return Measured(
        step_time_s=line.number_of("step_time_s") or None,
        tokens_per_s_per_gpu=line.number_of("tokens_per_s_per_gpu") or None,
        tflops_per_gpu=line.number_of("tflops_per_gpu") or None,
        peak_mem_gib=line.number_of("peak_mem_gib") or None,
        flops_convention=line.text("flops_convention"),
        attn_convention=line.text("attn_convention"),
    )

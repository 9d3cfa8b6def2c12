"""Training rows: predicted step time and memory beside the measured ones."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from sim.errors import CatalogError, InfeasibleError, ScenarioError, SimError, UsageError
from sim.spec import catalog
from sim.spec.validate import near
from sim.validate.machines import NO_PROFILE, publication
from sim.validate.names import names
from sim.validate.report import Report
from sim.validate.rows import COLUMNS, REQUIRED, configuration, measured
from sim.validate.score import Status, Verdict
from sim.validate.shapes import SHAPE_NAME
from sim.validate.table import read
from sim.validate.training import Prediction, predict

if TYPE_CHECKING:
    from pathlib import Path

    from sim.validate.rows import Configuration, Measured
    from sim.validate.table import Line

GIB = 2.0**30
STEP, MEMORY = "step_time_s", "peak_mem_gib"
HARDWARE_OVER_MODEL = 4.0 / 3.0
"""FLOP with the recomputed forward pass over those without: four passes over three."""
NO_METRIC = "no usable metric: step_time_s, tokens_per_s_per_gpu, or tflops_per_gpu with both conventions"


def training(table: Path, group: str | None = None, profile: str | None = None) -> Report:
    """Predict every row of a training table and put it beside what was measured.

    Args:
        table: CSV in the format of docs/validation.md.
        group: only rows of this source group.
        profile: software profile for all rows, ``none``, or None for that of each source group.

    Raises:
        SimError: the table cannot be read, or has no such group; or there is no such profile.

    """
    check_profile(profile)
    lines = of_group(read(table, COLUMNS, REQUIRED), "source_group", group)
    verdicts: list[Verdict] = []
    too_big = weighed = 0
    for line in lines:
        row, values = configuration(line), measured(line)
        outcome = _outcome(row, profile)
        verdicts.append(_step(row, values, outcome))
        if values.peak_mem_gib is not None:
            verdicts.append(_memory(row, values.peak_mem_gib, outcome))
        if isinstance(outcome, Prediction) and outcome.plan == "given":
            weighed += 1
            too_big += outcome.memory_bytes > outcome.capacity_bytes
    return Report("training", STEP, tuple(verdicts), (too_big, weighed))


def check_profile(profile: str | None) -> None:
    """Refuse a software profile that there is not.

    Raises:
        CatalogError: the catalogue has no such profile.

    """
    if profile not in (None, NO_PROFILE):
        try:
            catalog.load("profiles", profile)
        except CatalogError as error:
            known = ", ".join((*catalog.names("profiles"), NO_PROFILE))
            raise CatalogError(error.rule, error.value, "--profile", f"one of {known}") from None


def of_group(lines: tuple[Line, ...], column: str, group: str | None) -> tuple[Line, ...]:
    """Keep the rows of one group.

    Raises:
        UsageError: the table has no such group.

    """
    if group is None:
        return lines
    kept = tuple(line for line in lines if line.text(column) == group)
    if not kept:
        known = sorted({line.text(column) for line in lines if line.text(column)})
        mend = near(group, known) or f"one of {', '.join(known)}"
        raise UsageError("the table has no rows of this group", group, "--group", mend)
    return kept


def _outcome(row: Configuration, profile: str | None) -> Prediction | SimError:
    """Predict a row, or say why not; rows that differ in their name alone are computed once."""
    return _predicted(replace(row, id=publication(row.id)), profile)


@lru_cache(maxsize=8192)
def _predicted(row: Configuration, profile: str | None) -> Prediction | SimError:
    try:
        return predict(row, profile)
    except ScenarioError:
        raise  # a file of the catalogue is wrong, which is no fault of the row
    except SimError as error:
        return error


def _step(row: Configuration, values: Measured, outcome: Prediction | SimError) -> Verdict:
    blank = _blank(row, STEP)
    if isinstance(outcome, SimError):
        return _without(blank, outcome)
    filled = _filled(blank, outcome)
    step_s = measured_step_s(row, values, outcome)
    if step_s is None:
        return replace(filled, status="skipped", reason=NO_METRIC)
    return replace(filled, measured=step_s, predicted=outcome.step_s)


def _memory(row: Configuration, peak_gib: float, outcome: Prediction | SimError) -> Verdict:
    blank = _blank(row, MEMORY)
    if isinstance(outcome, SimError):
        return _without(blank, outcome)
    counted = outcome.memory_bytes
    if not names().counts_all_memory(row.source_group):
        counted -= outcome.reserve_bytes
    return replace(_filled(blank, outcome), measured=peak_gib, predicted=counted / GIB)


def measured_step_s(row: Configuration, values: Measured, prediction: Prediction) -> float | None:
    """Give the measured time of a step in s: as printed, from tokens/s, or from TFLOP/s whose count is known.

    FLOP of one token: those of the products (input embedding apart) and of attention, its causal half or the full
    square; times 4/3 where the source counts the recomputed forward pass.
    """
    if values.step_time_s is not None:
        return values.step_time_s
    if values.tokens_per_s_per_gpu is not None:
        return prediction.tokens / (values.tokens_per_s_per_gpu * prediction.devices)
    attention = values.attn_convention or names().attention_convention(row.source_group)
    if values.tflops_per_gpu is None or attention not in ("full", "causal"):
        return None
    if values.flops_convention not in ("model", "hardware"):
        return None
    count = prediction.flop_per_token
    squares = 2.0 if attention == "full" else 1.0
    flop = 3.0 * (count.layers + count.head + squares * count.attention) * prediction.tokens
    flop *= HARDWARE_OVER_MODEL if values.flops_convention == "hardware" else 1.0
    return flop / (values.tflops_per_gpu * 1e12 * prediction.devices)


def _blank(row: Configuration, metric: str) -> Verdict:
    mixture = row.experts is not None and row.experts > 1
    kind = "LoRA" if row.workload == "lora" else "MoE" if mixture else "dense"
    return Verdict(row.id, row.source_group, metric, "ok", gpu=row.gpu, precision=row.precision, kind=kind)


def _filled(blank: Verdict, prediction: Prediction) -> Verdict:
    kind = prediction.kind if blank.kind == "dense" else blank.kind
    return replace(blank, plan=prediction.plan, precision=prediction.precision, kind=kind, profile=prediction.profile)


def _without(blank: Verdict, error: SimError) -> Verdict:
    status: Status = "infeasible" if isinstance(error, InfeasibleError) else "skipped"
    value = error.value.removeprefix(f"{SHAPE_NAME} has ")
    return replace(blank, status=status, reason=f"{error.rule} ({value})" if value else error.rule)

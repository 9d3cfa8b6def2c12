"""Whole training runs: predicted device-hours beside published ones, by the way `sim howlong` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import InfeasibleError, ScenarioError, SimError
from sim.plan.training import prepare
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.workload import Budget, TrainingSpec
from sim.validate.machines import accelerator_of
from sim.validate.names import names
from sim.validate.report import Report
from sim.validate.rows import MissingError
from sim.validate.score import Verdict
from sim.validate.steps import check_profile, of_group
from sim.validate.table import read

if TYPE_CHECKING:
    from pathlib import Path

    from sim.validate.table import Line

METRIC = "device_hours"
METRIC_COLUMNS = ("days", "gpu_hours", "mfu", "implied_wallclock_mfu")
KNOWN = ("model", "params_b", "tokens", "flop", "gpu", "gpus", *METRIC_COLUMNS, "source", "source_kind", "notes")
REQUIRED = ("model", "gpu")
AGREES = 0.25
"""By which FLOP may differ from 6 x parameters x tokens, where a run is to be one pass over text."""
LEAST_PARAMETERS = 1e8


@dataclass(frozen=True, slots=True)
class RunRow:
    """What was run: neither days nor device-hours nor a utilization."""

    model: str
    parameters: float | None
    tokens: float | None
    flop: float | None
    gpu: str
    devices: int | None


def runs(table: Path, group: str | None = None, profile: str | None = None) -> Report:
    """Predict every run of a table and put it beside what was published.

    Args:
        table: CSV in the format of docs/validation.md.
        group: only rows of this name in the `gpu` column.
        profile: software profile for all rows; the default of `sim howlong` where none is given.

    Raises:
        SimError: the table cannot be read, or has no such rows; or there is no such profile.

    """
    check_profile(profile)
    verdicts = []
    for line in of_group(read(table, KNOWN, REQUIRED), "gpu", group):
        row, hours = _row(line), _device_hours(line)
        kind = "contradicted" if names().contradicts(row.model) else "not contradicted"
        blank = Verdict(row.model, row.gpu, METRIC, "ok", gpu=row.gpu, kind=kind, plan="searched")
        try:
            predicted = predict(row, profile)
        except ScenarioError:
            raise  # a file of the catalogue is wrong, which is no fault of the row
        except InfeasibleError as error:
            verdicts.append(_without(blank, "infeasible", error.rule))
        except SimError as error:
            verdicts.append(_without(blank, "skipped", error.rule))
        else:
            if hours is None:
                verdicts.append(_without(blank, "skipped", "neither gpu_hours, nor days with gpus"))
            else:
                verdicts.append(_with(blank, hours, predicted))
    return Report("runs", METRIC, tuple(verdicts))


def predict(row: RunRow, profile: str | None = None) -> float:
    """Predict the device-hours of a run: step, checkpoints and interruptions, on the best layout.

    Raises:
        MissingError: the row does not say what was trained on what.
        SimError: it cannot be planned.

    """
    accelerator = accelerator_of(row.gpu)
    defaults = names().runs
    devices = row.devices or defaults.devices
    found = names().catalogue_model(row.model)
    if found is None and not _is_one_pass_over_text(row):
        raise MissingError("neither a model of the catalogue, nor FLOP that are 6 x parameters x tokens")
    if row.tokens is None and row.flop is None:
        raise MissingError("neither tokens nor flop is a number")
    sequence = defaults.sequence
    if found is not None:
        entry = catalog.load("models", found)
        sequence = min(entry.max_positions or defaults.sequence, defaults.longest)
    wide = "bf16" if "bf16" in accelerator.peak_flop_per_s else "fp16"
    rule = names().software_of_run(row.model) if profile is None else None
    named = profile if rule is None else rule.profile
    spec = TrainingSpec(
        model=found or "compute-optimal",
        params=None if found is not None else row.parameters,
        tokens=row.tokens,
        budget=Budget(flop=row.flop) if row.tokens is None else None,
        sequence=sequence,
        batch=float(defaults.sequences * sequence),
        precision=wide if rule is None or rule.precision is None else rule.precision,
        **({} if named is None else {"profile": named}),
    )
    prepared = prepare(ClusterSpec(accelerator=accelerator, count=devices), spec)
    return float(prepared.expected().wall_clock_s) * devices / 3600.0


def _is_one_pass_over_text(row: RunRow) -> bool:
    """Tell whether parameters, tokens and FLOP are those of a dense language model that saw each token once."""
    if row.parameters is None or row.tokens is None or row.flop is None or row.parameters < LEAST_PARAMETERS:
        return False
    return abs(row.flop / (6.0 * row.parameters * row.tokens) - 1.0) <= AGREES if row.tokens else False


def _row(line: Line) -> RunRow:
    parameters = _plain_number(line.text("params_b"))
    devices = _plain_number(line.text("gpus"))
    return RunRow(
        model=line.text("model"),
        parameters=None if parameters is None else parameters * 1e9,
        tokens=_plain_number(line.text("tokens")),
        flop=_plain_number(line.text("flop")),
        gpu=line.text("gpu"),
        devices=None if devices is None or not 1 <= devices < MOST_DEVICES else int(devices),
    )


MOST_DEVICES = 10**9


def _plain_number(text: str) -> float | None:
    """Read a number above 0; what is none (tables of runs have words and ranges there) is a blank."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _device_hours(line: Line) -> float | None:
    hours = _plain_number(line.text("gpu_hours"))
    if hours is not None:
        return hours
    days, devices = _plain_number(line.text("days")), _plain_number(line.text("gpus"))
    return None if days is None or devices is None else days * 24.0 * devices


def _without(blank: Verdict, status: str, reason: str) -> Verdict:
    return Verdict(
        blank.id,
        blank.group,
        METRIC,
        "infeasible" if status == "infeasible" else "skipped",
        reason=reason,
        gpu=blank.gpu,
        kind=blank.kind,
    )


def _with(blank: Verdict, hours: float, predicted: float) -> Verdict:
    return Verdict(
        blank.id,
        blank.group,
        METRIC,
        "ok",
        plan=blank.plan,
        measured=hours,
        predicted=predicted,
        gpu=blank.gpu,
        kind=blank.kind,
    )

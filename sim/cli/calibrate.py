"""`sim calibrate`: fit an efficiency curve to your own measurements and write it as a file of the catalogue."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sim.cli import output
from sim.cli.files import check_writable, write_whole
from sim.errors import UsageError

if TYPE_CHECKING:
    from sim.calibrate.build import Record
    from sim.calibrate.fitting import Judgement
    from sim.calibrate.write import Curve
    from sim.cost.collectives import Collective
    from sim.spec.hardware import Accelerator
    from sim.spec.quantity import Sourced

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point")
FORMATS = {"bf16": ("bf16", 2.0), "fp8": ("fp8", 1.0), "fp8_block": ("fp8", 1.0), "fp4": ("fp4", 0.5)}
"""By format of the operands: precision of the peak, bytes of one element."""
COLUMNS = {
    "gemm": ("m", "n", "k", "latency"),
    "attention": ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "latency"),
    "moe": (
        "num_tokens",
        "hidden_size",
        "inter_size",
        "topk",
        "num_experts",
        "moe_tp_size",
        "moe_ep_size",
        "latency",
    ),
    "collective": ("num_gpus", "message_size", "latency"),
}
"""Columns that each fit reads."""
ATTENTION_FORMATS = ("bf16", "fp8")
POOR = 0.25
"""Median error from which a curve is called poor: good tables reach 4 to 8 %."""
FILE_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*\.yaml")
FITTED, FILES = "What was measured", "Files"


def calibrate(
    what: Annotated[str, typer.Argument(help="gemm, attention, moe or collective.")],
    table: Annotated[Path, typer.Option("--from", help="Measurements: CSV, CSV.gz or Parquet.", rich_help_panel=FILES)],
    target: Annotated[
        Path, typer.Option("--output", "-o", help="Calibration file to write: NAME.yaml.", rich_help_panel=FILES)
    ],
    base: Annotated[
        str,
        typer.Option(help="File or name that lends all other curves; else the accelerator's.", rich_help_panel=FILES),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file.", rich_help_panel=FILES)] = False,
    on: Annotated[str, typer.Option(help="Accelerator; else the NAME of the file.", rich_help_panel=FITTED)] = "",
    precision: Annotated[
        str, typer.Option(help=f"Format of the operands: {', '.join(FORMATS)}.", rich_help_panel=FITTED)
    ] = "bf16",
    quantises: Annotated[
        bool,
        typer.Option("--quantises", help="The timed product quantises its activation too.", rich_help_panel=FITTED),
    ] = False,
    operation: Annotated[
        str, typer.Option(help=f"Collective: {', '.join(COLLECTIVES)}.", rich_help_panel=FITTED)
    ] = "all_reduce",
    where: Annotated[
        list[str] | None,
        typer.Option(help="Rows to take: COLUMN=VALUE; may be repeated.", rich_help_panel=FITTED),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object: constants and errors.")] = False,
) -> None:
    """Fit efficiency curves to your own measurements.

    The columns that the table needs:

    gemm: m, n, k, latency

    attention: batch_size, isl, num_heads, num_key_value_heads, head_dim, latency

    moe: num_tokens (of the whole group), hidden_size, inter_size, topk, num_experts, moe_tp_size, moe_ep_size, latency

    collective: num_gpus, message_size (elements of 2 bytes), latency

    Latency is in milliseconds.
    """
    job = _job(what, table, target, on, precision, operation, where or [], quantises=quantises)
    check_writable(target, force=force)
    from sim.calibrate import write

    _check_table(job)
    lender = base or job.chip.calibration or ""
    record = write.load(_file_of(lender))
    curve, judgement = _fit(job, record)
    write_whole(target, _text(job, record, lender, curve, judgement), force=force)
    _report(job, curve, judgement, json=json)


@dataclass(frozen=True, slots=True)
class _Job:
    """What was asked for, checked."""

    what: str
    table: Path
    target: Path
    chip: Accelerator
    key: str
    """Entry that is fitted: a format, or a collective."""
    where: dict[str, str]
    quantises: bool

    @property
    def kind(self) -> str:
        """Section of the file that holds the entry."""
        return {"collective": "collectives", "moe": "experts"}.get(self.what, self.what)


def _job(
    what: str, table: Path, target: Path, on: str, precision: str, operation: str, where: list[str], *, quantises: bool
) -> _Job:
    """Check what was typed. Raises UsageError, or CatalogError for an unknown accelerator."""
    _one_of(what, tuple(COLUMNS), "there is no such curve")
    key = operation if what == "collective" else precision
    keys = {"attention": ATTENTION_FORMATS, "collective": COLLECTIVES}.get(what, tuple(FORMATS))
    _one_of(key, keys, f"sim calibrate {what} takes no such {'operation' if what == 'collective' else 'precision'}")
    if not FILE_NAME.fullmatch(target.name):
        rule = "the file is named as the calibration: small letters, digits, points and hyphens, then .yaml"
        raise UsageError(rule, value=target.name, where="--output", mend="write it like my-h100.yaml")
    pairs = dict(pair.partition("=")[::2] for pair in where)
    if wrong := next((pair for pair in where if "=" not in pair), None):
        raise UsageError("rows are chosen by COLUMN=VALUE", value=wrong, where="--where", mend="--where system=h100")
    from sim.spec import catalog

    name = on or target.stem
    if not on and name not in catalog.names("accelerators"):
        rule = "which accelerator was measured? its peaks are needed"
        raise UsageError(rule, where="sim calibrate", mend="add --on NAME, such as --on h100-sxm")
    chip = catalog.load("accelerators", name)
    return _Job(what, table, target, chip, key, pairs, quantises)


def _one_of(given: str, choices: tuple[str, ...], rule: str) -> None:
    if given not in choices:
        raise UsageError(rule, value=given, where="sim calibrate", mend=f"one of {output.either(choices)}")


def _file_of(base: str) -> Path:
    """Find the calibration that lends the other curves: a file, or a name of the catalogue."""
    if base.endswith(".yaml"):
        return Path(base)
    if not base:
        raise UsageError("this accelerator has no calibration of its own", mend="name one that lends: --base generic")
    from sim.spec import catalog

    return catalog.path("calibration", base)


def _check_table(job: _Job) -> None:
    """Refuse a table that cannot be read, or whose columns are no amounts, before a curve is fitted to it."""
    import zlib

    import numpy as np

    from sim.spec import measured_tables as tables

    try:
        columns = tables.read(job.table, COLUMNS[job.what], job.where)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        kind = "Parquet" if job.table.suffix == ".parquet" else "CSV"
        reason = str(error).partition(".")[0]
        raise UsageError(f"not readable as {kind}: {reason}", where=str(job.table), mend="check the file") from None
    for name, column in columns.items():
        numbers = column if np.issubdtype(column.dtype, np.number) else np.array([np.nan])
        if not (np.isfinite(numbers).all() and (numbers > 0).all()):
            wrong = next((each for each in column.tolist() if not _is_amount(each)), "")
            raise UsageError(
                f"column {name} holds amounts above zero",
                value=str(wrong),
                where=str(job.table),
                mend="leave such rows out, or choose others with --where",
            )


def _is_amount(cell: object) -> bool:
    try:
        return 0 < float(str(cell)) < float("inf")
    except ValueError:
        return False


def _fit(job: _Job, record: Record) -> tuple[Curve, Judgement]:
    """Fit the curve that was asked for."""
    from sim.calibrate import attention, collective, gemm, moe
    from sim.spec import measured_tables as tables

    if job.what == "collective":
        link = _number(job, job.chip.scale_up_bandwidth_bytes_per_s, "scale-up bandwidth")
        return collective.fit(job.table, cast("Collective", job.key), link, where=job.where)
    peak, element_bytes = _peak(job), FORMATS[job.key][1]
    bandwidth = _number(job, job.chip.memory_bandwidth_bytes_per_s, "memory bandwidth")
    if job.what == "gemm":
        cache = job.chip.l2_bytes.value if job.chip.l2_bytes else 0.0
        return gemm.fit(job.table, peak, bandwidth, element_bytes, cache, quantises=job.quantises, where=job.where)
    if job.what == "moe":
        return moe.fit(job.table, peak, bandwidth, element_bytes, where=job.where)
    # A table of one head dimension cannot tell its constant from the efficiency: it is borrowed.
    sizes = set(tables.read(job.table, ("head_dim",), job.where)["head_dim"].tolist())
    lent = record["attention"].get(job.key, record["attention"]["bf16"])["half_head_dim"] if len(sizes) == 1 else None
    return attention.fit(job.table, peak, bandwidth, element_bytes, half_head_dim=lent, where=job.where)


def _peak(job: _Job) -> float:
    peaks: dict[str, Sourced] = {**job.chip.peak_flop_per_s}
    precision = FORMATS[job.key][0]
    if precision == "bf16" and "bf16" not in peaks:
        precision = "fp16"
    return _number(job, peaks.get(precision), f"{precision} peak")


def _number(job: _Job, number: Sourced | None, noun: str) -> float:
    if number is None:
        raise UsageError(
            f"the catalogue has no {noun} for this accelerator, and a curve is a share of it",
            value=job.chip.name,
            where="sim calibrate",
            mend=f"sim show {job.chip.name} shows what it has",
        )
    return number.value


def _text(job: _Job, record: Record, lender: str, curve: Curve, judgement: Judgement) -> str:
    """Give the whole calibration file: the new curve, everything else borrowed."""
    from sim.calibrate import write

    rows = "".join(f", {name}={value}" for name, value in job.where.items())
    source = f"{job.table.name}{rows}"
    ready = write.replaced(record, job.target.stem, job.kind, job.key, curve, judgement, source)
    entry = ready[job.kind][job.key]
    if job.what == "collective":
        entry["bandwidth_bytes_per_s"] = _number(job, job.chip.scale_up_bandwidth_bytes_per_s, "scale-up bandwidth")
    else:
        entry["peak_flop_per_s"] = _peak(job)
        entry["bandwidth_bytes_per_s"] = _number(job, job.chip.memory_bandwidth_bytes_per_s, "memory bandwidth")
    ready["title"] = (
        f"{job.chip.title or job.chip.name}: {job.what} {job.key} of {job.table.name}, the rest of {lender}"
    )
    words = ["sim", "calibrate", job.what, "--from", job.table.name, "-o", job.target.name, "--on", job.chip.name]
    words += [word for name, value in job.where.items() for word in ("--where", f"{name}={value}")]
    words += ["--operation", job.key] if job.what == "collective" else ["--precision", job.key]
    return write.dumps(ready, shlex.join(words))


def _report(job: _Job, curve: Curve, judgement: Judgement, *, json: bool) -> None:
    """Say which constants were found and how well they predict what was kept apart."""
    constants, errors = asdict(curve), asdict(judgement)
    if judgement.held_out_median > POOR:
        output.say(
            f"warning: half of the points kept apart are off by more than {judgement.held_out_median:.0%}; "
            "does the table mix chips, precisions or libraries? --where chooses rows"
        )
    if json:
        output.write_json(
            {
                "what": job.what,
                "entry": job.key,
                "accelerator": job.chip.name,
                "file": str(job.target),
                "constants": constants,
                "fit": errors,
            }
        )
        return
    output.write(f"{output.styled(str(job.target), output.CYAN)}  {job.what} {job.key} of {job.chip.name}")
    output.write("")
    width = max(map(len, constants))
    for name, value in constants.items():
        values = ", ".join(_constant(name, each) for each in (value if isinstance(value, tuple) else (value,)))
        output.write(f"{name.removesuffix('_s').replace('_', ' '):<{width}}  {values}")
    output.write("")
    output.write(f"{judgement.points:,} points fitted, {judgement.held_out_points:,} kept apart to judge the curve:")
    output.write(
        f"off by {judgement.held_out_median:.1%} in the median, {judgement.held_out_p90:.1%} at the 90th percentile"
    )


def _constant(name: str, value: float) -> str:
    from sim.units import show

    return show(value, "second") if name.endswith("_s") else f"{value:.4g}"

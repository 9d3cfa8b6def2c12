"""Recorded jobs as they come: one reader for every format; a line that is wrong is an error with its number.

Times are in s from the beginning of the trace.

swf           Standard Workload Format of the Parallel Workloads Archive: 18 fields, comments begin with ';'
gavel         jobs in steps, by tabs; how long a step takes says a file of measured throughputs
alibaba-2023  pods of the Alibaba GPU cluster of 2023, with shares of a GPU
csv           our own: a header that names the columns, in the words of several published traces
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import ScenarioError
from sim.spec.document import brief, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FORMATS = ("swf", "gavel", "alibaba-2023", "csv")
LONGEST_S = 1e11
"""Latest arrival and longest run time."""
MOST_DEVICES = 10**9
_SHOWN = 60
_SWF_FIELDS = 18
_UNKNOWN = -1.0


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One recorded job."""

    arrival_s: float | None
    """None where the trace does not say it."""
    devices: int | None
    run_s: float
    estimate_s: float | None = None
    priority: int | None = None
    tenant: str = ""
    name: str = ""
    milli: int = 0
    """Thousandths of one device; 0 where the job takes whole ones."""
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Kinds of device on which it runs, with its speed over that of ``run_s``; empty: any, and all alike."""


@dataclass(frozen=True, slots=True)
class JobTrace:
    """A trace in memory, in the order of arrival."""

    format: str
    jobs: tuple[TraceJob, ...]
    left_out: int
    """Lines of jobs that never ran, or asked for no device."""


class _BadLineError(ValueError):
    """A line breaks a rule of its format."""

    def __init__(self, rule: str, value: object = "", mend: str = "") -> None:
        super().__init__(rule)
        self.rule, self.value, self.mend = rule, str(value), mend


def read_jobs(
    path: str | Path, kind: str = "auto", *, throughputs: str | Path | None = None, limit: int | None = None
) -> JobTrace:
    """Read a trace of jobs.

    Args:
        path: the file.
        kind: one of `FORMATS`, or auto.
        throughputs: for traces in steps, the file that says how many steps a second each type of job takes.
        limit: read so many jobs and no more.

    Raises:
        ScenarioError: a file cannot be read, or a line breaks a rule of the format; names file and line.
    """
    file = Path(path).expanduser()
    lines = _lines(file)
    kind = _kind(file, lines) if kind == "auto" else kind
    parse, first = _parser(kind, file, lines, throughputs)
    jobs: list[TraceJob] = []
    left_out = 0
    for number in range(first, len(lines) + 1):
        line = lines[number - 1]
        if not line.strip() or (kind == "swf" and line.lstrip().startswith(";")):
            continue
        try:
            job = parse(line)
        except _BadLineError as error:
            raise _problem(file, number, kind, error.rule, error.value or line, error.mend) from None
        if job is None:
            left_out += 1
        else:
            jobs.append(job)
            if limit is not None and len(jobs) == limit:
                break
    if all(job.arrival_s is not None for job in jobs):
        jobs.sort(key=lambda job: job.arrival_s or 0.0)
    return JobTrace(kind, tuple(jobs), left_out)


def read_nodes(path: str | Path) -> dict[str, tuple[int, int]]:
    """Read a list of nodes (Alibaba 2023): devices in all and devices of a node, by kind; the kinds in order of size.

    Raises:
        ScenarioError: the file cannot be read, or a line breaks a rule of the format.
    """
    file = Path(path).expanduser()
    lines = _lines(file)
    header = next(csv.reader(lines[:1]), [])
    if not {"gpu", "model"} <= set(header):
        raise _problem(file, 1, "nodes", "a list of nodes has the columns gpu and model", lines[0] if lines else "")
    totals: dict[str, int] = {}
    largest: dict[str, int] = {}
    for number, row in enumerate(csv.reader(lines[1:]), 2):
        if not row:
            continue
        fields = dict(zip(header, row, strict=False))
        try:
            devices = _whole(fields.get("gpu", ""), "gpu", 0)
        except _BadLineError as error:
            raise _problem(file, number, "nodes", error.rule, error.value, error.mend) from None
        if devices:
            kind = fields["model"].strip()
            totals[kind] = totals.get(kind, 0) + devices
            largest[kind] = max(largest.get(kind, 0), devices)
    return {kind: (totals[kind], largest[kind]) for kind in sorted(totals, key=lambda kind: (-totals[kind], kind))}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")
    except OSError as error:
        rule = f"cannot read this trace: {error.strerror or error}"
        raise ScenarioError(rule, str(file), "trace", "paths begin at the folder of the scenario") from None
    except ValueError:
        raise ScenarioError("this is no path of a file", printable(str(file)), "trace") from None


def _kind(file: Path, lines: Sequence[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith(";") or (file.suffix == ".swf" and len(first.split()) == _SWF_FIELDS):
        return "swf"
    if first.count("\t") in (6, 9):
        return "gavel"
    if "num_gpu" in first and "gpu_milli" in first:
        return "alibaba-2023"
    if any(name in _columns(first) for name in _NAMES["run_s"]):
        return "csv"
    known = (
        "'; ...' or 18 fields: swf; a header with 'num_gpu,gpu_milli': alibaba-2023; 7 or 10 fields by tabs: gavel; "
    )
    mend = known + "a header with a column runtime or duration: csv"
    raise ScenarioError("the first line belongs to no known format of traces of jobs", brief(first), f"{file}:1", mend)


def _parser(
    kind: str, file: Path, lines: Sequence[str], throughputs: str | Path | None
) -> tuple[Callable[[str], TraceJob | None], int]:
    """Give what reads a line, and the number of the first line that it is for."""
    if kind == "swf":
        return _swf, 1
    if kind == "gavel":
        return _gavel(file, throughputs), 1
    if kind not in FORMATS:
        raise ScenarioError(
            "there is no such format of traces of jobs", kind, str(file), f"one of {', '.join(FORMATS)}"
        )
    header = _columns(lines[0]) if lines else []
    try:
        return (_pods if kind == "alibaba-2023" else _table)(header), 2
    except _BadLineError as error:
        raise _problem(file, 1, kind, error.rule, error.value or (lines[0] if lines else ""), error.mend) from None


def _problem(file: Path, line: int, kind: str, rule: str, value: str = "", mend: str = "") -> ScenarioError:
    shown = printable(value.strip())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return ScenarioError(f"{rule} (a line of a trace in the format {kind})", shown, f"{file}:{line}", mend)


# Standard Workload Format: Chapin et al. 1999, "Benchmarks and standards for the evaluation of job schedulers".


def _swf(line: str) -> TraceJob | None:
    fields = line.split()
    if len(fields) < _SWF_FIELDS:
        raise _BadLineError("a job has 18 fields", f"{len(fields)} fields: {line}")
    numbers = [_number(fields[place], _SWF_NAMES[place]) for place in range(12)]
    number, submit_s, _, run_s, allocated = numbers[:5]
    asked, estimate_s = numbers[7:9]
    devices = allocated if allocated > 0 else asked
    if run_s == _UNKNOWN or devices <= 0:
        return None
    user = int(numbers[11])
    return TraceJob(
        arrival_s=_time(submit_s, "the time of submission"),
        devices=_whole(devices, "the number of processors"),
        run_s=_time(run_s, "the run time"),
        estimate_s=_time(estimate_s, "the requested time") if estimate_s > 0 else None,
        tenant=f"user-{user}" if user >= 0 else "",
        name=f"{number:.0f}",
    )


_SWF_NAMES = (
    "the job number",
    "the time of submission",
    "the wait",
    "the run time",
    "the number of processors",
    "the processor time",
    "the memory",
    "the requested processors",
    "the requested time",
    "the requested memory",
    "the status",
    "the user",
)


# Gavel: Narayanan et al. 2020, OSDI, github.com/stanford-futuredata/gavel, scheduler/traces.


def _gavel(file: Path, throughputs: str | Path | None) -> Callable[[str], TraceJob | None]:
    if throughputs is None:
        raise ScenarioError(
            "a trace in steps needs the steps a second of each type of job",
            str(file),
            "trace.throughputs",
            "throughputs: simulation_throughputs.json of the Gavel repository, or a file like it",
        )
    rates = _throughputs(Path(throughputs).expanduser())

    def parse(line: str) -> TraceJob:
        fields = line.rstrip("\r").split("\t")
        if len(fields) == 7:  # noqa: PLR2004 - the traces of simulated clusters
            steps, arrival, width, priority = fields[4], fields[5], fields[6], "1"
        elif len(fields) == 10:  # noqa: PLR2004 - the traces of the physical cluster
            steps, width, priority, arrival = fields[5], fields[6], fields[7], fields[9]
        else:
            raise _BadLineError("a job has 7 or 10 fields, by tabs", f"{len(fields)} fields: {line}")
        devices = _whole(width, "the scale factor")
        kinds = rates.get((fields[0], devices), {})
        if not kinds:
            mend = "add it to the file of throughputs"
            raise _BadLineError("the throughput of each type of job is known", f"{fields[0]} on {devices}", mend)
        total = _number(steps, "the number of steps")
        reference = next(iter(kinds.values()))
        return TraceJob(
            arrival_s=_time(_number(arrival, "the arrival time"), "the arrival time"),
            devices=devices,
            run_s=_time(total / reference, "the run time"),
            priority=round(_number(priority, "the priority weight")),
            name=fields[0],
            speeds={kind: rate / reference for kind, rate in kinds.items()},
        )

    return parse


def _throughputs(file: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Read steps a second by type of job, its devices, and kind of device; only of jobs that run alone."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"cannot read these throughputs: {error}", str(file), "trace.throughputs") from None
    rates: dict[tuple[str, int], dict[str, float]] = {}
    try:
        for kind, types in data.items():
            for text, others in types.items():
                name, _, width = text.strip("()").rpartition(",")
                alone = others["null"] if isinstance(others, dict) else others
                if float(alone) > 0:
                    rates.setdefault((name.strip().strip("'\""), int(width)), {})[kind] = float(alone)
    except (AttributeError, KeyError, TypeError, ValueError):
        mend = """write it like {"v100": {"('ResNet-18 (batch size 32)', 1)": {"null": 56.4}}}"""
        rule = "throughputs stand by kind of device, then by type of job and number of devices"
        raise ScenarioError(rule, str(file), "trace.throughputs", mend) from None
    return rates


# Alibaba 2023: Weng et al. 2023, USENIX ATC, "Beware of fragmentation", github.com/alibaba/clusterdata.


def _pods(header: list[str]) -> Callable[[str], TraceJob | None]:
    _needed(header, ("num_gpu", "gpu_milli"))

    def parse(line: str) -> TraceJob | None:
        row = dict(zip(header, _split(line), strict=False))
        devices = _whole(row.get("num_gpu", ""), "num_gpu", 0)
        if not devices:
            return None
        milli = _whole(row.get("gpu_milli", ""), "gpu_milli", 1)
        if milli > 1000:  # noqa: PLR2004 - thousandths
            raise _BadLineError("gpu_milli is at most 1000 of one GPU", milli)
        kinds = [kind for kind in row.get("gpu_spec", "").split("|") if kind]
        arrival_s = run_s = None
        if row.get("creation_time"):
            arrival_s = _time(_number(row["creation_time"], "creation_time"), "creation_time")
            begin_s = _number(row.get("scheduled_time") or row["creation_time"], "scheduled_time")
            if not row.get("deletion_time"):
                return None
            run_s = _time(_number(row["deletion_time"], "deletion_time") - begin_s, "the run time")
        return TraceJob(
            arrival_s=arrival_s,
            devices=devices,
            run_s=math.nan if run_s is None else run_s,
            tenant=row.get("qos", "").lower(),
            name=row.get("name", ""),
            milli=milli if milli < 1000 and devices == 1 else 0,  # noqa: PLR2004 - thousandths
            speeds=dict.fromkeys(kinds, 1.0),
        )

    return parse


# Tables with a header.

_NAMES: dict[str, tuple[str, ...]] = {
    "arrival_s": (
        "at_s", "arrival_s", "arrival_time", "submit_time", "submitted_time", "submission_time", "timestamp",
    ),
    "devices": ("devices", "num_gpus", "num_gpu", "gpus", "gpu_num", "gpu_count", "n_gpu"),
    "run_s": ("runtime_s", "runtime", "run_s", "run_time", "duration", "duration_s", "service_time"),
    "estimate_s": ("estimate_s", "estimate", "requested_time", "walltime", "time_limit"),
    "priority": ("priority",),
    "tenant": ("tenant", "vc", "user", "queue", "group"),
    "name": ("name", "job_id", "jobid", "job_name", "id", "job"),
}  # fmt: skip
"""What a column may be called; the first name is ours."""


def _table(header: list[str]) -> Callable[[str], TraceJob | None]:
    places = {
        what: next((header.index(name) for name in names if name in header), None) for what, names in _NAMES.items()
    }
    run_at = places["run_s"]
    if run_at is None:
        raise _BadLineError("a trace has a column of run times", ",".join(header), "call it runtime_s")

    def parse(line: str) -> TraceJob | None:
        row = _split(line)
        if len(row) != len(header):
            raise _BadLineError(f"a line has {len(header)} fields, as the header", f"{len(row)} fields: {line}")
        value = {what: row[place].strip() if place is not None else "" for what, place in places.items()}
        devices, milli = _devices(value["devices"]) if value["devices"] else (None, 0)
        if devices == 0:
            return None
        return TraceJob(
            arrival_s=_moment(value["arrival_s"]) if value["arrival_s"] else None,
            devices=devices,
            milli=milli,
            run_s=_time(_number(row[run_at], "the run time"), "the run time"),
            estimate_s=_time(_number(value["estimate_s"], "the estimate"), "the estimate")
            if value["estimate_s"]
            else None,
            priority=int(_number(value["priority"], "the priority")) if value["priority"] else None,
            tenant=value["tenant"],
            name=value["name"],
        )

    return parse


def _devices(text: str) -> tuple[int, int]:
    """Read whole devices, or thousandths of one."""
    number = _number(text, "the number of devices")
    milli = round(number * 1000)
    if 0 < number < 1 and milli and abs(number * 1000 - milli) <= 1e-9:  # noqa: PLR2004 - rounding
        return 1, milli
    return _whole(number, "the number of devices", 0), 0


def _moment(text: str) -> float:
    """Read a time in s, or a date with its time (as UTC)."""
    try:
        return _time(float(text), "the time of arrival")
    except ValueError as error:
        if isinstance(error, _BadLineError):
            raise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _BadLineError("a time is a number of seconds or a date", text, "1234.5, or 2017-10-03 06:22:22") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _columns(line: str) -> list[str]:
    return [name.strip().lower() for name in _split(line)]


def _split(line: str) -> list[str]:
    return next(iter(csv.reader([line.rstrip("\r")])), [])


def _needed(header: list[str], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in header]
    if missing:
        raise _BadLineError(f"the header has the columns {', '.join(names)}", ",".join(header))


def _number(text: str, noun: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _BadLineError(f"{noun} is a number", text) from None
    if not math.isfinite(number):
        raise _BadLineError(f"{noun} is a finite number", text)
    return number


def _time(seconds: float, noun: str) -> float:
    if not 0 <= seconds <= LONGEST_S:
        raise _BadLineError(f"{noun} is a time from 0 to {LONGEST_S:g} s", f"{seconds:.12g}")
    return seconds


def _whole(value: str | float, noun: str, least: int = 1) -> int:
    number = _number(value, noun) if isinstance(value, str) else value
    if not (least <= number <= MOST_DEVICES and number == int(number)):
        raise _BadLineError(f"{noun} is a whole number from {least} to {MOST_DEVICES:,}", f"{number:.12g}")
    return int(number)

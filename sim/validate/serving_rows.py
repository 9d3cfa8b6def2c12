"""Rows of a table of served models, cut in two: what was run, and what was measured.

A predictor is given the first half only. Notes hold words on what was run and figures that were measured: only the
number of requests, the spread of lengths, the data set, the scenario and the statistic are taken from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.validate.rows import MissingError
from sim.validate.serving_names import Settings, serving_names

if TYPE_CHECKING:
    from sim.validate.table import Line

METRICS = {
    "ttft_ms": 1e-3,
    "tpot_ms": 1e-3,
    "itl_ms": 1e-3,
    "e2e_s": 1.0,
    "output_tokens_per_s": 1.0,
    "total_tokens_per_s": 1.0,
    "requests_per_s": 1.0,
    "prefill_tokens_per_s": 1.0,
}
"""What may be measured, and its unit in SI."""
COLUMNS = (
    "id", "source", "source_kind", "model", "gpu", "gpus", "engine", "engine_version", "precision_weights",
    "precision_compute", "precision_kv", "tp", "pp", "dp", "ep", "input_len", "output_len", "concurrency_or_batch",
    "request_rate", "metric", "value", "unit", "per", "notes", "family", "trust",
)  # fmt: skip
REQUIRED = ("model", "gpu", "engine", "metric", "value")
SPREAD = 0.8
"""Shortest over longest length where a note says that the dashboard drew them (its RANDOM_RANGE_RATIO)."""
_REQUESTS = re.compile(r"num_requests=(\d+)|(\d+) requests|(\d+) prompts")
_MEDIAN = re.compile(r"(?<!mean/)\bmedian\b(?! not)", re.IGNORECASE)
_OFFLINE = re.compile(r"\b(offline|offline max load)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LoadTest:
    """What was run, without its metric: equal for all metrics of one measurement."""

    model: str
    gpu: str
    gpus: int
    profile: str
    weights: str
    cache: str
    tensor: int | None
    pipeline: int | None
    data: int | None
    experts: int | None
    input: int
    output: int
    concurrency: int | None
    rate_per_s: float | None
    """Infinite where everything was queued at once."""
    requests: int
    shortest_share: float
    median: bool
    """Whether latencies are medians over requests; else their means."""
    attention_data_parallel: bool
    """Whether a source says that models with experts have it, without saying how."""
    settings: Settings
    """What the servers were started with."""
    beams: int
    """Answers that beam search carries along for each request."""


@dataclass(frozen=True, slots=True)
class ServingRow:
    """One metric of one measurement, without its value."""

    id: str
    family: str
    trust: str
    metric: str
    per_gpu: bool
    test: LoadTest


def row_of(line: Line) -> ServingRow:
    """Read what was run; never the value.

    Raises:
        MissingError: a field that a prediction needs is blank, or its words are not known.
        ScenarioError: a field is no number where it must be one.

    """
    family, metric = line.text("family"), line.text("metric")
    if metric not in METRICS:
        raise MissingError(f"no rule for the metric {metric}")
    return ServingRow(
        id=line.text("id") or f"line-{line.number}",
        family=family or line.text("source"),
        trust=line.text("trust"),
        metric=metric,
        per_gpu=line.text("per") == "gpu",
        test=_test(line, family),
    )


def _test(line: Line, family: str) -> LoadTest:
    known, notes = serving_names(), line.text("notes")
    words = f"{line.text('model')} {line.text('engine')} {notes}"
    reason = known.unmodelled_reason(words)
    if reason is not None:
        raise MissingError(reason)
    model = known.model(line.text("model"))
    if model is None:
        raise MissingError(f"no model of the catalogue is known for '{line.text('model')}'")
    if known.chip(line.text("gpu")) is None:
        raise MissingError(f"no accelerator of the catalogue is known for '{line.text('gpu')}'")
    profile = known.profile(line.text("engine"), line.text("engine_version"))
    if profile is None:
        raise MissingError(f"no engine profile is known for '{line.text('engine')}'")
    weights = known.weight_format(line.text("model"), line.text("precision_weights"), family, line.text("gpu"))
    if weights is None:
        raise MissingError(f"no format of weights is known for '{line.text('precision_weights')}'")
    prompt, output = _lengths(line, notes)
    engine = f"{line.text('engine')} {line.text('engine_version')}"
    settings = known.settings_of(family, notes, engine, model, line.text("gpu"), weights)
    data_set = known.data_set(notes)
    concurrency, rate = line.count("concurrency_or_batch"), _rate(line, notes)
    if concurrency is None and rate is None:
        raise MissingError("neither concurrency nor request rate is stated")
    return LoadTest(
        model=model,
        gpu=line.text("gpu"),
        gpus=line.count("gpus") or 1,
        profile=profile,
        weights=weights,
        cache=known.cache_format(family, weights, line.text("precision_kv") or settings.cache or ""),
        tensor=line.count("tp"),
        pipeline=line.count("pp"),
        data=line.count("dp"),
        experts=line.count("ep"),
        input=prompt,
        output=output,
        concurrency=concurrency if rate is None or not _of_load_file(line) else None,
        rate_per_s=rate,
        requests=data_set.requests if data_set is not None else _requests(notes, prompt, output),
        shortest_share=SPREAD if "RANDOM_RANGE_RATIO" in notes else settings.spread or 1.0,
        median=_MEDIAN.search(notes) is not None,
        attention_data_parallel=known.has_data_parallel_attention(family, model),
        settings=settings,
        beams=1 if data_set is None else data_set.beams,
    )


def _of_load_file(line: Line) -> bool:
    """Tell whether the batch of a row is the engine's limit: MLPerf rows state it beside a rate."""
    return "mlperf" in line.text("family").lower() or "mlperf" in line.text("notes").lower()


def _lengths(line: Line, notes: str) -> tuple[int, int]:
    prompt, output = line.number_of("input_len"), line.number_of("output_len")
    if prompt is None or ("length" in notes and "distribution" in notes):
        found = serving_names().data_set(notes)
        if found is None:
            raise MissingError("input_len is blank, and the note names no data set of known lengths")
        return found.input, found.output
    if output is None:
        raise MissingError("output_len is blank")
    return round(prompt), round(output)


def _rate(line: Line, notes: str) -> float | None:
    """Give the request rate: infinite for what was queued at once."""
    text = line.text("request_rate").lower()
    if "mlperf" in notes.lower() and _OFFLINE.search(notes):
        return float("inf")
    if text in ("inf", "infinite") or (not text and _OFFLINE.search(notes)):
        return float("inf")
    return line.number_of("request_rate") if text else None


def _requests(notes: str, prompt: int, output: int) -> int:
    found = _REQUESTS.search(notes)
    if found is not None:
        return int(next(group for group in found.groups() if group))
    known = serving_names()
    return known.requests.get(f"{prompt}x{output}", known.other_requests)

"""The small tables about played services that people read, from figures under dotted names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.results.run_report import Column, Section
from sim.results.serving import CAPS, SHARES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.results.run_report import Value
    from sim.results.serving import Served


def sections(every: Sequence[Served], figures: dict[str, Value]) -> tuple[Section, ...]:
    """Give the tables of a report."""
    return tuple(_sections(every, figures))


def _sections(every: Sequence[Served], figures: dict[str, Value]) -> Iterator[Section]:
    def look(name: str) -> float | None:
        return figures[name].value if name in figures else None

    latency = [
        (name, noun, *(look(f"{name}.{key}.{part}") for part in ("mean", *SHARES)))
        for served in every
        for name in served.told()
        for key, noun in _LATENCIES.items()
        if f"{name}.{key}.mean" in figures
    ]
    yield Section(
        "latency",
        "Latency",
        (Column("requests_of"), Column("metric"), *(Column(part, "second") for part in ("mean", *SHARES))),
        tuple(latency),
        _NOTE,
    )
    yield _table("requests", "Requests", _REQUESTS, [name for served in every for name in served.told()], figures)
    names = [served.name for served in every]
    table = _table("services", "Services", _SERVICES, names, figures)
    rows = tuple((row[0], served.replicas, *row[1:]) for row, served in zip(table.rows, every, strict=True))
    yield replace(table, columns=(table.columns[0], Column("replicas"), *table.columns[1:]), rows=rows)
    yield _table("economy", "Energy and money", _ECONOMY, names, figures)
    yield _table("rates", "Arithmetic over windows of 1 s and 1 h", _RATES, names, figures)


_LATENCIES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "itl_s": "ITL", "e2e_s": "end to end"}
_NOTE = (
    "TTFT: arrival to first token. TPOT: (last - first token) / (output - 1), over requests. ITL: all gaps, over "
    "tokens. Requests that were given up or turned away are left out."
)
_REQUESTS = (
    ("requests", "requests", "count"),
    ("finished", "answered", "count"),
    ("timed_out", "timed out", "count"),
    ("rejected", "rejected", "count"),
    ("requests_per_s", "answers", "per_s"),
    ("output_tokens_per_s", "output", "token_per_s"),
    ("slo_met", "SLO met", "fraction"),
    ("goodput_per_s", "goodput", "per_s"),
)
_SERVICES = (
    ("busy", "busy", "fraction"),
    ("mfu", "MFU", "fraction"),
    ("bandwidth_utilization", "memory", "fraction"),
    ("batch.mean", "batch", "ratio"),
    ("queue.mean", "queue", "ratio"),
    ("kv_use.mean", "KV", "fraction"),
    ("hit_rate", "hits", "fraction"),
    ("preemptions", "preempted", "count"),
    ("failures", "failed", "count"),
)
_ECONOMY = (
    ("usd_per_output_token", "output costs", "usd_per_token"),
    ("usd_per_token", "in and out", "usd_per_token"),
    ("joules_per_output_token", "a token of output", "joule"),
    ("cost_usd", "cost", "usd"),
    ("energy_j", "energy", "joule"),
)
_RATES = (
    ("flop_per_s.peak_1s", "peak 1 s", "flop_per_s"),
    ("flop_per_s.p99_1s", "p99 1 s", "flop_per_s"),
    ("flop_per_s.peak_1h", "peak 1 h", "flop_per_s"),
    ("flop_per_s.p99_1h", "p99 1 h", "flop_per_s"),
    ("flop_per_s.share_of_cap", "of the cap", "fraction"),
)


def _table(
    name: str, title: str, wanted: Sequence[tuple[str, str, str]], of: Sequence[str], figures: dict[str, Value]
) -> Section:
    """Give figures of several things as a table; columns that nobody fills, or all with zeros of failures, go."""
    columns = [
        each
        for each in wanted
        if any(f"{one}.{each[0]}" in figures for one in of)
        and (
            each[0] not in _ONLY_IF
            or any(figures[f"{one}.{each[0]}"].value for one in of if f"{one}.{each[0]}" in figures)
        )
    ]
    rows = tuple(
        (one, *(figures[f"{one}.{key}"].value if f"{one}.{key}" in figures else None for key, *_ in columns))
        for one in of
    )
    cap = CAPS[0]
    note = f"The cap: {cap.flop_per_s:.0e} FLOP/s ({cap.source})." if name == "rates" else ""
    return Section(name, title, (Column("of"), *(Column(title, kind) for _, title, kind in columns)), rows, note)


_ONLY_IF = {"timed_out", "rejected", "failures"}
"""Shown where there are any."""

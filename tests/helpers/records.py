"""Records for tests: one small training run, and one with everything that a page can show."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sim.results.record import RECORD_VERSION, Record

SCENARIO = "scenarios/training/gpt3-175b-spares.yaml"


@cache
def training_record() -> Record:
    """Play a scenario of the repository once and give its record."""
    from pathlib import Path

    from sim.spec.load import load_document, read_scenario
    from sim.study.scenarios import run_scenario

    document = load_document(Path(__file__).parents[2] / SCENARIO)
    return run_scenario(read_scenario(document), document=document).record


def everything(requests: int = 2000, name: str = "all kinds of content") -> Record:
    """Give a made-up record of services, tasks and jobs, with every table that a page reads."""
    draws = np.random.default_rng(1)
    end_s = 3600.0
    arrival_s = np.sort(draws.uniform(0, end_s, requests))
    ttft_s, tpot_s = draws.lognormal(-1.5, 0.6, requests), draws.lognormal(-3.6, 0.3, requests)
    output_tokens = draws.integers(1, 600, requests)
    finish_s = arrival_s + ttft_s + tpot_s * output_tokens
    services = np.where(draws.random(requests) < 0.7, "chat", "code").astype(object)
    tables = {
        "requests": {
            "id": np.arange(requests),
            "service": services,
            "tenant": services,
            "arrival_s": arrival_s,
            "first_token_s": arrival_s + ttft_s,
            "finish_s": finish_s,
            "ttft_s": ttft_s,
            "tpot_s": tpot_s,
            "e2e_s": finish_s - arrival_s,
            "prompt_tokens": draws.integers(1, 4000, requests),
            "output_tokens": output_tokens,
            "status": np.full(requests, "finished", dtype=object),
            "replica": draws.integers(0, 4, requests),
        },
        "series": _series(end_s),
        "heat": _heat(end_s),
        "jobs": _jobs(end_s, name),
        "calls": _calls(),
        "tasks": {
            "id": np.arange(3),
            "graph": ["solve"] * 3,
            "arrival_s": [0.0, 1, 2],
            "start_s": [0.0, 1, 2],
            "end_s": [30.0, 22.0, 41.0],
            "latency_s": [30.0, 21.0, 39.0],
        },
        "curve": {
            "rate_per_s": np.array([1.0, 2, 4, 8]),
            "ttft_s_p99": np.array([0.2, 0.25, 0.5, 4.0]),
            "requests": np.array([500, 1000, 2000, 2000]),
            "growing": np.array([0, 0, 0, 1]),
            "seed": np.zeros(4),
            "given": np.array([False, False, True, False]),
        },
        "events": {"time_s": [1.0, 2.0], "kind": ["failure", "repair"], "detail": ["node 3", "node 3"]},
    }
    return Record(_result(name, requests, end_s), tables, "schema_version: 1\n")


def _result(name: str, requests: int, end_s: float) -> dict[str, Any]:
    section = {
        "title": f"Services of {name}",
        "units": {"service": "", "requests": "", "ttft_s": "s"},
        "rows": [
            {"service": name, "requests": requests, "ttft_s": 0.2},
            {"service": "b", "requests": 7, "ttft_s": 12.0},
            {"service": "c", "requests": 70, "ttft_s": None},
        ],
        "note": "Time to first token at the median.",
    }
    weighted = {"operations": 1e20, "bits16": 1e20, "device_time16": 1e20}
    return {
        "record_version": RECORD_VERSION,
        "kind": "run",
        "name": name,
        "sentence": f"{name}: {requests} requests.",
        "devices": 64,
        "wall_clock_s": end_s,
        "parts": [
            {"name": "prefill", "seconds": 900.0},
            {"name": "decode", "seconds": 2000.0},
            {"name": "free", "seconds": 700.0},
        ],
        "flop": {"prefill": weighted, "decode": weighted},
        "tokens": {"output": 1e6},
        "energy_j": 1e9,
        "cost_usd": 12.0,
        "co2_kg": None,
        "missing": ["co2: no grid is given"],
        "values": {"chat.ttft_s.p99": {"value": 0.8, "unit": "s"}},
        "seeds": {},
        "sections": {"services": section},
        "shown": {
            "sections": [
                {"name": "services", "columns": [["service", "name"], ["requests", "count"], ["ttft_s", "second"]]}
            ]
        },
        "targets": [{"name": "chat.ttft_s.p99", "limit": 1.0, "value": 0.8, "unit": "s", "met": True}],
        "assumptions": [{"path": "services.chat.model", "value": name, "unit": "", "source": name, "given_by": "user"}],
        "next": [],
        "provenance": {"seed": 0, "version": "0"},
        "origins": [{"path": "services.chat.model", "text": name, "given_by": "user", "where": "chat.yaml:1:1"}],
    }


def _series(end_s: float) -> dict[str, Any]:
    times = np.linspace(0, end_s, 400, endpoint=False)
    rows = [
        (chart, line, float(time), float(value))
        for chart, line, values in (
            ("devices", "prefill", 20 + 10 * np.sin(times / 200)),
            ("devices", "decode", np.full(400, 24.0)),
            ("queue", "chat", np.abs(np.sin(times / 90)) * 12),
            ("kv_share", "chat", np.linspace(0, 1, 400)),
        )
        for time, value in zip(times, values, strict=True)
    ]
    charts, lines, at, values = zip(*rows, strict=True)
    return {"chart": list(charts), "line": list(lines), "time_s": np.array(at), "value": np.array(values)}


def _heat(end_s: float) -> dict[str, Any]:
    rows = [(f"pod {row}", t, row / 8) for row in range(8) for t in np.linspace(0, end_s, 20, endpoint=False)]
    names, times, values = zip(*rows, strict=True)
    return {"row": list(names), "time_s": np.array(times), "value": np.array(values)}


def _jobs(end_s: float, name: str) -> dict[str, Any]:
    started = np.array([0.0, 600.0, np.nan])
    return {
        "name": [name, "second", "never"],
        "tenant": ["a", "b", "a"],
        "submitted_s": np.zeros(3),
        "started_s": started,
        "ended_s": np.array([600.0, end_s, np.nan]),
        "devices": np.array([32, 64, 64]),
        "status": ["done", "done", "queued"],
    }


def _calls() -> dict[str, Any]:
    return {
        "id": np.arange(4),
        "task": np.array([0, 0, 0, 0]),
        "node": ["plan", "solve", "check", "search"],
        "kind": ["call", "call", "call", "tool"],
        "start_s": np.array([0.0, 10, 24, 10]),
        "end_s": np.array([10.0, 24, 30, 15]),
        "parent": np.array([-1, 0, 1, 0]),
        "on_critical_path": np.array([True, True, True, False]),
        "where": ["chat", "chat", "chat", "web"],
    }

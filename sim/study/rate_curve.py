"""The curve that answers a question about services: the same requests at other rates, and what they then wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.errors import SimError
from sim.study.serving import play_serving
from sim.study.serving_question import GROWTH, LEAST_JUDGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sim.results.run_report import RunReport
    from sim.spec.arrivals import ArrivalsSpec
    from sim.spec.requests import RequestsSpec
    from sim.spec.scenario import Scenario

FACTORS = (0.25, 0.5, 0.75, 1.25, 1.5, 2.0)
MOST_REQUESTS = 2000
"""Requests of one other rate; a longer run is played for a part of its time."""
RATED = {"poisson", "deterministic", "gamma", "weibull"}
"""Ways to arrive that have one rate."""
LATENCIES = ("ttft_s.p99", "ttft_s.p50", "tpot_s.p50")


def latency_against_rate(scenario: Scenario, report: RunReport) -> dict[str, NDArray[Any]] | None:
    """Play the requests of a scenario at other rates, with its seed, and give what they wait for at each.

    Where requests come at a rate they come faster or slower; where users who wait for their answers send them, there
    are more or fewer users. All else stays: the machine, the replicas, the seed.

    Returns:
        Columns: the rate (or the users); a latency each; ``requests`` that were played; the ``seed``; whether waits
        are ``growing`` from beginning to end; and whether it is the run itself, ``given``. None where the requests
        have no one rate (recorded ones, a rate that follows the day, all at once, a mixture of kinds), where tasks
        share the services, and where no other rate can be played.

    """
    asked = [workload.requests for workload in scenario.workloads if workload.requests is not None]
    kinds = {None if spec.arrivals is None else spec.arrivals.kind for spec in asked}
    by_users = kinds == {"closed"}
    services = [name for name in scenario.services if f"{name}.{LATENCIES[0]}" in report.values]
    if any(workload.tasks for workload in scenario.workloads) or not services or not (by_users or kinds <= RATED):
        return None
    load = _load(scenario)
    points = {load: _point(report, services)}
    total = points[load]["requests"]
    for factor in FACTORS:
        other = _at(scenario, factor, min(1.0, MOST_REQUESTS / (total * factor)))
        if _load(other) in points:
            continue
        try:
            played = play_serving(other)
        except SimError:
            continue  # a rate that cannot be played has no point
        if all(f"{name}.{LATENCIES[0]}" in played.values for name in services):
            points[_load(other)] = _point(played, services)
    if len(points) == 1:
        return None
    loads = sorted(points)
    columns = {name: np.array([points[each][name] for each in loads]) for name in points[load]}
    across = {"users" if by_users else "rate_per_s": np.array(loads)}
    return across | columns | {"seed": np.full(len(loads), report.seed), "given": np.array(loads) == load}


def _point(report: RunReport, services: list[str]) -> dict[str, float]:
    """Give the latencies of one play; those of one service without its name."""
    names = LATENCIES if len(services) == 1 else LATENCIES[:1]
    found = {}
    for service in services:
        for name in names:
            column = name.replace(".", "_") if len(services) == 1 else f"{service}.{name.replace('.', '_')}"
            found[column] = report.values[f"{service}.{name}"].value
    rows = report.tables.get("requests")
    counted = sum(report.values[f"{service}.requests"].value for service in services)
    return found | {
        "requests": float(counted if rows is None else len(rows["id"])),
        "growing": float(rows is not None and _is_growing(rows)),
    }


def _is_growing(rows: Mapping[str, Any]) -> bool:
    """Tell whether requests wait longer and longer: more come than are answered."""
    order = np.argsort(rows["arrival_s"], kind="stable")
    wait_s = (np.asarray(rows["first_token_s"]) - np.asarray(rows["arrival_s"]))[order]
    wait_s = wait_s[np.isfinite(wait_s)]
    quarter = len(wait_s) // 4
    return len(wait_s) >= LEAST_JUDGED and float(wait_s[-quarter:].mean()) > GROWTH * float(wait_s[:quarter].mean())


def _at(scenario: Scenario, factor: float, shorter: float) -> Scenario:
    """Give the requests of a scenario alone, at another rate and for a part of their time."""
    workloads = tuple(
        workload.model_copy(update={"requests": _changed(workload.requests, factor, shorter)})
        for workload in scenario.workloads
        if workload.requests is not None
    )
    return scenario.model_copy(update={"workloads": workloads, "targets": {}})


def _changed(spec: RequestsSpec, factor: float, shorter: float) -> RequestsSpec:
    assert spec.arrivals is not None
    update: dict[str, object] = {
        "arrivals": _more(spec.arrivals, factor),
        "warm_up": spec.warm_up * shorter,
        "duration": None if spec.window_s is None else spec.window_s * shorter,
        "count": None if spec.count is None else max(round(spec.count * factor * shorter), 1),
    }
    return spec.model_copy(update=update)


def _more(arrivals: ArrivalsSpec, factor: float) -> ArrivalsSpec:
    """Scale the rate, or the users."""
    kind = arrivals.kind
    given = getattr(arrivals, kind)
    if kind == "closed":
        scaled = given.model_copy(update={"users": max(round(given.users * factor), 1)})
    elif kind in ("gamma", "weibull"):
        scaled = given.model_copy(update={"rate": given.rate * factor})
    else:
        scaled = given * factor
    return arrivals.model_copy(update={kind: scaled})


def _load(scenario: Scenario) -> float:
    """Sum the rates in 1/s, or the users."""
    every = [workload.requests.arrivals for workload in scenario.workloads if workload.requests is not None]
    known = [each for each in every if each is not None]
    return sum(float(each.closed.users) if each.closed is not None else each.rate_per_s or 0.0 for each in known)

"""Hypothesis strategies: clusters, jobs, arrival patterns, failures, topologies, and whole small scenarios.

Everything is small and in whole seconds: ties are frequent, and what breaks is easy to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sim.plan.placement import ClusterMap, Pool
from sim.testing.case import KIND, Case, JobCase

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

MOST_JOBS, MOST_DEVICES, LATEST_S, LONGEST_S = 10, 8, 12, 8


@st.composite
def arrivals(draw: DrawFn, most: int = MOST_JOBS) -> list[int]:
    """Draw arrival times: all at once, in bursts, or as they come."""
    count = draw(st.integers(1, most))
    pattern = draw(st.sampled_from(("at once", "bursts", "spread")))
    if pattern == "at once":
        return [0] * count
    if pattern == "bursts":
        times = draw(st.lists(st.integers(0, LATEST_S), min_size=1, max_size=3))
        return [times[place % len(times)] for place in range(count)]
    return [draw(st.integers(0, LATEST_S)) for _ in range(count)]


@st.composite
def jobs(
    draw: DrawFn,
    devices: int,
    at_s: int,
    *,
    elastic: bool = True,
    preemption: bool = True,
    exact: bool = False,
    owned: bool = False,
    shortest_s: int = 0,
) -> JobCase:
    """Draw a job for a cluster of so many devices; where ``owned``, some run until their owner gives them up."""
    width = draw(st.integers(1, devices))
    is_elastic = elastic and draw(st.booleans())
    if owned and draw(st.integers(0, 4)) == 0:
        until_s, urgency = at_s + draw(st.integers(0, LONGEST_S)), draw(st.integers(0, 2))
        tenant, may_stop = draw(st.sampled_from(("a", "b"))), draw(st.booleans())
        return JobCase(at_s, width, 0, priority=urgency, tenant=tenant, preemptible=may_stop, until_s=until_s)
    return JobCase(
        at_s=at_s,
        devices=width,
        run_s=draw(st.one_of(st.integers(shortest_s, 3), st.integers(shortest_s, LONGEST_S))),
        over_s=0 if exact else draw(st.one_of(st.just(0), st.integers(0, 4))),
        priority=draw(st.integers(0, 2)),
        tenant=draw(st.sampled_from(("a", "b"))),
        least=draw(st.integers(1, width)) if is_elastic else 0,
        most=draw(st.integers(width, devices)) if is_elastic else 0,
        checkpoint_s=draw(st.one_of(st.none(), st.integers(0, 3))) if preemption else None,
        restart_s=draw(st.integers(0, 2)) if preemption else 0,
        preemptible=not preemption or draw(st.booleans()),
    )


def failures() -> SearchStrategy[tuple[float, int, float]]:
    """Draw failures per device and second, seconds to repair, and the share that takes a node away."""
    rates = st.one_of(st.just(0.0), st.sampled_from((0.002, 0.01)))
    return st.tuples(rates, st.integers(1, 10), st.sampled_from((0.0, 0.5, 1.0)))


@st.composite
def clusters(draw: DrawFn) -> tuple[int, int, str]:
    """Draw devices, devices of a node, and a rule of placement (empty: devices have no place)."""
    if draw(st.booleans()):
        return draw(st.integers(1, MOST_DEVICES)), 1, ""
    node = draw(st.sampled_from((1, 2, 4)))
    return node * draw(st.integers(1, 4)), node, draw(st.sampled_from(("packed", "spread", "first", "best")))


@st.composite
def topologies(draw: DrawFn) -> ClusterMap:
    """Draw a cluster of nodes, scale-up domains, leaves and pods."""
    node = draw(st.sampled_from((1, 2, 4, 8)))
    size = domain = node * draw(st.sampled_from((1, 2, 4)))
    levels = []
    for name in ("leaf", "pod")[: draw(st.integers(0, 2))]:
        size *= draw(st.integers(1, 3))
        levels.append((name, size))
    return ClusterMap([Pool(KIND, size * draw(st.integers(1, 3)), node, domain, tuple(levels))])


@st.composite
def scenarios(draw: DrawFn, *, calm: bool = False) -> Case:
    """Draw a whole small scenario; a calm one has rigid jobs, no failures, quotas, reservations or places."""
    devices, node, place = (draw(st.integers(1, MOST_DEVICES)), 1, "") if calm else draw(clusters())
    preemption = draw(st.booleans())
    exact = draw(st.booleans())
    # Promises about time say nothing where any job takes none.
    shortest_s = draw(st.sampled_from((1, 1, 0)))
    drawn = tuple(
        draw(
            jobs(
                devices,
                at_s,
                elastic=not calm,
                preemption=preemption,
                exact=exact,
                owned=not calm,
                shortest_s=shortest_s,
            )
        )
        for at_s in draw(arrivals())
    )
    if calm:
        return Case(devices, drawn)
    rate, repair_s, share = draw(failures())
    quotas: tuple[tuple[str, int], ...] = ()
    if draw(st.integers(0, 3)) == 0:
        quotas = (("a", draw(st.integers(1, devices))),)
    reservation = None
    if draw(st.integers(0, 3)) == 0:
        begin_s = draw(st.integers(0, LATEST_S))
        length_s = draw(st.integers(1, LONGEST_S))
        reservation = ("b", draw(st.integers(1, devices)), begin_s, begin_s + length_s)
    return Case(
        devices=devices,
        jobs=drawn,
        node_devices=node,
        place=place,
        grace_s=draw(st.sampled_from((0, 0, 1, 3))),
        quotas=quotas,
        reservation=reservation,
        failures_per_device_s=rate,
        repair_s=repair_s,
        node_loss_share=share,
        seed=draw(st.integers(0, 3)),
    )

"""The curve that answers a question: the same training run on fewer and more devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.errors import SimError
from sim.plan.resolve import resolve_cluster
from sim.study.predict import expected_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.results.report import Report
    from sim.spec.scenario import Scenario

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
SEEDS = 4
"""Seeds of each point, where only the simulation answers."""


def time_against_devices(
    scenario: Scenario, report: Report
) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]] | None:
    """Give expected times on other numbers of devices, with the interval of the answer around each; None for one alone.

    The layout is given up where the scenario fixes it, since it fits one number of devices; what cannot be planned is
    left out.
    """
    prepared_count = int(report.answer.plan["devices"])
    training = scenario.training.model_copy(update={"plan": "auto"})
    spread = report.answer.wall_clock_s
    points = [(prepared_count, spread.expected)]
    node = _devices_of_a_node(report)
    cluster = resolve_cluster(scenario.one_cluster).spec
    for factor in FACTORS:
        count = round(prepared_count * factor / node) * node
        if factor == 1.0 or count < 1:
            continue
        try:
            found = expected_s(cluster.model_copy(update={"count": count}), training, scenario.seed, SEEDS)
        except SimError:
            continue
        points.append((count, found))
    if len(points) == 1:
        return None
    points.sort()
    devices, times = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    return {
        "devices": devices,
        "wall_clock_s": times,
        "wall_clock_s_p10": times * (spread.p10 / spread.expected),
        "wall_clock_s_p90": times * (spread.p90 / spread.expected),
        "given": devices == prepared_count,
    }


def _devices_of_a_node(report: Report) -> int:
    layout = report.answer.plan["layout"]
    return 8 if layout is not None and int(report.answer.plan["devices"]) % 8 == 0 else 1

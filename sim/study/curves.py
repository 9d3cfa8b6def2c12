"""The curve that answers the question of a scenario, beside its report: asked at other loads, or counts of devices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.results.run_report import RunReport

if TYPE_CHECKING:
    from sim.results.report import Report
    from sim.spec.scenario import Scenario


def with_curve(report: Report | RunReport, scenario: Scenario) -> Report | RunReport:
    """Add the table `curve` to a report where its question has one: days against devices, latency against rate.

    Solved tasks against FLOP follow from the tasks of the run itself, so that nothing is played for them.
    """
    if not isinstance(report, RunReport):
        from sim.study.curve import time_against_devices  # noqa: PLC0415 - each kind loads what it needs

        return replace(report, curve=time_against_devices(scenario, report))
    if not any(workload.requests for workload in scenario.workloads):
        return report
    from sim.study.rate_curve import latency_against_rate  # noqa: PLC0415 - as above

    curve = latency_against_rate(scenario, report)
    return report if curve is None else replace(report, tables=report.tables | {"curve": curve})

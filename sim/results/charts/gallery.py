"""Every picture that a record has, by name and in the order of the page."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from sim.errors import UsageError
from sim.results.charts.critical_path import critical_path
from sim.results.charts.curve import curve
from sim.results.charts.heat import heat
from sim.results.charts.job_bars import jobs
from sim.results.charts.over_time import timelines
from sim.results.charts.parts import energy, flop, levers, waterfall
from sim.results.charts.spread import interval, latencies
from sim.results.charts.tasks import path_sums, solved

if TYPE_CHECKING:
    from sim.results.charts.chart import Chart
    from sim.results.record import Record


def charts(record: Record) -> dict[str, Chart]:
    """Give each picture that the record has something to show in."""
    found: list[Chart | None] = [interval(record), waterfall(record), curve(record)]
    found += [*timelines(record), jobs(record), heat(record), *latencies(record)]
    found += [solved(record), path_sums(record), critical_path(record), levers(record), flop(record), energy(record)]
    return {chart.name: chart for chart in found if chart is not None}


def chart(record: Record, name: str) -> Chart:
    """Give one picture.

    Raises:
        UsageError: the record has no such picture; names those it has.

    """
    known = charts(record)
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    mend = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
    raise UsageError("this record has no such picture", value=name, mend=mend)

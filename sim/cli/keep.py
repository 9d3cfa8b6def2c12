"""What `sim run` keeps besides what it prints: the record, the page, the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sim.cli import output
from sim.cli.files import check_writable, write_whole, write_whole_bytes
from sim.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sim.results.report import Report
    from sim.results.run_report import RunReport
    from sim.results.tables import Format
    from sim.spec.scenario import Scenario

FORMATS = ("parquet", "csv", "none")


@dataclass(frozen=True, slots=True)
class Keep:
    """Where things go; nothing is kept without a place."""

    out: Path | None = None
    html: Path | None = None
    trace: Path | None = None
    tables: str = "parquet"
    force: bool = False
    curve: bool = True
    """Whether the question is asked at other loads too, for the curve of the page."""

    def check(self) -> None:
        """Refuse what could not be written, before anything is simulated.

        Raises:
            UsageError: a place cannot be written, or a library of the extra `report` is missing.

        """
        if self.tables not in FORMATS:
            raise UsageError("tables are parquet, csv or none", value=self.tables, where="--tables")
        if self.out is not None:
            from sim.results.record import check_place

            check_place(self.out, tables=cast("Format", self.tables), force=self.force)
        if self.html is not None:
            from sim.results.extras import load_extra

            load_extra("jinja2", "a report page")
        for path in (self.html, self.trace):
            if path is not None:
                check_writable(path, force=self.force)

    def write(self, report: Report | RunReport, scenario: Scenario) -> None:
        """Write what was asked for, and say where it is."""
        if self.out is None and self.html is None and self.trace is None:
            return
        is_drawn = self.out is not None or self.html is not None
        record = (_with_curve(report, scenario) if self.curve and is_drawn else report).record
        if self.out is not None:
            record.write(self.out, tables=cast("Format", self.tables), force=self.force)
            output.say(f"record: {self.out} (sim report {self.out} -o page.html)")
        if self.html is not None:
            from sim.results.page import page

            write_whole(self.html, page(record), force=self.force)
            output.say(f"page: {self.html}")
        if self.trace is not None:
            from sim.results.trace import trace

            made = trace(record)
            write_whole_bytes(self.trace, made.content, force=self.force)
            output.say(f"timeline: {self.trace} (open it at ui.perfetto.dev){made.remark}")


def _with_curve(report: Report | RunReport, scenario: Scenario) -> Report | RunReport:
    """Add the curve that answers the question; say what was played for it."""
    from sim.study.curves import with_curve

    found = with_curve(report, scenario)
    played = found.tables.get("curve", {}).get("requests")
    if played is not None:
        output.say(f"curve: {len(played) - 1} other loads were played for it (--no-curve leaves it out)")
    return found

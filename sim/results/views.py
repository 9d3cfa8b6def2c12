"""What every report can do with itself: be written, be a page, a picture, and show itself in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path

    from sim.results.charts.chart import Chart
    from sim.results.record import Record, Recordable
    from sim.results.tables import Format


class Views:
    """Base of the reports; everything is made from the record of the report, which files hold too."""

    __slots__ = ()

    @property
    def record(self) -> Record:
        """Give all that the run left, as a folder would hold it."""
        from sim.results.record import record_of  # noqa: PLC0415 - most runs are not looked at in this way

        # The classes that have this base are such.
        return record_of(cast("Recordable", self))

    def write(self, folder: Path | str, *, tables: Format = "parquet", force: bool = False) -> None:
        """Write result.json, the tables and the scenario into a folder, whole or not at all.

        Raises:
            UsageError: the folder exists already, or cannot be written.

        """
        self.record.write(folder, tables=tables, force=force)

    def to_html(self) -> str:
        """Give one page that needs no network.

        Raises:
            UsageError: the extra `report` is not installed.

        """
        from sim.results.page import page  # noqa: PLC0415 - as above

        return page(self.record)

    def plot(self, name: str) -> Chart:
        """Give one picture, such as "waterfall"; notebooks show it, `svg` and `save` give files.

        Raises:
            UsageError: the run has no such picture; names those it has.

        """
        from sim.results.charts.gallery import chart  # noqa: PLC0415 - as above

        return chart(self.record, name)

    def _repr_html_(self) -> str:
        """Show the sentence and where the time goes in a notebook."""
        from sim.results.page import fragment  # noqa: PLC0415 - as above

        return fragment(self.record)

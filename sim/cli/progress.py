"""How far a simulation has come: a bar on terminals, a line every 30 s elsewhere, both on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from sim.cli import output

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

QUIET_S = 1.0
"""Work that is done by then shows nothing."""
LINE_EVERY_S = 30.0
REDRAW_EVERY_S = 0.1


class Progress:
    """Watch the worlds that are simulated in a ``with`` block; Ctrl-C in it says how far they had come."""

    def __init__(self, runs: int = 1, *, line_every_s: float = LINE_EVERY_S) -> None:
        """Watch so many runs, as far as that is known."""
        self._runs = runs
        self._line_every_s = line_every_s
        self._worlds = 0
        self._now_s = self._horizon_s = 0.0
        self._events = self._events_before = 0
        self._began_s = self._said_s = self._drawn_s = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to watch."""
        from sim.engine.watch import watched_by

        self._block = watched_by(self)
        self._block.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away; after Ctrl-C say what was done."""
        self._block.__exit__(kind, error, trace)
        if self._bar is not None:
            self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._worlds:
            output.say(f"stopped: {self.text()}; nothing was written")

    def begin(self) -> None:
        """Learn that a world begins."""
        self._worlds += 1
        self._events_before += self._events
        self._events, self._now_s = 0, 0.0

    def look(self, now_s: float, events: int, horizon_s: float | None) -> None:
        """Learn how far the world has come, and show it where it is time to."""
        self._now_s, self._events, self._horizon_s = now_s, events, horizon_s or 0.0
        now = time.monotonic()
        if now - self._began_s < QUIET_S:
            return
        if sys.stderr is not None and sys.stderr.isatty():
            if now - self._drawn_s >= REDRAW_EVERY_S:
                self._drawn_s = now
                self._draw()
        elif now - self._said_s >= self._line_every_s:
            self._said_s = now
            output.say(self.text())

    @property
    def share(self) -> float | None:
        """Share of the present world that is done; None where its end is not known."""
        return min(self._now_s / self._horizon_s, 1.0) if self._horizon_s else None

    def text(self) -> str:
        """Say in a line how far it has come.

        >>> progress = Progress()
        >>> progress.begin()
        >>> progress.look(43200.0, 1024, 86400.0)
        >>> progress.text().split(", ")[0]
        'simulated 12 hours of about 24 hours (50 %)'
        """
        from sim.results.words import amount, duration

        parts = [f"simulated {duration(self._now_s)}"]
        if self.share is not None:
            parts[0] += f" of about {duration(self._horizon_s)} ({self.share:.0%})".replace("%", " %")
        events, spent_s = self._events + self._events_before, max(time.monotonic() - self._began_s, 1e-9)
        parts.append(f"{amount(float(events))} events, {amount(events / spent_s)}/s")
        if self._worlds > 1:
            parts.append(f"simulation {self._worlds}")
        if self.share:
            left_s = spent_s * (1 - self.share) / self.share if self._worlds <= 1 else 0.0
            parts += [f"{duration(left_s)} left"] if left_s else []
        return ", ".join(parts)

    def _draw(self) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            columns = (BarColumn(bar_width=24), TextColumn("{task.description}"))
            self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        assert self._task is not None
        share = self.share
        self._bar.update(
            self._task,
            description=self.text(),
            total=None if share is None else 1.0,
            completed=share or 0.0,
            refresh=True,
        )

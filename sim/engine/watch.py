"""Let somebody watch a simulation go on, without the simulation knowing who."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 1024
"""Wake-ups between two looks."""


class Watcher(Protocol):
    """Whoever wants to know how far a world has come. It reads; what it does changes no result."""

    def begin(self) -> None:
        """Learn that a new world begins."""

    def look(self, now_s: float, events: int, horizon_s: float | None) -> None:
        """Learn the simulated time, the wake-ups handled, and when the world will about end, where that is known."""


_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Show every world that begins in this block to the watcher."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def watcher() -> Watcher | None:
    """Give who watches, and tell them that a world begins; None where nobody does."""
    found = _WATCHER.get()
    if found is not None:
        found.begin()
    return found

"""Sequences that wait for a replica: first come, first served, or by priority."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from sim.engine.serving.sequence import Sequence


class Waiting(Protocol):
    """A queue; the replicas of a shared queue all hold the same."""

    def __len__(self) -> int:
        """Count those who wait."""

    def __getitem__(self, place: Literal[0], /) -> Sequence:
        """Give who is next."""

    def pop(self) -> Sequence:
        """Take who is next."""

    def push(self, sequence: Sequence) -> None:
        """Let one wait in its turn."""

    def push_back(self, sequence: Sequence) -> None:
        """Let one that was preempted wait."""

    def remove(self, sequence: Sequence) -> None:
        """Take one out wherever it stands."""


class FirstCome(deque["Sequence"]):
    """First come, first served; who was preempted goes first."""

    pop = deque.popleft
    push = deque.append
    push_back = deque.appendleft


class ByPriority:
    """The highest priority first, within it the order of arrival."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Sequence]] = []

    def __len__(self) -> int:
        """Count those who wait."""
        return len(self._heap)

    def __getitem__(self, place: Literal[0], /) -> Sequence:
        """Give who is next."""
        return self._heap[place][2]

    def pop(self) -> Sequence:
        """Take who is next."""
        return heappop(self._heap)[2]

    def push(self, sequence: Sequence) -> None:
        """Let one wait in its turn."""
        heappush(self._heap, (-sequence.request.priority, sequence.order, sequence))

    push_back = push

    def remove(self, sequence: Sequence) -> None:
        """Take one out wherever it stands."""
        self._heap = [entry for entry in self._heap if entry[2] is not sequence]
        heapify(self._heap)

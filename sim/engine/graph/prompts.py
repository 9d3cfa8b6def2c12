"""Prompts as segments, and the content of their cache blocks: equal heads of prompts have equal blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.engine.serving.contents import Blocks

Segment = tuple[int, int]
"""What a piece of text is, as a number of its own, and its tokens."""
_STEP = 1 << 28
"""More blocks than any prompt has."""


class Heads:
    """Numbers for heads of prompts: the same segments in the same order are the same head.

    The block at a place of a prompt is known by the head up to the segment that the block ends in. One table serves
    all services; segments have numbers of their own, so tasks share nothing but what they are given to share.
    """

    __slots__ = ("_next", "_shared")

    def __init__(self) -> None:
        """Begin with no head."""
        self._shared: dict[Segment, int] = {}
        self._next = 0

    def number(self) -> int:
        """Give a number for a new head."""
        self._next += _STEP
        return self._next

    def shared(self, segment: Segment) -> int:
        """Give the number of the head that is one segment, which several tasks begin with."""
        found = self._shared.get(segment)
        if found is None:
            found = self._shared[segment] = self.number()
        return found


class _Head:
    """The beginning of some prompts of a task: all segments up to one of them."""

    __slots__ = ("after", "blocks", "end", "number")

    def __init__(self, number: int, end: int) -> None:
        self.number = number
        self.end = end
        """Its tokens."""
        self.after: dict[Segment, _Head] = {}
        self.blocks: dict[int, Blocks] = {}
        """Its full blocks, by their size."""


class TaskHeads:
    """The heads of one task's prompts, forgotten with the task; those that tasks share are kept by `Heads`."""

    __slots__ = ("_root", "_shared", "_shared_segments")

    def __init__(self, shared: Heads, shared_segments: frozenset[int] = frozenset()) -> None:
        """Take the common table, and the segments that other tasks may begin with too."""
        self._shared = shared
        self._shared_segments = shared_segments
        self._root = _Head(0, 0)

    def blocks(self, segments: Sequence[Segment], block_size: int) -> Blocks:
        """Give the content of each full block of some segments that follow one another.

        >>> heads = TaskHeads(Heads())
        >>> first, second = heads.blocks([(1, 40), (2, 10)], 16), heads.blocks([(1, 40), (3, 10)], 16)
        >>> [blocks for _, blocks in first], first[0] == second[0], first[1] == second[1]
        ([2, 1], True, False)
        """
        head = self._root
        blocks: Blocks = ()
        for segment in segments:
            before, found = head, head.after.get(segment)
            if found is None:
                found = before.after[segment] = self._new(before, segment)
            head = found
            known = head.blocks.get(block_size)
            if known is None:
                full = head.end // block_size - before.end // block_size
                known = head.blocks[block_size] = (*blocks, (head.number, full)) if full else blocks
            blocks = known
        return blocks

    def _new(self, before: _Head, segment: Segment) -> _Head:
        alone = before is self._root and segment[0] in self._shared_segments
        number = self._shared.shared(segment) if alone else self._shared.number()
        return _Head(number, before.end + segment[1])

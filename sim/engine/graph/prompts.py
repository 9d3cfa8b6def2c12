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

    __slots__ = ("_heads", "_next")

    def __init__(self) -> None:
        """Begin with no head."""
        self._heads: dict[tuple[int, Segment], int] = {}
        self._next = _STEP

    def head(self, before: int, segment: Segment, memory: dict[tuple[int, Segment], int] | None = None) -> int:
        """Give the number of the head that ends in a segment, after another head (0 for none)."""
        memory = self._heads if memory is None else memory
        found = memory.get((before, segment))
        if found is None:
            found = self._next
            self._next = found + _STEP
            memory[before, segment] = found
        return found


class TaskHeads:
    """The heads of one task's prompts, forgotten with the task; those that tasks share are kept by `Heads`."""

    __slots__ = ("_blocks", "_memory", "_shared", "_shared_segments")

    def __init__(self, shared: Heads, shared_segments: frozenset[int] = frozenset()) -> None:
        """Take the common table, and the segments that other tasks may begin with too."""
        self._shared = shared
        self._shared_segments = shared_segments
        self._memory: dict[tuple[int, Segment], int] = {}
        self._blocks: dict[tuple[int, int], Blocks] = {}

    def blocks(self, segments: Sequence[Segment], block_size: int) -> Blocks:
        """Give the content of each full block of some segments that follow one another.

        >>> heads = TaskHeads(Heads())
        >>> first, second = heads.blocks([(1, 40), (2, 10)], 16), heads.blocks([(1, 40), (3, 10)], 16)
        >>> [blocks for _, blocks in first], first[0] == second[0], first[1] == second[1]
        ([2, 1], True, False)
        """
        head, start = 0, 0
        blocks: Blocks = ()
        known, memory, shared = self._blocks, self._memory, self._shared
        for segment in segments:
            alone = head == 0 and segment[0] in self._shared_segments
            head = shared.head(head, segment) if alone else shared.head(head, segment, memory)
            end = start + segment[1]
            found = known.get((head, block_size))
            if found is None:
                full = end // block_size - start // block_size
                found = (*blocks, (head, full)) if full else blocks
                known[head, block_size] = found
            blocks, start = found, end
        return blocks

"""Prefix cache: full blocks keep their content after their sequence has gone, until the block is needed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from sim.engine.ledger import ConservationError
from sim.engine.serving.blocks import BlockPool

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class _Run:
    """Free blocks without content that stand together in the queue."""

    __slots__ = ("blocks",)

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks


class PrefixCache(BlockPool):
    """Blocks found by content, shared by reference, evicted least recently freed first.

    The order is that of vLLM's free queue: a block goes to its end when its last holder leaves, the tail of a
    sequence before its head, and allocation takes from the front, whether a block has content or not. Allocation only
    counts: which contents it evicted is worked out when somebody next looks, so a jump of a hundred iterations costs
    no more than one. One content is cached once: a second copy of it is a block without content.

    With host memory, what is evicted goes there, oldest out, and is found until then.
    """

    __slots__ = ("_holders", "_host", "_last_run", "_queue", "_queued", "host_blocks")

    def __init__(self, capacity: int, host_blocks: int = 0) -> None:
        """Begin with all blocks free and empty."""
        super().__init__(capacity)
        self.host_blocks = host_blocks
        self._last_run = _Run(capacity)
        self._queue: OrderedDict[Hashable, None] = OrderedDict({self._last_run: None})
        self._holders: dict[Hashable, int] = {}
        self._host: OrderedDict[Hashable, None] = OrderedDict()
        self._queued = capacity
        """Blocks in the queue: those that are free, and those taken since it was last worked off."""

    def give_back(self, blocks: int) -> None:
        """Free blocks whose content nobody will ask for."""
        if not blocks:
            return
        self.free += blocks
        self._queued += blocks
        self.released += blocks
        if self._last_run.blocks and next(reversed(self._queue)) is self._last_run:
            self._last_run.blocks += blocks
        else:
            self._last_run = _Run(blocks)
            self._queue[self._last_run] = None

    def find(self, contents: Sequence[Hashable], most: int) -> int:
        """Give how many leading contents are in blocks, ``most`` at most."""
        if self._queued != self.free:
            self._work_off()
        holders, found = self._holders, 0
        for content in contents[:most]:
            if content not in holders:
                break
            found += 1
        return found

    def find_in_host(self, contents: Sequence[Hashable], start: int, most: int) -> int:
        """Give how many contents from ``start`` on are in host memory."""
        host, found = self._host, 0
        if host:
            for content in contents[start:most]:
                if content not in host:
                    break
                found += 1
        return found

    def idle_among(self, contents: Sequence[Hashable]) -> int:
        """Give how many of these cached contents nobody holds: to hold them takes free blocks."""
        holders = self._holders
        return sum(not holders[content] for content in contents)

    def hold(self, contents: Sequence[Hashable]) -> None:
        """Share blocks that `find` has just found."""
        holders, queue = self._holders, self._queue
        for content in contents:
            if not holders[content]:
                del queue[content]
                self.free -= 1
                self._queued -= 1
            holders[content] += 1

    def keep(self, contents: Sequence[Hashable]) -> list[Hashable]:
        """Give blocks that are taken already their content; return those contents that were not cached elsewhere."""
        if self._queued != self.free:
            self._work_off()
        holders = self._holders
        kept = [content for content in contents if content not in holders]
        for content in kept:
            holders[content] = 1
        return kept

    def leave(self, contents: Sequence[Hashable], others: int) -> None:
        """Free what a sequence held: blocks of these contents, head first, and others without content behind them."""
        self.give_back(others)
        holders, queue = self._holders, self._queue
        freed = 0
        for content in reversed(contents):
            left = holders[content] = holders[content] - 1
            if not left:
                queue[content] = None
                freed += 1
        self.free += freed
        self._queued += freed
        self.released += freed

    def clear(self) -> None:
        """Forget everything: the memory was lost with its devices."""
        super().clear()
        self._last_run = _Run(self.capacity)
        self._queue = OrderedDict({self._last_run: None})
        self._holders = {}
        self._host = OrderedDict()
        self._queued = self.capacity

    def check(self) -> None:
        """Assert that every free block stands in the queue once.

        Raises:
            ConservationError: it does not.
        """
        super().check()
        self._work_off()
        queued = sum(entry.blocks if isinstance(entry, _Run) else 1 for entry in self._queue)
        if queued != self.free:
            raise ConservationError(f"{queued} blocks in the queue, {self.free} free")

    def _work_off(self) -> None:
        """Evict what the blocks taken so far held."""
        queue, holders = self._queue, self._holders
        taken = self._queued - self.free
        self._queued = self.free
        while taken:
            entry = next(iter(queue))
            if isinstance(entry, _Run):
                if entry.blocks > taken:
                    entry.blocks -= taken
                    break
                taken -= entry.blocks
                entry.blocks = 0
                del queue[entry]
            else:
                del queue[entry], holders[entry]
                taken -= 1
                if self.host_blocks:
                    self._offload(entry)

    def _offload(self, content: Hashable) -> None:
        host = self._host
        host[content] = None
        host.move_to_end(content)
        if len(host) > self.host_blocks:
            host.popitem(last=False)

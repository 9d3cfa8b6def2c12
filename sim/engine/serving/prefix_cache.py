"""Prefix cache: full blocks keep their content after their sequence has gone, until the block is needed."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from sim.engine.ledger import ConservationError
from sim.engine.serving.blocks import BlockPool

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

Held = tuple["Hashable", int, int]
"""Blocks of a run that a sequence holds: the run's name, the first place and the one behind the last."""


class _Piece:
    """Cached blocks of a run that stand together and have as many holders each."""

    __slots__ = ("freed", "high", "holders", "low", "name")

    def __init__(self, name: Hashable, low: int, high: int, holders: int, freed: _Freed | None) -> None:
        self.name = name
        self.low = low
        self.high = high
        """The place behind the last."""
        self.holders = holders
        self.freed = freed
        """Where they stand in the queue; None while somebody holds them."""


class _Freed:
    """Free blocks that stand together in the queue."""

    __slots__ = ("blocks", "pieces")

    def __init__(self, blocks: int, pieces: list[_Piece] | None = None) -> None:
        self.blocks = blocks
        """How many of them are still there."""
        self.pieces = pieces
        """What they hold, the last block to be taken first; None: nothing. Pieces that somebody took up are skipped."""


class PrefixCache(BlockPool):
    """Blocks found by content, shared by reference, evicted least recently freed first.

    The order is that of vLLM's free queue: a block goes to its end when its last holder leaves, the tail of a
    sequence before its head, and allocation takes from the front, whether a block has content or not. Allocation only
    counts: which contents it evicted is worked out when somebody next looks, so a jump of a hundred iterations costs
    no more than one. One content is cached once: a second copy of it is a block without content.

    Contents are runs of blocks (sim.engine.serving.contents), and so is all that is kept here: what a sequence costs
    depends on the pieces of text that it reads and not on their lengths.

    With host memory, what is evicted goes there, oldest out, and is found until then.
    """

    __slots__ = ("_host", "_queue", "_queued", "_runs", "host_blocks")

    def __init__(self, capacity: int, host_blocks: int = 0) -> None:
        """Begin with all blocks free and empty."""
        super().__init__(capacity)
        self.host_blocks = host_blocks
        self._forget()

    def _forget(self) -> None:
        self._queue: deque[_Freed] = deque([_Freed(self.capacity)])
        self._runs: dict[Hashable, list[_Piece]] = {}
        """What is cached of each run, in order."""
        self._host: OrderedDict[tuple[Hashable, int], None] = OrderedDict()
        self._queued = self.capacity
        """Blocks in the queue: those that are free, and those taken since it was last worked off."""

    def give_back(self, blocks: int) -> None:
        """Free blocks whose content nobody will ask for."""
        if not blocks:
            return
        self.free += blocks
        self._queued += blocks
        self.released += blocks
        queue = self._queue
        if queue and queue[-1].pieces is None:
            queue[-1].blocks += blocks
        else:
            queue.append(_Freed(blocks))

    def find(self, contents: Sequence[tuple[Hashable, int]], most: int) -> int:
        """Give how many leading contents are in blocks, ``most`` at most."""
        if self._queued != self.free:
            self._work_off()
        found, runs = 0, self._runs
        for name, blocks in contents:
            pieces = runs.get(name)
            if pieces is None:
                break
            reach = 0
            for piece in pieces:
                if piece.low != reach:
                    break
                reach = piece.high
            if reach < blocks:
                found += reach
                break
            found += blocks
            if found >= most:
                break
        return min(found, most)

    def find_in_host(self, contents: Sequence[tuple[Hashable, int]], start: int, most: int) -> int:
        """Give how many contents from ``start`` on are in host memory."""
        host, found = self._host, 0
        if not host:
            return 0
        for name, blocks in contents:
            for place in range(max(start, 0), min(blocks, most)):
                if (name, place) not in host:
                    return found
                found += 1
            start -= blocks
            most -= blocks
        return found

    def idle_among(self, contents: Sequence[tuple[Hashable, int]], found: int) -> int:
        """Give how many of the first contents, which are cached, nobody holds: to hold them takes free blocks."""
        idle, runs = 0, self._runs
        for name, blocks in contents:
            if found <= 0:
                break
            high = min(found, blocks)
            for piece in runs[name]:
                if piece.freed is not None and piece.low < high:
                    idle += min(piece.high, high) - piece.low
            found -= blocks
        return idle

    def hold(self, contents: Sequence[tuple[Hashable, int]], found: int) -> list[Held]:
        """Share the first contents, which `find` has just found; give what is held."""
        held: list[Held] = []
        taken, runs = 0, self._runs
        for name, blocks in contents:
            if found <= 0:
                break
            high = min(found, blocks)
            found -= blocks
            held.append((name, 0, high))
            pieces = runs[name]
            if len(pieces) > 1 or pieces[0].high != high:
                pieces = self._part(name, 0, high)
            for piece in pieces:
                if piece.freed is not None:
                    idle = piece.high - piece.low
                    piece.freed.blocks -= idle
                    piece.freed = None
                    taken += idle
                piece.holders += 1
            if len(pieces) > 1:
                self._join(name)
        self.free -= taken
        self._queued -= taken
        return held

    def keep(self, contents: Sequence[tuple[Hashable, int]], start: int, stop: int) -> list[Held]:
        """Give blocks that are taken already their content; tell of those contents that were not cached elsewhere."""
        if self._queued != self.free:
            self._work_off()
        kept: list[Held] = []
        runs = self._runs
        for name, blocks in contents:
            if stop <= 0:
                break
            if start < blocks:
                low, high = max(start, 0), min(blocks, stop)
                pieces = runs.get(name)
                if pieces is None:
                    runs[name] = [_Piece(name, low, high, 1, None)]
                    kept.append((name, low, high))
                else:
                    kept += self._fill(pieces, name, low, high)
            start -= blocks
            stop -= blocks
        return kept

    def leave(self, held: Collection[Held], blocks: int) -> None:
        """Free the blocks of a sequence: those of contents that it holds, head first, and the others behind them."""
        pieces: list[_Piece] = []
        freed = _Freed(0, pieces)
        gone, shared = 0, 0
        for name, low, high in held:
            run = self._runs[name]
            piece = run[0]
            if len(run) > 1 or piece.low != low or piece.high != high:
                run = self._part(name, low, high)
            for piece in run:
                piece.holders -= 1
                if piece.holders:
                    shared += piece.high - piece.low
                else:
                    gone += piece.high - piece.low
                    piece.freed = freed
                    pieces.append(piece)
            if len(self._runs[name]) > 1:
                self._join(name)
        self.give_back(blocks - gone - shared)
        if gone:
            freed.blocks = gone
            self._queue.append(freed)
            self.free += gone
            self._queued += gone
            self.released += gone

    def clear(self) -> None:
        """Forget everything: the memory was lost with its devices."""
        super().clear()
        self._forget()

    def check(self) -> None:
        """Assert that every free block stands in the queue once.

        Raises:
            ConservationError: it does not.
        """
        super().check()
        self._work_off()
        queued = sum(freed.blocks for freed in self._queue)
        if queued != self.free:
            raise ConservationError(f"{queued} blocks in the queue, {self.free} free")

    def _part(self, name: Hashable, low: int, high: int) -> list[_Piece]:
        """Give the pieces that make up some cached blocks, cut where they stretch beyond them."""
        pieces = self._runs[name]
        if len(pieces) == 1:
            piece = pieces[0]
            if piece.low == low and piece.high == high:
                return pieces
        for place in (low, high):
            for index, piece in enumerate(pieces):
                if piece.low < place < piece.high:
                    upper = _Piece(name, place, piece.high, piece.holders, piece.freed)
                    piece.high = place
                    pieces.insert(index + 1, upper)
                    if piece.freed is not None:
                        queued = piece.freed.pieces
                        assert queued is not None
                        queued.insert(queued.index(piece) + 1, upper)
                    break
        return [piece for piece in pieces if low <= piece.low and piece.high <= high]

    def _join(self, name: Hashable) -> None:
        """Make neighbours that are held alike one."""
        pieces = self._runs[name]
        joined = [pieces[0]]
        for piece in pieces[1:]:
            last = joined[-1]
            if piece.low == last.high and piece.holders == last.holders > 0:
                last.high = piece.high
            else:
                joined.append(piece)
        if len(joined) < len(pieces):
            self._runs[name] = joined

    def _fill(self, pieces: list[_Piece], name: Hashable, low: int, high: int) -> list[Held]:
        """Put contents where a run has none, among those that it has."""
        kept: list[Held] = []
        place, index = low, 0
        while place < high:
            while index < len(pieces) and pieces[index].high <= place:
                index += 1
            end = high
            if index < len(pieces):
                piece = pieces[index]
                if piece.low <= place:
                    place = piece.high
                    continue
                end = min(high, piece.low)
            kept.append((name, place, end))
            if index and pieces[index - 1].high == place and pieces[index - 1].holders == 1:
                pieces[index - 1].high = end
            else:
                pieces.insert(index, _Piece(name, place, end, 1, None))
            place = end
        return kept

    def _work_off(self) -> None:
        """Evict what the blocks taken so far held."""
        queue = self._queue
        taken = self._queued - self.free
        self._queued = self.free
        while taken:
            freed = queue[0]
            blocks = min(freed.blocks, taken)
            if freed.pieces is not None:
                self._evict(freed, blocks)
            taken -= blocks
            freed.blocks -= blocks
            if not freed.blocks:
                queue.popleft()

    def _evict(self, freed: _Freed, blocks: int) -> None:
        pieces, runs = freed.pieces, self._runs
        assert pieces is not None
        while blocks:
            piece = pieces[-1]
            if piece.freed is not freed:  # somebody took it up again
                pieces.pop()
                continue
            end = piece.high
            piece.high = max(piece.low, end - blocks)
            blocks -= end - piece.high
            if self.host_blocks:
                for place in range(end - 1, piece.high - 1, -1):
                    self._offload((piece.name, place))
            if piece.high == piece.low:
                pieces.pop()
                run = runs[piece.name]
                if len(run) == 1:
                    del runs[piece.name]
                else:
                    run.remove(piece)

    def _offload(self, content: tuple[Hashable, int]) -> None:
        host = self._host
        host[content] = None
        host.move_to_end(content)
        if len(host) > self.host_blocks:
            host.popitem(last=False)

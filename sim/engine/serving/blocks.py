"""The blocks of a replica's KV cache, as counts: which block is whose never changes a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.ledger import ConservationError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class BlockPool:
    """Blocks that are free or held."""

    __slots__ = ("allocated", "capacity", "free", "released")

    def __init__(self, capacity: int) -> None:
        """Begin with all blocks free."""
        self.capacity = capacity
        self.free = capacity
        """Blocks that a sequence may take; those with cached content among them."""
        self.allocated = 0
        self.released = 0

    @property
    def held(self) -> int:
        """Give the blocks that sequences hold."""
        return self.capacity - self.free

    def take(self, blocks: int) -> None:
        """Take blocks; the caller has seen that they are free."""
        self.free -= blocks
        self.allocated += blocks

    def give_back(self, blocks: int) -> None:
        """Free blocks whose content nobody will ask for."""
        self.free += blocks
        self.released += blocks

    def leave(self, contents: Sequence[Hashable], others: int) -> None:  # noqa: ARG002 - a pool without a cache
        """Free what a sequence held: blocks of these contents, and others."""
        self.give_back(others)

    def check(self) -> None:
        """Assert that blocks are neither lost nor made.

        Raises:
            ConservationError: they are.
        """
        if not 0 <= self.free <= self.capacity or self.allocated - self.released != self.held:
            raise ConservationError(
                f"KV blocks: {self.allocated} allocated, {self.released} freed, {self.free} of {self.capacity} free"
            )

    def find(self, contents: Sequence[Hashable], most: int) -> int:  # noqa: ARG002 - a pool without a cache
        """Give how many leading blocks are cached, ``most`` at most: none without a prefix cache."""
        return 0

    def clear(self) -> None:
        """Forget everything: the memory was lost with its devices."""
        self.released += self.held
        self.free = self.capacity

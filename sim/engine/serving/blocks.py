"""The blocks of a replica's KV cache, as counts: which block is whose never changes a time."""

from __future__ import annotations

from sim.engine.ledger import ConservationError


class BlockPool:
    """Blocks that are free or held. Whoever has seen that blocks are free takes them: ``pool.free -= blocks``."""

    __slots__ = ("capacity", "free", "released")

    def __init__(self, capacity: int) -> None:
        """Begin with all blocks free."""
        self.capacity = capacity
        self.free = capacity
        """Blocks that a sequence may take; those with cached content among them."""
        self.released = 0
        """Blocks that were given back so far."""

    @property
    def held(self) -> int:
        """Give the blocks that sequences hold."""
        return self.capacity - self.free

    def give_back(self, blocks: int) -> None:
        """Free blocks whose content nobody will ask for."""
        self.free += blocks
        self.released += blocks

    def check(self) -> None:
        """Assert that all blocks came back.

        Raises:
            ConservationError: some were lost or made.
        """
        if self.free != self.capacity:
            raise ConservationError(f"KV blocks: {self.free} of {self.capacity} are free after the last sequence")

    def clear(self) -> None:
        """Forget everything: the memory was lost with its devices."""
        self.released += self.held
        self.free = self.capacity

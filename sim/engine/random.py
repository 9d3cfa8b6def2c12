"""Named streams of random numbers: what one part of a simulation draws never moves what another draws."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

BATCH = 256
"""Draws made at once: a single draw from numpy costs as much as fifty in a batch. Never changes the numbers."""


class Streams:
    """The random streams of one world; a stream is decided by the seed and its own name alone."""

    def __init__(self, seed: int) -> None:
        """Keep the seed.

        Raises:
            UsageError: the seed is negative.
        """
        if seed < 0:
            raise UsageError("a seed must be a whole number, 0 or more", value=str(seed), mend="--seed 0")
        self.seed = seed

    def generator(self, name: str) -> np.random.Generator:
        """Give a fresh generator at the beginning of the named stream."""
        digest = hashlib.sha256(name.encode()).digest()
        words = tuple(int.from_bytes(digest[start : start + 4], "big") for start in range(0, len(digest), 4))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=words)))

    def exponential(self, name: str) -> Iterator[float]:
        """Draw gaps of mean 1 without end; divide by a rate, so that one seed compares rates fairly."""
        return _endless(self.generator(name).standard_exponential)

    def uniform(self, name: str) -> Iterator[float]:
        """Draw numbers in [0, 1) without end."""
        return _endless(self.generator(name).random)


def _endless(draw: Callable[[int], NDArray[np.float64]]) -> Iterator[float]:
    while True:
        yield from draw(BATCH).tolist()

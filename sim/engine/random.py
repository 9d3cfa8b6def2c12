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


# Draws by counter: a number is decided by a key alone, with no state in between, so that millions of small streams
# (one for each run of each node of each task) cost nothing to open. A key is folded from words (the seed, names,
# numbers) by the finalizer of SplitMix64, which is a bijection of 64 bits in which each bit of the input moves half
# of the output. Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"; constants of
# Stafford's variant 13.
_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_UNIT = 2.0**-53


def word(name: str) -> int:
    """Give the 64 bits that stand for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def mix(key: int) -> int:
    """Scramble 64 bits; different keys stay different.

    >>> mix(1) == mix(1), mix(1) != mix(2)
    (True, True)
    """
    key = (key + _GOLDEN) & _MASK
    key = ((key ^ (key >> 30)) * _FIRST) & _MASK
    key = ((key ^ (key >> 27)) * _SECOND) & _MASK
    return key ^ (key >> 31)


def fold(key: int, *words: int) -> int:
    """Derive a key from another and some words, in their order; a word is a whole number of at most 64 bits."""
    for each in words:
        key = mix(key ^ mix(each & _MASK))
    return key


def uniform(key: int, draw: int) -> float:
    """Give the number in [0, 1) that a key draws for a purpose, itself a key."""
    return (mix(key ^ draw) >> 11) * _UNIT


def uniforms(key: int, draws: NDArray[np.uint64]) -> list[float]:
    """Give `uniform` of each purpose."""
    mixed = (draws ^ np.uint64(key)) + np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
    mixed ^= mixed >> np.uint64(31)
    drawn: list[float] = ((mixed >> np.uint64(11)) * _UNIT).tolist()
    return drawn

"""Contents of cache blocks: equal heads of prompts are the same blocks, in every process.

What a prompt consists of is a few runs of blocks, not a list of blocks: each piece of text gives one run, known by a
number that stands for the piece and for all that goes before it. So whoever handles a prompt handles some pairs.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Run = tuple[int, int]
"""Full blocks that follow one another: their name and how many they are. The block at place p of it is (name, p); two
prompts may have different numbers of a run, but both begin at its place 0."""
Blocks = tuple[Run, ...]
"""The full blocks of a prompt, from its beginning."""

DIGEST_BYTES = 8
"""Two different heads share a name with chance 2^-64."""
PLACE_BITS = 32
"""Names are so far apart that name + place is a name of the block."""


def chain(segments: Iterable[tuple[str | int, int]], block_size: int) -> Blocks:
    """Give the full blocks of segments (id, tokens) that follow one another.

    A block stands for all tokens from the beginning to its end, so blocks are equal exactly where the whole heads are:
    segments with the same ids and lengths, in the same order.

    >>> first, second = chain([("system", 32), ("a", 20)], 16), chain([("system", 32), ("b", 20)], 16)
    >>> count(first), first[0] == second[0], first[1] == second[1]
    (3, True, False)
    """
    runs: list[Run] = []
    head, start = b"", 0
    for name, tokens in segments:
        if tokens <= 0:
            continue
        head = blake2b(head + repr(name).encode(), digest_size=DIGEST_BYTES).digest()
        end = start + tokens
        blocks = end // block_size - start // block_size
        if blocks:
            runs.append((int.from_bytes(head, "big") << PLACE_BITS, blocks))
        head, start = head + tokens.to_bytes(8, "big"), end
    return tuple(runs)


def count(blocks: Blocks) -> int:
    """Count the blocks.

    >>> count(((1 << 32, 3), (2 << 32, 2)))
    5
    """
    return sum(number for _, number in blocks)


def first(blocks: Blocks, most: int) -> Blocks:
    """Give the leading ones, at most so many.

    >>> first(((1 << 32, 3), (2 << 32, 2)), 4) == ((1 << 32, 3), (2 << 32, 1))
    True
    """
    runs: list[Run] = []
    for name, number in blocks:
        if number >= most:
            if most:
                runs.append((name, most))
            break
        runs.append((name, number))
        most -= number
    return tuple(runs)


def each(blocks: Blocks) -> Iterator[int]:
    """Give a number of its own for each block.

    >>> list(each(((1, 2), (9, 1))))
    [1, 2, 9]
    """
    for name, number in blocks:
        yield from range(name, name + number)

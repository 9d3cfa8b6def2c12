"""Content ids of cache blocks: equal heads of prompts have equal ids, in every process."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST_BYTES = 8
"""Two different heads share an id with chance 2^-64."""
OFFSET_BITS = 32


def chain(segments: Iterable[tuple[str | int, int]], block_size: int) -> tuple[int, ...]:
    """Give the content ids of the full blocks of segments (id, tokens) that follow one another.

    A block's id stands for all tokens from the beginning to the block's end, so blocks are equal exactly where the
    whole heads are: segments with the same ids and lengths, in the same order.

    >>> first, second = chain([("system", 32), ("a", 20)], 16), chain([("system", 32), ("b", 20)], 16)
    >>> len(first), first[:2] == second[:2], first[2] == second[2]
    (3, True, False)
    """
    ids: list[int] = []
    head, start = b"", 0
    boundary = block_size
    for name, tokens in segments:
        if tokens <= 0:
            continue
        head = blake2b(head + repr(name).encode(), digest_size=DIGEST_BYTES).digest()
        prefix = int.from_bytes(head, "big") << OFFSET_BITS
        end = start + tokens
        # The offset within the last segment says how much of it the block has seen.
        ids.extend(prefix | (place - start) for place in range(boundary, end + 1, block_size))
        boundary += len(range(boundary, end + 1, block_size)) * block_size
        head, start = head + tokens.to_bytes(8, "big"), end
    return tuple(ids)

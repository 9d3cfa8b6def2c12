from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.engine.serving.contents import chain

SEGMENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=6)


@given(SEGMENTS, st.integers(1, 20))
def test_there_is_one_id_for_each_full_block(segments: list[tuple[str, int]], block_size: int) -> None:
    ids = chain(segments, block_size)
    assert len(ids) == sum(tokens for _, tokens in segments) // block_size
    assert len(set(ids)) == len(ids)


@given(SEGMENTS, SEGMENTS, SEGMENTS, st.integers(1, 20))
def test_blocks_are_shared_exactly_as_far_as_the_heads_are_equal(
    head: list[tuple[str, int]], first: list[tuple[str, int]], second: list[tuple[str, int]], block_size: int
) -> None:
    common = sum(tokens for _, tokens in head) // block_size
    one = chain([*head, ("one", 1), *first], block_size)
    other = chain([*head, ("other", 1), *second], block_size)
    assert one[:common] == other[:common]
    assert not set(one[common:]) & set(other[common:])

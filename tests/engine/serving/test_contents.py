from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.engine.serving.contents import chain, count, each, first

SEGMENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=6)


@given(SEGMENTS, st.integers(1, 20))
def test_there_is_one_id_for_each_full_block(segments: list[tuple[str, int]], block_size: int) -> None:
    ids = list(each(chain(segments, block_size)))
    assert len(ids) == sum(tokens for _, tokens in segments) // block_size
    assert len(set(ids)) == len(ids)


@given(SEGMENTS, SEGMENTS, SEGMENTS, st.integers(1, 20))
def test_blocks_are_shared_exactly_as_far_as_the_heads_are_equal(
    head: list[tuple[str, int]], left: list[tuple[str, int]], right: list[tuple[str, int]], block_size: int
) -> None:
    common = sum(tokens for _, tokens in head) // block_size
    one = list(each(chain([*head, ("one", 1), *left], block_size)))
    other = list(each(chain([*head, ("other", 1), *right], block_size)))
    assert one[:common] == other[:common]
    assert not set(one[common:]) & set(other[common:])


@given(SEGMENTS, st.integers(1, 20), st.integers(0, 100))
def test_the_first_blocks_are_those_of_the_whole(segments: list[tuple[str, int]], block_size: int, most: int) -> None:
    blocks = chain(segments, block_size)
    assert list(each(first(blocks, most))) == list(each(blocks))[:most]
    assert count(first(blocks, most)) == min(most, count(blocks))

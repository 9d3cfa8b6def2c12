"""An iteration is the sum of its parts, one at a time and many at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.serving import HostTimes, IterationCost


class Linear:
    """Parts that are linear in everything: what the sums must give back."""

    beside_prompt = 1.0

    def token_s(self, tokens: np.ndarray) -> np.ndarray:
        return 1e-3 + 1e-6 * tokens

    def communication_s(self, tokens: np.ndarray) -> np.ndarray:
        return 1e-4 + 0 * tokens

    def output_s(self, outputs: np.ndarray) -> np.ndarray:
        return 1e-5 * outputs

    def decode_attention_s(self, sequences: int, contexts: np.ndarray) -> np.ndarray:
        return 1e-5 + 1e-9 * contexts

    def prompt_attention_s(self, decoding: int, context: float, tokens: float, pairs: float, sequences: int) -> float:
        return 1e-10 * pairs

    def flop(self, tokens: float, pairs: float, outputs: float) -> float:
        return tokens + pairs + outputs


def test_decode_is_the_sum_of_its_parts() -> None:
    cost = IterationCost(Linear(), HostTimes(2e-3, 1e-6))
    expected = 1e-3 + 8e-6 + 8e-5 + 1e-5 + 1e-9 * 8000 + 2e-3 + 8e-6
    assert cost.mixed_s(8, 8000, 0, 0, 0) == pytest.approx(expected, rel=1e-12)


def test_prefill_adds_its_tokens_and_pairs() -> None:
    cost = IterationCost(Linear(), HostTimes(2e-3, 0.0, 5e-4))
    expected = 1e-3 + 1e-6 * 520 + 9e-5 + 1e-5 + 8e-6 + 1e-10 * 131328 + 2.5e-3
    assert cost.mixed_s(8, 8000, 512, 131328, 1) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 3000), st.lists(st.integers(1, 10**8), min_size=1, max_size=40))
def test_many_contexts_are_bit_equal_to_one_at_a_time(decoding: int, contexts: list[int]) -> None:
    cost = IterationCost(Linear(), HostTimes(1e-4, 1e-6), stages=2)
    together = cost.decode_s(decoding, np.array(contexts, dtype=np.int64))
    assert together.tolist() == [cost.mixed_s(decoding, context, 0, 0, 0) for context in contexts]


def test_a_pipeline_reads_its_weights_for_each_micro_batch() -> None:
    one, two = (IterationCost(Linear(), HostTimes(), stages) for stages in (1, 2))
    assert two.mixed_s(8, 0, 0, 0, 0) == pytest.approx(1e-3 + 4e-6 + 8e-5 + 1e-5, rel=1e-9)
    assert one.mixed_s(8, 0, 0, 0, 0) == pytest.approx(1e-3 + 8e-6 + 8e-5 + 1e-5, rel=1e-9)


def test_a_prompt_is_on_one_rank_and_sets_the_pace() -> None:
    """Eight sequences on four ranks and one prompt of 100 tokens: 102 tokens on the fullest, as if on all."""
    cost = IterationCost(Linear(), HostTimes(), ranks=4)
    tokens_s = 1e-3 + 1e-6 * 4 * 102
    assert cost.mixed_s(8, 0, 100, 0, 1) == pytest.approx(tokens_s + 9e-5 + 1e-5)


def test_prompts_share_the_ranks() -> None:
    cost = IterationCost(Linear(), HostTimes(), ranks=4)
    assert cost.mixed_s(8, 0, 100, 0, 4) == pytest.approx(1e-3 + 1e-6 * 4 * 27 + 12e-5 + 1e-5)


def test_attention_beside_a_prompt_takes_its_factor() -> None:
    parts = Linear()
    parts.beside_prompt = 2.0
    once, twice = IterationCost(Linear(), HostTimes()), IterationCost(parts, HostTimes())
    more = twice.mixed_s(8, 8000, 512, 0, 1) - once.mixed_s(8, 8000, 512, 0, 1)
    assert more == pytest.approx(1e-5 + 1e-9 * 8000)
    assert twice.mixed_s(8, 8000, 0, 0, 0) == once.mixed_s(8, 8000, 0, 0, 0)

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from sim.engine.random import BATCH, Streams
from sim.errors import UsageError

NAME = "training/frontier/interruptions"


def first(count: int, seed: int = 7, name: str = NAME) -> list[float]:
    return list(islice(Streams(seed).exponential(name), count))


def test_draws_are_pinned() -> None:
    """A change here changes the result of every simulated run: it needs an entry under "Results change"."""
    assert first(3) == pytest.approx([1.9738943397324775, 3.4971287109502565, 0.27844836246821364], rel=1e-12)
    assert next(Streams(7).uniform(NAME)) == pytest.approx(0.8494625577133098, rel=1e-12)


def test_another_stream_changes_nothing() -> None:
    streams = Streams(7)
    gaps = streams.exponential(NAME)
    other = streams.uniform("serving/chat/arrivals")
    mixed = []
    for _ in range(3 * BATCH):
        mixed.append(next(gaps))
        next(other)
    assert mixed == first(3 * BATCH)


def test_batches_do_not_change_the_draws() -> None:
    generator = Streams(7).generator(NAME)
    assert first(2 * BATCH + 5) == generator.standard_exponential(2 * BATCH + 5).tolist()


def test_seed_and_name_decide_the_stream() -> None:
    assert first(5) != first(5, seed=8)
    assert first(5) != first(5, name=NAME + "2")


def test_streams_have_their_distribution() -> None:
    gaps = np.array(first(20_000))
    shares = np.array(list(islice(Streams(7).uniform("shares"), 20_000)))
    assert gaps.mean() == pytest.approx(1, abs=4 / np.sqrt(20_000))
    assert shares.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 20_000))
    assert 0 <= shares.min() <= shares.max() < 1


def test_neighbouring_streams_are_uncorrelated() -> None:
    one, two = np.array(first(20_000, seed=1)), np.array(first(20_000, seed=2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(20_000)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="0 or more"):
        Streams(-1)

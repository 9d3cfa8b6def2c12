"""Arrivals and lengths: the moments that each process is named for, and draws that nothing else moves."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from sim.engine import arrivals
from sim.engine.arrivals import Lengths, arrival_times, drawn_requests, durations, sample
from sim.engine.random import Streams
from sim.spec.arrivals import ArrivalsSpec
from sim.spec.distribution import Distribution
from sim.spec.requests import RequestsSpec
from sim.spec.yaml import loads, validate

MANY = 40_960


def times(text: str, count: int = MANY, seed: int = 3) -> np.ndarray[Any, np.dtype[np.float64]]:
    spec = validate(ArrivalsSpec, loads(text))
    chunks = islice(arrival_times(Streams(seed), "chat", spec), -(-count // arrivals.CHUNK))
    return np.concatenate(list(chunks))[:count]


@pytest.mark.parametrize(
    ("text", "rate", "variation"),
    [
        ("poisson: 40/s", 40, 1.0),
        ("gamma: {rate: 40/s, cv: 3}", 40, 3.0),
        ("gamma: {rate: 40/s, cv: 0.5}", 40, 0.5),
        # Weibull of shape k: cv^2 = Gamma(1 + 2/k) / Gamma(1 + 1/k)^2 - 1; for k = 0.5 it is 5.
        ("weibull: {rate: 40/s, shape: 0.5}", 40, 5**0.5),
        ("deterministic: 40/s", 40, 0.0),
    ],
)
def test_rate_and_variation_of_the_gaps(text: str, rate: float, variation: float) -> None:
    gaps = np.diff(times(text), prepend=0.0)
    assert (gaps >= 0).all()
    error = 4 * max(variation, 1e-12) / MANY**0.5
    assert gaps.mean() * rate == pytest.approx(1, abs=error)
    assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.12, abs=1e-9)


def test_even_arrivals_do_not_drift() -> None:
    assert times("deterministic: 10/s")[-1] == MANY / 10


def test_all_at_once() -> None:
    assert times("at_once: 5", 5).tolist() == [0.0] * 5


def test_a_day_has_its_peak() -> None:
    found = times("diurnal: {mean: 10/s, peak: 18/s, period: 100 s, peak_at: 25 s}", 40_000)
    assert (np.diff(found) >= 0).all()
    assert len(found) / found[-1] == pytest.approx(10, rel=0.02)
    phase = found % 100
    near_peak, near_trough = ((phase > at - 10) & (phase < at + 10) for at in (25, 75))
    # Integral of 10 + 8 cos over a fifth of the period around the peak and the trough.
    share = 0.2 + np.array([1, -1]) * 0.8 * np.sin(0.2 * np.pi) / np.pi
    counted = np.array([near_peak.sum(), near_trough.sum()]) / len(found)
    assert counted == pytest.approx(share, abs=4 * (0.35 * 0.65 / 40_000) ** 0.5)


def test_a_flat_day_is_poisson() -> None:
    flat = times("diurnal: {mean: 10/s, peak: 10/s, period: 100 s}", 1000)
    assert flat == pytest.approx(times("poisson: 10/s", 1000), rel=1e-12)


def test_twice_the_rate_is_half_the_time() -> None:
    assert times("poisson: 80/s") == pytest.approx(times("poisson: 40/s") / 2, rel=1e-12)


def test_streams_have_the_name_of_their_workload() -> None:
    spec = validate(ArrivalsSpec, loads("poisson: 1/s"))
    first, again, other = (next(arrival_times(Streams(1), name, spec)) for name in ("a", "a", "b"))
    assert (first == again).all()
    assert (first != other).all()


@pytest.mark.parametrize(
    ("distribution", "mean"),
    [
        (Distribution("fixed", (7.0,), "token", whole=True), 7.0),
        (Distribution("uniform", (3.0, 8.0), "token", whole=True), 5.5),
        (Distribution("uniform", (3.0, 8.0), "second"), 5.5),
        (Distribution("exponential", (200.0,), "second"), 200.0),
        (Distribution("empirical", (1.0, 2.0, 6.0), "token", whole=True), 3.0),
        # Lognormal: sigma = ln(3) / 1.645, mean = median exp(sigma^2 / 2).
        (Distribution("lognormal", (100.0, 300.0), "second"), 100 * np.exp(0.5 * (np.log(3) / 1.6448536) ** 2)),
    ],
)
def test_lengths_have_their_mean(distribution: Distribution, mean: float) -> None:
    drawn = sample(distribution, np.random.default_rng(1), MANY)
    assert drawn.mean() == pytest.approx(mean, abs=4 * drawn.std() / MANY**0.5 + 1e-12)
    if distribution.kind == "uniform" and distribution.whole:
        assert sorted(set(drawn)) == [3, 4, 5, 6, 7, 8]


def test_lognormal_has_its_95th_percentile() -> None:
    drawn = sample(Distribution("lognormal", (100.0, 300.0), "token", whole=True), np.random.default_rng(1), MANY)
    assert np.quantile(drawn, [0.5, 0.95]) == pytest.approx([100, 300], rel=0.03)
    assert (drawn == np.floor(drawn)).all()


def test_token_counts_stay_inside_the_window() -> None:
    text = "{service: chat, arrivals: 1/s, output: 3 tokens, input: {lognormal: {median: 2 tokens, p95: 1e8 tokens}}}"
    rows = next(drawn_requests(Streams(0), validate(RequestsSpec, loads(text))))
    assert (rows.input_tokens.min(), rows.input_tokens.max()) == (1, 10**8)
    assert set(rows.output_tokens) == {3}


def test_lengths_do_not_hang_on_how_many_are_drawn_at_once() -> None:
    text = """
      service: chat
      at: 5 s
      arrivals: 1/s
      input: {exponential: 90 tokens}
      output: {lognormal: {median: 20 tokens, p95: 80 tokens}}
      prefix: {tokens: 10, groups: 4}
    """
    spec = validate(RequestsSpec, loads(text))
    whole = next(drawn_requests(Streams(2), spec))
    assert whole.arrival_s.min() > 5
    lengths = Lengths(Streams(2), spec)
    parts = [lengths.draw(np.zeros(count)) for count in (1, 7, 100)]
    assert np.concatenate([part.input_tokens for part in parts]).tolist() == whole.input_tokens[:108].tolist()
    assert np.concatenate([part.output_tokens for part in parts]).tolist() == whole.output_tokens[:108].tolist()
    assert [ids for part in parts for ids in part.hash_ids or ()] == (whole.hash_ids or [])[:108]
    assert set(whole.hash_ids or ()) == {(0,), (1,), (2,), (3,)}


def test_durations_come_one_by_one() -> None:
    thinking = Distribution("exponential", (2.0,), "second")
    drawn = list(islice(durations(Streams(0), "chat/think", thinking), 3))
    assert drawn == sample(thinking, Streams(0).generator("chat/think"), 3).tolist()

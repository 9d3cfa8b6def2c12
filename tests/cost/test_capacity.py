"""Experts of limited capacity, and sequences packed from documents."""

from __future__ import annotations

from dataclasses import replace
from math import log
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import howlong
from sim.cost.capacity import Capacity, computed_share, dropped_share, fullest_load
from sim.cost.distributions import attended_length
from sim.cost.layout import single
from sim.cost.training import step_times
from sim.cost.transformer import flop_per_token, visited_flop
from sim.errors import UsageError
from sim.plan.work import work_of
from sim.spec import catalog
from sim.spec.distribution import Distribution, fixed
from sim.spec.workload import TrainingSpec
from tests.helpers.steps import PEAK, ideal_machine, ideal_software, mixture, real_machine, real_software, work


@given(st.floats(0.5, 8.0), st.floats(1.0, 10.0), st.integers(4, 512))
def test_a_share_of_visits_is_dropped(factor: float, imbalance: float, experts: int) -> None:
    dropped = dropped_share(factor, imbalance, experts)
    assert 0.0 <= dropped < 1.0
    assert dropped >= 1.0 - factor - 1e-12
    assert dropped_share(factor * 1.1, imbalance, experts) <= dropped + 1e-12


def test_dropped_visits_by_drawing_loads() -> None:
    """Lognormal loads whose fullest of 64 has twice the mean."""
    place = NormalDist().inv_cdf(1 - 1 / 65)
    spread = place - (place**2 - 2 * log(2.0)) ** 0.5
    loads = np.exp(spread * np.random.default_rng(1).standard_normal(2_000_000) - spread**2 / 2)
    beyond = float(np.maximum(loads - 1.25, 0).mean())
    assert dropped_share(1.25, 2.0, 64) == pytest.approx(beyond, rel=5e-3)


def test_balanced_experts_drop_nothing_until_the_limit_is_below_the_mean() -> None:
    assert dropped_share(1.0, 1.0, 8) == 0.0
    assert dropped_share(0.75, 1.0, 8) == 0.25


def test_no_limit_is_dropless() -> None:
    done = work("mixtral-8x7b")
    machine, software = real_machine("h100-sxm"), real_software("h100-sxm")
    placed = single(tp=2, dp=8, ep=8)
    plain = step_times(done, machine, software, placed)
    for pads in (False,):
        limited = replace(done, capacity=Capacity(1e9, pads, 2.0, 8))
        assert limited.model_flop == pytest.approx(done.model_flop, rel=1e-12)
        again = step_times(limited, machine, software, placed)
        assert float(again.step_s[0]) == pytest.approx(float(plain.step_s[0]), rel=1e-12)
        assert float(again.hardware_flop[0]) == pytest.approx(float(plain.hardware_flop[0]), rel=1e-9)
    exact = replace(done, capacity=Capacity(1.0, True, 1.0, 8))
    assert float(step_times(exact, machine, software, placed).step_s[0]) == float(plain.step_s[0])


@given(st.floats(1.0, 4.0))
def test_padding_is_computed_but_not_counted_as_model_flop(factor: float) -> None:
    done = work(mixture(), batch=8)
    padded = replace(done, capacity=Capacity(factor, True, 1.0, 8))
    assert padded.model_flop == done.model_flop
    times = step_times(padded, ideal_machine(), ideal_software(), single())
    extra = done.tokens * 3 * (factor - 1) * visited_flop(done.model)
    plain = step_times(done, ideal_machine(), ideal_software(), single())
    assert float(times.hardware_flop[0] - plain.hardware_flop[0]) == pytest.approx(extra, rel=1e-6, abs=1.0)
    assert float(times.step_s[0]) == pytest.approx(float(times.hardware_flop[0]) / PEAK, rel=1e-9)


def test_what_is_dropped_is_neither_counted_nor_computed() -> None:
    limited = replace(work(mixture()), capacity=Capacity(0.5, False, 1.0, 8))
    full = flop_per_token(limited.model, 2048)
    assert limited.capacity is not None
    assert limited.capacity.dropped == 0.5
    assert limited.flop_per_token.layers == full.layers - 0.5 * visited_flop(limited.model)
    assert limited.padded_flop == 0.0
    assert fullest_load(limited.capacity, 3.0) == computed_share(limited.capacity) == 0.5


def test_a_scenario_says_its_capacity() -> None:
    spec = TrainingSpec.model_validate({"model": "mixtral-8x7b", "capacity": 1.25})
    done = work_of(spec, catalog.load("models", "mixtral-8x7b"), 64)
    assert done.capacity == Capacity(1.25, True, 1.0, 8)
    with pytest.raises(UsageError, match="the model has none"):
        work_of(spec, catalog.load("models", "llama-3.1-8b"), 64)


@given(st.integers(1, 4096), st.integers(1, 4))
def test_documents_of_one_length(length: int, times: int) -> None:
    assert attended_length(fixed(float(length), "token"), 4096) == length
    assert attended_length(fixed(4096.0 * times, "token"), 4096) == 4096


def test_the_mean_is_over_tokens_not_over_documents() -> None:
    two = Distribution("empirical", (100.0, 300.0), "token", whole=True)
    assert attended_length(two, 4096) == pytest.approx((100**2 + 300**2) / 400)
    uniform = Distribution("uniform", (1.0, 2000.0), "token")
    assert attended_length(uniform, 4096) == pytest.approx(2 / 3 * 2000, rel=1e-3)


def test_packed_sequences_attend_as_short_ones_do() -> None:
    """Sequences of 4,096 packed from documents of 512: the step of eight times as many sequences of 512."""
    packed = replace(work("llama-3.1-8b", sequence=4096, batch=16), attended=512.0)
    short = work("llama-3.1-8b", sequence=512, batch=128)
    assert packed.model_flop == pytest.approx(short.model_flop, rel=1e-12)
    one = step_times(packed, ideal_machine(), ideal_software(), single(micro_batch=1))
    other = step_times(short, ideal_machine(), ideal_software(), single(micro_batch=8))
    assert float(one.step_s[0]) == pytest.approx(float(other.step_s[0]), rel=1e-9)
    assert float(one.hardware_flop[0]) == pytest.approx(float(other.hardware_flop[0]), rel=1e-12)


def test_documents_as_long_as_sequences_change_nothing() -> None:
    done = work("llama-3.1-8b")
    machine, software = real_machine("h100-sxm"), real_software("h100-sxm")
    both = [step_times(each, machine, software, single(dp=8)) for each in (done, replace(done, attended=2048.0))]
    assert float(both[0].step_s[0]) == float(both[1].step_s[0])


def test_a_scenario_says_its_documents() -> None:
    spec = TrainingSpec.model_validate({"model": "llama-3.1-8b", "documents": "512 tokens", "sequence": 4096})
    done = work_of(spec, catalog.load("models", "llama-3.1-8b"), 64)
    assert done.attended == done.span == 512.0


def test_an_answer_says_what_is_dropped_and_how_far_tokens_look() -> None:
    options = {"model": "mixtral-8x7b", "capacity": 0.8, "documents": 600, "mfu": 0.4}
    answer = howlong("1e9 tokens", on="64xh100-sxm", **options).to_dict()
    assumed = {row["path"]: row["value"] for row in answer["assumptions"]}
    assert assumed["training.capacity.dropped"] == pytest.approx(0.2)
    assert assumed["training.documents"] == 600

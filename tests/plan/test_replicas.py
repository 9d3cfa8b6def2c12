"""Fewer replicas are tried wherever they could be faster: the short search finds what the whole one finds."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.plan.candidates import MOST_DATA_DEGREES, divisors, space
from sim.plan.search import RunRules, evaluate
from sim.spec.layout import LayoutSpec
from tests.helpers.steps import real_machine, real_software, small_model, work

MACHINE, SOFTWARE = real_machine("h100-sxm"), real_software("h100-sxm")
MODEL = small_model(layers=4, hidden=4096, heads=32, kv_heads=8, head_dim=128, ffn_hidden=14336, gated=True)
RULES = RunRules(steps=1e4, rate_per_s=1e-8, restart_s=600.0, write_s=10.0, interval_s=None)


@settings(max_examples=max(settings.default.max_examples // 2, 1))
@given(st.integers(1, 3000), st.sampled_from([0.0, 1e-9, 1e-7, 1e-6, 3e-6]), st.sampled_from([16, 60, 256, 1024]))
def test_short_search_is_as_fast_as_the_whole(devices: int, rate_per_s: float, batch: int) -> None:
    rules = replace(RULES, rate_per_s=rate_per_s)
    step = work(MODEL, sequence=4096, batch=batch)
    short, whole = (
        evaluate(step, MACHINE, SOFTWARE, rules, LayoutSpec(), devices, every_data=every) for every in (False, True)
    )
    assert float(short.wall_clock_s.min()) == float(whole.wall_clock_s.min())


def test_many_failures_leave_devices_idle() -> None:
    step = work(MODEL, sequence=4096, batch=1024)
    found = evaluate(step, MACHINE, SOFTWARE, replace(RULES, rate_per_s=3e-6), LayoutSpec(), 3000)
    assert int(found.layouts.devices[found.best()]) < 1500


def test_a_batch_of_very_many_divisors_keeps_some_of_all_sizes() -> None:
    batch = 963_761_198_400  # 6,720 divisors, more than any smaller number
    every = divisors(batch)
    kept = space(MODEL, 16, batch, 8, LayoutSpec()).data_parallel
    assert len(every) > 6000
    assert len(kept) <= MOST_DATA_DEGREES
    assert set(kept) <= set(every)
    assert (kept[0], kept[-1]) == (1, batch)
    assert max(after / before for before, after in pairwise(kept)) == pytest.approx(2.0, rel=0.01)

"""Attention of one new token over a cache: bytes decide, and kernels have a floor."""

import numpy as np
import pytest

from sim.cost.decode_attention import DecodeCurve, LatentCurve, decode_attention_s, latent_decode_s
from sim.cost.serving_curves import visited_experts
from sim.plan.serving_machine import FORMATS
from sim.spec import catalog

CURVE = DecodeCurve(0.8, 1e-5, 1e-7, 1e-7, 1e-5, 1e-5, 0.2, 0.0)


def test_a_large_cache_is_read_at_the_share_of_bandwidth() -> None:
    context = 64 * 65536.0
    found = decode_attention_s(64.0, context, 8.0, 8.0, 128.0, 2.0, 3.35e12, CURVE)
    assert found == pytest.approx(2 * context * 8 * 128 * 2 / (0.8 * 3.35e12), rel=0.01)


def test_an_empty_cache_costs_its_floor() -> None:
    assert decode_attention_s(1.0, 1.0, 32.0, 8.0, 128.0, 2.0, 3.35e12, CURVE) == pytest.approx(1e-5, rel=0.05)


def test_shared_keys_are_read_once() -> None:
    shared, own = (decode_attention_s(64.0, 1e6, 32.0, heads, 128.0, 2.0, 3.35e12, CURVE) for heads in (8.0, 32.0))
    assert 3.0 < own / shared < 4.2


def test_latent_attention_is_arithmetic_with_many_heads() -> None:
    curve = LatentCurve(0.9, 0.9, 4.0, 0.0, 0.0)
    few, many = (latent_decode_s(8.0, 1e6, heads, 512.0, 64.0, 2.0, 1e15, 4e12, curve) for heads in (1.0, 512.0))
    assert few == pytest.approx(1e6 * 576 * 2 / (0.9 * 4e12), rel=1e-3)
    assert many == pytest.approx(2 * 1e6 * 512 * 1088 / (0.9 * 1e15), rel=1e-2)


@pytest.mark.parametrize(("tokens", "expected"), [(1, 8), (10**6, 128)])
def test_experts_that_are_visited(tokens: int, expected: int) -> None:
    assert visited_experts(float(tokens), 8, 128) == pytest.approx(expected)


def test_visited_experts_are_those_of_a_draw() -> None:
    drawn = np.random.default_rng(1)
    counts = [len({int(each) for _ in range(12) for each in drawn.permutation(64)[:4]}) for _ in range(400)]
    assert visited_experts(12.0, 4, 64) == pytest.approx(np.mean(counts), rel=0.02)


def test_every_format_has_its_curves_somewhere() -> None:
    for form in FORMATS.values():
        narrow = form.products in ("int4", "int8")
        lender = catalog.load("kernels", "generic").narrow if narrow else catalog.load("calibration", "b200-sxm").gemm
        assert form.products in lender

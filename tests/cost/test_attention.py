"""Attention: exact operations, the three limits, and the published efficiencies that the form was made for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.attention import AttentionCurve, attention_backward_s, attention_flop, attention_forward_s
from sim.spec import catalog

PEAK, BANDWIDTH = 989.4e12, 3.35e12
ENDLESS = 1e30


def test_operations_by_hand():
    assert attention_flop(2, 3, 4, 5, causal=False) == 2 * 3 * (2 * 5 * 5 * 4) * 2
    assert attention_flop(2, 3, 4, 5) == attention_flop(2, 3, 4, 5, causal=False) / 2


@pytest.mark.parametrize(("position", "half"), [(1, 4096.0), (2, 128.0), (3, 32 * 4096.0)])
def test_each_limit_halves_the_rate_at_its_half(position, half):
    constants = [0.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    free_s = attention_forward_s(1, 32, 8, 128, 4096, True, PEAK, ENDLESS, AttentionCurve(*constants))
    constants[position] = half
    limited_s = attention_forward_s(1, 32, 8, 128, 4096, True, PEAK, ENDLESS, AttentionCurve(*constants))
    assert limited_s == pytest.approx(2 * free_s)


def test_shared_keys_save_bytes_and_no_operations():
    curve = AttentionCurve(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    many_s = attention_forward_s(1, 32, 32, 128, 4096, True, PEAK, BANDWIDTH, curve)
    few_s = attention_forward_s(1, 32, 8, 128, 4096, True, PEAK, BANDWIDTH, curve)
    assert many_s - few_s == pytest.approx(2 * 4096 * 128 * 24 * 2 / BANDWIDTH)


def test_backward_is_five_products_against_two():
    curve = AttentionCurve(0.8, 600.0, 48.0, 15000.0, 0.6, 12e-6)
    shape = (2, 16, 4, 128, 8192, True, PEAK, BANDWIDTH, curve)
    assert attention_backward_s(*shape) == 2.5 * attention_forward_s(*shape)


@pytest.mark.parametrize(
    ("family", "peak", "efficiencies"),
    [
        ("a100-sxm", 312e12, {1024: 0.307, 4096: 0.425, 16384: 0.475}),
        ("h100-sxm", 989.4e12, {1024: 0.245, 4096: 0.437, 16384: 0.532}),
    ],
)
def test_efficiency_grows_with_sequence_as_measured(family, peak, efficiencies):
    """Medians of the kernel tables over all shapes; here one common shape of 16,384 tokens, so within a fifth."""
    curve = AttentionCurve.of(catalog.load("calibration", family).attention["bf16"])
    for sequence, expected in efficiencies.items():
        batch = 16384 // sequence
        seconds = attention_forward_s(batch, 32, 8, 128, sequence, True, peak, 2e12, curve)
        assert attention_flop(batch, 32, 128, sequence) / seconds / peak == pytest.approx(expected, rel=0.2)


@given(st.integers(1, 64), st.integers(1, 128), st.sampled_from([64, 128, 256]), st.integers(128, 1 << 17))
def test_never_faster_than_peak_for_any_family(batch, heads, head_dim, sequence):
    for name in catalog.names("calibration"):
        curve = AttentionCurve.of(catalog.load("calibration", name).attention["bf16"])
        seconds = attention_forward_s(batch, heads, 1, head_dim, sequence, True, PEAK, BANDWIDTH, curve)
        assert seconds >= attention_flop(batch, heads, head_dim, sequence) / PEAK


def test_arrays_broadcast():
    curve = AttentionCurve(0.8, 600.0, 48.0, 15000.0, 0.6, 12e-6)
    sequence = np.array([1024.0, 8192.0])
    both = attention_forward_s(1, 32, 8, 128, sequence, True, PEAK, BANDWIDTH, curve)
    each = [attention_forward_s(1, 32, 8, 128, s, True, PEAK, BANDWIDTH, curve) for s in sequence.tolist()]
    np.testing.assert_allclose(both, each)

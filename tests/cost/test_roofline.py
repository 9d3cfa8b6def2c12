"""The roofline: corners by hand, counts, and what more of anything does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.roofline import IDEAL, RooflineCurve, gemm_s, memory_bound_s, roofline_s

H100 = RooflineCurve(0.777, 0.838, 2.93, 3.97e-6)
sizes = st.integers(1, 1 << 17)
rates = st.floats(1e9, 1e16)


def test_arithmetic_corner():
    assert roofline_s(4e12, 1.0, 1e12, 1e12, IDEAL) == 4.0


def test_memory_corner():
    assert roofline_s(1.0, 3e12, 1e12, 1e12, IDEAL) == 3.0


def test_power_one_adds_and_two_is_a_hypotenuse():
    assert roofline_s(3.0, 4.0, 1.0, 1.0, RooflineCurve(1.0, 1.0, 1.0, 0.5)) == 7.5
    assert roofline_s(3.0, 4.0, 1.0, 1.0, RooflineCurve(1.0, 1.0, 2.0, 0.0)) == pytest.approx(5.0)


def test_gemm_counts_two_operations_a_multiply_add_and_each_matrix_once():
    assert gemm_s(2, 3, 5, 2, 1.0, 1e30, IDEAL) == 60.0
    assert gemm_s(2, 3, 5, 1, 1e30, 1.0, IDEAL, output_bytes=4) == 2 * 5 + 3 * 5 + 2 * 3 * 4


def test_quantisation_is_a_kernel_of_its_own():
    plain = RooflineCurve(0.7, 0.5, 2.0, 1e-5)
    casting = RooflineCurve(0.7, 0.5, 2.0, 1e-5, quantisation_bytes=6.0)
    extra_s = gemm_s(4096, 8192, 2048, 1, 2e15, 3e12, casting) - gemm_s(4096, 8192, 2048, 1, 2e15, 3e12, plain)
    assert extra_s == pytest.approx(4096 * 2048 * 6 / (0.5 * 3e12))


def test_memory_bound():
    assert memory_bound_s(1e9, 1e12, 0.5, 1e-6) == pytest.approx(2.001e-3)


def test_arrays_broadcast_to_what_scalars_give():
    rows = np.array([1.0, 256.0, 8192.0])[:, None]
    columns = np.array([1024.0, 65536.0])
    table = gemm_s(rows, columns, 4096, 2, 1e15, 3e12, H100)
    single = [[gemm_s(m, n, 4096, 2, 1e15, 3e12, H100) for n in columns.tolist()] for m in rows[:, 0].tolist()]
    np.testing.assert_allclose(table, single, rtol=1e-14)


@given(sizes, sizes, sizes, rates, rates)
def test_never_faster_than_either_peak(m, n, k, peak, bandwidth):
    seconds = gemm_s(m, n, k, 2, peak, bandwidth, H100)
    assert seconds >= 2.0 * m * n * k / peak
    assert seconds >= 2.0 * (m * k + n * k + m * n) / bandwidth


@given(sizes, sizes, sizes, rates, rates, st.floats(1.0, 100.0))
def test_more_of_anything_is_never_slower(m, n, k, peak, bandwidth, more):
    seconds = gemm_s(m, n, k, 2, peak, bandwidth, H100) * (1 + 1e-12)
    assert gemm_s(m, n, k, 2, peak * more, bandwidth, H100) <= seconds
    assert gemm_s(m, n, k, 2, peak, bandwidth * more, H100) <= seconds


@given(sizes, sizes, sizes)
def test_a_smooth_corner_lies_between_the_larger_and_the_sum(m, n, k):
    ideal_s = gemm_s(m, n, k, 2, 1e15, 3e12, IDEAL)
    sum_s = gemm_s(m, n, k, 2, 1e15, 3e12, RooflineCurve(1.0, 1.0, 1.0, 0.0))
    smooth_s = gemm_s(m, n, k, 2, 1e15, 3e12, RooflineCurve(1.0, 1.0, 2.5, 0.0))
    assert ideal_s * (1 - 1e-9) <= smooth_s <= sum_s * (1 + 1e-9)

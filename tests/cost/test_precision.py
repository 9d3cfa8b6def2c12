"""Three scales of arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.precision import BITS, weigh
from sim.spec import catalog


@given(st.floats(1, 1e30))
def test_16_bit_work_counts_the_same_on_every_scale(flop: float) -> None:
    assert weigh({"bf16": flop}, {"bf16": 1e15}).to_dict() == pytest.approx(
        {"operations": flop, "bits16": flop, "device_time16": flop}, rel=1e-12
    )


def test_where_bits_and_occupied_time_agree_and_where_they_part() -> None:
    """fp8 on an H100 runs at twice the rate; fp4 on a B300 at three times its fp8, not twice."""

    def of(chip: str, precision: str) -> tuple[float, float]:
        peaks = {name: peak.value for name, peak in catalog.load("accelerators", chip).peak_flop_per_s.items()}
        weighed = weigh({precision: 1.0}, peaks)
        return weighed.bits16, weighed.device_time16

    assert of("h100-sxm", "fp8") == pytest.approx((0.5, 0.5), rel=1e-3)
    bits, occupied = of("b300-sxm", "fp4")
    assert bits == 0.25
    assert occupied < 0.2


def test_a_sum_is_the_sum_of_its_parts() -> None:
    peaks = {"bf16": 1.0, "fp8": 2.0}
    both, first, second = (weigh(work, peaks) for work in ({"bf16": 3.0, "fp8": 5.0}, {"bf16": 3.0}, {"fp8": 5.0}))
    for scale in ("operations", "bits16", "device_time16"):
        assert getattr(both, scale) == getattr(first, scale) + getattr(second, scale)


def test_a_chip_without_bf16_is_measured_against_fp16() -> None:
    assert weigh({"fp32": 1.0}, {"fp16": 8.0, "fp32": 1.0}).device_time16 == 8.0


def test_every_precision_of_the_catalogue_has_a_width() -> None:
    known = {
        name for chip in catalog.names("accelerators") for name in catalog.load("accelerators", chip).peak_flop_per_s
    }
    assert known <= set(BITS)

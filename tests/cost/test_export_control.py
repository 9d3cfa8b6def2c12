import pytest

from sim.cost.export_control import total_processing_performance


def test_the_greatest_of_the_precisions_counts() -> None:
    assert total_processing_performance({"bf16": 100e12, "fp8": 300e12}) == pytest.approx(2400)
    assert total_processing_performance({"bf16": 200e12, "fp8": 300e12}) == pytest.approx(3200)


def test_a100_stands_just_above_4800_where_control_begins() -> None:
    a100 = total_processing_performance({"fp16": 312e12, "tf32": 156e12, "int8": 624e12})
    assert a100 == pytest.approx(4992)

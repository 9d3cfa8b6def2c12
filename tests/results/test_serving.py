"""Rates over windows, weighted operations and tables of services, by hand."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from sim.engine.serving.recording import ServiceRecording, Timeline
from sim.results.run_report import RunReport
from sim.results.serving import CAPS, flop_rates
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.serving import play_serving


def recording(flop: list[float], bin_s: float = 1.0, start_s: float = 0.0) -> ServiceRecording:
    """The two things that rates are made of."""
    zeros = np.zeros(len(flop))
    names = [name for name in Timeline.__dataclass_fields__ if name not in {"bin_s", "flop"}]
    time = Timeline(bin_s=bin_s, flop=np.array(flop, dtype=np.float64), **dict.fromkeys(names, zeros))
    found = cast("Any", object.__new__(ServiceRecording))
    object.__setattr__(found, "timeline", time)
    object.__setattr__(found, "start_s", start_s)
    return cast("ServiceRecording", found)


def test_peak_and_99th_percentile_over_windows() -> None:
    rates = flop_rates(recording([0.0] * 3600 + [7200.0] * 1800 + [0.0] * 3600))
    assert rates["peak_1s"] == rates["p99_1s"] == 7200.0
    assert rates["peak_1h"] == pytest.approx(3600.0), "half of the hour at full rate"
    assert rates["p99_1h"] <= rates["peak_1h"]


def test_a_window_longer_than_the_run_is_divided_by_its_length() -> None:
    rates = flop_rates(recording([5.0, 7.0]))
    assert rates["peak_1h"] == rates["p99_1h"] == 12.0 / 3600
    assert rates["peak_1s"] == 7.0


def test_bins_wider_than_a_second_are_the_shortest_window() -> None:
    assert flop_rates(recording([8.0, 2.0], bin_s=4.0))["peak_1s"] == 2.0


def test_time_before_the_service_is_no_window() -> None:
    assert flop_rates(recording([0.0] * 99 + [3.0], start_s=99.0))["p99_1s"] == 3.0


def test_the_cap_is_named_and_sourced() -> None:
    assert [cap.flop_per_s for cap in CAPS] == [1e20]
    assert all(cap.name and cap.source for cap in CAPS)


def play(precision: str) -> RunReport:
    text = f"""
      schema_version: 1
      name: x
      cluster: 2xh100-sxm
      services: {{a: {{model: llama-3.1-8b, precision: {precision}}}, b: {{model: llama-3.1-8b}}}}
      workloads:
        - requests: {{service: a, arrivals: 9/s, input: 900 tokens, output: 30 tokens, count: 60}}
        - requests: {{service: b, arrivals: 9/s, input: 900 tokens, output: 30 tokens, count: 60}}
    """
    return play_serving(read_scenario(loads(text)))


def test_narrow_operations_weigh_less() -> None:
    wide, narrow = play("bf16").flop["prefill"], play("fp8").flop["prefill"]
    assert narrow.operations == pytest.approx(wide.operations, rel=1e-9)
    assert wide.bits16 == pytest.approx(wide.operations, rel=1e-9)
    # Of the half that fp8 computes, all but attention and the LM head weigh half.
    assert 0.75 * wide.operations < narrow.bits16 < 0.8 * wide.operations


def test_sections_and_tables_have_each_service() -> None:
    report = play("bf16")
    sections = {section.name: section for section in report.sections}
    assert [row[0] for row in sections["services"].rows] == ["a", "b"]
    assert {row[0] for row in sections["latency"].rows} == {"a", "b"}
    assert all(len(row) == len(section.columns) for section in report.sections for row in section.rows)
    assert sorted(set(report.tables["requests"]["service"])) == ["a", "b"]
    assert set(report.tables["requests"]["status"]) == {"finished"}
    lengths = {name: {len(column) for column in table.values()} for name, table in report.tables.items()}
    assert all(len(each) == 1 for each in lengths.values())
    assert report.cost_usd == pytest.approx(sum(report.values[f"{name}.cost_usd"].value for name in "ab"))
    assert report.energy_j == pytest.approx(sum(report.values[f"{name}.energy_j"].value for name in "ab"))
    assert replace(report, name="y").sentence == report.sentence

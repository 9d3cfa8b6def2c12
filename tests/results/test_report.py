"""What a played scenario says: simulated beside expected, and nothing lost in between."""

import math
from statistics import fmean, stdev

import pytest

from sim.results.report import Report
from sim.spec.scenario import Scenario
from sim.study.question_scenario import build_scenario
from sim.study.scenarios import run_scenario


def scenario(**options: object) -> Scenario:
    return build_scenario("256xh100-sxm", "1e22 FLOP", {"failure_rate": "1e-3/h", **options})


@pytest.fixture(scope="module")
def report() -> Report:
    return run_scenario(scenario(), seeds=100)


@pytest.fixture(scope="module")
def with_spares() -> Report:
    return run_scenario(scenario(spares=2, repair="12 h"), seeds=4)


def test_closed_form_is_within_four_standard_errors(report: Report) -> None:
    times = [recording.wall_clock_s for recording in report.recordings]
    error_s = stdev(times) / math.sqrt(len(times))
    assert error_s > 0
    assert abs(report.answer.wall_clock_s.expected - fmean(times)) <= 4 * error_s


def test_simulated_parts_sum_to_the_wall_clock(report: Report, with_spares: Report) -> None:
    for each in (report, with_spares):
        assert math.fsum(seconds for _, seconds in each.outcome.parts) == pytest.approx(each.wall_clock_s, rel=1e-9)
        for recording in each.recordings:
            held = math.fsum(recording.device_seconds.values())
            assert held == pytest.approx(256 * recording.wall_clock_s, rel=1e-9)


def test_flop_tokens_and_joules_are_conserved(report: Report) -> None:
    flop = report.answer.flop
    for recording in report.recordings[:5]:
        assert recording.tokens["trained"] == pytest.approx(report.answer.model["tokens"], rel=1e-9)
        assert recording.flop["model"] == pytest.approx(flop["model"].operations, rel=1e-9)
        again = recording.flop["recompute and padding"]
        assert recording.flop["model"] + again == pytest.approx(flop["hardware"].operations, rel=1e-9)
        lost = recording.flop["lost and redone"] / flop["hardware"].operations
        assert lost == pytest.approx(recording.tokens["lost"] / recording.tokens["trained"], rel=1e-6)
        watts = math.fsum(recording.joules.values()) / recording.wall_clock_s / 256
        assert watts == pytest.approx(10_200 / 8 * 1.2, rel=1e-6)


def test_spread_is_that_of_the_seeds(report: Report) -> None:
    times = sorted(recording.wall_clock_s for recording in report.recordings)
    spread = report.wall_clock_spread_s
    assert spread.expected == pytest.approx(fmean(times))
    assert times[9] <= spread.p10 <= times[10]
    assert times[89] <= spread.p90 <= times[90]
    data = report.to_dict()["simulated"]
    assert data["seeds"] == 100
    assert data["wall_clock_s"]["p90"] == spread.p90
    assert data["expected_over_simulated"] == pytest.approx(report.answer.wall_clock_s.expected / fmean(times))


def test_tables_are_columns_of_one_length(report: Report) -> None:
    for columns in report.tables.values():
        assert len({len(column) for column in columns.values()}) == 1
    assert report.tables["seeds"]["seed"] == tuple(range(100))
    assert len(report.tables["events"]["time_s"]) > 0
    assert list(report.tables["events"]["time_s"]) == sorted(report.tables["events"]["time_s"])


def test_shares_of_the_simulated_run_are_shares(report: Report, with_spares: Report) -> None:
    for each in (report, with_spares):
        use = each.utilization
        assert 0 < use.mfu_run <= use.hfu_run <= 1
        assert 0 < use.busy <= use.allocated <= 1
        assert 0 < use.ettr < 1


def test_only_spares_make_the_simulation_the_answer(report: Report, with_spares: Report) -> None:
    assert not report.by_simulation
    assert with_spares.by_simulation
    assert {"free", "down"} <= set(dict(with_spares.outcome.parts))


def test_one_seed_reports_its_own_run() -> None:
    one = run_scenario(scenario(), seed=7)
    assert [recording.seed for recording in one.recordings] == [7]
    assert one.wall_clock_s == one.recordings[0].wall_clock_s
    assert one.answer.provenance["seed"] == 7

"""Errors over rows, by hand."""

import pytest

from sim.validate.report import Report
from sim.validate.score import Verdict, reasons, score, score_by


def row(predicted: float | None, name: str = "a", group: str = "g", **more: object) -> Verdict:
    status = "ok" if predicted is not None else "skipped"
    measured = None if predicted is None else 10.0
    return Verdict(name, group, "step_time_s", status, measured=measured, predicted=predicted, **more)  # type: ignore[arg-type]


def test_errors_by_hand() -> None:
    found = score([row(value) for value in (9.0, 10.0, 12.0, 14.0)] + [row(None)])
    assert (found.n, found.skipped, found.infeasible) == (4, 1, 0)
    assert found.median_ape == pytest.approx(0.15)
    assert found.mean_ape == pytest.approx(0.175)
    assert found.p90_ape == pytest.approx(0.34)
    assert found.bias == pytest.approx(0.10)


def test_nothing_predicted_has_no_error() -> None:
    found = score([row(None)])
    assert (found.n, found.median_ape, found.bias) == (0, None, None)


def test_rows_are_summed_apart_and_reasons_counted() -> None:
    rows = [row(11.0, group="a"), row(20.0, group="b"), row(None, group="b", reason="why")]
    parts = score_by(rows, lambda verdict: verdict.group)
    assert parts["a"].median_ape == pytest.approx(0.1)
    assert (parts["b"].median_ape, parts["b"].skipped) == (pytest.approx(1.0), 1)
    assert reasons(rows) == {"why": 1}


def test_the_worst_row_comes_first() -> None:
    report = Report("training", "step_time_s", (row(11.0, "near"), row(1.0, "far"), row(None, "none")))
    assert [verdict.id for verdict in report.worst(2)] == ["far", "near"]

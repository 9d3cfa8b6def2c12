"""Terms taken away, and constants at what they are where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.cost.training import PARTS
from sim.validate import ablation, fitting
from sim.validate.constants import fitted
from sim.validate.fitting import Sample

TABLE = Path(__file__).parent / "tables" / "training.csv"


@pytest.fixture(scope="module")
def rows() -> list[Sample]:
    return fitting.samples(TABLE)


def test_an_account_that_is_taken_away_is_an_account_of_the_step() -> None:
    assert {term.part for term in ablation.TERMS if term.part} <= set(PARTS)
    fields = {constant.field for constant in fitted().constants}
    assert {field for term in ablation.TERMS for field in term.fields} <= fields


def test_a_row_without_an_account_is_shorter_by_it(rows: list[Sample]) -> None:
    values = fitting.present(rows)
    for sample in rows:
        parts = sample.case.predicted().parts_s
        whole, less = (np.exp(each.error(values)) for each in (sample, sample.changed(None, "optimizer", sample.known)))
        assert whole - less == pytest.approx(parts["optimizer"] / sample.measured_s, rel=1e-6)
        assert sum(parts.values()) == pytest.approx(sample.case.predicted().step_s)


def test_every_term_is_worth_something_to_some_row(rows: list[Sample]) -> None:
    pytest.importorskip("scipy")
    values = fitting.present(rows)
    found = {name: (count, before, after) for name, count, before, after in ablation.terms(rows, values)}
    assert {"attention", "shape of products: all as fast as large ones"} <= found.keys()
    for count, before, after in found.values():
        assert count == len(before) == len(after)
        assert np.isfinite(after).all()


def test_a_constant_that_made_the_measurements_is_missed(rows: list[Sample]) -> None:
    """Rows measured by the model itself: without their kernels' constant the others cannot make up for all of it."""
    pytest.importorskip("scipy")
    copies = [sample.changed(None, "", {}) for sample in rows] * 2
    truth = fitting.present(copies)
    for sample in copies:
        sample.measured_s *= float(np.exp(sample.error(truth)))
    worth = {name: (before, after) for name, _, before, after in ablation.constants(copies, truth)}
    assert worth
    assert all(np.abs(before).max() < 0.02 for before, _ in worth.values())
    assert max(np.median(np.abs(after)) for _, after in worth.values()) > 0.02

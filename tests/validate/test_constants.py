"""The fitted constants: few, named, within what they can mean, and found again by the fit."""

from pathlib import Path

import numpy as np
import pytest

from sim.spec import catalog
from sim.validate import fitting
from sim.validate.constants import Constant, fitted, of_case

TABLE = Path(__file__).parent / "tables" / "training.csv"
MOST_CONSTANTS = 60


def test_there_are_few_and_each_has_a_name_of_its_own() -> None:
    names = [constant.name for constant in fitted().constants]
    assert len(names) == len(set(names)) <= MOST_CONSTANTS


@pytest.mark.parametrize("constant", fitted().constants, ids=lambda constant: constant.name)
def test_each_belongs_to_profiles_of_the_catalogue(constant: Constant) -> None:
    assert constant.low < constant.high
    for name in constant.profiles:
        assert hasattr(catalog.load("profiles", name), constant.field)


def test_profiles_state_what_was_fitted_within_its_bounds() -> None:
    rows = fitting.samples(TABLE)
    stated = fitting.present(rows)
    assert len(rows) >= 5
    for index, value in stated.items():
        constant = fitted().constants[index]
        assert constant.low <= value <= constant.high


def test_a_number_of_a_profile_is_one_constant() -> None:
    for sample in fitting.samples(TABLE):
        fields = [fitted().constants[index].field for index in of_case(sample.case)]
        assert len(fields) == len(set(fields))


def test_the_fit_finds_constants_that_made_the_measurements() -> None:
    pytest.importorskip("scipy")
    rows = fitting.samples(TABLE) * 3
    truth = fitting.present(rows)
    kernels = {index for index in truth if fitted().constants[index].field == "kernel_slowdown"}
    truth |= dict.fromkeys(kernels, 1.25)
    for sample in rows:
        sample.measured_s *= float(np.exp(sample.error(truth)))
    found = fitting.fit(rows, fitting.present(rows))
    touched = {index for sample in rows for index in sample.constants} & kernels
    assert touched
    assert max(abs(sample.error(found)) for sample in rows) < 0.01


def test_a_stranger_is_timed_without_constants_of_its_source() -> None:
    """One source alone: nothing is known of it, and its rows are still predicted."""
    pytest.importorskip("scipy")
    rows = fitting.samples(TABLE)
    assert np.isfinite(fitting.unseen(rows, fitting.present(rows))).all()
    assert np.isfinite(fitting.seen(rows, fitting.present(rows))).all()

"""Errors on rows that no constant was fitted to, and whether intervals hold what they say: minutes, so `make long`."""

import os

import numpy as np
import pytest

from sim.results.step_error import CONFIGURATION_LEFT_OUT, SOURCE_LEFT_OUT
from sim.validate import fitting
from sim.validate.fitting import Array, Sample
from tests.helpers.shared_data import SHARED, shared_rows

pytestmark = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "long", reason="minutes of fitting: part of make long"
)
DECILE = 1.2815515655446004


@pytest.fixture(scope="module")
def rows() -> list[Sample]:
    pytest.importorskip("scipy")
    shared_rows("truth/training.csv")
    return fitting.samples(SHARED / "truth" / "training.csv")


@pytest.fixture(scope="module")
def seen(rows: list[Sample]) -> Array:
    return fitting.seen(rows, fitting.present(rows))


@pytest.fixture(scope="module")
def unseen(rows: list[Sample]) -> Array:
    return fitting.unseen(rows, fitting.present(rows))


def off(errors: Array) -> tuple[float, float, float]:
    ratio = np.exp(errors)
    away = np.abs(ratio - 1)
    return float(np.median(away)), float(np.quantile(away, 0.9)), float(np.median(ratio) - 1)


@pytest.mark.parametrize(
    ("kind", "median", "p90"), [("", 0.065, 0.21), ("dense", 0.055, 0.18), ("MoE", 0.12, 0.38), ("LoRA", 0.11, 0.26)]
)
def test_configurations_left_out(rows: list[Sample], seen: Array, kind: str, median: float, p90: float) -> None:
    picked = np.array([sample.summed and kind in ("", sample.kind) for sample in rows])
    found = off(seen[picked])
    assert found[0] <= median
    assert found[1] <= p90
    if not kind:
        assert abs(found[2]) <= 0.03


def test_sources_left_out(rows: list[Sample], unseen: Array) -> None:
    picked = np.array([sample.summed for sample in rows])
    found = off(unseen[picked])
    assert found[0] <= 0.13
    assert found[1] <= 0.34
    assert abs(found[2]) <= 0.08


def test_four_of_five_rows_lie_in_their_interval(rows: list[Sample], seen: Array, unseen: Array) -> None:
    known, strange = [], []
    for sample, error, stranger in zip(rows, seen, unseen, strict=True):
        if sample.group == fitting.APART:
            continue
        generation = sample.case.setting.cluster.accelerator.generation
        entry = CONFIGURATION_LEFT_OUT.get((sample.kind, generation))  # type: ignore[arg-type]
        if entry is not None:
            known.append(abs(error) <= DECILE * entry[0])
        strange.append(abs(stranger) <= DECILE * SOURCE_LEFT_OUT[sample.kind][0])  # type: ignore[index]
    assert 0.75 <= np.mean(known) <= 0.85
    assert 0.75 <= np.mean(strange) <= 0.85

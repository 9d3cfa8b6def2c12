"""Published layouts of large models beside the best that the search finds."""

from __future__ import annotations

import json

import pytest

from sim.validate.layouts import CLOSE, Ranked, published, ranked
from tests.helpers.command import call


@pytest.fixture(scope="module")
def rows() -> tuple[Ranked, ...]:
    return ranked()


def test_the_four_models_are_there() -> None:
    models = {case.model for case in published()}
    assert {"llama-3.1-405b", "nemotron-4-340b", "gpt3-175b", "deepseek-v3"} <= models
    assert all(case.source for case in published())


def test_a_published_layout_is_within_a_twentieth_of_the_best_or_explained(rows: tuple[Ranked, ...]) -> None:
    """Explained: within their means, which are stated and have a reason, it is that near."""
    for row in rows:
        assert row.planned.beside is not None
        assert row.planned.beside.fits, row.case.name
        assert row.loss >= 0, row.case.name
        if row.loss <= CLOSE:
            continue
        assert row.case.why, row.case.name
        assert row.loss_within is not None, row.case.name
        assert row.loss_within <= CLOSE, row.case.name


def test_means_only_narrow_the_search(rows: tuple[Ranked, ...]) -> None:
    for row in rows:
        if row.within is not None:
            best_s, within_s = (float(each.survey.best.steps.step_s[0]) for each in (row.planned, row.within))
            assert within_s >= best_s
            assert row.case.means is not None
            filled = row.within.survey.best.memory.total_bytes[0] / row.planned.machine.memory_bytes
            assert filled <= row.case.means.fill


def test_the_command_says_the_same(rows: tuple[Ranked, ...]) -> None:
    done = call("validate", "layouts", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == [row.to_dict() for row in rows]
    text = call("validate", "layouts").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert all(row.case.name in text for row in rows)


def test_nothing_is_read_from_elsewhere() -> None:
    done = call("validate", "layouts", "--table", "training.csv")
    assert done.exit_code == 2
    assert "--beside" in done.stderr

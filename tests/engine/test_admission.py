from __future__ import annotations

import math
from typing import Any

import pytest

from sim.engine.admission import MAX_INTERRUPTIONS, admit
from sim.errors import InfeasibleError, LimitError, ScenarioError
from tests.helpers.training_runs import training_run


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"steps": 0.0}, "steps x step_s"),
        ({"steps": math.nan}, "steps x step_s"),
        ({"step_s": 0.0}, "step_s"),
        ({"steps": 1e308, "step_s": 1e308}, "steps x step_s"),
        ({"active_devices": 0}, "active_devices"),
        ({"active_devices": 65}, "fit into devices"),
        ({"spare_nodes": 1}, "fit into devices"),
        ({"spare_nodes": -1}, "spare_nodes"),
        ({"devices_per_node": 0}, "devices_per_node"),
        ({"repair_s": math.inf}, "repair_s"),
        ({"node_loss_share": 1.1}, "node_loss_share"),
        ({"step_parts": (("useful compute", 9.0),)}, "sum to step_s"),
        ({"step_parts": (("useful compute", 11.0), ("host", -1.0))}, "0 or more"),
        ({"tokens_per_step": -1.0}, "tokens_per_step"),
        ({"model_flop_per_step": -1.0}, "model_flop_per_step"),
        ({"hardware_flop_per_step": 3e18}, "at least model_flop_per_step"),
        ({"power_w_per_device": math.nan}, "power_w_per_device"),
        ({"hardware_flop_per_step": 1e290}, "1e\\+290 operations"),
        ({"tokens_per_step": 1e290}, "1e\\+290 tokens"),
        ({"power_w_per_device": 1e290}, "1e\\+290 joules"),
        (
            {"steps": 1e-5, "hardware_flop_per_step": 1e290, "step_s": 1e-4, "step_parts": (("host", 1e-4),)},
            "1e\\+290 operations/s",
        ),
        ({"interval_s": 0.0}, "interval_s"),
        ({"write_s": -1.0}, "write_s"),
        ({"hazard_per_s": math.nan}, "hazard_per_s"),
        ({"restart_s": math.inf}, "restart_s"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ScenarioError, match=rule):
        admit(training_run(**changes))


@pytest.mark.parametrize("mean_between_s", [1e-300, 1e-3, 10.0])
def test_a_run_that_never_ends_is_refused_before_it_starts(mean_between_s: float) -> None:
    with pytest.raises(InfeasibleError, match="never finishes: an interruption every") as caught:
        admit(training_run(hazard_per_s=1 / mean_between_s))
    assert "100 s between checkpoints" in caught.value.value


def test_a_long_interval_is_judged_by_the_run_that_it_covers() -> None:
    """An interval of a year in a run of 1,000 s is one interval of 1,000 s, which ends."""
    admit(training_run(interval_s=3e7))


def test_too_many_interruptions_are_refused_before_they_are_played() -> None:
    with pytest.raises(LimitError, match=f"at most {MAX_INTERRUPTIONS}") as caught:
        admit(training_run(steps=1e9))
    assert "one every 2000 s" in caught.value.value


def test_the_closed_form_gets_the_numbers_of_the_run() -> None:
    parameters = training_run().parameters
    assert (parameters.useful_s, parameters.interval_s, parameters.write_s) == (1000.0, 100.0, 5.0)
    assert (parameters.hazard_per_s, parameters.restart_s) == (1 / 2000, 60.0)

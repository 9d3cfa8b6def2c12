"""Schedules in the plan search: what is asked for is planned, and the orders without bubbles are the faster ones."""

import pytest

from sim.cost.layout import SCHEDULE, single
from sim.cost.memory import per_device
from sim.cost.training import step_times
from sim.errors import InfeasibleError
from sim.plan.survey import survey
from sim.spec import catalog
from sim.spec.layout import LayoutSpec
from tests.helpers.steps import real_machine, real_software, work

MODEL = catalog.load("models", "llama-3.1-8b")
WORK = work(MODEL, batch=32)
MACHINE, SOFTWARE = real_machine("b300-sxm", 8), real_software("b300-sxm")


def step(schedule: str, virtual: int = 1) -> dict[str, float]:
    layout = single(pp=4, virtual_stages=virtual, dp=1, schedule=schedule)
    times = step_times(WORK, MACHINE, SOFTWARE, layout)
    assert sum(dict(times.row(0)).values()) == pytest.approx(float(times.step_s[0]))
    return dict(times.row(0)) | {"step": float(times.step_s[0])}


def memory(schedule: str, virtual: int = 1) -> dict[str, float]:
    layout = single(pp=4, virtual_stages=virtual, dp=1, schedule=schedule)
    return per_device(MODEL, WORK.recipe, SOFTWARE.memory, layout, WORK.sequence, WORK.global_batch).row(0)


def test_less_bubble_is_less_time() -> None:
    bubbles = [step(name, 1 + (name == "zb-v"))["pipeline bubble"] for name in ("1f1b", "zb-h1", "zb-v")]
    assert bubbles == sorted(bubbles, reverse=True)
    assert bubbles[-1] > 0
    assert step("gpipe") == step("1f1b")


def test_what_each_schedule_holds() -> None:
    """GPipe every micro-batch, DualPipe its parameters twice, ZB-V as many activations as 1F1B's first stage."""
    usual = memory("1f1b")
    assert memory("gpipe")["activations"] > 4 * usual["activations"]
    assert 1.5 * usual["weights"] < memory("dualpipe")["weights"] < 3 * usual["weights"]
    assert memory("zb-v", 2)["activations"] >= usual["activations"]
    # The last stage too holds p micro-batches under ZB-H1, beside the logits.
    assert usual["total"] < memory("zb-h1")["total"] < 1.1 * usual["total"]


@pytest.mark.parametrize("schedule", SCHEDULE)
def test_a_schedule_that_is_asked_for_is_planned(schedule: str) -> None:
    found = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(schedule=schedule, pp=4), 4)
    assert {SCHEDULE[index] for index in found.best.layouts.schedule.tolist()} == {schedule}
    assert float(found.best.steps.step_s[0]) >= float(
        survey(WORK, MACHINE, SOFTWARE, LayoutSpec(schedule="any", pp=4), 4).best.steps.step_s[0]
    )


def test_a_schedule_that_cannot_run_says_which_rule_it_breaks() -> None:
    with pytest.raises(InfeasibleError, match="schedule"):
        survey(WORK, MACHINE, SOFTWARE, LayoutSpec(schedule="dualpipe", pp=3), 3)

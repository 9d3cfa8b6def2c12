"""A scenario is played with one seed or many; a question written as a scenario gives the same answer."""

from pathlib import Path
from typing import Any

import pytest

import sim
from sim.spec.load import load_scenario
from sim.study.scenarios import run_scenario
from tests.helpers.answers import asked

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("howlong", ("1e22 FLOP", "256xh100-sxm"), {}),
    ("howlong", ("1.23456789e22 FLOP", "meta-16k-llama3"), {"model": "llama-3.1-8b"}),
    ("howlong", ("1e12 tokens", "256xh100-sxm"), {"model": "llama-3.1-8b", "precision": "fp8", "seed": 3}),
    ("howlong", (None, "256xh100-sxm"), {"params": 7e9, "tokens": 1e12, "batch": 4e6, "sequence": 4096}),
    ("howlong", ("1e22 FLOP", "256xh100-sxm"), {"mfu": 0.37, "failure_rate": "1e-4/h", "restart": "7 min"}),
    ("howlong", ("1e22 FLOP", "256xh100-sxm"), {"step_time": "1 min", "checkpoint": "30 min", "price": "2 USD/h"}),
    ("howlong", ("1e22 FLOP", "272xh100-sxm"), {"spares": 2, "failure_rate": "1e-3/h", "repair": "2 d"}),
    ("howlong", ("5e25 FLOP", "humanity"), {}),
    ("howmany", ("1e22 FLOP", "10 d", "h100-sxm"), {"law": "chinchilla"}),
    ("howmany", ("1e22 FLOP", "10 d", "h100-sxm"), {"fabric": "infiniband-ndr200", "node": "hgx-h200"}),
    ("howmuch", ("10 d", "256xh100-sxm"), {}),
    ("howmuch", ("10 d", "256xh100-sxm"), {"model": "llama-3.1-8b", "failure_rate": "1e-3/h"}),
]


@pytest.mark.parametrize(("question", "arguments", "options"), CASES, ids=str)
def test_the_scenario_of_a_question_gives_its_answer_to_the_digit(
    tmp_path: Path, question: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    answer = asked(question, *arguments, **{"seeds": 16, **options})
    file = tmp_path / "question.yaml"
    file.write_text(answer.scenario_text, encoding="utf-8")
    again = run_scenario(load_scenario(file)).answer
    assert again.wall_clock_s == answer.wall_clock_s
    assert again.parts == answer.parts
    assert again.flop == answer.flop
    assert (again.energy_j, again.cost_usd, again.co2_kg) == (answer.energy_j, answer.cost_usd, answer.co2_kg)
    assert again.provenance == answer.provenance


def test_the_public_names_play_a_file(root: Path) -> None:
    report = sim.run(sim.load(root / "scenarios/quickstart/howlong-1e26.yaml"))
    assert report.answer.flop["model"].operations == pytest.approx(1e26)
    assert report.wall_clock_s == pytest.approx(report.answer.wall_clock_s.expected, rel=0.05)
    assert report.answer.scenario_text == ""


def test_one_seed_and_the_same_one_of_many_are_the_same_run(root: Path) -> None:
    scenario = load_scenario(root / "scenarios/training/gpt3-175b-spares.yaml")
    one, many = run_scenario(scenario, seed=2), run_scenario(scenario, seed=1, seeds=3)
    assert one.recordings[0] == many.recordings[1]


def test_without_interruptions_one_seed_is_all(root: Path) -> None:
    report = run_scenario(load_scenario(root / "scenarios/training/humanity.yaml"), seeds=2)
    assert report.wall_clock_s == pytest.approx(report.answer.wall_clock_s.expected, rel=1e-12)
    assert report.wall_clock_spread_s.p10 == report.wall_clock_spread_s.p90

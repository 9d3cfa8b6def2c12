"""Every figure in bold of docs/essay.md is what its scenario gives."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sim.results.run_report import RunReport
from sim.spec.load import load_scenario
from sim.study.scenarios import run_scenario

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "essay.md").read_text(encoding="utf-8")
DAY_S, YEAR_S = 86400.0, 365.25 * 86400.0


@cache
def played(name: str) -> Any:
    return run_scenario(load_scenario(ROOT / "scenarios" / "essay" / f"{name}.yaml"))


def value(name: str, key: str) -> float:
    report = played(name)
    assert isinstance(report, RunReport)
    return report.values[key].value


def flop(name: str, purpose: str = "", scale: str = "operations") -> float:
    return sum(getattr(each, scale) for key, each in played(name).flop.items() if purpose in ("", key))


def expected_s(name: str) -> float:
    return float(played(name).answer.wall_clock_s.expected)


def tokens_per_s() -> float:
    return value("human-pace-405b", "llama.output_tokens_per_s")


def occupied() -> float:
    return 8 * 1979e12 * 7 / tokens_per_s()


def a_token() -> float:
    return flop("human-pace-405b", "decode") / (60960 * 1.0)  # of 480 answers, all tokens but the first are decoded


FIGURES: dict[str, list[Callable[[], float]]] = {
    "training-1e25": [lambda: expected_s("training-1e25") / DAY_S],
    "training-by-hand": [lambda: expected_s("training-by-hand") / YEAR_S],
    "training-loss": [lambda: float(played("training-loss").answer.expected_loss.value)],
    "human-pace-280b": [
        lambda: flop("human-pace-280b", "decode") / 419,
        lambda: 7 * flop("human-pace-280b", "decode") / 419,
    ],
    "human-pace-405b": [
        occupied,
        tokens_per_s,
        lambda: 7 * a_token(),
        lambda: occupied() / (7 * a_token()),
        lambda: flop("human-pace-405b") / flop("human-pace-405b", "decode"),
        lambda: 1 / value("human-pace-405b", "llama.mfu"),
    ],
    "two-instances": [
        lambda: 100 * value("two-instances", "talk.solved"),
        lambda: value("two-instances", "talk.flop_per_task"),
    ],
    "generate-check-synthesize": [
        lambda: 100 * value("generate-check-synthesize", "solve.solved"),
        lambda: value("generate-check-synthesize", "solve.flop_per_task"),
        lambda: value("generate-check-synthesize", "solve.wall_clock_s.p50"),
    ],
    "many-thoughts": [
        lambda: value("many-thoughts", "reason.flop_per_task"),
        lambda: value("many-thoughts", "reason.output_tokens_per_task"),
        lambda: value("many-thoughts", "reason.human_thought"),
    ],
    "tools": [
        lambda: value("tools", "answer.wall_clock_s.p50"),
        lambda: 100 * value("tools", "answer.prefill_flop_per_task") / value("tools", "answer.flop_per_task"),
    ],
    "autogpt": [
        lambda: 100 * value("autogpt", "goal.solved"),
        lambda: value("autogpt", "goal.wall_clock_s.p50"),
        lambda: 100 * value("autogpt", "goal.hit_rate"),
    ],
    "computer-use": [
        lambda: value("computer-use", "use.flop_per_task"),
        lambda: value("computer-use", "use.human_thought"),
    ],
    "deep-research": [
        lambda: value("deep-research", "answer.flop_per_task"),
        lambda: value("deep-research", "answer.wall_clock_s.p50") / 60,
        lambda: value("deep-research", "answer.parallelism"),
    ],
    "o3-arc-agi": [
        lambda: value("o3-arc-agi", "question.flop_per_task"),
        lambda: value("o3-arc-agi", "question.wall_clock_s.p50") / 60,
        lambda: value("o3-arc-agi", "question.flop_per_s"),
    ],
    "precision-a100": [
        *(lambda name=name: flop(f"precision-{name}", "", "bits16") for name in ("a100", "h100", "b200")),
        *(lambda name=name: played(f"precision-{name}").wall_clock_s for name in ("a100", "h100", "b200")),
    ],
}


def as_printed(value: float, like: str) -> float:
    """Round to as many digits as a figure is printed with."""
    digits = len(like.partition("e")[0].replace(".", "").lstrip("0"))
    return float(f"{value:.{digits - 1}e}")


ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_of_the_run(name: str) -> None:
    row = next(line for line in ROWS if line.startswith(f"| `{name}`"))
    printed = re.findall(r"\*\*([0-9.e+]+)\*\*", row)
    found = [as_printed(figure(), like) for figure, like in zip(FIGURES[name], printed, strict=True)]
    assert [float(each) for each in printed] == found, "docs/essay.md follows what the scenario gives"


def test_every_scenario_of_the_essay_has_its_row() -> None:
    named = set(re.findall(r"`(-?[a-z0-9-]+)`", " ".join(line.split("|")[1] for line in ROWS)))
    named = {f"precision{each}" if each.startswith("-") else each for each in named}
    assert named == {path.stem for path in (ROOT / "scenarios" / "essay").glob("*.yaml")}


def test_what_was_published_of_o3_needs_other_parameters_than_the_claim_says() -> None:
    """2N FLOP a token: 1e21 to 1e22 FLOP for 57e6 tokens."""
    assert pytest.approx(9e12, rel=0.05) == 1e21 / 57e6 / 2
    assert pytest.approx(9e13, rel=0.05) == 1e22 / 57e6 / 2
    assert pytest.approx(1.2e18, rel=0.05) == 1e21 / (13.8 * 60)
    assert pytest.approx(101_000, rel=0.01) == 1e20 / 989.4e12

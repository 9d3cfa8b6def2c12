"""Answers for tests, each asked once, and runs whose numbers can be done by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

from sim.plan.training import Prepared, prepare
from sim.results.answer import Answer
from sim.study.question_scenario import build_scenario
from sim.study.questions import howlong, howmany, howmuch

H100_BF16, H100_FP8 = 989.4e12, 1978.9e12
"""Dense peaks of the catalogue's h100-sxm, in FLOP/s."""
QUESTIONS = {"howlong": howlong, "howmany": howmany, "howmuch": howmuch}


def asked(question: str, *arguments: str, **options: Any) -> Answer:
    """Answer a question, with few seeds; the same question is answered once."""
    return _asked(question, arguments, tuple(sorted({"seeds": 4, **options}.items())))


@cache
def _asked(question: str, arguments: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> Answer:
    answer: Answer = QUESTIONS[question](*arguments, **dict(options))  # type: ignore[operator]
    return answer


def prepared(on: str, budget: str | None = None, **options: Any) -> Prepared:
    """Plan the run of a question."""
    scenario = build_scenario(on, budget, options)
    return prepare(scenario.one_cluster, scenario.training)

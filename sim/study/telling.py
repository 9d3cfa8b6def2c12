"""Put a prediction into an answer: the question it answers, its words, its levers and where it came from."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.results import words
from sim.results.build import Telling, build
from sim.study.levers import levers
from sim.study.predict import LUCK_SEEDS
from sim.study.provenance import provenance
from sim.study.question_scenario import OPTIONS, number_text, scenario_text

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from sim.results.answer import Answer
    from sim.results.thresholds import Threshold
    from sim.spec.scenario import Scenario
    from sim.study.predict import Prediction

LEVER_INTERRUPTIONS = 3000
"""Interruptions that one lever may simulate, over all of its seeds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was put."""

    kind: str
    """howlong, howmany, howmuch or run."""
    budget: str | None
    on: str
    time: str | None
    """The time that howmany and howmuch aim at."""
    options: Mapping[str, object]
    seed: int = 0
    thresholds: tuple[Threshold, ...] = ()
    """Amounts of FLOP that the asker wants to see crossed, besides the named ones."""
    start: dt.date | None = None
    """First day of the run, where the asker wants dates."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as part of the answer's JSON."""
        return {
            "kind": self.kind,
            "budget": self.budget,
            "on": self.on,
            "time": self.time,
            "options": {name: str(value) for name, value in self.options.items()},
            "start": None if self.start is None else str(self.start),
        }


def tell(
    prediction: Prediction, scenario: Scenario, asked: Asked, sentence: str, answer: dict[str, Any], following: str
) -> Answer:
    """Give the answer with everything that belongs beside its sentence."""
    if asked.start is not None:
        answer = {**answer, "dates": words.dates(asked.start, prediction.interval.spread)}
    telling = Telling(
        question=asked.to_dict(),
        sentence=sentence,
        answer=answer,
        levers=levers(prediction.prepared, prediction.outcome.wall_clock_s, scenario.seed, _lever_seeds(prediction)),
        next=(" ".join([following, *_flags(asked, prediction)]),),
        provenance=provenance(scenario),
        thresholds=asked.thresholds,
        scenario_text=_scenario_text(asked, answer, sentence),
    )
    return build(prediction.prepared, prediction.outcome, prediction.interval, telling)


def _flags(asked: Asked, prediction: Prediction) -> list[str]:
    """Write the options of a question as they are typed, for the command that leads on from it."""
    options = dict(asked.options)
    if asked.kind == "howlong" and options.pop("step_time", None) is not None:
        # The next question varies the devices, and with them the step; its utilization stays.
        run, peak = prediction.prepared.run, prediction.prepared.peak_flop_per_s
        options["mfu"] = f"{run.model_flop_per_step / (run.step_s * run.active_devices * peak):.3g}"
    return [
        f"--{name.replace('_', '-')} {shlex.quote(number_text(value, OPTIONS[name].unit))}"
        for name, value in options.items()
    ]


def _lever_seeds(prediction: Prediction) -> int:
    """Give the seeds of each lever, where it has to be simulated: so few that all of them take a second."""
    affordable = int(LEVER_INTERRUPTIONS / max(prediction.outcome.interruptions, 1))
    return min(max(affordable, 1), max(len(prediction.luck), 1), LUCK_SEEDS)


def _scenario_text(asked: Asked, answer: dict[str, Any], sentence: str) -> str:
    """Write the scenario of the answer, with the count or the FLOP that was found; a file needs none."""
    if asked.kind == "run":
        return ""
    on = f"{answer['count']}x{asked.on}" if "count" in answer else asked.on
    budget = f"{answer['flop']['expected']!r} FLOP" if "flop" in answer else asked.budget
    return scenario_text(on, budget, asked.options, seed=asked.seed, comment=sentence)

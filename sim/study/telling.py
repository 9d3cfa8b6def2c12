"""Put a prediction into an answer: the question it answers, its words, its levers and where it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from sim.results.build import Telling, build
from sim.study.levers import levers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.results.answer import Answer
    from sim.results.thresholds import Threshold
    from sim.spec.scenario import Scenario
    from sim.study.predict import Prediction


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
    thresholds: tuple[Threshold, ...] = ()
    """Amounts of FLOP that the asker wants to see crossed, besides the named ones."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as part of the answer's JSON."""
        return {
            "kind": self.kind,
            "budget": self.budget,
            "on": self.on,
            "time": self.time,
            "options": {name: str(value) for name, value in self.options.items()},
        }


def tell(
    prediction: Prediction, scenario: Scenario, asked: Asked, sentence: str, answer: dict[str, Any], following: str
) -> Answer:
    """Give the answer with everything that belongs beside its sentence."""
    telling = Telling(
        question=asked.to_dict(),
        sentence=sentence,
        answer=answer,
        levers=levers(prediction.prepared, prediction.outcome.wall_clock_s),
        next=(following,),
        provenance=provenance(scenario),
        thresholds=asked.thresholds,
    )
    return build(prediction.prepared, prediction.outcome, prediction.interval, telling)


def provenance(scenario: Scenario) -> dict[str, Any]:
    """Say which version answered, from which scenario and seed."""
    try:
        installed = version("flopclock")
    except PackageNotFoundError:
        installed = "not installed"
    canonical = json.dumps(scenario.model_dump(mode="json"), sort_keys=True)
    return {
        "version": installed,
        "seed": scenario.seed,
        "scenario_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }

"""The answer to a question about serving: one content object that the terminal and JSON share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.results.answer import SCHEMA_VERSION, unit
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.plan.resolve import ResolvedCluster
    from sim.plan.services import PlannedService
    from sim.results.assumptions import Assumption
    from sim.results.run_report import Value
    from sim.spec.requests import RequestsSpec


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """What one load gets."""

    concurrency: int | None
    """Requests outstanding at any time; None where they come at a rate."""
    rate_per_s: float | None
    figures: dict[str, Value]
    """By the names that targets use, without that of the service."""

    def shown(self, name: str) -> str:
        """Write a figure as people read it; nothing where there is none."""
        return self.figures[name].shown if name in self.figures else ""

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "concurrency": self.concurrency,
            "rate_per_s": self.rate_per_s,
            "values": {
                name: {"value": each.value, "unit": unit(each.dimension)} for name, each in self.figures.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layout that was looked at, and the fewest replicas of it that meet the limits."""

    layout: str
    replica_devices: int
    replicas: int | None
    """None: no number of them does."""
    reason: str
    """Why one replica less, or any number, does not do."""
    played: bool = True
    """Whether it was simulated; others ask for more devices by their mean iteration alone."""

    @property
    def devices(self) -> int | None:
        """Count the devices of all replicas."""
        return None if self.replicas is None else self.replicas * self.replica_devices


@dataclass(frozen=True, slots=True)
class ServingAnswer:
    """Everything that is said about serving a model on a machine; SI units."""

    question: dict[str, Any]
    sentence: str
    answer: dict[str, Any]
    points: tuple[LoadPoint, ...]
    plan: dict[str, Any]
    assumptions: tuple[Assumption, ...]
    next: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    seed: int = 0
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        planned: PlannedService,
        cluster: ResolvedCluster,
        replicas: int,
        requests: RequestsSpec,
        points: Sequence[LoadPoint],
        seed: int,
        following: str,
        *,
        assumptions: tuple[Assumption, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> ServingAnswer:
        """Answer how fast it is."""
        devices = replicas * planned.plan.devices
        lengths = {"input_tokens": _length(requests.input), "output_tokens": _length(requests.output)}
        return cls(
            question={"kind": "howfast", "model": planned.model.name, "on": cluster.accelerator.name, **lengths},
            sentence=_sentence(planned, cluster, replicas, requests, points),
            answer={"devices": devices, "replicas": replicas, "points": [point.to_dict() for point in points]},
            points=tuple(points),
            plan=plan_row(planned, replicas),
            assumptions=assumptions,
            next=(following,),
            seed=seed,
            notes=notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as plain data that JSON can hold."""
        return {
            "schema_version": SCHEMA_VERSION,
            "question": self.question,
            "sentence": self.sentence,
            "answer": self.answer,
            "plan": self.plan,
            "candidates": [
                {
                    "layout": each.layout,
                    "replica_devices": each.replica_devices,
                    "replicas": each.replicas,
                    "devices": each.devices,
                    "reason": each.reason,
                    "played": each.played,
                }
                for each in self.candidates
            ],
            "assumptions": [row.to_dict(unit(row.dimension)) for row in self.assumptions],
            "notes": list(self.notes),
            "next": list(self.next),
            "provenance": {"seed": self.seed},
        }


def plan_row(planned: PlannedService, replicas: int) -> dict[str, Any]:
    """Describe the replicas as JSON."""
    plan = planned.plan
    return {
        "replicas": replicas,
        "replica_devices": plan.devices,
        "tp": plan.layout.tensor_parallel,
        "pp": plan.layout.pipeline_parallel,
        "ep": plan.layout.expert_parallel,
        "dp_attention": plan.layout.attention_data_parallel,
        "engine": plan.engine,
        "weights": plan.weights,
        "kv": plan.cache,
        "kv_tokens": plan.kv_tokens,
        "token_budget": plan.token_budget,
        "max_sequences": plan.max_sequences,
    }


def layout_told(planned: PlannedService, replicas: int) -> str:
    """Say how the devices are laid out.

    The word for one device is left out: 'one replica, tp4' or '8 replicas'.
    """
    layout = planned.plan.layout
    degrees = (
        ("tp", layout.tensor_parallel),
        ("pp", layout.pipeline_parallel),
        ("ep", layout.expert_parallel),
        ("dp", layout.attention_data_parallel),
    )
    told = " ".join(f"{name}{degree}" for name, degree in degrees if degree > 1)
    many = "one replica" if replicas == 1 else f"{replicas:,} replicas"
    return f"{many}, {told}" if told else many


def lengths_told(requests: RequestsSpec) -> str:
    """Say how long requests are."""
    asked, answered = _length(requests.input), _length(requests.output)
    if isinstance(asked, float) and isinstance(answered, float):
        return f"{asked:,.0f} tokens in and {answered:,.0f} out"
    return "requests of the given lengths"


def _length(distribution: Any) -> float | str:  # noqa: ANN401 - a distribution or, of a trace, nothing
    """Give a fixed length; of a drawn one, its kind."""
    if distribution is None:
        return "trace"
    return float(distribution.values[0]) if distribution.is_fixed else str(distribution.kind)


def _sentence(
    planned: PlannedService,
    cluster: ResolvedCluster,
    replicas: int,
    requests: RequestsSpec,
    points: Sequence[LoadPoint],
) -> str:
    devices = replicas * planned.plan.devices
    subject = f"{planned.model.title} on {devices:,} x {cluster.accelerator.name} ({layout_told(planned, replicas)})"
    first, last = points[0], points[-1]
    price = last.shown("usd_per_output_token")
    cost = f", {price} of output" if price else ""
    if len(points) > 1:
        return (
            f"{subject}, {lengths_told(requests)}: alone, a request has its first token after "
            f"{first.shown('ttft_s.p50')} and then {_per_s(first)}; {last.concurrency:,} at a time get "
            f"{last.shown('output_tokens_per_s')} in all{cost}."
        )
    gap = last.shown("tpot_s.p50")
    further = f", then one every {gap}" if gap else ""
    load = f"{show(last.rate_per_s, 'per_s')}" if last.rate_per_s is not None else f"{last.concurrency:,} at a time"
    return (
        f"{subject}, {load}, {lengths_told(requests)}: first token after {last.shown('ttft_s.p50')} "
        f"(p99 {last.shown('ttft_s.p99')}){further}; "
        f"{last.shown('output_tokens_per_s')} in all{cost}."
    )


def _per_s(point: LoadPoint) -> str:
    tpot = point.figures.get("tpot_s.p50")
    return "no more" if tpot is None or not tpot.value else f"{1 / tpot.value:.3g} a second"

"""What a load test gives by the rules of its kind: static batch, first token, all at once, concurrency, rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.serving_curves import ServingLayout
from sim.errors import InfeasibleError
from sim.plan.serving import Changes, ranks_of, replica_plan
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.quantity import Sourced
from sim.validate.rows import MissingError
from sim.validate.serving_flow import GOLDEN, SILVER, Load, even_lengths, replay
from sim.validate.serving_names import serving_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.plan.serving import ReplicaPlan
    from sim.spec.engine_profile import EngineProfile
    from sim.spec.hardware import Accelerator
    from sim.validate.serving_rows import LoadTest, ServingRow

ROUNDS = 10
"""Requests of a test at a fixed concurrency, as multiples of it: num_prompts of the InferenceX benchmark."""
MOST_REQUESTS = 4000
"""Requests of a replica after which its throughput changes no more."""
SEARCHED = 2000
"""Requests of a device that a layout is searched with."""
WIDEST = 8
"""Devices of a tensor group at most, in a search."""
BUSY = 16
"""Concurrent requests from which the harness lets a scheduler look for new ones less often (InferenceX scripts)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is predicted of a load test, over all its devices; none where the test has no such thing."""

    kind: str
    layout: ServingLayout
    layout_given: bool
    time_to_first_s: float | None = None
    time_per_token_s: float | None = None
    end_to_end_s: float | None = None
    output_tokens_per_s: float | None = None
    total_tokens_per_s: float | None = None
    requests_per_s: float | None = None
    prompt_tokens_per_s: float | None = None


def metric_of(row: ServingRow, outcome: Outcome) -> float:
    """Give the metric of a row in its own unit.

    Raises:
        MissingError: the kind of test has no such metric.

    """
    found = {
        "ttft_ms": _scaled(outcome.time_to_first_s, 1e3),
        "tpot_ms": _scaled(outcome.time_per_token_s, 1e3),
        "itl_ms": _scaled(outcome.time_per_token_s, 1e3),
        "e2e_s": outcome.end_to_end_s,
        "output_tokens_per_s": outcome.output_tokens_per_s,
        "total_tokens_per_s": outcome.total_tokens_per_s,
        "requests_per_s": outcome.requests_per_s,
        "prefill_tokens_per_s": outcome.prompt_tokens_per_s,
    }[row.metric]
    if found is None:
        raise MissingError(f"a test of kind {outcome.kind} has no {row.metric}")
    return found / row.test.gpus if row.per_gpu and row.metric.endswith("_per_s") else found


@lru_cache(maxsize=8192)
def outcome_of(test: LoadTest) -> Outcome:
    """Predict a load test.

    Raises:
        MissingError: the row states no layout that can be read.
        SimError: the model does not fit, or the chip cannot compute in the format.

    """
    layout, kind = layout_of(test), kind_of(test)
    many = kind in ("maximum throughput", "request rate")
    plan = fastest_plan(test) if layout is None and many else plan_of(test, layout)
    blank = Outcome(kind, plan.layout, layout is not None)
    replicas = max(test.gpus // plan.devices, 1)
    if kind in ("first token", "static batch"):
        return _static(test, plan, blank, replicas)
    if kind == "single stream":
        return _single(test, plan, blank)
    return _loaded(test, plan, blank, replicas)


def kind_of(test: LoadTest) -> str:
    """Tell by which rules a test is predicted."""
    if test.output == 1 and test.concurrency is not None:
        return "first token"
    if test.input == 0 or test.output == 0:
        return "single stream"
    if test.concurrency is not None and catalog.load("engines", test.profile).batching == "static":
        return "static batch"
    if test.concurrency is not None:
        return "fixed concurrency"
    return "maximum throughput" if test.rate_per_s == math.inf else "request rate"


def layout_of(test: LoadTest) -> ServingLayout | None:
    """Read a layout; none where the row states nothing on several devices.

    Tables count data-parallel attention in different ways: beside the tensor-parallel degree, or in its place.
    """
    model = catalog.load("models", test.model)
    if test.tensor is None and test.data is None and test.pipeline is None and test.gpus > 1:
        return None
    tensor, stages, data = test.tensor or 1, test.pipeline or 1, test.data or 1
    if model.experts is None:
        return ServingLayout(tensor, stages)
    if test.attention_data_parallel and data == 1:
        tensor, data = 1, tensor
    if data > 1 and tensor * stages * data > test.gpus:
        tensor = max(test.gpus // (stages * data), 1)
    width = tensor * data
    experts = test.experts or (width if data > 1 else 1)
    if data > 1 and experts == 1:
        experts = width
    return ServingLayout(tensor, stages, math.gcd(min(experts, width), width), data)


def plan_of(test: LoadTest, layout: ServingLayout | None) -> ReplicaPlan:
    """Plan one replica of a test."""
    stated = test.settings
    ranks = 1 if layout is None else ranks_of(catalog.load("engines", test.profile), layout)
    budget = stated.token_budget if stated.budget_prompts is None else stated.budget_prompts * test.input
    changes = Changes(
        token_budget=budget and budget * ranks,
        max_sequences=stated.max_sequences and stated.max_sequences * ranks,
        memory_fraction=stated.memory_fraction,
    )
    return _plan(test.model, test.gpu, test.gpus, test.profile, test.weights, test.cache, layout, changes)


def fastest_plan(test: LoadTest) -> ReplicaPlan:
    """Plan a replica in the layout that answers the most requests a second when all are queued at once.

    Who shows a throughput and states no layout has tuned it.
    """
    return _fastest(replace(test, rate_per_s=math.inf, concurrency=None, requests=SEARCHED))


@lru_cache(maxsize=1024)
def _fastest(test: LoadTest) -> ReplicaPlan:
    smallest = plan_of(test, None)
    best, most = smallest, 0.0
    for layout in _candidates(smallest, test):
        try:
            plan = plan_of(test, layout)
            found = _loaded(test, plan, Outcome("", layout, layout_given=False), max(test.gpus // layout.devices, 1))
            rate = found.requests_per_s
        except InfeasibleError:
            continue
        if rate is not None and rate > most:
            best, most = plan, rate
    return best


def _candidates(smallest: ReplicaPlan, test: LoadTest) -> Iterator[ServingLayout]:
    """List layouts from the smallest on: wider tensor groups, and attention of one device each beside experts."""
    first, model = smallest.layout, smallest.model
    stages = first.pipeline_parallel
    tensor = first.tensor_parallel
    while tensor * stages <= test.gpus and tensor <= WIDEST and model.heads % tensor == 0:
        yield ServingLayout(tensor, stages, tensor if model.experts is not None else 1)
        if model.experts is not None and tensor > 1:
            yield ServingLayout(1, stages, tensor, tensor)
        tensor *= 2


@lru_cache(maxsize=1024)
def _plan(
    model: str,
    gpu: str,
    gpus: int,
    profile: str,
    weights: str,
    cache: str,
    layout: ServingLayout | None,
    changes: Changes,
) -> ReplicaPlan:
    accelerator = _accelerator(gpu)
    devices = layout.devices if layout is not None else gpus
    cluster = ClusterSpec(accelerator=accelerator, count=max(devices, gpus))
    return replica_plan(
        catalog.load("models", model), cluster, profile, layout=layout, weights=weights, cache=cache, changes=changes
    )


def _accelerator(gpu: str) -> Accelerator:
    chip = serving_names().chip(gpu)
    assert chip is not None, "rows of unknown chips are refused before"
    entry = catalog.load("accelerators", chip.accelerator)
    if chip.memory is None:
        return entry
    stated = Sourced(value=chip.memory, dimension="byte", source="the name in the table", status="given")
    return entry.model_copy(update={"memory_bytes": stated})


def _static(test: LoadTest, plan: ReplicaPlan, blank: Outcome, replicas: int) -> Outcome:
    """All sequences of a batch start together and end together; the prompts are one iteration."""
    assert test.concurrency is not None
    size, prompt, output = max(test.concurrency // replicas, 1), test.input, test.output
    first_s = plan.cost.mixed_s(0, 0, size * prompt, size * prompt * (prompt + 1) // 2, size)
    if output <= 1:
        return replace(blank, time_to_first_s=first_s)
    contexts = size * (prompt + np.arange(1, output, dtype=np.int64))
    whole_s = first_s + float(np.sum(plan.cost.decode_s(size, contexts)))
    rate = replicas * size / whole_s
    return replace(
        blank,
        time_to_first_s=first_s,
        time_per_token_s=(whole_s - first_s) / (output - 1),
        end_to_end_s=whole_s,
        output_tokens_per_s=rate * output,
        total_tokens_per_s=rate * (prompt + output),
        requests_per_s=rate,
    )


def _single(test: LoadTest, plan: ReplicaPlan, blank: Outcome) -> Outcome:
    """One sequence alone: a prompt in chunks of the token budget, or tokens from an empty cache."""
    if test.output == 0:
        seconds, done = 0.0, 0
        while done < test.input:
            size = min(plan.token_budget, test.input - done)
            seconds += plan.cost.mixed_s(0, 0, size, size * done + size * (size + 1) // 2, 1)
            done += size
        return replace(blank, prompt_tokens_per_s=test.input / seconds, time_to_first_s=seconds)
    steps_s = plan.cost.decode_s(1, np.arange(1, test.output + 1, dtype=np.int64))
    rate = test.output / float(np.sum(steps_s))
    return replace(blank, output_tokens_per_s=rate, time_per_token_s=1.0 / rate)


def _loaded(test: LoadTest, plan: ReplicaPlan, blank: Outcome, replicas: int) -> Outcome:
    """Many requests, replayed on one of the replicas, which share them evenly."""
    profile = catalog.load("engines", test.profile)
    load = _load(test, profile, replicas)
    result = replace(replay(plan, load), median=test.median)
    span_s = result.span_s
    prompts, outputs = sum(load.prompts), sum(load.outputs)
    return replace(
        blank,
        time_to_first_s=result.time_to_first_s,
        time_per_token_s=result.time_per_token_s,
        end_to_end_s=result.end_to_end_s,
        output_tokens_per_s=replicas * outputs / span_s,
        total_tokens_per_s=replicas * (prompts + outputs) / span_s,
        requests_per_s=replicas * len(load.prompts) / span_s,
        prompt_tokens_per_s=replicas * prompts / span_s,
    )


def _load(test: LoadTest, profile: EngineProfile, replicas: int) -> Load:
    arrivals: list[float] | None = None
    if test.concurrency is not None:
        together = max(test.concurrency // replicas, 1)
        count = ROUNDS * together
    else:
        count = max(min(test.requests // replicas, MOST_REQUESTS), 1)
        together = count
    if test.concurrency is None and test.rate_per_s not in (None, math.inf):
        assert test.rate_per_s is not None
        places = (np.arange(1, count + 1) * GOLDEN) % 1.0
        gaps = -np.log1p(-places) * replicas / test.rate_per_s
        arrivals = np.cumsum(gaps).tolist()
    queued = arrivals is None and test.concurrency is None
    return Load(
        prompts=even_lengths(count, test.input, test.shortest_share, GOLDEN),
        outputs=even_lengths(count, test.output, test.shortest_share, SILVER),
        concurrency=together,
        arrivals_s=arrivals,
        client_s=0.0 if queued else profile.client_s.value,
        lookahead=profile.lookahead and not queued,
        beams=test.beams,
        receive_steps=test.settings.receive_steps[together >= BUSY],
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor

"""How fast a model is served on a machine: latency, throughput and cost at one load or at several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import UsageError
from sim.results.serving import values
from sim.results.serving_answer import LoadPoint, ServingAnswer
from sim.spec.arrivals import ArrivalsSpec, ClosedLoop
from sim.study.serving_question import SERVICE, ask, assumed, grows, one_request_s, play_load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.spec.requests import RequestsSpec
    from sim.study.serving_question import Asked

CONCURRENCIES = (1, 4, 16, 64, 256)
"""Loads that are shown where none is asked for."""
LEAST_REQUESTS, MOST_REQUESTS = 200, 20_000
"""Requests of one run."""
LEAST_OPEN = 1000
"""Requests of a run at a rate: its 99th percentile hangs on few of them."""
WAVES = 4
"""Times that each of the concurrent places is answered, after one round that is not measured."""
OVERLOADED = (
    "More requests come than are answered: they wait longer and longer, so the times are those of this run alone."
)
ROUNDS = 20
"""Length of an open run in times of a request that is alone, a tenth of it before measuring."""


def howfast(
    model: str,
    on: str,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    seed: int = 0,
    flags: bool = False,
    options: Mapping[str, str] | None = None,
) -> ServingAnswer:
    """Answer how fast a model is served.

    Args:
        model: of the catalogue, or hf:path.
        on: COUNTxACCELERATOR, a cluster, or an accelerator alone: then one replica of as many devices as it needs.
        concurrency: requests outstanding at any time; several loads are shown where neither this nor a rate is given.
        rate: requests per time, such as '5/s', in a Poisson process.
        seed: draws the arrivals.
        flags: whether errors name command-line flags.
        options: see ``sim.study.serving_question.OPTIONS``.

    Raises:
        InfeasibleError: the model does not fit.
        SimError: the question is wrong.

    """
    if concurrency is not None and rate is not None:
        raise UsageError("a load is a concurrency or a rate", f"{concurrency} and {rate}", mend="give one of them")
    asked = ask(model, on, options or {}, rate=rate, flags=flags)
    alone_s, notes = one_request_s(asked, seed), list[str]()
    if rate is not None:
        points = [_point(asked, None, _open(asked, alone_s), seed, notes)]
    else:
        room = asked.planned.plan.max_sequences * asked.replicas
        wanted = [concurrency] if concurrency is not None else [each for each in CONCURRENCIES if each <= room]
        points = [_point(asked, each, _closed(asked, each, seed), seed, notes) for each in wanted]
    return ServingAnswer.of(
        asked.planned,
        asked.cluster,
        asked.replicas,
        asked.requests,
        points,
        seed,
        _next(asked),
        assumptions=assumed(asked),
        notes=tuple(notes),
    )


def _closed(asked: Asked, users: int, seed: int) -> RequestsSpec:
    """Let so many users come back at once; their first round is not measured."""
    arrivals = ArrivalsSpec(closed=ClosedLoop(users=users))
    once = asked.requests.model_copy(update={"arrivals": ArrivalsSpec(at_once=users), "duration": None})
    first_round = play_load(asked, asked.replicas, once, seed).fold.whole
    _, (first_answer_s,) = first_round.e2e.describe((0.0,))
    warm_up_s = first_answer_s * (1 - 1e-9)
    # Whole rounds: a last round of few would hold up the end of the run.
    rounds = max(min(max(WAVES + 1, -(-LEAST_REQUESTS // users)), MOST_REQUESTS // users), 2)
    count = rounds * users
    return asked.requests.model_copy(update={"arrivals": arrivals, "count": count, "warm_up": warm_up_s})


def _open(asked: Asked, alone_s: float) -> RequestsSpec:
    """Let requests come at their rate for some times of a request that is alone."""
    arrivals = asked.requests.arrivals
    assert arrivals is not None
    assert arrivals.rate_per_s is not None
    count = min(max(round(ROUNDS * alone_s * arrivals.rate_per_s), LEAST_OPEN), MOST_REQUESTS)
    warm_up_s = 0.1 * count / arrivals.rate_per_s
    return asked.requests.model_copy(update={"count": count, "warm_up": warm_up_s})


def _point(asked: Asked, concurrency: int | None, requests: RequestsSpec, seed: int, notes: list[str]) -> LoadPoint:
    served = play_load(asked, asked.replicas, requests, seed)
    rate = None if concurrency is not None or requests.arrivals is None else requests.arrivals.rate_per_s
    if concurrency is None and grows(served):
        notes.append(OVERLOADED)
    figures = {name.removeprefix(f"{SERVICE}."): value for name, value in values(served).items()}
    return LoadPoint(concurrency, rate, figures)


def _next(asked: Asked) -> str:
    where = asked.cluster.accelerator.name
    return f"sim howmany --serve {asked.model} --rate 10/s --ttft-p99 1s --tpot-p99 50ms {where}"

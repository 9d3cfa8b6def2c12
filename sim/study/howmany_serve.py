"""How many devices serve a rate of requests within limits: replicas by bisection over simulations, layout by layout.

Layouts come in the order of the devices that their mean iteration asks for (sim.study.serving_layouts); those that ask
for clearly more than the best one found so far are not played.

The bisection takes for granted that a service which meets its limits meets them with more replicas too.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

from sim import units
from sim.errors import InfeasibleError, UnitError, UsageError
from sim.results.serving import values
from sim.results.serving_answer import Candidate, LoadPoint, ServingAnswer, layout_told, lengths_told, plan_row
from sim.spec.arrivals import ArrivalsSpec
from sim.study.question_scenario import is_cluster
from sim.study.serving_layouts import screened
from sim.study.serving_question import SERVICE, Asked, ask, assumed, grows, one_request_s, play_load
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.results.run_report import Value
    from sim.results.serving import Served
    from sim.spec.requests import RequestsSpec

LIMITS: dict[str, str] = {"ttft_p99": "ttft_s.p99", "tpot_p99": "tpot_s.p99", "e2e_p99": "e2e_s.p99"}
"""Limits of the question, by name: the figure that each holds down."""
SIMULATED = 8
"""Replicas of a fleet that are played; a larger fleet is played as so many with their share of the rate."""
MOST_REPLICAS = 2**20
LEAST_REQUESTS, MOST_REQUESTS = 1000, 8000
ROUNDS = 20
"""Length of a run in times of a request that is alone; a fifth of it is not measured."""
SATURATING = 512
"""Requests that come at once to see what a replica can do at most."""
OVERLOADED = 0.5
"""Share of the replicas that saturation asks for, below which nothing is played: they would fall behind for ever."""
MARGIN = 0.9
"""Share of the devices that a mean iteration asks for, below which a layout is played although it seems no better."""
NEAREST = 3
"""Layouts that are played, and named in the error, where no layout meets the limits."""
STEP = 1.5
"""Growth of the number of replicas while they are too few."""


def howmany_serve(
    model: str,
    on: str,
    *,
    rate: str,
    limits: Mapping[str, str],
    seed: int = 0,
    flags: bool = False,
    options: Mapping[str, str] | None = None,
) -> ServingAnswer:
    """Answer how many devices serve a rate within limits: the fewest over all layouts, and why not fewer.

    Args:
        model: of the catalogue, or hf:path.
        on: an accelerator of the catalogue.
        rate: requests per time, such as '100/s', in a Poisson process.
        limits: longest times by the names of `LIMITS`, as people type them.
        seed: draws the arrivals.
        flags: whether errors name command-line flags.
        options: see ``sim.study.serving_question.OPTIONS``; degrees that are given are not searched.

    Raises:
        InfeasibleError: no number of devices meets the limits; names the nearest.
        SimError: the question is wrong.

    """
    if is_cluster(on):
        mend = "name the accelerator alone, as in h100-sxm"
        raise UsageError("howmany looks for the count", on, "the accelerator of the question", mend)
    held = _limits(limits, flags=flags)
    asked = ask(model, on, options or {}, rate=rate, flags=flags)
    assert asked.requests.arrivals is not None
    rate_per_s = asked.requests.arrivals.rate_per_s
    assert rate_per_s is not None
    candidates: list[Candidate] = []
    best: _Found | None = None
    for each in screened(asked, held, rate_per_s):
        least = each.devices(rate_per_s)
        hopeless = math.isinf(least) and len(candidates) >= NEAREST
        if hopeless or (best is not None and least * MARGIN >= best.devices):
            found = _Found(each.asked, None, _told_by_mean(least), played=False)
        else:
            found = _Search(each.asked, rate_per_s, held, seed).fewest(None if best is None else best.devices)
        candidates.append(found.candidate)
        if found.replicas is not None and (best is None or found.devices < best.devices):
            best = found
    if best is None:
        raise _impossible(asked, candidates, held)
    return _answer(best, candidates, rate_per_s, held, seed)


class _Found:
    """The fewest replicas of one layout."""

    def __init__(
        self, asked: Asked, replicas: int | None, reason: str, served: Served | None = None, *, played: bool = True
    ) -> None:
        self.asked, self.replicas, self.reason, self.served, self.played = asked, replicas, reason, served, played

    @property
    def devices(self) -> int:
        assert self.replicas is not None
        return self.replicas * self.asked.planned.plan.devices

    @property
    def candidate(self) -> Candidate:
        told = layout_told(self.asked.planned, 1).removeprefix("one replica").lstrip(", ") or "1 device"
        return Candidate(told, self.asked.planned.plan.devices, self.replicas, self.reason, self.played)


class _Search:
    """Looks for the fewest replicas of one layout."""

    def __init__(self, asked: Asked, rate_per_s: float, limits: Mapping[str, float], seed: int) -> None:
        self.asked, self.rate_per_s, self.limits, self.seed = asked, rate_per_s, limits, seed
        self.alone_s = one_request_s(asked, seed)
        self.play: Callable[[int], Served] = cache(self._play)
        self.broken: Callable[[int], str] = cache(self._broken)

    def fewest(self, beat_devices: int | None) -> _Found:
        """Find them; with devices to beat, only where fewer do."""
        each = self.asked.planned.plan.devices
        idle = self._judge(play_load(self.asked, 1, self._load(0.01 / self.alone_s, 20), self.seed), alone=True)
        if idle:
            return _Found(self.asked, None, f"a request that is alone: {idle}")
        most = MOST_REPLICAS if beat_devices is None else (beat_devices - 1) // each
        if most < 1:
            return _Found(self.asked, None, "one replica takes no fewer devices than the best")
        enough = self.rate_per_s / self._saturated_per_s()
        if most < OVERLOADED * enough:
            reason = f"{_many(most)}: {show(most * self.rate_per_s / enough, 'per_s')} at most, however long they wait"
            return _Found(self.asked, None, reason)
        low, high = int(OVERLOADED * enough), min(max(math.ceil(enough), 1), most)
        while self.broken(high):
            low = high
            if high >= most:
                return _Found(self.asked, None, f"{_many(high)}: {self.broken(high)}")
            high = min(math.ceil(high * STEP) + 1, most)
        while True:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self.broken(middle) else (low, middle)
            if not low or self.broken(low):
                break
            low, high = low // 2, low  # the bound from saturation, where nothing was played yet, was too high
        reason = f"{_many(low)}: {self.broken(low)}" if low else ""
        return _Found(self.asked, high, reason, self.play(high))

    def _saturated_per_s(self) -> float:
        """Give the requests per second of one replica whose queue never empties."""
        count = min(self.asked.planned.plan.max_sequences, SATURATING)
        once = self.asked.requests.model_copy(update={"arrivals": ArrivalsSpec(at_once=count), "duration": None})
        whole = play_load(self.asked, 1, once, self.seed).fold.whole
        return whole.finished / whole.span_s

    def _play(self, replicas: int) -> Served:
        played = min(replicas, SIMULATED)
        share = self.rate_per_s * played / replicas
        count = min(max(round(ROUNDS * self.alone_s * share), LEAST_REQUESTS), MOST_REQUESTS)
        return play_load(self.asked, played, self._load(share, count), self.seed)

    def _load(self, rate_per_s: float, count: int) -> RequestsSpec:
        arrivals = ArrivalsSpec(poisson=rate_per_s)
        update = {"arrivals": arrivals, "count": count, "warm_up": 0.2 * count / rate_per_s}
        return self.asked.requests.model_copy(update=update)

    def _broken(self, replicas: int) -> str:
        return self._judge(self.play(replicas))

    def _judge(self, served: Served, *, alone: bool = False) -> str:
        """Say which limits are broken; nothing where all are met and every request is answered."""
        figures, whole = values(served), served.fold.whole
        told = []
        if whole.finished < whole.measured:
            told.append(f"{whole.measured - whole.finished:,} of {whole.measured:,} requests are not answered")
        for name, limit_s in self.limits.items():
            found = figures.get(f"{SERVICE}.{LIMITS[name]}")
            if found is not None and found.value > limit_s:
                told.append(f"{_noun(name)} {found.shown}, limit {show(limit_s, 'second')}")
        if not told and not alone and grows(served):
            told.append("requests wait longer and longer")
        return " and ".join(told)


def _told_by_mean(devices: float) -> str:
    if math.isinf(devices):
        return "no batch has a mean iteration within the limits"
    return f"its mean iteration asks for {devices:,.0f} devices"


def _many(replicas: int) -> str:
    return "one replica" if replicas == 1 else f"{replicas:,} replicas"


def _limits(limits: Mapping[str, str], *, flags: bool) -> dict[str, float]:
    """Read the limits.

    Raises:
        UsageError: none is given, or one cannot be read.

    """
    if not limits:
        mend = "--ttft-p99 500ms --tpot-p99 30ms" if flags else "limits={'ttft_p99': '500 ms'}"
        raise UsageError("howmany for serving needs a limit that the service has to meet", mend=mend)
    found = {}
    for name, text in limits.items():
        where = f"--{name.replace('_', '-')}" if flags else name
        try:
            found[name] = units.parse(text, "second")
        except UnitError as error:
            raise UsageError(error.rule, error.value, where, error.mend) from None
        if found[name] <= 0:
            raise UsageError("a limit is more than zero", text, where, "write it like '500 ms'")
    return found


def _noun(limit: str) -> str:
    return {"ttft_p99": "TTFT p99", "tpot_p99": "TPOT p99", "e2e_p99": "end to end p99"}[limit]


def _impossible(asked: Asked, candidates: list[Candidate], limits: Mapping[str, float]) -> InfeasibleError:
    wanted = " and ".join(f"{_noun(name)} {show(limit, 'second')}" for name, limit in limits.items())
    nearest = "; ".join(f"{each.layout}: {each.reason}" for each in candidates[:NEAREST])
    return InfeasibleError(
        f"no number of {asked.cluster.accelerator.name} serves {asked.planned.model.name} within these limits",
        value=wanted,
        where="the limits of the question",
        mend=f"the nearest: {nearest}; looser limits, narrower weights (--precision fp8), or a faster chip",
    )


def _answer(
    best: _Found, candidates: list[Candidate], rate_per_s: float, limits: Mapping[str, float], seed: int
) -> ServingAnswer:
    asked, served, replicas = best.asked, best.served, best.replicas
    assert served is not None
    assert replicas is not None
    figures: dict[str, Value] = {name.removeprefix(f"{SERVICE}."): value for name, value in values(served).items()}
    point = LoadPoint(None, rate_per_s, figures)
    met = " and ".join(f"{_noun(name)} {point.shown(LIMITS[name])}" for name in limits)
    price = point.shown("usd_per_output_token")
    chip, model = asked.cluster.accelerator.name, asked.planned.model
    sentence = (
        f"{best.devices:,} x {chip} ({layout_told(asked.planned, replicas)}) serve {show(rate_per_s, 'per_s')} of "
        f"{model.title}, {lengths_told(asked.requests)}: {met}{f', {price} of output' if price else ''}."
    )
    if best.reason:
        sentence += f" {best.reason[0].upper()}{best.reason[1:]}."
    notes: tuple[str, ...] = ()
    if replicas > SIMULATED:
        notes = (f"{replicas:,} replicas were played as {SIMULATED} with their share of the requests.",)
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in asked.options.items())
    following = f"sim howfast {asked.model} {best.devices}x{chip} --rate {show(rate_per_s, 'per_s')} {flags}"
    return ServingAnswer(
        question={
            "kind": "howmany",
            "model": model.name,
            "on": chip,
            "rate_per_s": rate_per_s,
            "limits_s": dict(limits),
        },
        sentence=sentence,
        answer={
            "count": best.devices,
            "replicas": replicas,
            "replica_devices": asked.planned.plan.devices,
            "points": [point.to_dict()],
        },
        points=(point,),
        plan=plan_row(asked.planned, replicas),
        assumptions=assumed(asked),
        next=(following.strip(),),
        candidates=tuple(candidates),
        seed=seed,
        notes=notes,
    )

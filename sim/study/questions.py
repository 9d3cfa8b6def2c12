"""The three questions: how long, how many, how much. One model answers all of them, so they agree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim import units
from sim.errors import InfeasibleError, SimError, UsageError
from sim.plan.resolve import resolve_cluster
from sim.results import words
from sim.spec.scenario import ClusterSpec, Scenario
from sim.spec.workload import Budget, TrainingSpec
from sim.study.ask import build_scenario
from sim.study.predict import LUCK_SEEDS, Prediction, expected_s, predict, spread
from sim.study.telling import Asked, tell

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from sim.results.answer import Answer
    from sim.results.spread import Spread
    from sim.results.thresholds import Threshold

MOST_DEVICES = 10**9
"""Largest cluster that howmany looks at."""
CONVERGED = 1e-12
ROUNDS = 60


def howlong(
    flop: float | str | None = None,
    on: str = "",
    *,
    seeds: int = LUCK_SEEDS,
    seed: int = 0,
    thresholds: tuple[Threshold, ...] = (),
    start: dt.date | None = None,
    flags: bool = False,
    **options: object,
) -> Answer:
    """Answer how long a training run takes.

    Args:
        flop: model FLOP of the run, as a number or with its unit ('1e26 FLOP', '15.6e12 tokens'); may be left out
            where ``tokens`` and a model say it.
        on: COUNTxACCELERATOR or a cluster of the catalogue.
        seeds: simulated runs whose spread is the luck of the answer.
        seed: the first of them.
        thresholds: amounts of FLOP to watch, besides the named ones.
        start: first day of the run, for dates.
        flags: whether errors name command-line flags.
        options: see ``sim.study.ask.OPTIONS``; plain numbers are SI.

    Raises:
        SimError: the question is wrong, the model does not fit, or the run never ends.

    """
    asked = Asked("howlong", _budget(flop), on, None, options, seed, thresholds, start)
    scenario = _scenario(asked, flags=flags)
    prediction = predict(scenario, seeds)
    sentence = words.how_long(prediction.prepared, prediction.interval.spread)
    return tell(prediction, scenario, asked, sentence, {}, words.next_howmany(prediction.prepared))


def howmany(
    flop: float | str | None = None,
    time: float | str = "",
    on: str = "",
    *,
    seeds: int = LUCK_SEEDS,
    seed: int = 0,
    thresholds: tuple[Threshold, ...] = (),
    start: dt.date | None = None,
    flags: bool = False,
    **options: object,
) -> Answer:
    """Answer how many accelerators finish a training run in time: the fewest whole nodes whose expected time fits.

    Args:
        flop: as in ``howlong``.
        time: the time to finish in, in s or with its unit ('90 d').
        on: an accelerator of the catalogue.
        seeds: as in ``howlong``.
        seed: as in ``howlong``.
        thresholds: as in ``howlong``.
        start: as in ``howlong``.
        flags: as in ``howlong``.
        options: as in ``howlong``.

    Raises:
        InfeasibleError: no number of devices is fast enough; names the fastest.
        SimError: the question is wrong.

    """
    target_s = _time(time)
    asked = Asked("howmany", _budget(flop), on, str(time), options, seed, thresholds, start)
    scenario = _scenario(asked, flags=flags, on=f"{MOST_DEVICES}x{on}")
    cluster, training = _cluster(scenario), scenario.training
    resolved = resolve_cluster(cluster)
    node = resolved.devices_per_node

    def seconds(nodes: int) -> float:
        try:
            return expected_s(cluster.model_copy(update={"count": nodes * node}), training, seed)
        except InfeasibleError:
            return math.inf

    least = cluster.spares + 1
    nodes = fewest(seconds, target_s, least, MOST_DEVICES // node)
    if nodes is None:
        raise _too_slow(seconds, target_s, least, node, on)
    counted = cluster.model_copy(update={"count": nodes * node})
    answered = scenario.model_copy(update={"cluster": counted})
    prediction = predict(answered, seeds)
    spread_s = prediction.interval.spread
    sentence = words.how_many(prediction.prepared, spread_s, target_s)
    answer = {"count": nodes * node, "nodes": nodes, "target_s": target_s}
    return tell(prediction, answered, asked, sentence, answer, words.next_howlong(prediction.prepared, asked.budget))


def howmuch(
    time: float | str = "",
    on: str = "",
    *,
    seeds: int = LUCK_SEEDS,
    seed: int = 0,
    thresholds: tuple[Threshold, ...] = (),
    start: dt.date | None = None,
    flags: bool = False,
    **options: object,
) -> Answer:
    """Answer how much training fits into a time: the most model FLOP whose expected time is not longer.

    Args:
        time: in s or with its unit ('90 d').
        on: as in ``howlong``.
        seeds: as in ``howlong``.
        seed: as in ``howlong``.
        thresholds: as in ``howlong``.
        start: as in ``howlong``.
        flags: as in ``howlong``.
        options: as in ``howlong``.

    Raises:
        SimError: the question is wrong, or no amount of training ends.

    """
    target_s = _time(time)
    asked = Asked("howmuch", None, on, str(time), options, seed, thresholds, start)
    scenario = _scenario(asked, flags=flags, budget="1e21 FLOP")
    resolved = resolve_cluster(scenario.cluster)
    training = scenario.training

    def with_flop(flop: float) -> TrainingSpec:
        return training.model_copy(update={"budget": Budget(flop=flop)})

    peak = max(number.value for number in resolved.accelerator.peak_flop_per_s.values())
    most = target_s * resolved.spec.count * peak
    unfit: list[InfeasibleError] = []

    def seconds(amount: float) -> float:
        try:
            return expected_s(scenario.cluster, with_flop(amount), seed)
        except InfeasibleError as error:  # a larger budget buys a larger model, which may not fit
            unfit.append(error)
            return math.inf

    flop = largest(seconds, target_s, most)
    if not flop:
        raise unfit[-1]
    workload = scenario.workloads[0].model_copy(update={"training": with_flop(flop)})
    answered = scenario.model_copy(update={"workloads": (workload,)})
    prediction = predict(answered, seeds)
    inverse = _inverse_spread(prediction, flop)
    sentence = words.how_much(prediction.prepared, inverse, target_s)
    answer = {"flop": inverse.to_dict(), "target_s": target_s}
    return tell(prediction, answered, asked, sentence, answer, words.next_howlong(prediction.prepared, f"{flop:.4g}"))


def fewest(seconds: Callable[[int], float], target_s: float, least: int, most: int) -> int | None:
    """Find the smallest whole number whose time meets a target, for a time that does not rise with it.

    >>> fewest(lambda nodes: 100 / nodes, 10.0, 1, 1000)
    10
    """
    high, best_s, idle = least, math.inf, 0
    while True:
        high_s = seconds(high)
        if high_s <= target_s:
            break
        idle = 0 if high_s < best_s or math.isinf(high_s) else idle + 1
        best_s = min(best_s, high_s)
        if high >= most or idle >= PATIENCE:
            return None
        high = min(2 * high, most)
    low = high // 2 if high > least else least - 1
    while high - low > 1:
        middle = (low + high) // 2
        if seconds(middle) <= target_s:
            high = middle
        else:
            low = middle
    return high


PATIENCE = 4
"""Doublings without any gain after which more devices are not expected to help."""


def largest(seconds: Callable[[float], float], target_s: float, most: float) -> float:
    """Find the largest amount whose time is not longer than a target.

    Time is nearly proportional to the amount, so the amount is scaled to the target again and again; where the model
    changes its shape in between and no amount hits the target, the bracket is halved.

    >>> largest(lambda amount: 2 * amount, 10.0, 1e6)
    5.0
    """
    low, high, amount = 0.0, most, most / 3
    for _ in range(ROUNDS):
        found_s = seconds(amount)
        if found_s <= target_s:
            low = max(low, amount)
        else:
            high = min(high, amount)
        if abs(found_s / target_s - 1) <= CONVERGED or high - low <= CONVERGED * high:
            return amount if found_s <= target_s * (1 + CONVERGED) else low
        scaled = amount * target_s / found_s
        amount = scaled if low < scaled < high else _between(low, high)
    return low


def _between(low: float, high: float) -> float:
    """Halve a bracket; from zero up in large steps, since a budget that fits may be far below one that does not."""
    return (low + high) / 2 if low else high / 16


def _inverse_spread(prediction: Prediction, flop: float) -> Spread:
    """Give the spread of what a fixed time buys: slow runs buy less."""
    wide = spread(prediction.prepared, prediction.outcome, prediction.recordings, inverse=True).spread
    return wide.scaled(flop / wide.expected)


def _scenario(asked: Asked, *, flags: bool, on: str | None = None, budget: str | None = None) -> Scenario:
    return build_scenario(on or asked.on, budget or asked.budget, asked.options, seed=asked.seed, flags=flags)


def _cluster(scenario: Scenario) -> ClusterSpec:
    assert isinstance(scenario.cluster, ClusterSpec)
    return scenario.cluster


def _budget(flop: float | str | None) -> str | None:
    return f"{flop!r} FLOP" if isinstance(flop, (int, float)) else flop


def _time(time: float | str) -> float:
    """Read the target of a question.

    Raises:
        UsageError: it is not a time above zero.

    """
    if isinstance(time, (int, float)):
        seconds = float(time)
    else:
        try:
            seconds = units.parse(time, "second")
        except SimError as error:
            raise UsageError(error.rule, error.value, "the time of the question", error.mend) from None
    if not 0 < seconds < math.inf:
        raise UsageError("a time must be more than zero", str(time), "the time of the question", "write it like '90 d'")
    return seconds


def _too_slow(seconds: Callable[[int], float], target_s: float, least: int, node: int, on: str) -> InfeasibleError:
    """Say how fast it gets at most, and with how many devices."""
    times = []
    nodes = least
    while nodes * node <= MOST_DEVICES:
        times.append((seconds(nodes), nodes))
        nodes *= 2
    fastest_s, at = min(times)
    if math.isinf(fastest_s):
        return InfeasibleError("the model fits on no number of these devices", value=on, mend="a chip with more memory")
    return InfeasibleError(
        "no number of devices is fast enough: the global batch and the number of layers limit how many can work",
        value=f"{units.show(target_s, 'second')} wanted",
        where="the time of the question",
        mend=f"the nearest: {units.show(fastest_s, 'second')} with {at * node:,} x {on}; a larger --batch helps",
    )

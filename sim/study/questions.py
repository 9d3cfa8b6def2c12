"""The three questions: how long, how many, how much. One model answers all of them, so they agree."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

from sim import units
from sim.errors import InfeasibleError, SimError, UsageError
from sim.plan.resolve import resolve_cluster
from sim.plan.training import prepare
from sim.results import words
from sim.results.spread import interval
from sim.spec.cluster import ClusterSpec
from sim.spec.workload import MOST_FLOP, Budget, TrainingSpec
from sim.study.predict import LUCK_SEEDS, Prediction, expected_s, predict, step_sigma
from sim.study.question_scenario import build_scenario, is_cluster, number_text
from sim.study.search import fewest, largest
from sim.study.telling import Asked, tell

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from sim.results.answer import Answer
    from sim.results.spread import Spread
    from sim.results.thresholds import Threshold
    from sim.spec.scenario import Scenario

MOST_DEVICES = 10**9
"""Largest cluster that howmany looks at."""
LARGE_CLUSTER = 2**10
"""Nodes from which howmany first looks whether the model fits on the largest cluster."""
MOST_SECONDS = 1e30
"""Longest time that a question may name; 10^22 years."""


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
        options: see ``sim.study.question_scenario.OPTIONS``; plain numbers are SI.

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
    _refuse_count(on, options)
    asked = Asked("howmany", _budget(flop), on, str(time), options, seed, thresholds, start)
    scenario = _scenario(asked, flags=flags, on=f"{MOST_DEVICES}x{on}")
    cluster, training = _cluster(scenario), scenario.training
    node = resolve_cluster(cluster).devices_per_node

    @cache
    def refuse_what_never_fits() -> None:
        prepare(cluster, training)

    @cache
    def seconds(nodes: int) -> float:
        if nodes >= LARGE_CLUSTER:
            refuse_what_never_fits()
        return _seconds(cluster.model_copy(update={"count": nodes * node}), training, seed, seeds)

    def seconds_without_spares(nodes: int) -> float:
        if nodes >= LARGE_CLUSTER:
            refuse_what_never_fits()
        working = (nodes - cluster.spares) * node
        return _seconds(cluster.model_copy(update={"count": working, "spares": 0}), training, seed, seeds)

    least, most = cluster.spares + 1, MOST_DEVICES // node
    nodes = fewest(seconds_without_spares if cluster.spares else seconds, target_s, least, most)
    if nodes is None:
        raise _too_slow(seconds_without_spares if cluster.spares else seconds, target_s, least, node, on)
    if cluster.spares:
        # Waiting for repairs only adds to the closed form, and its simulation takes long: it is played near the end.
        nodes = fewest(seconds, target_s, least, most, begin=nodes)
    if nodes is None:
        raise _too_few_spares(cluster, target_s)
    answered = _scenario(asked, flags=flags, on=f"{nodes * node}x{on}")
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
    resolved = resolve_cluster(scenario.one_cluster)
    training = scenario.training
    if training.tokens is not None:
        given = f"{training.tokens:g} tokens"
        raise UsageError("howmuch asks for the tokens", given, "training.tokens", "leave out the tokens")
    _refuse_step_of_another_model(training)

    def with_flop(flop: float) -> TrainingSpec:
        return training.model_copy(update={"budget": Budget(flop=flop)})

    peak = max(number.value for number in resolved.accelerator.peak_flop_per_s.values())
    flop = largest(
        lambda amount: expected_s(scenario.one_cluster, with_flop(amount), seed, seeds),
        target_s,
        min(target_s * resolved.spec.count * peak, MOST_FLOP),
    )
    answered = _scenario(asked, flags=flags, budget=f"{flop!r} FLOP")
    prediction = predict(answered, seeds)
    inverse = _inverse_spread(prediction, flop)
    sentence = words.how_much(prediction.prepared, inverse, target_s)
    answer = {"flop": inverse.to_dict(), "target_s": target_s}
    return tell(prediction, answered, asked, sentence, answer, words.next_howlong(prediction.prepared, f"{flop:.4g}"))


def _seconds(cluster: ClusterSpec, training: TrainingSpec, seed: int, seeds: int) -> float:
    """Give the expected time; what does not fit or never ends takes for ever."""
    try:
        return expected_s(cluster, training, seed, seeds)
    except InfeasibleError:
        return math.inf


def _inverse_spread(prediction: Prediction, flop: float) -> Spread:
    """Give the spread of what a fixed time buys: slow runs buy less."""
    return interval(flop, prediction.luck, step_sigma(prediction.prepared), inverse=True).spread


def _scenario(asked: Asked, *, flags: bool, on: str | None = None, budget: str | None = None) -> Scenario:
    return build_scenario(on or asked.on, budget or asked.budget, asked.options, seed=asked.seed, flags=flags)


def _cluster(scenario: Scenario) -> ClusterSpec:
    cluster = scenario.one_cluster
    assert isinstance(cluster, ClusterSpec)
    return cluster


def _budget(flop: float | str | None) -> str | None:
    return None if flop is None else number_text(flop, "FLOP")


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
    if not 0 < seconds <= MOST_SECONDS:
        rule = "a time must be more than zero" if seconds <= 0 else f"a time is at most {MOST_SECONDS:g} s"
        raise UsageError(rule, str(time), "the time of the question", "write it like '90 d'")
    return seconds


def _refuse_count(on: str, options: Mapping[str, object]) -> None:
    """Refuse what howmany itself looks for."""
    if is_cluster(on):
        mend = "name the accelerator alone, as in sim howmany 1e26 90d h100-sxm"
        raise UsageError("howmany looks for the count", on, "the accelerator of the question", mend)
    if options.get("step_time") is not None:
        rule = "a step time is that of one number of devices, and howmany looks for this number"
        raise UsageError(rule, str(options["step_time"]), "step_time", "give mfu instead")


def _refuse_step_of_another_model(training: TrainingSpec) -> None:
    """Refuse the step time of a model that is not known before the answer."""
    if training.step_time is not None and training.model == "compute-optimal" and training.params is None:
        raise UsageError(
            "a step time is that of one model, and howmuch sizes the model by its answer",
            value=f"{training.step_time:g} s",
            where="training.step_time",
            mend="name the model or its parameters, or give mfu instead",
        )


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


def _too_few_spares(cluster: ClusterSpec, target_s: float) -> InfeasibleError:
    """Say that waiting for repairs is what takes so long."""
    repair = units.show(cluster.repair, "second")
    return InfeasibleError(
        "with so few spare nodes no number of devices is fast enough: the run waits for repairs",
        value=f"{units.show(target_s, 'second')} wanted, {cluster.spares} spare nodes, repair takes {repair}",
        where="cluster.spares",
        mend="more --spares, a shorter --repair, or no --spares: then they stand outside the count",
    )

"""Quantities that may vary: every form, every mistake with its place."""

from typing import Annotated

import pytest

from sim.errors import ScenarioError
from sim.spec.distribution import Distribution, Varying, fixed
from sim.spec.quantity import FrozenModel
from sim.spec.yaml import loads, validate


class Sample(FrozenModel):
    latency: Annotated[Distribution, Varying("second")] = fixed(1.0, "second")
    length: Annotated[Distribution, Varying("token", positive=True, whole=True)] = fixed(1.0, "token", whole=True)


def read(text: str) -> Sample:
    return validate(Sample, loads(text, "a.yaml"))


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("800 ms", "fixed", (0.8,)),
        ("{uniform: [1 s, 2 s]}", "uniform", (1.0, 2.0)),
        ("{lognormal: {median: 800 ms, p95: 3 s}}", "lognormal", (0.8, 3.0)),
        ("{exponential: 2 s}", "exponential", (2.0,)),
        ("{exponential: {mean: 2 s}}", "exponential", (2.0,)),
        ("{empirical: [2 s, 1 s, 4 s]}", "empirical", (1.0, 2.0, 4.0)),
    ],
)
def test_forms(text: str, kind: str, values: tuple[float, ...]) -> None:
    assert read(f"latency: {text}").latency == Distribution(kind, pytest.approx(values), "second")


def test_whole_numbers_say_so() -> None:
    assert read("length: {uniform: [10 tokens, 20 tokens]}").length == Distribution(
        "uniform", (10.0, 20.0), "token", whole=True
    )


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("latency: 3 tokens", "a.yaml:1:10", "a time"),
        ("latency: {uniform: [2 s, 1 s]}", "a.yaml:1:26", "the most is at least the least"),
        ("latency: {uniform: 2 s}", "a.yaml:1:20", "uniform is written {uniform: [least, most]}"),
        ("latency: {lognormal: {median: 2 s, p95: 1 tokens}}", "a.yaml:1:41", "a time"),
        ("latency: {lognormal: {median: 0 s, p95: 1 s}}", "a.yaml:1:31", "a median is more than zero"),
        ("latency: {lognormal: {median: 2 s}}", "a.yaml:1:22", "lognormal is written"),
        ("latency: {normal: 2 s}", "a.yaml:1:10", "a distribution has one key"),
        ("latency: {empirical: []}", "a.yaml:1:22", "an empirical distribution is a list"),
        ("length: 1.5 tokens", "a.yaml:1:9", "must be whole here"),
        ("length: {empirical: [5 tokens, 0 tokens]}", "a.yaml:1:32", "more than zero"),
    ],
)
def test_mistakes_have_a_place(text: str, place: str, said: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read(text)
    assert raised.value.where == place
    assert said in raised.value.rule


def test_schema_tells_an_editor_every_form() -> None:
    forms = Sample.model_json_schema()["properties"]["latency"]["anyOf"]
    assert [next(iter(form["properties"])) for form in forms[1:]] == [
        "uniform",
        "lognormal",
        "exponential",
        "empirical",
    ]
    assert forms[0]["x-unit"] == "s"

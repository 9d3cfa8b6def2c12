"""Services and requests as users write them: the forms of the language pages, and every mistake with its place."""

from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.spec.requests import USUAL_DURATION_S, RequestsSpec
from sim.spec.scenario import Scenario
from sim.spec.service import Scaling, ServiceSpec, ServingLayout
from sim.spec.yaml import load, loads, validate

SCENARIO = "schema_version: 1\nname: x\ncluster: 8xh100-sxm\n"


def service(text: str) -> ServiceSpec:
    return validate(ServiceSpec, loads(text, "a.yaml"))


def requests(text: str) -> RequestsSpec:
    return validate(RequestsSpec, loads(text, "a.yaml"))


def test_the_forms_of_the_graph_language() -> None:
    lead = service("{model: llama-3.1-405b, precision: fp8, replicas: 4, plan: {tp: 8}}")
    assert (lead.precision.weights, lead.precision.kv, lead.precision.compute) == ("fp8", "bf16", None)
    assert lead.plan == ServingLayout(tp=8)
    reader = service("{model: llama-3.1-8b, replicas: 16}")
    assert (reader.plan, reader.engine.profile, reader.most_replicas) == ("auto", "vllm-v1", 16)
    chat = service("{model: llama-3.3-70b, tenant: prod, plan: {tp: 8}, replicas: {min: 8, max: 64}}")
    assert chat.replicas == Scaling(min=8, max=64)
    assert chat.most_replicas == 64


def test_the_forms_of_requests() -> None:
    plain = requests("{service: chat, arrivals: {poisson: 40/s}, input: 1200 tokens, output: 300 tokens}")
    assert plain.arrivals is not None
    assert (plain.label, plain.arrivals.rate_per_s, plain.window_s) == ("chat", 40.0, USUAL_DURATION_S)
    assert requests("{service: chat, arrivals: 40/s, input: 1, output: 1}").arrivals == plain.arrivals
    told = requests("{service: chat, name: a, arrivals: {closed: {users: 3}}, input: 1, output: 1, count: 9}")
    assert (told.label, told.window_s) == ("a", None)
    assert requests("{service: chat, trace: x.csv}").window_s is None
    assert requests("{service: chat, arrivals: 1/s, input: 9, output: 1, prefix: 8 tokens}").prefix is not None


@pytest.mark.parametrize("key", ["gamma", "weibull", "diurnal"])
def test_the_mean_rate_is_known(key: str) -> None:
    fields = {"gamma": "rate: 7/s", "weibull": "rate: 7/s", "diurnal": "mean: 7/s, peak: 8/s"}[key]
    told = requests(f"{{service: c, arrivals: {{{key}: {{{fields}}}}}, input: 1, output: 1}}")
    assert told.arrivals is not None
    assert told.arrivals.rate_per_s == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{model: x, replicas: 0}", "at least 1"),
        ("{model: x, replicas: {min: 8, max: 4}}", "max is at least min"),
        ("{model: x, replicas: [1, 2]}", "a whole number or a range"),
        ("{model: x, replicas: true}", "must be a number"),
        ("{model: x, precision: fp3}", "fp3"),
        ("{model: x, plan: {tpp: 8}}", "tpp"),
        ("{model: x, engine: {token_budget: 0}}", "whole number from 1"),
        ("{model: x, router: random}", "random"),
        ("{model: x, time_out: 0 s}", "more than 0"),
        ("{model: x, replicas: 2, disaggregation: {prefill: 1, decode: 1}}", "leave out replicas"),
        (
            "{model: x, speculative: {tokens: 3, acceptance: 0.5}, disaggregation: {prefill: 1, decode: 1}}",
            "cannot be combined",
        ),
        ("{model: x, speculative: {tokens: 3, acceptance: 1.5}}", "at most"),
    ],
)
def test_mistakes_of_a_service(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        service(text)
    assert said in str(raised.value)
    assert "a.yaml:1:" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{service: c}", "need arrivals, input and output, or a trace"),
        ("{service: c, arrivals: 1/s, input: 3}", "no output"),
        ("{service: c, trace: x.csv, input: 3}", "leave out input"),
        ("{service: c, arrivals: {}, input: 1, output: 1}", "exactly one way"),
        ("{service: c, arrivals: {poisson: 1/s, deterministic: 1/s}, input: 1, output: 1}", "exactly one way"),
        ("{service: c, arrivals: {poisson: 5}, input: 1, output: 1}", "has no unit"),
        ("{service: c, arrivals: 0/s, input: 1, output: 1}", "more than zero"),
        ("{service: c, arrivals: {diurnal: {mean: 1/s, peak: 3/s}}, input: 1, output: 1}", "once to twice the mean"),
        ("{service: c, arrivals: {at_once: 3}, count: 3, input: 1, output: 1}", "at_once is the count"),
        ("{service: c, arrivals: 1/s, input: 1.5, output: 1}", "must be whole"),
        ("{service: c, arrivals: 1/s, input: 1, output: 0}", "more than zero"),
        ("{service: c, arrivals: 1/s, input: 1, output: 1, slo: {}}", "one limit at least"),
        ("{service: c, arrivals: 1/s, input: 1, output: 1, slo: {ttft: 3 tokens}}", "a time is needed"),
        ("{service: c, trace: {file: x.csv, format: parquet}}", "parquet"),
        ("{service: c, trace: {file: x.csv, speed: 0}}", "more than 0"),
    ],
)
def test_mistakes_of_requests(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        requests(text)
    assert said in str(raised.value)


def test_a_trace_lies_beside_the_scenario(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    work = (
        "workloads: [{requests: {service: c, trace: t.csv}}, {requests: {service: c, name: b, trace: {file: /t.csv}}}]"
    )
    path.write_text(f"{SCENARIO}services: {{c: {{model: llama-3.1-8b}}}}\n{work}\n", encoding="utf-8")
    found = [workload.requests for workload in validate(Scenario, load(path)).workloads]
    files = [each.trace.file for each in found if each is not None and each.trace is not None]
    assert files == [str(tmp_path / "t.csv"), "/t.csv"]

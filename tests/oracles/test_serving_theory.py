"""Queueing theory: with one sequence at a time a replica is a server, and waits follow recursions on the same path."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.engine.serving.options import ServiceOptions
from sim.engine.serving.request import Request
from sim.plan.serving import SchedulerRules
from tests.helpers.serving import HandPlan, LinearCost, serve

ITERATION_S = 0.01
ONE_AT_A_TIME = HandPlan(
    cost=LinearCost(base_s=ITERATION_S, token_s=0.0, pair_s=0.0, prefill_pair_s=0.0),
    rules=SchedulerRules(prefix_caching=False),
    kv_blocks=1_000_000,
    max_sequences=1,
)
LOADS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99]


def path(seed: int, load: float, servers: int, mean_tokens: float, requests: int) -> tuple[list[Request], np.ndarray]:
    """Poisson arrivals, geometric numbers of tokens; also the seconds that each needs."""
    draw = np.random.default_rng(seed)
    tokens = draw.geometric(1 / mean_tokens, requests)
    arrival_s = np.cumsum(draw.exponential(mean_tokens * ITERATION_S / (load * servers), requests))
    asked = [Request(i, float(arrival_s[i]), 1, int(tokens[i])) for i in range(requests)]
    return asked, tokens * ITERATION_S


def waits_s(requests: list[Request], service_s: np.ndarray, servers: int, seed: int = 0) -> np.ndarray:
    """Serve and give the wait of each, in the order of arrival."""
    router = "shared-queue" if servers > 1 else "round-robin"
    recording, _ = serve(ONE_AT_A_TIME, requests, ServiceOptions(replicas=servers, router=router), seed=seed)
    columns = recording.requests
    assert columns is not None
    order = np.argsort(columns.id)
    return columns.finish_s[order] - columns.arrival_s[order] - service_s


@pytest.mark.parametrize("load", LOADS)
def test_waits_at_one_server_follow_lindley(load: float) -> None:
    requests, service_s = path(1, load, 1, 20, 3000)
    found = waits_s(requests, service_s, 1)
    due = [0.0]
    for number in range(1, len(requests)):
        gap_s = requests[number].arrival_s - requests[number - 1].arrival_s
        due.append(max(0.0, due[-1] + service_s[number - 1] - gap_s))
    np.testing.assert_allclose(found, due, rtol=1e-9, atol=1e-9 * requests[-1].arrival_s)


@pytest.mark.parametrize("servers", [2, 5])
@pytest.mark.parametrize("load", LOADS)
def test_waits_at_several_servers_follow_kiefer_and_wolfowitz(load: float, servers: int) -> None:
    requests, service_s = path(2, load, servers, 20, 3000)
    found = waits_s(requests, service_s, servers)
    work_s = np.zeros(servers)
    due = []
    for number, request in enumerate(requests):
        gap_s = request.arrival_s - (requests[number - 1].arrival_s if number else 0.0)
        work_s = np.sort(np.maximum(work_s - gap_s, 0.0))
        due.append(work_s[0])
        work_s[0] += service_s[number]
    np.testing.assert_allclose(found, due, rtol=1e-9, atol=1e-9 * requests[-1].arrival_s)


@pytest.mark.long
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_mean_wait_at_one_server_is_that_of_pollaczek_and_khinchine(load: float) -> None:
    mean_tokens = 20
    means = []
    for seed in range(20):
        requests, service_s = path(100 + seed, load, 1, mean_tokens, 10_000)
        means.append(waits_s(requests, service_s, 1, seed).mean())
    mean_s = mean_tokens * ITERATION_S
    second_moment = ITERATION_S**2 * (2 - 1 / mean_tokens) * mean_tokens**2
    due_s = load / mean_s * second_moment / (2 * (1 - load))
    assert abs(np.mean(means) - due_s) <= 4 * np.std(means, ddof=1) / math.sqrt(len(means))


@pytest.mark.long
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_mean_wait_at_several_servers_is_that_of_erlang(load: float) -> None:
    servers, mean_tokens = 4, 200
    means = []
    for seed in range(20):
        requests, service_s = path(200 + seed, load, servers, mean_tokens, 10_000)
        means.append(waits_s(requests, service_s, servers, seed).mean())
    offered = load * servers
    busy = offered**servers / math.factorial(servers) / (1 - load)
    waiting = busy / (sum(offered**k / math.factorial(k) for k in range(servers)) + busy)
    # Geometric tokens are not quite exponential: the squared coefficient of variation is 1 - 1 / mean.
    due_s = waiting * mean_tokens * ITERATION_S / (servers * (1 - load)) * (2 - 1 / mean_tokens) / 2
    assert abs(np.mean(means) - due_s) <= 4 * np.std(means, ddof=1) / math.sqrt(len(means)) + 0.01 * due_s

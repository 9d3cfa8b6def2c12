"""Questions about serving, without a file: from what people type to a service and its load, and one run of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.world import World
from sim.errors import InfeasibleError, UsageError
from sim.plan.resolve import resolve_cluster
from sim.plan.services import PlannedService, plan_service
from sim.spec.arrivals import ArrivalsSpec
from sim.spec.compose import compose
from sim.spec.document import Source
from sim.spec.load import read_scenario
from sim.spec.yaml import apply_override
from sim.study.question_scenario import MOST_CHARACTERS, cluster_fields, is_cluster
from sim.study.serving import close_service, start_service, start_workload
from sim.study.serving_report import cluster_assumptions, service_assumptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plan.resolve import ResolvedCluster
    from sim.results.assumptions import Assumption
    from sim.results.serving import Served
    from sim.spec.requests import RequestsSpec

SERVICE = "serving"
"""Name of the service in figures and errors."""
ANY_COUNT = 4096
"""Devices that a replica may choose from where the question names an accelerator alone."""
USUAL_IN, USUAL_OUT = 1024, 256

GROWTH = 2.0
"""A service whose requests wait so much longer in the last quarter of a run than in the first is overloaded."""
LEAST_JUDGED = 1000
"""Requests of a run that is judged by that."""

_SERVICE, _REQUESTS = f"services.{SERVICE}", "workloads.0.requests"
OPTIONS: dict[str, tuple[str, str]] = {
    "in": (f"{_REQUESTS}.input", f"tokens of a prompt ({USUAL_IN:,})"),
    "out": (f"{_REQUESTS}.output", f"tokens of an answer ({USUAL_OUT:,})"),
    "engine": (f"{_SERVICE}.engine.profile", "engine profile of the catalogue (vllm-v1)"),
    "precision": (f"{_SERVICE}.precision.weights", "of weights and products: bf16, fp8, fp4, int4 (bf16)"),
    "kv": (f"{_SERVICE}.precision.kv", "of the cache: bf16 or fp8 (bf16)"),
    "tp": (f"{_SERVICE}.plan.tp", "tensor-parallel devices of a replica; the smallest that fits without it"),
    "pp": (f"{_SERVICE}.plan.pp", "pipeline stages of a replica"),
    "ep": (f"{_SERVICE}.plan.ep", "expert-parallel devices of a replica"),
    "dp_attention": (f"{_SERVICE}.plan.dp_attention", "copies of the attention layers in a replica"),
    "token_budget": (f"{_SERVICE}.engine.token_budget", "most tokens of one iteration"),
    "max_sequences": (f"{_SERVICE}.engine.max_sequences", "most sequences of one iteration"),
    "router": (f"{_SERVICE}.router", "how a request finds its replica (least-outstanding)"),
    "price": ("cluster.price", "price of a device: '2.50 USD/h'"),
    "node": ("cluster.node", "node that holds the accelerators"),
    "fabric": ("cluster.fabric", "network between scale-up domains"),
}
"""Options of both questions, by their name in Python (dashes on the command line): where they belong, and help."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A service that a question is about."""

    model: str
    on: str
    options: Mapping[str, str]
    planned: PlannedService
    cluster: ResolvedCluster
    requests: RequestsSpec
    replicas: int
    """As many as the devices of the question hold."""

    @property
    def devices(self) -> int:
        """Count the devices of all replicas."""
        return self.replicas * self.planned.plan.devices


def ask(model: str, on: str, options: Mapping[str, str], *, rate: str | None = None, flags: bool = False) -> Asked:
    """Read a question.

    Args:
        model: of the catalogue, or hf:path.
        on: COUNTxACCELERATOR or a cluster; of an accelerator alone, one replica takes what it needs.
        options: values of `OPTIONS`, as people type them.
        rate: requests per time ('5/s'); none: requests come when others are answered.
        flags: whether errors name command-line flags.

    Raises:
        SimError: a part of the question is wrong, or the model does not fit.

    """
    arrivals = "{closed: {users: 1}}" if rate is None else "{poisson: 1/s}"
    requests = f"{{service: {SERVICE}, arrivals: {arrivals}, input: {USUAL_IN} tokens, output: {USUAL_OUT} tokens}}"
    head = f"schema_version: 1, name: question, cluster: {{}}, services: {{{SERVICE}: {{model: x}}}}"
    text = f"{{{head}, workloads: [{{requests: {requests}}}]}}"
    document = compose(Source("the question", text, has_lines=False))
    fields = cluster_fields(on) if is_cluster(on) else cluster_fields(f"{ANY_COUNT}x{on}")
    given = {f"cluster.{path}": (str(value), "the cluster of the question") for path, value in fields.items()}
    given[f"{_SERVICE}.model"] = (model, "the model of the question")
    if rate is not None:
        given[f"{_REQUESTS}.arrivals.poisson"] = (rate, "--rate" if flags else "rate")
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError("a question has no such option", value=name, mend=f"one of {', '.join(sorted(OPTIONS))}")
        given[OPTIONS[name][0]] = (value, f"--{name.replace('_', '-')}" if flags else name)
    for path, (value, name) in given.items():
        if not value.strip() or len(value) > MOST_CHARACTERS:
            raise UsageError(f"from 1 to {MOST_CHARACTERS:,} characters stand here", value[:40], name, "give a value")
        document = apply_override(document, f"{path}={value}", name)
    scenario = read_scenario(document)
    cluster = resolve_cluster(scenario.one_cluster)
    planned = plan_service(SERVICE, scenario.services[SERVICE], cluster)
    requests_spec = scenario.workloads[0].requests
    assert requests_spec is not None
    _refuse_beyond_the_window(planned, requests_spec, flags=flags)
    replicas = cluster.spec.count // planned.plan.devices if is_cluster(on) else 1
    if replicas < 1:
        raise InfeasibleError(
            "one replica needs more devices than there are",
            value=f"{planned.plan.devices} of {cluster.spec.count}",
            where="the cluster of the question",
            mend=f"{planned.plan.devices}x{cluster.accelerator.name}, or narrower weights (--precision fp8)",
        )
    return Asked(model, on, dict(options), planned, cluster, requests_spec, replicas)


def _refuse_beyond_the_window(planned: PlannedService, requests: RequestsSpec, *, flags: bool) -> None:
    window, lengths = planned.model.max_positions, (requests.input, requests.output)
    tokens = sum(each.values[0] for each in lengths if each is not None and each.is_fixed)
    if window is not None and tokens > window:
        where = "--in and --out" if flags else "in and out"
        rule = f"{planned.model.name} takes {window:,} tokens at most, prompt and answer together"
        raise UsageError(rule, f"{tokens:,.0f} tokens", where, "shorter requests, or a model with a longer window")


def play_load(asked: Asked, replicas: int, requests: RequestsSpec, seed: int) -> Served:
    """Play one load on so many replicas.

    Raises:
        SimError: the run exceeds a limit.

    """
    spec = asked.planned.spec.model_copy(update={"replicas": replicas})
    planned = replace(asked.planned, spec=spec)
    world = World(planned.devices, seed)
    running = start_service(world, planned, asked.cluster, {0: requests})
    player = start_workload(world, requests, 0, running, None)
    world.run_until(lambda: player.over)
    served = close_service(running, asked.cluster)
    world.ledger.close(world.now_s)
    return served


def one_request_s(asked: Asked, seed: int) -> float:
    """Give the time of a request that is alone: how long a run has to last is measured by it."""
    alone = asked.requests.model_copy(update={"arrivals": ArrivalsSpec(at_once=1), "duration": None, "count": None})
    served = play_load(asked, 1, alone, seed)
    mean_s, _ = served.fold.whole.e2e.describe(())
    if not served.fold.whole.finished:
        plan = asked.planned.plan
        raise InfeasibleError(
            "a request of this length is longer than the cache of a replica",
            value=f"{plan.kv_tokens:,} tokens of cache",
            where="the lengths of the question",
            mend="shorter requests, more devices to a replica (--tp), or a narrower cache (--kv fp8)",
        )
    return mean_s


def grows(served: Served) -> bool:
    """Tell whether requests wait longer and longer: more come than are answered."""
    rows = served.fold.rows()
    if rows is None or len(rows) < LEAST_JUDGED:
        return False
    wait_s = rows.first_token_s - rows.arrival_s
    quarter = len(rows) // 4
    return bool(np.nanmean(wait_s[-quarter:]) > GROWTH * np.nanmean(wait_s[:quarter]))


def assumed(asked: Asked) -> tuple[Assumption, ...]:
    """List what shaped the answer."""
    return (*service_assumptions(asked.planned), *cluster_assumptions(asked.cluster))

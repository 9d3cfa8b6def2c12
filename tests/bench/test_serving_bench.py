"""Speed of the serving engine: the figures of issue 5, in CPU seconds; compare on a machine that does nothing else."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sim.engine.serving.options import ServiceOptions
from sim.engine.serving.request import Request
from tests.helpers.serving import HandPlan, LinearCost, serve
from tests.helpers.shared_data import SHARED

ROUNDS = 3
SCENARIO = """
schema_version: 1
name: common
cluster: {{accelerator: a100-80gb-sxm, count: {replicas}}}
services:
  chat:
    model: llama-3.1-8b
    replicas: {replicas}
    engine: {{profile: vllm-v1, token_budget: 512, max_sequences: 512}}
workloads:
  - requests: {{service: chat, trace: {{file: {file}}}}}
"""
RUN = "from sim.cli.main import main; main()"


@pytest.mark.bench
@pytest.mark.parametrize(("requests", "replicas", "budget_s"), [(10_000, 1, 1.0), (50_000, 1, 2.0), (50_000, 32, 4.0)])
def test_a_trace_is_served_within_its_budget(tmp_path: Path, requests: int, replicas: int, budget_s: float) -> None:
    trace = SHARED / f"traces/serving/common{requests}.csv"
    if not trace.is_file():
        pytest.skip(f"needs {trace}, which is not shipped")
    scenario = tmp_path / "common.yaml"
    scenario.write_text(SCENARIO.format(file=trace, replicas=replicas), encoding="utf-8")
    taken_s = min(_command_s("run", str(scenario)) for _ in range(ROUNDS))
    assert taken_s <= budget_s, f"{taken_s:.2f} s of CPU"


@pytest.mark.bench
def test_a_million_requests_take_flat_memory() -> None:
    draw = np.random.default_rng(0)

    def million() -> Iterator[Request]:
        now_s, number = 0.0, 0
        for _ in range(100):
            gaps, prompts = draw.exponential(1 / 6.45, 10_000), draw.integers(100, 2200, 10_000)
            for gap, prompt, output in zip(gaps, prompts, draw.integers(10, 410, 10_000), strict=True):
                now_s, number = now_s + float(gap), number + 1
                yield Request(number, now_s, int(prompt), int(output))

    plan = HandPlan(LinearCost(0.012, 2e-5, 4e-10, 1e-10), kv_blocks=27_000, token_budget=512, max_sequences=512)
    before = resource.getrusage(resource.RUSAGE_SELF)
    recording, _ = serve(plan, million(), ServiceOptions(), consume=lambda _: None)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert recording.counts["finished"] == 1_000_000
    assert after.ru_utime - before.ru_utime <= 45
    assert after.ru_maxrss - before.ru_maxrss <= 100 * 1024


def _command_s(*arguments: str) -> float:
    # As installed: with compiled modules, which an environment of containers may forbid to be kept (0.5 s a start).
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", RUN, *arguments], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

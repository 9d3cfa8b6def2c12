"""What requests cost outside the engine: reading a trace, sending, folding, in units of a bare loop."""

import time
from pathlib import Path

import pytest

from sim.engine.arrivals import recorded_requests
from sim.engine.serving.recording import RequestRows
from sim.engine.serving.request import Request
from sim.engine.workload import Contents, OpenLoop
from sim.engine.world import World
from sim.results.serving_fold import Measured, ServiceFold
from sim.spec.requests import RequestsSpec
from sim.spec.traces import open_trace
from sim.spec.yaml import loads, validate

COUNT = 50_000
LIMIT_LOOPS = 1000
"""A request may take as long as so many rounds of an empty loop (17 ns each: 17 us; it takes 9)."""


@pytest.mark.bench
def test_requests_are_small_beside_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    lines = (f"{place * 0.155:.6f},{place % 4000 + 1},{place % 500 + 1}" for place in range(COUNT))
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n" + "\n".join(lines))
    start = time.process_time()
    for _ in range(10_000_000):
        pass
    loop_s = (time.process_time() - start) / 10_000_000
    start = time.process_time()
    spec = validate(RequestsSpec, loads(f"{{service: chat, trace: {path}}}"))
    world, fold, left = World(1, 0), ServiceFold({0: Measured("chat", 0.0, None)}), ["chat"]
    rows = RequestRows(fold)

    def submit(request: Request, done: object) -> None:
        request.first_token_s, request.finish_s = world.now_s, world.now_s + 1
        request.status = "finished"
        rows.add(request)
        player.answered(request)

    player = OpenLoop(world, submit, spec, 0, Contents("trace", 16))
    player.on_over = left.clear
    player.start(recorded_requests(open_trace(path).chunks(), spec))
    world.run_until(lambda: not left)
    rows.flush()
    fold.whole.ttft.describe([0.5, 0.99])
    spent_s = time.process_time() - start
    assert fold.whole.finished == COUNT
    assert spent_s / COUNT < LIMIT_LOOPS * loop_s, (
        f"{spent_s:.2f} s for {COUNT:,} requests, {loop_s * 1e9:.0f} ns a loop"
    )

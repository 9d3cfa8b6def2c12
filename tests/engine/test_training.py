from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest

from sim.cost.reliability import expected_run
from sim.engine.training import play, play_many
from sim.errors import LimitError, ScenarioError
from tests.helpers.training_runs import record_bytes, training_run

WITH_SPARES = {"devices": 80, "spare_nodes": 2, "steps": 1_500.0, "hazard_per_s": 1 / 400}


def test_without_interruptions_the_run_is_steps_and_writes_exactly() -> None:
    played = play(training_run(hazard_per_s=0.0), seed=1)
    assert played.wall_clock_s == 1050.0 == expected_run(training_run(hazard_per_s=0.0).parameters).wall_clock_s
    assert played.device_seconds == {
        "checkpoint": 64 * 50.0,
        "useful compute": 64 * 750.0,
        "pipeline bubble": 64 * 250.0,
    }
    assert played.flop == {"model": 4e20, "recompute and padding": 1e20, "lost and redone": 0.0}
    assert played.tokens == {"trained": 1e8, "lost": 0.0}
    assert sum(played.joules.values()) == 64 * 1050.0 * 1_000.0
    assert (played.checkpoints, played.interruptions, played.world_events) == (10, 0, 1)
    assert played.events.kind == ("start", "finish")


def test_a_short_last_interval_still_ends_with_a_full_write() -> None:
    played = play(training_run(hazard_per_s=0.0, steps=93.5), seed=1)
    assert played.wall_clock_s == 935.0 + 10 * 5.0
    assert played.segments.last_s == pytest.approx(35.0)


def test_an_interval_longer_than_the_run_is_one_interval() -> None:
    assert play(training_run(hazard_per_s=0.0, interval_s=1e6), seed=1).wall_clock_s == 1005.0


def test_rounding_adds_no_checkpoint() -> None:
    run = training_run(hazard_per_s=0.0, steps=3.0, step_s=0.1, interval_s=0.1, write_s=1.0)
    assert run.useful_s > 3 * run.interval_s - 1e-12
    assert play(run, seed=1).checkpoints == 3


def test_one_wake_up_an_interruption() -> None:
    """The pinned number of events: it changes only with the draws or with the engine's design."""
    played = play(training_run(steps=10_000.0, hazard_per_s=1 / 400), seed=4)
    assert played.interruptions == 374
    assert played.world_events == played.interruptions + 1


def test_one_more_wake_up_for_each_repair() -> None:
    played = play(training_run(**WITH_SPARES), seed=4)
    repairs = played.events.kind.count("node repaired")
    assert 0 < repairs <= played.nodes_lost
    assert played.world_events == played.interruptions + repairs + 1


def test_parts_of_the_clock_sum_to_it_and_agree_with_the_ledger() -> None:
    played = play(training_run(**WITH_SPARES), seed=3)
    clock = played.clock
    parts = [getattr(clock, name) for name in clock.__slots__]
    assert sum(parts) == pytest.approx(played.wall_clock_s, rel=1e-12)
    assert clock.waiting_for_repair_s > 0
    assert played.device_seconds["restart"] == pytest.approx(64 * clock.restart_s, rel=1e-12)
    assert played.device_seconds["lost work"] == pytest.approx(64 * (clock.lost_compute_s + clock.lost_write_s))
    assert played.device_seconds["waiting for repair"] == pytest.approx(56 * clock.waiting_for_repair_s, rel=1e-12)
    assert sum(played.device_seconds.values()) == pytest.approx(80 * played.wall_clock_s, rel=1e-12)
    assert set(played.joules) == set(played.device_seconds) - {"down"}


def test_a_lost_node_is_down_for_its_repair() -> None:
    played = play(training_run(**WITH_SPARES, node_loss_share=1.0, repair_s=700.0), seed=5)
    down_s = sum(
        min(700.0, played.wall_clock_s - time_s)
        for time_s, kind in zip(played.events.time_s, played.events.kind, strict=True)
        if kind == "node lost"
    )
    assert played.nodes_lost == played.interruptions
    assert played.device_seconds["down"] == pytest.approx(8 * down_s, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spare_nodes", [1, 2, 3])
def test_waiting_follows_the_recursion_of_the_repair_queue(seed: int, spare_nodes: int) -> None:
    """A lost node takes the next spare: the j-th goes on when lost, or when the (j - spares)-th is repaired."""
    changes = {"steps": 500.0, "hazard_per_s": 1 / 500, "node_loss_share": 1.0}
    alone = play(training_run(**changes), seed)
    struck_s = [t for t, kind in zip(alone.events.time_s, alone.events.kind, strict=True) if kind == "interruption"]
    lost_s: list[float] = []
    waited_s = 0.0
    for position, time_s in enumerate(struck_s):
        lost_s.append(time_s + waited_s)
        if position >= spare_nodes:
            waited_s += max(0.0, lost_s[position - spare_nodes] + 3_000.0 - lost_s[-1])
    waiting = play(training_run(**changes, devices=64 + 8 * spare_nodes, spare_nodes=spare_nodes), seed)
    assert waiting.clock.waiting_for_repair_s == pytest.approx(waited_s, rel=1e-9)
    assert waiting.wall_clock_s == pytest.approx(alone.wall_clock_s + waited_s, rel=1e-9)


def test_devices_that_no_layout_uses_are_idle() -> None:
    played = play(training_run(devices=90, active_devices=64, spare_nodes=2, hazard_per_s=0.0), seed=1)
    assert played.device_seconds["allocated idle"] == 10 * 1050.0
    assert played.device_seconds["free"] == 16 * 1050.0


def test_a_run_smaller_than_a_node_waits_without_devices() -> None:
    run = training_run(devices=9, active_devices=1, spare_nodes=1, hazard_per_s=1 / 200, node_loss_share=1.0)
    played = play(run, seed=2)
    assert played.clock.waiting_for_repair_s > 0
    assert "waiting for repair" not in played.device_seconds


def test_step_parts_of_one_name_are_one_account() -> None:
    parts = (("useful compute", 5.0), ("host", 2.0), ("useful compute", 3.0))
    played = play(training_run(hazard_per_s=0.0, step_parts=parts), seed=1)
    assert played.device_seconds["useful compute"] == pytest.approx(64 * 800.0, rel=1e-12)


def test_events_say_what_each_interruption_hit() -> None:
    run = training_run(steps=2_000.0, write_s=60.0, hazard_per_s=1 / 300)
    played = play(run, seed=6)
    hits = [d for d, kind in zip(played.events.detail, played.events.kind, strict=True) if kind == "interruption"]
    assert len(hits) == played.interruptions
    for marker in ("while stepping", "while writing a checkpoint; 100.0 s of steps lost", "during a restart"):
        assert any(marker in hit for hit in hits), marker
    assert list(played.events.time_s) == sorted(played.events.time_s)


def test_lost_work_costs_operations_and_tokens() -> None:
    played = play(training_run(steps=1_000.0, hazard_per_s=1 / 400), seed=2)
    lost_steps = played.clock.lost_compute_s / 10.0
    assert lost_steps > 1
    assert played.flop["lost and redone"] == pytest.approx(5e18 * lost_steps, rel=1e-12)
    assert played.tokens["lost"] == pytest.approx(1e6 * lost_steps, rel=1e-12)
    assert list(accumulate(played.tokens.values()))[-1] == pytest.approx(1e9 + 1e6 * lost_steps, rel=1e-12)


def test_more_interruptions_than_allowed_stop_the_play() -> None:
    run = training_run(steps=1_000.0)
    limit = int(expected_run(run.parameters).interruptions) + 1
    unlucky = next(seed for seed in range(100) if play(run, seed).interruptions > limit)
    with pytest.raises(LimitError, match=f"at most {limit} interruptions"):
        play(run, unlucky, max_interruptions=limit)


def test_more_events_than_allowed_stop_the_play() -> None:
    with pytest.raises(LimitError, match="limit of events"):
        play(training_run(steps=10_000.0), seed=1, max_events=3)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ScenarioError, match="fit into devices"):
        play(training_run(spare_nodes=1), seed=1)


def test_seed_and_run_decide_every_byte() -> None:
    run = training_run(**WITH_SPARES)
    first = record_bytes(play(run, seed=11))
    assert [record_bytes(recording) for recording in play_many(run, [10, 11, 12])][1] == first
    assert record_bytes(play(run, seed=12)) != first


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_fresh_processes_give_the_same_bytes(hash_seed: str) -> None:
    here = hashlib.sha256(record_bytes(play(training_run(**WITH_SPARES), seed=11))).hexdigest()
    program = (
        "import hashlib; from sim.engine.training import play;"
        "from tests.helpers.training_runs import record_bytes, training_run;"
        f"run = training_run(**{WITH_SPARES!r});"
        "print(hashlib.sha256(record_bytes(play(run, seed=11))).hexdigest())"
    )
    root = Path(__file__).parents[2]
    there = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


def test_another_run_in_the_same_process_changes_nothing() -> None:
    run = training_run(**WITH_SPARES)
    alone = record_bytes(play(run, seed=11))
    play(training_run(name="another"), seed=11)
    assert record_bytes(play(run, seed=11)) == alone
    assert play(training_run(**WITH_SPARES, name="another"), seed=11).wall_clock_s != play(run, seed=11).wall_clock_s

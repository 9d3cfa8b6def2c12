"""Training runs for tests, and the record of a play as bytes."""

from __future__ import annotations

import json
from typing import Any

from sim.engine.recording import Recording
from sim.plan.run import TrainingRun


def training_run(**changes: Any) -> TrainingRun:
    """Give a run of 100 steps of 10 s on 64 devices, 10 checkpoints, M of 2,000 s; keyword arguments change it."""
    fields: dict[str, Any] = {
        "name": "test",
        "devices": 64,
        "active_devices": 64,
        "devices_per_node": 8,
        "spare_nodes": 0,
        "steps": 100.0,
        "step_s": 10.0,
        "tokens_per_step": 1e6,
        "model_flop_per_step": 4e18,
        "hardware_flop_per_step": 5e18,
        "interval_s": 100.0,
        "write_s": 5.0,
        "hazard_per_s": 1 / 2000,
        "restart_s": 60.0,
        "repair_s": 3_000.0,
        "node_loss_share": 0.5,
        "power_w_per_device": 1_000.0,
    }
    fields |= changes
    step_s = fields["step_s"]
    fields.setdefault("step_parts", (("useful compute", 0.75 * step_s), ("pipeline bubble", 0.25 * step_s)))
    return TrainingRun(**fields)


def record_bytes(recording: Recording) -> bytes:
    """Give every byte of a recording that a user could see."""
    return json.dumps(recording.to_dict(), sort_keys=True, allow_nan=False).encode()

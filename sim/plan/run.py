"""What the engine plays and the closed form averages: one training run, reduced to numbers."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cost.reliability import RunParameters


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A training run as both views see it: a step, how often it is repeated, and what interrupts it."""

    name: str
    devices: int
    """Devices of the cluster that the run holds, spares included."""
    active_devices: int
    """Devices that the layout uses; the rest (spares, and what no layout can use) is idle."""
    devices_per_node: int
    spare_nodes: int
    """Nodes kept ready to replace a failed one; 0 means that spares stand outside ``devices`` and nobody waits."""
    steps: float
    """Optimizer steps; fractional, because progress is fluid."""
    step_s: float
    step_parts: tuple[tuple[str, float], ...]
    """Account name and seconds of one step, averaged over active devices; they sum to ``step_s``."""
    tokens_per_step: float
    model_flop_per_step: float
    """What the mathematics needs, over all devices, in operations."""
    hardware_flop_per_step: float
    """Model FLOP plus recompute and padding, over all devices, in operations."""
    interval_s: float
    """Useful seconds between two checkpoints."""
    write_s: float
    """Seconds that a checkpoint stops the run."""
    hazard_per_s: float
    """Interruptions per second of the whole run: active devices x rate."""
    restart_s: float
    """Detection plus restart after an interruption."""
    repair_s: float
    """Time until a failed node comes back; matters only with spares."""
    node_loss_share: float
    """Share of interruptions that take a node away; matters only with spares."""
    power_w_per_device: float
    """At the wall: board x node factor x PUE."""

    @property
    def useful_s(self) -> float:
        """Seconds of stepping that the run needs if nothing ever stops it."""
        return self.steps * self.step_s

    @property
    def parameters(self) -> RunParameters:
        """What the closed form needs of it."""
        return RunParameters(self.useful_s, self.interval_s, self.write_s, self.hazard_per_s, self.restart_s)

"""Energy, carbon and money of device time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerModel:
    """From the board to the meter."""

    board_w: float
    node_factor: float
    """Power of a whole node over that of its boards: processors, fabric, fans."""
    power_usage_effectiveness: float
    """Site over IT power (PUE)."""

    @property
    def wall_w_per_device(self) -> float:
        """Give the power at the meter for one device, in W: board x node factor x PUE.

        Source: definition of PUE (ISO/IEC 30134-2); board and node power from the catalogue.
        Valid for: devices at work; idle ones are charged the same, so the energy is an upper estimate.

        >>> round(PowerModel(700, 1.5, 1.2).wall_w_per_device)
        1260
        """
        return self.board_w * self.node_factor * self.power_usage_effectiveness


DEFAULT_NODE_FACTOR = 1.5
"""Node over board power where the catalogue has no node power (HGX H100: 10.2 kW over 8 x 700 W = 1.82 at most)."""


def node_factor(node_power_w: float | None, devices: int, board_w: float) -> float:
    """Give node power over board power; the default where the node's power is not known.

    Source: vendors' maximum node power (hardware_specs/nodes).
    Valid for: nodes under full load.

    >>> round(node_factor(10200.0, 8, 700.0), 2)
    1.82
    """
    if node_power_w is None:
        return DEFAULT_NODE_FACTOR
    return max(node_power_w / (devices * board_w), 1.0)

"""The machine that a scenario runs on."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sim.spec import defaults
from sim.spec.hardware import Accelerator, Fabric, Node, Slug
from sim.spec.quantity import Fraction, FrozenModel, KgPerJoule, PerSecond, Seconds, UsdPerSecond, refuse_truth


class ClusterSpec(FrozenModel):
    """The machine that a scenario runs on."""

    accelerator: Slug | Accelerator
    """An accelerator of the catalogue, or one of your own."""
    count: Annotated[int, Field(ge=1, le=100_000_000_000), BeforeValidator(refuse_truth)]
    """Accelerators, spares included."""
    node: Slug | Node | None = None
    """Node; the accelerator's usual one where none is named."""
    fabric: Slug | Fabric | None = None
    """Network between scale-up domains; the accelerator's usual one where none is named."""
    failure_rate: PerSecond = defaults.number("cluster.failure_rate")
    """Interruptions per device and time, all causes; 0 for none."""
    restart: Seconds = defaults.number("cluster.restart")
    """Detection of an interruption and restart from the last checkpoint."""
    repair: Seconds = defaults.number("cluster.repair")
    """Time until a failed node comes back; matters with spares only."""
    node_loss_share: Fraction = defaults.number("cluster.node_loss_share")
    """Share of interruptions that take a node away; matters with spares only."""
    spares: Annotated[int, Field(ge=0), BeforeValidator(refuse_truth)] = 0
    """Spare nodes inside the count; 0 means that spares stand outside and nobody waits for a repair."""
    price: UsdPerSecond | None = None
    """Price of one device; the list price of the catalogue where none is given."""
    power_usage_effectiveness: Annotated[float, Field(ge=1, le=3), BeforeValidator(refuse_truth)] = defaults.number(
        "cluster.power_usage_effectiveness"
    )
    """Site power over IT power (PUE)."""
    carbon: KgPerJoule = defaults.number("cluster.carbon")
    """CO2 per energy from the grid."""


def read_cluster(value: object) -> object:
    """Read '24576xh100-sxm' as count and accelerator; leave names of real clusters and mappings."""
    if isinstance(value, str):
        count, times, accelerator = value.partition("x")
        if times and count.replace("_", "").isdigit():
            return {"count": int(count), "accelerator": accelerator}
    return value

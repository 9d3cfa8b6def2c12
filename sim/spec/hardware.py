"""What the catalogue says about chips, nodes, networks and whole machines.

Conventions, each a trap that published tables fall into: peaks are dense; memory is in bytes; a link bandwidth is
per accelerator and per direction; all-to-all bandwidth and the bandwidth to one peer are two fields; the scale-up
domain is not the node. Every number carries its source.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema, model_validator

from sim.spec.quantity import (
    FrozenModel,
    PositiveCount,
    SourcedBytes,
    SourcedBytesPerSecond,
    SourcedCount,
    SourcedFlop,
    SourcedFlopPerSecond,
    SourcedFraction,
    SourcedHertz,
    SourcedSeconds,
    SourcedUsd,
    SourcedUsdPerSecond,
    SourcedWatts,
    refusal,
)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[.-][a-z0-9]+)*$", max_length=64)]
PRECISIONS = ("fp64", "fp64_matrix", "fp32", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8")
"""Number formats that have a peak of their own; fp64_matrix is fp64 in the matrix units."""


def _known_precision(name: str) -> str:
    if name not in PRECISIONS:
        raise refusal("no such number format", name, f"one of {', '.join(PRECISIONS)}")
    return name


Precision = Annotated[
    str, AfterValidator(_known_precision), WithJsonSchema({"type": "string", "enum": list(PRECISIONS)})
]
Generation = Literal[
    "volta",
    "turing",
    "ampere",
    "ada",
    "hopper",
    "blackwell",
    "blackwell-ultra",
    "rubin",
    "cdna1",
    "cdna2",
    "cdna3",
    "cdna4",
    "cdna5",
    "tpu",
    "trainium",
    "gaudi",
    "ascend",
    "other",
]
SourceStatus = Literal["read", "derived", "memory", "preliminary", "given"]
GIVEN = "given in the scenario"
"""Source of what a user defines in place of a catalogue entry."""


class Accelerator(FrozenModel):
    """One chip as a program sees it: the package that one rank drives, or the card where ranks share it.

    Without memory and bandwidth it is an ideal machine, limited by arithmetic alone.
    """

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str | None = None
    """Name as people write it."""
    vendor: str | None = None
    """Who makes it."""
    released: str | None = None
    """Month of release, such as 2022-09."""
    status: Literal["shipping", "announced"] = "shipping"
    """Announced chips have figures from announcements only."""
    generation: Generation = "other"
    """Architecture, for what kernels of one generation share."""

    peak_flop_per_s: Annotated[dict[Precision, SourcedFlopPerSecond], Field(min_length=1)]
    """Dense peak by number format; for bf16, fp16 and fp8 with FP32 accumulation."""

    memory_kind: str | None = None
    """Kind of the memory, such as HBM3."""
    memory_bytes: SourcedBytes | None = None
    """Memory that a program can use; the label '80 GB' of a chip counts GiB."""
    memory_bandwidth_bytes_per_s: SourcedBytesPerSecond | None = None
    """Peak bandwidth of the memory."""
    l2_bytes: SourcedBytes | None = None
    """Last cache before memory that all units share."""

    units: SourcedCount | None = None
    """Streaming multiprocessors, compute units or matrix engines in use."""
    clock_hz: SourcedHertz | None = None
    """Boost clock; where flop_per_unit_clock is given, the clock at which the peak is stated."""
    flop_per_unit_clock: SourcedFlop | None = None
    """Dense 16-bit operations of one unit in one clock: units x clock x this = the faster 16-bit peak."""

    scale_up_kind: str | None = None
    """Name of the network that shares memory-like bandwidth, such as NVLink 4."""
    scale_up_bandwidth_bytes_per_s: SourcedBytesPerSecond | None = None
    """Bandwidth to all peers of the scale-up domain together, per direction."""
    point_to_point_bandwidth_bytes_per_s: SourcedBytesPerSecond | None = None
    """Bandwidth to one peer of the domain, per direction; as the whole where a switch stands between."""
    scale_up_domain_devices: SourcedCount | None = None
    """Accelerators that the scale-up network joins at most."""
    host_link_kind: str | None = None
    """Link to the processor, such as PCIe 5."""
    host_bandwidth_bytes_per_s: SourcedBytesPerSecond | None = None
    """Bandwidth to the processor, per direction."""

    power_w: SourcedWatts | None = None
    """Greatest sustained power of the chip or module alone."""
    price_usd_per_s: SourcedUsdPerSecond | None = None
    """List price of renting one device, at its date."""
    purchase_usd: SourcedUsd | None = None
    """Price at release."""

    node: Slug | None = None
    """Node in the catalogue that is meant when a scenario names none."""
    fabric: Slug | None = None
    """Fabric in the catalogue that is meant when a scenario names none."""
    calibration: Slug = "generic"
    """Calibration family whose efficiency curves hold for this chip; an ideal machine does not use them."""
    calibration_note: str | None = None
    """Says so where the curves were measured on another chip."""
    notes: str | None = None
    """What a reader has to know about these numbers."""

    @property
    def is_ideal(self) -> bool:
        """Tell whether arithmetic alone limits this machine."""
        return self.memory_bytes is None and self.memory_bandwidth_bytes_per_s is None

    @model_validator(mode="after")
    def _parts_belong_together(self) -> Self:
        if (self.memory_bytes is None) != (self.memory_bandwidth_bytes_per_s is None):
            raise refusal(
                "memory_bytes and memory_bandwidth_bytes_per_s belong together",
                mend="give both, or neither for an ideal machine",
            )
        return self


class Node(FrozenModel):
    """A server: accelerators that share a host, and the scale-up domain they are part of."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str | None = None
    """Name as people write it."""
    accelerator: Slug
    """Accelerator in it."""
    devices: PositiveCount
    """Accelerators in one node: what one failure of a host takes away."""
    scale_up_domain_devices: PositiveCount
    """Accelerators in one scale-up domain; a rack or a pod may hold many nodes."""
    scale_up_kind: str | None = None
    """Name of the scale-up network."""
    scale_up_bandwidth_bytes_per_s: SourcedBytesPerSecond
    """Bandwidth of one accelerator to its domain, per direction."""
    scale_out_bandwidth_bytes_per_s: SourcedBytesPerSecond | None = None
    """Share of one accelerator in the node's network cards, per direction; the slower of this and the fabric holds."""
    power_w: SourcedWatts | None = None
    """Greatest power of the whole node, with its share of the rack."""
    host: str | None = None
    """Processors of the node."""
    host_memory_bytes: SourcedBytes | None = None
    """Memory of the processors."""
    cooling: str | None = None
    """Air, liquid, or either."""
    source: str = GIVEN
    """Where the counts come from."""
    source_status: SourceStatus = "given"
    """How far the counts can be trusted."""
    source_date: str | None = None
    """Date of that source."""
    notes: str | None = None
    """What a reader has to know about these numbers."""

    @model_validator(mode="after")
    def _domain_holds_whole_nodes(self) -> Self:
        if self.scale_up_domain_devices % self.devices and self.devices % self.scale_up_domain_devices:
            raise refusal(
                "a scale-up domain holds whole nodes, or a node whole domains",
                f"{self.devices} devices in a node, {self.scale_up_domain_devices} in a domain",
                "give counts of which one divides the other",
            )
        return self


class FabricLevel(FrozenModel):
    """Groups of accelerators in which a network blocks nothing, and what leaves such a group."""

    name: str
    """Name of the group, such as pod, or of the tier that joins all groups, such as spine."""
    devices: PositiveCount | None = None
    """Accelerators in one group; none for the whole cluster."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """Bandwidth inside a group over what leaves it: 7 means that one seventh of the line rate leaves."""


class Fabric(FrozenModel):
    """A network between nodes, or inside a scale-up domain."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str | None = None
    """Name as people write it."""
    kind: str | None = None
    """Technology, such as InfiniBand, Ethernet, NVLink."""
    role: Literal["scale-out", "scale-up"] = "scale-out"
    """Between domains, or inside one."""
    topology: str | None = None
    """Shape in words."""
    shape: Literal["tree", "dragonfly", "torus"] = "tree"
    """Tree: groups of groups; dragonfly: the groups of the first level in pairs; torus: neighbours along dimensions."""
    dimensions: Annotated[tuple[PositiveCount, ...], Field(min_length=1, max_length=6)] | None = None
    """Nodes along each dimension of a torus; their product is the number of nodes."""
    wraps: bool = True
    """Whether the dimensions of a torus close to rings."""
    link_bandwidth_bytes_per_s: SourcedBytesPerSecond
    """Line rate of one accelerator's share, per direction."""
    latency_s: SourcedSeconds | None = None
    """Time of the smallest message between two neighbours."""
    levels: Annotated[tuple[FabricLevel, ...], Field(min_length=1)] = (FabricLevel(name="all"),)
    """Tiers from the nearest to the widest; without any, one that blocks nothing."""
    max_devices: PositiveCount | None = None
    """Accelerators that one such network joins at most."""
    efficiency: SourcedFraction | None = None
    """Share of the line rate of each accelerator's link that a large ring collective keeps busy."""
    source: str = GIVEN
    """Where shape, tiers and size come from."""
    source_status: SourceStatus = "given"
    """How far they can be trusted."""
    source_date: str | None = None
    """Date of that source."""
    notes: str | None = None
    """What a reader has to know about these numbers."""

    @model_validator(mode="after")
    def _shape_is_complete(self) -> Self:
        if (self.shape == "torus") != (self.dimensions is not None):
            given = f"shape {self.shape}, {'no ' if self.dimensions is None else ''}dimensions"
            raise refusal(
                "a torus has dimensions, and no other shape does", given, "shape: torus, dimensions: [4, 4, 8]"
            )
        if self.shape == "dragonfly" and self.levels[0].devices is None:
            raise refusal("the first level of a dragonfly is its group", mend="levels: [{name: group, devices: 512}]")
        return self

    @model_validator(mode="after")
    def _levels_grow(self) -> Self:
        sizes = [level.devices for level in self.levels]
        if None in sizes[:-1]:
            raise refusal("only the widest level may leave its devices open", mend="give devices to the others")
        if sizes[-1] is None and self.levels[-1].oversubscription > 1:
            raise refusal(
                "nothing leaves the whole cluster, so the level without devices has no oversubscription",
                str(self.levels[-1].oversubscription),
                "give it to the level below, as the share that leaves its groups",
            )
        known = [size for size in sizes if size is not None]
        if known != sorted(set(known)):
            raise refusal(
                "levels grow from the nearest to the widest",
                ", ".join(str(size) for size in known),
                "put the smallest group first",
            )
        return self


class ClusterEntry(FrozenModel):
    """A real machine: how many of which accelerator on which network."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str | None = None
    """Name as people write it."""
    accelerator: Slug
    """Accelerator of the machine; the commonest where there are several."""
    count: PositiveCount
    """Accelerators of that kind."""
    node: Slug | None = None
    """Node in the catalogue."""
    fabric: Slug | None = None
    """Fabric in the catalogue."""
    owner: str | None = None
    """Who runs it."""
    country: str | None = None
    """Where it stands."""
    operational: str | None = None
    """Date of first operation, such as 2024-03-12."""
    status: Literal["existing", "planned", "decommissioned", "imagined"]
    """Whether it exists."""
    power_w: SourcedWatts | None = None
    """Power of the whole machine."""
    source: str = GIVEN
    """Where the count comes from."""
    source_status: SourceStatus = "given"
    """How far the count can be trusted."""
    source_date: str | None = None
    """Date of that source."""
    fabric_source: str | None = None
    """Where the choice of fabric comes from."""
    note: str | None = None
    """What a reader has to know about these numbers."""

"""How long a collective takes: inside one scale-up domain, and across a fabric of three levels.

Inside a domain: latency + x + sqrt(ramp x), where x is the time at the final rate. Across levels the ranks
are ordered by place (as NCCL orders its rings), so every boundary of a domain or pod is crossed by the same
bytes, shared by the links of all ranks behind it; the slowest boundary sets the pace, latencies add up.

Size means what nccl-tests means: the whole buffer of an all-reduce, the gathered output of an all-gather, the whole
input of a reduce-scatter, all that one rank holds before an all-to-all, the message of a point-to-point.
Bandwidths are per device and direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.cost.roofline import Numbers
    from sim.spec import calibration

Collective: TypeAlias = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point"]


@dataclass(frozen=True, slots=True)
class CollectiveCurve:
    """What a collective reaches of a link: start-up in s, final share of line rate, and ramp in s."""

    latency_s: Numbers
    bandwidth_fraction: Numbers
    ramp_s: Numbers


@dataclass(frozen=True, slots=True)
class RankedCurve:
    """Curves measured at several rank counts; between them interpolated in log2 of the ranks.

    Beyond the last count the start-up grows on with log2 of the ranks at its last slope; share and ramp stay.
    """

    ranks: tuple[float, ...]
    latency_s: tuple[float, ...]
    bandwidth_fraction: tuple[float, ...]
    ramp_s: tuple[float, ...]

    @classmethod
    def of(cls, collective: calibration.Collective) -> RankedCurve:
        """Take the curves from a calibration file."""
        ranks = tuple(float(count) for count in collective.ranks)
        return cls(ranks, collective.latency_s, collective.bandwidth_fraction, collective.ramp_s)

    def at(self, ranks: Numbers) -> CollectiveCurve:
        """Give the curve at a number of ranks (at least 1)."""
        place = np.log2(ranks)
        known = np.log2(self.ranks)
        latency_s = np.interp(place, known, self.latency_s)
        if len(self.ranks) > 1:
            slope = (self.latency_s[-1] - self.latency_s[-2]) / (known[-1] - known[-2])
            latency_s = latency_s + max(0.0, float(slope)) * np.maximum(0.0, place - known[-1])
        return CollectiveCurve(
            latency_s, np.interp(place, known, self.bandwidth_fraction), np.interp(place, known, self.ramp_s)
        )


@dataclass(frozen=True, slots=True)
class DomainLevel:
    """The scale-up domain: its curves by collective, and the bandwidth of one device, per direction, in B/s.

    ``pair_bandwidth_bytes_per_s`` is that of one device to one other: less than the whole where no switch stands
    between them.
    """

    bandwidth_bytes_per_s: Numbers
    pair_bandwidth_bytes_per_s: Numbers
    curves: Mapping[Collective, CollectiveCurve | RankedCurve]

    @classmethod
    def of(
        cls, measured: calibration.Calibration, bandwidth_bytes_per_s: Numbers, pair_bandwidth_bytes_per_s: Numbers
    ) -> DomainLevel:
        """Take the curves from a calibration file, for links of these bandwidths in B/s."""
        curves = {kind: RankedCurve.of(collective) for kind, collective in measured.collectives.items()}
        return cls(bandwidth_bytes_per_s, pair_bandwidth_bytes_per_s, curves)


@dataclass(frozen=True, slots=True)
class NetworkLevel:
    """A level of the network: bandwidth of one device per direction (B/s), latency of one hop (s), what is reached.

    ``pair_fraction`` is the share of line rate that a single pair reaches, ``bandwidth_fraction`` a collective's.
    """

    bandwidth_bytes_per_s: Numbers
    hop_latency_s: Numbers
    bandwidth_fraction: Numbers = 1.0
    pair_fraction: Numbers = 1.0
    ramp_s: Numbers = 0.0
    oversubscription: Numbers = 1.0

    @classmethod
    def of(
        cls,
        network: calibration.Network,
        bandwidth_bytes_per_s: Numbers,
        latency_s: Numbers = 0.0,
        bandwidth_fraction: Numbers | None = None,
        oversubscription: Numbers = 1.0,
    ) -> NetworkLevel:
        """Take what is reached from a calibration file, for links of this bandwidth in B/s.

        latency_s is that of the fabric, on top of the library's; bandwidth_fraction that of the fabric, where known.
        """
        fraction = network.bandwidth_fraction if bandwidth_fraction is None else bandwidth_fraction
        return cls(
            bandwidth_bytes_per_s,
            network.hop_latency_s + latency_s,
            fraction,
            network.pair_fraction,
            network.ramp_s,
            oversubscription,
        )


@dataclass(frozen=True, slots=True)
class Fabric:
    """Three levels: the scale-up domain, the non-blocking pod, the spine that joins the pods."""

    domain: DomainLevel
    pod: NetworkLevel
    spine: NetworkLevel


@dataclass(frozen=True, slots=True)
class Group:
    """Where the ranks of one group sit: ranks in each domain, domains in each pod, pods (the product is the group)."""

    domain_ranks: Numbers
    domains: Numbers = 1.0
    pods: Numbers = 1.0

    @property
    def ranks(self) -> Numbers:
        """Count the ranks of the group."""
        return self.domain_ranks * self.domains * self.pods


def place_group(ranks: Numbers, stride: Numbers, domain_devices: Numbers, pod_devices: Numbers) -> Group:
    """Give the shape of a group of ranks that are `stride` devices apart, in devices counted place by place.

    Groups that do not fill their domains evenly get the average (6 ranks in domains of 4: 3 a domain).

    Source: the usual numbering of ranks (neighbours first: tensor, then context, data, pipeline parallel).
    Valid for: domains and pods filled in order.

    >>> place_group(64, 1, 8, 512)
    Group(domain_ranks=8.0, domains=8.0, pods=1.0)
    >>> place_group(16, 64, 8, 512)
    Group(domain_ranks=1.0, domains=8.0, pods=2.0)
    """
    span = np.multiply(ranks, stride)
    units = np.minimum(ranks, np.ceil(span / domain_devices))
    pods = np.minimum(units, np.ceil(span / pod_devices))
    return Group(_plain(ranks / units), _plain(units / pods), _plain(pods * 1.0))


def bus_factor(kind: Collective, ranks: Numbers) -> Numbers:
    """Give the bytes that each rank must send per byte of size: 2 (n-1)/n for an all-reduce, (n-1)/n for the others.

    Source: ring algorithms (Patarasuk and Yuan 2009); the "bus bandwidth" of nccl-tests, doc/PERFORMANCE.md.
    Valid for: every algorithm without reduction inside the switch, as a lower bound.

    >>> bus_factor("all_reduce", 8)
    1.75
    """
    if kind == "point_to_point":
        return np.minimum(1.0, np.subtract(ranks, 1.0)) + 0.0
    share = 1.0 - 1.0 / ranks
    return 2.0 * share if kind == "all_reduce" else share


def collective_s(
    kind: Collective,
    size_bytes: Numbers,
    ranks: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: CollectiveCurve | RankedCurve,
) -> Numbers:
    """Give the time of a collective inside one level, in s: latency + x + sqrt(ramp x); 0 for one rank.

    Source: form fitted to nccl-tests tables, see hardware_specs/calibration; x = size factor / (share rate).
    Valid for: one group alone on its links; 2 ranks to the size of the measured domain.

    >>> collective_s("all_reduce", 1e9, 8, 450e9, CollectiveCurve(30e-6, 0.8, 0.0))
    0.004891111111111111
    """
    at = curve.at(ranks) if isinstance(curve, RankedCurve) else curve
    seconds = at.latency_s + _transfer_s(size_bytes * bus_factor(kind, ranks), bandwidth_bytes_per_s, at)
    return _plain(np.where(np.greater(ranks, 1.0), seconds, 0.0))


def hierarchical_s(kind: Collective, size_bytes: Numbers, group: Group, fabric: Fabric) -> Numbers:
    """Give the time of a collective over domains, pods and spine, in s; one level alone costs exactly that level.

    The bytes across the boundary of a domain are shared by the network links of its ranks, those across the
    boundary of a pod by all its ranks at bandwidth / oversubscription. Time = start-ups + slowest level.

    Source: cut bound of a ring ordered by place. Multi-node rows of nccl-tests reach 0.92 to 0.96 of
    (ranks per node x line rate) on 2 and 4 nodes; a rail-wise hierarchy would exceed it there, and does not.
    Valid for: ranks ordered by place, all groups of a plan active at once, no other jobs on the links.

    >>> slow = NetworkLevel(50e9, 10e-6)
    >>> inside = {"all_reduce": CollectiveCurve(30e-6, 0.8, 0.0)}
    >>> fabric = Fabric(DomainLevel(450e9, 450e9, inside), slow, slow)
    >>> round(hierarchical_s("all_reduce", 1e9, Group(8, 4), fabric), 6)
    0.005452
    """
    curve = fabric.domain.curves[kind]
    domain = curve.at(group.domain_ranks) if isinstance(curve, RankedCurve) else curve
    pair = kind == "point_to_point"
    rate = fabric.domain.pair_bandwidth_bytes_per_s if pair else fabric.domain.bandwidth_bytes_per_s
    inside, across_domains, across_pods = _sent_shares(kind, group)
    pod_hops, spine_hops = _hops(kind, group)
    seconds = [_transfer_s(size_bytes * inside, rate, domain)]
    for level, share in ((fabric.pod, across_domains), (fabric.spine, across_pods)):
        fraction, ramp_s = (level.pair_fraction, 0.0) if pair else (level.bandwidth_fraction, level.ramp_s)
        reached = CollectiveCurve(level.hop_latency_s, fraction, ramp_s)
        seconds.append(_transfer_s(size_bytes * share, level.bandwidth_bytes_per_s / level.oversubscription, reached))
    start_s = (
        domain.latency_s * np.greater(inside, 0.0)
        + fabric.pod.hop_latency_s * pod_hops
        + fabric.spine.hop_latency_s * spine_hops
    )
    return _plain(start_s + np.maximum(np.maximum(seconds[0], seconds[1]), seconds[2]))


def _sent_shares(kind: Collective, group: Group) -> tuple[Numbers, Numbers, Numbers]:
    """Give what one device sends inside its domain, out of it, and out of its pod, per byte of size."""
    ranks, domain_ranks = group.ranks, group.domain_ranks
    pod_ranks = domain_ranks * group.domains
    leaves_domain, leaves_pod = np.greater(ranks, domain_ranks), np.greater(ranks, pod_ranks)
    stays = np.greater(domain_ranks, 1.0) * 1.0
    if kind == "all_to_all":
        return (domain_ranks - 1.0) / ranks, (ranks - domain_ranks) / ranks, (ranks - pod_ranks) / ranks
    if kind == "point_to_point":
        return stays * (1.0 - leaves_domain), leaves_domain * 1.0, leaves_pod * 1.0
    sent = bus_factor(kind, ranks)
    return sent * stays, sent * leaves_domain / domain_ranks, sent * leaves_pod / pod_ranks


def _hops(kind: Collective, group: Group) -> tuple[Numbers, Numbers]:
    """Give the network hops in sequence: between the domains of a pod, and between pods.

    All-reduce: up and down a tree; all-gather and reduce-scatter: once round the ring (NCCL has no tree for them);
    all-to-all and point-to-point: one message.
    """
    domains, pods = group.domains, group.pods
    if kind == "all_reduce":
        return 2.0 * np.log2(domains), 2.0 * np.log2(pods)
    if kind in ("all_gather", "reduce_scatter"):
        return (domains - 1.0) * pods, pods - 1.0
    return np.greater(domains, 1.0) * 1.0, np.greater(pods, 1.0) * 1.0


def _transfer_s(sent_bytes: Numbers, bandwidth_bytes_per_s: Numbers, curve: CollectiveCurve) -> Numbers:
    """Give x + sqrt(ramp x) of the bytes that one device sends."""
    base_s = sent_bytes / (curve.bandwidth_fraction * bandwidth_bytes_per_s)
    return base_s + np.sqrt(curve.ramp_s * base_s)


def _plain(value: Numbers) -> Numbers:
    """Give arrays as they are and numpy scalars as plain floats."""
    return value if isinstance(value, np.ndarray) and value.ndim else float(value)

"""Collectives: the ring by hand, levels alone and together, and what more bandwidth does."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.collectives import (
    CollectiveCurve,
    DomainLevel,
    Fabric,
    Group,
    NetworkLevel,
    RankedCurve,
    bus_factor,
    collective_s,
    hierarchical_s,
    place_group,
)
from sim.spec import catalog

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point")
IDEAL = CollectiveCurve(0.0, 1.0, 0.0)
REAL = CollectiveCurve(15e-6, 0.8, 20e-6)
kinds = st.sampled_from(KINDS)
powers = st.integers(0, 6).map(lambda power: float(2**power))
sizes = st.floats(1.0, 1e11)


def fabric(curve=REAL, domain=450e9, nic=50e9, oversubscription=1.0, **network):
    level = NetworkLevel(nic, **({"hop_latency_s": 10e-6, "bandwidth_fraction": 0.96, "ramp_s": 20e-6} | network))
    spine = dataclasses.replace(level, oversubscription=oversubscription)
    return Fabric(DomainLevel(domain, domain, dict.fromkeys(KINDS, curve)), level, spine)


@pytest.mark.parametrize("ranks", [2, 3, 8, 72, 1024])
def test_ring_all_reduce(ranks):
    assert collective_s("all_reduce", 1e9, ranks, 1e9, IDEAL) == pytest.approx(2 * (ranks - 1) / ranks)
    assert collective_s("all_gather", 1e9, ranks, 1e9, IDEAL) == pytest.approx((ranks - 1) / ranks)


@pytest.mark.parametrize("kind", KINDS)
def test_one_rank_costs_nothing(kind):
    assert collective_s(kind, 1e9, 1, 1e9, REAL) == 0.0
    assert hierarchical_s(kind, 1e9, Group(1.0), fabric()) == 0.0


def test_pair_sends_the_message_once():
    assert bus_factor("point_to_point", 2) == 1.0
    assert hierarchical_s("point_to_point", 1e9, Group(1, 2), fabric(hop_latency_s=0.0)) == pytest.approx(0.02)


@given(kinds, sizes, powers)
def test_a_group_inside_the_domain_costs_exactly_the_domain(kind, size, ranks):
    ranks = min(ranks, 2.0) if kind == "point_to_point" else ranks
    alone_s = collective_s(kind, size, ranks, 450e9, REAL)
    assert hierarchical_s(kind, size, Group(ranks), fabric()) == pytest.approx(alone_s, rel=1e-12)


@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
@pytest.mark.parametrize("shape", [Group(1.0, 16.0), Group(1.0, 1.0, 16.0)])
def test_one_rank_a_domain_uses_one_nic_each(kind, shape):
    seconds = hierarchical_s(kind, 1e9, shape, fabric(hop_latency_s=0.0, ramp_s=0.0, bandwidth_fraction=1.0))
    assert seconds == pytest.approx(bus_factor(kind, 16) * 1e9 / 50e9)


def test_all_nics_of_a_domain_share_the_boundary():
    plain = fabric(IDEAL, domain=1e15, hop_latency_s=0.0, ramp_s=0.0, bandwidth_fraction=1.0)
    assert hierarchical_s("all_reduce", 1e9, Group(8, 4), plain) == pytest.approx(2 * 31 / 32 * 1e9 / 400e9)


def test_oversubscribed_spine_slows_only_what_crosses_it():
    open_, narrow = fabric(ramp_s=0.0), fabric(ramp_s=0.0, oversubscription=7.0)
    inside, across = Group(8, 16, 1), Group(1, 1, 16)
    assert hierarchical_s("all_gather", 1e9, inside, narrow) == hierarchical_s("all_gather", 1e9, inside, open_)
    start_s = 15 * 10e-6
    wide_s = hierarchical_s("all_gather", 1e9, across, open_) - start_s
    assert hierarchical_s("all_gather", 1e9, across, narrow) - start_s == pytest.approx(7 * wide_s)


def test_many_ranks_in_a_pod_share_its_uplinks():
    """Eight ranks behind the boundary send an eighth each: oversubscription of 7 does not show."""
    narrow = fabric(domain=1e15, oversubscription=7.0)
    wide = fabric(domain=1e15)
    group = Group(1, 8, 4)
    assert hierarchical_s("all_gather", 1e9, group, narrow) == hierarchical_s("all_gather", 1e9, group, wide)


@given(kinds, sizes, powers, powers, powers, st.floats(1.0, 50.0), st.sampled_from(["domain", "nic"]))
def test_more_bandwidth_never_slows(kind, size, domain_ranks, domains, pods, more, which):
    group = Group(domain_ranks, domains, pods)
    rates = {"domain": 450e9, "nic": 50e9}
    before_s = hierarchical_s(kind, size, group, fabric(oversubscription=3.0, **rates))
    rates[which] *= more
    assert hierarchical_s(kind, size, group, fabric(oversubscription=3.0, **rates)) <= before_s * (1 + 1e-12)


@given(kinds, sizes, sizes, powers, powers, powers)
def test_more_bytes_are_never_faster(kind, size, extra, domain_ranks, domains, pods):
    group = Group(domain_ranks, domains, pods)
    assert hierarchical_s(kind, size + extra, group, fabric()) >= hierarchical_s(kind, size, group, fabric())


@given(st.integers(1, 4096), st.integers(1, 4096), st.sampled_from([1, 4, 8, 72]), st.sampled_from([256, 3072]))
def test_placing_keeps_the_ranks_and_fits_the_levels(ranks, stride, domain_devices, pod_devices):
    group = place_group(ranks, stride, domain_devices, pod_devices)
    assert group.ranks == pytest.approx(ranks)
    assert 1 <= group.domain_ranks <= max(1, domain_devices / stride) + 1e-9
    assert group.domains >= 1 - 1e-9
    assert group.pods >= 1


def test_placing_broadcasts():
    group = place_group(np.array([8, 16, 64]), np.array([1, 64, 128]), 8, 512)
    assert group.domain_ranks.tolist() == [8, 1, 1]
    assert group.domains.tolist() == [1, 8, 4]
    assert group.pods.tolist() == [1, 2, 16]


def test_arrays_give_what_scalars_give():
    sizes = np.array([1e3, 1e6, 1e9])
    together = hierarchical_s("all_reduce", sizes, Group(8, 4), fabric())
    np.testing.assert_allclose(
        together, [hierarchical_s("all_reduce", s, Group(8, 4), fabric()) for s in sizes.tolist()]
    )


def test_ranked_curve_meets_its_points_and_goes_on_in_log():
    curve = RankedCurve((2.0, 8.0), (10e-6, 20e-6), (0.6, 0.8), (0.0, 4e-6))
    assert curve.at(8).latency_s == pytest.approx(20e-6)
    assert curve.at(4).bandwidth_fraction == pytest.approx(0.7)
    assert curve.at(32).latency_s == pytest.approx(30e-6)
    assert curve.at(32).bandwidth_fraction == 0.8


@pytest.mark.parametrize(
    ("family", "link", "domain_ranks", "nodes", "nic", "busbw"),
    [
        ("h100-sxm", 450e9, 8, 1, 0, 479.4e9),
        ("h200-sxm", 450e9, 8, 1, 0, 482.0e9),
        ("a100-sxm", 300e9, 8, 1, 0, 230.5e9),
        ("b200-sxm", 900e9, 8, 1, 0, 839.1e9),
        ("b200-sxm", 900e9, 8, 4, 50e9, 380.4e9),
        ("h200-sxm", 450e9, 8, 4, 50e9, 369.1e9),
        ("b300-sxm", 900e9, 8, 2, 100e9, 760e9),
        ("gb200", 900e9, 1, 2, 50e9, 46e9),
    ],
)
def test_large_all_reduce_against_published_runs(family, link, domain_ranks, nodes, nic, busbw):
    """Plateaus of public runs that no curve was fitted to (ml-engineering@744d01e network/, Azure guides)."""
    measured = catalog.load("calibration", family)
    level = NetworkLevel.of(measured.network, nic or 1.0, 2e-6)
    levels = Fabric(DomainLevel.of(measured, link, link), level, level)
    ranks = domain_ranks * nodes
    seconds = hierarchical_s("all_reduce", 8 * 2**30, Group(domain_ranks, nodes), levels)
    assert bus_factor("all_reduce", ranks) * 8 * 2**30 / seconds == pytest.approx(busbw, rel=0.08)

"""From catalogue entries to the numbers of the cost functions."""

import pytest

from sim.cost.recipe import recipe
from sim.errors import CatalogError, UsageError
from sim.plan import machine as machines
from sim.plan.resolve import ResolvedCluster, resolve_cluster
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec


def cluster(accelerator: str, count: int = 64, **rest: str) -> ResolvedCluster:
    return resolve_cluster(ClusterSpec(accelerator=accelerator, count=count, **rest))


def test_peaks_are_those_of_the_recipe() -> None:
    chip = catalog.load("accelerators", "h100-sxm").peak_flop_per_s
    fp8 = machines.build(cluster("h100-sxm"), recipe("fp8"))
    assert fp8.gemm_peak_flop_per_s == chip["fp8"].value
    assert fp8.wide_peak_flop_per_s == chip["bf16"].value
    assert fp8.gemm.compute_efficiency != fp8.wide_gemm.compute_efficiency


def test_no_peak_is_made_up_from_another() -> None:
    with pytest.raises(UsageError) as raised:
        machines.build(cluster("a100-80gb-sxm"), recipe("fp8"))
    assert raised.value.exit_code == 2
    assert "fp8" in raised.value.rule
    assert "bf16" in raised.value.mend


def test_a_format_that_the_matrix_units_do_not_know_is_refused() -> None:
    """Hopper multiplies 8-bit numbers, and knows no scale for 32 of them."""
    with pytest.raises(UsageError, match="do not know the format of mxfp8"):
        machines.build(cluster("h100-sxm"), recipe("mxfp8"))
    assert machines.build(cluster("b200-sxm"), recipe("mxfp8")).gemm_peak_flop_per_s > 0
    assert "mxfp8" not in machines.trained_in(catalog.load("accelerators", "h100-sxm"))


def test_the_scale_up_domain_is_not_the_node() -> None:
    built = machines.build(cluster("gb200", 144), recipe("bf16"))
    node = cluster("gb200", 144).node
    assert node is not None
    assert (built.domain_devices, node.devices) == (72, 4)


def test_the_slower_of_card_and_fabric_counts() -> None:
    own = machines.build(cluster("h100-sxm"), recipe("bf16")).fabric.pod.bandwidth_bytes_per_s
    slow = machines.build(cluster("h100-sxm", fabric="infiniband-hdr200"), recipe("bf16")).fabric.pod
    assert slow.bandwidth_bytes_per_s == 25e9 < own == 50e9


def test_the_spine_of_a_pod_is_oversubscribed() -> None:
    built = machines.build(resolve_cluster("meta-16k-llama3"), recipe("bf16"))
    assert built.pod_devices == 3072
    assert built.fabric.spine.oversubscription == 7
    assert built.fabric.pod.oversubscription == 1


def test_chips_that_nothing_joins() -> None:
    with pytest.raises(UsageError, match="do not share one scale-up domain"):
        machines.build(cluster("rtx-5090", 64), recipe("bf16"))


def test_an_ideal_machine_has_nothing_to_time() -> None:
    with pytest.raises(UsageError, match="ideal machine"):
        machines.build(cluster("human", 8), recipe("bf16"))


@pytest.mark.parametrize(
    ("chip", "precision", "generations"),
    [("h100-sxm", "bf16", "hopper"), ("h100-sxm", "fp8", "hopper"), ("a100-80gb-sxm", "bf16", "ampere")],
)
def test_the_slowdown_is_that_of_chip_and_precision(chip: str, precision: str, generations: str) -> None:
    accelerator = catalog.load("accelerators", chip)
    entry = machines.slowdown("megatron-core", accelerator, recipe(precision))
    assert generations in entry.generations
    assert not entry.precisions or precision in entry.precisions
    software = machines.software("megatron-core", accelerator, recipe(precision))
    assert software.kernel_slowdown == entry.factor


def test_an_unknown_profile() -> None:
    with pytest.raises(CatalogError):
        machines.software("megatron-cor", catalog.load("accelerators", "h100-sxm"), recipe("bf16"))


def test_every_chip_with_a_bf16_peak_can_be_built() -> None:
    built = 0
    for name in catalog.names("accelerators"):
        one = cluster(name, 1)
        if one.accelerator.is_ideal or "bf16" not in one.accelerator.peak_flop_per_s:
            with pytest.raises(UsageError):
                machines.build(one, recipe("bf16"))
            continue
        machine = machines.build(one, recipe("bf16"))
        assert machine.bandwidth_bytes_per_s > 0, name
        assert machine.gemm_peak_flop_per_s > 0, name
        built += 1
    assert built >= 50

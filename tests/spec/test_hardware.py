"""The numbers of the catalogue: self-consistent, on our side of every known trap, and refused when they cannot be."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError
from sim.spec import catalog, validate, yaml
from sim.spec.hardware import Accelerator, Fabric, Node
from tests.helpers.shared_data import shared_rows

TERA, GIGA, GIBI, MEBI = 1e12, 1e9, 2**30, 2**20
ACCELERATORS = catalog.names("accelerators")

CLOCK_IS_NOT_THE_CLOCK_OF_THE_PEAK = {
    "l40s": "2520 MHz of the data sheet give 366; the stated 362.05 belongs to 2490 MHz",
    "h20": "the tensor rate is cut by an unpublished factor",
    "h100-pcie": "stated at 1620 MHz, boosts to 1755",
    "h100-nvl": "stated at 1545 MHz, boosts to 1785",
    "h200-nvl": "as H100 NVL",
    "h800-sxm": "stated at 1830 MHz as the H100; the clock printed is 1755",
    "b200-sxm": "1965 MHz is the greatest that the device reports",
    "gb200": "2062 MHz is the greatest that the device reports",
}


def accelerator(name: str) -> Accelerator:
    return catalog.load("accelerators", name)


def peak(name: str, precision: str) -> float:
    return accelerator(name).peak_flop_per_s[precision].value / TERA


@pytest.mark.parametrize("name", ACCELERATORS)
def test_clock_times_units_times_operations_is_the_peak(name: str) -> None:
    chip = accelerator(name)
    if chip.clock_hz is None or chip.units is None:
        assert chip.flop_per_unit_clock is None
        return
    if name in CLOCK_IS_NOT_THE_CLOCK_OF_THE_PEAK:
        assert chip.flop_per_unit_clock is None
        return
    assert chip.flop_per_unit_clock is not None
    computed = chip.clock_hz.value * chip.units.value * chip.flop_per_unit_clock.value
    stated = max(chip.peak_flop_per_s[key].value for key in ("bf16", "fp16") if key in chip.peak_flop_per_s)
    assert computed == pytest.approx(stated, rel=0.01)


def test_exceptions_to_the_clock_check_are_needed() -> None:
    for name in CLOCK_IS_NOT_THE_CLOCK_OF_THE_PEAK:
        chip = accelerator(name)
        assert chip.clock_hz is not None
        assert chip.units is not None
        per_unit_clock = chip.peak_flop_per_s["bf16"].value / (chip.clock_hz.value * chip.units.value)
        # A tensor core does a power of two in a clock; the clock printed does not give one.
        assert min(abs(per_unit_clock / 2**power - 1) for power in range(9, 15)) > 0.01


@pytest.mark.parametrize(
    ("name", "precision", "tflop_per_s"),
    [
        ("h100-sxm", "bf16", 989.4),
        ("h100-sxm", "fp8", 1978.9),
        ("a100-80gb-sxm", "bf16", 312),
        ("b200-sxm", "bf16", 2250),
        ("b200-sxm", "fp4", 9000),
        ("gb200", "bf16", 2500),
        ("b300-sxm", "fp4", 14000),
        ("gb300", "fp4", 15000),
        ("mi300x", "bf16", 1307.4),
        ("mi355x", "fp8", 5033.2),
        ("tpu-v5p", "bf16", 459),
        ("trainium2", "bf16", 667),
        ("gaudi3", "bf16", 1678),
        ("v100-sxm2-16gb", "fp16", 125),
    ],
)
def test_peaks_are_dense(name: str, precision: str, tflop_per_s: float) -> None:
    assert peak(name, precision) == pytest.approx(tflop_per_s, rel=1e-6)


@pytest.mark.parametrize("name", ["rtx-3090", "rtx-4090", "rtx-5090"])
def test_geforce_peaks_accumulate_in_fp32(name: str) -> None:
    assert peak(name, "fp16") == peak(name, "bf16")
    assert peak("rtx-4090", "bf16") == pytest.approx(165.2)


def test_a_precision_does_not_follow_from_its_bits() -> None:
    assert peak("b300-sxm", "fp4") / peak("b300-sxm", "bf16") == pytest.approx(6.22, abs=0.01)
    assert peak("gb300", "bf16") / peak("gb300", "int8") == pytest.approx(15.15, abs=0.01)
    assert peak("trainium3", "fp4") == peak("trainium3", "fp8")
    assert peak("tpu-v5p", "fp8") == peak("tpu-v5p", "bf16")
    assert peak("gaudi3", "fp16") < peak("gaudi3", "bf16")


@pytest.mark.parametrize(
    ("name", "memory_bytes"),
    [
        ("h100-sxm", 80 * GIBI),
        ("a100-40gb-sxm", 40 * GIBI),
        ("h200-sxm", 141 * GIBI),
        ("b200-sxm", 180 * GIBI),
        ("b300-sxm", 275040 * MEBI),
        ("gb200", 198674743296),
        ("gb300", 298013687808),
        ("mi300x", 206141652992),
        ("tpu-v5p", 95.74 * GIBI),
        ("groq-lpu-v1", 230e6),
    ],
)
def test_memory_is_in_bytes_as_the_driver_counts_them(name: str, memory_bytes: float) -> None:
    memory = accelerator(name).memory_bytes
    assert memory is not None
    assert memory.value == pytest.approx(memory_bytes, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "all_peers", "one_peer"),
    [
        ("v100-sxm2-16gb", 150, 50),
        ("a100-80gb-sxm", 300, 300),
        ("h100-sxm", 450, 450),
        ("h800-sxm", 200, 200),
        ("b200-sxm", 900, 900),
        ("gb300", 900, 900),
        ("mi300x", 448, 64),
        ("mi355x", 535.5, 76.5),
        ("tpu-v5p", 600, 100),
        ("tpu7x", 600, 100),
        ("gaudi3", 525, 75),
    ],
)
def test_links_are_per_direction_and_one_peer_is_not_all(name: str, all_peers: float, one_peer: float) -> None:
    chip = accelerator(name)
    assert chip.scale_up_bandwidth_bytes_per_s is not None
    assert chip.point_to_point_bandwidth_bytes_per_s is not None
    assert chip.scale_up_bandwidth_bytes_per_s.value == pytest.approx(all_peers * GIGA)
    assert chip.point_to_point_bandwidth_bytes_per_s.value == pytest.approx(one_peer * GIGA)


def test_the_scale_up_domain_is_not_the_node() -> None:
    for name, devices, domain in (("gb200-nvl72", 4, 72), ("gb300-nvl72", 4, 72), ("tpu-v5p-host", 4, 8960)):
        node = catalog.load("nodes", name)
        assert (node.devices, node.scale_up_domain_devices) == (devices, domain)


def test_the_network_of_llama_3_is_oversubscribed_between_pods_only() -> None:
    fabric = catalog.load("fabrics", "meta-24k-roce")
    assert [(level.devices, level.oversubscription) for level in fabric.levels] == [(3072, 7), (None, 1)]
    assert fabric.max_devices == 24576
    assert fabric.link_bandwidth_bytes_per_s.value == 50 * GIGA


def test_a_person_is_an_ideal_machine_of_one_operation_in_five_seconds() -> None:
    human = accelerator("human")
    assert human.is_ideal
    assert not accelerator("h100-sxm").is_ideal
    assert {rate.value for rate in human.peak_flop_per_s.values()} == {0.2}
    assert catalog.load("clusters", "humanity").count == 8_200_000_000


FIELDS = {
    "hbm_gbps": ("memory_bandwidth_bytes_per_s", GIGA),
    "hbm_gb": ("memory_bytes", GIBI),
    "tdp_w": ("power_w", 1.0),
    "boost_clock_mhz": ("clock_hz", 1e6),
    "scaleup_gbps": ("scale_up_bandwidth_bytes_per_s", GIGA),
}
NAMES = {
    "A100 PCIe 40GB": "a100-40gb-pcie",
    "A100 SXM4 80GB": "a100-80gb-sxm",
    "H100 SXM5 80GB": "h100-sxm",
    "H800 SXM5 80GB": "h800-sxm",
    "H200 SXM 141GB": "h200-sxm",
    "GH200 144GB": "gh200-144gb",
    "GB200 (per GPU)": "gb200",
    "GB300 (per GPU)": "gb300",
    "TPU v6e (Trillium)": "tpu-v6e",
}
NOT_IN_THE_CATALOGUE = {"MI308X": "no reliable peak was found"}


def test_known_wrong_values_are_not_ours() -> None:
    compared = 0
    for row in shared_rows("hardware/disagreements.csv"):
        if row["accelerator"] in NOT_IN_THE_CATALOGUE:
            continue
        chip = accelerator(NAMES.get(row["accelerator"], row["accelerator"].lower().replace(" ", "-")))
        if row["field"] in FIELDS:
            field, unit = FIELDS[row["field"]]
            ours = getattr(chip, field).value / unit
        else:
            ours = chip.peak_flop_per_s[row["field"]].value / TERA
        theirs = float(row["other_value"])
        if row["field"] == "hbm_gb":
            # Labels: what matters is that nobody's wrong label became ours; the labels count GiB.
            if "GiB" not in row["other_source"]:
                assert abs(ours / theirs - 1) > 1e-3, row
        else:
            assert abs(ours / theirs - 1) > 1e-3, row
            assert ours == pytest.approx(float(row["catalogue_value"]), rel=1e-3), row
        compared += 1
    assert compared >= 60


def problems(schema: type, text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        validate.validate(schema, yaml.loads(text, "x.yaml"))
    return str(caught.value)


def test_memory_without_bandwidth_is_refused() -> None:
    text = "name: x\npeak_flop_per_s: {bf16: 1 TFLOP/s}\nmemory_bytes: 80 GiB\n"
    message = problems(Accelerator, text)
    assert "belong together" in message
    assert "ideal machine" in message


def test_a_chip_of_ones_own_takes_generic_curves() -> None:
    text = "name: x\npeak_flop_per_s: {bf16: 1 TFLOP/s}\nmemory_bytes: 80 GiB\nmemory_bandwidth_bytes_per_s: 3 TB/s\n"
    entry = validate.validate(Accelerator, yaml.loads(text))
    assert entry.calibration == "generic"
    assert entry.peak_flop_per_s["bf16"].status == "given"


def test_an_unknown_precision_and_an_empty_table_are_refused() -> None:
    message = problems(Accelerator, "name: x\npeak_flop_per_s: {bf17: 1 TFLOP/s}\n")
    assert "no such number format" in message
    assert "bf16" in message
    assert "peak_flop_per_s" in problems(Accelerator, "name: x\npeak_flop_per_s: {}\n")


def test_a_domain_holds_whole_nodes() -> None:
    text = (
        "name: x\naccelerator: h100-sxm\ndevices: 8\nscale_up_domain_devices: {}\n"
        "scale_up_bandwidth_bytes_per_s: 450 GB/s\n"
    )
    assert "8 devices in a node, 12 in a domain" in problems(Node, text.format(12))
    for whole in (4, 8, 72):
        assert validate.validate(Node, yaml.loads(text.format(whole))).scale_up_domain_devices == whole


@pytest.mark.parametrize(
    ("levels", "rule"),
    [
        ("[{name: pod}, {name: spine}]", "widest level"),
        ("[{name: pod, devices: 64}, {name: spine, devices: 32}]", "grow from the nearest"),
        ("[{name: pod, devices: 64}, {name: spine, devices: 64}]", "grow from the nearest"),
        ("[{name: pod, oversubscription: 0.5}]", "at least 1"),
        ("[{name: pod, devices: 64}, {name: spine, oversubscription: 7}]", "nothing leaves the whole cluster"),
        ("[]", "levels"),
    ],
)
def test_levels_that_make_no_network_are_refused(levels: str, rule: str) -> None:
    text = f"name: x\nlink_bandwidth_bytes_per_s: 400 Gbit/s\nlevels: {levels}\n"
    assert rule in problems(Fabric, text)


def test_a_fabric_of_ones_own_blocks_nothing() -> None:
    fabric = validate.validate(Fabric, yaml.loads("name: x\nlink_bandwidth_bytes_per_s: 400 Gbit/s\n"))
    assert [(level.devices, level.oversubscription) for level in fabric.levels] == [(None, 1)]
    assert fabric.source_status == "given"

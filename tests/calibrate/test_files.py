"""The committed calibration files: complete, as accurate as they say, and made by the commands that they name."""

from pathlib import Path

import pytest

from sim.calibrate import kernels, write
from sim.calibrate.families import BORROWED, MEASURED
from sim.errors import UsageError
from sim.spec import catalog
from sim.spec.calibration import Calibration

FOLDER = catalog.path("calibration", "h100-sxm").parent
DATA = Path(__file__).parents[3] / "shared" / "data" / "ops"
CHIPS = {"a100-sxm": "a100-80gb-sxm"}


def measured(name):
    return catalog.load("calibration", name)


def test_every_file_is_a_family_and_every_family_a_file():
    assert set(catalog.names("calibration")) == set(MEASURED) | set(BORROWED)


@pytest.mark.parametrize("name", catalog.names("accelerators"))
def test_every_chip_has_a_family(name):
    assert catalog.load("accelerators", name).calibration in catalog.names("calibration")


@pytest.mark.parametrize("name", MEASURED)
def test_held_out_errors_stay_where_they_are(name):
    curves = measured(name)
    assert curves.gemm["bf16"].fit.held_out_median <= 0.07
    assert curves.attention["bf16"].fit.held_out_median <= 0.08
    assert curves.collectives["all_reduce"].fit.held_out_median <= 0.06


@pytest.mark.parametrize("name", MEASURED)
def test_training_sizes_are_met_without_bias(name):
    curves = measured(name)
    for curve in (*curves.gemm.values(), *curves.attention.values()):
        assert abs(curve.fit.large_bias) <= 0.02


@pytest.mark.parametrize("name", MEASURED)
def test_shares_are_of_the_peaks_in_the_catalogue(name):
    chip, curves = catalog.load("accelerators", CHIPS.get(name, name)), measured(name)
    peaks = {"fp8_block": "fp8"}
    for dtype, curve in curves.gemm.items():
        assert curve.peak_flop_per_s == pytest.approx(chip.peak_flop_per_s[peaks.get(dtype, dtype)].value, rel=1e-3)
        assert curve.bandwidth_bytes_per_s == pytest.approx(chip.memory_bandwidth_bytes_per_s.value, rel=1e-3)


@pytest.mark.parametrize("name", sorted(set(MEASURED) - {"a100-sxm"}))
def test_experts_of_training_sizes_are_met(name):
    for curve in measured(name).experts.values():
        assert curve.fit.held_out_median <= 0.16
        assert curve.fit.large_median <= 0.15
        assert abs(curve.fit.large_bias) <= 0.045


@pytest.mark.parametrize("name", BORROWED)
def test_a_borrowing_family_is_its_base_and_what_is_known(name):
    committed = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert write.regenerate(name, DATA, FOLDER) == committed


@pytest.mark.parametrize("name", kernels.BORROWERS)
def test_kernels_that_are_lent_are_those_of_their_lenders(name):
    committed = (FOLDER.parent / "kernels" / f"{name}.yaml").read_text(encoding="utf-8")
    assert kernels.regenerate(name, DATA) == committed


@pytest.mark.parametrize("name", BORROWED)
def test_nothing_borrowed_claims_to_be_fitted(name):
    curves = measured(name)
    fits = [
        curve.fit
        for kind in (curves.gemm, curves.attention, curves.experts, curves.collectives)
        for curve in kind.values()
    ]
    assert {fit.status for fit in fits} <= {"stand-in", "derived", "memory"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the public kernel tables are not beside this checkout")
def test_a_measured_family_is_made_again_by_its_command():
    pytest.importorskip("scipy")
    pytest.importorskip("pyarrow")
    again = write.yaml.validate(Calibration, write.yaml.loads(write.regenerate("a100-sxm", DATA, FOLDER)))
    assert_alike(again.model_dump(), measured("a100-sxm").model_dump())


def assert_alike(one, other):
    """Optimisers differ in the last digits between platforms; text and counts do not."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_alike(one[key], other[key])
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=0.02, abs=1e-3)
    elif isinstance(one, tuple):
        for first, second in zip(one, other, strict=True):
            assert_alike(first, second)
    else:
        assert one == other


def test_one_curve_can_be_replaced_and_written():
    from sim.calibrate.fitting import Judgement
    from sim.cost.roofline import RooflineCurve

    base = write.load(FOLDER / "h100-sxm.yaml")
    judgement = Judgement(60, 40, 0.03, 0.1)
    record = write.replaced(base, "mine", "gemm", "bf16", RooflineCurve(0.7, 0.8, 2.0, 3e-6), judgement, "bench.csv")
    text = write.dumps(record, "sim calibrate gemm --from bench.csv -o mine.yaml")
    again = write.yaml.validate(Calibration, write.yaml.loads(text))
    assert again.gemm["bf16"].overhead_s == pytest.approx(3e-6)
    assert again.gemm["bf16"].fit.held_out_median == 0.03
    assert again.gemm["fp8"] == measured("h100-sxm").gemm["fp8"]


def test_an_unknown_family_is_refused():
    with pytest.raises(UsageError, match="not known"):
        write.regenerate("z80", DATA, FOLDER)

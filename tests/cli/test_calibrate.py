"""`sim calibrate`: a curve found again from times made with it; nothing written that is not whole."""

import gzip
import json
from pathlib import Path

import pytest

from sim.cli import calibrate
from sim.cost.roofline import RooflineCurve, gemm_s
from sim.errors import UsageError
from sim.spec import catalog, yaml
from sim.spec.calibration import Calibration
from tests.helpers.command import call

pytest.importorskip("scipy", reason="fitting needs the extra 'calibrate'")
TRUE = RooflineCurve(compute_efficiency=0.7, memory_efficiency=0.8, overhead_s=5e-6, power=2.0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Times of H100 products made with a known curve, some on another chip."""
    lines = ["m,n,k,latency,system"]
    for m in (1, 4, 16, 64, 128, 512, 2048, 4096, 8192):
        for n in (1024, 4096, 8192):
            for k in (4096, 8192, 16384):
                milliseconds = 1e3 * float(gemm_s(m, n, k, 2.0, 989.4e12, 3.35e12, TRUE))
                lines += [f"{m},{n},{k},{milliseconds!r},h100", f"{m},{n},{k},{3 * milliseconds!r},other"]
    path = tmp_path / "gemm.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def fit(table: Path, target: Path, *more: str) -> tuple[int, str, str]:
    outcome = call(
        "calibrate",
        "gemm",
        "--from",
        str(table),
        "-o",
        str(target),
        "--on",
        "h100-sxm",
        "--where",
        "system=h100",
        *more,
    )
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_the_curve_is_found_again(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    code, stdout, stderr = fit(table, target, "--json")
    assert (code, stderr) == (0, "")
    report = json.loads(stdout)
    assert report["constants"]["compute_efficiency"] == pytest.approx(0.7, rel=0.02)
    assert report["constants"]["memory_efficiency"] == pytest.approx(0.8, rel=0.02)
    assert report["fit"]["held_out_median"] < 0.01
    written = yaml.validate(Calibration, yaml.load(target))
    assert written.name == "mine"
    assert written.gemm["bf16"].compute_efficiency == pytest.approx(0.7, rel=0.02)
    assert written.gemm["bf16"].fit.status == "fitted"
    assert "gemm.csv" in written.gemm["bf16"].fit.source
    assert written.attention == catalog.load("calibration", "h100-sxm").attention, "the rest is borrowed"


def test_a_second_curve_joins_the_first(table: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    assert fit(table, first)[0] == 0
    assert fit(table, second, "--base", str(first), "--precision", "fp8")[0] == 0
    one, two = (yaml.validate(Calibration, yaml.load(path)) for path in (first, second))
    assert two.gemm["bf16"] == one.gemm["bf16"]
    assert two.gemm["fp8"] != one.gemm["fp8"]


def test_text_fits_and_says_how_good_it_is(table: Path, tmp_path: Path) -> None:
    code, stdout, _ = fit(table, tmp_path / "mine.yaml")
    assert code == 0
    assert "compute efficiency" in stdout
    assert "in the median" in stdout


def test_a_file_is_replaced_only_by_force(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("mine", encoding="utf-8")
    code, _, stderr = fit(table, target)
    assert code == 2
    assert "--force" in stderr
    assert target.read_text(encoding="utf-8") == "mine"
    assert fit(table, target, "--force")[0] == 0
    assert "gemm" in target.read_text(encoding="utf-8")


def test_nothing_is_left_behind(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert fit(table, target)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gemm.csv", "mine.yaml"]


def test_a_mixed_table_is_warned_about(table: Path, tmp_path: Path) -> None:
    arguments = ["--from", str(table), "-o", str(tmp_path / "mine.yaml"), "--on", "h100-sxm"]
    outcome = call("calibrate", "gemm", *arguments)
    assert outcome.exit_code == 0
    assert outcome.stderr.startswith("warning: ")


def test_the_name_of_the_file_may_name_the_accelerator(table: Path, tmp_path: Path) -> None:
    target = tmp_path / "h100-sxm.yaml"
    outcome = call("calibrate", "gemm", "--from", str(table), "-o", str(target), "--where", "system=h100")
    assert outcome.exit_code == 0, outcome.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "lacks column m, n, k, latency"),
        (b"m,n,k,latency,system\n", "no row"),
        (b"m,n,k,latency,system\n" + b"512,4096,4096,-1,h100\n" * 20, "column latency holds amounts above zero"),
        (b"m,n,k,latency,system\n" + b"512,4096,4096,nan,h100\n" * 20, "column latency holds amounts above zero"),
        (b"m,n,k,latency,system\n" + b"512,wide,4096,1,h100\n" * 20, "column n holds amounts above zero"),
        (b"m,n,k,latency,system\n" + b"512,4096,4096,1,h100\n" * 3, "at least 8 measurements"),
        (b"\xff\xfe\x00\x01" * 100, "not readable as CSV"),
    ],
)
def test_a_bad_table_is_explained(content: bytes, complaint: str, tmp_path: Path) -> None:
    table, target = tmp_path / "bad.csv", tmp_path / "mine.yaml"
    table.write_bytes(content)
    code, stdout, stderr = fit(table, target)
    assert (code, stdout) == (2, "")
    assert complaint in stderr
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_a_file_of_another_kind_is_explained(suffix: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = tmp_path / f"bad{suffix}"
    table.write_bytes(gzip.compress(b"m,n,k")[:-9] if suffix == ".csv.gz" else b"no table")
    code, _, stderr = fit(table, tmp_path / "mine.yaml")
    assert code == 2
    assert "not readable" in stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["gem", "-o", "mine.yaml", "--on", "h100-sxm"], "gemm, attention, moe or collective"),
        (["moe", "-o", "mine.yaml", "--on", "h100-sxm", "--precision", "int3"], "bf16, fp8, fp8_block or fp4"),
        (["gemm", "-o", "mine.yaml"], "--on h100-sxm"),
        (["gemm", "-o", "mine.yaml", "--on", "h100"], "did you mean"),
        (["gemm", "-o", "My File.yaml", "--on", "h100-sxm"], "my-h100.yaml"),
        (["gemm", "-o", "/no/such/folder/mine.yaml", "--on", "h100-sxm"], "mkdir"),
        (["gemm", "-o", "mine.yaml", "--on", "h100-sxm", "--precision", "int3"], "bf16, fp8, fp8_block or fp4"),
        (["gemm", "-o", "mine.yaml", "--on", "v100-sxm2-32gb", "--precision", "fp8"], "no fp8 peak"),
        (["attention", "-o", "mine.yaml", "--on", "h100-sxm", "--precision", "fp4"], "bf16 or fp8"),
        (["collective", "-o", "mine.yaml", "--on", "h100-sxm", "--operation", "gossip"], "all_reduce"),
        (["gemm", "-o", "mine.yaml", "--on", "h100-sxm", "--where", "system"], "COLUMN=VALUE"),
        (["gemm", "-o", "mine.yaml", "--on", "human"], "no memory bandwidth"),
        (["gemm", "-o", "mine.yaml", "--on", "h100-sxm", "--base", "nothing"], "no such name"),
    ],
)
def test_bad_usage_is_explained(
    arguments: list[str], complaint: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call("calibrate", *arguments, "--from", str(table))
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert complaint in outcome.stderr
    assert not (tmp_path / "mine.yaml").exists()


def test_a_chip_without_calibration_asks_for_one_that_lends() -> None:
    with pytest.raises(UsageError) as caught:
        calibrate._file_of("")
    assert "--base" in caught.value.mend


def test_a_missing_extra_is_named(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    code, _, stderr = fit(table, tmp_path / "mine.yaml")
    assert code == 2
    assert "pip install 'flopclock[calibrate]'" in stderr

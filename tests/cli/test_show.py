"""`sim show`: every number of every entry with its source, and what follows from it."""

import json
from collections.abc import Iterator

import pytest

from sim.cli.derived import derive
from sim.cli.entries import lines_of
from sim.cost import parameters
from sim.spec import catalog
from sim.spec.quantity import FrozenModel, Sourced
from tests.helpers.command import call


def sourced(record: object) -> Iterator[Sourced]:
    """Every number with a source that a record holds, at any depth."""
    if isinstance(record, Sourced):
        yield record
    elif isinstance(record, FrozenModel):
        for name in type(record).model_fields:
            yield from sourced(getattr(record, name))
    elif isinstance(record, dict):
        for value in record.values():
            yield from sourced(value)


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_every_number_of_every_entry_is_told_with_its_source(kind: str) -> None:
    for name in catalog.names(kind):
        entry = catalog.load(kind, name)
        told = [(line.source, line.status) for line in lines_of(entry) if line.number]
        assert told, f"{kind}/{name} shows no number"
        assert all(source and status for source, status in told), f"{kind}/{name} has a number without a source"
        for number in sourced(entry):
            assert (number.source, number.status) in told


@pytest.mark.parametrize(
    "name", ["h100-sxm", "meta-24k-h100", "deepseek-v3", "infiniband-ndr400", "hgx-h100", "calibration/tpu", "human"]
)
def test_output_fits_80_columns(name: str) -> None:
    outcome = call("show", name)
    assert outcome.exit_code == 0, outcome.stderr
    assert max(map(len, outcome.stdout.splitlines())) <= 80
    assert "…" not in outcome.stdout


def test_a_number_has_unit_status_date_and_the_place_of_its_source() -> None:
    lines = call("show", "h100-sxm").stdout.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("memory bandwidth")]
    number = catalog.load("accelerators", "h100-sxm").memory_bandwidth_bytes_per_s
    assert number is not None
    assert row[2:6] == ["3.35", "TB/s", number.status, number.date]
    (source,) = [line for line in lines if line.startswith(f"{row[6]} ")]
    assert source == f"{row[6]} {number.source}"


def test_numbers_are_not_rounded() -> None:
    line = next(line for line in lines_of(catalog.load("accelerators", "h100-sxm")) if line.label == "peak fp8")
    assert line.text == "1.9789 PFLOP/s"


def test_json_is_the_entry_in_si() -> None:
    data = json.loads(call("show", "h100-sxm", "--json").stdout)
    assert (data["kind"], data["name"]) == ("accelerators", "h100-sxm")
    assert data["entry"]["memory_bytes"]["value"] == 80 * 2**30
    assert data["entry"]["memory_bytes"]["source"]
    assert data["derived"] == {"total_processing_performance": 15831}


def test_a_cluster_tells_its_peaks_power_and_tpp() -> None:
    derived = {line.key: line.value for line in derive(catalog.load("clusters", "meta-24k-h100"))}
    assert derived["peak_fp8_flop_per_s"] == pytest.approx(24576 * 1978.9e12)
    assert derived["boards_power_w"] == pytest.approx(24576 * 700)
    assert derived["nodes_power_w"] == pytest.approx(24576 / 8 * 10.2e3)
    assert derived["total_processing_performance"] == 15831


def test_an_ideal_machine_tells_peaks_alone() -> None:
    derived = {line.key: line.value for line in derive(catalog.load("clusters", "humanity"))}
    assert derived["peak_fp32_flop_per_s"] == pytest.approx(8.2e9 / 5)
    assert not any("power_w" in key for key in derived)


@pytest.mark.parametrize("name", catalog.names("models"))
def test_the_parts_of_a_model_sum_to_its_parameters(name: str) -> None:
    model = catalog.load("models", name)
    derived = {line.key: line.value for line in derive(model)}
    whole = derived.pop("parameters")
    derived.pop("active_parameters")
    assert whole == parameters.count(model).total
    assert sum(value for key, value in derived.items() if key.endswith("_parameters")) == whole


def test_a_model_stands_beside_its_published_total() -> None:
    model = catalog.load("models", "llama-3.1-405b")
    derived = {line.key: line.value for line in derive(model)}
    assert model.published_parameters is not None
    expected = derived["parameters"] / model.published_parameters.value - 1
    assert derived["published_parameters_difference"] == pytest.approx(expected)
    assert "against published" in call("show", "llama-3.1-405b").stdout


def test_a_name_of_two_kinds_offers_the_other() -> None:
    assert "h100-sxm (accelerator)" in call("show", "h100-sxm").stdout
    assert "next: sim show calibration/h100-sxm" in call("show", "h100-sxm").stdout
    assert "h100-sxm (calibration)" in call("show", "calibration/h100-sxm").stdout


@pytest.mark.parametrize(
    ("name", "meant"), [("h100", "h100-sxm"), ("H100 SXM", "h100-sxm"), ("lama-3.1-405b", "llama-3.1-405b")]
)
def test_an_unknown_name_offers_those_that_look_alike(name: str, meant: str) -> None:
    outcome = call("show", name)
    assert outcome.exit_code == 2
    assert meant in outcome.stderr


def test_a_name_like_nothing_sends_to_the_list() -> None:
    assert "sim list shows what there is" in call("show", "../../etc/passwd").stderr


def test_a_scenario_is_printed_as_it_stands() -> None:
    from sim.cli.rows import scenario_files

    name, file = next(iter(scenario_files().items()))
    assert call("show", name).stdout.strip() == file.read_text(encoding="utf-8").strip()
    assert json.loads(call("show", name, "--json").stdout)["text"] == file.read_text(encoding="utf-8")

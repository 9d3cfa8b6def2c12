"""`sim list`: every entry in its table, at 80 columns, with the numbers of the catalogue."""

import json

import pytest

from sim.cli.rows import KINDS, names_of, rows_of, scenario_files
from sim.spec import catalog
from tests.helpers.command import call


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_stands_in_a_table_that_fits(kind: str) -> None:
    outcome = call("list", kind)
    assert outcome.exit_code == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in outcome.stdout, "no cell is cut"
    first_words = {line.split()[0] for line in lines if line.strip()}
    assert set(names_of(kind)) <= first_words
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_json_holds_every_entry_once(kind: str) -> None:
    data = json.loads(call("list", kind, "--json").stdout)
    assert data["kind"] == kind
    assert sorted(entry["name"] for entry in data["entries"]) == sorted(names_of(kind))
    assert not any(key.startswith("_") for entry in data["entries"] for key in entry)


def test_numbers_are_those_of_the_catalogue() -> None:
    (line,) = [line for line in call("list", "accelerators").stdout.splitlines() if line.startswith("h100-sxm")]
    assert line.split() == ["h100-sxm", "989.4", "1979", "80", "GiB", "3.35", "450", "700", "2022-09"]
    row = next(row for row in rows_of("accelerators") if row["name"] == "h100-sxm")
    assert row["memory_bytes"] == 80 * 2**30
    assert row["memory_bandwidth_bytes_per_s"] == pytest.approx(3.35e12)


def test_a_chip_without_bf16_shows_its_fp16_peak() -> None:
    chips = {row["name"]: row for row in rows_of("accelerators")}
    volta = catalog.load("accelerators", "v100-sxm2-32gb")
    assert "bf16" not in volta.peak_flop_per_s
    assert chips["v100-sxm2-32gb"]["peak_16bit_flop_per_s"] == volta.peak_flop_per_s["fp16"].value


def test_chips_stand_by_vendor_the_newest_first() -> None:
    rows = rows_of("accelerators")
    vendors = [row["vendor"] for row in rows]
    assert len(set(vendors)) == sum(1 for a, b in zip(vendors, ["", *vendors], strict=False) if a != b)
    years = [int(row["released"][:4]) for row in rows if row["vendor"] == "NVIDIA"]
    assert years == sorted(years, reverse=True)


def test_clusters_have_the_peak_of_all_their_devices() -> None:
    row = next(row for row in rows_of("clusters") if row["name"] == "meta-24k-h100")
    assert row["peak_16bit_flop_per_s"] == pytest.approx(24576 * 989.4e12)


def test_without_a_kind_it_counts() -> None:
    outcome = call("list")
    counts = {line.split()[0]: line.split()[1] for line in outcome.stdout.splitlines() if line.startswith(tuple(KINDS))}
    assert counts == {kind: str(len(names_of(kind))) for kind in KINDS}
    assert json.loads(call("list", "--json").stdout)["kinds"] == {kind: len(names_of(kind)) for kind in KINDS}


def test_titles_are_shown_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    title = "NVIDIA DGX/HGX H100"
    assert title not in call("list", "nodes").stdout
    monkeypatch.setenv("COLUMNS", "160")
    assert title in call("list", "nodes").stdout


def test_a_narrow_terminal_cuts_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    names = {line.split()[0] for line in call("list", "models").stdout.splitlines() if line.strip()}
    assert set(catalog.names("models")) <= names


def test_singular_is_understood() -> None:
    assert call("list", "accelerator").stdout == call("list", "accelerators").stdout


@pytest.mark.parametrize(
    ("kind", "mend"),
    [("modles", "did you mean models"), ("xyzzy", "one of accelerators")],
)
def test_an_unknown_kind_is_named(kind: str, mend: str) -> None:
    outcome = call("list", kind)
    assert outcome.exit_code == 2
    assert mend in outcome.stderr


def test_scenarios_say_what_they_show() -> None:
    titles = {row["name"]: row["title"] for row in rows_of("scenarios")}
    assert titles.keys() == scenario_files().keys()
    assert all(titles.values())

"""The catalogue as a whole: every file loads, names what exists, and says where its numbers come from."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import CatalogError
from sim.spec import catalog, yaml
from sim.spec.quantity import FrozenModel, Sourced

KINDS = ("accelerators", "nodes", "fabrics", "clusters", "models")
ENTRIES = [(kind, name) for kind in KINDS for name in catalog.names(kind)]


def numbers(entry: object, path: str = "") -> Iterator[tuple[str, Sourced]]:
    """Walk all sourced numbers of an entry."""
    if isinstance(entry, Sourced):
        yield path, entry
    elif isinstance(entry, FrozenModel):
        for name in type(entry).model_fields:
            yield from numbers(getattr(entry, name), f"{path}.{name}")
    elif isinstance(entry, dict):
        for name, value in entry.items():
            yield from numbers(value, f"{path}.{name}")


@pytest.mark.parametrize(("kind", "least"), list(zip(KINDS, (65, 28, 21, 30, 95), strict=True)))
def test_the_catalogue_has_many_entries(kind: str, least: int) -> None:
    assert len(catalog.names(kind)) >= least


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_file_loads_under_its_name_and_says_where_its_numbers_come_from(kind: str, name: str) -> None:
    entry = catalog.load(kind, name)
    assert getattr(entry, "name", None) == name
    assert getattr(entry, "title", None)
    for path, number in numbers(entry):
        assert number.status != "given", path
        assert number.date is not None, path
        assert number.source != "memory" or number.status in {"memory", "preliminary"}, path
    if kind != "accelerators":
        assert getattr(entry, "source_status", "given") != "given"
        assert getattr(entry, "source_date", None)


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_files_read_well_by_hand(kind: str, name: str) -> None:
    text = catalog.path(kind, name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert "\t" not in text
    assert not re.search(r" +$", text, re.MULTILINE)
    assert max(len(line) for line in text.splitlines()) <= 200


def test_every_name_in_an_entry_exists() -> None:
    for name in catalog.names("accelerators"):
        chip = catalog.load("accelerators", name)
        for kind, other in (("nodes", chip.node), ("fabrics", chip.fabric)):
            assert other is None or catalog.path(kind, other).is_file()
    for name in catalog.names("nodes"):
        assert catalog.path("accelerators", catalog.load("nodes", name).accelerator).is_file()
    named_by = {catalog.load("accelerators", name).node for name in catalog.names("accelerators")}
    # The DGX-2 holds the V100 of another board, and an UltraServer is four of the usual nodes.
    assert set(catalog.names("nodes")) - named_by == {"dgx2-v100", "trn2-ultraserver"}
    for name in catalog.names("clusters"):
        machine = catalog.load("clusters", name)
        assert catalog.path("accelerators", machine.accelerator).is_file()
        for kind, other in (("nodes", machine.node), ("fabrics", machine.fabric)):
            assert other is None or catalog.path(kind, other).is_file()


def test_the_node_of_a_chip_has_the_links_of_the_chip() -> None:
    for name in catalog.names("accelerators"):
        chip = catalog.load("accelerators", name)
        if chip.node is None:
            continue
        node = catalog.load("nodes", chip.node)
        # Cards without a network of their own meet through the host.
        link = chip.scale_up_bandwidth_bytes_per_s or chip.host_bandwidth_bytes_per_s
        assert link is not None
        assert node.scale_up_bandwidth_bytes_per_s.value == link.value, name


NODE_IS_SLOWER_THAN_ITS_FABRIC = {
    "v100-sxm2-16gb": "four cards for eight chips",
    "v100-sxm2-32gb": "four cards for eight chips",
    "rtx-4090": "one card for eight",
}


def test_the_network_cards_of_a_node_match_its_usual_fabric() -> None:
    differ = set()
    for name in catalog.names("accelerators"):
        chip = catalog.load("accelerators", name)
        if chip.node is None or chip.fabric is None:
            continue
        cards = catalog.load("nodes", chip.node).scale_out_bandwidth_bytes_per_s
        fabric = catalog.load("fabrics", chip.fabric)
        assert fabric.role == "scale-out"
        if cards is not None and cards.value != fabric.link_bandwidth_bytes_per_s.value:
            differ.add(name)
    assert differ == set(NODE_IS_SLOWER_THAN_ITS_FABRIC)


def test_clusters_fit_on_their_fabric_and_hold_the_chips_of_their_node() -> None:
    for name in catalog.names("clusters"):
        machine = catalog.load("clusters", name)
        if machine.fabric is not None:
            most = catalog.load("fabrics", machine.fabric).max_devices
            assert most is None or machine.count <= most, name
        if machine.node is not None:
            assert machine.count % catalog.load("nodes", machine.node).devices == 0, name


def test_a_chip_without_measurements_of_its_own_says_whose_curves_it_borrows() -> None:
    own = {"h100-sxm", "h200-sxm", "a100-80gb-sxm", "b200-sxm", "gb200", "b300-sxm", "gb300", "l40s", "rtx-pro-6000"}
    for name in catalog.names("accelerators"):
        chip = catalog.load("accelerators", name)
        assert (chip.calibration_note is None) == (name in own), name


@pytest.mark.parametrize("name", catalog.names("accelerators"))
def test_the_calibration_family_of_a_chip_exists(name: str) -> None:
    assert catalog.load("accelerators", name).calibration in catalog.names("calibration")


def test_listing_names_reads_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(yaml, "load", refuse)
    catalog.names.cache_clear()
    assert "h100-sxm" in catalog.names("accelerators")
    assert list(catalog.names("models")) == sorted(catalog.names("models"))


def test_an_entry_is_read_once() -> None:
    assert catalog.load("nodes", "hgx-h100") is catalog.load("nodes", "hgx-h100")


@pytest.mark.parametrize(
    ("kind", "name", "suggestion"),
    [
        ("accelerators", "h100", "h100-sxm"),
        ("accelerators", "H100-SXM", "h100-sxm"),
        ("accelerators", "mi300", "mi300x"),
        ("fabrics", "infiniband-ndr", "infiniband-ndr400"),
        ("models", "llama-405b", "llama-3.1-405b"),
    ],
)
def test_an_unknown_name_is_answered_with_the_likely_one(kind: str, name: str, suggestion: str) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog.load(kind, name)
    assert suggestion in caught.value.mend
    assert caught.value.value == name


@pytest.mark.parametrize("name", ["", "../nodes/hgx-h100", "no such thing at all", "x" * 10_000])
def test_what_is_no_name_is_refused_without_a_file_being_opened(name: str) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog.path("accelerators", name)
    assert len(str(caught.value)) < 500


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(CatalogError, match="no such kind"):
        catalog.names("planets")


def test_a_file_under_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "nodes"
    folder.mkdir()
    text = catalog.path("nodes", "hgx-h100").read_text(encoding="utf-8")
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(catalog, "root", lambda: tmp_path)
    catalog.names.cache_clear()
    try:
        with pytest.raises(CatalogError, match="name of its file"):
            catalog.load("nodes", "mine")
    finally:
        catalog.names.cache_clear()


def test_loading_a_chip_its_node_and_its_fabric_is_quick() -> None:
    spent = []
    for _ in range(5):
        catalog.load.cache_clear()
        start = time.process_time()
        catalog.load("accelerators", "h100-sxm")
        catalog.load("nodes", "hgx-h100")
        catalog.load("fabrics", "infiniband-ndr400")
        spent.append(time.process_time() - start)
    assert min(spent) <= 0.020

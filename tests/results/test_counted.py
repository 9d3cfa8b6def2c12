"""Every query that explains a figure counts that figure again, from the tables of the record alone."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sim.results.charts.spread import latencies
from sim.results.counted import counted
from sim.results.explain import explain, sql_of
from sim.results.quantities import quantities
from sim.results.record import TABLES, Record, read
from sim.results.stored import StoredTables, query
from sim.spec.load import load_document, read_scenario
from sim.study.scenarios import run_scenario
from tests.helpers.command import call

pytest.importorskip("duckdb", reason="duckdb is not installed")
ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = {
    "serving/chat": ["workloads.0.requests.duration=2 min", "workloads.0.requests.warm_up=20 s"],
    "serving/two-tenants": ["workloads.0.requests.duration=10 s", "workloads.1.requests.arrivals.at_once=200"],
    "graphs/generate-check-synthesize": ["workloads.0.tasks.count=15"],
    "clusters/tenants": [],
    "clusters/two-generations": [],
    "clusters/service-beside-jobs": ["workloads.0.requests.duration=20 s"],
}
LEAST = {"clusters/two-generations": 35, "serving/two-tenants": 150, "graphs/generate-check-synthesize": 90}
KEPT: list[TemporaryDirectory[str]] = []
"""Until the tests end."""


@cache
def folder_of(name: str) -> Path:
    document = load_document(ROOT / "scenarios" / f"{name}.yaml", SCENARIOS[name])
    KEPT.append(TemporaryDirectory())
    folder = Path(KEPT[-1].name) / "record"
    run_scenario(read_scenario(document), document=document).write(folder)
    return folder


def queries(record: Record) -> Iterator[tuple[str, float, str]]:
    for path, value in quantities(record).items():
        if sql := sql_of(record, path):
            yield path, value, sql


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_query_gives_its_figure(name: str) -> None:
    folder = folder_of(name)
    held = list(queries(read(folder)))
    # One question for all of them: a union of what each would answer.
    every = " union all ".join(
        f"select {place} as place, value, rows from ({sql})" for place, (*_, sql) in enumerate(held)
    )
    _, rows = query(folder / TABLES, every)
    found = {place: (value, count) for place, value, count in rows}
    for place, (path, value, sql) in enumerate(held):
        assert found[place][0] == pytest.approx(value, rel=1e-9, abs=1e-300), (path, sql)
    assert len(held) >= LEAST.get(name, 40)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_figure_is_left_without_a_rule(name: str) -> None:
    record = read(folder_of(name))
    for path in record.result["values"]:
        assert counted(record, path) is not None, path


def test_what_is_explained_can_be_asked_again_on_the_command_line() -> None:
    folder = folder_of("serving/chat")
    found = explain(read(folder), "chat.ttft_s.p99")
    assert found.computed == pytest.approx(found.value, rel=1e-12)
    assert found.rows == read(folder).result["values"]["chat.finished"]["value"]
    asked = call("query", str(folder), found.sql, "--csv")
    assert asked.exit_code == 0, asked.stderr
    value, rows = asked.stdout.splitlines()[1].split(",")
    assert (float(value), int(rows)) == (pytest.approx(found.value), found.rows)
    told = call("explain", str(folder), "chat.ttft_s.p99")
    assert f"from {found.rows:,} rows" in told.stdout
    assert "sim query" in told.stdout


def test_pictures_leave_out_the_warm_up_as_the_figures_do() -> None:
    record = read(folder_of("serving/chat"))
    charts = {chart.name: chart for chart in latencies(record)}
    shown = explain(record, "chat.ttft_s.p99").shown
    assert f"p99 {shown}" in charts["latency-ttft"].label
    counts = record.result["values"]["chat.finished"]["value"]
    assert f"Share of {counts:,.0f} " in charts["latency-ttft"].note
    assert "of the warm-up are left out" in charts["latency-ttft"].note


def test_accounts_are_of_the_whole_cluster() -> None:
    record = read(folder_of("clusters/service-beside-jobs"))
    held = float(record.tables["accounts"]["device_seconds"].sum())
    assert held == pytest.approx(record.result["devices"] * record.result["wall_clock_s"], rel=1e-9)


def test_to_explain_a_figure_reads_no_table_into_memory() -> None:
    """Whether a table is there is told by its file; the query reads what it needs."""
    record = read(folder_of("serving/chat"))
    assert explain(record, "chat.ttft_s.p99").computed is not None
    assert isinstance(record.tables, StoredTables)
    assert record.tables._read == {}

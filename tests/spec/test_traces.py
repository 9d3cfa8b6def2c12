"""Traces of every format: what is read, in which unit, and every bad line with its number."""

import contextlib
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.spec.traces import FORMATS, open_trace, read_trace
from tests.helpers.shared_data import SHARED

COMMON = "arrived_at,num_prefill_tokens,num_decode_tokens"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
MOONCAKE = '{"timestamp": 500, "input_length": 1030, "output_length": 7, "hash_ids": [4, 5, 6]}'
FIRST = (
    '{"request_id": "a", "timestamp": 2000, "input_length": 512, "output_length": 7, "hash_ids": [1], "wait_for": []}'
)
SECOND = '{"request_id": "b", "input_length": 600, "output_length": 3, "wait_for": ["a"], "tool_wait_ms": 250}'


def write(folder: Path, *lines: str) -> Path:
    path = folder / "trace.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_common(tmp_path: Path) -> None:
    path = write(tmp_path, COMMON, "0.5,100,20", "0.5, 1e2 ,20", "7,3,1")
    rows = read_trace(path)
    assert open_trace(path).format == "common"
    assert rows.arrival_s.tolist() == [0.5, 0.5, 7.0]
    assert rows.input_tokens.tolist() == [100, 100, 3]
    assert rows.output_tokens.tolist() == [20, 20, 1]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "note,num_decode_tokens,Arrived_At,num_prefill_tokens", "x,1,2,3")
    rows = read_trace(path)
    assert (rows.arrival_s[0], rows.input_tokens[0], rows.output_tokens[0]) == (2.0, 3, 1)


def test_azure_dates_begin_at_the_first(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        AZURE,
        "2023-11-16 18:17:03.9799600,4808,10",
        "2023-11-16 18:17:04.0319600,3180,8",
        "2023-11-17 18:17:04.0319600+00:00,5,8",
    )
    rows = read_trace(path)
    assert open_trace(path).format == "azure"
    assert rows.arrival_s == pytest.approx([0.0, 0.052, 86400.052], abs=1e-6)


def test_burstgpt_leaves_failed_requests_out_and_counts_them(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        BURST,
        "5,ChatGPT,472,18,490,Conversation log",
        "45,ChatGPT,1087,0,1087,Conversation log",
        "118,GPT-4,417,276,693,API log",
    )
    trace = open_trace(path)
    chunks = list(trace.chunks())
    assert trace.format == "burstgpt"
    assert chunks[0].arrival_s.tolist() == [5.0, 118.0]
    assert trace.left_out == 1


def test_mooncake_counts_in_milliseconds(tmp_path: Path) -> None:
    path = write(tmp_path, MOONCAKE, MOONCAKE.replace("[4, 5, 6]", "[4, 9]"))
    rows = read_trace(path)
    assert open_trace(path).format == "mooncake"
    assert rows.arrival_s.tolist() == [0.5, 0.5]
    assert rows.hash_ids == [(4, 5, 6), (4, 9)]


def test_agentic_requests_wait_for_others(tmp_path: Path) -> None:
    path = write(tmp_path, FIRST, SECOND)
    rows = read_trace(path)
    assert open_trace(path).format == "agentic"
    assert rows.arrival_s[0] == 2.0
    assert np.isnan(rows.arrival_s[1])
    assert rows.request_ids == ["a", "b"]
    assert rows.wait_for == [(), ("a",)]
    assert rows.tool_wait_s is not None
    assert rows.tool_wait_s.tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    "line",
    [
        '{"arrival_time": 1787267980.25, "input_toks": 10, "output_toks": 5}',
        '{"arrival_time_ns": 1787267980250000000, "prompt_len": 10, "output_len": 5}',
        '{"arrived_at": 3, "prompt_tokens": 10, "completion_tokens": 5, "prompt": "hello"}',
    ],
)
def test_requests_of_benchmarks(tmp_path: Path, line: str) -> None:
    rows = read_trace(write(tmp_path, line))
    assert (rows.arrival_s[0], rows.input_tokens[0], rows.output_tokens[0]) == (0.0, 10, 5)


@pytest.mark.parametrize(
    ("lines", "where", "said"),
    [
        ((COMMON, "0,1,1", "x,1,1"), 3, "a number stands here"),
        ((COMMON, "0,1,1", "", "1,1,1"), 3, "a line is empty"),
        ((COMMON, "0,1,1", "1,1", "2,1,1"), 3, "a line has 3 values"),
        ((COMMON, "0,1,1", "1,1,1,9", "2,1,1"), 3, "a line has 3 values"),
        ((COMMON, "0,1,1", "nan,1,1"), 3, "arrived_at is a time"),
        ((COMMON, "0,1,1", "-1,1,1"), 3, "arrived_at is a time"),
        ((COMMON, "0,1,1", "inf,1,1"), 3, "arrived_at is a time"),
        ((COMMON, "0,1,1", "1e999,1,1"), 3, "arrived_at is a time"),
        ((COMMON, "0,1,1", "1,0,1"), 3, "num_prefill_tokens is a whole number of tokens"),
        ((COMMON, "0,1,1", "1,1.5,1"), 3, "num_prefill_tokens is a whole number of tokens"),
        ((COMMON, "0,1,1", "1,1,1e12"), 3, "num_decode_tokens is a whole number of tokens"),
        ((COMMON, "0,1,1", "2,1,1", "1,1,1"), 4, "in the order of their arrival"),
        ((AZURE, "2023-11-16 18:17:03,1,1", "yesterday,1,1"), 3, "TIMESTAMP is a date"),
        ((AZURE, "2023-11-16 18:17:03,1,1", "NaT,1,1"), 3, "TIMESTAMP is a date"),
        ((AZURE, "2023-11-16 18:17:03,1,1", "2023-11-16 18:17:04,x,1"), 3, "are numbers"),
        ((AZURE, "2023-11-16 18:17:03,1,1", "2023-11-16 18:17:04,1"), 3, "a line has 3 values"),
        ((BURST, "5,m,1,1,2,a", "6,m,-1,1,2,a"), 3, "request tokens is a whole number"),
        ((BURST, "5,m,1,1,2,a", "6,m,1,0,2,a", "4,m,1,1,2,a"), 4, "in the order of their arrival"),
        ((MOONCAKE, "{"), 2, "a line is one JSON object"),
        ((MOONCAKE, "[" * 200_000), 2, "a line is one JSON object"),
        ((MOONCAKE, MOONCAKE + "," + MOONCAKE), 2, "a line is one JSON object"),
        ((MOONCAKE, "7"), 2, "a line is one JSON object"),
        ((MOONCAKE, "{}"), 2, "a request has timestamp"),
        ((MOONCAKE, MOONCAKE.replace("500", '"500"')), 2, "timestamp is a number"),
        ((MOONCAKE, MOONCAKE.replace("500", "true")), 2, "timestamp is a number"),
        ((MOONCAKE, MOONCAKE.replace("500", "NaN")), 2, "timestamp (in ms) is a time"),
        ((MOONCAKE, MOONCAKE.replace("500", "9" * 400)), 2, "timestamp is a number"),
        ((MOONCAKE, MOONCAKE.replace("[4, 5, 6]", "[1, 2, 3, 4]")), 2, "one id for each 512 tokens"),
        ((MOONCAKE, MOONCAKE.replace("[4, 5, 6]", '["x"]')), 2, "hash_ids is a list of whole numbers"),
        ((MOONCAKE, MOONCAKE.replace("[4, 5, 6]", "5")), 2, "hash_ids is a list of whole numbers"),
        ((FIRST, SECOND.replace('["a"]', '"a"')), 2, "wait_for is a list"),
        ((FIRST, SECOND.replace('["a"]', "[]")), 2, "has a timestamp"),
        ((FIRST, SECOND.replace('"b"', "7")), 2, "a request_id, a text"),
        ((FIRST, SECOND.replace("250", "-1")), 2, "tool_wait_ms is a time"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number(tmp_path: Path, lines: tuple[str, ...], where: int, said: str) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(ScenarioError) as raised:
        read_trace(path)
    assert said in raised.value.rule
    assert raised.value.where == f"{path}:{where}"
    assert len(str(raised.value)) < 600


def test_the_number_is_right_far_into_a_file(tmp_path: Path) -> None:
    lines = [COMMON, *(f"{index},1,1" for index in range(200_000))]
    lines[150_001] = "150000,1,x"
    path = write(tmp_path, *lines)
    with pytest.raises(ScenarioError) as raised:
        read_trace(path)
    assert raised.value.where == f"{path}:150002"
    lines[150_001] = "149000,1,1"
    with pytest.raises(ScenarioError) as raised:
        read_trace(write(tmp_path, *lines))
    assert raised.value.where == f"{path}:150002"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with a header"),
        (b"a,b,c\n1,2,3\n", "belongs to no known format"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "belongs to no known format"),
        (b"\xff\xfe\x00\x01" * 100, "belongs to no known format"),
        (b"[" * 300_000, "belongs to no known format"),
    ],
)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=said):
        read_trace(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        open_trace(tmp_path / "none.csv")
    with pytest.raises(ScenarioError, match="Is a directory"):
        open_trace(tmp_path)
    with pytest.raises(ScenarioError, match="no path"):
        open_trace("a\0b")


def test_a_stated_format_needs_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path, COMMON, "0,1,1")
    with pytest.raises(ScenarioError, match="the header has no column timestamp") as raised:
        open_trace(path, "azure")
    assert raised.value.where == f"{path}:1"
    with pytest.raises(ScenarioError, match="no such format"):
        open_trace(path, "parquet")


def test_bytes_that_are_no_text_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"\ufeff{COMMON}\r\n0,1,1\r\n".encode() + b"1,\xff,1\r\n")
    with pytest.raises(ScenarioError) as raised:
        read_trace(path)
    assert raised.value.where == f"{path}:3"
    assert str(raised.value).isprintable() or "\n" in str(raised.value)


def test_empty_lines_at_the_end_are_no_requests(tmp_path: Path) -> None:
    assert len(read_trace(write(tmp_path, COMMON, "0,1,1", "", "  ", ""))) == 1
    assert len(read_trace(write(tmp_path, COMMON))) == 0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 10**7), st.integers(1, 10**7)), min_size=1))
@settings(deadline=None, max_examples=30)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, int, int]]) -> None:
    rows = sorted(rows)
    folder = tmp_path_factory.mktemp("trace")
    lines = [f"{arrival!r},{asked},{answered}" for arrival, asked, answered in rows]
    found = read_trace(write(folder, COMMON, *lines))
    assert list(zip(found.arrival_s, found.input_tokens, found.output_tokens, strict=True)) == rows
    objects = [
        json.dumps({"arrival_s": arrival, "input_tokens": asked, "output_tokens": answered})
        for arrival, asked, answered in rows
    ]
    again = read_trace(write(folder, *objects))
    assert again.arrival_s.tolist() == [arrival - rows[0][0] for arrival, _, _ in rows]


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_no_bytes_crash_a_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("trace") / "x"
    path.write_bytes(content)
    for kind in ("auto", *FORMATS):
        with contextlib.suppress(ScenarioError):
            assert len(read_trace(path, kind)) >= 0


def test_a_long_trace_takes_little_memory_and_time(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(COMMON + "\n" + "".join(f"{i * 0.155:.6f},{i % 4000 + 1},{i % 500 + 1}\n" for i in range(500_000)))
    start = time.process_time()
    assert sum(len(rows) for rows in open_trace(path).chunks()) == 500_000
    assert time.process_time() - start < 2.5
    tracemalloc.start()
    for _ in open_trace(path).chunks():
        pass
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("traces/splitwise_conv.csv", "common", 19366),
        ("traces/splitwise_code.csv", "common", 8819),
        ("traces/serving/common10000.csv", "common", 10000),
        ("traces/serving/agentic_bestof4.jsonl", "agentic", 9000),
        ("serving_runs/RTX4090/Llama-3.1-8B/vllm/requests.jsonl", "requests", 300),
    ],
)
def test_real_files(name: str, kind: str, count: int) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/{name}, which is not shipped")
    assert open_trace(path).format == kind
    assert len(read_trace(path)) == count

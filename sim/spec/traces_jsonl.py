"""Traces of one JSON object a line: Mooncake, its agentic form, and requests as benchmarks of engines record them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.spec.traces_rows import HASHED_TOKENS, BadLineError, Rows, times, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MILLISECONDS, NANOSECONDS = 1e-3, 1e-9
_INPUT = ("input_toks", "input_tokens", "prompt_tokens", "prompt_len", "input_len", "input_length")
_OUTPUT = (
    "output_toks",
    "output_tokens",
    "completion_tokens",
    "output_len",
    "expected_output_len",
    "output_length",
)
_ARRIVAL = {
    "arrival_time": 1.0,
    "arrival_s": 1.0,
    "arrived_at": 1.0,
    "timestamp_s": 1.0,
    "arrival_time_ms": MILLISECONDS,
    "arrival_time_ns": NANOSECONDS,
}
"""Names of the arrival, with what makes them s."""


@dataclass(frozen=True, slots=True)
class JsonlFormat:
    """How the first line of a format looks, and how its lines are read."""

    example: str
    test: Callable[[dict[str, Any]], bool]
    read: Callable[[list[dict[str, Any]]], Rows]

    def begins(self, line: str) -> bool:
        """Tell whether a first line is a request in this format."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and self.test(found)

    def parser(self, header: str) -> Callable[[list[str]], Rows]:
        """Give the function that reads lines; there is no header."""
        assert not header
        return lambda lines: self.read(_objects(lines))


def _objects(lines: list[str]) -> list[dict[str, Any]]:
    """Read a block as one list: half the time of line by line.

    Raises:
        BadLineError: a line is empty or no JSON object.
    """
    try:
        found = json.loads(f"[{','.join(lines)}]")
    except (ValueError, RecursionError):
        if len(lines) == 1 and not lines[0].strip():
            raise BadLineError("a line is empty", "an empty line", "take it out") from None
        raise BadLineError("a line is one JSON object") from None
    if len(found) != len(lines) or set(map(type, found)) != {dict}:
        raise BadLineError("a line is one JSON object")
    return found  # type: ignore[no-any-return]


def _column(rows: list[dict[str, Any]], key: str) -> NDArray[np.float64]:
    """Give the numbers under one key.

    Raises:
        BadLineError: a row has no such key, or something else than a number under it.
    """
    try:
        values = [row[key] for row in rows]
    except KeyError:
        raise BadLineError(f"a request has {key}", f"no {key}") from None
    if not set(map(type, values)) <= {int, float}:
        raise BadLineError(f"{key} is a number", next(str(v) for v in values if type(v) not in {int, float}))
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise BadLineError(f"{key} is a number", "a number beyond all floats") from None


def _mooncake(rows: list[dict[str, Any]]) -> Rows:
    arrival_s = times(_column(rows, "timestamp"), "timestamp (in ms)", MILLISECONDS)
    return _lengths(rows, arrival_s)


def _lengths(rows: list[dict[str, Any]], arrival_s: NDArray[np.float64]) -> Rows:
    input_tokens = tokens(_column(rows, "input_length"), "input_length")
    output_tokens = tokens(_column(rows, "output_length"), "output_length")
    return Rows(arrival_s, input_tokens, output_tokens, _hashes(rows, input_tokens))


def _hashes(rows: list[dict[str, Any]], input_tokens: NDArray[np.int64]) -> list[tuple[int, ...]] | None:
    found = [row.get("hash_ids", ()) for row in rows]
    if not any(found):
        return [()] * len(rows)
    if not set(map(type, found)) <= {list, tuple} or {type(each) for ids in found for each in ids} != {int}:
        raise BadLineError("hash_ids is a list of whole numbers")
    most = -(-input_tokens // HASHED_TOKENS)
    if (np.fromiter(map(len, found), dtype=np.int64, count=len(found)) > most).any():
        raise BadLineError(f"hash_ids has one id for each {HASHED_TOKENS} tokens of the input, and no more")
    return [tuple(ids) for ids in found]


def _agentic(rows: list[dict[str, Any]]) -> Rows:
    """Read requests of which some wait for others: those have no time of their own."""
    for row in rows:
        waits = row.get("wait_for", [])
        if not isinstance(waits, list) or not all(isinstance(each, str) for each in waits):
            raise BadLineError("wait_for is a list of request_ids", str(waits))
        if not isinstance(row.get("request_id"), str):
            raise BadLineError("a request has a request_id, a text", str(row.get("request_id", "no request_id")))
        if not waits and "timestamp" not in row:
            raise BadLineError("a request that waits for no other has a timestamp", row["request_id"])
    given = [row | {"timestamp": row.get("timestamp", 0)} for row in rows]
    arrival_s = times(_column(given, "timestamp"), "timestamp (in ms)", MILLISECONDS).copy()
    waiting = np.fromiter((bool(row.get("wait_for")) for row in rows), dtype=bool, count=len(rows))
    arrival_s[waiting] = np.nan
    read = _lengths(rows, arrival_s)
    read.request_ids = [row["request_id"] for row in rows]
    read.sessions = [str(row.get("session_id", row["request_id"])) for row in rows]
    read.wait_for = [tuple(row.get("wait_for", ())) for row in rows]
    waits = [{"tool_wait_ms": row.get("tool_wait_ms", 0)} for row in rows]
    read.tool_wait_s = times(_column(waits, "tool_wait_ms"), "tool_wait_ms", MILLISECONDS)
    return read


def _requests(rows: list[dict[str, Any]]) -> Rows:
    """Read requests as serving benchmarks write them; the first one of a block says which names it uses."""
    first = rows[0]
    names = [next((name for name in known if name in first), "") for known in (_ARRIVAL, _INPUT, _OUTPUT)]
    for name, known in zip(names, (_ARRIVAL, _INPUT, _OUTPUT), strict=True):
        if not name:
            raise BadLineError(f"a request has one of {', '.join(known)}", ", ".join(map(str, first)))
    arrival, asked, answered = names
    arrival_s = times(_column(rows, arrival), arrival, _ARRIVAL[arrival])
    lengths = tokens(_column(rows, asked), asked), tokens(_column(rows, answered), answered)
    return Rows(arrival_s, *lengths, from_first=True)


def _is_request(row: dict[str, Any]) -> bool:
    return all(any(name in row for name in known) for known in (_ARRIVAL, _INPUT, _OUTPUT))


FORMATS: dict[str, JsonlFormat] = {
    "agentic": JsonlFormat(
        '{"request_id": "a", "timestamp": 0, "input_length": 1024, "output_length": 64, "wait_for": []}',
        lambda row: "wait_for" in row and "request_id" in row,
        _agentic,
    ),
    "mooncake": JsonlFormat(
        '{"timestamp": 0, "input_length": 1024, "output_length": 64, "hash_ids": [1, 2]}',
        lambda row: "timestamp" in row and "input_length" in row,
        _mooncake,
    ),
    "requests": JsonlFormat(
        '{"arrival_time": 0, "input_toks": 1024, "output_toks": 64}',
        _is_request,
        _requests,
    ),
}
"""Formats by name, the most particular first."""

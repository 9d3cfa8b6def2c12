"""Tables of a record in the form that pictures and timelines read, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.results.record import Record

SERIES = ("chart", "line", "time_s", "value")
ANSWERED = ("finished", "done", "answered")
_GROUPS = ("service", "pool", "tool", "tenant", "of", "name", "graph")
"""Columns of a table over time that say whose line it is."""


def series(record: Record) -> dict[str, Any] | None:
    """Give every line over time in long form: the table `series`, and each number of the tables over time.

    A table over time has `time_s`, maybe a column that says whose line it is, and one column for each figure.
    """
    pieces: dict[str, list[Any]] = {name: [] for name in SERIES}
    own = record.tables.get("series")
    if own is not None:
        pieces["chart"].append(_texts(own["chart"]))
        pieces["line"].append(_texts(own["line"]))
        pieces["time_s"].append(np.asarray(own["time_s"], dtype=np.float64))
        pieces["value"].append(np.asarray(own["value"], dtype=np.float64))
    for name in record.tables:
        if name == "timeline" or name.endswith("_timeline"):
            for chart, line, time_s, value in _lines(record.tables[name]):
                count = len(time_s)
                pieces["chart"].append(np.full(count, chart, dtype=object))
                pieces["line"].append(np.full(count, line, dtype=object))
                pieces["time_s"].append(time_s)
                pieces["value"].append(value)
    if not pieces["time_s"]:
        return None
    found = {name: np.concatenate(each) for name, each in pieces.items()}
    return found if len(found["time_s"]) else None


def requests(record: Record) -> dict[str, Any] | None:
    """Give the table of requests with the latencies that follow from its times."""
    table = record.tables.get("requests")
    if table is None or "arrival_s" not in table:
        return None
    found = {name: table[name] for name in table}
    times = {
        name: np.asarray(table[name], dtype=np.float64)
        for name in ("arrival_s", "first_token_s", "finish_s")
        if name in table
    }
    if "ttft_s" not in found and "first_token_s" in times:
        found["ttft_s"] = times["first_token_s"] - times["arrival_s"]
    if len(times) == 3 and "tpot_s" not in found and "output_tokens" in table:  # noqa: PLR2004 - all three of them
        output = np.asarray(table["output_tokens"], dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = (times["finish_s"] - times["first_token_s"]) / (output - 1)
        found["tpot_s"] = np.where(output > 1, each, np.nan)
    if "finish_s" in times and "e2e_s" not in found:
        found["e2e_s"] = times["finish_s"] - times["arrival_s"]
    shown = np.ones(len(times["arrival_s"]), dtype=bool)
    if "status" in found:
        # What was given up or turned away has no latency of an answer.
        shown = np.array([str(status) in ANSWERED for status in found["status"]])
    if "counted" in found:
        # The warm-up is played and drawn over time, and counts in no figure.
        shown &= np.asarray(found["counted"], dtype=bool)
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        if name in found and not shown.all():
            found[name] = np.where(shown, np.asarray(found[name], dtype=np.float64), np.nan)
    return found


def _lines(table: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    if "time_s" not in table:
        return
    times = np.asarray(table["time_s"], dtype=np.float64)
    by = next((name for name in _GROUPS if name in table), None)
    groups = _texts(table[by]) if by is not None else np.full(len(times), "", dtype=object)
    for name in table:
        values = np.asarray(table[name])
        if name in ("time_s", by) or values.dtype.kind not in "fiub":
            continue
        for group in dict.fromkeys(groups.tolist()):
            mine = groups == group
            yield name, group or name.replace("_", " "), times[mine], values[mine].astype(np.float64)


def _texts(values: Any) -> Any:  # noqa: ANN401 - a column of texts
    return np.array([str(value) for value in values], dtype=object)

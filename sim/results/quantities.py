"""Every figure of a result by a dotted name: answer.wall_clock_s.expected, parts.useful compute, chat.ttft_s.p99."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.record import Record

NEAR = 5
_GROUPS = (
    "answer", "values", "utilization", "parts", "flop", "tokens", "energy_j", "cost_usd", "co2_kg", "events", "plan",
    "model", "expected_loss", "rule_of_thumb_s", "levers", "thresholds", "simulated", "wall_clock_s", "devices",
)  # fmt: skip
"""Keys of a result that hold figures, in the order in which they are listed."""
_VALUE_OF = {"levers": "wall_clock_s"}
_SHORT = ("answer.", "values.", "utilization.")


def quantities(record: Record) -> dict[str, float]:
    """Give every figure of a result by its path, in SI."""
    result = record.result
    found: dict[str, float] = {}
    for group in _GROUPS:
        if group in result:
            found |= dict(_walk(result[group], group))
    return found


def assumed(record: Record) -> dict[str, dict[str, Any]]:
    """Give the rows of what was assumed by their path."""
    return {str(row["path"]): row for row in record.result.get("assumptions") or ()}


def find(record: Record, name: str) -> str:
    """Give the path that was meant: the name itself, or the one figure that it is the end of.

    Raises:
        UsageError: there is no such figure, or several that it may be.

    """
    known = [*quantities(record), *assumed(record)]
    wanted = name.strip()
    for candidate in (
        wanted,
        f"{wanted}.expected",
        *(f"{head}{wanted}{tail}" for head in _SHORT for tail in ("", ".expected")),
    ):
        if candidate in known:
            return candidate
    loose = _loose(wanted)
    ends = [path for path in known if _loose(path) == loose] or [path for path in known if _loose(path).endswith(loose)]
    # A figure of the answer comes before the same one of the simulated seeds.
    first = [path for path in ends if not path.startswith("simulated.")] or ends
    if len(first) == 1:
        return first[0]
    if first:
        raise UsageError("several figures have this name", value=name, mend=f"one of {', '.join(first[:8])}")
    holding = [path for path in known if loose and loose in path.lower().replace("_", " ")][:NEAR]
    near = holding or get_close_matches(wanted, known, n=NEAR, cutoff=0.4)
    mend = f"did you mean {', '.join(near)}?" if near else "sim explain RESULT lists them"
    raise UsageError("this result has no such figure", value=name, mend=mend)


def _loose(name: str) -> str:
    return name.lower().replace("-", " ").replace("_", " ")


def _walk(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield path, float(value)
    elif isinstance(value, dict):
        if set(value) == {"value", "unit"}:
            yield path.removeprefix("values."), float(value["value"])
            return
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and "name" in item:
                yield from _entry(item, f"{path}.{item['name']}", _VALUE_OF.get(path, "seconds"))


def _entry(item: dict[str, Any], path: str, value_key: str) -> Iterator[tuple[str, float]]:
    if value_key in item:
        yield path, float(item[value_key])
        return
    for key, inner in item.items():
        if key != "name":
            yield from _walk(inner, f"{path}.{key}")

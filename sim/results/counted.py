"""How a counted figure follows from the tables of a record: the rule in words, and the SQL that gives the same number.

Figures of requests, tasks and jobs are sums, shares and quantiles over rows. Here each is written once more, as a
query over the tables that the record keeps; the tests hold every query against the figure of every scenario.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.results.counted_rules import (
    ALONE,
    LATENCIES,
    OF_ALL_JOBS,
    OF_JOBS,
    OF_KINDS,
    OF_REPLICAS,
    PER_TASK,
    SQL,
    TIME_OF_TASKS,
    TOOLS,
)
from sim.results.counted_rules import STATISTICS as WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.counted_rules import Rule
    from sim.results.record import Record

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
LINEAR = ", linear between neighbours (type 7)"


@dataclass(frozen=True, slots=True)
class Counted:
    """One figure as it is counted."""

    rule: str
    """What is counted, over which rows."""
    sql: str = ""
    """A query that gives the value and the number of rows it is of; empty where no table holds what is counted."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that a figure may be about."""

    table: str
    where: str
    words: str


def counted(record: Record, path: str) -> Counted | None:
    """Say how a figure of a played run was counted; None for what is no figure of services, tasks, tools or jobs."""
    for rows, key in _about(record, path):
        found = _rule(record, rows, key)
        if found is None:
            continue
        words, expression, kept = found
        rule = f"{words}, over {rows.words}" if rows.words else words
        if not expression or rows.table not in record.tables:
            return Counted(rule)
        where = " and ".join(each for each in (rows.where, kept) if each)
        sql = f"select {expression} as value, count(*) as rows from {rows.table}"  # noqa: S608 - a table of ours; names of users are quoted
        return Counted(rule, f"{sql} where {where}" if where else sql)
    head, _, key = path.partition(".")
    if head == "kinds" and (last := path.rpartition(".")[2]) in OF_KINDS:
        return Counted(OF_KINDS[last])
    for kind, rules in (("services", ALONE), ("tools", TOOLS)):
        if head in _named(record, kind):
            known = rules.get(key) or rules.get(f"{key.partition('.')[0]}.*")
            return None if known is None else Counted(known)
    return None


def _about(record: Record, path: str) -> Iterator[tuple[_Rows, str]]:
    """Give the rows that a name may speak of, with the rest of the name; names of the user's may hold dots."""
    for label in _labels(record, "tasks"):
        if path.startswith(f"{label}."):
            yield _Rows("tasks", f"workload = {_text(label)}", f"tasks of {label}"), path.removeprefix(f"{label}.")
    for service in _named(record, "services"):
        if path.startswith(f"{service}."):
            yield from _of_service(record, service, path.removeprefix(f"{service}."))
    if path.startswith("parts."):
        account = path.removeprefix("parts.")
        yield _Rows("accounts", f"account = {_text(account)}", ""), "seconds"
    if path == "makespan_s":
        yield _Rows("jobs", "", "jobs that ended"), path
    if path == "allocated":
        yield _Rows("accounts", "", ""), path
    if path.startswith("jobs."):
        rest = path.removeprefix("jobs.")
        yield _Rows("jobs", "", "jobs"), rest
        *tenant, stem, name = rest.split(".")
        named = ".".join(tenant)
        yield _Rows("jobs", f"tenant = {_text(_nobody(named))}", f"jobs of {named}"), f"{stem}.{name}"


def _of_service(record: Record, service: str, rest: str) -> Iterator[tuple[_Rows, str]]:
    of = f"service = {_text(service)}"
    after = "that came after the warm-up"
    for label in _labels(record, "requests"):
        if rest.startswith(f"{label}."):
            where = f"{of} and workload = {_text(label)} and counted"
            yield _Rows("requests", where, f"requests of {label} {after}"), rest.removeprefix(f"{label}.")
    if rest.startswith("tenants."):
        named = rest.removeprefix("tenants.")
        for key in SQL["requests"] | dict.fromkeys(f"{stem}.{name}" for stem in LATENCIES for name in WORDS):
            if named.endswith(f".{key}"):
                tenant = named.removesuffix(f".{key}")
                where = f"{of} and tenant = {_text(_nobody(tenant))} and counted"
                yield _Rows("requests", where, f"requests of {tenant} {after}"), key
    yield _Rows("requests", f"{of} and counted", f"requests of {service} {after}"), rest
    yield _Rows("requests", of, ""), f"{service}.{rest}"
    yield _Rows("timeline", of, ""), rest
    yield _Rows("jobs", of, f"gangs of {service}"), rest


def _rule(record: Record, rows: _Rows, key: str) -> Rule | None:
    """Give the rule of a figure of some rows: its words, its expression in SQL, and which of the rows it is of."""
    stem, _, name = key.rpartition(".")
    spread = {"requests": LATENCIES, "jobs": OF_JOBS, "tasks": TIME_OF_TASKS}.get(rows.table, {})
    if stem in spread and name in WORDS:
        words, expression, kept = spread[stem]
        linear = LINEAR if name in QUANTILES else ""
        return f"{WORDS[name]} of {words}{linear}", _statistic(expression, name), kept
    if rows.table == "jobs":
        return (OF_REPLICAS if rows.where else OF_ALL_JOBS).get(key)
    if rows.table == "accounts" and key == "seconds":
        return "device-seconds / devices", f"sum(device_seconds) / {record.result['devices']}", ""
    if rows.table == "tasks" and (column := key.removesuffix("_per_task")) in PER_TASK:
        return f"mean of {column}", f"avg({column})", ""
    return SQL.get(rows.table, {}).get(key) or _with_totals(record, rows, key)


def _with_totals(record: Record, rows: _Rows, key: str) -> Rule | None:
    """Give the rule of a figure that shares a total of the services among rows."""
    service, _, figure = key.rpartition(".")
    if rows.table == "requests" and figure in ("joules_per_output_token", "usd_per_output_token"):
        total = f"{service}.{'energy_j' if figure.startswith('joules') else 'cost_usd'}"
        value = _value(record, total)
        words = f"{total} / tokens of output that were delivered, those of the warm-up included"
        return None if value is None else (words, f"{value!r} / sum(output_tokens)", "status = 'finished'")
    unit, _, per = key.partition("_per_")
    shared = {"usd": ("cost_usd", "sum(tool_usd)"), "joules": ("energy_j", "0")}
    if rows.table != "tasks" or unit not in shared or per not in ("task", "solved_task"):
        return None
    total, beside = shared[unit]
    totals = [_value(record, f"{service}.{total}") for service in _named(record, "services")]
    known = [value for value in totals if value is not None]
    flop = math.fsum(each["operations"] for each in record.result["flop"].values())
    if len(known) < len(totals) or not flop:
        return None
    right = " filter (where solved = 1)" if per == "solved_task" else ""
    words = f"({total} of the services x FLOP of the tasks / FLOP of the services + what tools cost) / "
    expression = f"(sum(prefill_flop + decode_flop + wasted_flop) / {flop!r} * {math.fsum(known)!r} + {beside})"
    return f"{words}{'solved ' if right else ''}tasks", f"{expression} / count(*){right}", ""


def _statistic(expression: str, name: str) -> str:
    """Write one statistic of a column in DuckDB's dialect.

    >>> _statistic("finish_s - arrival_s", "p99")
    'quantile_cont(finish_s - arrival_s, 0.99)'
    """
    if name in QUANTILES:
        return f"quantile_cont({expression}, {QUANTILES[name]})"
    return f"{'avg' if name == 'mean' else 'max'}({expression})"


def _named(record: Record, kind: str) -> list[str]:
    """Give the names that the scenario gives to services or tools."""
    rows = (str(row["path"]) for row in record.result.get("origins") or ())
    return list(dict.fromkeys(path.split(".")[1] for path in rows if path.startswith(f"{kind}.")))


def _labels(record: Record, kind: str) -> list[str]:
    """Give the labels of the workloads of a kind: their names, or what they are sent to."""
    found: dict[str, dict[str, str]] = {}
    for row in record.result.get("origins") or ():
        head, _, rest = str(row["path"]).partition(".")
        place, _, field = rest.partition(".")
        if head == "workloads" and field.startswith(f"{kind}."):
            found.setdefault(place, {})[field.removeprefix(f"{kind}.")] = str(row["text"])
    usual = "service" if kind == "requests" else "graph"
    return list(dict.fromkeys(said.get("name") or said.get(usual) or "trace" for said in found.values()))


def _value(record: Record, path: str) -> float | None:
    found = (record.result.get("values") or {}).get(path)
    return None if found is None else float(found["value"])


def _nobody(tenant: str) -> str:
    """Give a tenant as tables hold it; figures call the one without a name nobody."""
    return "" if tenant == "nobody" else tenant


def _text(name: str) -> str:
    quoted = name.replace("'", "''")
    return f"'{quoted}'"

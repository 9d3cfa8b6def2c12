"""One task of a record, run by run: when each call, tool or wait was ready, how long it took, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.errors import UsageError
from sim.results.run_report import Column, Section
from sim.results.words import duration

if TYPE_CHECKING:
    from sim.results.record import Record

BAR = 32
"""Characters of a bar over the whole task."""
PREFIX = "task."


def timeline(record: Record, name: str) -> Section:
    """Give the runs of one task in the order in which they became ready, with a bar for each.

    Args:
        record: a record that was read from its folder.
        name: ``task.N``, for the task in row N of the table of tasks.

    Raises:
        UsageError: the record has no tasks, not so many, or tells nothing of the runs of this one.

    """
    number = name.removeprefix(PREFIX)
    if "tasks" not in record.tables or "calls" not in record.tables:
        raise UsageError(
            "this record has no tasks", value=record.name, mend="sim run a scenario with tasks, with --out"
        )
    tasks, calls = record.tables["tasks"], record.tables["calls"]
    count = len(np.asarray(tasks["number"]))
    if not number.isdigit() or int(number) >= count:
        raise UsageError("there is no such task", value=name, mend=f"{PREFIX}0 to {PREFIX}{count - 1}")
    row = int(number)
    own = np.flatnonzero(np.asarray(calls["task"]) == np.asarray(tasks["serial"])[row])
    if not len(own):
        rule = "the record tells nothing of the runs of this task: it keeps those of the first tasks alone"
        raise UsageError(rule, value=name, mend=f"{PREFIX}0")
    ready_s, end_s = (np.asarray(calls[key], dtype=np.float64)[own] for key in ("ready_s", "end_s"))
    order = np.lexsort((end_s, ready_s))
    begin_s = float(np.asarray(tasks["arrival_s"])[row])
    whole_s = max(float(np.asarray(tasks["finish_s"])[row]), float(np.nanmax(end_s))) - begin_s
    names, kinds, states = (np.asarray(calls[key])[own] for key in ("node", "kind", "state"))
    rows = tuple(
        (
            str(names[place]),
            str(kinds[place]),
            float(ready_s[place] - begin_s),
            float(end_s[place] - ready_s[place]),
            str(states[place]),
            _bar(float(ready_s[place] - begin_s), float(end_s[place] - begin_s), whole_s),
        )
        for place in order.tolist()
    )
    columns = (
        Column("node"),
        Column("kind"),
        Column("ready", "second"),
        Column("took", "second"),
        Column("state"),
        Column("over_the_task", "bar"),
    )
    solved = {1: "solved", 0: "not solved"}.get(int(np.asarray(tasks["solved"])[row]), "of no outcome")
    note = "Ready: from the arrival of the task to when all was there that the run needs. Took: waiting included."
    return Section(f"task_{row}", f"Task {row}: {duration(whole_s)}, {solved}", columns, rows, note)


def _bar(from_s: float, until_s: float, whole_s: float) -> str:
    """Draw a stretch of the task on a line of one width; the shortest is one mark.

    >>> _bar(5.0, 10.0, 10.0)
    '                ████████████████'
    """
    if not whole_s:
        return " " * BAR
    start = min(int(BAR * from_s / whole_s), BAR - 1)
    return (" " * start + "█" * max(round(BAR * until_s / whole_s) - start, 1)).ljust(BAR)

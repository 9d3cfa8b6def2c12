"""Policies by name: our own, those that other packages bring, and a user's own file."""

from __future__ import annotations

import importlib
import inspect
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from sim.engine.cluster.policy import Policy
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRY_POINTS = "flopclock.policies"
"""Group under which another package announces its policies."""
_OURS = {
    "fifo": "fifo:Fifo",
    "first-fit": "fifo:FirstFit",
    "sjf": "shortest:Shortest",
    "srtf": "shortest:ShortestRemaining",
    "priority": "priority:Priority",
    "easy": "easy:Easy",
    "conservative": "conservative:Conservative",
    "drf": "fair:FairShare",
    "las": "attained:LeastAttained",
    "themis": "finish_time:FinishTime",
    "goodput": "goodput:Goodput",
    "gavel": "heterogeneous:Heterogeneous",
}
NAMES = tuple(_OURS)
"""Policies of our own."""


def names() -> tuple[str, ...]:
    """Give the names of all policies that are installed, without importing them."""
    return tuple(dict.fromkeys([*NAMES, *_announced()]))


def policies() -> dict[str, type[Policy]]:
    """Give every policy that is installed, our own first."""
    found = {name: find(name) for name in NAMES}
    for name, target in _announced().items():
        found.setdefault(name, _load(target, f"entry point {name}"))
    return found


def find(name: str) -> type[Policy]:
    """Give the policy of a name.

    Raises:
        UsageError: there is none.

    >>> find("easy").__name__
    'Easy'
    """
    if name in _OURS:
        return _load(f"sim.engine.cluster.policies.{_OURS[name]}", name)
    announced = _announced()
    if name in announced:
        return _load(announced[name], f"entry point {name}")
    near = get_close_matches(name, [*NAMES, *announced], n=2, cutoff=0.5)
    mend = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join([*NAMES, *announced])}"
    raise UsageError("there is no such policy", value=name, where="policy.schedule", mend=mend)


def find_python(target: str, folder: Path | None = None) -> type[Policy]:
    """Give a policy of the user's own; runs the code of its module.

    Args:
        target: "module:Class".
        folder: where the module is looked for first.

    Raises:
        UsageError: the module cannot be imported, or holds no such policy.
    """
    place = str(folder or Path.cwd())
    sys.path.insert(0, place)
    try:
        return _load(target, "policy.python")
    finally:
        sys.path.remove(place)


def make(policy: type[Policy], options: Mapping[str, float | str | bool]) -> Policy:
    """Build a policy with the settings of a scenario.

    Raises:
        UsageError: it has no such setting, or refuses a value.
    """
    known = [name for name in inspect.signature(policy).parameters if name not in ("args", "kwargs")]
    unknown = [name for name in options if name not in known]
    if unknown:
        mend = f"one of {', '.join(known)}" if known else "it has none"
        raise UsageError(f"the policy {policy.name} has no such setting", unknown[0], "policy.options", mend)
    try:
        return policy(**options)
    except Exception as error:
        value = f"{type(error).__name__}: {error}"
        raise UsageError(f"the policy {policy.name} refuses its settings", value, "policy.options") from error


def _announced() -> dict[str, str]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - reads every installed package

    return {point.name: point.value for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda each: each.name)}


def _load(target: str, where: str) -> type[Policy]:
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        value = f"{target}: {type(error).__name__}: {error}"
        raise UsageError("this policy cannot be imported", value, where, "module:Class, beside the scenario") from error
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise UsageError("a policy is a subclass of sim.engine.cluster.policy.Policy", target, where)
    return found

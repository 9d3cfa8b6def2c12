"""Golden files: results held to 9 significant digits, changed only by `pytest --accept`."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeGuard

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | int | bool | None"

DIGITS = 9
# The file holds 9 digits, so a value equal to it may differ by half a unit of the last one.
TOLERANCE = 10.0 ** (1 - DIGITS)
HOW_TO_ACCEPT = (
    "If this change is meant: `make accept`, and say what moved and why under 'Results change' in CHANGELOG.md."
)


@dataclass(frozen=True, slots=True)
class Golden:
    """The folder of accepted results."""

    folder: Path
    accept: bool

    def check_json(self, name: str, actual: Json) -> None:
        """Compare a JSON value with the accepted one, number by number; list every path that moved."""
        path = self.folder / f"{name}.json"
        text = json.dumps(rounded(actual), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if self._accepted(path, text):
            return
        moved = list(differences(json.loads(path.read_text(encoding="utf-8")), actual))
        assert not moved, "\n".join([f"{path.name}: {len(moved)} values moved", *moved[:40], HOW_TO_ACCEPT])

    def check_text(self, name: str, actual: str) -> None:
        """Compare a text with the accepted one, line by line, trailing blanks apart."""
        path = self.folder / f"{name}.txt"
        text = "\n".join(line.rstrip() for line in actual.rstrip().split("\n")) + "\n"
        if self._accepted(path, text):
            return
        changed = difflib.unified_diff(
            path.read_text(encoding="utf-8").splitlines(), text.splitlines(), "accepted", "now", lineterm="", n=1
        )
        lines = list(changed)
        assert not lines, "\n".join([path.name, *lines, HOW_TO_ACCEPT])

    def _accepted(self, path: Path, text: str) -> bool:
        """Write the file when results are being accepted; without a file there is nothing to compare with."""
        if self.accept:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return True
        assert path.exists(), f"{path} does not exist. {HOW_TO_ACCEPT}"
        return False


def rounded(value: Json) -> Json:
    """Give the value with every float at 9 significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value


def differences(accepted: Json, actual: Json, path: str = "") -> Iterator[str]:
    """Yield one line for each place where two JSON values differ beyond the tolerance."""
    if isinstance(accepted, dict) and isinstance(actual, dict):
        for key in sorted(accepted.keys() | actual.keys()):
            place = f"{path}.{key}" if path else key
            if key not in actual:
                yield f"  {place}: is gone"
            elif key not in accepted:
                yield f"  {place}: is new"
            else:
                yield from differences(accepted[key], actual[key], place)
    elif isinstance(accepted, list) and isinstance(actual, list) and len(accepted) == len(actual):
        for index, (before, after) in enumerate(zip(accepted, actual, strict=True)):
            yield from differences(before, after, f"{path}[{index}]")
    elif _is_number(accepted) and _is_number(actual):
        if not math.isclose(accepted, actual, rel_tol=TOLERANCE):
            change = f" ({actual / accepted - 1:+.3%})" if accepted else ""
            yield f"  {path}: {accepted!r} -> {actual!r}{change}"
    elif accepted != actual or isinstance(accepted, bool) != isinstance(actual, bool):
        yield f"  {path}: {accepted!r} -> {actual!r}"


def _is_number(value: Json) -> TypeGuard[float]:
    """Tell whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Paths in a scenario begin at the folder of the file that names them, and those of the command line where one is."""

from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from sim.spec.quantity import DOCUMENT


class FilePath(str):
    """A path as it is opened from the folder of the command; a scenario that is written out again names it in full."""

    __slots__ = ()


def beside_the_scenario(path: str, info: ValidationInfo, kind: str = "") -> str:
    """Give a path as it is to be opened.

    Args:
        path: as the scenario says it.
        info: of the validation, whose context holds the document where there is one.
        kind: key of the workload whose trace it is; the path may then come from the command line alone.

    """
    if path.startswith("~") or Path(path).is_absolute():
        return path
    folder = _folder(path, info, kind)
    return FilePath(path if folder is None else folder / path)


def _folder(path: str, info: ValidationInfo, kind: str) -> Path | None:
    """Give the folder of the file that names a path; None where it is not named in one."""
    if info.context is None or DOCUMENT not in info.context:
        return None
    document, at = info.context[DOCUMENT]
    workloads = document.data.get("workloads") if isinstance(document.data, dict) else None
    for index, workload in enumerate(workloads if isinstance(workloads, list) else ()):
        if path in _named(_inside(_inside(workload, kind), "trace")):
            source = document.source((*at, "workloads", index, kind, "trace"))
            return Path(source.name).parent if source.has_lines else None
    return Path(document.name).parent if document.root.source.has_lines else None


def _named(trace: object) -> tuple[Any, ...]:
    return tuple(trace.values()) if isinstance(trace, dict) else (trace,)


def _inside(data: object, key: str) -> object:
    return data.get(key) if isinstance(data, dict) else None

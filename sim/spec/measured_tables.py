"""Read tables of measurements: CSV with what Python brings, Parquet with an extra."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Columns: TypeAlias = "dict[str, np.ndarray[Any, np.dtype[Any]]]"


def read(path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None) -> Columns:
    """Read columns of a CSV (also .csv.gz) or Parquet file, of the rows that match `where` exactly.

    Columns that hold numbers come as floats, others as text. Raises UsageError when the file or a column is
    missing, when no row matches, or when Parquet is asked for without its extra.
    """
    chosen = dict(where or {})
    if not path.is_file():
        raise UsageError("a table of measurements must exist", str(path), mend="check the path")
    wanted = [*columns, *(name for name in chosen if name not in columns)]
    table = _parquet(path, wanted) if path.suffix == ".parquet" else _csv(path, wanted)
    keep = np.ones(len(table[wanted[0]]), dtype=bool)
    for name, value in chosen.items():
        keep &= table[name].astype(str) == value
    if not keep.any():
        raise UsageError("no row of the table matches", f"{chosen}", str(path), "choose values that the columns hold")
    return {name: _numbers(table[name][keep]) for name in columns}


def _csv(path: Path, columns: Sequence[str]) -> Columns:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        reader = csv.DictReader(file)
        _check(path, columns, reader.fieldnames or [])
        rows = [[row[name] for name in columns] for row in reader]
    return {name: np.array([row[at] for row in rows], dtype=object) for at, name in enumerate(columns)}


def _parquet(path: Path, columns: Sequence[str]) -> Columns:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            "reading Parquet needs the extra 'calibrate'",
            str(path),
            mend="pip install 'flopclock[calibrate]', or convert the table to CSV",
        ) from None
    _check(path, columns, parquet.read_schema(path).names)
    table = parquet.read_table(path, columns=list(columns))
    return {name: table.column(name).to_numpy() for name in columns}


def _check(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    missing = [name for name in columns if name not in present]
    if missing:
        raise UsageError(
            f"the table lacks column {', '.join(missing)}",
            f"it has {', '.join(present)}",
            str(path),
            "name the columns as the documentation of `sim calibrate` does",
        )


def _numbers(column: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return column.astype(float)
    except ValueError:
        return column.astype(str)

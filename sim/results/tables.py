"""Write and read the tables of a record: Parquet through DuckDB (extra `report`), or CSV, which needs nothing."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sim.errors import UsageError
from sim.results.extras import load_extra

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

Format = Literal["parquet", "csv", "none"]
Table = Mapping[str, "NDArray[Any]"]


def columns_of(table: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Give the columns of a table as arrays: numbers, truth values, or texts as objects."""
    return {str(name): _array(values) for name, values in table.items()}


def rows_of(table: Mapping[str, Any]) -> int:
    """Count the rows of a table."""
    return len(next(iter(table.values()), ()))


def write_tables(tables: Mapping[str, Mapping[str, Any]], folder: Path, format_: Format) -> None:
    """Write each table that has a column into a file of its own.

    Raises:
        UsageError: Parquet is asked for and DuckDB is not installed.

    """
    if format_ == "none":
        return
    duckdb = load_extra("duckdb", "writing Parquet") if format_ == "parquet" else None
    for name in sorted(tables):
        columns = columns_of(tables[name])
        if not columns:
            continue
        path = folder / f"{name}.{format_}"
        if duckdb is None:
            _write_csv(columns, path)
        else:
            _write_parquet(duckdb, columns, path)


def _array(values: Any) -> NDArray[Any]:  # noqa: ANN401 - whatever a report holds as a column
    found = values if isinstance(values, np.ndarray) else _plain_array(list(values))
    return found.astype(object) if found.dtype.kind == "U" else found


def _plain_array(values: list[Any]) -> NDArray[Any]:
    """Make an array of Python values; nothing among numbers is NaN, among texts it stays."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {float, int} and type(None) in {type(value) for value in values}:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if str in kinds or not (kinds <= {float, int, bool} or all(issubclass(kind, np.generic) for kind in kinds)):
        return np.array([None if value is None else str(value) for value in values], dtype=object)
    return np.array(values)


def _write_parquet(duckdb: ModuleType, columns: dict[str, NDArray[Any]], path: Path) -> None:
    # One thread: the order of rows and with it the bytes are the same every time.
    connection = duckdb.connect(":memory:", config={"threads": 1})
    try:
        connection.register("given", columns)
        target = str(path).replace("'", "''")
        connection.execute(f"copy (select * from given) to '{target}' (format parquet, compression zstd)")  # noqa: S608
    finally:
        connection.close()


def _write_csv(columns: dict[str, NDArray[Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def read_table(file: Path) -> Table:
    """Read one table.

    Raises:
        UsageError: it cannot be read, or is Parquet and DuckDB is not installed.

    """
    try:
        return _read_csv(file) if file.suffix == ".csv" else _read_parquet(file)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise UsageError(
            f"this table cannot be read: {error}", value=str(file), mend="write the record again"
        ) from None


def _read_parquet(file: Path) -> Table:
    duckdb = load_extra("duckdb", "reading Parquet")
    connection = duckdb.connect(":memory:", config={"threads": 1})
    try:
        found = connection.execute("select * from read_parquet(?)", [str(file)]).fetchnumpy()
    except duckdb.Error as error:
        raise ValueError(str(error)) from None
    finally:
        connection.close()
    return {name: _filled(values) for name, values in found.items()}


def _filled(values: Any) -> NDArray[Any]:  # noqa: ANN401 - a masked array where DuckDB knows of empty places
    if isinstance(values, np.ma.MaskedArray):
        gaps, inner = np.ma.getmaskarray(values), np.asarray(values.data)
        if not gaps.any():
            return inner
        if inner.dtype.kind == "O":
            return np.array([None if gap else value for value, gap in zip(inner, gaps, strict=True)], dtype=object)
        return np.where(gaps, np.nan, inner.astype(np.float64))
    return np.asarray(values)


def _read_csv(file: Path) -> Table:
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        names = next(reader, [])
        rows = list(reader)
    return {name: _guessed([row[place] for row in rows]) for place, name in enumerate(names)}


def _guessed(texts: list[str]) -> NDArray[Any]:
    if texts and all(text in {"True", "False"} for text in texts):
        return np.array([text == "True" for text in texts])
    for kind in (np.int64, np.float64):
        try:
            return np.array([text or "nan" for text in texts], dtype=kind)
        except (ValueError, OverflowError):
            continue
    return np.array(texts, dtype=object)

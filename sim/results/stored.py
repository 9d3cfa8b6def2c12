"""The tables of a record on disk: known by name at once, read when they are asked for; and SQL over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sim.errors import UsageError
from sim.results.extras import load_extra

if TYPE_CHECKING:
    from pathlib import Path

    from sim.results.tables import Table


class StoredTables(Mapping[str, "Table"]):
    """The tables of a record on disk, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Look which tables there are."""
        self.folder = folder
        files = sorted(folder.glob("*.parquet")) + sorted(folder.glob("*.csv")) if folder.is_dir() else []
        self._files = {file.stem: file for file in reversed(files)}
        self._read: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
        """Read one table."""
        if name not in self._read:
            from sim.results.tables import read_table  # noqa: PLC0415 - numpy; most that is asked of a record needs no table

            self._read[name] = read_table(self._files[name])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a table, without reading it."""
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(sorted(self._files))

    def __len__(self) -> int:
        """Count the tables."""
        return len(self._files)


def query(folder: Path, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Run SQL over the tables in a folder; give the names of the columns and the rows.

    Raises:
        UsageError: DuckDB is not installed, there is no table, or the SQL is wrong.

    """
    duckdb = load_extra("duckdb", "sim query")
    files = [*sorted(folder.glob("*.csv")), *sorted(folder.glob("*.parquet"))]
    if not files:
        raise UsageError("this record has no tables", value=str(folder), mend="sim run SCENARIO.yaml --out DIR")
    connection = duckdb.connect(":memory:")
    try:
        for file in files:
            quoted = str(file).replace("'", "''")
            connection.execute(f"create or replace view \"{file.stem}\" as select * from '{quoted}'")  # noqa: S608
        done = connection.execute(sql)
        names = tuple(column[0] for column in done.description or ())
        return names, done.fetchall()
    except duckdb.Error as error:
        tables = ", ".join(sorted(file.stem for file in files))
        raise UsageError(
            f"DuckDB: {str(error).strip()}", value=sql, where="sim query", mend=f"the tables are {tables}"
        ) from None
    finally:
        connection.close()

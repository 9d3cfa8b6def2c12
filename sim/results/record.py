"""A record: all that a run leaves behind, in memory or in a folder. Reports are made from it without simulating again.

A folder holds result.json (canonical, the same bytes for the same scenario, seed and version), the tables, and the
scenario with every default filled in. It appears whole or not at all: it is written beside its place, brought to
disk, and renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sim.errors import LimitError, UsageError
from sim.results.extras import load_extra
from sim.results.stored import StoredTables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.results.tables import Format
    from sim.spec.origins import Origin

RECORD_VERSION = "1.0"
RESULT, SCENARIO, TABLES = "result.json", "scenario.yaml", "tables"
MAX_RESULT_BYTES = 200_000_000
"""Largest result.json that is read back."""
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Record:
    """What a run left."""

    result: dict[str, Any]
    """Plain data of the report, with ``kind`` ("training" or "run") and ``origins``."""
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Columns by table; read from disk when they are asked for."""
    scenario: str = ""
    """The scenario with every default filled in."""

    @property
    def name(self) -> str:
        """Give the title of the scenario."""
        return str(self.result.get("name") or self.result.get("question", {}).get("on") or "result")

    @property
    def is_training(self) -> bool:
        """Whether it is one training run, with its closed form beside the simulation."""
        return self.result.get("kind") == "training"

    def write(self, folder: Path | str, *, tables: Format = "parquet", force: bool = False) -> None:
        """Write the folder, whole or not at all.

        Raises:
            UsageError: the folder exists already and force was not given, it cannot be written, or Parquet is asked
                for and DuckDB is not installed.

        """
        place = Path(folder)
        check_place(place, tables=tables, force=force)
        try:
            _write(self, place, tables)
        except OSError as error:
            raise _refused(error, place) from None


class Recordable(Protocol):
    """What a record is made of; both kinds of report are such."""

    @property
    def kind(self) -> str:
        """Say which kind of report it is: "training" or "run"."""

    @property
    def origins(self) -> Sequence[Origin]:
        """Say who set each value of the scenario."""

    @property
    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        """Give columns by table."""

    @property
    def scenario_text(self) -> str:
        """Give the scenario with every default filled in."""

    @property
    def shown(self) -> dict[str, Any]:
        """Give what JSON loses: the order of sections and columns, and the dimension of each."""

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain data."""


def record_of(report: Recordable) -> Record:
    """Take what a report knows, in memory."""
    result = report.to_dict() | {
        "record_version": RECORD_VERSION,
        "kind": report.kind,
        "origins": [origin.to_dict() for origin in report.origins],
    }
    if report.shown:
        result["shown"] = report.shown
    # What is kept and what is read back are the same plain data.
    return Record(json.loads(canonical(result)), report.tables, report.scenario_text)


def read(place: Path | str) -> Record:
    """Read the record in a folder; or a result.json alone, which has no tables.

    Raises:
        UsageError: there is none, it is broken, or a newer version wrote it.

    """
    path = Path(place)
    folder = path if path.is_dir() else path.parent
    file = path / RESULT if path.is_dir() else path
    try:
        if file.stat().st_size > MAX_RESULT_BYTES:
            raise LimitError(f"a result has at most {MAX_RESULT_BYTES:,} bytes", where=str(file))
        data = json.loads(file.read_text(encoding="utf-8"))
        scenario = folder / SCENARIO
        text = scenario.read_text(encoding="utf-8") if path.is_dir() and scenario.is_file() else ""
    except FileNotFoundError:
        raise UsageError(
            "there is no result here", value=str(place), mend="sim run SCENARIO.yaml --out DIR writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("this result cannot be read", value=f"{place}: {error}") from None
    except (json.JSONDecodeError, RecursionError):
        raise UsageError(
            "this is not a result: it is no JSON", value=str(file), mend="give a folder of sim run --out"
        ) from None
    _check(data, file)
    return Record(data, StoredTables(folder / TABLES) if path.is_dir() else {}, text)


def check_place(place: Path, *, tables: Format, force: bool) -> None:
    """Refuse a folder that could not be written, before the work is done.

    Raises:
        UsageError: as `Record.write`.

    """
    if tables == "parquet":
        load_extra("duckdb", "writing tables as Parquet", "--tables csv")
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise UsageError("a record is a folder; this is a file", value=str(place), mend="name a new folder")
    if place.is_dir() and any(place.iterdir()):
        if not (place / RESULT).is_file():
            raise UsageError("the folder holds something else already", value=str(place), mend="name a new folder")
        if not force:
            raise UsageError("the folder holds a record already", value=str(place), mend="name another, or add --force")
    if not place.absolute().parent.is_dir():
        raise UsageError("there is no such folder", value=str(place.parent), mend=f"mkdir -p '{place.parent}'")


def canonical(data: Mapping[str, Any]) -> str:
    """Write data as canonical JSON: sorted keys, no NaN, numbers of numpy as plain ones."""
    text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return f"{text}\n"


def _check(data: object, file: Path) -> None:
    if not isinstance(data, dict) or "sentence" not in data:
        raise UsageError("this JSON is not a result", value=str(file), mend="give a folder of sim run --out")
    version = str(data.get("record_version", RECORD_VERSION))
    if version.partition(".")[0] != RECORD_VERSION.partition(".")[0]:
        raise UsageError(
            f"this version reads records of version {RECORD_VERSION}",
            value=version,
            where=str(file),
            mend="use the version of flopclock that wrote it",
        )
    data.setdefault("kind", "training" if "answer" in data else "run")


def _write(record: Record, place: Path, tables: Format) -> None:
    place = place.absolute()
    temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    try:
        (temporary / RESULT).write_text(canonical(record.result), encoding="utf-8")
        if record.scenario:
            (temporary / SCENARIO).write_text(record.scenario, encoding="utf-8")
        inner = temporary / TABLES
        inner.mkdir()
        named = {name: table for name, table in record.tables.items() if _TABLE_NAME.fullmatch(name)}
        if tables != "none":
            from sim.results.tables import write_tables  # noqa: PLC0415 - numpy

            write_tables(named, inner, tables)
        temporary.chmod(0o777 & ~_umask())
        for path in (*sorted(inner.iterdir()), inner, *sorted(temporary.iterdir()), temporary):
            _bring_to_disk(path)
        _put_in_place(temporary, place)
        _bring_to_disk(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, place: Path) -> None:
    """Rename; a record that is there already is moved aside first, and removed when the new one stands."""
    if not place.exists() or not any(place.iterdir()):
        temporary.rename(place)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".old", dir=place.parent))
    place.rename(aside)
    try:
        temporary.rename(place)
    except OSError:
        aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _bring_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        # Some file systems cannot sync a folder; the rename itself is atomic all the same.
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def _refused(error: OSError, place: Path) -> UsageError:
    return UsageError(f"cannot write: {error.strerror}", value=str(place), mend="choose a place where you may write")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _plain(value: object) -> object:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")

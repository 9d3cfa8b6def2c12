"""Tables that are beside the repository where the project is worked on; users do not have them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared_rows(relative: str) -> list[dict[str, str]]:
    """Read a CSV table of the shared data, or skip the test where it is absent."""
    path = SHARED / relative
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/{relative}, which is not shipped")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

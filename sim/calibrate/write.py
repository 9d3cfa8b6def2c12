"""Write calibration records as files of the catalogue, and make the committed ones again.

python -m sim.calibrate h100-sxm --data ../shared/data/ops
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, TypeAlias

from sim.calibrate.borrow import borrowed
from sim.calibrate.build import measured
from sim.calibrate.families import BORROWED, MEASURED
from sim.errors import UsageError
from sim.spec import yaml
from sim.spec.calibration import Calibration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.calibrate.build import Record
    from sim.calibrate.fitting import Judgement
    from sim.cost.attention import AttentionCurve
    from sim.cost.collectives import RankedCurve
    from sim.cost.grouped import GroupedCurve
    from sim.cost.roofline import RooflineCurve

Curve: TypeAlias = "RooflineCurve | AttentionCurve | GroupedCurve | RankedCurve"


def regenerate(name: str, data: Path, folder: Path) -> str:
    """Give the text of a committed file again: from tables in `data`, or from its base in `folder`.

    Raises UsageError for an unknown family, a missing table, or a missing base.
    """
    if name in MEASURED:
        return dumps(measured(name, data), f"python -m sim.calibrate {name} --data {data.as_posix()}")
    if name not in BORROWED:
        known = ", ".join([*MEASURED, *BORROWED])
        raise UsageError("the family is not known", name, mend=f"choose one of {known}")
    return dumps(borrowed(name, load(folder / f"{BORROWED[name].base}.yaml")), f"python -m sim.calibrate {name}")


def load(path: Path) -> Record:
    """Read a calibration file back as the record that `dumps` takes. Raises ScenarioError where it is wrong."""
    record = yaml.validate(Calibration, yaml.load(path)).model_dump(
        mode="json", exclude_none=True, exclude_defaults=True
    )
    return dict(record)


def replaced(base: Record, name: str, kind: str, key: str, curve: Curve, judgement: Judgement, source: str) -> Record:
    """Give a record like `base` with one curve fitted anew: entry `key` of its section `kind`, such as 'gemm'.

    The curve is a dataclass of sim.cost; `source` says what was fitted.
    """
    values: Record = {field: _rounded(value) for field, value in dataclasses.asdict(curve).items()}
    if kind == "collectives":
        values["ranks"] = [int(count) for count in values["ranks"]]
    fit = {"status": "fitted", "source": source}
    fit |= {field: value for field, value in dataclasses.asdict(judgement).items() if value is not None}
    return base | {"name": name, kind: base[kind] | {key: values | {"fit": fit}}}


def dumps(record: Record, command: str) -> str:
    """Write a record as YAML, units on its times and rates, headed by the command that made it; checks it first.

    Raises ScenarioError when the record is no calibration.
    """
    text = "\n".join([f"# Made by: {command}", *_lines(_with_units(record)), ""])
    yaml.validate(Calibration, yaml.loads(text, str(record.get("name", "calibration"))))
    return text


def _lines(record: Record, indent: str = "") -> Iterator[str]:
    """Write mappings as blocks, lists of numbers on one line, and texts so that any YAML reader takes them back."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}: [{', '.join(_scalar(each) for each in value)}]"
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: object) -> str:
    """Write words and quantities bare; quote what a reader could take for a number, a truth value or a structure."""
    if not isinstance(value, str):
        return str(value)
    bare = re.fullmatch(r"[A-Za-z][A-Za-z0-9./ -]*|[0-9.e+-]+ [A-Za-z]+(/s)?", value)
    return value if bare and value.lower() not in {"true", "false", "null"} else json.dumps(value, ensure_ascii=False)


def _with_units(record: Record) -> Record:
    ready: Record = {}
    for key, value in record.items():
        if isinstance(value, dict):
            ready[key] = _with_units(value)
        elif isinstance(value, list):
            ready[key] = [_quantity(key, each) for each in value]
        else:
            ready[key] = _quantity(key, value)
    return ready


def _quantity(key: str, value: object) -> object:
    if not isinstance(value, float):
        return value
    if key.endswith("flop_per_s"):
        return f"{value / 1e12:.6g} TFLOP/s"
    if key.endswith("bytes_per_s"):
        return f"{value / 1e9:.6g} GB/s"
    return f"{value * 1e6:.4g} us" if key.endswith("_s") else value


def _rounded(value: float | tuple[float, ...]) -> float | list[float]:
    if isinstance(value, tuple):
        return [float(f"{each:.4g}") for each in value]
    return float(f"{value:.4g}")

"""An entry of the catalogue as lines to show: every number with its dimension, source, status and date."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from sim.spec.quantity import FrozenModel, Quantity, Sourced
from sim.units import parse, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.spec.calibration import Fit

UNIT_IN_NAME = re.compile(r"_(flop_per_s|bytes_per_s|bytes|usd_per_s|usd|hz|w|s)$")
ORIGIN = ("source", "source_status", "source_date")
"""Fields that say where the numbers without a source of their own come from."""
UNTOLD = ("name", "title", "fit", *ORIGIN)


class Line(NamedTuple):
    """One fact or number."""

    section: str
    """Part of the entry that it belongs to; empty for the entry itself."""
    label: str
    text: str
    """The value as people read it, with its unit."""
    number: bool
    source: str = ""
    status: str = ""
    date: str = ""
    note: str = ""


def lines_of(entry: FrozenModel) -> list[Line]:
    """Give every fact and number of an entry, in the order of its schema.

    >>> from sim.spec.catalog import load
    >>> next(line.text for line in lines_of(load("accelerators", "h100-sxm")) if line.label == "memory bandwidth")
    '3.35 TB/s'
    """
    return list(_walk(entry, "", _origin(entry)))


def exact(value: float, dimension: str) -> str:
    """Write a number as `show` does, with as many digits as it has, up to eight.

    >>> exact(1978.9e12, "flop_per_s"), exact(80 * 2**30, "byte"), exact(132, "count")
    ('1.9789 PFLOP/s', '80 GiB', '132')
    """
    text = show(value, dimension)
    if dimension == "count" or math.isclose(parse(text, dimension), value, rel_tol=1e-9):
        return text
    unit = text.lstrip("0123456789.e+-")
    return f"{value / parse(f'1{unit}', dimension):.8g}{unit}"


def label_of(field: str) -> str:
    """Give the name of a field without its unit: memory_bandwidth_bytes_per_s is 'memory bandwidth'.

    >>> label_of("memory_bandwidth_bytes_per_s"), label_of("power_w"), label_of("kv_heads")
    ('memory bandwidth', 'power', 'kv heads')
    """
    return UNIT_IN_NAME.sub("", field).replace("_", " ").replace("l2", "L2")


def _walk(record: FrozenModel, section: str, origin: Line) -> Iterator[Line]:
    """Give the lines of a record and of those inside it; `origin` holds the source of its plain numbers."""
    # The status of a part is that of its source, and stands beside each of its numbers.
    untold = (*UNTOLD, "status") if section and hasattr(record, "source") else UNTOLD
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        if name not in untold and value is not None:
            yield from _lines(value, name, _dimension((*field.metadata, field.annotation)), section, origin)


def _lines(value: object, name: str, dimension: str, section: str, origin: Line) -> Iterator[Line]:
    """Give the lines of one field."""
    label = label_of(name)
    here = origin._replace(section=section, label=label)
    if isinstance(value, Sourced):
        text = exact(value.value, value.dimension)
        yield Line(section, label, text, True, value.source, value.status, value.date or "", value.note or "")
    elif isinstance(value, FrozenModel):
        yield from _walk(value, f"{section} {label}".strip(), _origin(value, origin))
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, FrozenModel) and not isinstance(item, Sourced):
                yield from _walk(item, f"{section} {label} {key}".strip(), _origin(item, origin))
            else:
                yield from _lines(item, f"{label} {key}", dimension, section, origin)
    elif isinstance(value, tuple) and value and isinstance(value[0], FrozenModel):
        for index, item in enumerate(value, start=1):
            title = getattr(item, "name", None) or str(index)
            yield from _walk(item, f"{section} {label} {title}".strip(), _origin(item, origin))
    elif isinstance(value, bool):
        yield Line(section, label, "yes" if value else "no", False)
    elif isinstance(value, int | float):
        bare = name.replace("_", " ") if dimension == "count" else label
        yield here._replace(label=bare, text=_number(value, dimension), number=True)
    elif isinstance(value, tuple) and value and isinstance(value[0], int | float):
        yield here._replace(text=", ".join(_number(item, dimension) for item in value), number=True)
    elif value != ():
        yield Line(section, label, ", ".join(map(str, value)) if isinstance(value, tuple) else str(value), False)


def _origin(record: FrozenModel, outer: Line | None = None) -> Line:
    """Give the source that a record states for its plain numbers: in `source`, or in its `fit`."""
    fit = getattr(record, "fit", None)
    if fit is not None:
        commit = f" (commit {fit.commit[:7]}, {fit.licence})" if fit.commit else ""
        return Line("", "", "", False, f"{fit.source}{commit}", fit.status, "", _quality(fit))
    source, status, date = (str(getattr(record, name, None) or "") for name in ORIGIN)
    if source:
        return Line("", "", "", False, source, status or str(getattr(record, "status", "")), date)
    return outer or Line("", "", "", False)


def _quality(fit: Fit) -> str:
    """Say how well a curve was fitted, and what else is to know about it."""
    parts = []
    if fit.held_out_median is not None:
        errors = f"error median {fit.held_out_median:.1%}, p90 {fit.held_out_p90 or 0:.1%}"
        parts.append(f"{fit.points} points fitted, {fit.held_out_points} kept apart: {errors}")
    if fit.large_median is not None:
        parts.append(f"large ones: median {fit.large_median:.1%}, bias {fit.large_bias or 0:+.1%}")
    return ". ".join([*parts, *([fit.note] if fit.note else [])])


def _dimension(parts: Iterable[object]) -> str:
    """Find the dimension of a plain number in the type of its field; without one it is a bare number."""
    return next(_quantities(parts), "count")


def _quantities(parts: Iterable[object]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Quantity):
            yield part.dimension
        else:
            yield from _quantities((*getattr(part, "__metadata__", ()), *getattr(part, "__args__", ())))


def _number(value: float, dimension: str) -> str:
    if dimension == "count" and value != int(value):
        return f"{value:.4g}"
    return exact(value, dimension)

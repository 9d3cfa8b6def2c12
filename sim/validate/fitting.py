"""Fit the constants of software profiles to published steps, and score them on rows that were not fitted.

Residuals are logarithms of predicted over measured time. The whole fit moves all constants at once; folds move them
along its derivative, and the rows that a fold left out are then predicted exactly with the constants that it found.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sim.errors import ScenarioError, SimError, UsageError
from sim.validate.constants import fitted, of_case, with_values
from sim.validate.machines import publication
from sim.validate.rows import COLUMNS, REQUIRED, configuration, measured
from sim.validate.steps import measured_step_s
from sim.validate.table import read
from sim.validate.training import case_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sim.validate.training import Case, Prediction

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Values: TypeAlias = "dict[int, float]"
Known: TypeAlias = "dict[tuple[float, ...], Prediction]"

SOFT = 0.08
"""Relative error beyond which a row pulls less (soft L1 in the logarithm)."""
FOLDS = 5
STEP = 0.01
"""By which a constant is moved for its derivative."""
LEAST_ROWS = 3
"""Rows below which a constant is not found: it then takes the mean of its like."""
NOTHING: frozenset[int] = frozenset()
APART = "bigscience-v100"
"""Source whose authors warn of 40 % machine noise: not among the rows that are summed."""


@dataclass(slots=True)
class Sample:
    """A row with its measured step: made ready once, timed as often as the fit asks."""

    case: Case
    measured_s: float
    kind: str
    constants: tuple[int, ...]
    known: Known = field(default_factory=dict)
    """Predictions by the values of the constants; shared by rows that differ in what was measured alone."""
    without: str = ""
    """Account of the step that is taken to last no time."""

    @property
    def group(self) -> str:
        """Source of the row."""
        return self.case.row.source_group

    @property
    def summed(self) -> bool:
        """Whether the row is among those that targets are about: a given layout, a machine without that noise."""
        return self.case.plan == "given" and self.group != APART

    @property
    def configuration(self) -> str:
        """What rows of one configuration share, whatever their release or their chips in all."""
        row = self.case.row
        return f"{self.group}/{row.model}/{row.gpu}/{row.precision}/{row.tp}/{row.pp}/{row.cp}/{row.ep}/{row.seq_len}"

    def error(self, values: Mapping[int, float]) -> float:
        """Give the logarithm of predicted over measured time with constants at these values."""
        key = tuple(values.get(index, np.nan) for index in self.constants)
        if key not in self.known:
            self.known[key] = self.case.predicted(with_values(self.case, values))
        found = self.known[key]
        return float(np.log((found.step_s - found.parts_s.get(self.without, 0.0)) / self.measured_s))

    def changed(self, change: Callable[[Case], Case] | None, without: str, known: Known) -> Sample:
        """Give the row as another case, or without an account of its step; what is known is of that case."""
        case = self.case if change is None else change(self.case)
        return replace(self, case=case, known=known, without=without)


def samples(table: Path) -> list[Sample]:
    """Read the rows of a training table that can be predicted and have a measured step."""
    found: list[Sample] = []
    shared: dict[object, Known] = {}
    for line in read(table, COLUMNS, REQUIRED):
        row = configuration(line)
        try:
            case = case_of(row)
            prediction = case.predicted()
        except ScenarioError:
            raise
        except SimError:
            continue
        seconds = measured_step_s(row, measured(line), prediction)
        if seconds is not None:
            kind = "LoRA" if row.workload == "lora" else prediction.kind
            constants = of_case(case)
            known = shared.setdefault((replace(row, id=publication(row.id), release=""), constants), {})
            found.append(Sample(case.settled(prediction), seconds, kind, constants, known))
    return found


def present(rows: Sequence[Sample]) -> Values:
    """Give the constants as the profiles of the catalogue state them."""
    values: Values = {}
    for sample in rows:
        for index in sample.constants:
            values.setdefault(index, fitted().constants[index].value(sample.case.setting.software))
    return values


def fit(rows: Sequence[Sample], start: Values, rounds: int = 4) -> Values:
    """Fit the constants that rows have anything to say about; the others stay.

    Raises:
        UsageError: scipy is not installed.

    """
    values = dict(start)
    for _ in range(rounds):
        moved = _moved(rows, values, *derivative(rows, values))
        change = max(abs(moved[index] - values[index]) for index in moved)
        values = moved
        if change < STEP / 2:
            break
    return values


def derivative(rows: Sequence[Sample], values: Values) -> tuple[Array, Array]:
    """Give the errors of rows, and by how much each constant moves them."""
    errors = np.array([sample.error(values) for sample in rows])
    slopes = np.zeros((len(rows), len(fitted().constants)))
    for at, sample in enumerate(rows):
        for index in sample.constants:
            constant = fitted().constants[index]
            step = STEP * (constant.high - constant.low)
            step = -step if values[index] + step > constant.high else step
            slopes[at, index] = (sample.error(values | {index: values[index] + step}) - errors[at]) / step
    return errors, slopes


def _moved(
    rows: Sequence[Sample], values: Values, errors: Array, slopes: Array, fixed: frozenset[int] = NOTHING
) -> Values:
    """Move constants to the least sum of soft errors along their derivative, within their bounds."""
    try:
        from scipy.optimize import least_squares  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError("fitting needs the extra 'calibrate'", mend="pip install 'flopclock[calibrate]'") from None
    constants = fitted().constants
    free = [index for index in sorted(values) if index not in fixed and _rows_with(rows, index) >= LEAST_ROWS]
    if not free:
        return values
    slope, begin = slopes[:, free], np.array([values[index] for index in free])
    low, high = (np.array([getattr(constants[index], side) for index in free]) for side in ("low", "high"))
    inside = np.clip(begin, low + 1e-9, high - 1e-9)

    def residuals(moved: Array) -> Array:
        return np.asarray(errors + slope @ (moved - begin))

    found = least_squares(residuals, inside, bounds=(low, high), loss="soft_l1", f_scale=SOFT)
    return values | {index: float(value) for index, value in zip(free, found.x, strict=True)}


def seen(rows: Sequence[Sample], values: Values, fixed: frozenset[int] = NOTHING) -> Array:
    """Give the errors of rows whose source was seen and whose configuration was not: five folds.

    Constants that are fixed keep their value.
    """
    fold = np.array([zlib.crc32(sample.configuration.encode()) % FOLDS for sample in rows])
    errors, slopes = derivative(rows, values)
    out = np.zeros(len(rows))
    for number in range(FOLDS):
        kept = fold != number
        others = [row for row, stays in zip(rows, kept, strict=True) if stays]
        moved = _moved(others, values, errors[kept], slopes[kept], fixed)
        for at, sample in enumerate(rows):
            if not kept[at]:
                out[at] = sample.error(moved)
    return out


def unseen(rows: Sequence[Sample], values: Values) -> Array:
    """Give the errors of rows of a source from which no constant was taken: one source left out at a time.

    What the software is (fused attention, sequence parallelism) stays known; a constant that no other source has rows
    of takes the value of the profile that stands in, else the mean of its like.
    """
    errors, slopes = derivative(rows, values)
    out = np.zeros(len(rows))
    for group in sorted({sample.group for sample in rows}):
        kept = np.array([at for at, sample in enumerate(rows) if sample.group != group], dtype=int)
        others = [rows[at] for at in kept]
        moved = _moved(others, values, errors[kept], slopes[kept]) if others else values
        known = {index: moved[index] for index in moved if _rows_with(others, index) >= LEAST_ROWS}
        for at, sample in enumerate(rows):
            if sample.group == group:
                out[at] = sample.error({index: _stranger(sample, index, known) for index in sample.constants})
    return out


def _rows_with(rows: Sequence[Sample], index: int) -> int:
    return sum(index in sample.constants for sample in rows)


def _stranger(sample: Sample, index: int, known: Values) -> float:
    """Give the value of a constant for a row whose source was not seen."""
    own = fitted().constants[index]
    profile = sample.case.setting.software.name
    asked: set[str] = set()
    while index not in known and profile in fitted().stand_ins and profile not in asked:
        asked.add(profile)
        profile = fitted().stand_ins[profile]
        lent = sample.case.under(replace(sample.case.setting.software, name=profile))
        index = next((each for each in of_case(lent) if fitted().constants[each].field == own.field), index)
    if index in known:
        return float(np.clip(known[index], own.low, own.high))
    if asked:  # those that stand in know no such number: an attention kernel as fast as the measured one
        return 1.0 if own.unit == "ratio" else own.low
    alike = [(other, value) for other, value in known.items() if fitted().constants[other].field == own.field]
    near = [value for other, value in alike if set(fitted().constants[other].profiles) & set(own.profiles)]
    mean = near or [value for _, value in alike] or [(own.low + own.high) / 2]
    return float(np.clip(np.mean(mean), own.low, own.high))

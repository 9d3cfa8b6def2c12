"""Score the fitted constants on rows that they were not fitted to: `python -m sim.validate --table training.csv`.

With --fit they are fitted anew first, from what the profiles state; with --ablation each is taken away in turn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.validate import fitting
from sim.validate.constants import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.validate.fitting import Array, Sample, Values


def main() -> None:
    """Print the constants, and errors of rows fitted to, of configurations left out, and of sources left out."""
    parser = argparse.ArgumentParser(prog="python -m sim.validate", description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="training table: docs/validation.md")
    parser.add_argument("--fit", action="store_true", help="fit the constants anew (needs the extra 'calibrate')")
    parser.add_argument("--ablation", action="store_true", help="how much worse without each constant")
    chosen = parser.parse_args()
    rows = fitting.samples(chosen.table)
    stated = fitting.present(rows)
    values = fitting.fit(rows, stated) if chosen.fit else stated
    _write(constants_table(rows, stated, values))
    errors = {
        "fitted": np.array([sample.error(values) for sample in rows]),
        "configuration left out": fitting.seen(rows, values),
        "source left out": fitting.unseen(rows, values),
    }
    _write(score_table(rows, errors))
    if chosen.ablation:
        _write(ablation_table(rows, values))


def constants_table(rows: Sequence[Sample], stated: Values, values: Values) -> list[str]:
    """List the constants: what they are, rows, the value of the profiles, the value found."""
    lines = [f"{len(fitted().constants)} constants", ""]
    for index, constant in enumerate(fitted().constants):
        count = sum(index in sample.constants for sample in rows)
        was, now = (f"{each[index]:.3f}" if index in each else "-" for each in (stated, values))
        lines.append(f"  {constant.name:<58} {constant.unit:<6} {count:4d} rows  {was:>8} {now:>8}")
    return lines


def score_table(rows: Sequence[Sample], errors: dict[str, Array]) -> list[str]:
    """List median, 90th percentile and bias in percent, over rows with a given layout, by kind and by source."""
    parts: dict[str, Callable[[Sample], bool]] = {"all": lambda sample: sample.summed}
    for kind in ("dense", "MoE", "LoRA"):
        parts[kind] = lambda sample, kind=kind: sample.summed and sample.kind == kind  # type: ignore[misc]
    for group in sorted({sample.group for sample in rows}):
        parts[group] = lambda sample, group=group: sample.group == group  # type: ignore[misc]
    lines = [f"{'median / p90 / bias %':<28} {'n':>4}" + "".join(f"{name:>26}" for name in errors)]
    for name, belongs in parts.items():
        picked = np.array([belongs(sample) for sample in rows])
        if picked.any():
            cells = "".join(f"{_score(each[picked]):>26}" for each in errors.values())
            lines.append(f"{name:<28} {int(picked.sum()):4d}{cells}")
    return lines


def ablation_table(rows: Sequence[Sample], values: Values) -> list[str]:
    """List the errors of the rows of each constant with it, and without it and all others fitted again."""
    lines = [f"{'without':<58} {'n':>4} {'with':>24} {'without':>24}"]
    for index, constant in enumerate(fitted().constants):
        touched = [sample for sample in rows if index in sample.constants and sample.summed]
        if index not in values or not touched:
            continue
        before = np.array([sample.error(values) for sample in touched])
        refitted = fitting.refit_without(rows, values, index)
        after = np.array([sample.error(refitted) for sample in touched])
        lines.append(f"{constant.name:<58} {len(touched):4d} {_score(before):>24} {_score(after):>24}")
    return lines


def _score(errors: Array) -> str:
    ratio = np.exp(errors)
    off = 100 * np.abs(ratio - 1)
    return f"{np.median(off):.1f} / {np.quantile(off, 0.9):.1f} / {100 * (np.median(ratio) - 1):+.1f}"


def _write(lines: list[str]) -> None:
    sys.stdout.write("\n".join([*lines, "", ""]))


if __name__ == "__main__":
    main()

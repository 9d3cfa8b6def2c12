"""Score the fitted constants on rows that they were not fitted to: `python -m sim.validate --table training.csv`.

With --fit they are fitted anew first, from what the profiles state. With --ablation terms each term of the step model
is taken away in turn, with --ablation constants each constant; the others are fitted again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.validate import ablation, fitting
from sim.validate.constants import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sim.validate.fitting import Array, Sample, Values


DECILE = 1.2815515655446004
"""Standard deviations from the median to the 90th percentile."""
FEWEST = 20
"""Rows from which a spread is taken."""


def main() -> None:
    """Print the constants, and errors of rows fitted to, of configurations left out, and of sources left out."""
    parser = argparse.ArgumentParser(prog="python -m sim.validate", description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="training table: docs/validation.md")
    parser.add_argument("--fit", action="store_true", help="fit the constants anew (needs the extra 'calibrate')")
    parser.add_argument("--ablation", choices=("terms", "constants"), help="how much worse without each of them")
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
    _write(spread_table(rows, errors["configuration left out"], errors["source left out"]))
    if chosen.ablation:
        without = ablation.terms if chosen.ablation == "terms" else ablation.constants
        _write(ablation_table(without(rows, values)))


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


def spread_table(rows: Sequence[Sample], seen: Array, unseen: Array) -> list[str]:
    """List the lognormal spread of which 80 % of the rows of a group lie in the 80 % interval: sim.results.step_error.

    Chips of one architecture (blackwell and its ultra) stand together.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for at, sample in enumerate(rows):
        generation = sample.case.setting.cluster.accelerator.generation.removesuffix("-ultra")
        groups.setdefault((sample.kind, generation), []).append(at)
        if sample.group != fitting.APART:
            groups.setdefault((sample.kind, "source left out"), []).append(at)
    lines = [f"{'spread that holds 80 %':<40} {'n':>4}"]
    for (kind, name), places in sorted(groups.items()):
        errors = np.abs((unseen if name == "source left out" else seen)[places])
        if len(places) >= FEWEST:
            lines.append(f"{kind + ', ' + name:<40} {len(places):4d} {np.quantile(errors, 0.8) / DECILE:8.3f}")
    return lines


def ablation_table(found: Iterable[tuple[str, int, Array, Array]]) -> list[str]:
    """List the errors of the rows that each term or constant concerns, configurations left out, with and without it."""
    lines = [f"{'without':<58} {'n':>4} {'with':>24} {'without':>24}"]
    lines += [f"{name:<58} {count:4d} {_score(before):>24} {_score(after):>24}" for name, count, before, after in found]
    return lines


def _score(errors: Array) -> str:
    ratio = np.exp(errors)
    off = 100 * np.abs(ratio - 1)
    return f"{np.median(off):.1f} / {np.quantile(off, 0.9):.1f} / {100 * (np.median(ratio) - 1):+.1f}"


def _write(lines: list[str]) -> None:
    sys.stdout.write("\n".join([*lines, "", ""]))


if __name__ == "__main__":
    main()

"""What each term of the step model is worth: its error on configurations left out without it, all constants refitted.

A term is taken away from the prediction of every row; the constants then move to make up for it, in folds that leave
whole configurations out, so that a term which only fits noise shows as worth nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.validate.constants import fitted
from sim.validate.fitting import seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sim.validate.constants import Constant
    from sim.validate.fitting import Array, Known, Sample, Values
    from sim.validate.training import Case

NEGLIGIBLE = 1e-6
"""Of a time, instead of nothing: a slowdown has to be above zero."""
MOVED = 0.01
"""A term concerns the rows whose step it makes longer or shorter by more than this share."""


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that the step model knows, and how to take it away."""

    name: str
    part: str = ""
    """Account of the step that then takes no time."""
    change: Callable[[Case], Case] | None = None
    """What a row is without it."""
    fields: tuple[str, ...] = ()
    """Numbers of profiles that then stay at their neutral value, and are no constants of the refit."""


def _recipe(**changes: float) -> Callable[[Case], Case]:
    return lambda case: replace(case, work=replace(case.work, recipe=replace(case.work.recipe, **changes)))  # type: ignore[arg-type]


def _without_attention(case: Case) -> Case:
    return case.under(replace(case.setting.software, attention_slowdown=NEGLIGIBLE))


def _without_head(case: Case) -> Case:
    return replace(case, work=replace(case.work, model=case.work.model.model_copy(update={"vocab": 1})))


def _without_gemm_shape(case: Case) -> Case:
    """Every product as fast as a large one."""
    machine = case.setting.machine
    flat = {
        name: replace(getattr(machine, name), overhead_s=0.0, memory_efficiency=np.inf)
        for name in ("gemm", "wide_gemm")
    }
    return replace(case, setting=replace(case.setting, machine=replace(machine, **flat)))


TERMS = (
    Term("attention", change=_without_attention, fields=("attention_slowdown",)),
    Term("LM head and loss", change=_without_head),
    Term("shape of products: all as fast as large ones", change=_without_gemm_shape),
    Term("casts to narrow operands", change=_recipe(cast_bytes=0.0)),
    Term("gradients added up in 32 bit", change=_recipe(gradient_bytes=2.0)),
    Term("recompute", part="recompute"),
    Term("tensor-parallel communication", part="exposed tensor-parallel communication"),
    Term("context-parallel communication", part="exposed context-parallel communication"),
    Term("expert-parallel communication", part="exposed expert-parallel communication"),
    Term("pipeline communication", part="exposed pipeline communication"),
    Term("data-parallel communication", part="exposed data-parallel communication"),
    Term("pipeline bubble and uneven stages", part="pipeline bubble"),
    Term("optimizer", part="optimizer"),
    Term("host: launches, and work of a step", part="host"),
    Term("kernels slower in a run than alone", fields=("kernel_slowdown", "expert_slowdown", "attention_slowdown")),
    Term("overlap of tensor-parallel communication", fields=("tensor_parallel_overlap",)),
    Term("overlap of data-parallel communication", fields=("data_parallel_overlap",)),
    Term("waiting for the slowest rank", fields=("scale_slowdown",)),
)


def terms(rows: Sequence[Sample], values: Values) -> Iterator[tuple[str, int, Array, Array]]:
    """Give each term with errors of configurations left out, with it and without it.

    Yields:
        The term; how many rows it moves; the errors of these rows with it, and without it.

    """
    before = seen(rows, values)
    summed = np.array([sample.summed for sample in rows])
    for term in TERMS:
        fixed = frozenset(index for index in values if fitted().constants[index].field in term.fields)
        held = values | {index: NEGLIGIBLE if term.change else neutral(fitted().constants[index]) for index in fixed}
        changed = _without(rows, term)
        moved = [abs(other.error(held) - sample.error(values)) for sample, other in zip(rows, changed, strict=True)]
        picked = summed & (np.array(moved) > MOVED)
        if picked.any():
            yield term.name, int(picked.sum()), before[picked], seen(changed, held, fixed)[picked]


def _without(rows: Sequence[Sample], term: Term) -> list[Sample]:
    """Give the rows without a term; predictions stay shared, those of all rows whose cases do not change."""
    if term.change is None:
        return [sample.changed(None, term.part, sample.known) for sample in rows]
    known: dict[int, Known] = {}
    return [sample.changed(term.change, term.part, known.setdefault(id(sample.known), {})) for sample in rows]


def constants(rows: Sequence[Sample], values: Values) -> Iterator[tuple[str, int, Array, Array]]:
    """Give each constant with its rows, and their errors, configurations left out, with it and at its neutral value."""
    for index in values:
        touched = [sample for sample in rows if index in sample.constants and sample.summed]
        if touched:
            held = values | {index: neutral(fitted().constants[index])}
            before, after = seen(touched, values), seen(touched, held, frozenset({index}))
            yield fitted().constants[index].name, len(touched), before, after


def neutral(constant: Constant) -> float:
    """Give what a constant is where nothing is known: a ratio of 1, nothing hidden, the shortest time."""
    return 1.0 if constant.unit == "ratio" else constant.low

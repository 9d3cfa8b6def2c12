"""`sim plan`: every legal parallel layout of a training step, the best few, and why the others are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import output
from sim.cli.columns import Columns
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plan.survey import Planned, Timed
    from sim.spec.cluster import ClusterSpec
    from sim.spec.layout import LayoutSpec
    from sim.spec.workload import TrainingSpec

FRONT_ROWS = 8
"""Points of the front that text shows, the ends among them; JSON has all."""
PARTS = 4
"""Parts by which the runner-up loses that text shows, the largest first."""
GIB = 2**30
LAYOUT = "Layout"
STEP_OPTIONS = ("sequence", "batch", "documents", "capacity", "profile", "fabric", "node")
"""Options that say what a step does and on what."""
LAYOUT_OPTIONS = (
    "tp", "pp", "virtual_stages", "cp", "dp", "ep", "micro_batch", "schedule", "recompute", "zero_stage",
    "sequence_parallel", "etp", "shard", "cp_exchange", "stages", "first_stage_layers", "last_stage_layers",
)  # fmt: skip
"""Options that fix a part of the layout."""


def _option(text: str, panel: str = "Step") -> object:
    return typer.Option(help=text, show_default=False, rich_help_panel=panel)


def plan(
    model: Annotated[str, typer.Argument(help="A model of the catalogue, or a scenario file.", show_default=False)],
    on: Annotated[str, typer.Argument(help="COUNTxACCELERATOR, or a real cluster.", show_default=False)] = "",
    sequence: Annotated[str | None, _option("Tokens of one sequence.")] = None,
    batch: Annotated[str | None, _option("Tokens of one optimizer step: 16.8e6.")] = None,
    precision: Annotated[str | None, _option("Recipe, several as bf16,fp8, or any.")] = None,
    documents: Annotated[str | None, _option("Documents that sequences are packed from: 600 tokens.")] = None,
    capacity: Annotated[str | None, _option("Tokens of an expert over the mean; more drop: 1.25.")] = None,
    profile: Annotated[str | None, _option("Software profile of the catalogue.")] = None,
    fabric: Annotated[str | None, _option("Network between scale-up domains.")] = None,
    node: Annotated[str | None, _option("Node that holds the accelerators.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value of a scenario file.", show_default=False)
    ] = None,
    tp: Annotated[int | None, _option("Only this tensor-parallel degree.", LAYOUT)] = None,
    pp: Annotated[int | None, _option("Only so many pipeline stages.", LAYOUT)] = None,
    virtual_stages: Annotated[int | None, _option("Only so many chunks a stage.", LAYOUT)] = None,
    cp: Annotated[int | None, _option("Only this context-parallel degree.", LAYOUT)] = None,
    dp: Annotated[int | None, _option("Only so many replicas.", LAYOUT)] = None,
    ep: Annotated[int | None, _option("Only this expert-parallel degree.", LAYOUT)] = None,
    micro_batch: Annotated[int | None, _option("Only so many sequences at once.", LAYOUT)] = None,
    schedule: Annotated[str | None, _option("1f1b, gpipe, zb-h1, zb-v, dualpipe, or any.", LAYOUT)] = None,
    recompute: Annotated[str | None, _option("Only none, selective or full.", LAYOUT)] = None,
    zero_stage: Annotated[int | None, _option("Only this ZeRO stage, 0 to 3.", LAYOUT)] = None,
    sequence_parallel: Annotated[bool | None, _option("Only with, or only without it.", LAYOUT)] = None,
    etp: Annotated[int | None, _option("Devices that share each expert (1).", LAYOUT)] = None,
    shard: Annotated[int | None, _option("Replicas that ZeRO splits over: hybrid sharding.", LAYOUT)] = None,
    cp_exchange: Annotated[str | None, _option("Keys and values by ring or all-gather.", LAYOUT)] = None,
    stages: Annotated[str | None, _option("Layers on stages: mean, even or balanced.", LAYOUT)] = None,
    first_stage_layers: Annotated[int | None, _option("Layers of the first stage.", LAYOUT)] = None,
    last_stage_layers: Annotated[int | None, _option("Layers of the last stage.", LAYOUT)] = None,
    beside: Annotated[
        str | None, _option("Rank this layout among all: tp=8,pp=16,dp=128; what it leaves open is searched.", LAYOUT)
    ] = None,
    fill: Annotated[str | None, _option("Fill at most this share of the memory: 90%.", LAYOUT)] = None,
    top: Annotated[int, typer.Option(help="How many of the best to show (5).", min=1, max=50, show_default=False)] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, in SI units.")] = False,
) -> None:
    """List the legal parallel layouts of a training step, ranked.

    Each is timed and weighed; nothing is simulated. Without options every degree is searched.
    """
    given = locals()
    from sim.plan.survey import plan as survey_all

    several = precisions(precision)
    options = {name: given[name] for name in STEP_OPTIONS} | {"precision": None if several else precision}
    wish = {name: given[name] for name in LAYOUT_OPTIONS}
    cluster, training = asked(model, on, options, changes or [])
    compared = None if beside is None else layout_of(beside, "--beside")
    planned = survey_all(cluster, with_layout(training, wish), top, several, compared, share_of(fill))
    if json:
        output.write_json(_json(planned))
    else:
        _draw(planned)


def asked(
    model: str, on: str, options: Mapping[str, str | None], changes: list[str]
) -> tuple[str | ClusterSpec, TrainingSpec]:
    """Give cluster and training of a question or of a scenario file.

    Raises:
        UsageError: it is neither a model on a cluster nor a file.

    """
    given = {name: value for name, value in options.items() if value is not None}
    if not on:
        if model.endswith((".yaml", ".yml")) or Path(model).is_file():
            return _from_file(model, given, changes)
        raise UsageError("on which cluster?", value=model, mend=f"write it like {model} 1024xh100-sxm, or give a file")
    if changes:
        raise UsageError(
            "--set changes a scenario file", value=changes[0], mend="with a model and a cluster use the options"
        )
    from sim.study.question_scenario import build_scenario

    scenario = build_scenario(on, None, {"model": model} | _usual(model) | given, flags=True)
    return scenario.one_cluster, scenario.training


def precisions(text: str | None) -> tuple[str, ...]:
    """Give the recipes that one option names, where it is more than one; `any` is all that the chip can multiply.

    Raises:
        UsageError: there is no recipe of that name.

    >>> precisions("bf16, fp8"), precisions("fp8")
    (('bf16', 'fp8'), ())
    """
    from sim.plan.survey import ANY
    from sim.spec import catalog

    words = tuple(dict.fromkeys(word.strip() for word in text.split(","))) if text is not None else ()
    if words in ((), (ANY,)):
        return words
    if "," not in (text or ""):
        return ()
    unknown = next((word for word in words if word not in catalog.names("recipes")), None)
    if unknown is not None:
        raise UsageError(
            "precision must name training recipes",
            value=unknown,
            where="--precision",
            mend=f"any, or some of {', '.join(catalog.names('recipes'))}",
        )
    return words


def share_of(text: str | None) -> float:
    """Read the share of the memory that may be filled; all of it where none is given.

    Raises:
        UsageError: it is not a share above zero.

    >>> share_of("90%"), share_of(None)
    (0.9, 1.0)
    """
    from sim.units import parse

    share = 1.0 if text is None else parse(text, "fraction")
    if not 0 < share <= 1:
        raise UsageError(
            "a share of the memory is more than 0 and at most 100 %", str(text), "--fill", "write it like 90%"
        )
    return share


def layout_of(text: str, where: str) -> LayoutSpec:
    """Read a layout as an option has it: degrees with their values.

    Raises:
        UsageError: a part has no value.
        ScenarioError: there is no such degree, or its value is out of range.

    >>> layout_of("tp=8, pp=16", "--beside").pp
    16
    """
    from sim.spec.layout import LayoutSpec
    from sim.spec.yaml import loads, validate

    lines = []
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise UsageError("each part is a degree and its value", part.strip(), where, "write it like tp=8,pp=16")
        lines.append(f"{name.replace('-', '_')}: {value}")
    return validate(LayoutSpec, loads("\n".join(lines), where))


def with_layout(training: TrainingSpec, wish: Mapping[str, object]) -> TrainingSpec:
    """Give the training with these degrees fixed, beside those that it fixes itself.

    Raises:
        ScenarioError: a degree is out of range.

    """
    given = {name: value for name, value in wish.items() if value is not None}
    if not given:
        return training
    from sim.spec.layout import LayoutSpec
    from sim.spec.yaml import loads, validate

    own = training.plan.model_dump(exclude_none=True) if isinstance(training.plan, LayoutSpec) else {}
    text = "\n".join(f"{name}: {str(value).lower()}" for name, value in (own | given).items())
    return training.model_copy(update={"plan": validate(LayoutSpec, loads(text, "the layout of the question"))})


def _from_file(file: str, given: dict[str, str], changes: list[str]) -> tuple[str | ClusterSpec, TrainingSpec]:
    """Read a scenario; options of the step are changes to it."""
    from sim.spec.load import load_document, read_scenario
    from sim.study.question_scenario import OPTIONS

    changes = [*changes, *(f"{OPTIONS[name].path}={value}" for name, value in given.items())]
    loaded = read_scenario(load_document(Path(file), changes))
    return loaded.one_cluster, loaded.training


def _usual(model: str) -> dict[str, str]:
    """Give the sequence of a model whose positions end before the default does."""
    from sim.spec import catalog, defaults

    longest = catalog.load("models", model).max_positions
    return {} if longest is None or longest >= defaults.number("training.sequence") else {"sequence": str(longest)}


def _json(planned: Planned) -> dict[str, Any]:
    survey, work = planned.survey, planned.work
    best = [_layout_json(planned, survey.best, index) for index in range(len(survey.best))]
    answer: dict[str, Any] = {
        "question": {
            "model": work.model.name,
            "accelerator": planned.cluster.accelerator.name,
            "devices": planned.devices,
            "sequence": work.sequence,
            "sequences_per_step": work.global_batch,
            "precision": ",".join(way.work.recipe.name for way in planned.ways),
            "profile": planned.software.name,
        },
        "layouts": {
            "legal": survey.legal,
            "fitting": survey.fitting,
            "illegal": [{"rule": rule, "layouts": count} for rule, count in survey.illegal.items()],
        },
        "memory_bytes_per_device": planned.machine.memory_bytes,
        "best": best,
        "front": [
            {
                "layout": survey.front.layouts.row(index),
                "step_s": float(survey.front.steps.step_s[index]),
                "memory_bytes": float(survey.front.memory.total_bytes[index]),
            }
            for index in range(len(survey.front))
        ],
        "next": _next(planned),
    }
    if work.attended is not None:
        answer["attended_tokens"] = work.attended
    if work.capacity is not None:
        answer["capacity"] = {"factor": work.capacity.factor, "dropped": work.capacity.dropped}
    if planned.left_out:
        answer["left_out"] = [{"precision": name, "reason": reason} for name, reason in planned.left_out.items()]
    if survey.usual is not None:
        answer["usual"] = _layout_json(planned, survey.usual, 0)
    if planned.beside is not None:
        given = planned.beside
        answer["beside"] = _layout_json(planned, given.timed, 0) | {
            "fits": given.fits,
            "rank": survey.faster + 1,
            "slower": given.step_s / float(survey.best.steps.step_s[0]) - 1,
            "lost": [{"name": name, "seconds": seconds} for name, seconds in _behind(survey.best, given.timed, 0)],
        }
    if len(best) > 1:
        answer["runner_up"] = [
            {"name": name, "seconds": seconds} for name, seconds in _behind(survey.best, survey.best, 1)
        ]
    return answer


def _layout_json(planned: Planned, timed: Timed, index: int) -> dict[str, Any]:
    return {
        "layout": timed.layouts.row(index),
        "precision": planned.recipe(timed, index),
        "devices": int(timed.layouts.devices[index]),
        "step_s": float(timed.steps.step_s[index]),
        "mfu": planned.utilization(timed, index),
        "parts": [{"name": name, "seconds": seconds} for name, seconds in timed.steps.row(index)],
        "memory_bytes": timed.memory.row(index),
    }


def _draw(planned: Planned) -> None:
    from sim.units import show

    survey, work, memory_bytes = planned.survey, planned.work, planned.machine.memory_bytes
    recipes = ", ".join(way.work.recipe.name for way in planned.ways)
    step = show(float(survey.best.steps.step_s[0]), "second")
    head = (
        f"{work.model.name} on {planned.devices:,} x {planned.cluster.accelerator.name}, {work.global_batch:,} "
        f"sequences of {work.sequence:,} tokens a step, {recipes}: {step} "
        f"a step at best (MFU {planned.utilization(survey.best, 0):.1%})."
    )
    output.write(output.styled(output.wrapped(head, ""), output.CYAN))
    limits = []
    if work.attended is not None:
        limits.append(f"Documents are packed: a token is in one of {work.attended:,.0f} tokens on average.")
    if work.capacity is not None:
        share, factor = work.capacity.dropped, work.capacity.factor
        limits.append(f"Experts take at most {factor:g} times the mean: {share:.1%} of the visits drop.")
    if limits:
        output.write(output.wrapped(" ".join(limits), ""))
    counts = f"{survey.legal:,} layouts are legal, {survey.fitting:,} of them fit into {show(memory_bytes, 'byte')}."
    output.write(output.styled(output.wrapped(counts, ""), output.DIM))
    output.write("")
    _draw_layouts(planned, survey.best, list(range(len(survey.best))), "")
    _draw_left_out(planned)
    _draw_memory(planned)
    _draw_runner_up(planned)
    _draw_beside(planned)
    _draw_usual(planned)
    if len(survey.front) > 1:
        output.write("\nTime against memory: nothing is better in both")
        _draw_layouts(planned, survey.front, _spread(len(survey.front)), "front")
    _draw_illegal(planned)
    for command in _next(planned):
        output.write(f"next: {command}")


def _draw_layouts(planned: Planned, timed: Timed, rows: list[int], kind: str) -> None:
    table = Columns()
    experts = ("ep",) if planned.work.model.experts is not None else ()
    ordered = bool(timed.layouts.schedule.any())
    for name in ("", "tp", "pp", "vpp" if experts else "chunks", "cp", "dp", *experts, "mb"):
        table.add_column(name, justify="right")
    if ordered:
        table.add_column("schedule")
    several = len(planned.ways) > 1
    if several:
        table.add_column("precision")
    table.add_column("recompute")
    # MFU is against the peak of the recipe: side by side, those of several say nothing. SP is left out for room.
    for name in ("ZeRO", *(() if several else ("SP",)), "step", *(() if several else ("MFU",)), "memory"):
        table.add_column(name, justify="right")
    for place, index in enumerate(rows):
        row = timed.layouts.row(index)
        table.add_row(
            "" if kind else str(place + 1),
            *(str(row[name]) for name in ("tp", "pp", "virtual_stages", "cp", "dp", *experts, "micro_batch")),
            *((str(row.get("schedule", "1f1b")),) if ordered else ()),
            *((planned.recipe(timed, index),) if several else ()),
            str(row["recompute"]),
            str(row["zero_stage"]),
            *(() if several else ("on" if row["sequence_parallel"] else "off",)),
            f"{timed.steps.step_s[index]:.4g} s",
            *(() if several else (f"{planned.utilization(timed, index):.1%}",)),
            f"{timed.memory.total_bytes[index] / GIB:.1f} GiB",
        )
    table.draw()


def _draw_memory(planned: Planned) -> None:
    """Draw the memory of a device by part, a column for each of the best."""
    best, room = planned.survey.best, planned.machine.memory_bytes
    shown = range(min(len(best), 5))
    table = Columns()
    table.add_column("GiB on the fullest device")
    for place in shown:
        table.add_column(str(place + 1), justify="right", min_width=7)
    rows = [best.memory.row(index) for index in shown]
    for part in rows[0]:
        table.add_row(part, *(f"{row[part] / GIB:.1f}" for row in rows))
    table.add_row("free", *(f"{(room - row['total']) / GIB:.1f}" for row in rows))
    output.write("")
    table.draw()


def _draw_runner_up(planned: Planned) -> None:
    best = planned.survey.best
    if len(best) == 1:
        return
    behind = _behind(best, best, 1)
    lost_s = float(best.steps.step_s[1] - best.steps.step_s[0])
    share = lost_s / float(best.steps.step_s[0])
    text = ", ".join(f"{name} {seconds:+.3g} s" for name, seconds in behind[:PARTS])
    reason = text or "the same time with more devices or more memory"
    output.write("")
    output.write(output.wrapped(f"loses {lost_s:.3g} s ({share:.2%}): {reason}", "Second  "))


def _draw_left_out(planned: Planned) -> None:
    """Say which recipes were asked for and not searched."""
    for name, reason in planned.left_out.items():
        output.write(output.wrapped(reason, f"not in {name}: "))


def _draw_beside(planned: Planned) -> None:
    """Say where the layout that was asked about ranks, and by what it loses."""
    if planned.beside is None:
        return
    given, survey, room = planned.beside, planned.survey, planned.machine.memory_bytes
    output.write("\nThe layout beside them; what it leaves open is chosen for it")
    _draw_layouts(planned, given.timed, [0], "beside")
    share = given.step_s / float(survey.best.steps.step_s[0]) - 1
    if given.fits:
        text = f"ranks {survey.faster + 1:,} of the {survey.fitting:,} that fit, with a step {share:.2%} longer"
    else:
        need = float(given.timed.memory.total_bytes[0])
        text = f"needs {need / GIB:.1f} GiB of {room / GIB:.1f}: it does not fit; its step would be {share:+.2%}"
    behind = _behind(survey.best, given.timed, 0)[:PARTS]
    parts = ", ".join(f"{name} {seconds:+.3g} s" for name, seconds in behind)
    output.write(output.wrapped(f"{text}{f': {parts}' if parts else ''}", "Beside  "))


def _draw_usual(planned: Planned) -> None:
    """Say what the best is without sharing gradients and weights, where that is another one."""
    best, usual = planned.survey.best, planned.survey.usual
    if best.layouts.zero_stage[0] <= 1 or usual is None:
        return
    share = float(usual.steps.step_s[0] / best.steps.step_s[0] - 1)
    row = usual.layouts.row(0)
    degrees = ", ".join(f"{name} {row[name]}" for name in ("tp", "pp", "cp", "dp", "recompute"))
    text = (
        f"takes {share:.1%} longer at best ({degrees}): that is how sim howlong plans, because the overlaps of the "
        "software profile were measured with it"
    )
    output.write(output.wrapped(text, "ZeRO 1  "))


def _behind(best: Timed, others: Timed, index: int) -> list[tuple[str, float]]:
    """Give by how much each part of a layout is longer than the best's, the largest difference first."""
    first, other = best.steps.row(0), others.steps.row(index)
    least_s = 1e-6 * float(best.steps.step_s[0])
    differences = [(name, seconds - before) for (name, before), (_, seconds) in zip(first, other, strict=True)]
    return sorted((pair for pair in differences if abs(pair[1]) > least_s), key=lambda pair: -abs(pair[1]))


def _draw_illegal(planned: Planned) -> None:
    illegal = planned.survey.illegal
    if not illegal:
        return
    output.write(f"\n{sum(illegal.values()):,} layouts of the search space are not legal")
    for rule, count in sorted(illegal.items(), key=lambda pair: -pair[1]):
        output.write(output.wrapped(rule, f"{count:>12,}  "))


def _spread(count: int) -> list[int]:
    """Give at most ``FRONT_ROWS`` places, both ends among them, evenly in between."""
    most = min(count, FRONT_ROWS)
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def _next(planned: Planned) -> list[str]:
    """Give commands that go on from here; none for a model or a chip that has no name in the catalogue."""
    from sim.spec import catalog

    model, accelerator = planned.work.model.name, planned.cluster.accelerator.name
    if model not in catalog.names("models") or accelerator not in catalog.names("accelerators"):
        return []
    on = planned.cluster.entry or f"{planned.cluster.spec.count}x{accelerator}"
    return [f"sim howlong {on} --model {model} --tokens 1e12 --sequence {planned.work.sequence}"]

"""`sim fits`: whether a model fits on a cluster, for training and for serving, and what would make it fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import output
from sim.cli.columns import Columns
from sim.cli.plan import asked, with_layout
from sim.errors import InfeasibleError, NotYetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plan.fits import Change, TrainingFit
    from sim.plan.fits_inference import InferenceFit
    from sim.spec.cluster import ClusterSpec
    from sim.spec.model import ModelShape
    from sim.spec.workload import TrainingSpec

USES = ("training", "inference", "both")
GIB = 2**30
USUAL_CONTEXT = 8192


def _option(text: str, panel: str) -> object:
    return typer.Option(help=text, show_default=False, rich_help_panel=panel)


def fits(
    model: Annotated[str, typer.Argument(help="A model of the catalogue, or a scenario file.", show_default=False)],
    on: Annotated[str, typer.Argument(help="COUNTxACCELERATOR, or a real cluster.", show_default=False)] = "",
    use: Annotated[str, typer.Option("--for", help="training, inference or both (both).", show_default=False)] = "both",
    sequence: Annotated[str | None, _option("Tokens of one sequence.", "Training")] = None,
    batch: Annotated[str | None, _option("Tokens of one optimizer step: 16.8e6.", "Training")] = None,
    precision: Annotated[str | None, _option("Recipe: bf16, fp16 or fp8.", "Training")] = None,
    profile: Annotated[str | None, _option("Software profile of the catalogue.", "Training")] = None,
    tp: Annotated[int | None, _option("Only this tensor-parallel degree.", "Training")] = None,
    pp: Annotated[int | None, _option("Only so many pipeline stages.", "Training")] = None,
    micro_batch: Annotated[int | None, _option("Only so many sequences at once.", "Training")] = None,
    recompute: Annotated[str | None, _option("Only none, selective or full.", "Training")] = None,
    zero_stage: Annotated[int | None, _option("Only this ZeRO stage, 0 to 3.", "Training")] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Tokens of each sequence (8192).", min=1, show_default=False, rich_help_panel="Inference"),
    ] = None,
    sequences: Annotated[
        int,
        typer.Option(
            help="Sequences at once (1).", min=1, max=1_000_000, show_default=False, rich_help_panel="Inference"
        ),
    ] = 1,
    weights: Annotated[str, _option("Precision of the weights: bf16, fp8 or fp4 (bf16).", "Inference")] = "bf16",
    cache: Annotated[str, _option("Precision of the cache: bf16 or fp8 (bf16).", "Inference")] = "bf16",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, in SI units.")] = False,
) -> int:
    """Tell whether a model fits, for training and for inference.

    With how much room, part by part; or what to change, one thing alone. Exit code 4 where something does not fit.
    """
    if use not in USES:
        raise UsageError(
            "a model is to fit for training, inference or both", value=use, where="--for", mend="--for both"
        )
    options = {"sequence": sequence, "batch": batch, "precision": precision, "profile": profile}
    wish = {"tp": tp, "pp": pp, "micro_batch": micro_batch, "recompute": recompute, "zero_stage": zero_stage}
    cluster, training = asked(model, on, options, [])
    training = with_layout(training, wish)
    found: dict[str, Any] = {"question": _question(cluster, training)}
    good = True
    if use != "inference":
        good &= _training(found, cluster, training, alone=use == "training")
    if use != "training":
        good &= _inference(found, cluster, training, context, sequences, weights, cache)
    if json:
        output.write_json({key: value for key, value in found.items() if not key.startswith("_")})
    else:
        _draw(found)
    return 0 if good else InfeasibleError.exit_code


def _question(cluster: str | ClusterSpec, training: TrainingSpec) -> dict[str, Any]:
    from sim.plan.resolve import resolve_cluster

    resolved = resolve_cluster(cluster)
    return {"model": _model(training).name, "accelerator": resolved.accelerator.name, "devices": resolved.spec.count}


def _model(training: TrainingSpec) -> ModelShape:
    """Give the shape that is trained; only one that a budget sizes needs the amounts of the run."""
    from sim.plan.resolve import resolve_training
    from sim.spec import catalog

    model = training.model
    if not isinstance(model, str):
        return model
    return catalog.load("models", model) if model in catalog.names("models") else resolve_training(training).model


def _training(found: dict[str, Any], cluster: str | ClusterSpec, training: TrainingSpec, *, alone: bool) -> bool:
    """Put what is found about training into the answer; give whether it fits."""
    from sim.plan.fits import training_fit

    try:
        fit = training_fit(cluster, training)
    except NotYetError as error:
        if alone:
            raise
        found["training"] = {"fits": None, "reason": f"{error.rule}: {error.value}"}
        return True
    row: dict[str, Any] = {
        "fits": fit.fits,
        "sequence": training.sequence,
        "precision": training.recipe_name,
        "memory_bytes_per_device": fit.memory_bytes,
        "least_memory_bytes": fit.least_bytes,
        "least_memory_layout": fit.least.row(0),
        "fewest_devices": fit.fewest_devices,
        "changes": _changes(fit.changes),
    }
    if fit.planned is not None:
        best = fit.planned.survey.best
        parts = best.memory.row(0)
        row |= {"layout": best.layouts.row(0), "memory_bytes": parts, "room_bytes": fit.memory_bytes - parts["total"]}
    found["training"], found["_training"] = row, fit
    return fit.fits


def _inference(
    found: dict[str, Any],
    cluster: str | ClusterSpec,
    training: TrainingSpec,
    context: int | None,
    sequences: int,
    weights: str,
    cache: str,
) -> bool:
    """Put what is found about inference into the answer; give whether it fits."""
    from sim.plan.fits_inference import Serving, inference_fit

    model = _model(training)
    usual = min(USUAL_CONTEXT, model.max_positions or USUAL_CONTEXT)
    fit = inference_fit(cluster, Serving(model, sequences, context or usual, weights, cache))
    parts = fit.memory.row()
    found["inference"] = {
        "fits": fit.fits,
        "sequences": sequences,
        "context": fit.serving.context,
        "weights": weights,
        "cache": cache,
        "split": {"tp": fit.split.tensor_parallel, "pp": fit.split.pipeline_parallel, "replicas": fit.split.replicas},
        "memory_bytes_per_device": fit.memory_bytes,
        "memory_bytes": parts,
        "room_bytes": fit.memory_bytes - parts["total"],
        "most_sequences": fit.most_sequences,
        "longest_context": fit.longest_context,
        "fewest_devices": fit.fewest_devices,
        "changes": _changes(fit.changes),
    }
    found["_inference"] = fit
    return fit.fits


def _changes(changes: tuple[Change, ...]) -> list[dict[str, str]]:
    return [{"change": change.name, "from": change.before, "to": change.after} for change in changes]


def _draw(found: dict[str, Any]) -> None:
    question = found["question"]
    subject = f"{question['model']} on {question['devices']:,} x {question['accelerator']}"
    if "training" in found:
        if "_training" in found:
            _draw_training(subject, found["training"], found["_training"])
        else:
            output.write(output.wrapped(f"not known: {found['training']['reason']}", "Training   "))
    if "inference" in found:
        if "training" in found:
            output.write("")
        _draw_inference(subject, found["inference"], found["_inference"])


def _draw_training(subject: str, row: Mapping[str, Any], fit: TrainingFit) -> None:
    what = f"training of {subject}, {row['sequence']:,}-token sequences, {row['precision']}"
    least = f"{row['least_memory_bytes'] / GIB:.1f} GiB ({_degrees(row['least_memory_layout'])})"
    if fit.fits:
        _say(f"Fits: {what}.")
        _draw_parts(row)
        output.write(output.wrapped(_degrees(row["layout"]), "fastest    "))
        output.write(output.wrapped(f"{least}; {_from(row['fewest_devices'])}", "leanest    "))
    else:
        over = row["least_memory_bytes"] - row["memory_bytes_per_device"]
        _say(f"Does not fit: {what}.")
        output.write(output.wrapped(f"{over / GIB:.1f} GiB a device; the leanest layout takes {least}", "missing    "))
        _draw_changes(fit.changes)


def _draw_inference(subject: str, row: Mapping[str, Any], fit: InferenceFit) -> None:
    many = "1 sequence" if row["sequences"] == 1 else f"{row['sequences']:,} sequences"
    what = (
        f"inference of {subject}, {many} of {row['context']:,} tokens, weights {row['weights']}, cache {row['cache']}"
    )
    split = row["split"]
    laid_out = f"tp {split['tp']}, pp {split['pp']}, {split['replicas']} side by side"
    if fit.fits:
        _say(f"Fits: {what}.")
        _draw_parts(row)
        output.write(output.wrapped(laid_out, "copies     "))
        room = (
            f"{row['most_sequences']:,} sequences of {row['context']:,} tokens, or {many} of "
            f"{row['longest_context']:,} tokens; {_from(row['fewest_devices'])}"
        )
        output.write(output.wrapped(room, "room for   "))
    else:
        _say(f"Does not fit: {what}.")
        _draw_parts(row)
        output.write(
            output.wrapped(f"{-row['room_bytes'] / GIB:.1f} GiB a device, at best with {laid_out}", "missing    ")
        )
        _draw_changes(fit.changes)


def _draw_parts(row: Mapping[str, Any]) -> None:
    """Draw the memory of the fullest device as parts of what it has."""
    table = Columns()
    table.add_column("on the fullest device")
    table.add_column("GiB", justify="right")
    table.add_column("share", justify="right")
    room = row["memory_bytes_per_device"]
    parts = row["memory_bytes"] | {"free": max(row["room_bytes"], 0.0)}
    for name, value in parts.items():
        table.add_row(name, f"{value / GIB:.1f}", f"{value / room:.1%}")
    table.draw()


def _draw_changes(changes: tuple[Change, ...]) -> None:
    if not changes:
        output.write(output.wrapped("none alone makes it fit", "changes    "))
    for place, change in enumerate(changes):
        head = "change     " if place == 0 else "or         "
        output.write(output.wrapped(f"{change.name}: {change.before} -> {change.after}", head))


def _from(devices: int) -> str:
    return "it fits on 1 device" if devices == 1 else f"it fits from {devices:,} devices on"


def _degrees(layout: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in layout.items())


def _say(sentence: str) -> None:
    output.write(output.styled(output.wrapped(sentence, ""), output.CYAN))
